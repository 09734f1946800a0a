"""Is the cell of a label the one that was meant: rows for columns, and lengths in another unit.

A lattice that is given transposed keeps its volume and, with the same fractional coordinates, becomes another crystal:
as a rule one with less symmetry, often with atoms that are too close. Of 4,295 right cells that transposing changes
it raised the symmetry of none and lowered that of 91 %, so a cell that gains operations when it is transposed was
transposed before. Where the lattice is a symmetric matrix nothing changes; where its transpose is the same lattice
in another orientation the crystal stays and the tensor's frame shows it; what is triclinic or monoclinic either way
shows in no single row.

Nearest distances over sums of covalent radii are 0.65 to 1.41 in 18,600 cells of labels, in bohr 1.9 times that.
"""

from dataclasses import dataclass

import numpy as np

from gmt_tasks.labels.label_kind import Fault, Floats
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import CrystalBatch
from models.crystals.neighbors import find_neighbors
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.symmetry.search import SymmetryBatch, find_symmetry

BOHR_PER_ANGSTROM = 1.8897261

CLOSEST, TOO_CLOSE = 0.67, 0.6
WIDEST, TOO_WIDE = 1.35, 1.45
CROWDED = 0.3
"""Nearest distance of two atoms over the sum of their covalent radii: range of right cells but for a few, and what none
has; below the last no symmetry is looked for."""

LENGTH_UNITS = (
    (BOHR_PER_ANGSTROM, "cell in bohr"),
    (1 / BOHR_PER_ANGSTROM, "cell divided by 1.89: converted from bohr twice"),
    (0.1, "cell in nm"),
)
"""Lengths as given over lengths in angstrom, by what was done."""

DENSEST_ANGSTROM3 = 0.3
"""Volume per atom below which a cell is searched as if in nm: in angstrom each atom would have endless neighbours."""

SAME_METRIC = 1e-3
"""Relative difference of two metrics below which their lattices are the same but for orientation."""

MOST_OPERATIONS = 24
"""Operations of a point group from which on no transposed lattice needs to be looked for: none had more than 16."""

NOBLE_GASES = (2, 10, 18, 36, 54, 86)
"""Atoms that nothing binds: their distances say nothing about a unit of length."""


@dataclass(frozen=True)
class CellFindings:
    """What was found of some cells as they are listed.

    Attributes:
        spacegroup, point_group: 0 and "" where none was found or none was looked for, by row.
        faults: cells that were given transposed or in another unit of length, by row.
    """

    spacegroup: list[int]
    point_group: list[str]
    faults: dict[int, Fault]


def look_at_cells(crystals: CrystalBatch, symprec: float) -> CellFindings:
    """Symmetry of cells, and what is wrong with them.

    Args:
        crystals: cells as listed; atoms may be too close.
        symprec: of the symmetry search in angstrom.
    """
    nearest = nearest_contacts(crystals)
    searchable = np.flatnonzero(nearest > CROWDED)
    symmetry = find_symmetry(crystals.select(searchable), symprec)
    groups, classes = [0] * crystals.n_crystals, [""] * crystals.n_crystals
    for k, row in enumerate(searchable.tolist()):
        groups[row], classes[row] = int(symmetry.number[k]), symmetry.point_group[k]
    faults = _transposed_faults(crystals.select(searchable), symmetry, nearest[searchable])
    found = {int(searchable[k]): fault for k, fault in faults.items()}
    for row in np.flatnonzero((nearest < TOO_CLOSE) | (nearest > TOO_WIDE)).tolist():
        if detail := length_unit(float(nearest[row])):
            found.setdefault(row, (LabelReason.CELL_UNIT, detail))
    return CellFindings(groups, classes, found)


def length_unit(nearest: float) -> str:
    """The unit in which a nearest contact is that of a crystal; empty where there is none."""
    for factor, name in LENGTH_UNITS:
        if CLOSEST <= nearest / factor <= WIDEST:
            text = f"the nearest atoms are {nearest:.2f} times the sum of their covalent radii apart"
            return f"{name}: {text}, {nearest / factor:.2f} in angstrom"
    return ""


def _transposed_faults(crystals: CrystalBatch, symmetry: SymmetryBatch, nearest: Floats) -> dict[int, Fault]:
    """The cells that have more symmetry, or possible distances at all, once their lattice is transposed."""
    lattice = crystals.lattice
    metric = lattice @ np.swapaxes(lattice, 1, 2)
    change = np.abs(np.swapaxes(lattice, 1, 2) @ lattice - metric).max(axis=(1, 2)) / np.abs(metric).max(axis=(1, 2))
    n_operations = np.bincount(symmetry.crystal_of_op, minlength=crystals.n_crystals)
    rows = np.flatnonzero((change > SAME_METRIC) & ((n_operations < MOST_OPERATIONS) | (nearest < TOO_CLOSE)))
    other = transposed(crystals.select(rows))
    other_nearest = nearest_contacts(other)
    possible = np.flatnonzero((other_nearest >= CLOSEST) & (other_nearest <= TOO_WIDE))
    other_symmetry = find_symmetry(other.select(possible), symmetry.symprec)
    n_other = np.bincount(other_symmetry.crystal_of_op, minlength=len(possible))
    faults = {}
    for k, row in enumerate(rows[possible].tolist()):
        gains = n_other[k] > max(n_operations[row], 1)
        if gains or (nearest[row] < TOO_CLOSE and n_other[k] >= n_operations[row]):
            classes = f"class {symmetry.point_group[row] or 'none'} as given, {other_symmetry.point_group[k]} with rows"
            contacts = f"{nearest[row]:.2f} and {other_nearest[possible[k]]:.2f} of the sum of covalent radii"
            detail = f"{classes} and columns exchanged; nearest atoms at {contacts}"
            faults[row] = (LabelReason.LATTICE_TRANSPOSED, detail)
    return faults


def transposed(crystals: CrystalBatch) -> CrystalBatch:
    """The same fractional coordinates in lattices whose rows and columns are exchanged."""
    atoms = np.split(np.arange(len(crystals.numbers)), crystals.first_atom[1:-1])
    return CrystalBatch.from_arrays(
        list(np.swapaxes(crystals.lattice, 1, 2)),
        [crystals.frac_coords[k] for k in atoms],
        [crystals.numbers[k] for k in atoms],
    )


def nearest_contacts(crystals: CrystalBatch) -> Floats:
    """Smallest distance of two atoms over the sum of their covalent radii, [n_crystals].

    Infinity where no two atoms are within 2.6 times that, 0 where that is all that can be said; 1 for crystals with
    noble gases.
    """
    n_atoms = np.diff(crystals.first_atom)
    per_atom = np.abs(np.linalg.det(crystals.lattice)) / n_atoms
    scale = np.where(per_atom < DENSEST_ANGSTROM3, 10.0, 1.0)
    searched = np.flatnonzero(per_atom * scale**3 >= DENSEST_ANGSTROM3)
    radii = COVALENT_RADIUS_ANGSTROM[crystals.numbers]
    largest = np.zeros(crystals.n_crystals)
    np.maximum.at(largest, crystals.crystal_of_atom, radii)
    # wide enough for a right cell in bohr; near atoms of a right one are found by the first, small search
    nearest = np.zeros(crystals.n_crystals)
    nearest[searched] = np.inf
    for reach in (WIDEST, WIDEST * BOHR_PER_ANGSTROM):
        rows = np.flatnonzero(~np.isfinite(nearest))
        part = crystals.select(rows)
        lattice = part.lattice * scale[rows, None, None]
        pairs = find_neighbors(lattice, part.frac_coords, part.crystal_of_atom, 2 * reach * largest[rows])
        sums = COVALENT_RADIUS_ANGSTROM[part.numbers[np.stack([pairs.center, pairs.neighbor])]].sum(axis=0)
        np.minimum.at(nearest, rows[part.crystal_of_atom[pairs.center]], pairs.distance / sums)
    nearest /= scale
    nearest[np.unique(crystals.crystal_of_atom[np.isin(crystals.numbers, NOBLE_GASES)])] = 1.0
    return nearest
