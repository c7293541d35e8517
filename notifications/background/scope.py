"""The request that tasks belong to: makes its `BackgroundTasks` when first asked, hands them over once."""

import logging
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest

from . import pool
from .conf import background_settings
from .tasks import BackgroundTask, BackgroundTasks
from .transactions import when_committed

logger = logging.getLogger(__name__)


class ViewRaisedError(Exception):
    """Stands for an exception that REST framework has turned into a response of this status."""


class RequestScope:
    """One request: its tasks, the dependencies solved for it, whether its view raised."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.tasks: BackgroundTasks | None = None
        self.error: BaseException | None = None
        self.solved: dict[Callable[..., Any], Any] = {}
        self._exits: ExitStack | None = None
        self._async_exits: AsyncExitStack | None = None
        self.wanted = False  # the view asks for background tasks: it must end even if the client has left
        self._response_tasks: BackgroundTask | None = None
        self.handed_over = False

    @property
    def exits(self) -> ExitStack:
        """What is to be ended when the view has answered. Most requests have none."""
        self._exits = self._exits or ExitStack()
        return self._exits

    @property
    def async_exits(self) -> AsyncExitStack:
        self._async_exits = self._async_exits or AsyncExitStack()
        return self._async_exits

    def background_tasks(self, kind: type[BackgroundTasks] = BackgroundTasks) -> BackgroundTasks:
        """The one object of this request, made as a `kind` at the first call."""
        if self.tasks is None:
            self.tasks = kind()
        return self.tasks

    def collect(self, task: BackgroundTask) -> None:
        self.wanted = True
        if self.handed_over and self.tasks is None:  # the first task of a request that is already over
            late = BackgroundTasks([task])
            when_committed(lambda: late.hand_to(pool.submit))
        else:
            self.background_tasks().collect(task)

    def close_with(self, request: HttpRequest) -> None:
        """Hand over when Django closes `request`: the last closer of whatever response is sent in the end.

        Closers of the response that the view made would be lost when a middleware answers with another one
        (304 instead of 200, for example).
        """
        close = request.close

        def close_and_hand_over() -> None:
            try:
                close()
            finally:
                self._hand_over_aloud()

        request.close = close_and_hand_over  # type: ignore[method-assign]

    @contextmanager
    def catching(self) -> Generator[None]:
        """An exception in here counts as the view's own."""
        try:
            yield
        except BaseException as error:
            self.error = error
            raise

    def leave(self, response: Any) -> None:
        """The view has answered: end the dependencies that yielded."""
        self._answered(response)
        if self._exits is not None:
            self._exits.__exit__(*_details(self.error))

    async def aleave(self, response: Any) -> None:
        self.leave(response)
        if self._async_exits is not None:
            await self._async_exits.__aexit__(*_details(self.error))

    def _answered(self, response: Any) -> None:
        # REST framework marks a response that stands for an exception.
        if self.error is None and getattr(response, "exception", False) is True:
            self.error = ViewRaisedError(response.status_code)
        self._response_tasks = getattr(response, "background", None)

    def _hand_over_aloud(self) -> None:
        try:
            self.hand_over()
        except Exception:
            # Django swallows what a closer raises; tasks must not be lost in silence.
            logger.exception("Background tasks not handed over: %s", self.tasks)
            raise

    def hand_over(self) -> None:
        """Give the tasks to the pool, those of the response itself last; drop them if the view raised."""
        if self.handed_over:
            return
        self.handed_over = True
        if self._response_tasks is not None and self._response_tasks is not self.tasks:
            self.background_tasks().collect(self._response_tasks)
        if self.tasks is None:
            return
        if self.error is None or background_settings().run_on_error:
            self.tasks.hand_to(pool.submit)
            return
        for task in self.tasks.drop(pool.submit):
            logger.warning(
                "Background task dropped, the view raised: name=%s id=%s error=%s",
                task.name,
                task.id,
                type(self.error).__name__,
            )


def _details(error: BaseException | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


current_scope: ContextVar[RequestScope | None] = ContextVar("current_scope", default=None)
