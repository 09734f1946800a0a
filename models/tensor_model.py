"""The interface of a tensor model. A new backbone is one class that passes models/testing/contract.py."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.crystals.graph import GraphSpec
from models.crystals.neighborhood import Neighborhood
from models.quantities import Scalar, Tensor
from models.symmetry.idealize import IdealizedCrystals

Floats = NDArray[np.float64]


class TensorModel(Protocol):
    """Crystals in, raw tensors out: of several networks trained alike (an ensemble), or of one."""

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers the model was trained on; crystals with others are refused before `predict`."""

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Every tensor in its unit and stored shape, input frame, float64, not yet symmetrized.

        Returns:
            [n_networks, n_crystals, ...] each: the networks of an ensemble one by one, in a fixed order, 1 for a single
            network. Their disagreement is a measure of their error.

        The result of a crystal must not depend on the other crystals of the batch beyond rounding.
        """


@runtime_checkable
class ScalarModel(Protocol):
    """A tensor model that also predicts scalars of a crystal, for instance its band gap."""

    def predict_with_scalars(self, crystals: CrystalBatch) -> tuple[dict[Tensor, Floats], dict[Scalar, Floats]]:
        """Tensors as `TensorModel.predict` gives them, and scalars in their units, [n_networks, n_crystals] each."""


@runtime_checkable
class GraphModel(Protocol):
    """A scalar model that takes the neighbors of the atoms from a search that was made for others too.

    Nobody needs to be one: a model with `predict` alone searches for itself, at the price of one more search.
    """

    @property
    def graph_spec(self) -> GraphSpec:
        """How far an atom sees: the neighbors that it is given reach as far (`find_graph_neighbors`)."""

    def predict_with_scalars(
        self, crystals: CrystalBatch, neighbors: Neighborhood
    ) -> tuple[dict[Tensor, Floats], dict[Scalar, Floats]]:
        """As `ScalarModel.predict_with_scalars`; `neighbors` are those of the same crystals."""


@dataclass(frozen=True)
class ModelOutputs:
    """What a model says of crystals.

    Attributes:
        tensors: as `TensorModel.predict` gives them, [n_networks, n_crystals, ...].
        scalars: in their units, [n_networks, n_crystals] each.
        spreads: of a distilled network, how far the networks of its ensemble would be apart, by column and on its scale
            (models/uncertainty/scales.py; tensors in their unit), [n_crystals] each; empty for an ensemble.
    """

    tensors: dict[Tensor, Floats]
    scalars: dict[Scalar, Floats]
    spreads: dict[str, Floats] = field(default_factory=dict)


@runtime_checkable
class OrbitModel(Protocol):
    """A model that needs one atom of each orbit only: a third of the atoms, where their symmetry is exact."""

    def predict_idealized(self, crystals: IdealizedCrystals) -> ModelOutputs:
        """The same as of all atoms of `crystals.crystals`, in the orientation of the crystals that were idealised."""
