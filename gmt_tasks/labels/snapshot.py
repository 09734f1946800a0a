"""Dataset snapshots: the accepted training labels, frozen as a folder of label files under their hash.

A snapshot is what `read_labels` reads, so training, calibration and evaluation need not know that there is a database.
Behind the accepted labels stand the base labels of the shipped model, where it has any: public labels that calibrate
and test a model of a group whose own labels are too few for either, and that keep it from forgetting.
The same labels with the same splits give the same hash and the same files wherever they are frozen; a snapshot is
written once, whole, and never changed.
"""

import gzip
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from models.gmtnet.training_data.split_table import SplitTable

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
        base: hash of the base labels that stand behind the accepted ones; empty without any.
        n_base: rows of it, those aside whose crystal and kind have an accepted label.
        n_moved: labels whose formula has another part for the current model than in the database.
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
    base: str = ""
    n_base: int = 0
    n_moved: int = 0
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
            "base": self.base,
            "n_base": self.n_base,
            "n_moved": self.n_moved,
            "batches": self.batches,
        }


def snapshot_folder(datasets: Path, snapshot_hash: str) -> Path:
    """Where the snapshot of a hash lies, frozen or not."""
    return datasets / snapshot_hash[:SHORT_HASH]


@dataclass(frozen=True)
class Behind:
    """What stands behind the labels of a database.

    Attributes:
        table: the split of the model that will be trained further: a formula keeps the part that it has there.
        base: folder of base labels, a snapshot of its own.
    """

    table: SplitTable | None = None
    base: Path | None = None


def freeze(store: ResultStore, datasets: Path, behind: Behind = Behind()) -> DatasetSnapshot:
    """Freezes the labels that are accepted now.

    Args:
        store: the database.
        datasets: folder of snapshots.
        behind: split and base labels of the current model.

    Returns:
        The snapshot; the one that is there where the labels have not changed since.

    Raises:
        SourceError: no label is accepted, or a folder of that name holds something else.
    """
    rows = SnapshotRows()
    labels = list(store.labels.accepted())
    if not labels:
        raise SourceError(
            "No label of this database is accepted yet. Bring some with gmtscreen ingest SOURCE --labels --db DB."
        )
    parts = {} if behind.table is None else behind.table.parts_of([label.formula for label in labels])
    for label in labels:
        file, row = label_row(label)
        rows.add(file, row | {"split": parts.get(label.formula, label.split)})
    n_moved = sum(parts.get(label.formula, label.split) != label.split for label in labels)
    base = None if behind.base is None else verify_snapshot(behind.base)
    n_base = 0 if base is None else _add_base(rows, base.folder, labels, behind.table)
    name = content_hash(rows.lines)
    folder = snapshot_folder(datasets, name)
    if not folder.exists():
        earlier = newest_snapshot(datasets)
        before = set() if earlier is None else set((earlier.folder / HASHES).read_text(encoding="utf-8").split())
        facts = rows.snapshot(folder)
        if earlier is not None:
            added, removed = len(set(rows.hashes) - before), len(before - set(rows.hashes))
            facts = replace(facts, earlier=earlier.hash, added=added, removed=removed)
        of_batch = Counter(label.ingest_id for label in labels)
        batches = [
            {"batch": batch.id, "source": batch.source, "rows": of_batch[batch.id]}
            for batch in store.labels.batches()
            if batch.id in of_batch
        ]
        base_hash = "" if base is None else base.hash
        facts = replace(facts, base=base_hash, n_base=n_base, n_moved=n_moved, batches=batches)
        write_snapshot(facts, rows)
    # the name is a part of the hash: read back, whoever wrote it
    frozen = read_snapshot(folder)
    if frozen.hash != name:
        raise SourceError(f"{folder} holds the snapshot {frozen.hash}, not {name}. Remove or rename it.")
    return frozen


class SnapshotRows:
    """The rows of a snapshot as lines by file, and what is counted of them."""

    def __init__(self) -> None:
        self.lines: defaultdict[str, list[str]] = defaultdict(list)
        self.counts: dict[str, Counter[str]] = {"kind": Counter(), "split": Counter(), "source": Counter()}
        self.licences: Counter[str] = Counter()
        self.hashes: list[str] = []

    def add(self, file: str, row: dict[str, Any]) -> None:
        """Adds a row, whole as it will be read."""
        self.lines[file].append(json.dumps(row, sort_keys=True, separators=(",", ":"), allow_nan=False))
        for name, counter in self.counts.items():
            counter[str(row[name])] += 1
        self.licences[str(row.get("licence") or "")] += 1
        self.hashes.append(row["label"])

    def snapshot(self, folder: Path) -> DatasetSnapshot:
        """The snapshot of these rows in a folder, with nothing before it."""
        counts = {key: dict(sorted(count.items())) for key, count in self.counts.items()}
        licences = dict(sorted(self.licences.items()))
        name = content_hash(self.lines)
        return DatasetSnapshot(name, folder, counts, licences, code_version(), "", len(set(self.hashes)), 0)


def label_row(label: AcceptedLabel) -> tuple[str, dict[str, Any]]:
    """The stem of the file that a label goes into, and its row with split, licence and hash filled in."""
    row = json.loads(label.content)
    kind = KINDS[label.kind]
    row = dict.fromkeys(kind.optional) | row | {"split": label.split, "label": label.hash, "kind": label.kind}
    row.setdefault("source", label.source)
    row.setdefault("id", label.source_id)
    recovered = "_recovered" if row.get("recovered") else ""
    return kind.file + recovered, row


def _add_base(rows: SnapshotRows, folder: Path, labels: Sequence[AcceptedLabel], table: SplitTable | None) -> int:
    """Adds the base labels whose crystal and kind have no accepted label; returns their number."""
    own = {(label.crystal_id, label.kind) for label in labels}
    kept: list[tuple[str, dict[str, Any]]] = []
    for file, lines in label_lines(folder).items():
        kept += [(file, row) for row in map(json.loads, lines) if (row["crystal"], row["kind"]) not in own]
    parts = {} if table is None else table.parts_of([row["formula"] for _, row in kept])
    for file, row in kept:
        rows.add(file, row | {"split": parts.get(row["formula"], row["split"])})
    return len(kept)


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
    actual = content_hash(label_lines(folder))
    if actual != snapshot.hash:
        raise SourceError(
            f"The label files in {folder} have the hash {actual[:SHORT_HASH]}, snapshot.json says "
            f"{snapshot.hash[:SHORT_HASH]}: they were changed. Remove the snapshot and freeze it anew."
        )
    return snapshot


def label_lines(folder: Path) -> dict[str, list[str]]:
    """The lines of the label files of a snapshot, by stem of the file.

    Raises:
        SourceError: a file is damaged.
    """
    lines = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        try:
            lines[path.name.removesuffix(".jsonl.gz")] = gzip.decompress(path.read_bytes()).decode().splitlines()
        except (OSError, EOFError, ValueError) as error:
            raise SourceError(f"{path} is damaged: {error}. Remove the snapshot and freeze it anew.") from None
    return lines


def newest_snapshot(datasets: Path) -> DatasetSnapshot | None:
    """The snapshot that no other one names as the one before it; None where there is none."""
    snapshots = [read_snapshot(path.parent) for path in sorted(datasets.glob(f"*/{SNAPSHOT_FACTS}"))]
    older = {snapshot.earlier for snapshot in snapshots}
    return next((snapshot for snapshot in snapshots if snapshot.hash not in older), None)


def write_snapshot(snapshot: DatasetSnapshot, rows: SnapshotRows) -> None:
    """Writes the folder: whole or not at all."""
    snapshot.folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{snapshot.folder.name}-", dir=snapshot.folder.parent))
    try:
        for file, lines in rows.lines.items():
            text = "".join(f"{line}\n" for line in lines).encode()
            # without a time in its head: the same rows give the same bytes
            (part / f"{file}.jsonl.gz").write_bytes(gzip.compress(text, compresslevel=6, mtime=0))
        (part / HASHES).write_text("".join(f"{name}\n" for name in sorted(rows.hashes)), encoding="utf-8")
        (part / SNAPSHOT_FACTS).write_text(
            json.dumps(snapshot.facts(), indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        part.chmod(0o755)
        part.rename(snapshot.folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not snapshot.folder.exists():  # else another process froze the same labels at the same time
            raise
