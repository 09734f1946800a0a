"""Space group and point-group operations of crystals, and the exact projector onto the tensors they allow.

P T = 1/|G| Σ_R (R ⊗ … ⊗ R) T, in float64 with exactly orthogonal R. The point group is taken from the Hall symbol
through the conventional cell, never from the operations of the listed cell: a supercell that breaks the symmetry lists
only a subgroup. moyopy finds the space group (seven times faster than spglib, same answer for 99.8 % of crystals at
0.01 angstrom); spglib takes over where moyopy gives up and supplies the tables of operations.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import moyopy
import numpy as np
import spglib
from numpy.typing import NDArray

from models.crystals.canonical_order import canonical_order
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.errors import GmtError
from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.tensors.rotate import rotate

# moyo warns for every supercell that breaks its own symmetry; we take the group from the Hall number, which is whole
logging.getLogger("moyo").setLevel(logging.ERROR)

SYMPRECS_ANGSTROM = (1e-3, 1e-2, 1e-1)
"""Tolerances whose space groups are compared: a crystal whose group changes between them is near-symmetric."""

SIGN_FREE_CLASSES = frozenset({"-43m", "23", "-42m", "-4", "-6m2", "-6"})
"""Classes that a quarter or sixth turn maps onto themselves while e changes sign: a published sign proves nothing."""

_ROUNDING = 1e-12  # entries below this share of a tensor's norm are rounding errors of the group average


class SymmetryError(GmtError):
    """No space group was found for some crystals; `rows` names them."""

    def __init__(self, message: str, rows: list[int]) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class SymmetryBatch:
    """Symmetry of every crystal of a batch at one tolerance.

    Attributes:
        number: space-group number 1 to 230, 0 where none was found, shape [n_crystals].
        hall_number: Hall number 1 to 530 (setting), 0 where none was found, shape [n_crystals].
        conventional: columns a, b, c of the conventional cell in angstrom, input frame, shape [n_crystals, 3, 3].
        rotations: orthogonal point-group operations in the input frame, shape [n_ops, 3, 3].
        crystal_of_op: ascending, shape [n_ops].
        symprec: distance tolerance in angstrom.
    """

    number: Ints
    hall_number: Ints
    conventional: Floats
    rotations: Floats
    crystal_of_op: Ints
    symprec: float

    @cached_property
    def point_group(self) -> list[str]:
        """Hermann-Mauguin symbol of the crystal class, e.g. "6mm"; "" where none was found."""
        return [point_group_symbol(int(h)) if h else "" for h in self.hall_number]

    @cached_property
    def failed(self) -> Ints:
        """Crystals for which no space group was found."""
        return np.flatnonzero(self.number == 0)

    @cached_property
    def piezo_allowed(self) -> NDArray[np.bool_]:
        """Whether the class allows a piezoelectric tensor, shape [n_crystals]; from the character of i;jk."""
        trace = np.einsum("oii->o", self.rotations)
        trace_squared = np.einsum("oij,oji->o", self.rotations, self.rotations)
        free = self._mean_over_group(0.5 * trace * (trace**2 + trace_squared))
        return free > 0.5

    def _mean_over_group(self, per_op: Floats) -> Floats:
        """Mean of [n_ops, ...] over each crystal's operations, shape [n_crystals, ...]; 0 where there are none."""
        counts = np.bincount(self.crystal_of_op, minlength=len(self.number))
        total = np.zeros((len(self.number), *per_op.shape[1:]))
        has = counts > 0
        if has.any():
            total[has] = np.add.reduceat(per_op, (np.cumsum(counts) - counts)[has], axis=0)
        mean: Floats = total / np.maximum(counts, 1).reshape(-1, *[1] * (per_op.ndim - 1))
        return mean

    def project(self, quantity: Tensor, tensors: Floats) -> Floats:
        """The part of each tensor that its crystal's point group allows: exact, in float64.

        Args:
            quantity: which tensor.
            tensors: in the stored shape of the quantity, input frame, shape [n_crystals, ...].

        Returns:
            P T of the same shape. A forbidden piezoelectric tensor is exactly 0, and entries that are zero up to
            rounding are set to 0.

        Raises:
            SymmetryError: some crystal has no space group.
        """
        if len(self.failed):
            rows = self.failed.tolist()
            raise SymmetryError(
                f"{len(rows)} of {len(self.number)} crystals have no space group, first is row {rows[0]}. "
                "Drop the rows in .rows.",
                rows,
            )
        turned = rotate(quantity, tensors[self.crystal_of_op].astype(np.float64), self.rotations)
        mean = self._mean_over_group(turned)
        axes = tuple(range(1, mean.ndim))
        norm = np.sqrt((mean**2).sum(axis=axes, keepdims=True))
        mean[np.abs(mean) < _ROUNDING * norm] = 0.0
        if TENSORS[quantity].index_symmetry is IndexSymmetry.PIEZOELECTRIC:
            mean[~self.piezo_allowed] = 0.0
        return mean

    def select(self, crystals: Ints) -> "SymmetryBatch":
        """The symmetry of the given crystals, in ascending order of their indices."""
        keep = np.isin(self.crystal_of_op, crystals)
        position = np.searchsorted(crystals, self.crystal_of_op[keep])
        return SymmetryBatch(
            self.number[crystals],
            self.hall_number[crystals],
            self.conventional[crystals],
            self.rotations[keep],
            position,
            self.symprec,
        )


def find_symmetry(batch: CrystalBatch, symprec: float = 1e-2) -> SymmetryBatch:
    """Space groups and exactly orthogonal point-group operations of all crystals of a batch.

    The operations are made orthogonal canonically: the cell metric is averaged over the group and the cell is stretched
    (without rotation) to that metric. The result depends on the crystal alone, not on the cell or setting chosen.

    Args:
        batch: validated crystals.
        symprec: distance tolerance in angstrom.

    Returns:
        Rows with number 0 are crystals for which neither library finds a group.
    """
    return find_symmetries(batch, (symprec,))[0]


def find_symmetries(batch: CrystalBatch, symprecs: Sequence[float]) -> list[SymmetryBatch]:
    """The same at several tolerances in angstrom."""
    # at the edge of the tolerance both libraries' answers depend on the order of the atoms and on the origin
    listed = canonical_order(batch)
    return [_symmetry_of_listed(listed, symprec) for symprec in symprecs]


def _symmetry_of_listed(batch: CrystalBatch, symprec: float) -> SymmetryBatch:
    found = [_hall_and_cell(batch, crystal, symprec) for crystal in range(batch.n_crystals)]
    hall = np.array([h for h, _ in found], dtype=np.int64)
    conventional = np.array([c for _, c in found]).reshape(-1, 3, 3)
    tables = [_conventional_rotations(int(h)) for h in hall]
    owner = np.repeat(np.arange(len(hall)), [len(t) for t in tables])
    operations = np.concatenate([*tables, np.zeros((0, 3, 3))])
    rotations = _orthogonal(operations, conventional, owner)
    number = np.array([_space_group_type(int(h))[0] if h else 0 for h in hall], dtype=np.int64)
    return SymmetryBatch(number, hall, conventional, rotations, owner, symprec)


class ListedOperations(NamedTuple):
    """What spglib lists for cells as they are given: what other codes average over.

    Attributes:
        number: space-group number, 0 where none was found, shape [n_crystals].
        rotations: operations of the listed cell turned into Cartesian matrices, as they come: a supercell that breaks
            its crystal's symmetry has only a subgroup, and they are orthogonal only as far as the cell is exact;
            shape [n_ops, 3, 3].
        crystal_of_op: ascending, shape [n_ops].
    """

    number: Ints
    rotations: Floats
    crystal_of_op: Ints


@dataclass(frozen=True)
class CellOperations:
    """Space-group operations of one cell as listed, acting on columns of fractional coordinates.

    Attributes:
        rotations: integers, shape [n_ops, 3, 3].
        translations: shape [n_ops, 3].
        orbits: for each atom the first atom of its orbit, shape [n_atoms].
    """

    rotations: Floats
    translations: Floats
    orbits: Ints


def cell_operations(batch: CrystalBatch, crystal: int, symprec: float) -> CellOperations | None:
    """Operations that map the cell as listed onto itself within a tolerance in angstrom; None where none was found."""
    atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
    cell = moyopy.Cell(
        batch.lattice[crystal].tolist(), batch.frac_coords[atoms].tolist(), batch.numbers[atoms].tolist()
    )
    try:
        dataset = moyopy.MoyoDataset(cell, symprec=symprec)
    except ValueError:
        return None
    found = dataset.operations
    rotations, translations = np.array(found.rotations, dtype=np.float64), np.array(found.translations)
    return CellOperations(rotations, translations, np.array(dataset.orbits, dtype=np.int64))


def listed_operations(batch: CrystalBatch, symprec: float = 1e-5) -> ListedOperations:
    """Distinct rotations of the cells as listed, by spglib; for comparison with published codes, never for results.

    Args:
        batch: validated crystals.
        symprec: distance tolerance in angstrom.

    Returns:
        A crystal without a space group has the identity alone.
    """
    numbers, rotations = [], []
    for crystal in range(batch.n_crystals):
        atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
        found = _spglib_dataset(batch.lattice[crystal], batch.frac_coords[atoms], batch.numbers[atoms], symprec)
        numbers.append(int(found.number) if found is not None else 0)
        distinct = np.unique(found.rotations, axis=0) if found is not None else np.eye(3)[None]
        columns = batch.lattice[crystal].T
        rotations.append(columns @ distinct @ np.linalg.inv(columns))
    owner = np.repeat(np.arange(batch.n_crystals), [len(r) for r in rotations])
    return ListedOperations(np.array(numbers, dtype=np.int64), np.concatenate([*rotations, np.zeros((0, 3, 3))]), owner)


def point_group_symbol(hall_number: int) -> str:
    """Hermann-Mauguin symbol of the crystal class of a Hall number, e.g. 525 -> "m-3m"."""
    return _space_group_type(hall_number)[1]


def _hall_and_cell(batch: CrystalBatch, crystal: int, symprec: float) -> tuple[int, Floats]:
    """Hall number (0 = none) and conventional cell (columns, angstrom, input frame) of one crystal."""
    atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
    basis, positions, numbers = batch.lattice[crystal], batch.frac_coords[atoms], batch.numbers[atoms]
    try:
        dataset = moyopy.MoyoDataset(
            moyopy.Cell(basis.tolist(), positions.tolist(), numbers.tolist()), symprec=symprec, rotate_basis=False
        )
    except ValueError:
        return _hall_and_cell_by_spglib(basis, positions, numbers, symprec)
    return dataset.hall_number, basis.T @ np.asarray(dataset.std_linear)


def _hall_and_cell_by_spglib(basis: Floats, positions: Floats, numbers: Ints, symprec: float) -> tuple[int, Floats]:
    """The same through spglib, the second opinion."""
    dataset = _spglib_dataset(basis, positions, numbers, symprec)
    if dataset is None:
        return 0, np.eye(3)
    return int(dataset.hall_number), basis.T @ np.linalg.inv(dataset.transformation_matrix)


def _spglib_dataset(basis: Floats, positions: Floats, numbers: Ints, symprec: float) -> spglib.SpglibDataset | None:
    try:
        return spglib.get_symmetry_dataset((basis.tolist(), positions.tolist(), numbers.tolist()), symprec=symprec)
    except spglib.SpglibError:
        return None


@lru_cache(maxsize=531)
def _conventional_rotations(hall_number: int) -> Floats:
    """Point-group operations in the conventional basis (integers acting on columns), shape [n_ops, 3, 3]."""
    if hall_number == 0:
        return np.zeros((0, 3, 3))
    database = spglib.get_symmetry_from_database(hall_number)
    if database is None:
        raise SymmetryError(f"Hall number {hall_number} is not in spglib's tables (1 to 530).", [])
    return np.unique(database["rotations"], axis=0).astype(np.float64)


@lru_cache(maxsize=531)
def _space_group_type(hall_number: int) -> tuple[int, str]:
    kind = spglib.get_spacegroup_type(hall_number)
    if kind is None:
        raise SymmetryError(f"Hall number {hall_number} is not in spglib's tables (1 to 530).", [])
    return int(kind.number), kind.pointgroup_international.strip()


def _orthogonal(operations: Floats, conventional: Floats, owner: Ints) -> Floats:
    """Cartesian operations, orthogonal to rounding: W in the basis F B, F² = B⁻ᵀ ⟨Wᵀ BᵀB W⟩ B⁻¹, F symmetric."""
    if not len(operations):
        return operations
    metric = np.swapaxes(conventional, 1, 2) @ conventional
    turned = np.swapaxes(operations, 1, 2) @ metric[owner] @ operations
    counts = np.bincount(owner, minlength=len(conventional))
    averaged = np.broadcast_to(np.eye(3), metric.shape).copy()
    has = counts > 0
    averaged[has] = np.add.reduceat(turned, (np.cumsum(counts) - counts)[has], axis=0) / counts[has, None, None]
    inverse = np.linalg.inv(conventional)
    stretch_squared = np.swapaxes(inverse, 1, 2) @ averaged @ inverse
    values, vectors = np.linalg.eigh(0.5 * (stretch_squared + np.swapaxes(stretch_squared, 1, 2)))
    stretch = (vectors * np.sqrt(np.abs(values))[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    basis = (stretch @ conventional)[owner]
    return _polish(basis @ operations @ np.linalg.inv(basis))


def _polish(rotations: Floats) -> Floats:
    """One Newton step of the polar decomposition: removes the rounding left by the inversion of skewed cells."""
    polished: Floats = 0.5 * (rotations + np.linalg.inv(np.swapaxes(rotations, 1, 2)))
    return polished
