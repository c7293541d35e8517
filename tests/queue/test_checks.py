"""A wrong setting is named, with the way out."""

from typing import Any

import pytest
from django.conf import settings as django_settings

from notifications.backends.queue.checks import check_queue

GOOD = {
    "name": "default",
    "orm": "default",
    "broker_class": "notifications.backends.queue.OrmBroker",
    "timeout": 300,
    "retry": 330,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": 0,
}
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}}


def ids(queues: set[str] | None = None) -> list[str | None]:
    return [message.id for message in check_queue("default", queues or {"default"})]


@pytest.fixture(autouse=True)
def good(settings: Any) -> None:
    settings.Q_CLUSTER = GOOD


def test_good_settings_pass() -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("change", "id_"),
    [
        ({"orm": "other"}, "E103"),
        ({"broker_class": None}, "E106"),
        ({"broker_class": "django_q.brokers.orm.ORM"}, "E106"),
        ({"broker_class": "no.such.Broker"}, "E106"),
        ({"retry": 300}, "E107"),
        ({"timeout": None}, "E107"),
        ({"sync": True}, "E108"),
        ({"ack_failures": False}, "W111"),
        ({"max_attempts": 0}, "W111"),
        ({"save_limit": 250}, "W112"),
    ],
)
def test_cluster_settings(settings: Any, change: dict[str, Any], id_: str) -> None:
    settings.Q_CLUSTER = {**GOOD, **change}
    assert ids() == [f"notifications.{id_}"]


def test_sqlite_must_begin_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django_settings, "DATABASES", SQLITE)
    assert ids() == ["notifications.E104"]


@pytest.mark.parametrize(
    ("apps", "id_"),
    [(["notifications"], "E101"), (["django_q", "notifications.apps.NotificationsConfig"], "E102")],
)
def test_apps(monkeypatch: pytest.MonkeyPatch, apps: list[str], id_: str) -> None:
    """Law: `manage.py qcluster` must be ours."""
    monkeypatch.setattr(django_settings, "INSTALLED_APPS", apps)
    assert ids() == [f"notifications.{id_}"]


def test_queues(settings: Any) -> None:
    assert ids({"bulk"}) == ["notifications.W113"]
    assert ids({"a:b"}) == ["notifications.E109"]
    settings.Q_CLUSTER = {**GOOD, "ALT_CLUSTERS": {"bulk": {}}}
    assert ids({"bulk", "default"}) == []
