"""Files that lie in object storage: an object, a folder or a glob, read through local copies that are fetched ahead.

The driver lists and fetches; what interprets the bytes reads a local file, as for any other source.
"""

from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Self

from gmt_tasks.settings import load_remote_settings
from gmt_tasks.sources.files.find import FoundFiles, NamedFile
from gmt_tasks.sources.files.formats import FileFormat, ending_of, file_format, readable_formats
from gmt_tasks.storage.address import StorageAddress
from gmt_tasks.storage.cache import HeldCopy, ObjectCache
from gmt_tasks.storage.object_store import ObjectStore, StoredObject
from models.errors import SourceError

AHEAD_FILES = 32
AHEAD_BYTES = 256 << 20
_THREADS = 8
_MAGIC = frozenset("*?[")


class ObjectFiles:
    """The inputs that an address in object storage means.

    Args:
        store: where they lie.
        cache: of local copies.
        objects: the inputs, in the order in which they are read.
        ignored: how many others lie there, by the ending of their names.
    """

    def __init__(
        self, store: ObjectStore, cache: ObjectCache, objects: list[StoredObject], ignored: Counter[str]
    ) -> None:
        self._store = store
        self._cache = cache
        self._objects = objects
        files = [NamedFile(Path(stored.label), stored.label, _format_of(stored)) for stored in objects]
        self.found = FoundFiles(files, ignored)

    @classmethod
    def find(cls, text: str) -> Self:
        """Lists what an address means; no object is read.

        Raises:
            SourceError: there is nothing, no access, or no answer; or GMTSCREEN_OFFLINE is set.
        """
        settings = load_remote_settings()
        address = StorageAddress.parse(text)
        if settings.offline:
            raise SourceError(f"{address} cannot be read while GMTSCREEN_OFFLINE is set. Unset it, or copy the files.")
        store = ObjectStore(address, settings.s3_endpoint)
        cache = ObjectCache(settings.cache_folder / "objects", int(settings.object_cache_gib * (1 << 30)))
        listed = list_objects(store, address)
        # Objects that cannot be asked for are inputs, so that nobody takes them for read: they will be refused.
        inputs = [stored for stored in listed if not stored.is_addressable or _format_of(stored) is not None]
        ignored = Counter(ending_of(stored.label) for stored in set(listed) - set(inputs))
        if not inputs:
            problem = f"{address} holds no object that can be read among {len(listed)}"
            raise SourceError(f"{problem}. Give {readable_formats()}, or a folder or glob of these.")
        return cls(store, cache, store.with_etags(inputs), ignored)

    def fingerprint(self) -> str:
        """sha256 over names, sizes, times and (up to a thousand objects) etags; nothing is fetched for it."""
        digest = sha256()
        for stored in self._objects:
            digest.update(f"{stored.label}\0{stored.version}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def local(self) -> Iterator[NamedFile]:
        """The files in order, each with a local copy that is there until the next one is asked for.

        Small objects are fetched side by side ahead of their turn: one at a time would cost a round trip each.

        Raises:
            StorageError: an object cannot be fetched; whoever asks again goes on with what has arrived.
        """
        waiting = deque(zip(self.found.files, self._objects, strict=True))
        window: deque[tuple[NamedFile, StoredObject, Future[HeldCopy] | None]] = deque()
        n_bytes = 0
        threads, stop = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects"), Event()
        try:
            while waiting or window:
                while waiting and len(window) < AHEAD_FILES:
                    file, stored = waiting[0]
                    if window and n_bytes + stored.n_bytes > AHEAD_BYTES:
                        break
                    waiting.popleft()
                    # What has no format is refused by its name.
                    is_fetched = stored.is_addressable and file.format is not None
                    copy = threads.submit(self._cache.hold, self._store, stored, stop) if is_fetched else None
                    window.append((file, stored, copy))
                    n_bytes += stored.n_bytes
                file, stored, copy = window.popleft()
                n_bytes -= stored.n_bytes
                if copy is None:
                    yield file
                    continue
                with closing(copy.result()) as held:
                    yield replace(file, path=held.path)
        finally:
            stop.set()
            threads.shutdown(cancel_futures=True)
            for _, _, copy in window:
                if copy is not None and not copy.cancelled() and copy.exception() is None:
                    copy.result().close()


def list_objects(store: ObjectStore, address: StorageAddress) -> list[StoredObject]:
    """The objects that an address means, sorted by label: the one of this name, those of a folder, or of a glob.

    Raises:
        SourceError: there is none.
    """
    # A name is a name first, whatever characters it holds, as on a disk.
    only = store.find(address.path) if address.key and not address.key.endswith("/") else None
    if only is not None:
        return [only]
    if not _MAGIC & set(address.key):
        listed = store.list_folder(address.path)
    else:
        parts = address.key.split("/")
        n_plain = next(number for number, part in enumerate(parts) if _MAGIC & set(part))
        folder = "/".join([address.bucket, *parts[:n_plain]])
        found = [each for each in store.list_folder(folder) if matches(each.label.split("/"), parts[n_plain:])]
        # As from a disk, an id begins where the matches differ.
        levels = zip(*(each.path.split("/")[:-1] for each in found), strict=False)
        n_common = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
        listed = [replace(each, label="/".join(each.path.split("/")[n_common:])) for each in found]
    if not listed:
        raise SourceError(f"{address}: there is no such object, folder or match.")
    return listed


def matches(parts: list[str], pattern: list[str]) -> bool:
    """Whether the parts of a key match those of a glob; `**` stands for any number of parts.

    All places of the pattern that may be reached are followed at once: time is bounded by the product of the lengths.
    """
    reached = _past_any({0}, pattern)
    for part in parts:
        further = {place for place in reached if place < len(pattern) and pattern[place] == "**"}
        further |= {
            place + 1
            for place in reached
            if place < len(pattern) and pattern[place] != "**" and fnmatchcase(part, pattern[place])
        }
        reached = _past_any(further, pattern)
    return len(pattern) in reached


def _past_any(places: set[int], pattern: list[str]) -> set[int]:
    """The places, and those behind a `**` that stands for nothing."""
    reached = set(places)
    for place, part in enumerate(pattern):
        if part == "**" and place in reached:
            reached.add(place + 1)
    return reached


def _format_of(stored: StoredObject) -> FileFormat | None:
    return file_format(stored.label.rpartition("/")[2]) if stored.is_addressable else None
