"""A new version while clients send without a pause: what docs/deployment.md tells to do, on real processes."""

import signal
import socket
import subprocess
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from notifications.models import Status
from tests.end_to_end.conftest import Service
from tests.processes import private_database, wait_until
from tests.service import answering, serving, working

pytestmark = [pytest.mark.process, pytest.mark.slow]

ANSWER = b'{"message":"Notification sent in the background"}'


class Client:
    """Sends one after the other until told to stop, by both engines in turn, and never again what has failed."""

    def __init__(self, service: Service, stop: threading.Event, *, keeps_alive: bool) -> None:
        self.service = service
        self.stop = stop
        self.headers = {} if keeps_alive else {"Connection": "close"}
        self.run = uuid.uuid4().hex
        self.answered: list[str] = []  # what it sent
        self.failed: list[str] = []

    def send_all(self) -> None:
        with self.service.client() as client:
            while not self.stop.is_set():
                text = f"{self.run} {len(self.answered)}"
                via = "thread" if len(self.answered) % 2 else "queue"
                try:
                    response = client.post(
                        f"/send-notification/you@example.com?via={via}",
                        json={"message": text},
                        headers=self.headers,
                    )
                except httpx.TransportError as error:
                    self.failed.append(f"{text}: {error!r}")
                    continue
                if (response.status_code, response.content) != (200, ANSWER):
                    self.failed.append(f"{text}: {response.status_code} {response.text}")
                    continue
                self.answered.append(text)


def test_a_new_version_costs_no_request_and_no_notification(tmp_path: Path, migrated: str) -> None:
    """Web reloaded, web restarted on systemd's socket, cluster restarted: none refused, none lost, none sent twice."""
    env = {"DJANGO_SETTINGS_MODULE": "project.settings", "WEB_CONCURRENCY": "1"}
    with (
        private_database(tmp_path, template=migrated) as database_url,
        socket.create_server(("127.0.0.1", 0), backlog=128) as listener,
        serving(tmp_path, database_url, listener=listener, **env) as service,
        ExitStack() as later,
    ):
        stop = threading.Event()
        clients = [Client(service, stop, keeps_alive=number % 2 == 0) for number in range(2)]
        with ThreadPoolExecutor(len(clients)) as threads:
            sending = [threads.submit(client.send_all) for client in clients]
            try:
                wait_for_more(clients)
                reload_web(service)
                wait_for_more(clients)
                end(service.web)
                later.enter_context(answering(tmp_path, service.env, listener))
                wait_for_more(clients)
                end(service.cluster)
                wait_for_more(clients)  # nobody works, and requests are answered as ever
                later.enter_context(working(tmp_path, service.env))
                wait_for_more(clients)
                stop.set()
                for client in sending:
                    client.result(30)
                check(service, clients)
            finally:
                stop.set()


def wait_for_more(clients: list[Client], count: int = 10) -> None:
    """Each of them has been answered so often since."""
    goals = [(client, len(client.answered) + count) for client in clients]
    wait_until(lambda: all(len(client.answered) >= goal or client.failed for client, goal in goals))


def reload_web(service: Service) -> None:
    """As `systemctl reload` does. Returns when none of the old workers is left."""
    master = psutil.Process(service.web.pid)
    old = master.children()
    assert len(old) == 1
    master.send_signal(signal.SIGHUP)
    wait_until(lambda: not any(worker.is_running() for worker in old))
    assert master.children()


def end(process: subprocess.Popen[bytes]) -> None:
    """As the first half of `systemctl restart` does."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def check(service: Service, clients: list[Client]) -> None:
    assert [client.failed for client in clients] == [[]] * len(clients)
    with service.client() as http:
        others = {"status": [status for status in Status.values if status != Status.SENT]}
        wait_until(lambda: not http.get("/api/v1/notifications", params=others).json()["results"])
    sent = Counter(line.partition(": ")[2] for line in service.log_lines())
    assert sent == Counter(text for client in clients for text in client.answered)
