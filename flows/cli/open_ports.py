"""Which TCP ports processes listen on, and whether another machine reaches them; from Linux's tables under /proc.

Elsewhere the tables do not exist, and nothing is found.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

PROC = Path("/proc")
TABLES = (PROC / "net/tcp", PROC / "net/tcp6")
_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket.

    Attributes:
        address: where it listens; 0.0.0.0 and :: mean every interface.
        port: number of the port.
        inode: the kernel's number of the socket, by which processes hold it.
    """

    address: IPv4Address | IPv6Address
    port: int
    inode: str

    @property
    def loopback(self) -> bool:
        """True when only this machine reaches it; ::ffff:127.x is IPv4 loopback inside IPv6."""
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"


def read_listeners(table: Path) -> Iterator[Listener]:
    """The listening sockets of a socket table; none when there is no such table."""
    lines = table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else []
    for fields in map(str.split, lines):
        if len(fields) > 9 and fields[3] == _LISTEN:
            host, _, port = fields[1].partition(":")
            yield Listener(_address(host), int(port, 16), fields[9])


def _address(printed: str) -> IPv4Address | IPv6Address:
    """An address from the kernel's print of it: 32-bit words in hexadecimal, each in the machine's byte order."""
    words = [int(printed[i : i + 8], 16) for i in range(0, len(printed), 8)]
    raw = b"".join(socket.htonl(word).to_bytes(4, "big") for word in words)
    return ip_address(raw)


def process_tree(root: int) -> set[int]:
    """A process and everything that descends from it and lives."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            # The name before the last parenthesis may hold blanks and parentheses itself.
            parent = int((folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except OSError:  # it ended while we looked
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children.get(pid, [])
    return found


def listeners_of(pids: set[int]) -> list[Listener]:
    """The sockets that these processes listen on, ordered by port."""
    held = {inode for pid in pids for inode in _sockets(pid)}
    listening = {each for table in TABLES for each in read_listeners(table) if each.inode in held}
    return sorted(listening, key=lambda each: (each.port, str(each.address)))


def _sockets(pid: int) -> Iterator[str]:
    """Numbers of the sockets that a process holds open; none when it is gone or not ours to look at."""
    try:
        descriptors = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]
