"""Which servers an answer may lead to: a redirect or a link is foreign input and could name any machine in reach.

A server that the user named may send us on to public hosts, over https. Within a private network it may do so too, but
only where it was private itself and the other host belongs to the same provider: a public server never leads inside.
"""

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

from models.errors import SourceError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABELS_OF_A_DOMAIN = 2
_CREDENTIALS = frozenset({"fd00:ec2::254", "100.100.100.200"})
"""Where clouds keep credentials outside the link-local addresses: AWS over IPv6, Alibaba."""


def origin(parts: SplitResult) -> tuple[str, str, int]:
    """Scheme, host and port of an address.

    Raises:
        SourceError: the port is no number.
    """
    try:
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise SourceError(f"{parts.netloc!r} is no host and port. Correct the address.") from error
    return parts.scheme, parts.hostname or "", port


def addresses_of(host: str) -> list[IPv4Address | IPv6Address]:
    """Every address of a host; none when nobody knows it."""
    try:
        texts = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return []
    # Of an IPv6 address the part behind % is an interface of this machine.
    return [ipaddress.ip_address(text.partition("%")[0]) for text in sorted(texts)]


def is_public(host: str) -> bool:
    """True when every address of the host is one of the public internet."""
    addresses = addresses_of(host)
    return bool(addresses) and all(address.is_global for address in addresses)


def may_lead_inside(start: str, target: str) -> bool:
    """True when a server in a private network may send us on to another one there, if it belongs to the same provider.

    Args:
        start: address of the server that the user named.
        target: address that it leads to.
    """
    begin, end = urlsplit(start), urlsplit(target)
    # As well protected on the way as what was named, or better.
    if end.scheme not in ("https", begin.scheme):
        return False
    ours, theirs = addresses_of(begin.hostname or ""), addresses_of(end.hostname or "")
    if not ours or not theirs or any(address.is_global for address in ours):
        return False
    if any(map(_is_never_meant, theirs)):
        return False
    # What listens on loopback only belongs to this machine, not to a server elsewhere.
    return all(a.is_loopback for a in ours) or not any(a.is_loopback for a in theirs)


def _is_never_meant(address: IPv4Address | IPv6Address) -> bool:
    """True for addresses where no provider is: among them those at which clouds give a machine its credentials."""
    if address.is_loopback:  # of which IPv6 calls its own reserved
        return False
    is_special = address.is_multicast or address.is_unspecified or address.is_reserved
    return address.is_link_local or is_special or str(address) in _CREDENTIALS


def is_same_domain(start: str, target: str) -> bool:
    """True for host names below one domain: `optimade.lab.example` and `pages.lab.example`; never for bare addresses.

    Args:
        start: address of the server that the user named.
        target: address that it leads to.
    """
    ours, theirs = (urlsplit(url).hostname or "" for url in (start, target))
    domain = ours.partition(".")[2]
    if domain.count(".") + 1 < _LABELS_OF_A_DOMAIN or domain.replace(".", "").isdigit():
        return False
    return theirs == domain or theirs.endswith(f".{domain}")
