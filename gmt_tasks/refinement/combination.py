"""combine: stiffness by a network and by a potential for the same crystals -> the stiffness that is stored.

Both err almost independently of each other, so their mean errs less than either. Of the tensors only the stiffness has
a second opinion.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.refinement.recipe import Recipe
from gmt_tasks.screening.derive import derive
from gmt_tasks.screening.intervals import interval_columns
from gmt_tasks.screening.metals import without_static_response
from gmt_tasks.screening.screener import TensorPrediction
from models.crystals.crystal import CrystalBatch
from models.derived.elastic import Unstable, derive_elastic
from models.potential.softening import stiffened
from models.quantities import Tensor
from models.uncertainty.conformal import Calibration

Floats = NDArray[np.float64]


def combine(network: Floats, potential: Floats, weight: Floats) -> Floats:
    """The weighted mean of stiffnesses; the network's where the potential says nothing.

    Args:
        network: C_IJ in GPa, shape [..., n_crystals, 6, 6].
        potential: of the same crystals in the same frame, corrected; NaN where it has none, [n_crystals, 6, 6].
        weight: share of the potential, shape [..., n_crystals].
    """
    known: NDArray[np.bool_] = np.asarray(np.isfinite(potential).all(axis=(1, 2)))
    share = np.where(known, weight, 0.0)[..., None, None]
    combined: Floats = (1 - share) * network + share * np.where(known[:, None, None], potential, 0.0)
    return combined


def combined_prediction(
    prediction: TensorPrediction, stiffness_gpa: Floats, recipe: Recipe, calibration: Calibration
) -> TensorPrediction:
    """A network's prediction with the stiffness of a potential in it, derived columns and intervals anew.

    Args:
        prediction: of the network for relaxed crystals.
        stiffness_gpa: by the potential, of the crystals that have a prediction, in the same frame; NaN where it has
            none, shape [n_crystals, 6, 6].
        recipe: corrections, weights and widths.
        calibration: of the network, for a recipe without widths of its own.
    """
    network = prediction.derived.prediction
    potential, weight = np.full_like(stiffness_gpa, np.nan), recipe.of_crystals(network.crystals)[2]
    known = np.flatnonzero(np.isfinite(stiffness_gpa).all(axis=(1, 2)))
    if len(known):
        # differences of finite steps are not exactly symmetric
        of_known = corrected(stiffness_gpa[known], network.crystals.select(known), recipe)
        potential[known] = network.analysis.symmetry.select(known).project(Tensor.ELASTIC, of_known)
    tensor = Tensor.ELASTIC
    by_network = network.by_network[tensor]
    # The networks take turns in leaning towards the potential and away from it; the mean share stays.
    lean = recipe.weight_spread * np.resize([1.0, -1.0], len(by_network) - len(by_network) % 2)
    shares = weight + np.append(lean, [0.0] * (len(by_network) % 2))[:, None] * weight
    blended = replace(
        network,
        tensors=network.tensors | {tensor: combine(network.tensors[tensor], potential, weight)},
        by_network=network.by_network | {tensor: combine(by_network, potential, shares)},
    )
    derived = derive(blended)
    intervals = interval_columns(derived, recipe.calibration or calibration)
    is_metal = np.asarray(prediction.reliability["metal"] == 1)
    derived, intervals = without_static_response(derived, intervals, is_metal)
    return replace(prediction, derived=derived, intervals=intervals)


def corrected(stiffness_gpa: Floats, crystals: CrystalBatch, recipe: Recipe) -> Floats:
    """Stiffnesses by a potential without its softening, [n_crystals, 6, 6]."""
    volumetric, deviatoric, _ = recipe.of_crystals(crystals)
    return stiffened(stiffness_gpa, volumetric, deviatoric)


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
