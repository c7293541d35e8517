"""The guard: nothing but public addresses, and the connection goes to the address that was checked."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme

from notifications.channels import Message, SendResult, guard
from notifications.channels.guard import Guard, is_public
from notifications.channels.webhook import WebhookChannel
from notifications.exceptions import DeliveryError

from .receiver import Receiver, receiving
from .test_webhook import NEW

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "fe80::1",
    "fe80::1%1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
]


def answer(*addresses: str) -> Any:
    """A resolver that says this, whatever it is asked."""
    families = {4: socket.AF_INET, 6: socket.AF_INET6}

    def getaddrinfo(host: str, port: int, **kwargs: Any) -> list[Any]:
        return [(families[ip_address(a).version], socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    return getaddrinfo


class Resolver:
    """In the place of the module `socket`, for the guard alone: an answer for each look-up, in turn."""

    SOCK_STREAM = socket.SOCK_STREAM

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> list[Any]:
        self.asked += 1
        return answer(*self.answers[self.asked - 1])(host, port)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Resolver:
    resolver = Resolver(*answers)
    monkeypatch.setattr(guard, "socket", resolver)
    return resolver


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Somebody on the internet."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", REFUSED)
def test_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not public, or standing for what is not, alone or beside one that is. The reason names no address."""
    assert not is_public(ip_address(address))
    resolve_to(monkeypatch, ["8.8.8.8", address])
    with pytest.raises(DeliveryError) as caught:
        Guard().addresses("example.com", 443)
    assert (caught.value.permanent, caught.value.phase) == (True, "resolve")
    assert address not in str(caught.value)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "[::1]"])
def test_however_it_is_spelled(host: str) -> None:
    """What is checked is what the system's resolver makes of it."""
    with pytest.raises(DeliveryError) as caught:
        Guard().addresses(host, 443)
    assert caught.value.phase == "resolve"


def test_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network allows its addresses under any name, also mapped ones; a host allows whatever it leads to."""
    resolve_to(monkeypatch, ["10.1.2.3"], ["::ffff:10.1.2.3"], ["192.168.1.1"], ["192.168.1.1"])
    allowing = Guard.allowing(["10.0.0.0/8", "Hooks.Internal."])
    assert [str(a) for a in allowing.addresses("any.example", 443)] == ["10.1.2.3"]
    assert allowing.addresses("any.example", 443)
    assert allowing.addresses("hooks.internal", 443)
    with pytest.raises(DeliveryError):
        allowing.addresses("other.internal", 443)


def test_a_name_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be known again in a minute."""

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(Resolver, "getaddrinfo", getaddrinfo)
    resolve_to(monkeypatch)
    with pytest.raises(DeliveryError) as caught:
        Guard().addresses("example.com", 443)
    assert (caught.value.permanent, caught.value.phase) == (False, "resolve")


def send(url: str, **options: Any) -> SendResult:
    endpoints = {"ops": {"url": url, "secrets": [NEW]}}
    channel = WebhookChannel("w", {"OPTIONS": {"endpoints": endpoints, "http": True, **options}})
    (result,) = channel.send([Message("id", "ops", "", "hello", datetime.now(UTC), 1)])
    return result


def test_a_name_that_changes_is_looked_up_once(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer would lead elsewhere, and is never asked for."""
    resolver = resolve_to(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    result = send(receiver.url(host="rebinding.example"), allow=["127.0.0.1"])
    assert (result.sent, resolver.asked) == (True, 1)
    assert receiver.posts[0][0]["Host"] == f"rebinding.example:{receiver.port}"


def test_nothing_is_sent_to_a_refused_address(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name with a private address: no connection at all."""
    resolve_to(monkeypatch, ["127.0.0.1"])
    result = send(receiver.url(host="rebinding.example"))
    assert (result.sent, result.permanent, result.phase) == (False, True, "resolve")
    assert receiver.posts == []


def test_the_next_address_is_tried(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host has several addresses so that one may be down."""
    resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    assert send(receiver.url(host="two.example"), allow=["127.0.0.0/8"]).sent


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Receiver]:
    """A receiver whose certificate is for hooks.example."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(context)
    with receiving(context) as server:
        yield server


def test_tls_is_with_the_host(secure: Receiver, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address; SNI, certificate and Host are of the name."""
    resolve_to(monkeypatch, ["127.0.0.1"])
    result = send(secure.url(scheme="https", host="hooks.example"), allow=["127.0.0.1"], ca_file=ca_file)
    assert result.sent, result.error
    assert secure.names == ["hooks.example"]
    assert secure.posts[0][0]["Host"] == f"hooks.example:{secure.port}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [("other.example", True, "another host"), ("hooks.example", False, "unable to get local issuer")],
)
def test_tls_is_verified(
    secure: Receiver,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    trusted: bool,
    reason: str,
) -> None:
    """A certificate for another name, or of somebody unknown: nothing is sent. The reason does not name the host."""
    resolve_to(monkeypatch, ["127.0.0.1"])
    ca = {"ca_file": ca_file} if trusted else {}
    result = send(secure.url(scheme="https", host=host), allow=["127.0.0.1"], **ca)
    assert (result.sent, result.unknown, result.phase) == (False, False, "tls")
    assert reason in result.error
    assert host not in result.error
    assert secure.posts == []


@pytest.mark.slow
def test_no_tls_at_all(receiver: Receiver) -> None:
    """https to a server that does not speak it is no connection, and never becomes http."""
    result = send(receiver.url(scheme="https"), allow=["127.0.0.1"])
    assert (result.sent, result.phase, receiver.posts) == (False, "tls", [])
