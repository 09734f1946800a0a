"""Crystals that get no result although they were accepted: why, row by row."""

import numpy as np

from gmt_tasks.screening.infer import RawPrediction
from models.crystals.crystal import MIN_DISTANCE_ANGSTROM, SYMBOLS, CrystalBatch, overlap_problem
from models.crystals.neighborhood import Neighborhood
from models.crystals.neighbors import closest_of
from models.errors import Reason

Refusals = dict[int, tuple[Reason, str]]
"""Row of a crystal -> reason and detail."""


def unsupported(crystals: CrystalBatch, elements: frozenset[int]) -> Refusals:
    """Crystals with elements that a model was not trained on; the detail is the elements' symbols."""
    unknown = ~np.isin(crystals.numbers, list(elements))
    refusals: Refusals = {}
    for crystal in np.unique(crystals.crystal_of_atom[unknown]):
        numbers = np.unique(crystals.numbers[unknown & (crystals.crystal_of_atom == crystal)])
        refusals[int(crystal)] = (Reason.UNSUPPORTED_ELEMENT, " ".join(SYMBOLS[z] for z in numbers))
    return refusals


def overlapping(neighbors: Neighborhood) -> Refusals:
    """Crystals in which two atoms are closer than 0.5 angstrom."""
    pairs = closest_of(neighbors.pairs, neighbors.crystal_of_atom, MIN_DISTANCE_ANGSTROM)
    return {crystal: overlap_problem(*pair) for crystal, pair in pairs.items()}


def not_finite(prediction: RawPrediction) -> Refusals:
    """Crystals for which some network gave NaN or infinity; the detail is the first such tensor."""
    refusals: Refusals = {}
    for quantity, tensors in prediction.tensors.items():
        bad = ~np.isfinite(tensors).all(axis=(0, *range(2, tensors.ndim)))
        for crystal in np.flatnonzero(bad):
            refusals.setdefault(int(crystal), (Reason.MODEL_FAILED, f"{quantity.value} is not finite"))
    return refusals
