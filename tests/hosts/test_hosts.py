"""What holds when several machines share one PostgreSQL, though one is cut off or its clock is wrong."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection

from notifications import overview, services
from notifications.clock import database_now
from notifications.models import Heartbeat, Notification, Status
from notifications.recovery import SWEEP_LOCK
from notifications.statements import claim
from tests.hosts.conftest import Host
from tests.processes import DATABASE_URL
from tests.processes import wait_until as wait
from tests.queue import tasks as queue_tasks

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(
        not DATABASE_URL.startswith("postgres"), reason="SQLite is a file of one host: there is no second one"
    ),
]

HOUR = 3600.0
SWEEPS = 'lease_expires_at" < (STATEMENT_TIMESTAMP'  # in each round of the sweep
RENEWS = "AS held (id, attempt)"
ASKS_FOR_THE_SWEEP = "pg_try_advisory_xact_lock"
MakeHost = Callable[..., Host]
wait_until = partial(wait, timeout=60)  # five programs start at once, on whatever machine


def accept(message: str, **fields: Any) -> Notification:
    return services.accept(
        recipient="you@example.com", message=message, channel="gated", via="queue", **fields
    )


def outcomes(row: Notification) -> list[str]:
    return list(row.attempts.order_by("number").values_list("outcome", flat=True))


def is_sent(row: Notification) -> bool:
    row.refresh_from_db()
    return row.status == Status.SENT


def test_three_clusters_on_one_backlog(host: MakeHost) -> None:
    """Law: what two web hosts accept is sent once each by three clusters, all of which are at it at the same time."""
    webs = [host(name).start_web() for name in ("web 1", "web 2")]
    for number in range(150):
        answer = webs[number % 2].web.post(
            f"/send-notification/{number}@example.com", json={"message": "gated"}
        )
        assert answer.status_code == 200
    hosts = [host(f"cluster {number}").start_cluster() for number in range(3)]
    wait_until(lambda: all(each.has_begun("gated") for each in hosts))
    for each in hosts:
        each.open("gated")
    wait_until(lambda: Notification.objects.filter(status=Status.SENT).count() == 150)
    lines = Counter(line for each in hosts for line in each.lines())
    assert lines == {f"notification for {number}@example.com: gated": 1 for number in range(150)}
    assert all(each.lines() for each in hosts)
    assert {outcome for row in Notification.objects.all() for outcome in outcomes(row)} == {"sent"}


def test_one_sweep_at_a_time(host: MakeHost) -> None:
    """Law: while one host sweeps, the others ask, are told no, and leave alone what they have found."""
    row = accept("of a dead worker")
    claim([str(row.pk)], timedelta(0), "default")
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as sweeping_host:
        sweeping_host.execute("SELECT pg_advisory_lock(%s)", [SWEEP_LOCK])
        hosts = [host(name).start_cluster() for name in ("one", "two")]
        wait_until(lambda: all(each.network.times_said(ASKS_FOR_THE_SWEEP) >= 2 for each in hosts))
        row.refresh_from_db()
        assert (row.status, row.attempt_count, outcomes(row)) == (Status.SENDING, 1, [])
    wait_until(lambda: is_sent(row))
    assert outcomes(row) == ["lost", "sent"]


@pytest.mark.parametrize("silently", [False, True], ids=["reset", "silently"])
def test_a_host_is_cut_off_in_the_middle_of_a_send(host: MakeHost, silently: bool) -> None:
    """Law: another host takes over once the lease has passed. Who comes back late can record nothing, and works
    again by itself: no process of it dies of the cut."""
    first = host("first").start_cluster()
    row = accept("gated")
    wait_until(lambda: first.has_begun("gated"))
    first.network.cut(silently=silently)
    second = host("second").start_cluster()
    second.open("gated")
    wait_until(lambda: is_sent(row))
    assert outcomes(row) == ["lost", "sent"]
    assert second.lines() == ["notification for you@example.com: gated"]
    first.network.mend()
    first.open("gated")
    wait_until(lambda: f"{row.pk} event=fenced" in first.said())
    assert is_sent(row)
    assert outcomes(row) == ["lost", "sent"]
    second.stop_cluster()
    after = accept("after")
    wait_until(lambda: is_sent(after))
    assert first.lines()[-1] == "notification for you@example.com: after"
    assert "death=sudden" not in first.said()


def test_clocks_of_hosts_an_hour_apart(host: MakeHost) -> None:
    """Law: a host ahead takes no living lease; nobody sends early or late what is scheduled, accepted on whichever
    host; and each says that it is ready. What decides is the database's clock."""
    right = host("right").start_cluster()
    long = accept("gated")
    wait_until(lambda: right.has_begun("gated"))
    wrong = [host(name, off).start_cluster() for name, off in (("ahead", HOUR), ("behind", -HOUR))]
    for each in wrong:
        each.start_web()
    renewed = right.network.times_said(RENEWS)
    wait_until(lambda: all(each.network.times_said(SWEEPS) >= 2 for each in wrong))
    wait_until(lambda: right.network.times_said(RENEWS) >= renewed + 4)  # more than a lease: one is three
    right.open("gated")
    wait_until(lambda: is_sent(long))
    assert outcomes(long) == ["sent"]
    right.stop_cluster()

    def schedule(on: Host, after: timedelta) -> Notification:
        due_at = database_now() + after
        item = {"recipient": "you@example.com", "message": "scheduled", "due_at": due_at.isoformat()}
        answer = on.web.post("/api/v1/notifications", json=item)
        assert answer.status_code == 202
        return Notification.objects.get(pk=answer.json()["id"])

    soon = [schedule(each, timedelta(seconds=1)) for each in wrong]
    later = [schedule(each, timedelta(minutes=30)) for each in wrong]
    wait_until(lambda: all(is_sent(row) for row in soon))
    for row in soon:
        assert row.claimed_at >= row.due_at
    for row in later:
        row.refresh_from_db()
        assert (row.status, row.attempt_count) == (Status.QUEUED, 0)
    for each in wrong:
        assert each.web.get("/readyz").json() == {"status": "ok"}


def test_queues_by_name(host: MakeHost, settings: Any) -> None:
    """Law: a host that runs `qcluster -n bulk` works on that queue only, and the other on its own; both are heard
    of."""
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default", "bulk"]}}
    own, bulk = host("own").start_cluster(), host("bulk").start_cluster("-n", "bulk")
    for number in range(10):
        queue_tasks.write.enqueue(f"own {number}")
        queue_tasks.write.using(queue_name="bulk").enqueue(f"bulk {number}")
    for each in (own, bulk):
        wait_until(lambda each=each: len(each.lines("tasks.txt")) == 10)
        assert set(each.lines("tasks.txt")) == {f"{each.name} {number}" for number in range(10)}
    wait_until(lambda: Heartbeat.objects.count() == 2)
    workers = overview.snapshot().workers
    assert workers is not None
    assert sorted(worker.name.split()[1] for worker in workers if worker.lives) == ["bulk", "default"]
