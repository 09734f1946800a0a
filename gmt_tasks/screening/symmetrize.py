"""symmetrize: AveragedPrediction -> SymmetrizedPrediction, by the exact point-group average, with what it removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.average import AveragedPrediction
from gmt_tasks.screening.symmetry_analysis import SymmetryAnalysis
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.search import SymmetryBatch

Floats = NDArray[np.float64]

ROUNDING = 1e-5
"""Norm below which a raw tensor, in its unit, is a rounding error of float32 and not a prediction."""


@dataclass(frozen=True)
class SymmetrizedPrediction:
    """Tensors that obey their crystal's point group exactly.

    Attributes:
        crystals: n_crystals of them.
        analysis: the symmetry used.
        tensors: in unit and stored shape, input frame, [n_crystals, ...].
        removed_fraction: |T - PT| / |T| of each raw tensor, 0 where T is a rounding error, [n_crystals].
        symprec_spread: how much each tensor depends on the tolerance, see `symprec_spread`, [n_crystals].
        by_network, sign_votes, spreads: of the networks, see AveragedPrediction.
    """

    crystals: CrystalBatch
    analysis: SymmetryAnalysis
    tensors: dict[Tensor, Floats]
    removed_fraction: dict[Tensor, Floats]
    symprec_spread: dict[Tensor, Floats]
    by_network: dict[Tensor, Floats]
    sign_votes: Floats
    spreads: dict[str, Floats]


def symmetrize(
    prediction: AveragedPrediction,
    analysis: SymmetryAnalysis,
    as_given: tuple[NDArray[np.int64], AveragedPrediction] | None = None,
) -> SymmetrizedPrediction:
    """Every tensor as the point group of its crystal allows it, what that removed, and what hangs on the tolerance.

    Args:
        prediction: of the crystals.
        analysis: their symmetry.
        as_given: rows of crystals, and their prediction as they were given, where `prediction` is that of idealised
            crystals: these have lost what a tighter tolerance would have kept.
    """
    near = np.flatnonzero(analysis.ambiguous)
    removed, spread = {}, {}
    others = groups_at_tolerances(analysis.select(near))
    for quantity, raw in prediction.tensors.items():
        projected = prediction.projections[quantity]
        size, rest = _norm(raw), _norm(raw - projected)
        # of a tensor that is nothing but the network's rounding errors no fraction has a meaning
        removed[quantity] = np.divide(rest, size, out=np.zeros_like(rest), where=size > ROUNDING)
        spread[quantity], before, stored = np.zeros(len(raw)), raw.copy(), projected.copy()
        if as_given is not None:
            rows, given = as_given
            before[rows], stored[rows] = given.tensors[quantity], given.projections[quantity]
        spread[quantity][near] = symprec_spread(quantity, before[near], stored[near], others)
    return SymmetrizedPrediction(
        prediction.crystals,
        analysis,
        prediction.projections,
        removed,
        spread,
        prediction.by_network,
        prediction.sign_votes,
        prediction.spreads,
    )


def groups_at_tolerances(analysis: SymmetryAnalysis) -> list[tuple[NDArray[np.int64], SymmetryBatch]]:
    """Near-symmetric crystals and their groups at each tolerance; for all others nothing is projected."""
    near = np.flatnonzero(analysis.ambiguous)
    chosen = [(near[other.number[near] > 0], other) for other in analysis.at]
    return [(rows, other.select(rows)) for rows, other in chosen]


def symprec_spread(
    quantity: Tensor, raw: Floats, stored: Floats, others: list[tuple[NDArray[np.int64], SymmetryBatch]]
) -> Floats:
    """How much a tensor would change if another tolerance had decided which symmetry its crystal has.

    The raw tensor of a near-symmetric crystal is projected with the group found at each of SYMPRECS_ANGSTROM.

    Args:
        quantity: which tensor.
        raw: before symmetrization, in the stored shape, [n_crystals, ...].
        stored: after it, of the same shape.
        others: near-symmetric crystals with their groups at each tolerance.

    Returns:
        The largest |T' - T| / max(|T'|, |T|) over the tolerances, [n_crystals]: 1 where one of the groups forbids the
        tensor, 0 for crystals that are not near-symmetric and where both are rounding errors.
    """
    spread = np.zeros(len(stored))
    for rows, other in others:
        projected = other.project(quantity, raw[rows])
        size = np.maximum(_norm(projected), _norm(stored[rows]))
        change = np.divide(_norm(projected - stored[rows]), size, out=np.zeros(len(rows)), where=size > ROUNDING)
        spread[rows] = np.maximum(spread[rows], change)
    return spread


def _norm(tensors: Floats) -> Floats:
    """Frobenius norm of the stored entries, [n_crystals]."""
    return np.asarray(np.sqrt((tensors**2).sum(axis=tuple(range(1, tensors.ndim)))))
