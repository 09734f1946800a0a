"""Operations of space groups: tables by Hall number, and those of cells as they are given.

Results are made with the operations of the Hall number, which are those of the whole group. The operations of a cell as
given are only a subgroup where a supercell breaks its crystal's symmetry: they serve to relate the atoms of one cell
(orbits) and to repeat what published codes do.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import moyopy
import numpy as np
import spglib

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.errors import GmtError

# moyo warns for every supercell that breaks its own symmetry; we take the group from the Hall number, which is whole
logging.getLogger("moyo").setLevel(logging.ERROR)


class SymmetryError(GmtError):
    """No space group was found for some crystals; `rows` names them."""

    def __init__(self, message: str, rows: list[int]) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class CellOperations:
    """Space-group operations of one cell as given, acting on columns of fractional coordinates.

    Attributes:
        rotations: integers, shape [n_ops, 3, 3].
        translations: shape [n_ops, 3].
        orbits: for each atom the first atom of its orbit, shape [n_atoms].
    """

    rotations: Floats
    translations: Floats
    orbits: Ints


def moyo_dataset(batch: CrystalBatch, crystal: int, symprec: float) -> moyopy.MoyoDataset | None:
    """What moyopy finds in one crystal within a tolerance in angstrom; None where it gives up."""
    atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
    cell = moyopy.Cell(
        batch.lattice[crystal].tolist(), batch.frac_coords[atoms].tolist(), batch.numbers[atoms].tolist()
    )
    try:
        return moyopy.MoyoDataset(cell, symprec=symprec, rotate_basis=False)
    except ValueError:
        return None


def spglib_dataset(batch: CrystalBatch, crystal: int, symprec: float) -> spglib.SpglibDataset | None:
    """What spglib finds in one crystal within a tolerance in angstrom; None where it gives up."""
    atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
    cell = (batch.lattice[crystal].tolist(), batch.frac_coords[atoms].tolist(), batch.numbers[atoms].tolist())
    try:
        return spglib.get_symmetry_dataset(cell, symprec=symprec)
    except spglib.SpglibError:
        return None


def cell_operations(batch: CrystalBatch, crystal: int, symprec: float) -> CellOperations | None:
    """Operations that map the cell as given onto itself within a tolerance in angstrom; None where none was found."""
    dataset = moyo_dataset(batch, crystal, symprec)
    if dataset is None:
        return None
    rotations = np.array(dataset.operations.rotations, dtype=np.float64)
    return CellOperations(rotations, np.array(dataset.operations.translations), np.array(dataset.orbits, np.int64))


class ListedOperations(NamedTuple):
    """What spglib lists for cells as they are given: what published codes average over.

    Attributes:
        number: space-group number, 0 where none was found, shape [n_crystals].
        rotations: operations of the cell as given, as Cartesian matrices, as they come: a supercell that breaks
            its crystal's symmetry has only a subgroup, and they are orthogonal only as far as the cell is exact;
            shape [n_ops, 3, 3].
        crystal_of_op: ascending, shape [n_ops].
    """

    number: Ints
    rotations: Floats
    crystal_of_op: Ints


def listed_operations(batch: CrystalBatch, symprec: float = 1e-5) -> ListedOperations:
    """Distinct rotations of the cells as given, by spglib; for comparison with published codes, never for results.

    Args:
        batch: validated crystals.
        symprec: distance tolerance in angstrom.

    Returns:
        A crystal without a space group has the identity alone.
    """
    numbers, rotations = [], []
    for crystal in range(batch.n_crystals):
        dataset = spglib_dataset(batch, crystal, symprec)
        numbers.append(int(dataset.number) if dataset is not None else 0)
        distinct = np.unique(dataset.rotations, axis=0) if dataset is not None else np.eye(3)[None]
        columns = batch.lattice[crystal].T
        rotations.append(columns @ distinct @ np.linalg.inv(columns))
    owner = np.repeat(np.arange(batch.n_crystals), [len(r) for r in rotations])
    return ListedOperations(np.array(numbers, dtype=np.int64), np.concatenate([*rotations, np.zeros((0, 3, 3))]), owner)


@lru_cache(maxsize=531)
def conventional_rotations(hall_number: int) -> Floats:
    """Point-group operations in the conventional basis (integers acting on columns), shape [n_ops, 3, 3]."""
    if hall_number == 0:
        return np.zeros((0, 3, 3))
    database = spglib.get_symmetry_from_database(hall_number)
    if database is None:
        raise SymmetryError(f"Hall number {hall_number} is not in spglib's tables (1 to 530).", [])
    return np.unique(database["rotations"], axis=0).astype(np.float64)


@lru_cache(maxsize=531)
def space_group_type(hall_number: int) -> tuple[int, str]:
    """Number 1 to 230 and Hermann-Mauguin symbol of the crystal class, e.g. (225, "m-3m"), of a Hall number."""
    kind = spglib.get_spacegroup_type(hall_number)
    if kind is None:
        raise SymmetryError(f"Hall number {hall_number} is not in spglib's tables (1 to 530).", [])
    return int(kind.number), kind.pointgroup_international.strip()


@lru_cache(maxsize=531)
def conventional_operations(hall_number: int) -> tuple[Floats, Floats]:
    """All operations W x + w of a Hall number in its conventional cell, centrings included.

    Returns:
        W, integers acting on columns, [n_ops, 3, 3], and w in [0, 1), exact multiples of 1/24, [n_ops, 3].

    Raises:
        SymmetryError: there is no such number.
    """
    database = spglib.get_symmetry_from_database(hall_number)
    if database is None:
        raise SymmetryError(f"Hall number {hall_number} is not in spglib's tables (1 to 530).", [])
    return database["rotations"].astype(np.float64), np.rint(database["translations"] * 24) / 24 % 1.0
