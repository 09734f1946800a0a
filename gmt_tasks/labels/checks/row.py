"""Looks at labels one by one before they may teach: schema, units, numbers, physics, symmetry; names each crystal.

What a single row cannot show (factors of units, duplicates, contradictions, leaks) is judged over the whole instalment
by `label_judgement`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np

from db.labels.rows import LabelRecord
from db.records import IngestedBlock
from db.tables import LabelState
from gmt_tasks.ingest.deduplicate import Deduplicator, Lookup
from gmt_tasks.ingest.validate import MAX_DETAIL_CHARS, MAX_ID_CHARS, ingest_block, storable
from gmt_tasks.labels.checks.physics import Fault, physical_fault, sizes
from gmt_tasks.labels.checks.symmetry import MAX_RESIDUAL, diagnose, evidence, principal_residuals
from gmt_tasks.labels.kinds import KINDS, ReadLabel, RefusedRowError, read_label
from gmt_tasks.labels.readers.source import LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.search import SymmetryBatch, find_symmetry

SYMPREC_ANGSTROM = 1e-2
"""Tolerance of the symmetry search, that of training."""

SMALLEST_FORBIDDEN_C_PER_M2 = 0.02
"""A piezoelectric response below this is a zero of the calculation."""

NOT_CONTENT = frozenset({"split", "retrieved"})
"""Keys that say nothing about the label itself: the same label with others there is the same label."""

PROVENANCE = ("doi", "method", "retrieved", "structure_source")
SPLITS = frozenset({"train", "val", "test"})


@dataclass(frozen=True)
class CheckedBlock:
    """Labels that were looked at.

    Attributes:
        records: one per row, in order.
        crystals: the crystals that they name.
    """

    records: list[LabelRecord]
    crystals: IngestedBlock


@dataclass(frozen=True)
class Named:
    """What a listing of a crystal was recognised as: its id and formula, or why it is no crystal."""

    crystal_id: str | None
    formula: str | None
    fault: Fault | None


Listings = dict[bytes, Named]
"""What listings were recognised as, by a digest: files of labels list the same crystals again and again."""


@dataclass
class _Look:
    """What is found of one readable row."""

    label: ReadLabel
    fault: Fault | None = None
    crystal_id: str | None = None
    formula: str | None = None
    residual: float | None = None
    tells_order: bool = False
    tells_frame: bool = False


def content_hash(item: LabelRow | RefusedLabel) -> str:
    """The name of a label: sha256 of its content without split and date, the same wherever and whenever it is read."""
    if isinstance(item, RefusedLabel):
        text = json.dumps([item.source_id, item.kind, item.reason.value, item.detail])
    else:
        content = {key: value for key, value in item.row.items() if key not in NOT_CONTENT}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return sha256(text.encode()).hexdigest()


def check_labels(
    source: str,
    items: Sequence[LabelRow | RefusedLabel],
    positions: Sequence[int],
    lookup: Lookup,
    seen: Listings | None = None,
) -> CheckedBlock:
    """Looks at each of a block of labels by itself.

    Args:
        source: name of the source that they were read from.
        items: labels, readable or not.
        positions: of each within its instalment.
        lookup: known crystals by family, `ResultStore.relatives`.
        seen: listings of earlier blocks that were stored; new ones are added.

    Returns:
        One record per label: PENDING, or REFUSED with the first fault found.
    """
    faults: dict[int, Fault] = {}
    looks: dict[int, _Look] = {}
    for row, item in enumerate(items):
        try:
            looks[row] = _Look(_readable(item))
        except RefusedRowError as refused:
            faults[row] = (refused.reason, refused.detail)
    crystals = _name_crystals(list(looks.values()), source, lookup, {} if seen is None else seen)
    for look in looks.values():
        look.fault = look.fault or physical_fault(look.label)
    _check_symmetry([look for look in looks.values() if look.crystal_id is not None])
    records = [
        _record(source, item, position, looks.get(row), faults.get(row))
        for row, (item, position) in enumerate(zip(items, positions, strict=True))
    ]
    return CheckedBlock(records, crystals)


def _readable(item: LabelRow | RefusedLabel) -> ReadLabel:
    if isinstance(item, RefusedLabel):
        raise RefusedRowError(item.reason, item.detail)
    return read_label(item.row)


def _batch(labels: Sequence[ReadLabel]) -> CrystalBatch:
    return CrystalBatch.from_arrays(
        [x.lattice for x in labels], [x.frac_coords for x in labels], [x.numbers for x in labels]
    )


def _name_crystals(looks: Sequence[_Look], source: str, lookup: Lookup, seen: Listings) -> IngestedBlock:
    """Gives each readable label the id of its crystal; returns the crystals of listings that were not met before."""
    listings = [_digest(look.label) for look in looks]
    first: dict[bytes, ReadLabel] = {}
    for look, key in zip(looks, listings, strict=True):
        if key not in seen:
            first.setdefault(key, look.label)
    n = len(first)
    block = SourceBlock(0, n, np.arange(n), [str(k) for k in range(n)], _batch(list(first.values())), [None] * n)
    found = Deduplicator(lookup).deduplicated(ingest_block(source, block))
    keys = list(first)
    for item in found.rejected:
        seen[keys[item.position]] = Named(None, None, (LabelReason.STRUCTURE, f"{item.reason.value}: {item.detail}"))
    formulas = found.crystals.formulas()
    for position, crystal_id, formula in zip(found.positions.tolist(), found.crystal_ids, formulas, strict=True):
        seen[keys[position]] = Named(crystal_id, formula, None)
    for look, key in zip(looks, listings, strict=True):
        named = seen[key]
        look.crystal_id, look.formula, look.fault = named.crystal_id, named.formula, named.fault
    return found


def _digest(label: ReadLabel) -> bytes:
    """Of the listing, exact to the last digit."""
    return sha256(label.lattice.tobytes() + label.frac_coords.tobytes() + label.numbers.tobytes()).digest()


def _check_symmetry(looks: Sequence[_Look]) -> None:
    """Compares tensors and principal values with the point groups of their crystals."""
    concerned = [
        look
        for look in looks
        if look.label.tensors or {"eps_principal", "e_singular_max_ieee"} & set(look.label.values)
    ]
    symmetry = find_symmetry(_batch([look.label for look in concerned]), SYMPREC_ANGSTROM)
    for row in symmetry.failed.tolist():
        look = concerned[row]
        look.fault = look.fault or (LabelReason.SYMMETRY_FAILED, f"at {SYMPREC_ANGSTROM} angstrom and looser")
    settled = np.setdiff1d(np.arange(len(concerned)), symmetry.failed)
    for quantity in Tensor:
        rows = np.array([k for k in settled if quantity in concerned[k].label.tensors], dtype=np.int64)
        _check_tensors(quantity, [concerned[k] for k in rows], symmetry.select(rows))
    _check_numbers([concerned[k] for k in settled], symmetry.select(settled))


def _check_tensors(quantity: Tensor, looks: Sequence[_Look], symmetry: SymmetryBatch) -> None:
    if not looks:
        return
    shown = evidence(quantity, np.array([look.label.tensors[quantity] for look in looks]), symmetry)
    for row, look in enumerate(looks):
        look.residual = max(look.residual or 0.0, float(shown.residual[row]))
        look.tells_order |= bool(shown.order[row])
        look.tells_frame |= bool(shown.frame[row])
        if shown.residual[row] > MAX_RESIDUAL and _may_be_explained(look.fault):
            alone = symmetry.select(np.array([row]))
            reason, detail = diagnose(quantity, look.label.tensors[quantity], alone, look.label.lattice)
            look.fault = (reason, f"{quantity.value}: {detail}")


def _may_be_explained(fault: Fault | None) -> bool:
    """Whether a wrong frame or order may be behind what was found: it can make a tensor look indefinite."""
    return fault is None or fault[0] in (LabelReason.INDEFINITE, LabelReason.BELOW_ELECTRONIC, LabelReason.INCONSISTENT)


def _check_numbers(looks: Sequence[_Look], symmetry: SymmetryBatch) -> None:
    """Principal values that lack the degeneracy of their class, responses that their class forbids."""
    principal = [k for k, look in enumerate(looks) if "eps_principal" in look.label.values]
    if principal:
        values = np.array([looks[k].label.values["eps_principal"] for k in principal])
        off = principal_residuals(values, symmetry.select(np.array(principal)))
        for k, three, residual in zip(principal, values.round(3).tolist(), off.tolist(), strict=True):
            look = looks[k]
            look.residual = max(look.residual or 0.0, residual)
            said = "" if look.label.row.get("symmetry_consistent", True) else "; the row says so itself"
            if look.fault is None and (residual > MAX_RESIDUAL or said):
                detail = f"eps_principal {three} in class {symmetry.point_group[k]}{said}"
                look.fault = (LabelReason.SYMMETRY_MISFIT, detail)
    for k, look in enumerate(looks):
        response = look.label.values.get("e_singular_max_ieee")
        forbidden = response is not None and response[0] > SMALLEST_FORBIDDEN_C_PER_M2 and not symmetry.piezo_allowed[k]
        if look.fault is None and forbidden:
            look.fault = (LabelReason.FORBIDDEN, f"a response in class {symmetry.point_group[k]}")


def _record(
    source: str, item: LabelRow | RefusedLabel, position: int, look: _Look | None, unreadable: Fault | None
) -> LabelRecord:
    row: dict[str, Any] = item.row if isinstance(item, LabelRow) else {"kind": item.kind}
    fault = unreadable if look is None else look.fault
    told = {key: row[key] for key in PROVENANCE if isinstance(row.get(key), str | int | float | dict | list)}
    split = row.get("split")
    record = LabelRecord(
        hash=content_hash(item),
        position=position,
        kind=storable(str(row.get("kind", "")), MAX_ID_CHARS),
        crystal_id=None,
        formula=None,
        source=storable(str(row.get("source") or source), MAX_ID_CHARS),
        source_id=storable(item.source_id, MAX_ID_CHARS),
        licence=storable(str(row["licence"]), MAX_ID_CHARS) if row.get("licence") else None,
        provenance=json.dumps(told | {"read_from": source}, sort_keys=True, default=str),
        declared_split=split if isinstance(split, str) and split in SPLITS else None,
        content=json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
        if isinstance(item, LabelRow)
        else None,
        state=LabelState.REFUSED if fault else LabelState.PENDING,
        reason=fault[0].value if fault else None,
        detail=storable(fault[1], MAX_DETAIL_CHARS) if fault else None,
        residual=None,
        tells_order=False,
        tells_frame=False,
        sizes={},
    )
    if look is None:
        return record
    return replace(
        record,
        crystal_id=look.crystal_id,
        formula=look.formula,
        residual=look.residual,
        tells_order=look.tells_order,
        tells_frame=look.tells_frame,
        sizes=sizes(look.label) if look.label.kind in KINDS else {},
    )
