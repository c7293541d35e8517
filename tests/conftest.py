"""What every test may use. Tests that start processes are marked `process`, those that take 20 ms or more `slow`."""

import gc
import socket
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.test import Client, TransactionTestCase, override_settings
from hypothesis import HealthCheck
from hypothesis import settings as property_settings
from rest_framework.test import APIClient

from notifications import lease, services
from notifications.background.testing import stop_pool
from notifications.models import Notification
from tests import recording_channel
from tests.processes import manage, private_database

# How long an example takes says how busy the machine is. `make test-fast` looks at fewer of each property.
property_settings.register_profile("full", deadline=None, suppress_health_check=[HealthCheck.too_slow])
property_settings.register_profile("fast", property_settings.get_profile("full"), max_examples=10)
property_settings.load_profile("full")


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the garbage collector need not look at it again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database. After a test with transactions it is emptied by the statements of `flush`, which are made once; the
    content types and permissions that `migrate` has written stay."""
    kept = {ContentType._meta.db_table, Permission._meta.db_table}
    with django_db_blocker.unblock():
        tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
        emptied = connection.ops.sql_flush(no_style(), sorted(tables - kept))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TransactionTestCase, "_fixture_teardown", lambda test: connection.ops.execute_sql_flush(emptied)
        )
        yield
    end_keeper(lease.keeper())  # its thread keeps a connection, and a test database with connections stays


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database that is ready to be copied."""
    with private_database(tmp_path_factory.mktemp("migrated")) as url:
        env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url}
        assert manage("migrate", "--verbosity", "0", env=env).returncode == 0
        yield url


def end_keeper(keeper: lease.Keeper) -> None:
    """Have its thread end now, as it does by itself when it was idle for long, and wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "IDLE_SECONDS", 0)
        with keeper.changed:
            thread = keeper.thread
            keeper.holdings.clear()
            keeper.changed.notify()
        if thread is not None:
            thread.join(timeout=10)


@pytest.fixture(scope="session", autouse=True)
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The channels of all tests; the log channel writes here."""
    path = tmp_path_factory.mktemp("log") / "log.txt"
    channels = {
        "log": {"BACKEND": "notifications.channels.log.LogChannel", "OPTIONS": {"path": path}},
        "recording": {"BACKEND": "tests.recording_channel.RecordingChannel"},
        "waiting": {"BACKEND": "tests.recording_channel.WaitingChannel"},
    }
    with override_settings(CHANNELS=channels):
        yield path


@pytest.fixture
def log_file(log_path: Path) -> Path:
    """What the log channel writes in this test."""
    log_path.unlink(missing_ok=True)
    return log_path


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    recording_channel.forget()
    yield
    cache.clear()
    stop_pool()  # its threads keep connections for a moment, and a test database with connections stays


@pytest.fixture
def api(admin_user: Any) -> APIClient:
    """A client that is let in."""
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


@pytest.fixture
def logged_in(django_user_model: Any) -> Callable[[str], Client]:
    """A client of a staff member in the group of this name."""

    def log_in(role: str) -> Client:
        call_command("roles", stdout=StringIO())
        user = django_user_model.objects.create_user(role, password="pw", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def accepted() -> Callable[..., Notification]:
    """Accept a notification on the recording channel; any field may be given."""

    def accept(**fields: Any) -> Notification:
        defaults = {
            "recipient": "you@example.com",
            "message": "hello",
            "channel": "recording",
            "via": "queue",
        }
        return services.accept(**{**defaults, **fields})

    return accept


@pytest.fixture
def no_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of this machine is nobody's business here."""
    monkeypatch.setattr(socket, "getfqdn", lambda *args: "tests.example.com")
