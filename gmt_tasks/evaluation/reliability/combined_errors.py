"""Errors of numbers made of several tensors, where hardly any crystal has labels of them all.

d = e C⁻¹ needs a label of e and one of C in one frame: a handful of held-out crystals have both, but dozens have one of
e and hundreds one of C. Each label alone gives its part of the error: the number with that tensor replaced by its
label, minus the predicted number, on the scale of the number. The errors of the two tensors are those of different
calculations and of different parts of the network, so the parts of different crystals are added as if independent.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.label_properties import label_tensors
from gmt_tasks.evaluation.reliability.doubtful_labels import label_doubts
from gmt_tasks.evaluation.reliability.held_out_widths import HeldOutErrors
from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.screening.derive import derived_columns
from gmt_tasks.screening.intervals import zero_by_symmetry
from gmt_tasks.screening.screener import TensorPrediction
from models.crystals.masses import densities
from models.quantities import DERIVED, INTERVALS, Tensor
from models.tensors.voigt import from_components
from models.uncertainty.conformal import ALPHA, ConformalWidth
from models.uncertainty.scales import to_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.int64]

N_PARTNERS = 20
"""How many errors of the other tensors each error of the first is added to."""

COMBINED: tuple[str, ...] = tuple(name for name in INTERVALS if len(DERIVED[name].from_tensors) > 1)
"""Numbers that are made of several tensors; the first of them has the fewest labels."""


@dataclass(frozen=True)
class CombinedErrors:
    """Errors of one number, each crystal N_PARTNERS times.

    Attributes:
        n: crystals with a label of the first tensor.
        error: on the number's scale, [n N_PARTNERS].
        spread: of the networks, [n N_PARTNERS].
        row: place of the crystal in the prediction, [n N_PARTNERS].
    """

    n: int
    error: Floats
    spread: Floats
    row: Ints

    def width(self, formula: Ints) -> ConformalWidth:
        """The width that these errors give; crystal systems share it, being too small each.

        Every crystal is there many times, so the finite-sample quantile is that of the number of crystals, not of
        errors.

        Args:
            formula: number of each crystal's formula in the prediction, [n_crystals].
        """
        level = min(math.ceil((self.n + 1) * (1 - ALPHA)) / self.n, 1.0)
        system = np.full(len(self.error), "")
        errors = HeldOutErrors(self.error, self.spread, system, formula=formula[self.row])
        return replace(errors.width(1.0 - level), n=self.n, systems={})


def combined_errors(labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction) -> dict[str, CombinedErrors]:
    """Errors of every number of COMBINED.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals, by a model of all tensors.
    """
    derived = prediction.derived
    symmetry = derived.prediction.analysis.symmetry
    parts = part_errors(labels, rows, prediction)
    rng = np.random.default_rng(0)
    errors = {}
    for name in COMBINED:
        first, *others = DERIVED[name].from_tensors
        free = ~zero_by_symmetry(name, symmetry)
        known = {q: np.flatnonzero(np.isfinite(parts[q][name]) & free) for q in (first, *others) if q in parts}
        if any(not len(known.get(tensor, ())) for tensor in (first, *others)):
            continue
        row = np.repeat(known[first], N_PARTNERS)
        total = parts[first][name][row]
        for other in others:
            total = total + parts[other][name][rng.choice(known[other], len(row))]
        errors[name] = CombinedErrors(len(known[first]), np.abs(total), derived.spread[name][row], row)
    return errors


def combined_widths(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, formula: Ints
) -> dict[str, ConformalWidth]:
    """Widths of every number of COMBINED whose tensors have labels.

    Args:
        labels: labelled crystals.
        rows: the crystals that have a prediction, in its order.
        prediction: of these crystals.
        formula: number of each crystal's formula, [n_crystals].
    """
    return {name: errors.width(formula) for name, errors in combined_errors(labels, rows, prediction).items()}


def part_errors(labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction) -> dict[Tensor, dict[str, Floats]]:
    """How far each number of COMBINED moves when one tensor is replaced by its label.

    Returns:
        Signed, on the number's scale, [n_crystals]; NaN where the tensor has no trustworthy label in a proven frame.
    """
    result = prediction.derived.prediction
    symmetry, density = result.analysis.symmetry, densities(result.crystals)
    predicted = derived_columns(result.tensors, symmetry, density)
    parts: dict[Tensor, dict[str, Floats]] = {}
    for tensor, values in result.tensors.items():
        truth = from_components(tensor, label_components(labels, rows, tensor))
        is_known = np.isfinite(truth.reshape(len(truth), -1)).all(axis=1) & (label_doubts(labels, rows, tensor) == "")
        replaced = np.where(is_known.reshape(-1, *[1] * (values.ndim - 1)), truth, values)
        columns = derived_columns(result.tensors | {tensor: replaced}, symmetry, density)
        parts[tensor] = {}
        for name in COMBINED:
            scale = DERIVED[name].scale
            if scale is not None and tensor in DERIVED[name].from_tensors:
                change = to_scale(scale, columns[name]) - to_scale(scale, predicted[name])
                parts[tensor][name] = np.where(is_known, change, np.nan)
    return parts


def label_components(labels: LabelledCrystals, rows: Rows, tensor: Tensor) -> Floats:
    """Tensor labels of proven frame, of either sign: no number of COMBINED changes with the sign of e.

    Returns:
        Orthonormal components, NaN where there is none, [n_rows, n_components].
    """
    if tensor is not Tensor.PIEZOELECTRIC:
        return label_tensors(labels, rows, tensor)
    components = labels.components[tensor][rows]
    return np.where(labels.proven_frame[rows, None], components, np.nan)
