"""What a tensor model is to everything above it. A new backbone is one class that passes models/testing.py."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.crystal import CrystalBatch
from models.quantities import Tensor

Floats = NDArray[np.float64]


class TensorModel(Protocol):
    """Crystals in, raw tensors out."""

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers the model was trained on; crystals with others are refused before `predict`."""

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Every tensor in its unit and stored shape, input frame, float64, [n_crystals, ...], not yet symmetrized.

        The result of a crystal must not depend on the other crystals of the batch beyond rounding.
        """
