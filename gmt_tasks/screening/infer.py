"""predict: crystals -> RawPrediction. The only maker of the type that `symmetrize` takes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import Reason
from models.quantities import Scalar, Tensor
from models.tensor_model import ScalarModel, TensorModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RawPrediction:
    """Tensors as the network gives them, in the input frame, before symmetrization.

    Attributes:
        crystals: n_crystals of them.
        tensors: of every member of the ensemble, in unit and stored shape, [n_members, n_crystals, ...].
        scalars: what else the model knows, mean of the members, [n_crystals] each.
    """

    crystals: CrystalBatch
    tensors: dict[Tensor, Floats]
    scalars: dict[Scalar, Floats] = field(default_factory=dict)

    def select(self, rows: NDArray[np.int64]) -> "RawPrediction":
        """The predictions of the given crystals."""
        tensors = {q: t[:, rows] for q, t in self.tensors.items()}
        return RawPrediction(self.crystals.select(rows), tensors, {s: v[rows] for s, v in self.scalars.items()})


def unsupported(crystals: CrystalBatch, elements: frozenset[int]) -> dict[int, tuple[Reason, str]]:
    """Crystals with elements that a model never saw: index -> reason and the elements' symbols."""
    unknown = ~np.isin(crystals.numbers, list(elements))
    problems: dict[int, tuple[Reason, str]] = {}
    for crystal in np.unique(crystals.crystal_of_atom[unknown]):
        mine = np.unique(crystals.numbers[unknown & (crystals.crystal_of_atom == crystal)])
        problems[int(crystal)] = (Reason.UNSUPPORTED_ELEMENT, " ".join(SYMBOLS[z] for z in mine))
    return problems


def infer(model: TensorModel, crystals: CrystalBatch) -> RawPrediction:
    """Runs the model on crystals whose elements it knows."""
    if isinstance(model, ScalarModel):
        tensors, scalars = model.predict_with_scalars(crystals)
        return RawPrediction(crystals, tensors, {s: values.mean(axis=0) for s, values in scalars.items()})
    return RawPrediction(crystals, model.predict(crystals))


def not_finite(prediction: RawPrediction) -> dict[int, tuple[Reason, str]]:
    """Crystals for which a member's tensor came out as NaN or infinity: index -> reason and the tensors' names."""
    problems: dict[int, tuple[Reason, str]] = {}
    for quantity, tensors in prediction.tensors.items():
        bad = ~np.isfinite(tensors).all(axis=(0, *range(2, tensors.ndim)))
        for crystal in np.flatnonzero(bad):
            problems.setdefault(int(crystal), (Reason.MODEL_FAILED, f"{quantity.value} is not finite"))
    return problems
