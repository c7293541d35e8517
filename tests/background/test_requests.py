"""When tasks run (rows R1, R2, R6 to R8, R10, R11), seen through Django's test client."""

import pytest
from django.test import AsyncClient, Client, TestCase

from notifications.background import testing

from . import work

PLAIN = {"SERVER_NAME": "localhost"}


def test_R1_nothing_runs_before_the_response_is_closed(rf, settings) -> None:
    """R1: the response is complete, and not one task has started; closing it hands over."""
    from django.core.handlers.base import BaseHandler

    handler = BaseHandler()
    handler.load_middleware()
    response = handler.get_response(rf.get("/function"))
    assert response.content == b"done"
    testing.wait()
    assert work.diary == []
    response.close()
    testing.wait()
    assert work.diary == ["function"]


def test_R2_in_order_sync_async_and_thread_tasks_mixed(client: Client) -> None:
    """R2: functions and tasks of the `thread` backend run one by one, in the order they were added."""
    client.get("/mixed")
    testing.wait()
    assert work.diary == [1, "2", "3", 4]


def test_R3_R4_the_client_has_its_reply_while_the_task_runs(client: Client) -> None:
    """R3, R4: the reply is there and the next request is answered while the task is still held."""
    assert client.get("/holds").status_code == 200
    assert work.entered.wait(work.WAIT)
    assert client.get("/quick").content == b"quick"
    assert work.diary == []
    work.let_go()
    testing.wait()
    assert work.diary == ["held"]


@pytest.mark.parametrize("code", [200, 204, 302, 307, 404, 500])
def test_R6_tasks_run_for_any_returned_response(client: Client, code: int) -> None:
    """R6: also for an error the view returned itself."""
    assert client.get(f"/status/{code}").status_code == code
    testing.wait()
    assert work.diary == [code]


def test_R6_a_response_replaced_by_a_middleware_loses_nothing(client: Client, settings) -> None:
    """R6: a 304 is a new response; the tasks of the view that answered 200 still run."""
    settings.MIDDLEWARE = ["tests.background.test_requests.Replacing", settings.MIDDLEWARE[-1]]
    assert client.get("/function").status_code == 304
    testing.wait()
    assert work.diary == ["function"]


class Replacing:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.http import HttpResponseNotModified

        self.get_response(request)
        return HttpResponseNotModified()


def test_R7_streamed_responses_after_the_last_chunk(client: Client) -> None:
    """R7: the generator's chunks come first."""
    response = client.get("/streams")
    testing.wait()
    assert b"".join(response.streaming_content) == b"xxx"
    testing.wait()
    assert work.diary == ["chunk 0", "chunk 1", "chunk 2", "task"]


@pytest.mark.parametrize(
    ("method", "url"), [("get", "/raises"), ("post", "/api_raises"), ("get", "/returns_nothing")]
)
def test_R8_a_view_that_raised_drops_its_tasks_and_says_so(caplog, method: str, url: str) -> None:
    """R8: an exception of the view, one that REST framework turned into a 400, and Django's for a view that forgot
    its response."""
    client = Client(raise_request_exception=False)
    assert getattr(client, method)(url).status_code in (400, 500)
    testing.wait()
    assert work.diary == []
    [record] = [record for record in caplog.records if "dropped" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert "tests.background.work.note" in record.getMessage()


@pytest.mark.parametrize(("method", "url"), [("get", "/raises"), ("post", "/api_raises")])
def test_R8_a_switch_runs_them_anyway(settings, method: str, url: str) -> None:
    """R8: BACKGROUND_TASKS["RUN_ON_ERROR"]."""
    settings.BACKGROUND_TASKS = {"RUN_ON_ERROR": True}
    getattr(Client(raise_request_exception=False), method)(url)
    testing.wait()
    assert work.diary == ["dropped"]


@pytest.mark.parametrize("url", ["/raises", "/returns_nothing"])
async def test_R8_under_asgi(async_client: AsyncClient, url: str) -> None:
    """R8: the same on the ASGI side."""
    async_client.raise_request_exception = False
    assert (await async_client.get(url)).status_code == 500
    testing.wait()
    assert work.diary == []


def test_R10_tasks_add_tasks_in_the_same_pass(client: Client) -> None:
    """R10: functions and thread tasks that a task adds run after those already there."""
    client.get("/tasks_add_tasks")
    testing.wait()
    assert work.diary == ["first", "second", "third", "fourth"]


@pytest.mark.django_db(transaction=True)
def test_R11_a_block_that_rolled_back_runs_nothing(client: Client) -> None:
    """R11: tasks of a committed block and of no block run, in their order; those of a rolled back one never."""
    client.get("/rolls_back")
    client.get("/in_blocks")
    testing.wait()
    assert work.diary == ["before", "committed", "committed thread", "after"]


@pytest.mark.django_db(transaction=True)
def test_R11_atomic_requests(client: Client) -> None:
    """R11: with ATOMIC_REQUESTS a request that rolled back without raising runs nothing; another runs all."""
    from django.db import connection

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        client.get("/rolls_back_request")
        testing.wait()
        assert work.diary == []
        client.get("/in_blocks")
        testing.wait()
        client.get("/function")
        testing.wait()
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert work.diary == ["before", "committed", "committed thread", "after", "function"]


class InATestCase(TestCase):
    """R11 for users' tests: Django's TestCase never commits, and the helpers work all the same."""

    def test_blocks_of_the_view_count(self) -> None:
        """R11: what a view's own block added counts when the request is over, unless it rolled back."""
        with testing.run_inline():
            self.client.get("/in_blocks")
            assert work.diary == ["before", "committed", "committed thread", "after"]
            self.client.get("/in_blocks")
        assert work.diary[4:] == ["before", "committed", "committed thread", "after"]

    def test_collect(self) -> None:
        """Collected tasks are those that would have run, and can be run one by one."""
        with testing.collect() as tasks:
            self.client.get("/in_blocks")
        assert [task.name for task in tasks] == [
            "tests.background.work.note",
            "tests.background.work.note",
            "tests.background.work.write",
            "tests.background.work.note",
        ]
        assert work.diary == []
        tasks[1].run()
        assert work.diary == ["committed"]


def test_a_hand_over_that_fails_is_not_silent(client: Client, settings, caplog) -> None:
    """Django swallows what a closer raises: here a wrong setting, which the system checks would have refused."""
    settings.BACKGROUND_TASKS = {"NO_SUCH_KEY": 1}
    assert client.get("/function").status_code == 200
    [record] = [record for record in caplog.records if "not handed over" in record.getMessage()]
    assert record.levelname == "ERROR"
    assert "tests.background.work.note" in record.getMessage()


def test_E6_context_variables_of_the_request_are_visible(client: Client) -> None:
    """E6: the value at the moment the task was added."""
    client.get("/sets_tenant")
    testing.wait()
    assert work.diary == ["acme"]


def test_T4_wrong_arguments_fail_the_request_not_the_task(client: Client) -> None:
    """T4: the developer sees the error where it is made."""
    with pytest.raises(TypeError, match="too many"):
        client.get("/adds_wrongly")


def test_E1_E3_failing_tasks_of_a_request(client: Client) -> None:
    """E1, E3: neither an error nor `sys.exit()` keeps the later tasks from running."""
    client.get("/failing_tasks")
    testing.wait()
    assert work.diary == ["before", "after"]
