"""What a row states beside crystal and label must fit the crystal: formula, sites, volume, space group, point group.

Composition and volume are facts: a contradiction refuses the row. A space group depends on a tolerance, is that of a
parent phase or of a magnetic order: where it fits at no tolerance the row is marked, and many such rows refuse their
part, for then structures and rows were joined wrongly. Of 24,200 rows of label files none contradicts its formula or
number of sites, and none its space group at every tolerance.
"""

from collections import Counter
from typing import Any

import numpy as np

from gmt_tasks.labels.checks.cell import BOHR_PER_ANGSTROM
from gmt_tasks.labels.label_kind import Fault, ReadLabel
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import CrystalBatch
from models.crystals.formula import formula_text, parse_formula
from models.symmetry.search import SYMPRECS_ANGSTROM, find_symmetries

SHARE_TOLERANCE = 0.01
"""Of an element's share of the atoms: formulas of solid solutions are rounded."""

VOLUME_TOLERANCE = 0.1
"""Measured and computed volumes differ by less."""

ENANTIOMORPHS = ((76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172), (178, 179),
                 (180, 181), (212, 213))  # fmt: skip
"""Space groups that are mirror images of each other."""


def composition_fault(label: ReadLabel) -> Fault | None:
    """A formula, number of sites or volume of the row that contradicts its cell."""
    n_atoms = len(label.numbers)
    stated = parse_formula(label.row["formula"]) if isinstance(label.row.get("formula"), str) else None
    if stated is not None:
        counts = {int(number): float(n) for number, n in Counter(label.numbers.tolist()).items()}
        total = sum(stated.values())
        off = [abs(stated.get(z, 0.0) / total - counts.get(z, 0.0) / n_atoms) for z in stated.keys() | counts.keys()]
        if max(off) > SHARE_TOLERANCE:
            detail = f"formula {formula_text(stated)}, the cell holds {formula_text(dict(sorted(counts.items())))}"
            return LabelReason.COMPOSITION_MISMATCH, detail
    sites = _number(label.row.get("nsites"))
    if sites and not _is_multiple(sites / n_atoms, 1e-6):
        return LabelReason.INCONSISTENT, f"nsites is {sites:g}, the cell holds {n_atoms} atoms"
    return _volume_fault(label)


def _volume_fault(label: ReadLabel) -> Fault | None:
    volume = float(abs(np.linalg.det(label.lattice)))
    per_atom = volume / len(label.numbers)
    for key, actual in (("volume", volume), ("volume_per_atom", per_atom)):
        stated = _number(label.row.get(key))
        if not stated:
            continue
        detail = f"{key} is {stated:.4g} angstrom^3, that of the cell {actual:.4g}"
        # 6.75 is near 7, but no cell is seven others
        for factor, name in ((BOHR_PER_ANGSTROM**3, "cell in bohr"), (BOHR_PER_ANGSTROM**-3, "volume in bohr^3")):
            if abs(actual / stated / factor - 1) < VOLUME_TOLERANCE / 3:
                return LabelReason.CELL_UNIT, f"{name}: {detail}"
        if not _is_multiple(stated / actual, VOLUME_TOLERANCE):
            return LabelReason.INCONSISTENT, detail
    return None


def _number(value: Any) -> float | None:
    """A positive number as float; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12
    return float(value) if is_number else None


def _is_multiple(ratio: float, tolerance: float) -> bool:
    """Whether a ratio is that of two cells of one crystal: a whole number up to 8, or one over one."""
    larger = max(ratio, 1 / ratio)
    return round(larger) <= 8 and abs(larger / round(larger) - 1) <= tolerance


def group_contradiction(label: ReadLabel, number: int, point_group: str) -> str:
    """How the space group or point group that a row states contradicts its cell; empty where it does not.

    Args:
        label: the row.
        number: of the space group that was found, 0 for none.
        point_group: of it.
    """
    group, symbol = label.row.get("spacegroup"), label.row.get("point_group")
    stated_group = group if isinstance(group, int) and not isinstance(group, bool) and 1 < group <= 230 else None
    stated_class = symbol if isinstance(symbol, str) and symbol != "1" else None
    if not number or (stated_group in (None, number) and stated_class in (None, point_group)):
        return ""
    # only now: few rows disagree at the usual tolerance
    cell = CrystalBatch.from_arrays([label.lattice], [label.frac_coords], [label.numbers])
    symmetries = find_symmetries(cell, SYMPRECS_ANGSTROM)
    numbers = {int(symmetry.number[0]) for symmetry in symmetries}
    if len(numbers) > 1:  # depends on the tolerance: any of them may have been meant
        return ""
    if stated_group is not None and stated_group != number and (*sorted((stated_group, number)),) not in ENANTIOMORPHS:
        return f"space group {stated_group} stated, {number} found at every tolerance"
    if stated_class is not None and stated_class != point_group:
        return f"point group {stated_class} stated, {point_group} found at every tolerance"
    return ""
