"""Local copies of objects: bounded, verified, and complete or not there; what a killed transfer left is gone on with.

    CACHE/objects/<2 digits>/<address and version>/lock, content-<name>, sha256, and while it arrives .part and .version

A copy is of one version (size, time, etag), so that it never grows old; it is compared with its sha256 the first time a
process uses it. Whoever uses a copy holds its lock; only copies that nobody holds make room for others.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from threading import Event, Lock

from gmt_tasks.storage.object_store import ObjectStore, StorageError, StoredObject

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_NAME_CHARS = 60
_LOCK, _SHA256, _PART, _VERSION = "lock", "sha256", "content.part", "content.version"
KEPT_SHARE = 0.9
"""How much of its bound a cache keeps when it makes room: once for many objects, since it looks at every copy."""


@dataclass(frozen=True)
class HeldCopy:
    """A local copy that nobody removes until it is closed.

    Attributes:
        path: the file.
        lock: what is let go at the end.
    """

    path: Path
    lock: ExitStack

    def close(self) -> None:
        """Lets go of the copy."""
        self.lock.close()


class ObjectCache:
    """The local copies of objects in one folder; several processes and threads may share it.

    Args:
        folder: where they lie.
        max_bytes: how much they may take together; what another process adds is noticed when room is made again.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._verified: set[Path] = set()
        self._n_bytes: int | None = None
        self._counting = Lock()

    def hold(self, store: ObjectStore, stored: StoredObject, stop: Event) -> HeldCopy:
        """The local copy of an object, fetched if it is not there.

        Args:
            store: where the object lies.
            stored: the object as it was listed.
            stop: ends a transfer when it is set; what has arrived stays.

        Raises:
            StorageError: it cannot be read, is another one by now, or is larger than the cache.
        """
        key = sha256(f"{store.address.server}\0{stored.path}\0{stored.version}".encode()).hexdigest()[:40]
        entry = self._folder / key[:2] / key
        # Its ending says how it is packed; nothing else of a foreign name becomes part of a path.
        path = entry / f"content-{_UNSAFE.sub('_', stored.path.rpartition('/')[2])[-_NAME_CHARS:]}"
        lock = ExitStack()
        try:
            lock.enter_context(self._intact(store, stored, path, stop))
        except OSError as error:
            raise StorageError(
                f"The cache {self._folder} cannot be used: {error.strerror or error}. Make room, or set "
                "GMTSCREEN_CACHE to another folder."
            ) from error
        return HeldCopy(path, lock)

    @contextmanager
    def _intact(self, store: ObjectStore, stored: StoredObject, path: Path, stop: Event) -> Iterator[None]:
        """Holds a whole copy, fetched first if there is none."""
        while True:
            with _locked(path.parent, fcntl.LOCK_SH):
                if self._is_intact(path, stored):
                    os.utime(path)  # what was used last is kept longest
                    yield
                    return
            # Alone in the entry: one of several processes fetches, the others find the copy. A lock cannot be turned
            # into another kind without a moment in which nobody has it, so the copy is looked at again after.
            with _locked(path.parent, fcntl.LOCK_EX):
                if not self._is_intact(path, stored):
                    self._fetch(store, stored, path, stop)

    def _is_intact(self, path: Path, stored: StoredObject) -> bool:
        """Whether a whole and unchanged copy is there; its content is read once per process."""
        digest = path.with_name(_SHA256)
        if not path.is_file() or path.stat().st_size != stored.n_bytes or not digest.is_file():
            return False
        if path not in self._verified:
            with path.open("rb") as stream:
                if file_digest(stream, "sha256").hexdigest() != digest.read_text(encoding="ascii"):
                    return False
            self._verified.add(path)
        return True

    def _fetch(self, store: ObjectStore, stored: StoredObject, path: Path, stop: Event) -> None:
        """Brings an object here, from where an earlier attempt ended."""
        part, version = path.with_name(_PART), path.with_name(_VERSION)
        with store.opened(stored.path) as opened:
            etag = opened.etag
            is_begun = part.exists() and version.exists() and version.read_text(encoding="utf-8") == etag
            start = part.stat().st_size if is_begun and etag else 0
            self._make_room(stored, stored.n_bytes - start)
            version.write_text(etag, encoding="utf-8")
            digest = sha256()
            with part.open("r+b" if start else "wb") as stream:
                # What an earlier attempt left counts for the digest too, and the stream then stands at its end.
                while piece := stream.read(1 << 20) if start else b"":
                    digest.update(piece)
                for piece in opened.pieces(start):
                    stream.write(piece)
                    digest.update(piece)
                    if stop.is_set():
                        raise StorageError(f"{stored.path}: the transfer was stopped and goes on at the next call.")
                n_bytes = stream.tell()
                os.fsync(stream.fileno())
        # The server may have been given another object meanwhile: then two halves would be one copy.
        if stored.etag:
            is_same = stored.etag == etag == store.etag(stored.path)
        else:
            now = store.find(stored.path)
            is_same = now is not None and now.version == stored.version
        if n_bytes != stored.n_bytes or not is_same:
            part.unlink()
            raise StorageError(
                f"{store.address.scheme}://{stored.path} was changed while it was read. Run the same command again; "
                "a changed source is another run."
            )
        path.with_name(_SHA256).write_text(digest.hexdigest(), encoding="ascii")
        part.replace(path)
        version.unlink()
        self._verified.add(path)

    def _make_room(self, stored: StoredObject, n_bytes: int) -> None:
        """Counts bytes that are about to arrive, and removes the copies that were not used for longest.

        Raises:
            StorageError: the object is larger than the whole cache.
        """
        if stored.n_bytes > self._max_bytes:
            size, bound = (f"{n / (1 << 30):.3g} GiB" for n in (stored.n_bytes, self._max_bytes))
            raise StorageError(
                f"{stored.path} has {size}, and the cache may take {bound}. Raise GMTSCREEN_OBJECT_CACHE_GIB, or cut "
                "the object into smaller ones."
            )
        with self._counting:
            if self._n_bytes is None or self._n_bytes + n_bytes > self._max_bytes:
                self._n_bytes = self._evict(n_bytes)
            self._n_bytes += n_bytes

    def _evict(self, n_bytes: int) -> int:
        """Removes copies until there is room for more bytes; returns how many bytes are left."""
        copies = sorted(_described(entry) for entry in self._folder.glob("??/*"))
        total = sum(size for _, size, _ in copies)
        if total + n_bytes <= self._max_bytes:
            return total
        for _, size, entry in copies:
            if total + n_bytes <= KEPT_SHARE * self._max_bytes:
                break
            # The entry that is fetched now is held by ourselves: a second lock on it is refused like anybody's.
            try:
                with _locked(entry, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(entry, ignore_errors=True)
            except BlockingIOError:
                continue
            total -= size
        return total


def _described(entry: Path) -> tuple[float, int, Path]:
    """When an entry was last used, in seconds since 1970, and its size in bytes; one that is being removed has none."""
    times, n_bytes = [0.0], 0
    try:
        for path in entry.iterdir():
            status = path.stat()
            times.append(status.st_mtime)
            n_bytes += status.st_size
    except FileNotFoundError:
        return 0.0, 0, entry
    return max(times), n_bytes, entry


@contextmanager
def _locked(entry: Path, how: int) -> Iterator[None]:
    """A lock on an entry, which is made if it is not there."""
    while True:
        entry.mkdir(parents=True, exist_ok=True)
        path = entry / _LOCK
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # removed between the two lines, to make room
            continue
        try:
            fcntl.flock(lock, how)
            # Whoever waited may hold the lock of an entry that was removed meanwhile.
            if not os.fstat(lock).st_nlink:
                continue
            yield
            return
        finally:
            os.close(lock)
