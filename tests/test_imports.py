"""What a process does not need it does not load: each megabyte is there once for each of them."""

import pytest

from tests.processes import manage

pytestmark = pytest.mark.process

LOADED = """
import sys
from django.urls import get_resolver
get_resolver().url_patterns
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules of a process on SQLite that can answer every request."""
    done = manage("shell", "--no-imports", "-c", LOADED, env={"DATABASE_URL": "sqlite://:memory:"})
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_no_driver_of_another_database(loaded: set[str]) -> None:
    """REST framework would load it, for fields that no model has."""
    assert "rest_framework.serializers" in loaded
    assert "psycopg" not in loaded


def test_no_schema_until_it_is_asked_for(loaded: set[str]) -> None:
    """With it come drf-spectacular and Django's test framework."""
    assert "notifications.api.operations" in loaded
    assert loaded.isdisjoint({"notifications.api.descriptions", "drf_spectacular.openapi", "django.test"})
