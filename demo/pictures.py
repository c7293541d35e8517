"""`python -m demo.pictures`: the README's pictures, made of a demonstration's own pages."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser.browser import executable, launched
from tests.processes import ROOT, free_port

from .service import USER, Demonstration, demonstration

PICTURES = ROOT / "docs" / "pictures"
LARGEST = 150_000  # bytes: everybody who reads the README loads them
RETRIED = """SELECT n.id FROM notifications_notification n JOIN notifications_attempt a ON a.notification_id = n.id
    WHERE n.channel = 'email' AND n.status = 'sent' AND a.outcome = 'retry' ORDER BY n.id DESC LIMIT 1"""


def main() -> None:
    if executable() is None:
        sys.exit("No Chromium: install it (on Debian and Ubuntu: apt-get install chromium).")
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        demonstration(Path(folder), free_port(), 400) as shown,
        launched() as browser,
    ):
        _first_page(browser, shown)
        _admin(browser, shown)
    for picture in sorted(PICTURES.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}  {size // 1000} kB")
        if size > LARGEST:
            sys.exit(f"{picture.name} is too large.")


def _first_page(browser: Browser, shown: Demonstration) -> None:
    """Slow work in all three ways, so that one sees what the caller waits for."""
    page = _page(browser, shown, 1080, 760)
    page.goto("/")
    page.get_by_role("switch").check()
    for via in ("inline", "thread", "queue"):
        page.get_by_role("radio", name=via).check()
        page.get_by_role("button", name="Send").click()
        page.locator("#runs .lane .name").get_by_text(f"{via}, slow").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=PICTURES / f"first-page-{scheme}.png", full_page=True)


def _admin(browser: Browser, shown: Demonstration) -> None:
    page = _page(browser, shown, 1080, 900)
    page.goto("/admin/login/?next=/admin/notifications/overview/")
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill(shown.password)
    page.get_by_label("Password").press("Enter")
    page.get_by_role("button", name="Toggle navigation").click()  # the list of models, which tells nothing
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=PICTURES / "overview.png", full_page=True)
    [(id,)] = shown.query(RETRIED)
    page.set_viewport_size(ViewportSize(width=1080, height=540))
    page.goto(f"/admin/notifications/notification/{id.replace('-', '')}/change/")
    page.screenshot(path=PICTURES / "one-notification.png")


def _page(browser: Browser, shown: Demonstration, width: int, height: int) -> Page:
    context = browser.new_context(
        base_url=shown.url, viewport=ViewportSize(width=width, height=height), reduced_motion="reduce"
    )
    context.set_default_timeout(30_000)
    return context.new_page()


if __name__ == "__main__":
    main()
