"""derive: SymmetrizedPrediction -> DerivedProperties, the rotation-invariant columns people rank and filter by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.symmetrize import SymmetrizedPrediction
from models.derived.dielectric import derive_dielectric
from models.derived.elastic import Unstable, derive_elastic
from models.derived.piezoelectric import derive_piezoelectric
from models.quantities import DERIVED, Tensor


@dataclass(frozen=True)
class DerivedProperties:
    """Derived columns and the tensors they come from.

    Attributes:
        prediction: the symmetrized tensors.
        columns: every name of `models.quantities.DERIVED`, each [n_crystals]; NaN where it has no meaning (for
            instance a compliance of an unstable crystal).
    """

    prediction: SymmetrizedPrediction
    columns: dict[str, NDArray[Any]]


def derive(prediction: SymmetrizedPrediction) -> DerivedProperties:
    """All derived columns of a batch. Unstable crystals are flagged, not refused."""
    tensors = prediction.tensors
    allowed = prediction.analysis.symmetry.piezo_allowed
    columns: dict[str, NDArray[Any]] = {}
    columns |= derive_elastic(tensors[Tensor.ELASTIC], Unstable.FLAG)
    columns |= derive_piezoelectric(tensors[Tensor.PIEZOELECTRIC], tensors[Tensor.ELASTIC], allowed)
    columns |= derive_dielectric(tensors[Tensor.DIELECTRIC_ELECTRONIC], tensors[Tensor.DIELECTRIC_TOTAL])
    return DerivedProperties(prediction, {name: np.asarray(columns[name]) for name in DERIVED})
