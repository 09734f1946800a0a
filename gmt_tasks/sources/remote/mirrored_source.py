"""Sources that are fetched into a mirror first and read from it: what `mp:`, `optimade:` and `jarvis:` share."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gmt_tasks.settings import RemoteSettings
from gmt_tasks.sources.json_records import refused_or_parsed
from gmt_tasks.sources.parsed import Refusal, block_of_readings
from gmt_tasks.sources.remote.http_client import UnreachableError
from gmt_tasks.sources.remote.mirror import Mirror
from gmt_tasks.sources.source import SourceBlock
from gmt_tasks.telemetry import event
from models.errors import Reason, SourceError

RECORDS_PER_BLOCK = 1024
COMPLETE = "complete"
"""The mark that a first walk through the index came to its end; later ones only add, replace and remove."""

_log = logging.getLogger(__name__)

Refresh = Callable[[Mirror], None]


def bring_up_to_date(
    mirror: Mirror, name: str, refresh: Refresh, settings: RemoteSettings, *, may_be_empty: bool = False
) -> None:
    """Fetches what is new or changed since last time.

    A server that does not answer does not stop a run whose mirror is whole: it is used as it is, with a warning.

    Args:
        mirror: what is here.
        name: the source as the user wrote it.
        refresh: fetches; sets the mark `complete` when it has come to the end of the index.
        settings: with `offline`, nothing is fetched.
        may_be_empty: nothing that matches is no fault.

    Raises:
        SourceError: offline or unreachable without a whole mirror; whatever `refresh` raises.
    """
    if settings.offline:
        if not mirror.mark(COMPLETE):
            raise SourceError(f"{name} was never fetched to its end, and GMTSCREEN_OFFLINE is set. Unset it once.")
    else:
        try:
            refresh(mirror)
        except UnreachableError as error:
            if not mirror.mark(COMPLETE):
                raise
            _log.warning("%s: the %d records fetched earlier are used, since %s", name, len(mirror), error)
    if not len(mirror) and not may_be_empty:
        raise SourceError(f"{name} has no record: nothing there matches. Check the criteria or the filter.")
    event("mirror.ready", source=name, records=len(mirror), file=mirror.path)


class MirroredSource:
    """Crystals from a mirror; fetched when they, or the fingerprint, are first asked for.

    Args:
        name: the source as the user wrote it.
        mirror: where the records lie.
        refresh: fetches what is new or changed.
        settings: how.
    """

    def __init__(self, name: str, mirror: Mirror, refresh: Refresh, settings: RemoteSettings) -> None:
        self.name = name
        self._mirror = mirror
        self._refresh = refresh
        self._settings = settings
        self._fingerprint = ""

    def fingerprint(self) -> str:
        """That of the mirror, once it is up to date; it stays the same for the life of this object."""
        if not self._fingerprint:
            bring_up_to_date(self._mirror, self.name, self._refresh, self._settings)
            self._fingerprint = self._mirror.fingerprint()
        return self._fingerprint

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The records from position `start` on, in blocks of 1,024.

        Raises:
            SourceError: another process changed the mirror since its fingerprint was taken.
        """
        if self.fingerprint() != self._mirror.fingerprint():
            raise SourceError(
                f"{self.name}: another run has fetched changes since this one began. Run the same command again; "
                "crystals that did not change are not computed again."
            )
        for page in self._mirror.pages(start, RECORDS_PER_BLOCK):
            readings = [refused_or_parsed(body) for _, body in page]
            yield block_of_readings(start, readings, [record_id for record_id, _ in page])
            start += len(page)


def refuse_changed_schema(name: str, bodies: Sequence[Any]) -> None:
    """Stops a download whose records have all become unreadable in the same way: then the schema changed, not the data.

    Args:
        name: of the source.
        bodies: the records of one page.

    Raises:
        SourceError: no record of the page is readable; names the field that is missing or of another kind.
    """
    readings = [refused_or_parsed(body) for body in bodies]
    # Disorder and the like are properties of a crystal: only what cannot be parsed speaks about the format.
    unreadable = [reading for reading in readings if isinstance(reading, Refusal) and reading.reason is Reason.PARSE]
    if bodies and len(unreadable) == len(bodies):
        raise SourceError(
            f"{name}: none of {len(bodies)} records of a page is readable, the first because of: "
            f"{unreadable[0].detail}. The format of the source has changed; nothing of this page was kept. Report it, "
            "or download the structures as files."
        )
