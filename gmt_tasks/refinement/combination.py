"""combine: tensors of a network and of a potential for the same crystals -> the tensors that are stored.

Both err independently of each other, so their mean errs less than either. Of the tensors only the stiffness has a
second opinion yet.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.refinement.recipe import Recipe
from gmt_tasks.screening.derive import derive
from gmt_tasks.screening.intervals import interval_columns
from gmt_tasks.screening.screener import TensorPrediction
from gmt_tasks.screening.symmetrize import SymmetrizedPrediction
from models.crystals.crystal_systems import crystal_systems
from models.derived.elastic import Unstable, derive_elastic
from models.quantities import Tensor
from models.uncertainty.conformal import Calibration

Floats = NDArray[np.float64]

TensorsOf = dict[Tensor, Floats]
"""Tensors by quantity, each [n_crystals, ...shape of the quantity]."""


def combine(network: TensorsOf, potential: TensorsOf, systems: NDArray[Any], recipe: Recipe) -> TensorsOf:
    """The weighted means of tensors; the network's where the potential says nothing.

    Args:
        network: any leading axes may stand before the crystals', [..., n_crystals, ...].
        potential: of the same crystals in the same frame; NaN where it has none.
        systems: crystal systems, [n_crystals].
        recipe: weights.
    """
    combined = dict(network)
    for tensor in network.keys() & potential.keys():
        values, other = network[tensor], potential[tensor]
        each = tuple(range(1, other.ndim))
        weight = np.array([recipe.weight(tensor, system) for system in systems.tolist()])
        weight = np.where(np.isfinite(other).all(axis=each), weight, 0.0).reshape(-1, *(1 for _ in each))
        combined[tensor] = (1 - weight) * values + weight * np.where(weight > 0, other, 0.0)
    return combined


def combined_prediction(
    prediction: TensorPrediction, potential: TensorsOf, recipe: Recipe, calibration: Calibration
) -> TensorPrediction:
    """A network's prediction with the tensors of a potential in it, derived columns and intervals anew.

    Args:
        prediction: of the network for relaxed crystals.
        potential: tensors of the crystals that have a prediction, in the same frame.
        recipe: weights and widths.
        calibration: of the network, for a recipe without widths of its own.
    """
    network = prediction.derived.prediction
    symmetry = network.analysis.symmetry
    projected = {tensor: _projected(network, tensor, values) for tensor, values in potential.items()}
    systems = crystal_systems(symmetry.number)
    blended = replace(
        network,
        tensors=combine(network.tensors, projected, systems, recipe),
        by_network=combine(network.by_network, projected, systems, recipe),
    )
    derived = derive(blended)
    intervals = interval_columns(derived, recipe.calibration or calibration)
    return replace(prediction, derived=derived, intervals=intervals)


def _projected(network: SymmetrizedPrediction, tensor: Tensor, values: Floats) -> Floats:
    """Tensors as the crystals' point groups allow them: differences of finite steps are not exactly symmetric."""
    known = np.flatnonzero(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
    projected = np.full_like(values, np.nan)
    if len(known):
        projected[known] = network.analysis.symmetry.select(known).project(tensor, values[known])
    return projected


def moduli(stiffness_gpa: Floats) -> dict[str, Floats]:
    """k_vrh_gpa and g_vrh_gpa of stiffness tensors [n_crystals, 6, 6], NaN where one is not positive definite."""
    n = len(stiffness_gpa)
    columns = {name: np.full(n, np.nan) for name in ("k_vrh_gpa", "g_vrh_gpa")}
    known = np.flatnonzero(np.isfinite(stiffness_gpa).all(axis=(1, 2)))
    if len(known):
        derived = derive_elastic(stiffness_gpa[known], Unstable.FLAG)
        for name, values in columns.items():
            values[known] = derived[name]
    return columns


def disagreement(network: dict[str, Any], potential: dict[str, Any], recipe: Recipe) -> NDArray[np.bool_]:
    """Whether the moduli of network and potential differ by more than both usually err, [n_crystals].

    A modulus that one of them has and the other has not, because its crystal is unstable, is a disagreement too.
    """
    disagrees = np.zeros(len(next(iter(potential.values()))), np.bool_)
    for name, bound in recipe.disagreement.items():
        one, other = np.asarray(network[name], np.float64), np.asarray(potential[name], np.float64)
        positive = (one > 0) & (other > 0)
        difference = np.abs(np.log(np.where(positive, one, 1.0)) - np.log(np.where(positive, other, 1.0)))
        disagrees |= np.where(positive, difference > bound, (one > 0) != (other > 0))
    return disagrees
