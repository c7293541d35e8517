"""`make demo` shows what it promises, and leaves nothing running."""

import re
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from notifications.models import Status
from tests.processes import DATABASE_URL, free_port, running, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.timeout(300)
def test_the_demonstration(tmp_path: Path) -> None:
    """A notification of every status, pages that open with the password it prints, and an end when it is told to."""
    if not DATABASE_URL.startswith("sqlite"):
        pytest.skip("The demonstration has a database of its own, on SQLite.")
    port, output = free_port(), tmp_path / "output.txt"
    command = [sys.executable, "-m", "demo", "--folder", tmp_path / "demo", "--count", "20"]
    with (
        running(*command, env={"PORT": str(port)}, output=output) as process,
        httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as client,
    ):
        found = wait_until(lambda: said(output, process.poll()), timeout=200)
        for status in Status.values:
            wait_until(lambda status=status: listed(client, status), timeout=60)
        for path in re.findall(rf"http://localhost:{port}(/\S*)", output.read_text()):
            assert client.get(path).status_code in (200, 302)  # to the login
        client.get("/admin/login/")
        login = {"username": "demo", "password": found[1], "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        client.post("/admin/login/", data=login)
        assert "in the last hour" in client.get("/admin/notifications/overview/").text
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert len(started) > 4  # two web processes, two workers, and who leads them
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert output.read_text().endswith("Ended.\n")


def said(output: Path, status: int | None) -> re.Match[str] | None:
    assert status is None, output.read_text()
    return re.search(r"password (\S+)", output.read_text())


def listed(client: httpx.Client, status: str) -> bool:
    answer = client.get("/api/v1/notifications", params={"status": status})
    return bool(answer.raise_for_status().json()["results"])
