"""LabelStore: the labels' part of the database, as `ResultStore.labels` gives it.

Every method is one transaction and may be repeated, like those of `ResultStore`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from db.labels import batches
from db.labels import rows as labels
from db.labels.batches import LabelBatch, Resolve, Retraction, Withdrawal
from db.labels.links import known_crystals, label_kinds
from db.labels.rows import AcceptedLabel, LabelRecord, Resolution, StoredLabel
from db.query.sql.lists import values_of
from db.records import IngestedBlock
from db.runs.deduplication import crystals_of
from db.tables import LabelState
from db.transactions import read, reading, write
from models.crystals.crystal import CrystalBatch


class LabelStore:
    """Labels, the batches that brought them, and the splits of formulas; see `db.labels.rows` for each method.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open_ingest(self, source: str, fingerprint: str, who: str = "") -> int:
        """The number of a label batch; the one that was begun where the same content has no status yet."""
        return write(self._engine, labels.open_ingest, source, fingerprint, who)

    def unresolved(self, ingest_id: int, hashes: Sequence[str], states: Collection[LabelState] = ()) -> dict[str, bool]:
        """The known ones of the hashes: True for those that this batch resolves (again)."""
        return write(self._engine, labels.unresolved, ingest_id, hashes, states)

    def add(self, ingest_id: int, records: Sequence[LabelRecord], block: IngestedBlock) -> None:
        """Writes labels that were checked one by one, and their crystals."""
        write(self._engine, labels.add_labels, ingest_id, records, block)

    def of_ingest(self, ingest_id: int) -> list[StoredLabel]:
        """Every label of a batch in order, without its content."""
        return read(self._engine, labels.of_ingest, ingest_id)

    def accepted_of_crystals(self, crystal_ids: Sequence[str]) -> list[StoredLabel]:
        """The accepted labels of the given crystals."""
        return read(self._engine, labels.accepted_of_crystals, crystal_ids)

    def accepted_of_ids(self, source_ids: Sequence[str]) -> list[StoredLabel]:
        """The accepted labels of the given ids of sources."""
        return read(self._engine, batches.accepted_of_ids, source_ids)

    def batches(self) -> list[LabelBatch]:
        """Every label batch, the first one first."""
        return read(self._engine, batches.list_batches)

    def batch(self, ingest_id: int) -> LabelBatch:
        """One label batch."""
        return read(self._engine, batches.read_batch, ingest_id)

    def decided_by(self, ingest_id: int) -> list[StoredLabel]:
        """Labels of other batches that a label of this batch superseded, overruled or marked."""
        return read(self._engine, batches.decided_by, ingest_id)

    def retracted_among(self, hashes: Sequence[str]) -> list[LabelBatch]:
        """The retracted batches that brought some of these labels, which are retracted still."""
        return read(self._engine, batches.retracted_among, hashes)

    def retract(self, ingest_id: int, record: Withdrawal, resolve: Resolve) -> Retraction:
        """Takes back a label batch; what it decided about other labels is decided anew."""
        return write(self._engine, batches.retract, ingest_id, record, resolve)

    def retraction(self, ingest_id: int, resolve: Resolve) -> Retraction:
        """What `retract` would change."""
        return read(self._engine, batches.plan_retraction, ingest_id, resolve)

    def kinds_of(self, crystal_ids: Sequence[str]) -> dict[str, set[str]]:
        """Kinds of the labels that crystals have, or that were made for them, by content id."""
        return read(self._engine, label_kinds, crystal_ids)

    def source_ids_of(self, crystal_ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of their sources that crystals came with, by content id."""
        return read(self._engine, values_of, "source_ids", crystal_ids)

    def splits_of(self, formulas: Sequence[str]) -> dict[str, str]:
        """The splits of the formulas that have one."""
        return read(self._engine, labels.splits_of, formulas)

    def ratios_of(self, split: str) -> dict[str, list[float]]:
        """Label over prediction of the accepted labels of a split that were compared, by kind."""
        return read(self._engine, labels.ratios_of, split)

    def crystals_of(self, crystal_ids: Sequence[str]) -> CrystalBatch:
        """The stored crystals of the given ids, in that order."""
        return read(self._engine, crystals_of, crystal_ids)

    def known_crystals(self, crystal_ids: Sequence[str]) -> tuple[list[str], CrystalBatch]:
        """Those of the given crystals that are stored, with their content ids."""
        return read(self._engine, known_crystals, crystal_ids)

    def conclude(
        self,
        ingest_id: int,
        resolutions: Iterable[Resolution],
        splits: Mapping[str, tuple[str, str]],
        status: str,
        report: Mapping[str, Any],
    ) -> None:
        """Ends a label batch: states, splits of new formulas, status and report, all or nothing."""
        write(self._engine, labels.conclude, ingest_id, list(resolutions), splits, status, report)

    def counts(self) -> list[dict[str, Any]]:
        """Number of labels by source, kind, state and reason."""
        return read(self._engine, labels.count_states)

    def accepted(self) -> Iterator[AcceptedLabel]:
        """Every accepted label with its content and split, sorted by hash; one state of the database throughout."""
        with reading(self._engine) as connection:
            yield from labels.accepted(connection)
