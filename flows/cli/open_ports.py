"""Which TCP ports processes listen on, and whether another machine reaches them."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import psutil


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket.

    Attributes:
        address: where it listens; 0.0.0.0 and :: mean every interface.
        port: number of the port.
    """

    address: IPv4Address | IPv6Address
    port: int

    @property
    def loopback(self) -> bool:
        """True when only this machine reaches it; ::ffff:127.x is IPv4 loopback inside IPv6."""
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"


def listeners_of_machine() -> list[Listener]:
    """Every listening socket of this machine, ordered by port; none where the system does not tell this user."""
    with suppress(psutil.AccessDenied):
        return _listeners(psutil.net_connections("tcp"))
    return []


def listeners_of(pids: set[int]) -> list[Listener]:
    """The sockets that these processes listen on, ordered by port; none of those that are gone or another user's."""
    connections: list[Any] = []
    for pid in pids:
        with suppress(psutil.Error):
            connections += psutil.Process(pid).net_connections("tcp")
    return _listeners(connections)


def process_tree(root: int) -> set[int]:
    """A process and everything that descends from it and lives."""
    with suppress(psutil.NoSuchProcess):
        return {root} | {child.pid for child in psutil.Process(root).children(recursive=True)}
    return {root}


def _listeners(connections: Iterable[Any]) -> list[Listener]:
    """The listening ones among psutil's connections, ordered by port."""
    listening = {
        Listener(ip_address(each.laddr.ip), each.laddr.port)
        for each in connections
        if each.status == psutil.CONN_LISTEN
    }
    return sorted(listening, key=lambda each: (each.port, str(each.address)))
