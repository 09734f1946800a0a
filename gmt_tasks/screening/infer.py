"""infer: crystals -> RawPrediction, the tensors of every network of a model."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.crystals.neighborhood import Neighborhood
from models.quantities import Scalar, Tensor
from models.symmetry.idealize import IdealizedCrystals
from models.tensor_model import GraphModel, OrbitModel, ScalarModel, TensorModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RawPrediction:
    """Tensors as the networks give them, in the input frame, neither averaged nor symmetrized.

    Attributes:
        crystals: n_crystals of them.
        tensors: those that the model predicts, of every network of the ensemble, in unit and stored shape,
            [n_networks, n_crystals, ...].
        scalars: what else the model predicts, mean of the networks, [n_crystals] each.
        spreads: of a distilled network, see `models.tensor_model.ModelOutputs`, [n_crystals] each.
    """

    crystals: CrystalBatch
    tensors: dict[Tensor, Floats]
    scalars: dict[Scalar, Floats] = field(default_factory=dict)
    spreads: dict[str, Floats] = field(default_factory=dict)

    def select(self, rows: NDArray[np.int64]) -> "RawPrediction":
        """The predictions of the given crystals, ascending."""
        if len(rows) == self.crystals.n_crystals:
            return self
        tensors = {q: t[:, rows] for q, t in self.tensors.items()}
        scalars = {s: values[rows] for s, values in self.scalars.items()}
        spreads = {name: values[rows] for name, values in self.spreads.items()}
        return RawPrediction(self.crystals.select(rows), tensors, scalars, spreads)


def infer_idealized(model: OrbitModel, crystals: CrystalBatch, idealized: IdealizedCrystals) -> RawPrediction:
    """Runs the model on crystals that were made exactly symmetric, one atom of each orbit.

    Args:
        model: the networks.
        crystals: as they were given.
        idealized: the same crystals.
    """
    outputs = model.predict_idealized(idealized)
    scalars = {s: values.mean(axis=0) for s, values in outputs.scalars.items()}
    return RawPrediction(crystals, outputs.tensors, scalars, outputs.spreads)


def infer(model: TensorModel, crystals: CrystalBatch, neighbors: Neighborhood | None = None) -> RawPrediction:
    """Runs the model on crystals as they were given, whose elements it knows.

    Args:
        model: the networks.
        crystals: validated crystals.
        neighbors: of the same crystals, far enough for the graph of a `GraphModel`; a model that is none, or is given
            none, searches for itself.
    """
    if neighbors is not None and isinstance(model, GraphModel):
        tensors, scalars = model.predict_with_scalars(crystals, neighbors)
    elif isinstance(model, ScalarModel):
        tensors, scalars = model.predict_with_scalars(crystals)
    else:
        return RawPrediction(crystals, model.predict(crystals))
    return RawPrediction(crystals, tensors, {s: values.mean(axis=0) for s, values in scalars.items()})
