"""Whether a label that carries the content id of a crystal is of that crystal, relaxed or not.

The id links an answer to the suggestion that asked for it, although the calculation relaxed the cell. Exchanged answers
would be trained on rightly (tensor and lattice stand in one row) but would leave the wrong crystals out of the next
suggestions. Only what cannot be the relaxed form is refused: another composition, another density, other surroundings.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from db.labels.rows import LabelRecord
from db.tables import LabelState
from gmt_tasks.labels.kinds import read_label
from gmt_tasks.labels.readers.source import Label, LabelRow
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import CrystalBatch
from models.fingerprint.structure_distance import structure_distances

CONTENT_ID = re.compile(r"gx-[0-9a-f]{20}")

MAX_VOLUME_RATIO = 1.5
"""Of the volumes per atom before and after relaxation: functionals differ by a tenth, guessed volumes of unrelaxed
candidates by a third."""

MAX_STRUCTURE_DISTANCE = 0.08
"""As `structure_distances` measures it: 99 % of copies strained by 6 % with atoms moved by 0.2 angstrom lie within."""

Stored = Callable[[Sequence[str]], tuple[list[str], CrystalBatch]]
"""Gives those of some crystals that are known: their content ids and cells."""


def with_ids_checked(records: Sequence[LabelRecord], items: Sequence[Label], stored: Stored) -> list[LabelRecord]:
    """The records, those refused whose crystal is not the one that their id names.

    An id that the database does not know is kept: it may come from another database, and nothing contradicts it.

    Args:
        records: labels that were checked one by one.
        items: the same labels as their source gives them.
        stored: the crystals of the database.
    """
    checked = list(records)
    rows = []
    for row, record in enumerate(records):
        is_content_id = CONTENT_ID.fullmatch(record.source_id) is not None
        # a cell that is the named crystal itself needs no comparison
        if is_content_id and record.state is LabelState.PENDING and record.crystal_id != record.source_id:
            rows.append(row)
    known, crystals = stored(list(dict.fromkeys(records[row].source_id for row in rows)))
    place = {crystal_id: n for n, crystal_id in enumerate(known)}
    rows = [row for row in rows if records[row].source_id in place]
    if not rows:
        return checked
    asked = crystals.select([place[records[row].source_id] for row in rows])
    labels = [read_label(item.row) for row in rows if isinstance(item := items[row], LabelRow)]
    answers = CrystalBatch.from_arrays(
        [x.lattice for x in labels], [x.frac_coords for x in labels], [x.numbers for x in labels]
    )
    for row, fault in zip(rows, contradictions(asked, answers), strict=True):
        if fault:
            checked[row] = replace(
                records[row],
                state=LabelState.REFUSED,
                reason=LabelReason.WRONG_ID.value,
                detail=f"the crystal that {records[row].source_id} names {fault}",
            )
    return checked


def contradictions(asked: CrystalBatch, answers: CrystalBatch) -> list[str]:
    """Why each answer cannot be the crystal that was asked for; "" where it can.

    Args:
        asked: stored crystals, as predicted.
        answers: crystals of labels, relaxed or not, in any cell and orientation.
    """
    volumes = [np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal for batch in (asked, answers)]
    ratios = volumes[1] / volumes[0]
    faults = []
    for one, other in zip(asked.formulas(), answers.formulas(), strict=True):
        faults.append(f"is {one}, that of the label {other}" if one != other else "")
    for row, ratio in enumerate(ratios.tolist()):
        if not faults[row] and not 1 / MAX_VOLUME_RATIO <= ratio <= MAX_VOLUME_RATIO:
            sizes = f"{volumes[0][row]:.3g} angstrom^3 per atom, that of the label {volumes[1][row]:.3g}"
            faults[row] = f"has {sizes}: no relaxation does that"
    # surroundings are compared element by element: only where the elements are the same
    same = [row for row, fault in enumerate(faults) if not fault]
    if same:
        for row, distance in zip(same, structure_distances(asked.select(same), answers.select(same)), strict=True):
            if distance > MAX_STRUCTURE_DISTANCE:
                faults[row] = (
                    f"has the same formula, {asked.formulas()[row]}, but another structure (distance {distance:.2f}, "
                    f"relaxation reaches {MAX_STRUCTURE_DISTANCE})"
                )
    return faults
