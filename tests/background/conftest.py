"""What the tests of background tasks share: views of every kind at `urls`, a diary, and no pool left over."""

from collections.abc import Iterator

import pytest
from django.db import connections
from django.tasks import task_backends
from django.test import override_settings

from notifications.background import testing

from . import work


@pytest.fixture(autouse=True)
def _fresh(_background_urls: None) -> Iterator[None]:
    work.forget()
    task_backends["default"].clear()
    # Where no test client closes the response, Django looks at the connections there are, and one of another test may
    # not be used.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    yield
    assert work.all_gone()
    testing.stop_pool()


@pytest.fixture(scope="package", autouse=True)
def _background_urls() -> Iterator[None]:
    """Once for all of them: each change makes Django forget its URLs, and leaves a variable in the context for good."""
    backends = {
        "default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"},
        "thread": {"BACKEND": "notifications.backends.thread.ThreadBackend"},
    }
    with override_settings(ROOT_URLCONF="tests.background.urls", TASKS=backends):
        yield
