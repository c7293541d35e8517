"""The first page in a browser: what "respond first, work after" means can be seen, by everybody."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import is_too_wide
from tests.processes import manage, wait_until
from tests.service import Service

pytestmark = [pytest.mark.process, pytest.mark.slow]

SCHEMES = pytest.mark.parametrize("colours", ["light", "dark"])
VIA = pytest.mark.parametrize("via", ["thread", "queue"])


def send(page: Page, via: str, message: str = "hello", *, slow: bool = False) -> None:
    page.get_by_label("Text").fill(message)
    page.get_by_role("radio", name=via).check()
    page.get_by_role("switch").set_checked(slow)
    page.get_by_role("button", name="Send").click()


def reaches(page: Page, status: str) -> None:
    page.locator(f"#timeline[data-status={status}]").wait_for()


@pytest.fixture
def gate(service: Service) -> Iterator[Path]:
    """Slow work with this file's name for a message ends when the file is there."""
    path = service.folder / f"gated-{uuid.uuid4().hex}"
    yield path
    path.touch()


@VIA
def test_the_timeline(page: Page, service: Service, via: str) -> None:
    """A request, its response, and what came after, each with its time; and the work was really done."""
    send(page, via, text := uuid.uuid4().hex)
    reaches(page, "sent")
    lanes = page.locator("#lanes .lane .name")
    expect(lanes).to_have_text(["request", "queued", "sending", "sent"])
    expect(page.locator("#response-figure")).to_contain_text("ms")
    expect(page.get_by_role("status")).to_contain_text("Response after")
    assert f"notification for you@example.com: {text}" in service.log_lines()


@VIA
def test_the_response_does_not_wait(page: Page, gate: Path, via: str) -> None:
    """The response is out and shown while the work still goes on."""
    send(page, via, gate.name, slow=True)
    wait_until(gate.with_suffix(".begun").exists)
    reaches(page, "sending")
    expect(page.get_by_role("status")).to_contain_text("Response after")
    expect(page.locator("#lanes .request .time")).to_contain_text("202 in")
    expect(page.locator("#work-figure")).to_have_text("…")
    gate.touch()
    reaches(page, "sent")


def test_the_contrast(page: Page, gate: Path) -> None:
    """Inline there is no response before the work has ended."""
    send(page, "inline", gate.name, slow=True)
    wait_until(gate.with_suffix(".begun").exists)
    expect(page.locator("#response-figure")).to_have_text("…")
    reaches(page, "requesting")
    gate.touch()
    reaches(page, "sent")
    expect(page.locator("#lanes .request .time")).to_contain_text("200 in")
    expect(page.locator("#runs .lane .name")).to_have_text(["inline, slow"])


def test_by_keyboard_alone(page: Page) -> None:
    """Tab, arrows, space and Enter are enough."""
    page.get_by_label("Address").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    chosen = page.get_by_role("radio", checked=True).get_attribute("value")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.get_by_role("switch").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    reaches(page, "sent")
    expect(page.locator("#runs .lane .name")).to_have_text([f"{chosen}, slow"])


@SCHEMES
def test_everybody_can_use_it(
    open_page: Callable[..., Page], axe: Callable[[Page], None], colours: str
) -> None:
    """Before and after sending, on a small telephone, in both colour schemes."""
    page = open_page("/", color_scheme=colours, viewport={"width": 320, "height": 640})
    assert not is_too_wide(page)
    axe(page)
    send(page, "thread", slow=True)
    reaches(page, "sent")
    assert not is_too_wide(page)
    axe(page)


def test_a_bad_address_is_explained(open_page: Callable[..., Page]) -> None:
    """The reason stands at the field, which has the focus."""
    page = open_page("/", expected="400 (Bad Request)")
    page.locator("form").evaluate("form => { form.noValidate = true }")
    page.get_by_label("Address").fill("nobody")
    with page.expect_response("**/api/v1/notifications") as answer:
        page.get_by_role("button", name="Send").click()
    assert answer.value.status == 400
    reaches(page, "refused")
    expect(page.get_by_label("Address")).to_be_focused()
    expect(page.get_by_label("Address")).to_have_accessible_description(
        "An email address must have an @-sign."
    )


@VIA
def test_without_script(open_page: Callable[..., Page], via: str) -> None:
    """The form is posted, and the server draws."""
    page = open_page("/", java_script_enabled=False)
    page.get_by_role("radio", name=via).check()
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/sent/*")

    def is_sent() -> bool:
        page.reload()
        return page.locator("#timeline").get_attribute("data-status") == "sent"

    wait_until(is_sent, every=0.1)
    expect(page.locator("#lanes .lane .name")).to_have_text(["queued", "sending", "sent"])


def test_logged_in(page: Page, service: Service) -> None:
    """A user's session opens the API too, with the user's rights."""
    made = manage(
        "createsuperuser", "--noinput", "--username", "boss", "--email", "boss@example.com",
        env={**service.env, "DJANGO_SUPERUSER_PASSWORD": "open sesame"},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    page.goto("/admin/login/?next=/")
    page.get_by_label("Username").fill("boss")
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    send(page, "queue")
    reaches(page, "sent")
