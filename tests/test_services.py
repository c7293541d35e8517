"""The front desk: what is accepted, and what is refused."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from notifications import services, tasks
from notifications.exceptions import InvalidStatus
from notifications.models import Notification, Status
from tests import recording_channel

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]


def test_row_and_entry_are_one_transaction(accepted: Accept) -> None:
    """Both are there, or neither: a caller that rolls back leaves nothing behind."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        accepted()
        raise ZeroDivisionError
    assert (Notification.objects.count(), OrmQ.objects.count()) == (0, 0)
    row = accepted()
    entry = OrmQ.objects.get()
    assert (entry.func(), list(entry.args())) == ("notifications.tasks.deliver.call", [[str(row.pk)]])
    assert tasks.deliver.get_result(row.task_id).status == "READY"


def test_the_row_is_what_was_asked_for(accepted: Accept) -> None:
    """Every field is kept, and the times are there without another look."""
    row = accepted(recipient="You@EXAMPLE.com", subject="Hi", message="text")
    assert (row.recipient, row.subject, row.message) == ("You@example.com", "Hi", "text")
    assert (row.status, row.channel, row.via, row.attempt_count) == (Status.QUEUED, "recording", "queue", 0)
    assert row.created_at == row.due_at == row.next_attempt_at
    assert row.pk.version == 7


def test_ids_are_in_the_order_of_acceptance(accepted: Accept) -> None:
    """UUIDv7: new rows lie at the end of the index."""
    ids = [accepted().pk for _ in range(20)]
    assert ids == sorted(ids)


def test_scheduled(accepted: Accept) -> None:
    """A time in the future is the entry's lock: it waits in the database, whatever `via` says."""
    due = timezone.now() + timedelta(hours=1)
    row = accepted(due_at=due, via="thread")
    assert (row.due_at, row.next_attempt_at, OrmQ.objects.get().lock) == (due, due, due)
    tasks.deliver.call([str(row.pk)])
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_a_time_that_has_passed_means_now(accepted: Accept) -> None:
    """Nothing waits for the past."""
    row = accepted(due_at=timezone.now() - timedelta(hours=1))
    tasks.deliver.call([str(row.pk)])
    row.refresh_from_db()
    assert row.status == Status.SENT


def test_cancel_wins_or_loses_never_both(accepted: Accept) -> None:
    """Cancelled is never sent; what is being sent, or was, is never cancelled."""
    row = accepted()
    services.cancel(row)
    assert (row.status, row.next_attempt_at) == (Status.CANCELLED, None)
    assert row.finished_at is not None
    tasks.deliver.call([str(row.pk)])
    assert recording_channel.sent() == []

    row = accepted()
    claimed_meanwhile = Notification.objects.get(pk=row.pk)
    tasks.deliver.call([str(row.pk)])
    with pytest.raises(InvalidStatus, match="is sent, not queued"):
        services.cancel(claimed_meanwhile)
    assert claimed_meanwhile.status == Status.SENT


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("recipient", "nobody", "@"),
        ("via", "pigeon", "Choose one of: queue, thread"),
        ("channel", "smoke", "Choose one of: log, recording, waiting"),
        ("message", "x" * 10_001, "at most 10000"),
        ("message", "null\0", "Null"),
        ("subject", "two\nlines", "one line"),
        ("subject", "two\u2028lines", "one line"),
        ("subject", "two\x85", "one line"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    accepted: Accept, field: str, value: str, reason: str
) -> None:
    """The error names the field and the way out; no row, no entry."""
    with pytest.raises(ValidationError) as caught:
        accepted(**{field: value})
    assert reason in " ".join(caught.value.message_dict[field])
    assert (Notification.objects.count(), OrmQ.objects.count()) == (0, 0)


def test_all_that_is_wrong_is_said_at_once(accepted: Accept) -> None:
    """Nobody mends one field to be told of the next."""
    with pytest.raises(ValidationError) as caught:
        accepted(via="pigeon", channel="smoke", subject="\n")
    assert caught.value.message_dict.keys() == {"via", "channel", "subject"}


def test_default_is_the_queue(accepted: Accept) -> None:
    """`default`, the alias in TASKS, is called `queue` everywhere else."""
    assert accepted(via="default").via == "queue"


@pytest.mark.django_db(transaction=True)
def test_a_backend_across_the_network_is_told_after_the_commit(accepted: Accept, settings: Any) -> None:
    """A backend whose queue is elsewhere hears of a row that is committed, and of no other."""
    settings.TASKS = {
        **settings.TASKS,
        "elsewhere": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"},
    }
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        accepted(via="elsewhere")
        raise ZeroDivisionError
    assert recording_channel.sent() == []
    with transaction.atomic():
        row = accepted(via="elsewhere")
        assert recording_channel.sent() == []
    assert [message.id for message in recording_channel.sent()] == [str(row.pk)]


def test_a_recipient_fits_into_the_index(settings: Any) -> None:
    """Longer than an entry of PostgreSQL's index can be: an error by field, not the database's."""
    settings.CHANNELS = {"other": {"BACKEND": "notifications.channels.BaseChannel"}}
    fits = "".join(chr(0x4E00 + number) for number in range(682))  # nothing that could be compressed
    assert services.accept(recipient=fits, message="text", channel="other").recipient == fits
    with pytest.raises(ValidationError) as caught:
        services.accept(recipient=fits + "長", message="text", channel="other")
    assert "recipient" in caught.value.message_dict
