"""Who sees an address in an answer: the owner of its notification, and who may see recipients. Nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from notifications import tasks
from notifications.exceptions import DeliveryError
from notifications.models import Attempt, Notification, Token
from tests import recording_channel
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

LIST = "/api/v1/notifications"
KEY = {"Idempotency-Key": "once"}
Caller = Callable[..., APIClient]
LoggedIn = Callable[[str], Client]


@pytest.fixture
def ann(caller: Caller) -> APIClient:
    """The owner."""
    return caller("ann")


@pytest.fixture
def failed(ann: APIClient, accepted: Callable[..., Notification]) -> Notification:
    """Of ann, with the address of a person in every text it has."""

    def fail(message: recording_channel.Message) -> None:
        raise DeliveryError(
            f"no box {message.recipient}", permanent=True, response="<pat@example.com> is gone"
        )

    recording_channel.behaviours["pat@example.com"] = fail
    texts = ("message", "subject", "html", "dedupe_key")
    said = {name: f"{name} of pat@example.com" for name in texts}
    row = accepted(recipient="pat@example.com", owner=ann.user, **said)
    tasks.deliver.call([str(row.pk)])
    Attempt.objects.update(sent_to="pat@example.com")
    Notification.objects.update(reason="pat@example.com is gone")
    return row


@pytest.fixture
def client_of(
    caller: Caller, logged_in: LoggedIn, ann: APIClient, admin_client: Client, settings: Any
) -> Callable[[str], Any]:
    """The caller that a test names."""

    def superuser() -> APIClient:
        client = caller("root")
        client.user.is_superuser = True
        client.user.save()
        return client

    def stranger() -> APIClient:
        settings.DEBUG = True
        return APIClient()

    def browser() -> APIClient:
        client = APIClient()
        client.force_login(ann.user)
        return client

    callers: dict[str, Callable[[], Any]] = {
        "viewer": lambda: logged_in("viewer"),
        "operator": lambda: logged_in("operator"),
        "token": lambda: caller("eve", "view", "view_all"),
        "token with the right": lambda: caller("eve", "view", "view_all", "recipients"),
        "owner": lambda: ann,
        "owner's session": browser,
        "superuser": superuser,
        "superuser's session": lambda: admin_client,
        "open door": stranger,
    }
    return lambda name: callers[name]()


MASKED = ["viewer", "operator", "token"]
CLEAR = [
    "token with the right",
    "owner",
    "owner's session",
    "superuser",
    "superuser's session",
    "open door",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", MASKED)
def test_masked(failed: Notification, client_of: Callable[[str], Any], name: str) -> None:
    """In the list, in the detail, waited for or not, and on the page: the address, and every one in a text."""
    client = client_of(name)
    detail = client.get(f"{LIST}/{failed.pk}").json()
    [row] = client.get(LIST).json()["results"]
    for document in (row, detail):
        assert document["recipient"] == "p…@e…le.com"
        assert document["message"] == "message of p…@e…le.com"
    [attempt] = detail["attempts"]
    assert attempt["sent_to"] == "p…@e…le.com"
    assert attempt["response"] == "<p…@e…le.com> is gone"
    waited = client.get(f"{LIST}/{failed.pk}", headers={"Prefer": "wait=1"})
    page = client.get(f"/sent/{failed.pk}")
    for text in (str(row), str(detail), waited.content.decode(), page.content.decode()):
        assert "pat@" not in text


def test_masked_of_another_kind(failed: Notification, client_of: Callable[[str], Any]) -> None:
    """What a channel writes to need not be an e-mail address."""
    Notification.objects.update(recipient="+4912345")
    assert client_of("viewer").get(f"{LIST}/{failed.pk}").json()["recipient"] == "+…45"


@pytest.mark.parametrize("name", CLEAR)
def test_in_the_clear(failed: Notification, client_of: Callable[[str], Any], name: str) -> None:
    """As it was given."""
    client = client_of(name)
    detail = client.get(f"{LIST}/{failed.pk}").json()
    [row] = client.get(LIST).json()["results"]
    assert row["recipient"] == detail["recipient"] == "pat@example.com"
    assert detail["attempts"][0]["sent_to"] == "pat@example.com"
    assert row["dedupe_key"] == "dedupe_key of pat@example.com"


@pytest.mark.parametrize("name", [*MASKED, *CLEAR])
def test_the_filter(failed: Notification, client_of: Callable[[str], Any], name: str) -> None:
    """Tells no more than the list shows: whether somebody else wrote to this address is not said."""
    rows = client_of(name).get(LIST, {"recipient": "pat@example.com"}).json()["results"]
    assert [row["id"] for row in rows] == ([str(failed.pk)] if name in CLEAR else [])


def test_the_filter_of_who_sees_all_finds_its_own(caller: Caller, failed: Notification) -> None:
    """A service that may read everything still looks for what it sent, and sees to whom."""
    eve = caller("eve", "add", "view", "view_all")
    made = eve.post(LIST, {"recipient": "pat@example.com", "message": "hello"}, format="json").json()
    assert made["recipient"] == "pat@example.com"
    [row] = eve.get(LIST, {"recipient": "pat@example.com"}).json()["results"]
    assert (row["id"], row["recipient"]) == (made["id"], "pat@example.com")
    assert {row["recipient"] for row in eve.get(LIST).json()["results"]} == {
        "pat@example.com",
        "p…@e…le.com",
    }


@pytest.mark.slow
def test_a_tag_for_each_form(failed: Notification, client_of: Callable[[str], Any]) -> None:
    """Two users of one browser share its cache: what the one was shown is not confirmed to the other by a 304."""
    address = f"{LIST}/{failed.pk}"
    viewer, root = client_of("viewer"), client_of("superuser's session")
    clear, hidden = root.get(address)["ETag"], viewer.get(address)["ETag"]
    assert client_of("owner").get(address)["ETag"] == clear
    assert viewer.get(address, headers={"If-None-Match": clear}).status_code == 200
    assert viewer.get(address, headers={"If-None-Match": hidden}).status_code == 304
    assert root.get(address, headers={"If-None-Match": hidden}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "status"), [("cancel", "queued"), ("confirm", "unknown"), ("send-again", "unknown")]
)
def test_what_an_action_answers(
    failed: Notification, client_of: Callable[[str], Any], action: str, status: str
) -> None:
    """Masked, as the detail is; so is a refusal."""
    operator = client_of("operator")
    refused = operator.post(f"{LIST}/{failed.pk}/{action}")
    problem(refused, 409)
    assert "pat@" not in refused.content.decode()
    Notification.objects.update(status=status, finished_at=None)
    answer = operator.post(f"{LIST}/{failed.pk}/{action}")
    assert answer.json()["recipient"] == "p…@e…le.com"
    assert "pat@" not in answer.content.decode()


@pytest.mark.slow
def test_what_is_resent(ann: APIClient, failed: Notification, client_of: Callable[[str], Any]) -> None:
    """It belongs to whom the first did: nobody becomes the owner of an address by resending. A replay is masked."""
    operator = client_of("operator")
    first, replay = (operator.post(f"{LIST}/{failed.pk}/resend", headers=KEY) for _ in range(2))
    assert replay["Idempotent-Replayed"] == "true"
    for answer in (first, replay, operator.get(first["Location"])):
        assert answer.json()["recipient"] == "p…@e…le.com"
        assert "pat@" not in answer.content.decode()
    assert ann.get(first["Location"]).json()["recipient"] == "pat@example.com"
    assert Notification.objects.get(resend_of=failed.pk).owner == ann.user


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("viewer", 5), ("token", 2)])
def test_what_it_costs(
    failed: Notification,
    accepted: Callable[..., Notification],
    client_of: Callable[[str], Any],
    name: str,
    number: int,
) -> None:
    """No statement more: session, user, two of rights and the page; or token and page. However many rows."""
    client = client_of(name)
    for _ in range(3):
        accepted()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get(LIST, {"recipient": "pat@example.com"})
    assert len(queries) == number
    with CaptureQueriesContext(connection) as queries:
        assert len(client.get(LIST).json()["results"]) == 4
    assert len(queries) == number


def test_what_resending_costs(ann: APIClient, failed: Notification, django_assert_num_queries: Any) -> None:
    """token · the old one with its owner · begin · entry · row · commit · its attempts."""
    with django_assert_num_queries(7) as queries:
        assert ann.post(f"{LIST}/{failed.pk}/resend").status_code == 202
    assert not [query for query in queries if 'FROM "auth_user"' in query["sql"]]


def test_the_command_gives_the_right(failed: Notification, capsys: pytest.CaptureFixture[str]) -> None:
    """`--can read-all` alone shows others' addresses masked; `recipients` besides, in the clear."""
    shown = []
    for rights in ("read-all", "recipients"):
        call_command("token", "audit", "--can", rights)
        headers = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
        shown.append(APIClient().get(f"{LIST}/{failed.pk}", headers=headers).json()["recipient"])
    assert shown == ["p…@e…le.com", "pat@example.com"]
    assert Token.objects.count() == 3
