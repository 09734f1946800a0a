"""Mirrors: what was fetched from the network, kept on disk, so that runs read a fixed set of records and work offline.

A mirror is one SQLite file. A page of records and the mark that says how far the download came are one transaction: a
killed download loses at most the page under way, and never has half of one. A record that changed takes the place of
the old one, so that the order of the others stays. Every walk through the provider's index has a number, and a record
the number of the last walk that met it: what a whole walk did not meet is gone.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from models.errors import SourceError

FORMAT = 1
"""Part of the file's name: a mirror that an older version wrote is left alone, and fetched anew."""

BUSY_S = 60.0

_TABLES = (
    "CREATE TABLE IF NOT EXISTS record (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " stamp TEXT, digest BLOB NOT NULL, listing INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
_UPSERT = (
    "INSERT INTO record (id, stamp, digest, listing, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
    " stamp = excluded.stamp, digest = excluded.digest, listing = excluded.listing, body = excluded.body"
)
_MARK = "INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


@dataclass(frozen=True)
class MirrorRecord:
    """One record of a source.

    Attributes:
        id: the source's own id.
        body: what it says, as JSON; without what changes when the record does not (time stamps, build dates).
        stamp: when the source says that it last changed; None where it does not say.
    """

    id: str
    body: Any
    stamp: str | None = None


class Mirror:
    """The records of one question to one source.

    Args:
        path: of the SQLite file; made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, folder: Path, provider: str, question: Mapping[str, Any]) -> "Mirror":
        """The mirror of a question; the same question has the same mirror.

        Args:
            folder: where mirrors lie.
            provider: name of the folder: "mp", "optimade" or "jarvis".
            question: whatever changes the answer; no secret, since it is written beside the records.
        """
        text = json.dumps(question, sort_keys=True)
        mirror = cls(folder / provider / f"{sha256(text.encode()).hexdigest()[:16]}.{FORMAT}.sqlite")
        if not mirror.path.exists():
            mirror.write((), {"question": question})
        return mirror

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection whose block is one transaction."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as connection, connection:
                connection.execute("PRAGMA journal_mode = WAL")  # a run may read while another one fetches
                connection.execute("PRAGMA synchronous = NORMAL")
                for table in _TABLES:
                    connection.execute(table)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise SourceError(
                f"The mirror {self.path} cannot be used: {error}. Make room or set GMTSCREEN_CACHE to another folder; "
                "if it is damaged, delete it and it is fetched anew."
            ) from error

    def mark(self, name: str) -> Any:
        """A mark that `write` left; None if there is none."""
        with self._connected() as connection:
            row = connection.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def write(self, records: Iterable[MirrorRecord], marks: Mapping[str, Any], walk: int = 0) -> int:
        """Adds records or replaces those of the same id, and sets marks, all or nothing.

        Args:
            records: what arrived.
            marks: values that JSON knows, by name.
            walk: number of the walk through the index that brought the records, see `remove_unmet`.

        Returns:
            How many records are new or say something new.
        """
        rows = []
        for record in records:
            # Keys sorted: the same content has the same digest, however the provider orders it.
            try:
                text = json.dumps(record.body, sort_keys=True).encode()
            except RecursionError:  # it keeps its place, and whoever reads it refuses it
                text = json.dumps({"id": record.id, "not_kept": "nested too deeply"}).encode()
            stamp = None if record.stamp is None else _storable(record.stamp)
            rows.append((_storable(record.id), stamp, sha256(text).digest(), walk, zlib.compress(text, 3)))
        n_new = 0
        with self._connected() as connection:
            for record_id, _, digest, *_ in rows:
                stored = connection.execute("SELECT digest FROM record WHERE id = ?", (record_id,)).fetchone()
                n_new += stored is None or stored[0] != digest
            connection.executemany(_UPSERT, rows)
            connection.executemany(_MARK, [(name, json.dumps(value)) for name, value in marks.items()])
        return n_new

    def remove_unmet(self, walk: int, marks: Mapping[str, Any]) -> int:
        """Removes the records that an earlier walk met and this one did not; returns how many."""
        with self._connected() as connection:
            cursor = connection.execute("DELETE FROM record WHERE listing < ?", (walk,))
            connection.executemany(_MARK, [(name, json.dumps(value)) for name, value in marks.items()])
            return cursor.rowcount

    def mark_unchanged(self, ids: Iterable[str], walk: int) -> None:
        """Records that a new walk met without a change."""
        with self._connected() as connection:
            rows = [(walk, _storable(record_id)) for record_id in ids]
            connection.executemany("UPDATE record SET listing = ? WHERE id = ?", rows)

    def count_met(self, ids: Sequence[str], walk: int) -> int:
        """How many of these records a walk has met already."""
        with self._connected() as connection:
            find = "SELECT count(*) FROM record WHERE id = ? AND listing = ?"
            return sum(connection.execute(find, (_storable(record_id), walk)).fetchone()[0] for record_id in ids)

    def stamps(self) -> dict[str, str | None]:
        """When each record last changed, by id."""
        with self._connected() as connection:
            return dict(connection.execute("SELECT id, stamp FROM record ORDER BY position"))

    def fingerprint(self) -> str:
        """sha256 over ids and contents in order."""
        digest = sha256()
        with self._connected() as connection:
            for record_id, content in connection.execute("SELECT id, digest FROM record ORDER BY position"):
                digest.update(f"{record_id}\0".encode())
                digest.update(content)
        return digest.hexdigest()

    def __len__(self) -> int:
        with self._connected() as connection:
            return int(connection.execute("SELECT count(*) FROM record").fetchone()[0])

    def pages(self, start: int, size: int) -> Iterator[list[tuple[str, Any]]]:
        """Ids and bodies from input number `start` on, in order, `size` at a time."""
        with self._connected() as connection:
            cursor = connection.execute("SELECT id, body FROM record ORDER BY position LIMIT -1 OFFSET ?", (start,))
            while page := cursor.fetchmany(size):
                try:
                    records = [(record_id, json.loads(zlib.decompress(body))) for record_id, body in page]
                except (zlib.error, ValueError, TypeError) as error:
                    raise SourceError(
                        f"The mirror {self.path} is damaged: {error}. Delete it, and it is fetched anew."
                    ) from error
                yield records


def _storable(text: str) -> str:
    """The text with surrogates, which JSON may hold and SQLite refuses, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
