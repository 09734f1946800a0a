"""symmetrize: RawPrediction -> SymmetrizedPrediction, by the exact point-group average, with what it removed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.infer import RawPrediction
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.search import SIGN_FREE_CLASSES, SYMPRECS_ANGSTROM, SymmetryBatch, find_symmetries
from models.uncertainty.ensemble import common_signs, scaled, stretch, with_signs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


ROUNDING = 1e-5
"""Norm below which a raw tensor, in its unit, is a rounding error of float32 and not a prediction."""


@dataclass(frozen=True)
class SymmetryAnalysis:
    """Symmetry of crystals at the chosen tolerance, and at three.

    Attributes:
        symmetry: at the chosen tolerance, or at the nearest at which a group was found.
        at: at each tolerance of SYMPRECS_ANGSTROM.
    """

    symmetry: SymmetryBatch
    at: tuple[SymmetryBatch, ...]

    @cached_property
    def numbers(self) -> Ints:
        """Space-group number at each tolerance of SYMPRECS_ANGSTROM, 0 where none was found, [n_crystals, 3]."""
        return np.stack([each.number for each in self.at], axis=1)

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """The space group changes with the tolerance: the crystal is near-symmetric, [n_crystals]."""
        return np.asarray((self.numbers != self.symmetry.number[:, None]).any(axis=1))


@dataclass(frozen=True)
class SymmetrizedPrediction:
    """Tensors that obey their crystal's point group exactly.

    Attributes:
        analysis: the symmetry used.
        tensors: mean of the members (see models/uncertainty/ensemble.py), in unit and stored shape, input frame,
            [n_crystals, ...].
        removed_fraction: |T - PT| / |T| of each raw tensor, 0 where T is a rounding error, [n_crystals].
        symprec_spread: how much each tensor depends on the tolerance, see `symprec_spread`, [n_crystals].
        members: what the mean is made of, [n_members, n_crystals, ...].
        sign_votes: share of the members that found the overall sign of the piezoelectric tensor, 1 where its class
            leaves the sign open or forbids the tensor, [n_crystals].
    """

    crystals: CrystalBatch
    analysis: SymmetryAnalysis
    tensors: dict[Tensor, Floats]
    removed_fraction: dict[Tensor, Floats]
    symprec_spread: dict[Tensor, Floats]
    members: dict[Tensor, Floats]
    sign_votes: Floats


def analyse_symmetry(crystals: CrystalBatch, symprec: float) -> SymmetryAnalysis:
    """Symmetry at `symprec` (angstrom) and at the three tolerances that tell near-symmetric crystals."""
    tolerances = sorted({symprec, *SYMPRECS_ANGSTROM})
    found = dict(zip(tolerances, find_symmetries(crystals, tolerances), strict=True))
    return SymmetryAnalysis(found[symprec], tuple(found[each] for each in SYMPRECS_ANGSTROM))


def symmetrize(prediction: RawPrediction, analysis: SymmetryAnalysis) -> SymmetrizedPrediction:
    """Projects every member's tensors on what the point group allows, and averages the members.

    Raises:
        SymmetryError: a crystal has no space group; `.rows` names them.
    """
    tensors, removed, spread, members, votes = {}, {}, {}, {}, np.ones(prediction.crystals.n_crystals)
    for quantity, raw in prediction.tensors.items():
        projected = np.stack([analysis.symmetry.project(quantity, member) for member in raw])
        signs = common_signs(quantity, projected)
        members[quantity] = with_signs(projected, signs)
        if quantity is Tensor.PIEZOELECTRIC:
            votes = _sign_votes(signs, analysis.symmetry)
        size = stretch(quantity, members[quantity])
        tensors[quantity] = scaled(members[quantity].mean(axis=0), size)
        mean = scaled(with_signs(raw, signs).mean(axis=0), size)
        removed[quantity] = _removed(mean, tensors[quantity])
        spread[quantity] = symprec_spread(quantity, mean, tensors[quantity], analysis)
    return SymmetrizedPrediction(prediction.crystals, analysis, tensors, removed, spread, members, votes)


def _sign_votes(signs: Floats, symmetry: SymmetryBatch) -> Floats:
    """Share of members that were not turned round, 1 where a sign means nothing, [n_crystals]."""
    meaningless = np.isin(symmetry.point_group, list(SIGN_FREE_CLASSES)) | ~symmetry.piezo_allowed
    votes: Floats = np.where(meaningless, 1.0, (signs > 0).mean(axis=0))
    return votes


def symprec_spread(quantity: Tensor, raw: Floats, stored: Floats, analysis: SymmetryAnalysis) -> Floats:
    """How much a tensor would change if another tolerance had decided which symmetry its crystal has.

    The raw tensor of a near-symmetric crystal is projected with the group found at each of SYMPRECS_ANGSTROM.

    Args:
        quantity: which tensor.
        raw: before symmetrization, in the stored shape, [n_crystals, ...].
        stored: after it, of the same shape.
        analysis: symmetry of the same crystals.

    Returns:
        The largest |T' - T| / max(|T'|, |T|) over the tolerances, [n_crystals]: 1 where one of the groups forbids the
        tensor, 0 for crystals that are not near-symmetric and where both are rounding errors.
    """
    spread = np.zeros(len(stored))
    near = np.flatnonzero(analysis.ambiguous)
    for other in analysis.at:
        rows = near[other.number[near] > 0]
        projected = other.select(rows).project(quantity, raw[rows])
        size = np.maximum(_norm(projected), _norm(stored[rows]))
        change = np.divide(_norm(projected - stored[rows]), size, out=np.zeros(len(rows)), where=size > ROUNDING)
        spread[rows] = np.maximum(spread[rows], change)
    return spread


def _removed(raw: Floats, projected: Floats) -> Floats:
    """|T - PT| / |T|; 0 for tensors that are nothing but the network's rounding errors."""
    size, rest = _norm(raw), _norm(raw - projected)
    removed: Floats = np.divide(rest, size, out=np.zeros_like(rest), where=size > ROUNDING)
    return removed


def _norm(tensors: Floats) -> Floats:
    """Frobenius norm of the stored entries, [n_crystals]."""
    return np.asarray(np.sqrt((tensors**2).sum(axis=tuple(range(1, tensors.ndim)))))
