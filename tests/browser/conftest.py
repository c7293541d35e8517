"""A page of a running service. Fixtures for every test of pages: `service`, `browser`, `open_page`, `page`, `axe`.

The browser lives as long as a test module, because nothing else may run beside it in this thread; the service
lives as long as the folder's tests.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.browser import executable, findings, launched, listening
from tests.processes import DATABASE_URL, private_database
from tests.service import Service, serving

PATIENCE = 30_000  # milliseconds for anything to appear


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory, migrated: str) -> Iterator[Service]:
    """The service with DEBUG on loopback: its door is open. On the channel `demo` work waits at a gate."""
    if not DATABASE_URL.startswith("sqlite"):
        pytest.skip("A browser sees nothing of the database: these tests run on SQLite.")
    folder = tmp_path_factory.mktemp("browser")
    with (
        private_database(folder, template=migrated) as database_url,
        serving(folder, database_url, DJANGO_SETTINGS_MODULE="tests.browser.settings") as service,
    ):
        yield service


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    if executable() is None:
        missing = "No Chromium: install it (on Debian and Ubuntu: apt-get install chromium)."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, service: Service) -> Iterator[Callable[..., Page]]:
    """Opens an address of the service in a fresh profile; keyword arguments are Playwright's `new_context`.

    At the end of the test no page may have complained on its console, except of what was `expected`: a browser
    reports each 400 there, whatever the page makes of it.
    """
    opened: list[tuple[BrowserContext, list[str], str | None]] = []

    def open_(path: str = "/", *, expected: str | None = None, **options: Any) -> Page:
        context = browser.new_context(base_url=service.url, reduced_motion="reduce", **options)
        context.set_default_timeout(PATIENCE)
        opened.append((context, listening(context), expected))
        page = context.new_page()
        page.goto(path)
        return page

    yield open_
    for context, _, _ in opened:
        context.close()
    assert [
        complaint
        for _, complaints, expected in opened
        for complaint in complaints
        if expected is None or expected not in complaint
    ] == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The first page, on a screen of usual size."""
    return open_page("/")


@pytest.fixture
def axe() -> Callable[[Page], None]:
    """Fails the test for what axe-core finds serious or critical on a page as it is now."""

    def check(page: Page) -> None:
        assert findings(page) == []

    return check
