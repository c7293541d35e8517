"""The guard in front of the network: which addresses this service connects to for somebody else.

Whoever may name a host must not be able to reach what only this machine can: itself, its neighbours, the
metadata service of its cloud (server side request forgery).

Note [Checked is what is connected to]: a name may lead elsewhere at each look-up. It is looked up once, every
address of the answer is checked, and the connection goes to one of those addresses, never to the name. How the
host is spelled (decimal, octal, hexadecimal) does not matter: what is checked is what the resolver made of it.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self

from ..exceptions import DeliveryError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NOT_PUBLIC = "The host has an address that is not public."

# Global by the registries of IANA, which Python knows, and yet nothing to connect to.
REFUSED = [
    ip_network("192.88.99.0/24"),  # RFC 7526: relays of 6to4
    ip_network("168.63.129.16/32"),  # public in form, but each machine of Azure finds its host behind it
    ip_network("192.0.0.0/24"),  # RFC 6890: for protocols of the IETF, some of them anycast
    ip_network("2001::/23"),  # RFC 2928: likewise. Teredo (2001::/32) may hold any IPv4 address
    ip_network("2002::/16"),  # RFC 3056: 6to4. Any IPv4 address may be inside
    ip_network("3fff::/20"),  # RFC 9637: for documentation
]
UNICAST = ip_network("2000::/3")  # RFC 4291, 2.4: what IANA gives out of IPv6; everything else is special
MAPPED = ip_network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2: IPv4 for a program that speaks IPv6
NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: how a network without IPv4 reaches the IPv4 internet


def is_public(address: Address) -> bool:
    """Somebody on the internet, and nobody else: not private, shared (RFC 6598), loopback, link-local, multicast…

    An IPv6 address that stands for an IPv4 one (mapped, NAT64) is what that one is.
    """
    address = _inner(address)
    if address.version == 6 and address not in UNICAST:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in REFUSED)
    )


def _inner(address: Address) -> Address:
    if address in MAPPED or address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@dataclass(frozen=True, slots=True)
class Guard:
    """Public addresses, and what the settings allow besides: networks, and hosts whose addresses may be any."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def allowing(cls, items: Iterable[str]) -> Self:
        """Each item is an address, a network or the name of a host. Raises ValueError for what is none of them."""
        hosts, networks = set(), []
        for item in items:
            if not isinstance(item, str) or not item:
                raise ValueError(f"{item!r} is neither a host nor a network")
            try:
                networks.append(ip_network(item))
            except ValueError:
                if "/" in item or ":" in item:
                    raise
                hosts.add(item.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def allows(self, address: Address) -> bool:
        inner = _inner(address)
        return is_public(address) or any(inner in network for network in self.networks)

    def refuses_literal(self, host: str) -> bool:
        """An address is written where a name could be, and it will not do. Nothing is looked up."""
        try:
            address = ip_address(host.strip("[]"))
        except ValueError:
            return False
        return not self.allows(address)

    def addresses(self, host: str, port: int) -> list[Address]:
        """Where the host is: every address has been checked. Note [Checked is what is connected to].

        Raises DeliveryError: permanent, if one of them is not allowed, for the other ones are then no better;
        to be tried again, if the name is not known now.
        """
        try:
            answer = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except OSError as error:  # gaierror is one
            raise DeliveryError(f"The host was not found: {error.strerror}.", phase="resolve") from error
        except UnicodeError as error:
            raise DeliveryError("This is no name of a host.", permanent=True, phase="resolve") from error
        addresses = list(dict.fromkeys(ip_address(str(sockaddr[0])) for *_, sockaddr in answer))
        if not addresses:
            raise DeliveryError("The host has no address.", phase="resolve")
        if host not in self.hosts and not all(self.allows(address) for address in addresses):
            raise DeliveryError(NOT_PUBLIC, permanent=True, phase="resolve")
        return addresses
