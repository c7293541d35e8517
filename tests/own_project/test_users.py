"""Users of a project's own: another name of the key, which is a UUID, and an e-mail address for a name."""

import json
from pathlib import Path

import pytest

from tests.processes import manage, private_database

pytestmark = pytest.mark.process


def test_callers_and_operators(tmp_path: Path) -> None:
    """A token is made for such a user, lets it in, and shows it its own; the admin's log knows an operator."""
    with private_database(tmp_path) as url:
        place = {
            "DJANGO_SETTINGS_MODULE": "tests.own_project.settings",
            "DATABASE_URL": url,
        }
        made = manage("migrate", "--verbosity", "0", env=place)
        assert made.returncode == 0, made.stderr
        refused = manage("token", "robot", "--can", "send,read", env=place)
        assert (refused.returncode, "no name of a user" in refused.stderr) == (1, True), refused.stderr
        token = manage("token", "robot@example.com", "--can", "send,read", env=place)
        assert token.returncode == 0, token.stderr
        story = f"from tests.own_project.story import main; main({token.stdout.strip()!r})"
        told = manage("shell", "--verbosity", "0", "--no-imports", "--command", story, env=place)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout) == [200, 200, "you@example.com", 302, "cancelled"]
