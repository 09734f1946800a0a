"""Our models on crystals of others: numbers in the benchmark's sense, and which formulas each model knows.

A benchmark's test crystals may be training crystals of ours: their formula stands in the model's split table. So every
model is scored twice, on all crystals and on those whose formula it saw neither in training nor for its intervals.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.scoreboard.board import BoardRow, Figure, Origin
from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.crystals.crystal import CrystalBatch, find_invalid
from models.gmtnet.card import find_checkpoint
from models.gmtnet.training_data.split_table import SplitTable, load_split_table
from models.quantities import Tensor
from models.tensors.voigt import piezo_to_voigt, to_printed

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CRYSTALS_AT_ONCE = 512
UNSEEN_PARTS = frozenset(("test",))
"""Parts of a model's split that neither training nor calibration looked at."""

ALL, UNSEEN = "all", "formulas never seen"
SHIPPED = ("gmtnet", "gmtnet-distilled", "gmtnet-paper")


class Wanted(StrEnum):
    """A number of a crystal as benchmarks define them; components in the frame of the lattice as given."""

    K_VOIGT = "k_voigt_gpa"
    G_VOIGT = "g_voigt_gpa"
    K_VRH = "k_vrh_gpa"
    G_VRH = "g_vrh_gpa"
    EPS_XX = "electronic dielectric constant, xx"
    EPS_YY = "electronic dielectric constant, yy"
    EPS_ZZ = "electronic dielectric constant, zz"
    EPS_TOTAL_MAX = "largest entry of the total dielectric tensor"
    E_MAX = "largest entry of the piezoelectric stress tensor, C/m²"
    D_MAX = "largest entry of the piezoelectric strain tensor, pC/N"
    INDEX = "refractive index from the mean electronic dielectric constant"


@dataclass(frozen=True)
class OwnModel:
    """A model with the split that its training made binding.

    Attributes:
        screener: predicts.
        table: formulas with their parts; None for a model of before there were tables, which then knows every formula.
    """

    screener: Screener
    table: SplitTable | None

    @staticmethod
    def load(name: str, *, device: str = "auto") -> "OwnModel":
        """A shipped model by name, or a checkpoint by path."""
        return OwnModel(Screener.load(name, device=device), load_split_table(find_checkpoint(name)))

    @property
    def name(self) -> str:
        """`name@version`."""
        return str(self.screener.model_version)

    def is_unseen(self, formulas: list[str]) -> Bools:
        """Which reduced formulas the model never saw, neither in training nor for its intervals, [n_crystals]."""
        return unseen_formulas(self.table, formulas)

    def row(self, figures: Mapping[str, Figure], subset: str, n: int, note: str) -> BoardRow:
        """A row of the board for this model."""
        return BoardRow(self.name, Origin.OURS, figures, subset, n, note, self.screener.model_version.sha256)


def unseen_formulas(table: SplitTable | None, formulas: list[str]) -> Bools:
    """Which reduced formulas the model of a split table never saw, [n_crystals]; none where there is no table."""
    if table is None:
        return np.zeros(len(formulas), dtype=bool)
    parts = table.parts_of(list(dict.fromkeys(formulas)))
    return np.array([parts.get(formula, "test") in UNSEEN_PARTS for formula in formulas], dtype=bool)


@dataclass(frozen=True)
class OwnNumbers:
    """What a model says of crystals.

    Attributes:
        values: [n_crystals] each; NaN for a crystal that the model refuses, or of which it does not say the number.
        unseen: crystals whose formula the model never saw, [n_crystals].
        n_refused: crystals without any prediction.
    """

    values: dict[Wanted, Floats]
    unseen: Bools
    n_refused: int

    def subsets(self) -> Iterator[tuple[str, Bools]]:
        """Names and crystals of the sets that are scored; the first says how many crystals have a formula it knows."""
        n_known = int((~self.unseen).sum())
        yield f"{ALL}, {n_known:,} known" if n_known else ALL, np.ones(len(self.unseen), dtype=bool)
        yield UNSEEN, self.unseen


def predict_numbers(model: OwnModel, crystals: CrystalBatch, wanted: tuple[Wanted, ...]) -> OwnNumbers:
    """Predicts crystals a few hundred at a time; those that no calculation should see are refused as in a screening."""
    values = {name: np.full(crystals.n_crystals, np.nan) for name in wanted}
    invalid = find_invalid(crystals)
    sound = np.array([row for row in range(crystals.n_crystals) if row not in invalid], dtype=np.int64)
    n_predicted = 0
    for start in range(0, len(sound), CRYSTALS_AT_ONCE):
        rows = sound[start : start + CRYSTALS_AT_ONCE]
        prediction = model.screener.predict(crystals.select(rows))
        n_predicted += len(prediction.rows)
        for name in wanted:
            values[name][rows[prediction.rows]] = _VALUES[name](prediction)
    return OwnNumbers(values, model.is_unseen(crystals.formulas()), crystals.n_crystals - n_predicted)


def _tensor(prediction: TensorPrediction, quantity: Tensor) -> Floats:
    """Symmetrized tensors in the input frame, also of metals, whose derived numbers are withheld."""
    return prediction.derived.prediction.tensors[quantity]


def column_of(name: str) -> Callable[[TensorPrediction], Floats]:
    """Gives a derived column of predictions, [n_results]."""
    return lambda prediction: np.asarray(prediction.derived.columns[name], dtype=np.float64)


def _electronic(axis: int) -> Callable[[TensorPrediction], Floats]:
    return lambda prediction: _tensor(prediction, Tensor.DIELECTRIC_ELECTRONIC)[:, axis, axis]


def _largest(quantity: Tensor) -> Callable[[TensorPrediction], Floats]:
    return lambda prediction: np.abs(to_printed(quantity, _tensor(prediction, quantity))).max(axis=(1, 2), initial=0.0)


def _largest_strain_coefficient(prediction: TensorPrediction) -> Floats:
    """Largest |d_iJ| in pC/N, d = e C⁻¹ with e in C/m² and C in GPa; NaN where C is not positive definite."""
    stress = piezo_to_voigt(_tensor(prediction, Tensor.PIEZOELECTRIC))
    stiffness = to_printed(Tensor.ELASTIC, _tensor(prediction, Tensor.ELASTIC))
    stable = np.linalg.eigvalsh(stiffness)[:, 0] > 0
    # one unstable crystal must not stop the others
    invertible = np.where(stable[:, None, None], stiffness, np.eye(6))
    strain = 1000.0 * np.linalg.solve(invertible, stress.swapaxes(1, 2))
    return np.where(stable, np.abs(strain).max(axis=(1, 2), initial=0.0), np.nan)


def _index(prediction: TensorPrediction) -> Floats:
    """Square root of the mean electronic dielectric constant, as the Materials Project derives it."""
    mean = np.trace(_tensor(prediction, Tensor.DIELECTRIC_ELECTRONIC), axis1=1, axis2=2) / 3.0
    return np.asarray(np.sqrt(np.maximum(mean, 0.0)))


_VALUES: dict[Wanted, Callable[[TensorPrediction], Floats]] = {
    **{name: column_of(name.value) for name in (Wanted.K_VOIGT, Wanted.G_VOIGT, Wanted.K_VRH, Wanted.G_VRH)},
    Wanted.EPS_XX: _electronic(0),
    Wanted.EPS_YY: _electronic(1),
    Wanted.EPS_ZZ: _electronic(2),
    Wanted.EPS_TOTAL_MAX: _largest(Tensor.DIELECTRIC_TOTAL),
    Wanted.E_MAX: _largest(Tensor.PIEZOELECTRIC),
    Wanted.D_MAX: _largest_strain_coefficient,
    Wanted.INDEX: _index,
}
