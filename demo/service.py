"""The service with its own database, whom it writes to, and what it has sent, for as long as a block lasts."""

import fcntl
import secrets
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

from tests.processes import manage, running, wait_until

from .neighbours import mail_server, unsubscribe_addresses, webhook_receiver
from .past import move_apart
from .sending import CANCELLED, FIRST, SECOND, Client, items

# What a .env of this machine says for real servers is not asked: a demonstration must not write to anybody.
NOT_ASKED = {
    "CELERY_BROKER_URL": "",
    "EMAIL_SMTP_PASSWORD": "",
    "EMAIL_SMTP_USER": "",
    "NOTIFICATIONS_ADDRESS_RATE": "",
    "NOTIFICATIONS_ALLOWED_RECIPIENTS": "",
    "NOTIFICATIONS_CALLER_RATE": "",
    "NOTIFICATIONS_KEEP_DAYS": "",
    "NOTIFICATIONS_RECIPIENT_PER_DAY": "0",
    "NOTIFICATIONS_RECIPIENT_PER_HOUR": "0",
    "NOTIFICATIONS_REDIRECT_TO": "",
    "NOTIFICATIONS_VIA": "queue",
    "NOTIFICATIONS_WEBHOOK_SECRETS": "",
    "NUM_PROXIES": "0",
}
USER = "demo"
# What is scheduled for later may stay as it is.
SETTLED = """SELECT count(*) = 0 FROM notifications_notification
    WHERE status = 'sending' OR status = 'queued' AND due_at <= datetime('now', '+1 second')"""
COUNTS = "SELECT status, count(*) FROM notifications_notification GROUP BY status ORDER BY count(*) DESC"


@dataclass(frozen=True, slots=True)
class Demonstration:
    url: str
    password: str  # of USER
    folder: Path
    client: Client

    def counts(self) -> dict[str, int]:
        """How many there are of each status."""
        return dict(self.query(COUNTS))

    def is_settled(self) -> bool:
        return bool(self.query(SETTLED)[0][0])

    def query(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as connection:
            return connection.execute(statement).fetchall()


@contextmanager
def demonstration(folder: Path, port: int, count: int) -> Iterator[Demonstration]:
    """The service on that port, when about `count` notifications have been through it. Empties the folder first.

    Exits with a sentence where the folder or the port is somebody else's. Raises OSError or TimeoutError when the
    service does not do what it should.
    """
    with _alone(folder, port), mail_server() as mail, webhook_receiver() as receiver:
        password = secrets.token_urlsafe(9)
        env = NOT_ASKED | {
            "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "DEBUG": "true",
            "DEMO_RECEIVER": receiver.url(""),
            "DJANGO_SETTINGS_MODULE": "demo.settings",
            "EMAIL_SMTP_HOST": "127.0.0.1",
            "EMAIL_SMTP_PORT": str(mail.port),
            "EMAIL_SMTP_TLS": "false",
            "HOST": "127.0.0.1",
            "NOTIFICATIONS_BASE_URL": f"http://localhost:{port}",
            "NOTIFICATIONS_LOG_FILE": str(folder / "log.txt"),
            "PORT": str(port),
            "SECRET_KEY": secrets.token_urlsafe(50),
        }
        _manage(env, "migrate", "--verbosity", "0")
        _manage(
            {**env, "DJANGO_SUPERUSER_PASSWORD": password},
            *("createsuperuser", "--noinput", "--username", USER, "--email", "demo@example.com"),
        )
        gunicorn = Path(sys.executable).with_name("gunicorn")
        with (
            running(gunicorn, "project.wsgi", env=env, output=folder / "web.txt"),
            running(sys.executable, "manage.py", "qcluster", env=env, output=folder / "worker.txt"),
        ):
            shown = Demonstration(
                f"http://localhost:{port}", password, folder, Client(f"http://127.0.0.1:{port}")
            )
            wait_until(lambda: _answers(f"{shown.client.url}/livez"))
            _send(shown, mail, count)
            yield shown


def _send(shown: Demonstration, mail: Any, count: int) -> None:
    client = shown.client
    first = list(items(FIRST, count))
    Random(7).shuffle(first)  # mixed, and the same each time
    client.send_all(first)
    for item in items(CANCELLED, count):
        client.post(f"{client.send(item)}/cancel")
    wait_until(shown.is_settled, timeout=120, every=0.2)
    for address in unsubscribe_addresses(mail)[:3]:
        client.post(address.removeprefix(shown.url))
    client.send_all(list(items(SECOND, count)))
    wait_until(shown.is_settled, timeout=60, every=0.2)
    move_apart(shown.folder / "db.sqlite3")


def _manage(env: dict[str, str], *args: str) -> None:
    done = manage(*args, env=env)
    if done.returncode:
        sys.exit(f"manage.py {args[0]} failed:\n{done.stderr}")


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def _alone(folder: Path, port: int) -> Iterator[None]:
    """The folder, empty, for as long as nobody else has it; and a port that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(f"Port {port} is taken. Choose another one: PORT=8123 make demo")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"A demonstration is running in {folder} already.")
        for path in folder.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield
