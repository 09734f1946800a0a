"""Checks labels one by one before they are accepted: schema, units, numbers, physics, symmetry; identifies crystals.

What a single row cannot show (factors of units, duplicates, contradictions, leaks) is checked over the whole label
batch by `batch_checks`.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np

from db.labels.rows import LabelRecord
from db.records import IngestedBlock
from db.tables import LabelState
from gmt_tasks.ingest.deduplicate import Deduplicator, Lookup
from gmt_tasks.ingest.validate import MAX_DETAIL_CHARS, MAX_ID_CHARS, ingest_block, storable
from gmt_tasks.labels.checks.cell import look_at_cells
from gmt_tasks.labels.checks.stated import composition_fault, group_contradiction
from gmt_tasks.labels.checks.symmetry import diagnose, evidence
from gmt_tasks.labels.kinds import TENSOR_VALUES, read_label
from gmt_tasks.labels.label_kind import Fault, ReadLabel, TensorValue, fault_of
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.row_errors import error_text, read_in_parts, row_or_refusal
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.symmetry.search import SymmetryBatch, find_symmetry

SYMPREC_ANGSTROM = 1e-2
"""Tolerance of the symmetry search, that of training."""

MAX_CROWDED_ATOMS = 200
"""Atoms up to which a cell whose atoms are too close is looked at once more: they have many neighbours."""

NOT_CONTENT = frozenset({"split", "retrieved"})
"""Keys that say nothing about the label itself: the same label with others there is the same label."""

PROVENANCE = ("doi", "method", "retrieved", "structure_source")
SPLITS = frozenset({"train", "val", "test"})


@dataclass(frozen=True)
class CheckedBlock:
    """Labels that were checked one by one.

    Attributes:
        records: one per row, in order.
        crystals: the crystals that they name.
    """

    records: list[LabelRecord]
    crystals: IngestedBlock


@dataclass(frozen=True)
class IdentifiedCrystal:
    """What the cell of a row was recognised as: content id and formula of a crystal, or why it is none.

    Attributes:
        spacegroup, point_group: of the cell at the usual tolerance; 0 and "" where none was found.
    """

    crystal_id: str | None
    formula: str | None
    fault: Fault | None
    spacegroup: int = 0
    point_group: str = ""


IdentifiedCells = dict[bytes, IdentifiedCrystal]
"""Cells that were identified, by a digest: files of labels repeat the same cells again and again."""


@dataclass
class _Check:
    """What is found of one readable row."""

    label: ReadLabel
    fault: Fault | None = None
    crystal_id: str | None = None
    formula: str | None = None
    mark: str | None = None
    residual: float | None = None
    tells_order: bool = False
    tells_frame: bool = False

    def add_residual(self, residual: float) -> None:
        """Keeps the largest."""
        self.residual = max(self.residual or 0.0, residual)


def content_hash(item: Label) -> str:
    """The name of a label: sha256 of its content without split and date, the same wherever and whenever it is read."""
    if isinstance(item, RefusedLabel):
        text = json.dumps([item.source_id, item.kind, item.reason.value, item.detail])
    else:
        content = {key: value for key, value in item.row.items() if key not in NOT_CONTENT}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return sha256(text.encode()).hexdigest()


def hashed_label(item: Label) -> tuple[str, Label]:
    """Hash and label; its refusal where its content cannot be written as JSON, nested too deeply for instance."""

    def refusal(error: Exception) -> tuple[str, Label]:
        kind = str(item.row.get("kind", "")) if isinstance(item, LabelRow) else item.kind
        refused = RefusedLabel(item.source_id, kind, *fault_of(error))
        return content_hash(refused), refused

    return row_or_refusal(lambda: (content_hash(item), item), refusal)


def check_labels(
    source: str,
    items: Sequence[Label],
    positions: Sequence[int],
    lookup: Lookup,
    identified: IdentifiedCells | None = None,
) -> CheckedBlock:
    """Checks each of a block of labels by itself.

    Args:
        source: name of the source that they were read from.
        items: labels, readable or not.
        positions: of each within its label batch.
        lookup: known crystals by bucket, `ResultStore.crystals_in_buckets`.
        identified: cells of earlier blocks that were stored; new ones are added.

    Returns:
        One record per label: PENDING, or REFUSED with the first fault found.
    """
    faults: dict[int, Fault] = {}
    checks: dict[int, _Check] = {}
    for row, item in enumerate(items):
        if isinstance(item, RefusedLabel):
            faults[row] = (item.reason, item.detail)
            continue
        label = row_or_refusal(partial(read_label, item.row), fault_of)
        if isinstance(label, ReadLabel):
            checks[row] = _Check(label)
        else:
            faults[row] = label
    crystals = _identify_crystals(list(checks.values()), source, lookup, {} if identified is None else identified)
    for check in checks.values():
        check.fault = check.fault or row_or_refusal(partial(check.label.kind.law, check.label), fault_of)
    _check_symmetries([check for check in checks.values() if check.crystal_id is not None])
    records = []
    for row, (item, position) in enumerate(zip(items, positions, strict=True)):
        record = partial(_record, source, item, position)
        made = row_or_refusal(partial(record, checks.get(row), faults.get(row)), fault_of)
        records.append(made if isinstance(made, LabelRecord) else record(None, made))
    return CheckedBlock(records, crystals)


def _batch(labels: Sequence[ReadLabel]) -> CrystalBatch:
    return CrystalBatch.from_arrays(
        [x.lattice for x in labels], [x.frac_coords for x in labels], [x.numbers for x in labels]
    )


def _identify_crystals(
    checks: Sequence[_Check], source: str, lookup: Lookup, identified: IdentifiedCells
) -> IngestedBlock:
    """Gives each readable label the id of its crystal; returns the crystals of cells that were not met before."""
    digests: list[bytes] = []
    first: dict[bytes, ReadLabel] = {}
    for check in checks:
        label = check.label
        # exact but for the sign of zero: a cell that differs is searched anew
        cell = (label.lattice + 0.0).tobytes() + (label.frac_coords + 0.0).tobytes() + label.numbers.tobytes()
        digests.append(sha256(cell).digest())
        if digests[-1] not in identified:
            first.setdefault(digests[-1], label)
    n, keys = len(first), list(first)
    block = SourceBlock(0, n, np.arange(n), [str(k) for k in range(n)], _batch(list(first.values())), [None] * n)
    ingested = Deduplicator(lookup).deduplicated(ingest_block(source, block))
    for item in ingested.rejected:
        fault = (LabelReason.STRUCTURE, f"{item.reason.value}: {item.detail}")
        identified[keys[item.position]] = IdentifiedCrystal(None, None, fault)
    formulas = ingested.crystals.formulas()
    for position, crystal_id, formula in zip(ingested.positions.tolist(), ingested.crystal_ids, formulas, strict=True):
        identified[keys[position]] = IdentifiedCrystal(crystal_id, formula, None)
    crowded = {keys[item.position] for item in ingested.rejected if item.reason in (Reason.OVERLAP, Reason.TOO_DENSE)}
    _check_cells(first, crowded, identified)
    for check, digest in zip(checks, digests, strict=True):
        crystal = identified[digest]
        check.crystal_id, check.formula, check.fault = crystal.crystal_id, crystal.formula, crystal.fault
        stated = row_or_refusal(partial(composition_fault, check.label), fault_of)
        check.fault = stated or check.fault
        if check.fault is None:
            contradiction = partial(group_contradiction, check.label, crystal.spacegroup, crystal.point_group)
            # a search that fails proves nothing about what the row states
            check.mark = row_or_refusal(contradiction, lambda error: "") or None
    return ingested


def _check_cells(cells: Mapping[bytes, ReadLabel], crowded: Set[bytes], identified: IdentifiedCells) -> None:
    """Symmetry of cells that were not met before, and which of them are transposed or in another unit of length."""
    # cells whose atoms are too close are looked at as well, a transposed lattice may be why; others are no crystals
    usable = [
        digest
        for digest, label in cells.items()
        if identified[digest].fault is None or (digest in crowded and len(label.numbers) <= MAX_CROWDED_ATOMS)
    ]

    def look(rows: range) -> None:
        findings = look_at_cells(_batch([cells[usable[row]] for row in rows]), SYMPREC_ANGSTROM)
        for k, row in enumerate(rows):
            crystal = identified[usable[row]]
            fault = findings.faults.get(k, crystal.fault)
            group, symbol = findings.spacegroup[k], findings.point_group[k]
            identified[usable[row]] = replace(crystal, fault=fault, spacegroup=group, point_group=symbol)

    if usable:
        read_in_parts(look, range(len(usable)), lambda row, error: None)


def _check_symmetries(checks: Sequence[_Check]) -> None:
    """Compares tensors and numbers with the point groups of their crystals, all at once where nothing is raised."""

    def refuse(row: int, error: Exception) -> None:
        checks[row].fault = checks[row].fault or (LabelReason.SYMMETRY_FAILED, error_text(error))

    # once more with a part of them it finds the same: what was found of a label before stays
    read_in_parts(lambda rows: _check_symmetry([checks[row] for row in rows]), range(len(checks)), refuse)


def _check_symmetry(checks: Sequence[_Check]) -> None:
    concerned = [check for check in checks if check.label.tensors or check.label.kind.symmetry_law]
    symmetry = find_symmetry(_batch([check.label for check in concerned]), SYMPREC_ANGSTROM)
    for row in symmetry.failed.tolist():
        check = concerned[row]
        check.fault = check.fault or (LabelReason.SYMMETRY_FAILED, f"at {SYMPREC_ANGSTROM} angstrom and looser")
    with_group = np.setdiff1d(np.arange(len(concerned)), symmetry.failed)
    for value in TENSOR_VALUES.values():
        rows = np.array([k for k in with_group if value.tensor in concerned[k].label.tensors], dtype=np.int64)
        _check_tensors(value, [concerned[k] for k in rows], symmetry.select(rows))
    for row in with_group.tolist():
        check = concerned[row]
        law = check.label.kind.symmetry_law
        if law is not None:
            residual, fault = law(check.label, symmetry.select(np.array([row])))
            check.fault = check.fault or fault
            if residual is not None:
                check.add_residual(residual)


def _check_tensors(value: TensorValue, checks: Sequence[_Check], symmetry: SymmetryBatch) -> None:
    if not checks:
        return
    tensors = np.array([check.label.tensors[value.tensor] for check in checks])
    shown = evidence(value, tensors, symmetry)
    # a wrong frame or order can make a tensor look indefinite: then it is what a person has to know
    explicable = (None, LabelReason.INDEFINITE, LabelReason.BELOW_ELECTRONIC, LabelReason.INCONSISTENT)
    for row, check in enumerate(checks):
        check.add_residual(float(shown.residual[row]))
        check.tells_order |= bool(shown.order[row])
        check.tells_frame |= bool(shown.frame[row])
        if shown.residual[row] > value.residual_limit and (check.fault or (None,))[0] in explicable:
            alone = symmetry.select(np.array([row]))
            reason, detail = diagnose(value, tensors[row], alone, check.label.lattice)
            check.fault = (reason, f"{value.tensor.value}: {detail}")


def _record(source: str, item: Label, position: int, check: _Check | None, unreadable: Fault | None) -> LabelRecord:
    row: dict[str, Any] = item.row if isinstance(item, LabelRow) else {"kind": item.kind}
    fault = unreadable if check is None else check.fault
    provenance = {key: row[key] for key in PROVENANCE if isinstance(row.get(key), str | int | float | dict | list)}
    split = row.get("split")
    # of a row that passes, a detail without a reason is what its batch may mark it for
    detail = fault[1] if fault else None if check is None else check.mark
    record = LabelRecord(
        hash=content_hash(item),
        position=position,
        kind=storable(str(row.get("kind", "")), MAX_ID_CHARS),
        crystal_id=None,
        formula=None,
        source=storable(str(row.get("source") or source), MAX_ID_CHARS),
        source_id=storable(item.source_id, MAX_ID_CHARS),
        licence=storable(str(row["licence"]), MAX_ID_CHARS) if row.get("licence") else None,
        provenance=json.dumps(provenance | {"read_from": source}, sort_keys=True, default=str),
        declared_split=split if isinstance(split, str) and split in SPLITS else None,
        content=json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
        if isinstance(item, LabelRow)
        else None,
        state=LabelState.REFUSED if fault else LabelState.PENDING,
        reason=fault[0].value if fault else None,
        detail=storable(detail, MAX_DETAIL_CHARS) if detail else None,
        residual=None,
        tells_order=False,
        tells_frame=False,
        sizes={},
    )
    if check is None:
        return record
    return replace(
        record,
        crystal_id=check.crystal_id,
        formula=check.formula,
        residual=check.residual,
        tells_order=check.tells_order,
        tells_frame=check.tells_frame,
        sizes=check.label.sizes(),
    )
