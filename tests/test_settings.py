"""The environment is a contract: what cannot be read stops the start with the variable's name."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import manage

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
PROGRAM = "import project.settings as s; print(repr({name: getattr(s, name) for name in %r}))"


def load(tmp_path: Path, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The settings as a fresh process reads them, with only this environment and no `.env`."""
    project = tmp_path / "project"
    project.mkdir()
    for file in (ROOT / "project").glob("*.py"):
        (project / file.name).write_text(file.read_text())
    return subprocess.run(
        [sys.executable, "-c", PROGRAM % (names,)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("DATABASE_URL", "carrier-pigeon://loft"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "poem"),
        ("QCLUSTER_WORKERS", "many"),
        ("QCLUSTER_WORKERS", "0"),
        ("SECRET_KEY", ""),
        ("NOTIFICATIONS_KEEP_DAYS", "sent"),
        ("ALLOWED_HOSTS", "https://notify.example.com"),
        ("EMAIL_SMTP_PORT", "99999"),
    ],
)
def test_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    """One line says which variable is wrong."""
    done = load(tmp_path, **{"SECRET_KEY": "x", "EMAIL_SMTP_HOST": "mail.example.com", name: value})
    assert done.returncode != 0
    assert name in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "missing"),
    [("EMAIL_SMTP_USER", "EMAIL_SMTP_PASSWORD"), ("EMAIL_SMTP_PASSWORD", "EMAIL_SMTP_USER")],
)
def test_half_a_login(tmp_path: Path, given: str, missing: str) -> None:
    """With a name alone nobody logs in, and each e-mail would be refused for want of it."""
    done = load(tmp_path, **{"SECRET_KEY": "x", "EMAIL_SMTP_HOST": "mail.example.com", given: "x"})
    assert f"Environment variable {missing}: It is not set, but {given} is." in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (587, True, False)),
        ({"EMAIL_SMTP_PORT": "465"}, (465, False, True)),
        ({"EMAIL_SMTP_PORT": "465", "EMAIL_SMTP_TLS": "off"}, (465, False, False)),
        ({"EMAIL_SMTP_PORT": "25", "EMAIL_SMTP_TLS": "off"}, (25, False, False)),
    ],
)
def test_how_tls_begins(tmp_path: Path, given: dict[str, str], expected: Any) -> None:
    """At 465 a server waits for it and says nothing before: who waits for its greeting waits in vain (RFC 8314)."""
    done = load(tmp_path, "MAILERS", **{"SECRET_KEY": "x", "EMAIL_SMTP_HOST": "mail.example.com", **given})
    options = ast.literal_eval(done.stdout)["MAILERS"]["default"]["OPTIONS"]
    assert (options["port"], options["use_tls"], options["use_ssl"]) == expected


def test_a_command_says_the_line_alone() -> None:
    """No traceback, unless one asks for it."""
    done = manage("check", env={"NUM_PROXIES": "many"})
    assert done.returncode == 1
    assert (
        done.stderr == "Environment variable NUM_PROXIES: Not a valid integer. For example: NUM_PROXIES=1\n"
    )
    assert "Traceback" in manage("check", "--traceback", env={"NUM_PROXIES": "many"}).stderr


def test_the_web_server_says_the_line_alone() -> None:
    """The same, of what gunicorn's own settings are made of."""
    gunicorn = Path(sys.executable).with_name("gunicorn")
    done = subprocess.run(
        [gunicorn, "--check-config", "project.wsgi"],
        cwd=ROOT,
        env={**os.environ, "PORT": "99999"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch("Environment variable PORT: .+ For example: PORT=8000\n", done.stderr)


def test_the_secret_key_is_required_unless_debug(tmp_path: Path) -> None:
    """Nobody runs production on a key that stands in the source."""
    done = load(tmp_path)
    assert done.returncode != 0
    assert "SECRET_KEY: It is not set" in done.stderr


def test_a_dead_connection_is_noticed(tmp_path: Path) -> None:
    """Within half a lease, unless the URL says otherwise: without a limit a host that is cut off waits for long."""
    url = "postgres://me@db.example.com/name?tcp_user_timeout=1000&sslmode=require"
    done = load(tmp_path, "DATABASES", SECRET_KEY="x", DATABASE_URL=url)
    options = ast.literal_eval(done.stdout)["DATABASES"]["default"]["OPTIONS"]
    assert (str(options["tcp_user_timeout"]), options["sslmode"]) == ("1000", "require")
    assert options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"] <= 15


def test_defaults(tmp_path: Path) -> None:
    """SQLite beside manage.py, debug off, the queue."""
    done = load(tmp_path, "DEBUG", "NOTIFICATIONS_VIA", "DATABASES", SECRET_KEY="x")
    assert "'DEBUG': False" in done.stdout
    assert "'NOTIFICATIONS_VIA': 'queue'" in done.stdout
    assert "db.sqlite3" in done.stdout
    assert "IMMEDIATE" in done.stdout


def test_postgresql_by_its_url_alone(tmp_path: Path) -> None:
    """Nothing else changes."""
    done = load(tmp_path, "DATABASES", SECRET_KEY="x", DATABASE_URL="postgres://u:p@db.example:5433/n")
    assert "project.postgresql" in done.stdout
    assert "'PORT': 5433" in done.stdout


@pytest.mark.parametrize("below", ["", "/notify", "/of/ours"])
def test_probes_need_no_tls_wherever_they_are(tmp_path: Path, below: str) -> None:
    done = load(tmp_path, "SECURE_REDIRECT_EXEMPT", "STATIC_URL", SECRET_KEY="x", SCRIPT_NAME=below)
    assert not done.returncode, done.stderr
    settings = ast.literal_eval(done.stdout)
    [exempt] = settings["SECURE_REDIRECT_EXEMPT"]
    # As SecurityMiddleware compares them.
    for probe in ("livez", "readyz", "metrics"):
        assert re.search(exempt, f"{below}/{probe}".lstrip("/"))
    for other in ("admin/", "api/v1/notifications", "send-notification/livez"):
        assert not re.search(exempt, f"{below}/{other}".lstrip("/"))
    assert settings["STATIC_URL"] == f"{below}/static/"
