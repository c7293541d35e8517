"""The proxies' configurations of docs/proxies.md, as they stand there, on the proxies that are installed."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT, answers, free_port, manage, private_database, running, wait_until
from tests.service import answering

pytestmark = [pytest.mark.process, pytest.mark.slow]

HOST = "notify.example.com"
PATH = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin"  # a user's own has no sbin everywhere
MODULES = "mpm_event authz_core socache_shmcb ssl http2 headers proxy proxy_http"
MODULE = "LoadModule {0}_module /usr/lib/apache2/modules/mod_{0}.so"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# What stands around each, and how it is started.
AROUND = {
    "nginx": (
        "daemon off; user root; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; "
        + " ".join(f"{name}_temp_path {{folder}}/{name};" for name in TEMPORARY)
        + " {block} }}",
        ["nginx", "-c", "{file}"],
    ),
    "haproxy": ("{block}", ["haproxy", "-db", "-f", "{file}"]),
    "apache": (
        "\n".join(map(MODULE.format, MODULES.split()))
        + "\nServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error\nUser daemon\nGroup daemon\n"
        "Listen 127.0.0.1:{port}\n{block}",
        ["apache2", "-D", "FOREGROUND", "-f", "{file}"],
    ),
    "caddy": (
        "{{\nadmin off\nauto_https off\n}}\n{block}",
        ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"],
    ),
}


@dataclass(frozen=True)
class Behind:
    web: str  # HOST:PORT
    folder: Path
    token: str


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, migrated: str) -> Iterator[Behind]:
    """The service as it runs in earnest, and a certificate for the proxy."""
    if not (found("openssl") and any(found(command[0]) for _, command in AROUND.values())):
        pytest.skip("No proxy, or no openssl, here")
    folder = tmp_path_factory.mktemp("behind")
    port = free_port()
    with private_database(folder, template=migrated) as database_url:
        env = {
            "DATABASE_URL": database_url,
            "DEBUG": "false",
            "SECRET_KEY": "a-service-of-tests",
            "ALLOWED_HOSTS": HOST,
            "NUM_PROXIES": "1",
            "PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "NOTIFICATIONS_ADDRESS_RATE": "3/day",
            "DJANGO_SETTINGS_MODULE": "project.settings",
        }
        token = manage("token", "shop", "--can", "send,read", env=env).stdout.strip()
        certificate(folder)
        with answering(folder, env):
            wait_until(
                lambda: answers(f"http://127.0.0.1:{port}", host=HOST)
            )  # or HAProxy would find it down
            yield Behind(f"127.0.0.1:{port}", folder, token)


@pytest.fixture(scope="module", params=AROUND)
def proxy(request: pytest.FixtureRequest, behind: Behind) -> Iterator[httpx.Client]:
    """A client of one of them."""
    around, command = AROUND[request.param]
    if not found(command[0]):
        pytest.skip(f"No {request.param} here")
    port = free_port()
    folder = behind.folder / request.param
    folder.mkdir()
    block = re.search(rf"```{request.param}\n(.*?)```", (ROOT / "docs" / "proxies.md").read_text(), re.DOTALL)
    assert block is not None
    file = folder / "configuration"
    text = here(block[1], behind, port)
    file.write_text(around.format(folder=folder, port=port, block=text))
    env = {"PATH": PATH, "HOME": str(folder)}
    with running(*[part.format(file=file) for part in command], env=env, output=folder / "output.txt"):
        wait_until(lambda: is_open(port))
        with client(port) as at_proxy:
            at_proxy.headers["Authorization"] = f"Bearer {behind.token}"
            yield at_proxy


def client(port: int, source: str = "127.0.0.1") -> httpx.Client:
    """It names the host, to TLS too; `source` is its own address."""

    def name(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = HOST

    return httpx.Client(
        base_url=f"https://127.0.0.1:{port}",
        headers={"Host": HOST},
        transport=httpx.HTTPTransport(verify=False, local_address=source),
        timeout=30,
        event_hooks={"request": [name]},
    )


def found(program: str) -> str | None:
    return shutil.which(program, path=PATH)


def certificate(folder: Path) -> None:
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={HOST} -keyout notify.key -out only.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = (folder / "only.pem").read_text() + (folder / "notify.key").read_text()
    (folder / "notify.pem").write_text(both)


def here(block: str, behind: Behind, port: int) -> str:
    """The documented text with the addresses and files of this test."""
    block = block.replace("127.0.0.1:8000", behind.web).replace("/etc/ssl", str(behind.folder))
    block = re.sub(r"(\*?:)?\b443\b", f"127.0.0.1:{port}", block)
    tls = f"bind 127.0.0.1\ntls {behind.folder}/notify.pem {behind.folder}/notify.key"
    return block.replace(f"{HOST} {{", f"https://{HOST}:{port} {{\n{tls}", 1)


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def problem(response: httpx.Response, status: int) -> httpx.Response:
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    return response


def test_links(proxy: httpx.Client) -> None:
    """Where it is, and the next page: of the host and the scheme that the client sees."""
    for _ in range(2):
        answer = proxy.post("/send-notification/you@example.com", headers={"X-Forwarded-Proto": "http"})
        assert answer.status_code == 200
    place = answer.headers["Location"]
    etag = proxy.get(place).headers["ETag"]
    assert proxy.get(place, headers={"If-None-Match": etag}).status_code == 304
    page = proxy.get("/api/v1/notifications", params={"page_size": 1}).json()
    assert page["next"].startswith(f"https://{HOST}/api/v1/notifications?")


@pytest.mark.parametrize(
    ("path", "recipient"),
    [
        ("you%40example.com", "you@example.com"),
        ("a//b@example.com", "a//b@example.com"),
        ("a%2Fb@example.com", "a/b@example.com"),
        ("a%2F%2Fb@example.com", "a//b@example.com"),
        ("a+b@example.com", "a+b@example.com"),
        ("a%3Fb%23@example.com", "a?b#@example.com"),
        ("a%252Fb@example.com", "a%2Fb@example.com"),
        ("m%C3%BCller@example.com", "m\u00fcller@example.com"),
    ],
)
def test_the_address_in_the_path(proxy: httpx.Client, path: str, recipient: str) -> None:
    """It is nobody else's when it arrives."""
    answer = proxy.post(f"/send-notification/{path}")
    assert answer.status_code == 200, answer.text
    assert proxy.get(answer.headers["Location"]).json()["recipient"] == recipient


def test_sizes(proxy: httpx.Client) -> None:
    """The service takes or refuses a body, not the proxy."""
    kind = {"Content-Type": "application/json"}
    large = b" " * (1024 * 1024 + 1)
    problem(proxy.post("/send-notification/you@example.com", content=large, headers=kind), 413)
    problem(proxy.post("/api/v1/notifications/bulk", content=large * 11, headers=kind), 413)
    many = [{"recipient": "you@example.com", "message": "x" * 10_000}] * 250
    assert len(proxy.post("/api/v1/notifications/bulk", json=many).json()["results"]) == 250


def test_an_answer_that_does_not_wait_for_the_body(proxy: httpx.Client) -> None:
    """What is refused at once is not reset while the proxy sends the rest: that would be a 502."""
    large = b" " * (1024 * 1024)
    for _ in range(5):
        problem(proxy.post("/nowhere", content=large), 404)
        problem(
            proxy.post("/api/v1/notifications", content=large, headers={"Content-Type": "text/plain"}), 415
        )


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/%6Civez", "/./livez"])
def test_probes_stay_inside(proxy: httpx.Client, path: str) -> None:
    """Whatever the client makes of the path."""
    assert proxy.get(path).status_code == 404


def test_whose_address_it_is(proxy: httpx.Client) -> None:
    """Requests that are not let in are counted for the client, not for the proxy, nor for whom it says it is."""
    port = proxy.base_url.port
    assert port is not None
    near = f"127.{port >> 8}.{port & 255}"  # nobody else's here
    forged = {"X-Forwarded-For": "192.0.2.1"}
    with client(port, f"{near}.2") as stranger, client(port, f"{near}.3") as another:
        for _ in range(3):
            refused = problem(stranger.get("/api/v1/notifications", headers=forged), 401)
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert problem(stranger.get("/api/v1/notifications"), 429).headers["Retry-After"]
        problem(another.get("/api/v1/notifications", headers=forged), 401)
