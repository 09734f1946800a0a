"""Predictions beside literature values of well-known crystals.

A literature name is a derived column (`k_vrh_gpa`) or a component of a tensor (`c13_gpa`, `eps_total_33`). Components
have no calibrated interval of their own, but the tensor has an error radius: of all tensors within it that obey the
crystal's point group, the most distant one bounds the component. A radius holds for all components of a tensor at once,
so single ones are inside more often than promised.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.literature_names import Component, component_of, predicted_value
from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.sources.generated.reference_crystals import ReferenceCrystal, reference_crystals
from models.crystals.crystal import CrystalBatch
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.voigt import to_components, voigt_to_piezo

Floats = NDArray[np.float64]

NO_PART = "none"
"""Part of the data of a formula that has no label."""


@dataclass(frozen=True)
class LiteratureComparison:
    """One literature value of one crystal beside its prediction.

    Attributes:
        crystal: short name in the source `reference`.
        title: name for people.
        formula: reduced formula.
        part: "train", "val" or "test", where the labels of this formula belong; "none" without labels.
        name: of the value, e.g. "c11_gpa".
        tensor: of which it is a component, or from which it is derived.
        literature, predicted: values in the unit of the name.
        lower, upper: ends of the 90 % interval in that unit; NaN without one.
        source: of the literature value.
        flags: reasons to doubt the prediction: "unlike training data", "metal", "slab", "unstable".
    """

    crystal: str
    title: str
    formula: str
    part: str
    name: str
    tensor: Tensor
    literature: float
    predicted: float
    lower: float
    upper: float
    source: str
    flags: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Predicted / literature; NaN where the literature value is 0."""
        return self.predicted / self.literature if self.literature else float("nan")

    @property
    def inside(self) -> bool | None:
        """Whether the literature value lies in the 90 % interval; None without an interval."""
        return self.lower <= self.literature <= self.upper if np.isfinite(self.upper - self.lower) else None


def component_reach(component: Component, symmetry: SymmetryBatch) -> Floats:
    """Largest change of a component when its tensor moves by 1 and keeps the crystal's symmetry, [n_crystals].

    The component is the scalar product of the tensor with a fixed one; its projection on the tensors that the point
    group allows is the direction of steepest change (Cauchy-Schwarz).
    """
    # Fixed by one entry of the printed matrix; a symmetric tensor has the entry twice.
    printed = np.zeros({Tensor.PIEZOELECTRIC: (3, 6), Tensor.ELASTIC: (6, 6)}.get(component.tensor, (3, 3)))
    printed[component.row, component.column] = 1.0
    unit = voigt_to_piezo(printed) if component.tensor is Tensor.PIEZOELECTRIC else np.maximum(printed, printed.T)
    functional = unit / np.linalg.norm(to_components(component.tensor, unit)) ** 2
    allowed = symmetry.project(component.tensor, np.broadcast_to(functional, (len(symmetry.number), *unit.shape)))
    return np.asarray(np.linalg.norm(to_components(component.tensor, allowed), axis=1))


def compare_literature(screener: Screener, labels: LabelledCrystals) -> list[LiteratureComparison]:
    """Every literature value of the source `reference` that the model predicts, in the order of its table.

    Args:
        screener: the model.
        labels: where its training data come from, to say which formulas it may have been trained on.
    """
    chosen = [crystal for crystal in reference_crystals().values() if crystal.literature]
    batch = CrystalBatch.from_arrays(
        [crystal.lattice for crystal in chosen],
        [crystal.frac_coords for crystal in chosen],
        [crystal.numbers for crystal in chosen],
    )
    prediction = screener.predict(batch)
    parts = dict(zip(labels.crystals.formulas(), labels.split.tolist(), strict=True))
    formulas = batch.formulas()
    comparisons: list[LiteratureComparison] = []
    # Of what the model refuses there is nothing to compare.
    for k, row in enumerate(prediction.rows):
        part = parts.get(formulas[row], NO_PART)
        comparisons.extend(_comparisons(chosen[row], formulas[row], part, prediction, k))
    return comparisons


def _comparisons(
    crystal: ReferenceCrystal, formula: str, part: str, prediction: TensorPrediction, k: int
) -> Iterator[LiteratureComparison]:
    """Every literature value of one crystal, the k-th result, that the model predicts."""
    derived = prediction.derived
    result = {
        "tensors": {tensor.value: values[k] for tensor, values in derived.prediction.tensors.items()},
        "derived": {name: column[k] for name, column in derived.columns.items()},
    }
    reliability = prediction.reliability
    doubts = {
        "unlike training data": reliability["ood"][k] == 1,
        "metal": reliability["metal"][k] == 1,
        "slab": reliability["low_dimensional"][k] == 1,
        "unstable": derived.columns["mechanically_stable"][k] == 0,
    }
    short, flags = crystal.source_id.partition(":")[2], tuple(name for name, holds in doubts.items() if holds)
    for name, (measured, source) in crystal.literature.items():
        predicted, component = predicted_value(name, result), component_of(name)
        if predicted is not None and np.isfinite(predicted):
            tensor = component.tensor if component else DERIVED[name].from_tensors[0]
            lower, upper = _interval(name, component, predicted, prediction, k)
            where = short, crystal.name, formula, part, name, tensor
            yield LiteratureComparison(*where, measured, predicted, lower, upper, source, flags)


def _interval(
    name: str, component: Component | None, predicted: float, prediction: TensorPrediction, k: int
) -> tuple[float, float]:
    """Ends of the 90 % interval, NaN without one."""
    if component is None:
        lower, upper = (prediction.intervals[end][k] for end in INTERVALS[name])
        return float(lower), float(upper)
    symmetry = prediction.derived.prediction.analysis.symmetry.select(np.array([k]))
    radius = float(prediction.intervals[TENSORS[component.tensor].error_column][k])
    reach = radius * float(component_reach(component, symmetry)[0])
    lower = predicted - reach
    # Of an absolute value the sign is unknown, and no interval of it reaches below 0.
    return (max(lower, 0.0) if component.absolute else lower), predicted + reach
