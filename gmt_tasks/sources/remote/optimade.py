"""Crystals of any OPTIMADE provider: `optimade:URL?filter=...`, page by page into a mirror.

The first listing follows `links.next` from page to page; the address of the next page is kept with the records, so
that an interrupted listing goes on there. Later ones ask for `last_modified` at or after the newest that is known,
where the provider gives that property; otherwise the listing is repeated, and records that say the same count as
unchanged. Filters go to the provider as they were written.

Source: OPTIMADE API specification 1.2, sections "Entry Listing Endpoints" and "Structures Entries".
"""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from gmt_tasks.settings import load_remote_settings
from gmt_tasks.sources.remote.http_client import HttpClient, RateLimits, UnreachableError
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
from gmt_tasks.sources.remote.mirrored_source import COMPLETE, MirroredSource, refuse_changed_schema
from gmt_tasks.telemetry import event
from models.errors import SourceError

_log = logging.getLogger(__name__)

PAGE_LIMIT = 500
"""Records asked for at once; providers answer with fewer where their own limit is lower."""

FIELDS = (
    "lattice_vectors", "cartesian_site_positions", "species_at_sites", "species", "structure_features",
    "chemical_formula_reduced", "last_modified",
)  # fmt: skip

_NAME = "optimade"
_NEXT, _NUMBER, _SINCE = "next_page", "listing_number", "since"
_NEWEST, _NEWEST_SEEN, _DATED = "newest", "newest_seen", "every_record_dated"
_HAS_OR = re.compile(r"\bOR\b")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def open_optimade(text: str) -> MirroredSource:
    """Opens `optimade:URL?filter=FILTER[&page_limit=N][&response_fields=a,b]`.

    Args:
        text: the URL is a provider's base URL, with or without `/v1` and `/structures`; extra response fields become
            metadata.

    Raises:
        SourceError: no http(s) URL, or a parameter that is not known here.
    """
    settings = load_remote_settings()
    listing = _Listing.from_text(text)
    client = HttpClient(listing.endpoint, RateLimits.of(settings))
    mirror = Mirror.of(settings.cache_folder, _NAME, listing.question())
    return MirroredSource(text, mirror, lambda found: listing.refresh(found, client), settings)


class _Listing:
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
        self._filter = filter_text
        self._page_limit = page_limit
        self._fields = fields
        self._announced = 0

    @classmethod
    def from_text(cls, text: str) -> "_Listing":
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
        endpoint = urlunsplit((parts.scheme, parts.netloc, _structures(parts.path), "", ""))
        return cls(text, endpoint, given.get("filter", ""), int(limit), (*FIELDS, *extra))

    def question(self) -> dict[str, Any]:
        """What decides which records come, for the name of the mirror."""
        return {"endpoint": self.endpoint, "filter": self._filter, "fields": list(self._fields)}

    def refresh(self, mirror: Mirror, client: HttpClient) -> None:
        """Goes on with an unfinished listing, or begins one: of what changed where that can be asked, else of all."""
        url = mirror.mark(_NEXT) or self._begin(mirror)
        try:
            following = self._take_page(mirror, client, url)
        except UnreachableError:
            raise
        except SourceError as error:
            # A mark of last time that the provider no longer knows, or dates that it cannot be asked for.
            if url == self._first_page(None):
                raise
            event("optimade.begun_again", source=self.name, because=error)
            url = self._begin(mirror, everything=True)
            following = self._take_page(mirror, client, url)
        self._follow(mirror, client, {url}, following)
        self._end(mirror)

    def _follow(self, mirror: Mirror, client: HttpClient, seen: set[str], url: str | None) -> None:
        """Takes the pages from an address on, to the last."""
        while url is not None:
            if url in seen:
                raise SourceError(f"{self.name}: the provider's pages lead back to {url[:200]}. Report it to them.")
            seen.add(url)
            url = self._take_page(mirror, client, url)

    def _begin(self, mirror: Mirror, *, everything: bool = False) -> str:
        """Numbers a new listing and gives its first page."""
        askable = mirror.mark(COMPLETE) and mirror.mark(_DATED) and not everything
        since = mirror.mark(_NEWEST) if askable else None
        number = int(mirror.mark(_NUMBER) or 0) + (since is None)
        url = self._first_page(since)
        marks = {_NEXT: url, _SINCE: since, _NUMBER: number, _NEWEST_SEEN: since}
        mirror.write((), marks if since else marks | {_DATED: True})
        return url

    def _first_page(self, since: str | None) -> str:
        """URL of a listing, of all records or of those modified since."""
        clause = f'last_modified >= "{since}"' if since else ""
        # Some servers understand no parentheses: they are set only where the filter's own OR would swallow the clause.
        mine = f"({self._filter})" if clause and _HAS_OR.search(_QUOTED.sub("", self._filter)) else self._filter
        query = {
            "filter": " AND ".join(part for part in (mine, clause) if part),
            "page_limit": str(self._page_limit),
            "response_fields": ",".join(self._fields),
        }
        return f"{self.endpoint}?{urlencode({k: v for k, v in query.items() if v}, quote_via=quote)}"

    def _take_page(self, mirror: Mirror, client: HttpClient, url: str) -> str | None:
        """Writes one page into the mirror together with the address of the next; returns that, None at the end."""
        answer = client.get_json(url)
        bodies = _data(self.name, answer)
        refuse_changed_schema(self.name, bodies)
        following = _next_of(self.name, answer, url)
        records = [_record(self.name, body) for body in bodies]
        if following and not records:
            raise SourceError(f"{self.name}: an empty page of the provider leads to another one. Report it to them.")
        number, since, newest = mirror.mark(_NUMBER), mirror.mark(_SINCE), mirror.mark(_NEWEST_SEEN)
        stamps = [record.stamp for record in records if record.stamp is not None]
        dated = bool(mirror.mark(_DATED)) and len(stamps) == len(records)
        if since and (not dated or any(_moment(each) < _moment(since) for each in stamps)):
            raise SourceError(f"{self.name}: asked for what changed since {since}, the provider sends other records.")
        if records and not since and mirror.count_listed([record.id for record in records], number) == len(records):
            raise SourceError(
                f"{self.name}: the provider sends the same {len(records)} records for different pages; its paging does "
                "not work. Report it to them."
            )
        newest = max([*stamps, *([newest] if newest else [])], key=_moment, default=None)
        n_new = mirror.write(records, {_NEXT: following, _NEWEST_SEEN: newest, _DATED: dated}, number)
        self._announced = max(self._announced, _announced(answer))
        event("optimade.page", source=self.name, records=len(records), new_or_changed=n_new)
        return following

    def _end(self, mirror: Mirror) -> None:
        """Closes a listing; one of everything also tells which records are gone."""
        gone_before = 0 if mirror.mark(_SINCE) else mirror.mark(_NUMBER)
        n_gone = mirror.forget_unlisted(gone_before, {COMPLETE: True, _NEWEST: mirror.mark(_NEWEST_SEEN)})
        if len(mirror) < self._announced and gone_before:
            # Not an error: some providers estimate. But nobody shall take a part for the whole.
            _log.warning(
                "%s: the provider announces %d records, and its pages hold %d",
                self.name,
                self._announced,
                len(mirror),
            )
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


def _structures(path: str) -> str:
    """Path of the structures below a base URL, which may name version and endpoint or not."""
    path = path.rstrip("/")
    if path.endswith("/structures"):
        return path
    return f"{path}/structures" if re.search(r"/v\d+(\.\d+)*$", path) else f"{path}/v1/structures"


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
    found = datetime.fromisoformat(stamp)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _announced(answer: Mapping[str, Any]) -> int:
    """How many records the provider says that the filter matches; 0 where it does not say."""
    meta = answer.get("meta")
    found = meta.get("data_returned") if isinstance(meta, Mapping) else None
    return found if isinstance(found, int) else 0


def _next_of(name: str, answer: Mapping[str, Any], url: str) -> str | None:
    """Address of the next page; where it may lead is decided by the client."""
    links = answer.get("links")
    found = links.get("next") if isinstance(links, Mapping) else None
    if isinstance(found, Mapping):
        found = found.get("href")
    meta = answer.get("meta")
    if not found and isinstance(meta, Mapping) and meta.get("more_data_available") is True:
        raise SourceError(
            f"{name}: the provider says that there is more, and not where (`links.next` is missing). The format has "
            "changed; what arrived is kept, and the listing is not complete."
        )
    if found is not None and not isinstance(found, str):
        raise SourceError(f"{name}: `links.next` is a {type(found).__name__}, not an address. The format has changed.")
    return urljoin(url, found) if found else None
