"""derive: SymmetrizedPrediction -> DerivedProperties, the rotation-invariant columns people rank and filter by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.symmetrize import SymmetrizedPrediction
from models.derived.dielectric import derive_dielectric
from models.derived.elastic import Unstable, derive_elastic
from models.derived.piezoelectric import derive_piezoelectric
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.uncertainty.ensemble import spread_of_numbers, spread_of_tensors
from models.uncertainty.scales import to_scale

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DerivedProperties:
    """Derived columns and the tensors they come from.

    Attributes:
        prediction: the symmetrized tensors.
        columns: every name of `models.quantities.DERIVED`, each [n_crystals]; NaN where it has no meaning (for
            instance a compliance of an unstable crystal).
        spread: of the members around each derived number, on its scale (models/uncertainty/scales.py), and around
            each tensor in its unit, by error column; each [n_crystals], 0 for a single member.
    """

    prediction: SymmetrizedPrediction
    columns: dict[str, NDArray[Any]]
    spread: dict[str, NDArray[np.float64]]


def derive(prediction: SymmetrizedPrediction) -> DerivedProperties:
    """All derived columns of a batch, and the members' spread. Unstable crystals are flagged, not refused."""
    columns = derived_columns(prediction.tensors, prediction.analysis.symmetry.piezo_allowed)
    return DerivedProperties(prediction, columns, _spread(prediction, columns))


def derived_columns(tensors: dict[Tensor, Floats], piezo_allowed: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """The columns of tensors [n, ...] with flags [n], in the order of `DERIVED`."""
    columns: dict[str, NDArray[Any]] = {}
    columns |= derive_elastic(tensors[Tensor.ELASTIC], Unstable.FLAG)
    columns |= derive_piezoelectric(tensors[Tensor.PIEZOELECTRIC], tensors[Tensor.ELASTIC], piezo_allowed)
    columns |= derive_dielectric(tensors[Tensor.DIELECTRIC_ELECTRONIC], tensors[Tensor.DIELECTRIC_TOTAL])
    return {name: np.asarray(columns[name]) for name in DERIVED}


def _spread(prediction: SymmetrizedPrediction, columns: dict[str, NDArray[Any]]) -> dict[str, Floats]:
    """Distances of the members from the ensemble; nothing is derived twice for a single member."""
    n_crystals = prediction.crystals.n_crystals
    if len(prediction.members[Tensor.ELASTIC]) == 1:
        return {name: np.zeros(n_crystals) for name in (*INTERVALS, *(q.error_column for q in TENSORS.values()))}
    spread = {
        TENSORS[q].error_column: spread_of_tensors(q, members, prediction.tensors[q])
        for q, members in prediction.members.items()
    }
    each = {q: members.reshape(-1, *members.shape[2:]) for q, members in prediction.members.items()}
    n_members = len(prediction.members[Tensor.ELASTIC])
    derived = derived_columns(each, np.tile(prediction.analysis.symmetry.piezo_allowed, n_members))
    for name in INTERVALS:
        scale = DERIVED[name].scale
        if scale is not None:
            theirs = to_scale(scale, derived[name]).reshape(n_members, n_crystals)
            spread[name] = spread_of_numbers(theirs, to_scale(scale, columns[name]))
    return spread
