"""The servers that peers need: where they are, whether they answer, and our own corner in each.

Addresses come from BENCH_POSTGRES_URL, BENCH_REDIS_URL and BENCH_AMQP_URL. What is made here (databases,
queues, keys) is removed here; nothing else in the servers is touched.
"""

import contextlib
import os
import sqlite3
from urllib.parse import urlsplit, urlunsplit

import amqp
import psutil
import psycopg
import redis

from .processes import tree_pss

POSTGRES_URL = os.environ.get("BENCH_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379")
AMQP_URL = os.environ.get("BENCH_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")

PREFIX = f"notifications_bench_{os.getpid()}"
UNREACHABLE = (OSError, psycopg.Error, redis.RedisError, amqp.AMQPError)


class PostgreSQL:
    """A database of its own for each stage, copied from one that was migrated once."""

    name = "PostgreSQL"
    url = POSTGRES_URL

    def version(self) -> str:
        return str(self._admin("SHOW server_version")[0][0]).split()[0]

    def create(self, name: str, template: str | None = None) -> str:
        """Make the database and return its URL."""
        self._admin(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return self.url_of(name)

    def drop(self, name: str) -> None:
        self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def drop_all(self) -> None:
        """Every database of this run."""
        for (name,) in self._admin(f"SELECT datname FROM pg_database WHERE datname LIKE '{PREFIX}%'"):
            self.drop(name)

    def url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def query(self, url: str, sql: str) -> list[tuple]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def _admin(self, sql: str) -> list[tuple]:
        return self.query(self.url, sql)


class Redis:
    """The highest numbered database that is empty; flushed when a stage ends."""

    name = "Redis"
    url = REDIS_URL

    def version(self) -> str:
        with redis.Redis.from_url(self.url, socket_connect_timeout=2) as client:
            return str(client.info("server")["redis_version"])

    def empty_database(self) -> str:
        """The URL of a database that holds nothing. Raises OSError when every one is in use."""
        for number in range(15, 0, -1):
            url = f"{self.url.rstrip('/')}/{number}"
            with redis.Redis.from_url(url) as client:
                if not client.dbsize():
                    return url
        raise OSError("every Redis database holds something")

    def flush(self, url: str) -> None:
        with redis.Redis.from_url(url) as client:
            client.flushdb()


class RabbitMQ:
    """One queue with a name of its own, deleted when a stage ends."""

    name = "RabbitMQ"
    url = AMQP_URL

    def version(self) -> str:
        with self._connection() as connection:
            return str(connection.server_properties.get("version", "?"))

    def delete(self, queue: str) -> None:
        with self._connection() as connection:
            connection.channel().queue_delete(queue)
            connection.channel().exchange_delete(queue)

    def _connection(self) -> amqp.Connection:
        parts = urlsplit(self.url)
        return amqp.Connection(
            host=f"{parts.hostname}:{parts.port or 5672}",
            userid=parts.username or "guest",
            password=parts.password or "guest",
            virtual_host=parts.path[1:] or "/",
            connect_timeout=2,
        )


POSTGRESQL, REDIS, RABBITMQ = PostgreSQL(), Redis(), RabbitMQ()
SERVERS = (POSTGRESQL, REDIS, RABBITMQ)
Server = PostgreSQL | Redis | RabbitMQ


def reachable() -> tuple[dict[str, str], dict[str, str]]:
    """Versions of the servers that answer, and the reason for each that does not, by name."""
    versions, missing = {"SQLite": sqlite3.sqlite_version}, {}
    for server in SERVERS:
        try:
            versions[server.name] = server.version()
        except UNREACHABLE as error:
            place = urlsplit(server.url)
            missing[server.name] = (
                f"{server.name} did not answer at {place.hostname}:{place.port} ({type(error).__name__})"
            )
    return versions, missing


def server_pss(server: Server) -> float | None:
    """MiB of the server's own processes; None where they cannot be seen from here."""
    port = urlsplit(server.url).port
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                return tree_pss([process, *process.children(recursive=True)]) or None
    return None
