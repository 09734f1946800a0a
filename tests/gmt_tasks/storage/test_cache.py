"""The cache of objects: whole copies of one version, within its bound, gone on with after a kill, fetched once."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from gmt_tasks.storage.cache import ObjectCache
from gmt_tasks.storage.object_store import StorageError, StoredObject

PIECE = 100
GO_ON = Event()


@dataclass
class Memory:
    """A store in memory that counts what it gives, may break off, and may change an object while it is read."""

    contents: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int | None = None
    changes_to: bytes | None = None
    n_given: int = 0
    address: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(server="s3://", scheme="s3"))

    def put(self, path: str, content: bytes) -> StoredObject:
        self.contents[path] = content
        return StoredObject(path, path, len(content), 0, self.etag(path))

    def etag(self, path: str) -> str:
        return sha256(self.contents[path]).hexdigest()

    def find(self, path: str) -> StoredObject | None:
        return StoredObject(path, path, len(self.contents[path]), 0) if path in self.contents else None

    @contextmanager
    def opened(self, path: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(etag=self.etag(path), pieces=lambda start: self.pieces(path, start))

    def pieces(self, path: str, start: int) -> Iterator[bytes]:
        for place in range(start, len(self.contents[path]), PIECE):
            if self.breaks_after is not None and self.n_given >= self.breaks_after:
                raise StorageError("broken off", may_pass=True)
            piece = self.contents[path][place : place + PIECE]
            self.n_given += len(piece)
            yield piece
            if self.changes_to is not None:
                self.contents[path], self.changes_to = self.changes_to, None


def content_of(seed: int, n_bytes: int = 1000) -> bytes:
    return random.Random(seed).randbytes(n_bytes)


def bytes_of(cache: ObjectCache, store: Memory, stored: StoredObject) -> bytes:
    held = cache.hold(store, stored, GO_ON)  # type: ignore[arg-type]
    content = held.path.read_bytes()
    held.close()
    return content


@pytest.fixture
def store() -> Memory:
    return Memory()


def test_a_transfer_that_broke_off_goes_on_where_it_was_in_another_process(store: Memory, tmp_path: Path) -> None:
    stored = store.put("b/x.cif", content_of(1))
    store.breaks_after = 600
    with pytest.raises(StorageError, match="broken off"):
        bytes_of(ObjectCache(tmp_path, 10_000), store, stored)
    store.breaks_after = None
    assert bytes_of(ObjectCache(tmp_path, 10_000), store, stored) == content_of(1)
    assert store.n_given == 1000, "what had arrived was fetched again"
    assert bytes_of(ObjectCache(tmp_path, 10_000), store, stored) == content_of(1) and store.n_given == 1000


def test_a_transfer_is_not_gone_on_with_from_another_version(store: Memory, tmp_path: Path) -> None:
    stored = store.put("b/x.cif", content_of(1))
    store.breaks_after = 600
    with pytest.raises(StorageError):
        bytes_of(ObjectCache(tmp_path, 10_000), store, stored)
    store.breaks_after = None
    # The listing knows no etag: only what was noted beside the part tells the versions apart.
    plain = StoredObject("b/x.cif", "x.cif", 1000, 0)
    store.put("b/x.cif", content_of(2))
    assert bytes_of(ObjectCache(tmp_path, 10_000), store, plain) == content_of(2)


@pytest.mark.parametrize("n_bytes", [1000, 900])
def test_an_object_that_changes_while_it_is_read_is_refused(n_bytes: int, store: Memory, tmp_path: Path) -> None:
    stored = store.put("b/x.cif", content_of(1))
    store.changes_to = content_of(2, n_bytes)
    with pytest.raises(StorageError, match="changed while it was read"):
        bytes_of(ObjectCache(tmp_path, 10_000), store, stored)
    assert not list(tmp_path.rglob("content-*"))


def test_a_damaged_copy_is_fetched_again(store: Memory, tmp_path: Path) -> None:
    stored = store.put("b/x.cif", content_of(1))
    bytes_of(ObjectCache(tmp_path, 10_000), store, stored)
    (copy,) = tmp_path.rglob("content-x.cif")
    copy.write_bytes(content_of(9))  # as many bytes
    assert bytes_of(ObjectCache(tmp_path, 10_000), store, stored) == content_of(1)


def test_the_bound_holds_and_what_is_in_use_stays(store: Memory, tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, 5_000)
    objects = [store.put(f"b/{number}.cif", content_of(number)) for number in range(20)]
    held = cache.hold(store, objects[0], GO_ON)  # type: ignore[arg-type]
    for number, stored in enumerate(objects):
        assert bytes_of(cache, store, stored) == content_of(number)
        kept = sum(path.stat().st_size for path in tmp_path.rglob("content-*"))
        assert kept <= 5_000
    assert held.path.read_bytes() == content_of(0), "a copy in use was removed"
    assert kept > 2_000, "nothing is kept"
    held.close()
    with pytest.raises(StorageError, match="GMTSCREEN_OBJECT_CACHE_GIB"):
        bytes_of(cache, store, store.put("b/large.cif", content_of(1, 5_001)))


def test_several_readers_of_one_object_fetch_it_once(store: Memory, tmp_path: Path) -> None:
    stored = store.put("b/x.cif", content_of(1))
    caches = [ObjectCache(tmp_path, 10_000) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        contents = list(threads.map(lambda cache: bytes_of(cache, store, stored), caches))
    assert contents == [content_of(1)] * 8 and store.n_given == 1000


def test_a_stop_ends_a_transfer_and_keeps_what_arrived(store: Memory, tmp_path: Path) -> None:
    stored, stop = store.put("b/x.cif", content_of(1)), Event()
    stop.set()
    with pytest.raises(StorageError, match="goes on at the next call"):
        ObjectCache(tmp_path, 10_000).hold(store, stored, stop)  # type: ignore[arg-type]
    assert bytes_of(ObjectCache(tmp_path, 10_000), store, stored) == content_of(1) and store.n_given == 1000


@pytest.mark.parametrize("name", ["../../x.cif", "a\n.cif", "x" * 300 + ".tar.gz", "POSCAR_é.gz"])
def test_a_foreign_name_becomes_no_path(name: str, store: Memory, tmp_path: Path) -> None:
    stored = store.put(f"b/{name}", content_of(1))
    held = ObjectCache(tmp_path, 10_000).hold(store, stored, GO_ON)  # type: ignore[arg-type]
    assert held.path.is_relative_to(tmp_path) and len(held.path.relative_to(tmp_path).parts) == 3
    assert held.path.name.isascii() and held.path.suffixes[-1:] == Path(name).suffixes[-1:]
    held.close()
