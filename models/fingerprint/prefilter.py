"""The prefilter of structure matching: a row of numbers per crystal that rules out nearly all others in one pass.

A row holds the smallest and the largest distance, over all atoms, to the first, second, ... neighbour of two of the
crystal's elements. Where every atom of one crystal has a counterpart in the other with the same distances within a
tolerance, these extremes agree within the tolerance too: crystals whose rows differ by more are different crystals, and
only the rest need to be compared atom by atom.
"""

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Ints
from models.fingerprint.environment_loops import extreme_distances
from models.fingerprint.environments import NEAR, Environments, find_environments

Prefilter = NDArray[np.float32]

WIDTH = 4 * NEAR.nearest
"""Numbers of a row."""

MARGIN_ANGSTROM = 0.015
"""Equal crystals differ by less: by the tolerance of `match_structures`, and at the reach by twice its change."""

_FIRST_COLUMNS = 12  # columns that rule out nearly everything
_COLUMNS = np.arange(WIDTH).reshape(4, -1).T.ravel()  # all four kinds of extremes early, near neighbours first


def prefilter_of(batch: CrystalBatch, environments: Environments) -> Prefilter:
    """Rows of the crystals whose environments within `NEAR` are given; in angstrom, shape [n_crystals, WIDTH].

    Args:
        batch: validated crystals.
        environments: of the same crystals.
    """
    # the first and the last element of each crystal: one that all its atoms have for certain
    extremes = extreme_distances(environments.rows, environments.element, batch.first_atom, NEAR.nearest)
    return extremes[:, _COLUMNS].astype(np.float32)


def find_prefilter(batch: CrystalBatch) -> Prefilter:
    """Rows of all crystals of a batch in angstrom, shape [n_crystals, WIDTH]."""
    if not batch.n_crystals:
        return np.zeros((0, WIDTH), np.float32)
    return prefilter_of(batch, find_environments(batch, NEAR))


def possible_matches(one: Prefilter, others: Prefilter) -> Ints:
    """Which crystals the given one may be: ascending rows of `others`.

    Args:
        one: a row, shape [WIDTH].
        others: rows of crystals of the same reduced formula, shape [n_others, WIDTH].
    """
    first = np.abs(others[:, :_FIRST_COLUMNS] - one[:_FIRST_COLUMNS])
    near = np.flatnonzero((first <= MARGIN_ANGSTROM).all(axis=1))
    matches: Ints = near[(np.abs(others[near] - one) <= MARGIN_ANGSTROM).all(axis=1)]
    return matches
