"""predict(): the Python entry, from whatever holds crystals to tensors, derived columns and reasons."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np

from gmt_tasks.screening.screener import DEFAULT_SYMPREC, Screener, TensorPrediction
from models.crystals.crystal import CrystalBatch, find_malformed


class _Lattice(Protocol):
    matrix: Any


class StructureLike(Protocol):
    """What is needed of a pymatgen Structure: gmtscreen reads these three attributes and imports nothing."""

    lattice: _Lattice
    frac_coords: Any
    atomic_numbers: Any


def predict(
    crystals: "StructureLike | Iterable[StructureLike] | CrystalBatch",
    *,
    model: str = "gmtnet",
    symprec: float = DEFAULT_SYMPREC,
) -> TensorPrediction:
    """Predicted, symmetrized tensors and derived properties.

    Args:
        crystals: a pymatgen Structure, several of them, or a CrystalBatch.
        model: shipped name, `name@version`, or the path of a checkpoint.
        symprec: distance tolerance of the symmetry search in angstrom.

    Returns:
        Results in the frame of each crystal's own lattice; crystals without one are in `refused` with a reason.
    """
    batch = crystals if isinstance(crystals, CrystalBatch) else _as_batch(crystals)
    # the screener, which searches for neighbours anyway, refuses crystals with overlapping atoms itself
    malformed = find_malformed(batch)
    good = np.array([k for k in range(batch.n_crystals) if k not in malformed], dtype=np.int64)
    prediction = Screener.load(model, symprec=symprec).predict(batch.select(good))
    refused = malformed | {int(good[k]): why for k, why in prediction.refused.items()}
    return replace(prediction, rows=good[prediction.rows], refused=refused)


def _as_batch(crystals: "StructureLike | Iterable[StructureLike]") -> CrystalBatch:
    one = hasattr(crystals, "lattice")  # a pymatgen Structure is iterable too: over its sites
    several = cast("list[StructureLike]", [crystals] if one else list(cast("Iterable[StructureLike]", crystals)))
    return CrystalBatch.from_arrays(
        [np.asarray(s.lattice.matrix, dtype=np.float64) for s in several],
        [np.asarray(s.frac_coords, dtype=np.float64) for s in several],
        [np.asarray(s.atomic_numbers, dtype=np.int64) for s in several],
    )
