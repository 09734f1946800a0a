"""Standard settings of crystals: the searches of moyopy and spglib, and where they need not be asked.

moyopy spends most of its time on what nobody reads here: Wyckoff positions of cubic crystals take up to twenty
milliseconds. The operations of crystals of class m-3m, a seventh of all, are found by `operation_search`, and moyopy
only names their group. In other classes its choice among equivalent settings is kept as it is.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import moyopy
import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.symmetry.minkowski import reduce_cells
from models.symmetry.operation_search import Accepted, ReducedCells, find_accepted
from models.symmetry.operations import conventional_rotations, moyo_dataset, spglib_dataset

_SAFE_PART = 0.1  # of a tolerance, within which operations must hold so that nothing but their number matters
_HOLOHEDRY = 48


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
        self._accepted = Accepted(
            np.zeros((n, n_tolerances), dtype=np.int64),
            np.zeros((n, n_tolerances)),
            np.zeros((n, _HOLOHEDRY, 3, 3), dtype=np.int64),
            np.zeros((n, _HOLOHEDRY, 3)),
        )
        cells = ReducedCells(basis, is_reduced, frac_coords, batch.numbers, batch.first_atom)
        find_accepted(cells, np.array(self.tolerances), self._accepted)

    def find(self, crystals: Ints, index: int) -> Settings:
        """The settings of some crystals at one tolerance.

        Args:
            crystals: their indices.
            index: of the tolerance.
        """
        found = [self._find(int(crystal), index) for crystal in crystals]
        return Settings(
            np.array([each[0] for each in found], dtype=np.int64),
            np.array([each[1] for each in found], dtype=np.float64).reshape(-1, 3, 3),
            np.array([each[2] for each in found], dtype=np.float64).reshape(-1, 3),
            np.array([each[3] for each in found], dtype=np.bool_),
        )

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

    def _find(self, crystal: int, index: int) -> tuple[int, Sequence[Sequence[float]] | Floats, Sequence[float], bool]:
        """Hall number, basis and origin of one crystal, and whether nothing but the tolerance asked for was needed."""
        symprec = self.tolerances[index]
        found = self._accepted.n_ops[crystal, index], self._accepted.residual[crystal, index]
        if found[0] == _HOLOHEDRY and found[1] <= _SAFE_PART * symprec:
            named = self._name(crystal, symprec)
            if named is not None:
                return *named, True
        dataset = moyo_dataset(self.batch, crystal, symprec)
        if dataset is not None:
            is_kept = bool(abs(dataset.symprec / symprec - 1.0) < 1e-9)
            return dataset.hall_number, dataset.std_linear, dataset.std_origin_shift, is_kept
        second = spglib_dataset(self.batch, crystal, symprec)
        if second is None:
            return 0, np.eye(3), [0.0, 0.0, 0.0], False
        linear = np.linalg.inv(np.asarray(second.transformation_matrix, dtype=np.float64))
        return int(second.hall_number), linear, (-linear @ second.origin_shift).tolist(), False

    def _name(self, crystal: int, symprec: float) -> tuple[int, Floats, Sequence[float]] | None:
        """Hall number, basis and origin of a crystal with 48 operations; None where moyopy cannot name its group."""
        accepted, lattice = self._accepted, self.batch.lattice[crystal]
        volume = float(np.linalg.det(lattice))
        # with a left-handed cell in its inverted basis: moyopy takes operations to be in a right-handed one
        hand = 1.0 if volume > 0 else -1.0
        rotations, translations = accepted.rotations[crystal].tolist(), (hand * accepted.translations[crystal]).tolist()
        try:
            group = moyopy.SpaceGroup(rotations, translations, epsilon=symprec / np.cbrt(abs(volume)))
        except ValueError:
            return None
        basis = hand * self._transform[crystal]
        linear = basis @ np.array(group.linear, dtype=np.float64) @ _centring(group.hall_number)
        return group.hall_number, linear, (basis @ group.origin_shift).tolist()


@cache
def _centring(hall_number: int) -> Floats:
    """The conventional basis in moyopy's primitive one, columns, shape [3, 3]."""
    return np.array(moyopy.HallSymbolEntry(hall_number).centering.linear, dtype=np.float64)
