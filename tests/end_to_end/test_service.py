"""POST, answer, work: over HTTP, on real processes."""

import signal
import subprocess
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import Service, answers
from tests.processes import free_port, manage, running, wait_until

pytestmark = pytest.mark.process

ANSWER = b'{"message":"Notification sent in the background"}'
VIA = pytest.mark.parametrize("via", ["thread", "queue"])


def test_the_tutorials_own_case(service: Service) -> None:
    """FastAPI's background-tasks tutorial: POST, 200, the exact body, the line in the log."""
    with service.client() as client:
        response = client.post("/send-notification/foo@example.com")
        assert (response.status_code, response.content) == (200, ANSWER)
        service.finished(client, response.headers["Location"])
    assert "notification for foo@example.com: some notification" in service.log_lines()


@VIA
def test_three_hundred_from_eight_clients(service: Service, via: str) -> None:
    """Every one is sent, and its line is in the log exactly once."""
    run = uuid.uuid4().hex

    def client_work(number: int) -> list[str]:
        with service.client() as client:
            locations = []
            for n in range(number, 300, 8):
                response = client.post(
                    "/send-notification/you@example.com", params={"via": via}, json={"message": f"{run} {n}"}
                )
                assert (response.status_code, response.content) == (200, ANSWER)
                locations.append(response.headers["Location"])
            documents = [service.finished(client, location) for location in locations]
            return [document["status"] for document in documents]

    with ThreadPoolExecutor(8) as clients:
        statuses = [status for statuses in clients.map(client_work, range(8)) for status in statuses]
    assert Counter(statuses) == {"sent": 300}
    lines = [line for line in service.log_lines() if run in line]
    assert Counter(lines) == {f"notification for you@example.com: {run} {n}": 1 for n in range(300)}


@VIA
def test_the_reply_does_not_wait_for_the_work(service: Service, via: str) -> None:
    """Respond first: the answer is there while the channel is still at work, and the work ends after it."""
    gate = f"gated-{uuid.uuid4().hex}"
    with service.client() as client:
        response = client.post(
            "/send-notification/you@example.com", params={"via": via}, json={"message": gate}
        )
        assert response.content == ANSWER
        wait_until((service.folder / f"{gate}.begun").exists)
        running_now = client.get(response.headers["Location"]).json()
        assert (running_now["status"], running_now["attempts"][0]["outcome"]) == ("sending", None)
        (service.folder / gate).touch()
        assert service.finished(client, response.headers["Location"])["status"] == "sent"


@VIA
def test_notify_from_a_shell(service: Service, via: str) -> None:
    """The command does the same, and its exit status tells."""
    text = uuid.uuid4().hex
    done = manage("notify", "you@example.com", text, "--via", via, "--wait", env=service.env)
    assert done.returncode == 0, done.stderr
    assert "sent after" in done.stdout
    assert f"notification for you@example.com: {text}" in service.log_lines()
    assert manage("notify", "nobody", env=service.env).returncode == 1


def test_bad_input_is_answered_and_the_service_lives(service: Service) -> None:
    """A body cut short, a forged header, a huge body: each gets its 4xx, and the next request its 200."""
    with service.client() as client:
        for content, expected in ((b"{", 400), (b'{"message": "' + b"x" * 2_000_000 + b'"}', 413)):
            response = client.post(
                "/send-notification/you@example.com",
                content=content,
                headers={"Content-Type": "application/json"},
            )
            assert response.status_code == expected
            assert response.headers["Content-Type"] == "application/problem+json"
        assert client.post("/send-notification/you@example.com").status_code == 200


@pytest.mark.parametrize("header", ["SCRIPT_NAME", "PATH_INFO"])
def test_no_header_says_where_the_service_is(service: Service, header: str) -> None:
    """What a proxy keeps from strangers by its path, they reach by no other."""
    with service.client() as client:
        assert client.get("/elsewhere/livez", headers={header: "/elsewhere"}).status_code == 404
        assert client.get("/livez", headers={header: "/elsewhere"}).status_code == 200


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_honcho_stops_all_of_it(service: Service, tmp_path: Path, stop: signal.Signals) -> None:
    """What `make run` starts ends cleanly, and leaves no process behind."""
    honcho = Path(sys.executable).with_name("honcho")
    port = free_port()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    env = {**service.env, "PORT": str(port), "PATH": path}
    output = tmp_path / "honcho.txt"
    with running(honcho, "start", "--env", "/dev/null", env=env, output=output, stop=stop) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            location = client.post("/send-notification/you@example.com?via=thread").headers["Location"]
            service.finished(client, location)
        process.send_signal(stop)
        process.wait(timeout=20)
    wait_until(lambda: not _processes_with(f"PORT={port}"))
    assert "Traceback" not in output.read_text()


def _processes_with(variable: str) -> list[str]:
    """Ids of living processes that have this environment variable."""
    found = subprocess.run(
        ["ps", "axeww", "-o", "pid,stat,command"], capture_output=True, text=True, check=True
    )
    return [
        line.split()[0]
        for line in found.stdout.splitlines()
        if f" {variable} " in f"{line} " and " Z" not in line
    ]
