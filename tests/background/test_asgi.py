"""Row R9 without a server: the client leaves, and Django's ASGI handler throws the response away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler

from notifications.background import BackgroundTask, BackgroundTasks, pool, testing
from notifications.background.asgi import background_tasks

from . import work


class Connection:
    """One HTTP connection. `leave()` is the client that goes away."""

    def __init__(self, path: str, application: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.broken = False
        self._left = asyncio.Event()
        self._first = True
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        self.task = asyncio.ensure_future(application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._first:
            self._first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self.broken:
            raise OSError("the client is gone")
        self.sent.append(message)

    def leave(self) -> None:
        self._left.set()


async def until(happened: Any) -> None:
    """Wait for a `threading.Event` without holding the loop."""
    assert await asyncio.to_thread(happened.wait, work.WAIT)


@pytest.fixture
def plain() -> ASGIHandler:
    return ASGIHandler()


@pytest.mark.parametrize("view", ["/slow_async", "/slow_sync"])
@pytest.mark.parametrize("wrap", [False, True])
async def test_R9_the_view_ends_and_its_tasks_run(plain: ASGIHandler, view: str, wrap: bool) -> None:
    """R9: the client leaves before the view has finished; the task it adds afterwards still runs."""
    connection = Connection(view, background_tasks(plain) if wrap else plain)
    await until(work.entered)
    connection.leave()
    await asyncio.sleep(0)
    work.let_go()
    await connection.task
    assert connection.sent == []
    await asyncio.to_thread(testing.wait)
    assert work.diary == ["after the client left"]


@pytest.mark.slow
async def test_R9_the_loop_is_free_while_an_abandoned_view_ends(plain: ASGIHandler) -> None:
    """R9: another request is answered while the abandoned sync view still runs."""
    abandoned = Connection("/slow_sync", plain)
    await until(work.entered)
    abandoned.leave()
    other = Connection("/quick", plain)
    await other.task
    assert other.sent[1]["body"] == b"quick"
    assert not abandoned.task.done()
    work.let_go()
    await abandoned.task


async def test_a_view_without_tasks_is_cancelled_as_ever(plain: ASGIHandler) -> None:
    """R9: only views that use background tasks are shielded."""
    connection = Connection("/slow_plain", plain)
    await until(work.entered)
    connection.leave()
    await connection.task
    assert work.diary == ["cancelled"]


async def test_R9_the_connection_breaks_while_the_response_is_sent(plain: ASGIHandler) -> None:
    """R9: Django closes no response whose sending failed; the wrapper around the application hands over."""
    work.gate.set()
    connection = Connection("/slow_async", background_tasks(plain))
    connection.broken = True
    with pytest.raises(OSError, match="gone"):
        await connection.task
    await asyncio.to_thread(testing.wait)
    assert work.diary == ["after the client left"]


async def test_R9_the_client_leaves_a_stream(plain: ASGIHandler) -> None:
    """R9, R7: tasks run when the stream has been cut off."""
    connection = Connection("/astreams", plain)
    await until(work.entered)
    assert work.diary == []
    connection.leave()
    await connection.task
    await asyncio.to_thread(testing.wait)
    assert [message.get("body") for message in connection.sent] == [None, b"x"]
    assert work.diary == ["task"]


async def test_R1_after_the_last_byte(plain: ASGIHandler) -> None:
    """R1: with the wrapper too, tasks are handed over once, after the body."""
    seen: list[int] = []
    application = background_tasks(plain)
    connection = Connection("/function", application)
    with testing.collect() as collected:
        await connection.task
        seen.append(len(connection.sent))
    assert connection.sent[-1]["body"] == b"done"
    assert len(collected) == 1


async def lifespan(*kinds: str) -> AsyncIterator[dict[str, str]]:
    for kind in kinds:
        yield {"type": f"lifespan.{kind}"}


async def test_E8_the_lifespan_drains(plain: ASGIHandler, settings) -> None:
    """E8: where a server ends by the signal itself, its lifespan shutdown is the moment to finish."""
    BackgroundTasks([BackgroundTask(work.hold)]).hand_to(pool.submit)
    messages = lifespan("startup", "shutdown")
    sent: list[str] = []

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            work.let_go()

    await background_tasks(plain)({"type": "lifespan"}, messages.__anext__, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert work.diary == ["held"]
