"""`manage.py compare`: measured on this machine, from outside, and nothing left behind."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import dj_database_url
import pytest
from django.core.management import CommandError, call_command

from notifications.comparison import Measured, postgres_url, summary
from tests.processes import DATABASE_URL, manage


def measured(via: str, pickup: float, per_second: float) -> Measured:
    return Measured(via, 0.001, 0.002, pickup, pickup, per_second, "nothing")


def test_the_sentence_says_which_for_what() -> None:
    """The soonest for quick work, the strongest for volume."""
    sentence = summary([measured("thread", 0.001, 100), measured("queue", 0.002, 900)])
    assert "Use thread for work of milliseconds (it begins 1.0 ms" in sentence
    assert "queue for volume and slow work (900 a second" in sentence
    assert "ahead in both" in summary([measured("thread", 0.001, 900), measured("queue", 0.002, 100)])
    assert "give --via two or more" in summary([measured("thread", 0.001, 900)])


@pytest.mark.parametrize("host", ["db.example.com", "::1", "/var/run/postgresql", ""])
@pytest.mark.parametrize("password", ["", "p/w:?#@%"])
def test_the_url_of_its_database(host: str, password: str) -> None:
    """What the settings read of it is what they have: a password may hold any sign, and a host be a folder."""
    options = {
        "sslmode": "require",
        "options": "-c search_path=a&b",
        "connect_timeout": 3,
        "pool": {"min_size": 1},
    }
    own = {"USER": "ann@corp", "PASSWORD": password, "HOST": host, "PORT": "", "OPTIONS": options}
    read = dj_database_url.parse(postgres_url(own, "mine"))
    assert {name: read[name] for name in ("USER", "PASSWORD", "HOST")} == {
        "USER": "ann@corp",
        "PASSWORD": password,
        "HOST": host,
    }
    assert (read["NAME"], read["PORT"]) == ("mine", 5432)
    assert read["OPTIONS"] == {key: value for key, value in options.items() if key != "pool"}


@pytest.mark.process
def test_compare() -> None:
    """It measures each way, and says so for a program to read."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": "x",
        "DATABASE_URL": DATABASE_URL,
    }
    done = manage("compare", "--requests", "12", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [figure["via"] for figure in figures] == ["queue", "thread"]
    for figure in figures:
        assert 0 < figure["reply_p50"] <= figure["reply_p99"]
        assert 0 < figure["pickup_p50"] <= figure["pickup_p99"]
        assert figure["per_second"] > 0
    assert done.stderr.rstrip().endswith("thread: all sent")


def test_too_few_requests_are_refused() -> None:
    """A percentile of three is no figure."""
    with pytest.raises(CommandError, match="10 or more"):
        call_command("compare", "--requests", "3")


@pytest.mark.process
def test_a_project_that_names_its_own_places(tmp_path: Path) -> None:
    """Settings that do not ask the environment: the load would go to the project's own database and channel."""
    own = tmp_path / "own.sqlite3"
    (tmp_path / "own_settings.py").write_text(
        "from project.settings import *\n"
        f"DATABASES['default'] = tuned({{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {str(own)!r}}})\n"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "own_settings", "SECRET_KEY": "x", "PYTHONPATH": str(tmp_path)}
    done = manage("compare", "--requests", "12", env=environment)
    assert done.returncode == 1
    assert "Nothing was started" in done.stderr
    with closing(sqlite3.connect(own)) as database:  # which checks of models have made, and left empty
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
