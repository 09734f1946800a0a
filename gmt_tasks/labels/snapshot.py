"""Dataset snapshots: the accepted training labels, frozen as a folder of label files under their hash.

A snapshot is what `read_labels` reads, so training, calibration and evaluation need not know that there is a database.
The same labels with the same splits give the same hash and the same files wherever they are frozen; a snapshot is
written once, whole, and never changed.
"""

import gzip
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from db.labels.rows import AcceptedLabel
from db.store import ResultStore
from gmt_tasks.import_guard import code_version
from gmt_tasks.labels.files import SNAPSHOT_FACTS
from gmt_tasks.labels.kinds import KINDS
from models.errors import SourceError

SHORT_HASH = 12
HASHES = "labels.txt"


@dataclass(frozen=True)
class DatasetSnapshot:
    """One snapshot.

    Attributes:
        hash: sha256 of all rows with their splits.
        folder: where its label files lie.
        counts: rows by kind, by split and by source.
        licences: rows by licence, "" where a source gives none.
        code_version: of the program that froze it first.
        earlier: hash of the snapshot before it, empty for the first.
        added, removed: labels against the one before.
        batches: label batches that the rows came with, each with `batch`, `source` and `rows`; numbers are those of the
            database that it was frozen from first.
    """

    hash: str
    folder: Path
    counts: dict[str, dict[str, int]]
    licences: dict[str, int]
    code_version: str
    earlier: str
    added: int
    removed: int
    batches: list[dict[str, Any]] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """What `snapshot.json` holds."""
        return {
            "hash": self.hash,
            "counts": self.counts,
            "licences": self.licences,
            "code_version": self.code_version,
            "earlier": self.earlier,
            "added": self.added,
            "removed": self.removed,
            "batches": self.batches,
        }


def snapshot_folder(datasets: Path, snapshot_hash: str) -> Path:
    """Where the snapshot of a hash lies, frozen or not."""
    return datasets / snapshot_hash[:SHORT_HASH]


def freeze(store: ResultStore, datasets: Path) -> DatasetSnapshot:
    """Freezes the labels that are accepted now.

    Args:
        store: the database.
        datasets: folder of snapshots.

    Returns:
        The snapshot; the one that is there where the labels have not changed since.

    Raises:
        SourceError: no label is accepted, or a folder of that name holds something else.
    """
    lines: defaultdict[str, list[str]] = defaultdict(list)
    counts: dict[str, Counter[str]] = {"kind": Counter(), "split": Counter(), "source": Counter()}
    licences: Counter[str] = Counter()
    of_batch: Counter[int] = Counter()
    hashes = []
    for label in store.labels.accepted():
        file, line = label_line(label)
        lines[file].append(line)
        hashes.append(label.hash)
        counts["kind"][label.kind] += 1
        counts["split"][label.split] += 1
        counts["source"][label.source] += 1
        licences[label.licence or ""] += 1
        of_batch[label.ingest_id] += 1
    if not hashes:
        raise SourceError(
            f"No label in {store} is accepted yet. Bring some with gmtscreen ingest SOURCE --labels --db DB."
        )
    name = content_hash(lines)
    folder = snapshot_folder(datasets, name)
    if not folder.exists():
        earlier = newest_snapshot(datasets)
        before = set() if earlier is None else set((earlier.folder / HASHES).read_text(encoding="utf-8").split())
        snapshot = DatasetSnapshot(
            hash=name,
            folder=folder,
            counts={key: dict(sorted(count.items())) for key, count in counts.items()},
            licences=dict(sorted(licences.items())),
            code_version=code_version(),
            earlier="" if earlier is None else earlier.hash,
            added=len(set(hashes) - before),
            removed=len(before - set(hashes)),
            batches=[
                {"batch": batch.id, "source": batch.source, "rows": of_batch[batch.id]}
                for batch in store.labels.batches()
                if batch.id in of_batch
            ],
        )
        _write(snapshot, lines, hashes)
    # the name is a part of the hash: read back, whoever wrote it
    frozen = read_snapshot(folder)
    if frozen.hash != name:
        raise SourceError(f"{folder} holds the snapshot {frozen.hash}, not {name}. Remove or rename it.")
    return frozen


def label_line(label: AcceptedLabel) -> tuple[str, str]:
    """The stem of the file that a label goes into, and its line: the row with split, licence and hash filled in."""
    row = json.loads(label.content)
    kind = KINDS[label.kind]
    row = dict.fromkeys(kind.optional) | row | {"split": label.split, "label": label.hash}
    row.setdefault("source", label.source)
    row.setdefault("id", label.source_id)
    recovered = "_recovered" if row.get("recovered") else ""
    return kind.file + recovered, json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(lines: Mapping[str, Iterable[str]]) -> str:
    """sha256 over the lines of all files, in the order of the files' names."""
    digest = sha256()
    for file in sorted(lines):
        digest.update(f"{file}\n".encode())
        for line in lines[file]:
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def read_snapshot(folder: Path) -> DatasetSnapshot:
    """A snapshot that was frozen.

    Raises:
        SourceError: the folder is none.
    """
    try:
        facts = json.loads((folder / SNAPSHOT_FACTS).read_text(encoding="utf-8"))
        return DatasetSnapshot(folder=folder, **facts)
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(f"{folder} is no dataset snapshot: {error}. Freeze one anew in an empty folder.") from None


def verify_snapshot(folder: Path) -> DatasetSnapshot:
    """A snapshot whose files are what its hash says.

    Raises:
        SourceError: the folder is none, or a file was changed since.
    """
    snapshot = read_snapshot(folder)
    lines = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        try:
            lines[path.name.removesuffix(".jsonl.gz")] = gzip.decompress(path.read_bytes()).decode().splitlines()
        except (OSError, EOFError, ValueError) as error:
            raise SourceError(f"{path} is damaged: {error}. Remove the snapshot and freeze it anew.") from None
    actual = content_hash(lines)
    if actual != snapshot.hash:
        raise SourceError(
            f"The label files in {folder} have the hash {actual[:SHORT_HASH]}, snapshot.json says "
            f"{snapshot.hash[:SHORT_HASH]}: they were changed. Remove the snapshot and freeze it anew."
        )
    return snapshot


def newest_snapshot(datasets: Path) -> DatasetSnapshot | None:
    """The snapshot that no other one names as the one before it; None where there is none."""
    snapshots = [read_snapshot(path.parent) for path in sorted(datasets.glob(f"*/{SNAPSHOT_FACTS}"))]
    older = {snapshot.earlier for snapshot in snapshots}
    return next((snapshot for snapshot in snapshots if snapshot.hash not in older), None)


def _write(snapshot: DatasetSnapshot, lines: Mapping[str, Iterable[str]], hashes: Iterable[str]) -> None:
    """Writes the folder: whole or not at all."""
    snapshot.folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{snapshot.folder.name}-", dir=snapshot.folder.parent))
    try:
        for file, rows in lines.items():
            text = "".join(f"{row}\n" for row in rows).encode()
            # without a time in its head: the same rows give the same bytes
            (part / f"{file}.jsonl.gz").write_bytes(gzip.compress(text, compresslevel=6, mtime=0))
        (part / HASHES).write_text("".join(f"{name}\n" for name in sorted(hashes)), encoding="utf-8")
        (part / SNAPSHOT_FACTS).write_text(
            json.dumps(snapshot.facts(), indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        part.chmod(0o755)
        part.rename(snapshot.folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not snapshot.folder.exists():  # else another process froze the same labels at the same time
            raise
