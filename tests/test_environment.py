"""What stands in the environment is read, or refused in one line with the variable's name and a right value."""

import re
from pathlib import Path
from typing import Any

import pytest
from dj_database_url import parse
from environs import EnvError

from project.database import tuned
from project.environment import EXAMPLES, HOST, Environment, address, below, limit, port, rate, server
from tests.processes import free_port, manage

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`read("PORT", "8000", "int")`: the value as a reader of that kind gives it."""

    def give(name: str, value: str, kind: str, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setenv(name, value)
        return getattr(Environment(), kind)(name, *args, **kwargs)

    return give


def refused(read: Any, name: str, *args: Any, **kwargs: Any) -> str:
    """The line it is refused by."""
    with pytest.raises(EnvError) as caught:
        read(name, *args, **kwargs)
    line = str(caught.value)
    assert re.fullmatch(
        rf"Environment variable {name}: .+ For example: {name}={re.escape(EXAMPLES[name])}", line
    )
    return line


def test_every_variable_has_an_example() -> None:
    """Those of the README's table, and no other."""
    table = README.read_text().split("## Settings")[1].split("## When")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"[A-Z_]+", row)
    }
    assert named == EXAMPLES.keys()


def test_a_variable_of_your_own(read: Any) -> None:
    """It has no example, and is refused in one line all the same."""
    with pytest.raises(EnvError, match=r"^Environment variable OPS_URL: It is not set\.$"):
        Environment().str("OPS_URL")
    with pytest.raises(EnvError, match=r"^Environment variable OPS_COUNT: Not a valid integer\.$"):
        read("OPS_COUNT", "many", "int")


@pytest.mark.parametrize(
    ("name", "value", "kind", "rules"),
    [
        ("PORT", "99999", "int", {"validate": port}),
        ("PORT", "", "int", {}),
        ("HOST", "", "str", {"validate": address}),  # that would be every address there is
        ("HOST", "::1", "str", {"validate": address}),
        ("SCRIPT_NAME", "notify", "str", {"validate": below}),
        ("SCRIPT_NAME", "/notify/", "str", {"validate": below}),
        ("DEBUG", "perhaps", "bool", {}),
        ("NOTIFICATIONS_RECIPIENT_PER_DAY", "-1", "int", {"validate": limit}),
        ("NOTIFICATIONS_RECIPIENT_PER_DAY", "99999999999", "int", {"validate": limit}),
        ("NOTIFICATIONS_CALLER_RATE", "0/minute", "str", {"validate": rate}),
        ("NOTIFICATIONS_CALLER_RATE", "9/fortnight", "str", {"validate": rate}),
        ("NOTIFICATIONS_CALLER_RATE", "9/minute\n", "str", {"validate": rate}),
        ("EMAIL_SMTP_HOST", "smtp://mail.example.com", "str", {"validate": server}),
        ("EMAIL_SMTP_HOST", "mail.example.com:25", "str", {"validate": server}),
        ("EMAIL_PROVIDER_OPTIONS", "token", "pairs", {}),
        ("EMAIL_PROVIDER_OPTIONS", "=token", "pairs", {}),
        ("NOTIFICATIONS_KEEP_DAYS", "sent", "counts", {}),
        ("NOTIFICATIONS_KEEP_DAYS", "sent=1.5", "counts", {}),
        ("DATABASE_URL", "carrier-pigeon://loft", "dj_db_url", {}),
    ],
)
def test_refused_in_one_line(read: Any, name: str, value: str, kind: str, rules: dict[str, Any]) -> None:
    line = refused(read, name, value, kind, **rules)
    assert "\n" not in line


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(EnvError, match="SECRET_KEY: It is not set"):
        Environment().str("SECRET_KEY")


@pytest.mark.parametrize(
    "host",
    [
        "https://example.com",
        "example.com/",
        "example.com:8000",
        "::1",
        "[::1]:80",
        "*.com",
        "a b",
        "b\u00fccher.example",
    ],
)
def test_no_host(read: Any, host: str) -> None:
    """What no request's host is ever equal to."""
    assert repr(host) in refused(
        read, "ALLOWED_HOSTS", f"example.com,{host}", "words", [], form=HOST, of="a host"
    )


def test_words(read: Any) -> None:
    """Blanks and empty places do not count; a host is one in any case."""
    given = " Example.com, .example.org,,*,[::1],localhost "
    hosts = read("ALLOWED_HOSTS", given, "words", [], form=HOST, of="a host")
    assert hosts == ["Example.com", ".example.org", "*", "[::1]", "localhost"]
    assert read("ALLOWED_HOSTS", "", "words", ["localhost"]) == []
    assert Environment().words("NO_SUCH_VARIABLE", ["localhost"]) == ["localhost"]


def test_pairs(read: Any) -> None:
    assert read("EMAIL_PROVIDER_OPTIONS", "a = x=y , b=", "pairs") == {"a": "x=y", "b": ""}
    assert read("NOTIFICATIONS_KEEP_DAYS", "sent=30, tasks=7", "counts") == {"sent": 30, "tasks": 7}
    assert read("NOTIFICATIONS_KEEP_DAYS", "", "counts") == {}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://user@host/name", "neither PostgreSQL nor SQLite"),
        ("postgres://host", "does not name a database"),
        ("sqlite:////no/such/folder/db.sqlite3", "cannot be a file"),
        ("sqlite:///tests", "cannot be a file"),
    ],
)
def test_databases_that_cannot_be(url: str, problem: str) -> None:
    """Before Django looks for a driver, or for a table."""
    with pytest.raises(EnvError, match=f"DATABASE_URL: .*{problem}"):
        tuned(parse(url))


def test_a_pool_keeps_the_connections() -> None:
    """Django refuses a pool beside connections that it keeps itself."""
    assert tuned(parse("postgres://host/name"))["CONN_MAX_AGE"] is None
    pooled = tuned(parse("postgres://host/name?pool=true"))
    assert (pooled["CONN_MAX_AGE"], pooled["OPTIONS"]["pool"]) == (0, True)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("url", ["postgres://postgres@127.0.0.1:{port}/x", "sqlite:///{folder}/db.sqlite3"])
def test_a_database_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    """`make run` begins with `migrate`: one line says that nobody is there, or that there can be no file."""
    (tmp_path / "db.sqlite3").symlink_to(tmp_path / "nowhere" / "db.sqlite3")
    done = manage("migrate", env={"DATABASE_URL": url.format(port=free_port(), folder=tmp_path)})
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert re.fullmatch(r"The database cannot be used \(.+\)\. Is DATABASE_URL right\?", line)
