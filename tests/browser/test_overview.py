"""The operator's pages in a browser: they keep themselves fresh, and an action goes from the question to its end."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.browser import is_too_wide
from tests.processes import manage, wait_until
from tests.service import Service

pytestmark = [pytest.mark.process, pytest.mark.slow]
OVERVIEW = "/admin/notifications/overview/"
SETUP = """
from django.contrib.auth import get_user_model
from notifications.models import Attempt, Notification
from django.utils import timezone
users = get_user_model().objects
if not users.filter(username="operator").exists():
    users.create_superuser("operator", password="operator")
now = timezone.now()
for n in range(3):
    row = Notification.objects.create(recipient="you@example.com", message="{text}", channel="log", via="queue",
        status="failed", attempt_count=1, next_attempt_at=None, finished_at=now)
    Attempt.objects.create(notification=row, number=1, started_at=now, finished_at=now, outcome="failed",
        code="{code}", error="no such box")
"""


@pytest.fixture
def operator(
    open_page: Callable[..., Page], service: Service, request: pytest.FixtureRequest
) -> Callable[..., Page]:
    """Opens a page as somebody who may do everything, with three notifications failed with a code of the test's own."""
    code = f"x{abs(hash(request.node.name)) % 10**6}"
    made = manage("shell", "-c", SETUP.format(text=code, code=code), env=service.env)
    assert made.returncode == 0, made.stderr

    def open_(path: str = OVERVIEW, **options: object) -> Page:
        page = open_page(f"/admin/login/?next={path}", **options)
        page.get_by_label("Username").fill("operator")
        page.get_by_label("Password").fill("operator")
        page.get_by_label("Password").press("Enter")
        page.locator("#content-main").wait_for()
        page.code = code  # type: ignore[attr-defined]
        return page

    return open_


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 320)])
def test_everybody_can_use_it(
    operator: Callable[..., Page], axe: Callable[[Page], None], colours: str, width: int
) -> None:
    """In both colours, on a telephone too."""
    page = operator(color_scheme=colours, viewport={"width": width, "height": 800})
    expect(page.locator(".sentence")).to_contain_text("in the last hour")
    assert not is_too_wide(page)
    axe(page)


def test_it_refreshes_itself(operator: Callable[..., Page]) -> None:
    """Without anybody's doing; not while it is paused, and not while somebody is in it by keyboard."""
    page = operator()
    page.clock.install()
    page.reload()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith("?fragment") else None)

    def refreshes(times: int) -> None:
        page.clock.run_for(6_000)
        page.locator(f"[data-refreshed='{times}']").wait_for()

    def rests() -> None:
        before = len(asked)
        page.clock.run_for(60_000)
        page.evaluate("fetch('/livez').then(() => null)")  # whatever was asked before this has been heard of
        assert len(asked) == before

    refreshes(1)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-freshness]")).to_have_text("Paused.")
    rests()
    page.get_by_role("button", name="Go on").click()
    refreshes(2)
    inside = page.locator("[data-refresh] :is(a, button)").first
    inside.focus()
    rests()
    inside.blur()
    refreshes(3)


def test_resend_all_that_failed_alike(
    operator: Callable[..., Page], axe: Callable[[Page], None], service: Service
) -> None:
    """By keyboard: the question with the count, the progress, and three that were sent by a real worker."""
    page = operator()
    code = page.code  # type: ignore[attr-defined]
    button = page.get_by_role("button", name=f"Resend all that failed like this: {code}")
    button.focus()
    button.press("Enter")
    page.locator(".question").wait_for()
    axe(page)
    yes = page.get_by_role("button", name="Resend 3 notifications")
    yes.focus()
    yes.press("Enter")
    expect(page.locator("[role=status]")).to_have_text("Finished: 3 done.")
    axe(page)
    wait_until(lambda: sum(code in line for line in service.log_lines()) == 3)
    page.goto(OVERVIEW)
    expect(page.locator(".sentence")).to_be_visible()
    expect(page.get_by_role("button", name=f"Resend all that failed like this: {code}")).to_have_count(0)


def test_one_notification(operator: Callable[..., Page], axe: Callable[[Page], None]) -> None:
    """From the list, which is Django's own, to the page of one, with its way."""
    page = operator("/admin/notifications/notification/?status=failed")
    expect(page.get_by_role("searchbox", name="Search")).to_be_visible()
    axe(page)
    page.locator("#result_list tbody th a").first.click()
    expect(page.locator(".timeline")).to_contain_text("attempt 1: failed")
    axe(page)
