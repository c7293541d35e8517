"""`python -m demo`: start the service on a database of its own, send to everybody, and leave the pages running."""

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.processes import ROOT, manage, running, wait_until

from .neighbours import mail_server, unsubscribe_addresses, webhook_receiver
from .sending import CANCELLED, FIRST, SECOND, Client, afterwards, items

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
EVERY = 2  # seconds between two that are sent while the pages are watched
# What is scheduled for later may stay as it is.
SETTLED = """SELECT count(*) = 0 FROM notifications_notification
    WHERE status = 'sending' OR status = 'queued' AND due_at <= datetime('now', '+1 second')"""
COUNTS = "SELECT status, count(*) FROM notifications_notification GROUP BY status ORDER BY count(*) DESC"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Show the service at work.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="what it writes; emptied first")
    parser.add_argument("--count", type=int, default=400, help="how many notifications, about")
    options = parser.parse_args()
    port = int(os.environ.get("PORT", "8000"))
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        with _alone(options.folder, port):
            _show(options.folder, port, options.count)
    except KeyboardInterrupt:
        print("\nEnded.")
    except (OSError, TimeoutError) as error:
        sys.exit(f"{error}\nweb.txt and worker.txt in {options.folder} may say why.")


def _show(folder: Path, port: int, count: int) -> None:
    with mail_server() as mail, webhook_receiver() as receiver:
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
        password = secrets.token_urlsafe(9)
        _manage(env, "migrate", "--verbosity", "0")
        _manage(
            {**env, "DJANGO_SUPERUSER_PASSWORD": password},
            *("createsuperuser", "--noinput", "--username", "demo", "--email", "demo@example.com"),
        )
        bin = Path(sys.executable).parent
        with (
            running(bin / "gunicorn", "project.wsgi", env=env, output=folder / "web.txt"),
            running(sys.executable, "manage.py", "qcluster", env=env, output=folder / "worker.txt"),
        ):
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(f"{url}/livez"))
            client = Client(url)
            print("Sending …", flush=True)
            sent = _send(client, folder, mail, count)
            print(_said(sent, folder, port, password), flush=True)
            for item in afterwards():
                client.send(item)
                time.sleep(EVERY)


def _send(client: Client, folder: Path, mail: Any, count: int) -> int:
    sent = client.send_all(list(items(FIRST, count)))
    for item in items(CANCELLED, count):
        client.post(f"{client.send(item)}/cancel")
        sent += 1
    wait_until(lambda: _is_settled(folder), timeout=120, every=0.2)
    for address in unsubscribe_addresses(mail)[:3]:
        client.post(address.removeprefix(client.url.replace("127.0.0.1", "localhost")))
    sent += client.send_all(list(items(SECOND, count)))
    wait_until(lambda: _is_settled(folder), timeout=60, every=0.2)
    return sent


def _is_settled(folder: Path) -> bool:
    return bool(_query(folder, SETTLED)[0][0])


def _said(sent: int, folder: Path, port: int, password: str) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in _query(folder, COUNTS))
    base = f"http://localhost:{port}"
    return f"""
  {sent} were sent: {counts}. One more every {EVERY} s.

  Try it     {base}/
  Overview   {base}/admin/notifications/overview/   user demo, password {password} (shown once)
  API        {base}/api/v1/docs
  Files      {folder}

  Ctrl-C ends everything.
"""


def _manage(env: dict[str, str], *args: str) -> None:
    done = manage(*args, env=env)
    if done.returncode:
        sys.exit(f"manage.py {args[0]} failed:\n{done.stderr}")


def _query(folder: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "db.sqlite3", timeout=20)) as connection:
        return connection.execute(statement).fetchall()


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


def _interrupt(*args: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
