"""What the demonstration sends: through the API, like any other client."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from urllib.request import Request, urlopen

Item = dict[str, str]

NAMES = ("ann", "ben", "chloe", "dmitri", "eve", "farid", "grace", "hugo")
TEXTS = ("Your order is on its way", "Your invoice is ready", "Your table is booked for tonight")

# Of a hundred, how many of each kind. At least one of each is sent.
FIRST: list[tuple[int, Item]] = [
    (32, {"channel": "log", "via": "queue"}),
    (14, {"channel": "log", "via": "thread"}),
    (4, {"channel": "flaky", "via": "queue"}),
    (2, {"channel": "flaky", "via": "thread"}),
    (2, {"channel": "broken", "via": "queue"}),
    (1, {"channel": "demo", "via": "thread"}),
    (16, {"channel": "email", "via": "queue", "subject": "News", "category": "news"}),
    (2, {"channel": "email", "via": "queue", "recipient": "busy-{n}@example.com"}),
    (1, {"channel": "email", "via": "queue", "recipient": "gone-{n}@example.com"}),
    (11, {"channel": "webhook", "via": "queue", "recipient": "billing"}),
    (3, {"channel": "webhook", "via": "thread", "recipient": "busy"}),
    (1, {"channel": "webhook", "via": "queue", "recipient": "moved"}),
    (1, {"channel": "webhook", "via": "queue", "recipient": "silent"}),
    (3, {"channel": "log", "via": "queue", "due_at": "{later}"}),
]
# Once the first ones are over: these addresses have bounced, or unsubscribed.
SECOND: list[tuple[int, Item]] = [
    (1, {"channel": "email", "via": "queue", "recipient": "gone-{n}@example.com"}),
    (2, {"channel": "email", "via": "queue", "subject": "News", "category": "news"}),
]
CANCELLED: list[tuple[int, Item]] = [(3, {"channel": "log", "via": "queue", "due_at": "{later}"})]
# One after the other while the pages are watched; there is nearly always one being sent.
AFTERWARDS: list[Item] = [
    {"channel": "demo", "via": "queue"},
    {"channel": "log", "via": "thread"},
    {"channel": "email", "via": "queue", "recipient": "busy-{n}@example.com"},
    {"channel": "webhook", "via": "queue", "recipient": "billing"},
    {"channel": "flaky", "via": "thread"},
]


def items(kinds: list[tuple[int, Item]], count: int) -> Iterator[Item]:
    """The kinds in their shares of `count`."""
    for share, kind in kinds:
        for n in range(max(1, share * count // 100)):
            yield filled(kind, n)


def filled(kind: Item, n: int) -> Item:
    later = datetime.now(UTC) + timedelta(hours=1 + n)
    given = {"recipient": f"{NAMES[n % len(NAMES)]}@example.com", "message": TEXTS[n % len(TEXTS)]} | kind
    return {name: value.format(n=n, later=later.isoformat()) for name, value in given.items()}


def afterwards() -> Iterator[Item]:
    for n, kind in enumerate(cycle(AFTERWARDS)):
        yield filled(kind, n)


class Client:
    """Of a service whose door is open."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, address: str, body: Any = None) -> Any:
        """Raises OSError (urllib's errors are) when it is not let in, or nobody answers."""
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(self.url + address, data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text.startswith((b"{", b"[")) else None

    def send(self, item: Item) -> str:
        """Where it is."""
        return f"/api/v1/notifications/{self.post('/api/v1/notifications', item)['id']}"

    def send_all(self, wanted: list[Item]) -> None:
        """What runs on threads one by one, for a request hands its threads over together; the rest at once."""
        for item in (item for item in wanted if item["via"] == "thread"):
            self.send(item)
        bulk = [item for item in wanted if item["via"] != "thread"]
        results = self.post("/api/v1/notifications/bulk", bulk)["results"]
        if refused := [result for result in results if result["code"] != 202]:
            raise OSError(f"Not accepted: {refused[0]}")
