"""symmetrize: RawPrediction -> SymmetrizedPrediction, by the exact point-group average, with what it removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.infer import RawPrediction
from models.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry import SYMPRECS_ANGSTROM, SymmetryBatch, find_symmetry, space_group_numbers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


ROUNDING = 1e-5
"""Norm below which a raw tensor, in its unit, is a rounding error of float32 and not a prediction."""


@dataclass(frozen=True)
class SymmetryAnalysis:
    """Symmetry of crystals at the chosen tolerance, and their space groups at three.

    Attributes:
        symmetry: at the chosen tolerance.
        numbers: space-group number at each tolerance of SYMPRECS_ANGSTROM, [n_crystals, 3].
    """

    symmetry: SymmetryBatch
    numbers: Ints

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """The space group changes with the tolerance: the crystal is near-symmetric, [n_crystals]."""
        return np.asarray((self.numbers != self.symmetry.number[:, None]).any(axis=1))


@dataclass(frozen=True)
class SymmetrizedPrediction:
    """Tensors that obey their crystal's point group exactly.

    Attributes:
        analysis: the symmetry used.
        tensors: in unit and stored shape, input frame, [n_crystals, ...].
        removed_fraction: |T - PT| / |T| of each raw tensor, 0 where T is a rounding error, [n_crystals].
    """

    crystals: CrystalBatch
    analysis: SymmetryAnalysis
    tensors: dict[Tensor, Floats]
    removed_fraction: dict[Tensor, Floats]


def analyse_symmetry(crystals: CrystalBatch, symprec: float) -> SymmetryAnalysis:
    """Symmetry at `symprec` (angstrom) and space groups at the three tolerances that tell near-symmetric crystals."""
    symmetry = find_symmetry(crystals, symprec)
    numbers = [symmetry.number if s == symprec else space_group_numbers(crystals, s) for s in SYMPRECS_ANGSTROM]
    return SymmetryAnalysis(symmetry, np.stack(numbers, axis=1))


def symmetrize(prediction: RawPrediction, analysis: SymmetryAnalysis) -> SymmetrizedPrediction:
    """Projects every tensor on what the point group allows.

    Raises:
        SymmetryError: a crystal has no space group; `.rows` names them.
    """
    tensors = {q: analysis.symmetry.project(q, raw) for q, raw in prediction.tensors.items()}
    removed = {q: _removed(prediction.tensors[q], projected) for q, projected in tensors.items()}
    return SymmetrizedPrediction(prediction.crystals, analysis, tensors, removed)


def _removed(raw: Floats, projected: Floats) -> Floats:
    """|T - PT| / |T|; 0 for tensors that are nothing but the network's rounding errors."""
    axes = tuple(range(1, raw.ndim))
    size = np.sqrt((raw**2).sum(axis=axes))
    rest = np.sqrt(((raw - projected) ** 2).sum(axis=axes))
    removed: Floats = np.divide(rest, size, out=np.zeros_like(rest), where=size > ROUNDING)
    return removed
