"""What ships the service names things that are there: commands, files, settings."""

import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from tests.processes import DATABASE_URL

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIES = [
    (names.split(), target)
    for names, target in re.findall(r"^COPY (?!--from)(.+) (\S+)$", DOCKERFILE, re.MULTILINE)
]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def test_the_image_gets_what_the_service_needs() -> None:
    """Every file that is copied exists and is not ignored, and nothing else gets in."""
    copied = {name for names, _ in COPIES for name in names}
    ignored, *allowed = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "*"
    assert {line[1:] for line in allowed if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert "USER notifications" in DOCKERFILE


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not DATABASE_URL.startswith("sqlite"), reason="It touches no database")
def test_what_the_image_gets_is_a_whole_service(tmp_path: Path) -> None:
    """In a folder with the copied files and nothing else all is imported, and every check passes."""
    for names, target in COPIES:
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tmp_path / target)
            else:
                shutil.copy(ROOT / name, tmp_path / target)
    env = {
        "PATH": "/usr/bin:/bin",
        "SECRET_KEY": uuid.uuid4().hex * 2,
        "ALLOWED_HOSTS": "example.com",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for command in (["manage.py", "check"], ["-m", "gunicorn", "--check-config", "project.wsgi"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


def test_compose_gives_settings_that_are_read() -> None:
    """A variable that nobody reads would be a promise that nobody keeps."""
    read = (ROOT / "project" / "settings.py").read_text()
    for name in COMPOSE["x-service"]["environment"]:
        assert f'"{name}"' in read


@pytest.mark.parametrize("name", ["migrate", "cluster"])
def test_compose_runs_commands_that_exist(name: str) -> None:
    """`manage.py` and a command of Django's or ours."""
    python, script, command = COMPOSE["services"][name]["command"]
    assert (python, script) == ("python", "manage.py")
    assert command == "migrate" or (ROOT / f"notifications/management/commands/{command}.py").exists()


def test_the_health_check_is_answered_by_compose(client: Client, settings: Any) -> None:
    """It asks by a name of its own, over HTTP: whatever hosts are allowed, it gets 200 and no redirect to TLS."""
    asked = re.search(
        r"urlopen\('http://([^/']+)' \+ os.environ.get\('SCRIPT_NAME', ''\) \+ '(/\w+)'", DOCKERFILE
    )
    assert asked
    value = COMPOSE["x-service"]["environment"]["ALLOWED_HOSTS"]
    settings.ALLOWED_HOSTS = re.sub(r"\$\{.*?\}", "example.com", value).split(",")
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(asked[2], headers={"host": asked[1]}).status_code == 200


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_let_the_work_finish(unit: Path) -> None:
    """SIGTERM to the main process only, and more time than it gives to its children."""
    text = unit.read_text()
    assert "KillMode=mixed" in text
    graceful = re.search(r"^graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)", text, re.MULTILINE)
    assert graceful
    assert stop
    assert int(stop[1]) > int(graceful[1])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="There is no systemd here.")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    """Every line of them, with programs that are there, and of what they require."""
    for path in (ROOT / "deploy" / "systemd").iterdir():
        text = path.read_text().replace("/srv/notifications/.venv/bin/", f"{Path(sys.executable).parent}/")
        (tmp_path / path.name).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_there_are_units() -> None:
    assert [unit.stem for unit in UNITS] == [
        "notifications-celery",
        "notifications-cluster",
        "notifications-web",
    ]


@pytest.mark.process
@pytest.mark.slow
def test_a_python_that_makes_no_environment(tmp_path: Path) -> None:
    """Debian's without python3-venv leaves half of one: `make` takes it away, and says what to install."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\n[ "$2" = venv ] || exec {sys.executable} "$@"\nmkdir -p "$3/bin"; touch "$3/bin/python"; exit 1\n'
    )
    python.chmod(0o755)
    shutil.copytree(
        ROOT, tmp_path / "code", ignore=lambda folder, names: {name for name in names if name.startswith(".")}
    )
    done = subprocess.run(
        ["make", ".venv/.run"],
        cwd=tmp_path / "code",
        env={"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "python3-venv" in done.stdout
    assert not (tmp_path / "code" / ".venv").exists()
