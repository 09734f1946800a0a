"""Crystals of any OPTIMADE provider: `optimade:URL?filter=...`, page by page into a mirror.

The first walk through the provider's index follows `links.next` from page to page; the address of the next page is
kept with the records, so that an interrupted walk goes on there. Later ones ask for `last_modified` at or after the
newest that is known, where the provider gives that property; otherwise the walk is repeated, and records that say the
same count as unchanged. Filters go to the provider as they were written.

Source: OPTIMADE API specification 1.2, sections "Entry Listing Endpoints" and "Structures Entries".
"""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from gmt_tasks.settings import load_remote_settings
from gmt_tasks.sources.remote.http_client import HttpClient, RateLimits, RefusedRequestError, UnreachableError
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
from gmt_tasks.sources.remote.mirrored_source import COMPLETE, MirroredSource, refuse_changed_schema
from gmt_tasks.sources.remote.optimade_provider import TOO_MANY, as_protected, servers_of, smaller_limits
from gmt_tasks.telemetry import event
from models.errors import SourceError

_log = logging.getLogger(__name__)

PAGE_LIMIT = 500
"""Records asked for at once; providers answer with fewer where their own limit is lower, or refuse (`_take_first`)."""

FIELDS = (
    "lattice_vectors", "cartesian_site_positions", "species_at_sites", "species", "structure_features",
    "chemical_formula_reduced", "last_modified",
)  # fmt: skip

_NAME = "optimade"
_NEXT, _WALK, _SINCE = "next_page", "listing_number", "since"
_LIMIT = "page_limit"
_NEWEST, _NEWEST_SEEN, _DATED = "newest", "newest_seen", "every_record_dated"
_HAS_OR = re.compile(r"\bOR\b")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_VERSIONED = re.compile(r"/v\d+(\.\d+)*$")


def open_optimade(text: str) -> MirroredSource:
    """Opens `optimade:URL?filter=FILTER[&page_limit=N][&response_fields=a,b]`.

    Args:
        text: the URL is a provider's base URL, with or without `/v1` and `/structures`; extra response fields become
            metadata.

    Raises:
        SourceError: no http(s) URL, or a parameter that is not known here.
    """
    settings = load_remote_settings()
    query = _Query.from_text(text)
    client = HttpClient(query.endpoint, RateLimits.of(settings))
    # What decides which records come names the mirror.
    question = {"endpoint": query.endpoint, "filter": query.filter_text, "fields": list(query.fields)}
    mirror = Mirror.of(settings.cache_folder, _NAME, question)
    return MirroredSource(text, mirror, lambda to_update: query.refresh(to_update, client), settings)


class _Query:
    """A question to one provider.

    Args:
        name: the source as the user wrote it.
        endpoint: URL of its structures, without query.
        filter_text: OPTIMADE filter, "" for everything.
        page_limit: records per page.
        fields: properties asked for.
    """

    def __init__(self, name: str, endpoint: str, filter_text: str, page_limit: int, fields: Sequence[str]) -> None:
        self.name = name
        self.endpoint = endpoint
        self.filter_text = filter_text
        self.fields = fields
        self._page_limit = page_limit
        self._announced = 0

    @classmethod
    def from_text(cls, text: str) -> "_Query":
        """Reads what the user wrote."""
        parts = urlsplit(text.partition(":")[2])
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise SourceError(
                f"{text[:100]!r} names no OPTIMADE provider. Give 'optimade:https://HOST/PATH?filter=elements HAS "
                "\"Al\"' with the provider's base URL."
            )
        given = _parameters(text, parts.query)
        limit = given.get("page_limit", str(PAGE_LIMIT))
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= 10_000:
            raise SourceError(f"page_limit={limit} is no number from 1 to 10000. Correct it or leave it out.")
        extra = [field for field in given.get("response_fields", "").split(",") if field and field not in FIELDS]
        # A base URL may name version and endpoint or not.
        path = parts.path.rstrip("/")
        if not path.endswith("/structures"):
            path += "/structures" if _VERSIONED.search(path) else "/v1/structures"
        endpoint = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        return cls(text, endpoint, given.get("filter", ""), int(limit), (*FIELDS, *extra))

    def refresh(self, mirror: Mirror, client: HttpClient) -> None:
        """Goes on with an unfinished walk, or begins one: through what changed where that can be asked, else all."""
        self._page_limit = min(self._page_limit, mirror.mark(_LIMIT) or self._page_limit)
        url = mirror.mark(_NEXT) or self._begin(mirror)
        try:
            following = self._take_first(mirror, client, url)
        except UnreachableError:
            raise
        except SourceError as error:
            # A mark of last time that the provider no longer knows, or dates that it cannot be asked for.
            if url == self._first_page(None):
                raise
            event("optimade.begun_again", source=self.name, because=error)
            url = self._begin(mirror, everything=True)
            following = self._take_first(mirror, client, url)
        seen = {url}
        while following is not None:
            if following in seen:
                problem = f"the provider's pages lead back to {following[:200]}"
                raise SourceError(f"{self.name}: {problem}. Report it to them.")
            seen.add(following)
            following = self._take_page(mirror, client, following)
        self._end(mirror)

    def _begin(self, mirror: Mirror, *, everything: bool = False) -> str:
        """Numbers a new walk and gives its first page."""
        # One undated record is enough that a question by date would miss changes.
        can_ask_by_date = mirror.mark(COMPLETE) and mirror.mark(_DATED) and not everything
        since = mirror.mark(_NEWEST) if can_ask_by_date else None
        walk = int(mirror.mark(_WALK) or 0) + (since is None)
        url = self._first_page(since)
        marks = {_NEXT: url, _SINCE: since, _WALK: walk, _NEWEST_SEEN: since}
        mirror.write((), marks if since else marks | {_DATED: True})
        return url

    def _first_page(self, since: str | None) -> str:
        """URL of the first page, of all records or of those modified since."""
        clause = f'last_modified >= "{since}"' if since else ""
        # Some servers understand no parentheses: they are set only where the filter's own OR would swallow the clause.
        has_or = _HAS_OR.search(_QUOTED.sub("", self.filter_text)) is not None
        own_clause = f"({self.filter_text})" if clause and has_or else self.filter_text
        parameters = {
            "filter": " AND ".join(filter(None, (own_clause, clause))),
            "page_limit": str(self._page_limit),
            "response_fields": ",".join(self.fields),
        }
        return f"{self.endpoint}?{urlencode({k: v for k, v in parameters.items() if v}, quote_via=quote)}"

    def _take_first(self, mirror: Mirror, client: HttpClient, url: str) -> str | None:
        """As `_take_page`, with fewer records at once where the provider refuses as many as were asked for."""
        asked = f"page_limit={self._page_limit}&"
        try:
            return self._take_page(mirror, client, url)
        except RefusedRequestError as refused:
            if refused.status not in TOO_MANY or asked not in url:
                raise
            for limit in smaller_limits(self._page_limit, refused.said):
                try:
                    following = self._take_page(mirror, client, url.replace(asked, f"page_limit={limit}&"))
                except RefusedRequestError:
                    continue
                event("optimade.page_limit", source=self.name, asked=self._page_limit, allowed=limit)
                self._page_limit = limit
                mirror.write((), {_LIMIT: limit})
                return following
            # It was something else, and the first refusal says what.
            raise

    def _take_page(self, mirror: Mirror, client: HttpClient, url: str) -> str | None:
        """Writes one page into the mirror together with the address of the next; returns that, None at the end."""
        if not client.adapter.may_visit(url):
            for server in servers_of(client, self.endpoint.removesuffix("/structures")):
                client.adapter.allow(server)
        answer = client.get_json(url)
        bodies = _data(self.name, answer)
        refuse_changed_schema(self.name, bodies)
        following = _next_of(self.name, answer, url)
        records = [_record(self.name, body) for body in bodies]
        if following and not records:
            raise SourceError(f"{self.name}: an empty page of the provider leads to another one. Report it to them.")
        walk, since, newest = mirror.mark(_WALK), mirror.mark(_SINCE), mirror.mark(_NEWEST_SEEN)
        stamps = [record.stamp for record in records if record.stamp is not None]
        is_dated = bool(mirror.mark(_DATED)) and len(stamps) == len(records)
        if since and (not is_dated or any(_moment(stamp) < _moment(since) for stamp in stamps)):
            raise SourceError(f"{self.name}: asked for what changed since {since}, the provider sends other records.")
        if records and not since and mirror.count_met([record.id for record in records], walk) == len(records):
            raise SourceError(
                f"{self.name}: the provider sends the same {len(records)} records for different pages; its paging does "
                "not work. Report it to them."
            )
        newest = max([*stamps, *([newest] if newest else [])], key=_moment, default=None)
        n_new = mirror.write(records, {_NEXT: following, _NEWEST_SEEN: newest, _DATED: is_dated}, walk)
        self._announced = max(self._announced, _announced(answer))
        event("optimade.page", source=self.name, records=len(records), new_or_changed=n_new)
        return following

    def _end(self, mirror: Mirror) -> None:
        """Ends a walk; one through everything also shows which records are gone."""
        whole_walk = 0 if mirror.mark(_SINCE) else mirror.mark(_WALK)
        n_gone = mirror.remove_unmet(whole_walk, {COMPLETE: True, _NEWEST: mirror.mark(_NEWEST_SEEN)})
        if len(mirror) < self._announced and whole_walk:
            # Not an error: some providers estimate. But nobody shall take a part for the whole.
            text = "%s: the provider announces %d records, and its pages hold %d"
            _log.warning(text, self.name, self._announced, len(mirror))
        event("optimade.listed", source=self.name, records=len(mirror), gone=n_gone)


def _parameters(text: str, query: str) -> dict[str, str]:
    """The parameters of the query; a filter is taken as written, or decoded when it came from an address bar."""
    if " " in query:  # never in an encoded URL: then + and % are the filter's own
        pairs = [part.partition("=")[::2] for part in query.split("&") if part]
        given = {name: value if name == "filter" else unquote(value) for name, value in pairs}
    else:
        given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = set(given) - {"filter", "page_limit", "response_fields"}
    if unknown:
        raise SourceError(f"{text[:100]!r}: {sorted(unknown)[0]!r} is not filter, page_limit or response_fields.")
    return given


def _data(name: str, answer: Any) -> list[Any]:
    """The records of a page."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, list):
        keys = ", ".join(sorted(map(str, answer))[:6]) if isinstance(answer, Mapping) else type(answer).__name__
        raise SourceError(
            f"{name}: an answer has no list `data` (found: {keys[:200]}). The format has changed, or the address is "
            "not that of a provider's structures."
        )
    return data


def _record(name: str, body: Any) -> MirrorRecord:
    """A record without its time stamp, which is kept apart: a new date alone changes nothing."""
    record_id = body.get("id") if isinstance(body, Mapping) else None
    if not isinstance(record_id, (str, int)) or record_id == "":
        raise SourceError(f"{name}: a record has no `id`; nothing of its page was kept. Report it to the provider.")
    attributes = body.get("attributes")
    if not isinstance(attributes, Mapping):
        return MirrorRecord(str(record_id), {"id": record_id, "attributes": attributes})
    stamp: Any = attributes.get("last_modified")
    kept = {key: value for key, value in attributes.items() if key != "last_modified"}
    try:
        _moment(stamp)
    except (TypeError, ValueError):
        stamp = None
    return MirrorRecord(str(record_id), {"id": record_id, "attributes": kept}, stamp)


def _moment(stamp: str) -> datetime:
    """The time that RFC 3339 text means; without a zone it is taken for UTC."""
    moment = datetime.fromisoformat(stamp)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _announced(answer: Mapping[str, Any]) -> int:
    """How many records the provider says that the filter matches; 0 where it does not say."""
    meta = answer.get("meta")
    n_records = meta.get("data_returned") if isinstance(meta, Mapping) else None
    return n_records if isinstance(n_records, int) else 0


def _next_of(name: str, answer: Mapping[str, Any], url: str) -> str | None:
    """Address of the next page; where it may lead is decided by the client."""
    links = answer.get("links")
    following = links.get("next") if isinstance(links, Mapping) else None
    if isinstance(following, Mapping):
        following = following.get("href")
    meta = answer.get("meta")
    if not following and isinstance(meta, Mapping) and meta.get("more_data_available") is True:
        raise SourceError(
            f"{name}: the provider says that there is more, and not where (`links.next` is missing). The format has "
            "changed; what arrived is kept, and the download is not complete."
        )
    if following is not None and not isinstance(following, str):
        kind = type(following).__name__
        raise SourceError(f"{name}: `links.next` is a {kind}, not an address. The format has changed.")
    return as_protected(url, urljoin(url, following)) if following else None
