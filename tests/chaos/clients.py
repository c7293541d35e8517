"""Who asks for notifications while the service dies: HTTP clients, an application's own code, a shell."""

import os
import random
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from django.db import Error, connections
from django.utils import timezone

from notifications import services
from notifications.exceptions import InvalidStatus
from notifications.models import Notification, Status
from tests.processes import manage

KINDS = {"plain": 12, "flaky": 2, "slow": 1}  # and their weights
PAUSE = 0.06  # seconds between two requests of one client


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a client was told yes to."""

    id: str
    text: str
    kind: str
    via: str
    source: str
    at: datetime


@dataclass(slots=True)
class Ledger:
    """What all clients saw. `asked` holds every text, also of requests whose answer never came."""

    accepted: list[Accepted] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)  # ids for which `cancel` said yes
    asked: set[str] = field(default_factory=set)
    # Ids that were unknown, and of which somebody said: it arrived.
    confirmed: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)  # and those that somebody sent again
    refused: list[str] = field(default_factory=list)  # why: a status, or the class of an error
    numbers: "count[int]" = field(default_factory=count)

    def text(self, kind: str) -> str:
        text = f"{kind} {next(self.numbers)}."  # the dot: no text is the beginning of another
        self.asked.add(text)
        return text

    def accept(self, id: str, text: str, via: str, source: str) -> None:
        self.accepted.append(Accepted(id, text, text.split()[0], via, source, datetime.now(UTC)))


def http_client(url: str, ledger: Ledger, rng: random.Random, stopping: threading.Event) -> None:
    """Request after request, thread and queue by turns. Asks again, under the same key, until it has an answer."""
    with httpx.Client(base_url=url, timeout=30) as client:
        while not stopping.wait(PAUSE * rng.uniform(0, 2)):
            send = rng.choices([_send_simply, _send_by_resource, _send_in_bulk], [12, 4, 1])[0]
            send(client, ledger, rng, stopping)


def _send_simply(client: httpx.Client, ledger: Ledger, rng: random.Random, stopping: threading.Event) -> None:
    via, text = _way(rng), ledger.text(_kind(rng))
    query = {"via": via}
    path = "/send-notification/you@example.com"
    response = _insist(client, ledger, stopping, path, params=query, json={"message": text})
    if response is not None:
        ledger.accept(response.headers["Location"].rsplit("/", 1)[-1], text, via, "http")


def _send_by_resource(
    client: httpx.Client, ledger: Ledger, rng: random.Random, stopping: threading.Event
) -> None:
    """On any channel; some scheduled, some cancelled."""
    kind = rng.choice(["plain", "flaky", "slow", "scheduled", "cancel-http"])
    item = _item(rng, ledger.text(kind))
    if kind in {"scheduled", "cancel-http"}:
        item["due_at"] = (timezone.now() + timedelta(seconds=rng.uniform(0.2, 5))).isoformat()
    response = _insist(client, ledger, stopping, "/api/v1/notifications", json=item)
    if response is None:
        return
    id = response.json()["id"]
    ledger.accept(id, item["message"], item["via"], "http")
    if kind == "cancel-http":
        try:
            if client.post(f"/api/v1/notifications/{id}/cancel").is_success:
                ledger.cancelled.add(id)
        except httpx.TransportError as error:
            ledger.refused.append(type(error).__name__)


def _send_in_bulk(
    client: httpx.Client, ledger: Ledger, rng: random.Random, stopping: threading.Event
) -> None:
    items = [_item(rng, ledger.text(_kind(rng))) for _ in range(20)]
    response = _insist(client, ledger, stopping, "/api/v1/notifications/bulk", json=items)
    if response is not None:
        for item, result in zip(items, response.json()["results"], strict=True):
            ledger.accept(result["id"], item["message"], item["via"], "http")


def _way(rng: random.Random) -> str:
    return rng.choice(["thread", "queue"])


def _kind(rng: random.Random) -> str:
    return rng.choices(list(KINDS), list(KINDS.values()))[0]


def _item(rng: random.Random, text: str) -> dict[str, str]:
    channel = rng.choice(["chaos", "network", "log", "held"])
    return {"recipient": "you@example.com", "message": text, "via": _way(rng), "channel": channel}


def _insist(
    client: httpx.Client, ledger: Ledger, stopping: threading.Event, path: str, **request: Any
) -> httpx.Response | None:
    """The answer that said yes. None: the run ended before there was one; nobody knows."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    while not stopping.is_set():
        try:
            response = client.post(path, headers=headers, **request)
        except httpx.TransportError as error:
            ledger.refused.append(type(error).__name__)
        else:
            if response.is_success:
                return response
            ledger.refused.append(str(response.status_code))
        stopping.wait(0.1)
    return None


def application(poison: bool, ledger: Ledger, rng: random.Random, stopping: threading.Event) -> None:
    """Code that calls `services`: scheduled ones, ones that are cancelled at once or later, now and then poison."""
    waiting: list[Notification] = []
    while not stopping.wait(rng.uniform(0.05, 0.3)):
        kind = rng.choice(["scheduled", "scheduled", "cancel-now", "cancel-later", "poison"])
        if kind == "poison" and (not poison or rng.random() < 0.85):
            kind = "plain"
        due_in = {"scheduled": rng.uniform(0.2, 5), "cancel-later": rng.uniform(0.5, 3)}.get(kind)
        try:
            notification = services.accept(
                recipient="you@example.com",
                message=ledger.text(kind),
                via="queue",
                channel="poison" if kind == "poison" else "chaos",
                due_at=None if due_in is None else timezone.now() + timedelta(seconds=due_in),
            )
            ledger.accept(str(notification.pk), notification.message, "queue", "application")
            if kind == "cancel-now":
                _cancel(notification, ledger)
            elif kind == "cancel-later":
                waiting.append(notification)
            if waiting and rng.random() < 0.3:
                _cancel(waiting.pop(0), ledger)
        except Error as error:
            ledger.refused.append(type(error).__name__)
            connections.close_all()
    connections.close_all()


def _cancel(notification: Notification, ledger: Ledger) -> None:
    try:
        services.cancel(notification)
    except InvalidStatus:
        return  # a worker was faster
    ledger.cancelled.add(str(notification.pk))


def decide(ledger: Ledger, log: str) -> None:
    """An operator who looks into the log for what is unknown. Half of what stands there is sent again nevertheless."""
    for number, row in enumerate(Notification.objects.filter(status=Status.UNKNOWN).order_by("pk")):
        if number % 2 and row.message in log:
            services.confirm(row)
            ledger.confirmed.add(str(row.pk))
        else:
            services.send_again(row)
            ledger.again.add(str(row.pk))


def shell(ledger: Ledger, rng: random.Random, stopping: threading.Event) -> None:
    """An operator who calls `manage.py notify`."""
    while not stopping.wait(rng.uniform(4, 8)):
        text = ledger.text("plain")
        done = manage("notify", "you@example.com", text, "--via", "queue", env=dict(os.environ))
        if done.returncode == 0:
            ledger.accept(done.stdout.split()[0], text, "queue", "shell")
        else:
            ledger.refused.append(f"exit {done.returncode}")
