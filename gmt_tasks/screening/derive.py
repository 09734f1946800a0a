"""derive: SymmetrizedPrediction -> DerivedProperties, the rotation-invariant columns people rank and filter by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.symmetrize import SymmetrizedPrediction
from models.crystals.crystal_systems import crystal_systems
from models.crystals.masses import densities
from models.derived.columns import derive_columns
from models.derived.standard_coefficients import IeeeFrames
from models.derived.thermal import Densities
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.frames import ieee_rotations, oriented_point_group
from models.uncertainty.ensemble import spread_of_numbers, spread_of_tensors
from models.uncertainty.scales import by_transform, to_scale

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DerivedProperties:
    """Derived columns and the tensors they come from.

    Attributes:
        prediction: the symmetrized tensors.
        columns: every name of `models.quantities.DERIVED`, each [n_crystals]; NaN (or an empty text) where it has no
            meaning, for instance a compliance of an unstable crystal, and where the model predicts no such tensor.
        spread: of the networks around each derived number, on its scale (models/uncertainty/scales.py), and around
            each tensor in its unit, by error column; each [n_crystals], 0 for a single network, NaN for what the model
            does not predict.
    """

    prediction: SymmetrizedPrediction
    columns: dict[str, NDArray[Any]]
    spread: dict[str, Floats]


def derive(prediction: SymmetrizedPrediction) -> DerivedProperties:
    """All derived columns of a batch, and the spread of the networks. Unstable crystals are flagged, not refused."""
    n_crystals = prediction.crystals.n_crystals
    stacks = {q: [prediction.tensors[q]] for q in prediction.tensors}
    if not prediction.spreads:
        # of all networks at once, as if each were so many more crystals
        for quantity, by_network in prediction.by_network.items():
            if len(by_network) > 1:
                stacks[quantity].append(by_network.reshape(-1, *by_network.shape[2:]))
    tensors = {quantity: np.concatenate(parts) for quantity, parts in stacks.items()}
    together = derived_columns(tensors, prediction.analysis.symmetry, densities(prediction.crystals))
    columns = {name: values[:n_crystals] for name, values in together.items()}
    of_networks = {name: values[n_crystals:] for name, values in together.items()}
    return DerivedProperties(prediction, columns, _spread(prediction, columns, of_networks))


def derived_columns(
    tensors: dict[Tensor, Floats], symmetry: SymmetryBatch, density: Densities
) -> dict[str, NDArray[Any]]:
    """The columns of tensors that obey a symmetry, in the order of `DERIVED`.

    Args:
        tensors: shape [n_crystals, ...]; or of several networks, one after the other, [n_networks n_crystals, ...].
        symmetry: of the crystals.
        density: of the crystals.

    Returns:
        One entry per tensor; unknown where a tensor is missing.
    """
    n = len(next(iter(tensors.values()), symmetry.number))
    repeats = n // max(len(symmetry.number), 1)
    system = np.tile(crystal_systems(symmetry.number), repeats)
    frames = ieee_frames(symmetry)
    return derive_columns(
        tensors,
        system,
        np.tile(symmetry.piezo_allowed, repeats),
        Densities(*(np.tile(part, repeats) for part in density)),
        IeeeFrames(np.tile(frames.rotation, (repeats, 1, 1)), np.tile(frames.point_group, repeats)),
    )


def ieee_frames(symmetry: SymmetryBatch) -> IeeeFrames:
    """The IEEE frames of crystals that may be piezoelectric, but for the senses of the axes; NaN for all others."""
    rotation = np.full((len(symmetry.number), 3, 3), np.nan)
    rows = np.flatnonzero(symmetry.piezo_allowed)
    groups = [oriented_point_group(int(number)) for number in symmetry.number[rows]]
    # the cell's columns are its axes, here its rows are wanted
    rotation[rows] = ieee_rotations(symmetry.conventional[rows].swapaxes(1, 2), groups)
    return IeeeFrames(rotation, np.array(symmetry.point_group, dtype=np.str_))


def _spread(
    prediction: SymmetrizedPrediction, columns: dict[str, NDArray[Any]], of_networks: dict[str, NDArray[Any]]
) -> dict[str, Floats]:
    """Distances of the networks from the ensemble.

    Args:
        prediction: the tensors.
        columns: derived from them, [n_crystals] each.
        of_networks: of all networks, one after the other, [n_networks n_crystals] each; not looked at for one.
    """
    n_crystals = prediction.crystals.n_crystals
    n_networks = max((len(stacked) for stacked in prediction.by_network.values()), default=1)
    error_columns = [row.error_column for row in TENSORS.values()]
    if prediction.spreads:
        return _predicted_spread(prediction, columns)
    if n_networks == 1:
        return {name: np.zeros(n_crystals) for name in [*INTERVALS, *error_columns]}
    spread = {name: np.full(n_crystals, np.nan) for name in [*INTERVALS, *error_columns]}
    for quantity, stacked in prediction.by_network.items():
        spread[TENSORS[quantity].error_column] = spread_of_tensors(quantity, stacked, prediction.tensors[quantity])
    for names, scales in by_transform({name: DERIVED[name].scale for name in INTERVALS}):
        values = to_scale(scales, np.stack([columns[name] for name in names]))
        numbers = to_scale(scales, np.stack([of_networks[name] for name in names]))
        by_network = numbers.reshape(len(names), n_networks, n_crystals).swapaxes(0, 1)
        spread |= zip(names, spread_of_numbers(by_network, values), strict=True)
    return spread


def _predicted_spread(prediction: SymmetrizedPrediction, columns: dict[str, NDArray[Any]]) -> dict[str, Floats]:
    """What a distilled network says of its ensemble: nothing where there is no number, 0 for a forbidden tensor."""
    piezoelectric = TENSORS[Tensor.PIEZOELECTRIC].error_column
    forbidden = ~prediction.analysis.symmetry.piezo_allowed
    spread: dict[str, Floats] = {}
    for name in [*INTERVALS, *(row.error_column for row in TENSORS.values())]:
        values = prediction.spreads.get(name, np.full(len(forbidden), np.nan))
        if name in columns:
            values = np.where(np.isfinite(np.asarray(columns[name], dtype=np.float64)), values, np.nan)
        of_forbidden = name == piezoelectric or (name in DERIVED and Tensor.PIEZOELECTRIC in DERIVED[name].from_tensors)
        spread[name] = np.where(forbidden & of_forbidden, 0.0, values)
    return spread
