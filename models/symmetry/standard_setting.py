"""Standard settings of crystals, as moyopy chooses them, mostly without a search by moyopy.

The operations that hold are found by `operation_search` at all tolerances, the group and its axes follow from them
(`settings`). Where either is not sure (near the edge of a tolerance, in cells that are not primitive, where operations
are no group), moyopy searches the crystal, and where it gives up spglib does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.symmetry.minkowski import reduce_cells
from models.symmetry.operation_search import Accepted, ReducedCells, find_accepted
from models.symmetry.operations import conventional_rotations, moyo_dataset, spglib_dataset
from models.symmetry.settings.axes import conventional_axes, product_in_order
from models.symmetry.settings.identification import OperationLists, known_groups
from models.symmetry.space_group_tables import MAX_OPS

_SAFE_PART = 0.1  # of another tolerance, within which operations must hold for their number to tell the group


class Settings(NamedTuple):
    """Standard settings of crystals, in the bases and relative to the origins that they were searched in.

    Attributes:
        hall_number: 1 to 530, 0 where no group was found, shape [n_crystals].
        linear: columns: the conventional basis, shape [n_crystals, 3, 3].
        shift: its origin, fractional, shape [n_crystals, 3].
        is_kept: whether the group holds at the tolerance asked for and was not found at another, [n_crystals].
    """

    hall_number: Ints
    linear: Floats
    shift: Floats
    is_kept: NDArray[np.bool_]


class StandardSettings:
    """The standard settings of crystals at several tolerances.

    Args:
        batch: validated crystals in canonical order.
        tolerances: in angstrom, ascending.
    """

    def __init__(self, batch: CrystalBatch, tolerances: Sequence[float]) -> None:
        self.batch = batch
        self.tolerances = list(tolerances)
        n, n_tolerances = batch.n_crystals, len(self.tolerances)
        basis, is_reduced = np.zeros((n, 3, 3)), np.zeros(n, dtype=np.bool_)
        self._transform = np.zeros((n, 3, 3))
        reduce_cells(np.ascontiguousarray(batch.lattice), basis, self._transform, is_reduced)
        self._transform[~is_reduced] = np.eye(3)
        inverse = np.linalg.inv(self._transform)
        frac_coords = np.einsum("nij,nj->ni", inverse[batch.crystal_of_atom], batch.frac_coords)
        self._accepted = Accepted.empty(n, n_tolerances)
        cells = ReducedCells(basis, is_reduced, frac_coords, batch.numbers, batch.first_atom)
        find_accepted(cells, np.array(self.tolerances), self._accepted)

    def find(self, crystals: Ints, indices: Ints) -> Settings:
        """The settings of some crystals at some tolerances.

        Args:
            crystals: their indices, shape [n].
            indices: of the tolerance for each of them, shape [n].
        """
        n, n_ops = len(crystals), self._accepted.n_ops[crystals, indices]
        found = Settings(np.zeros(n, np.int64), np.zeros((n, 3, 3)), np.zeros((n, 3)), np.ones(n, np.bool_))
        rows = np.flatnonzero((n_ops > 0) & (n_ops <= MAX_OPS))
        self._identify(crystals[rows], indices[rows], rows, found)
        for row in np.flatnonzero(found.hall_number == 0):
            hall, linear, shift, is_kept = self._search(int(crystals[row]), self.tolerances[indices[row]])
            found.hall_number[row], found.linear[row], found.shift[row] = hall, linear, shift
            found.is_kept[row] = is_kept
        return found

    def same_at(self, index: int, searched: int, settings: Settings) -> NDArray[np.bool_]:
        """Crystals whose group is surely the same at another tolerance, shape [n_crystals].

        The operations that hold at two tolerances include each other: where their numbers agree they are the same.

        Args:
            index: of the other tolerance.
            searched: the tolerance at which all crystals were searched.
            settings: what was found there.
        """
        n_ops, residual = self._accepted.n_ops, self._accepted.residual
        orders = np.array([len(conventional_rotations(int(hall))) for hall in settings.hall_number], dtype=np.int64)
        is_same = (n_ops[:, index] == orders) & (n_ops[:, searched] == orders) & settings.is_kept
        return np.asarray(is_same & (residual[:, index] <= _SAFE_PART * self.tolerances[index]))

    def _identify(self, crystals: Ints, indices: Ints, rows: Ints, found: Settings) -> None:
        """Writes settings that follow from the operations found, to the given rows; others are left as they are."""
        lattice = np.swapaxes(self.batch.lattice[crystals], 1, 2)
        volume = np.linalg.det(lattice)
        # left-handed cells are inverted: operations are taken to be in right-handed ones
        hand = np.where(volume > 0, 1.0, -1.0)
        transform = hand[:, None, None] * self._transform[crystals]
        codes, translations = self._operations(crystals, indices)
        groups = known_groups().identify(OperationLists(codes, hand[:, None, None] * translations))
        named = np.flatnonzero(groups.hall_number)
        axes = conventional_axes(
            groups.hall_number[named], groups.linear[named], product_in_order(lattice[named], transform[named])
        )
        chosen = axes.basis.any(axis=(1, 2))
        named, basis, shift = named[chosen], axes.basis[chosen], axes.shift[chosen]
        found.hall_number[rows[named]] = groups.hall_number[named]
        found.linear[rows[named]] = transform[named] @ basis
        found.shift[rows[named]] = np.einsum("nij,nj->ni", transform[named], groups.origin[named] + shift)

    def _operations(self, crystals: Ints, indices: Ints) -> tuple[list[Ints], Floats]:
        """Rotations of the operations that hold, as numbers, and their translations, [n, MAX_OPS, 3]."""
        accepted = self._accepted
        counts = accepted.n_ops[crystals, indices]
        codes, translations = accepted.codes[crystals, :MAX_OPS], accepted.translations[crystals, :MAX_OPS]
        holds = accepted.misses[crystals] < np.array(self.tolerances)[indices, None]
        # those that hold come first, in the order in which they were found
        mixed = np.flatnonzero(holds[:, :MAX_OPS].cumsum(axis=1)[np.arange(len(counts)), counts - 1] < counts)
        order = np.argsort(~holds[mixed], axis=1, kind="stable")[:, :MAX_OPS]
        codes[mixed] = np.take_along_axis(accepted.codes[crystals[mixed]], order, axis=1)
        translations[mixed] = np.take_along_axis(accepted.translations[crystals[mixed]], order[:, :, None], axis=1)
        return [row[:count] for row, count in zip(codes, counts.tolist(), strict=True)], translations

    def _search(self, crystal: int, symprec: float) -> tuple[int, ArrayLike, ArrayLike, bool]:
        """Hall number, basis and origin that moyopy or else spglib find; whether at no other tolerance."""
        dataset = moyo_dataset(self.batch, crystal, symprec)
        if dataset is not None:
            is_kept = bool(abs(dataset.symprec / symprec - 1.0) < 1e-9)
            return dataset.hall_number, dataset.std_linear, dataset.std_origin_shift, is_kept
        second = spglib_dataset(self.batch, crystal, symprec)
        if second is None:
            return 0, np.eye(3), np.zeros(3), False
        linear = np.linalg.inv(np.asarray(second.transformation_matrix, dtype=np.float64))
        return int(second.hall_number), linear, -linear @ second.origin_shift, False
