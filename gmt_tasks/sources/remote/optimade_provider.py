"""What an OPTIMADE provider says of itself: its other servers, and how many records it sends at once.

Source: OPTIMADE API specification 1.2, sections "Links Endpoint", "Base Info Endpoint" and "Pagination".
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from gmt_tasks.sources.remote.http_client import HttpClient
from models.errors import SourceError

SMALLER_LIMITS = (100, 20, 5)
"""Records asked for at once where a provider refuses more and does not say how many it allows."""

TOO_MANY = frozenset({400, 403, 413, 422})
"""Statuses by which servers refuse a page that is too long: there is none that all of them agree on."""

_OWN_LINKS = frozenset({"child", "root"})
"""Kinds of links that lead to the same provider; `external` and `providers` lead to others."""

_NUMBER = re.compile(r"\d{1,5}")
_NAMED_AT_MOST = 3


def smaller_limits(asked: int, said: str) -> list[int]:
    """Limits to try when a page of `asked` records is refused, the largest first.

    Args:
        asked: records asked for.
        said: words of the refusal, which often hold the limit ("Max allowed page_limit is 50").
    """
    named = [number for number in map(int, _NUMBER.findall(said)) if 0 < number < asked]
    return sorted({*named[:_NAMED_AT_MOST], *(limit for limit in SMALLER_LIMITS if limit < asked)}, reverse=True)


def servers_of(client: HttpClient, base_url: str) -> list[str]:
    """Addresses that a provider names as its own, at its `links` and `info`; none where it does not answer.

    Args:
        client: asks the provider.
        base_url: with the version.
    """
    data: dict[str, Any] = {}
    for endpoint in ("links", "info"):
        with suppress(SourceError):
            answer = client.get_json(f"{base_url}/{endpoint}")
            data[endpoint] = answer.get("data") if isinstance(answer, Mapping) else None
    links, info = data.get("links"), data.get("info")
    addresses = [_attribute(link, "base_url") for link in _listed(links) if _attribute(link, "link_type") in _OWN_LINKS]
    versions = _attribute(info, "available_api_versions")
    addresses += [version.get("url") for version in _listed(versions) if isinstance(version, Mapping)]
    # JSON:API allows a link to be an object
    plain = [address.get("href") if isinstance(address, Mapping) else address for address in addresses]
    return [address for address in plain if isinstance(address, str) and urlsplit(address).hostname]


def as_protected(url: str, following: str) -> str:
    """A link to the same host, over https where the page with it came over https.

    Servers behind a proxy believe that they are asked over http, and write their links so.

    Args:
        url: of the page.
        following: the link in it, absolute.
    """
    page, link = urlsplit(url), urlsplit(following)
    if (page.scheme, link.scheme) != ("https", "http") or link.hostname != page.hostname:
        return following
    host = link.netloc.removesuffix(":80")
    # A port that is named stays: which other one speaks https there is not known.
    return urlunsplit(SplitResult("https", page.netloc if host == link.hostname else host, *link[2:]))


def _attribute(entry: Any, name: str) -> Any:
    """An attribute of a JSON:API entry; None where it is missing."""
    attributes = entry.get("attributes") if isinstance(entry, Mapping) else None
    return attributes.get(name) if isinstance(attributes, Mapping) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
