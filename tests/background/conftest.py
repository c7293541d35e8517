"""What the tests of background tasks share: views of every kind at `urls`, a diary, and no pool left over."""

from collections.abc import Iterator

import pytest
from django.db import connections

from notifications.background import testing

from . import work


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    work.forget()
    # A task that runs inline looks at the connections there are, and one of another test may not be used.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    yield
    assert work.all_gone()
    testing.stop_pool()


@pytest.fixture(autouse=True)
def _background_urls(settings) -> None:
    settings.ROOT_URLCONF = "tests.background.urls"
    settings.TASKS = {
        "default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"},
        "thread": {"BACKEND": "notifications.backends.thread.ThreadBackend"},
    }
