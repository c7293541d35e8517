"""The admin's pages in a browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.browser import is_too_wide

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_way_in(open_page: Callable[..., Page], axe: Callable[[Page], None], colours: str) -> None:
    """Everybody can use the page where one logs in, on a telephone too."""
    page = open_page("/admin/login/", color_scheme=colours, viewport={"width": 320, "height": 640})
    page.get_by_label("Username").wait_for()
    assert not is_too_wide(page)
    axe(page)
