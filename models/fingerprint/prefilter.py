"""A short description of a crystal that tells at a glance which of thousands it cannot be.

A sketch holds the smallest and the largest distance, over all atoms, to the first, second, ... neighbour of two of the
crystal's elements. Where every atom of one crystal has a counterpart in the other that sees the same distances within a
tolerance, these extremes agree within the tolerance too: crystals whose sketches differ by more are different crystals,
and only the rest need to be compared atom by atom.
"""

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Ints
from models.fingerprint.environments import NEAR, Environments, element_ranks, find_environments

Prefilter = NDArray[np.float32]

WIDTH = 4 * NEAR.nearest
"""Numbers of a sketch."""

MARGIN_ANGSTROM = 0.015
"""Relatives differ by less: by the tolerance of `kinship`, and where the sight ends by twice the change of its size."""

_FIRST_LOOK = 12  # columns that rule out nearly everything
_COLUMNS = np.arange(WIDTH).reshape(4, -1).T.ravel()  # all four kinds of extremes early, near neighbours first


def sketch(batch: CrystalBatch, environments: Environments) -> Prefilter:
    """Sketches of the crystals whose environments, seen by `NEAR`, are given; in angstrom, shape [n_crystals, WIDTH].

    Args:
        batch: validated crystals.
        environments: of the same crystals.
    """
    last = (element_ranks(batch)[1] - 1)[batch.crystal_of_atom]
    atoms = np.arange(len(last))[:, None]
    column = np.arange(NEAR.nearest)
    rows = environments.rows
    seen = np.concatenate([rows[:, : NEAR.nearest], rows[atoms, last[:, None] * NEAR.nearest + column]], axis=1)
    starts = batch.first_atom[:-1]
    extremes = [np.minimum.reduceat(seen, starts, axis=0), np.maximum.reduceat(seen, starts, axis=0)]
    return np.concatenate(extremes, axis=1)[:, _COLUMNS].astype(np.float32)


def sketches(batch: CrystalBatch) -> Prefilter:
    """Sketches of all crystals of a batch in angstrom, shape [n_crystals, WIDTH]."""
    if not batch.n_crystals:
        return np.zeros((0, WIDTH), np.float32)
    return sketch(batch, find_environments(batch, NEAR))


def alike(one: Prefilter, others: Prefilter) -> Ints:
    """Which crystals the given one may be: ascending rows of `others`.

    Args:
        one: a sketch, shape [WIDTH].
        others: sketches of crystals of the same reduced formula, shape [n_others, WIDTH].
    """
    near = np.flatnonzero((np.abs(others[:, :_FIRST_LOOK] - one[:_FIRST_LOOK]) <= MARGIN_ANGSTROM).all(axis=1))
    found: Ints = near[(np.abs(others[near] - one) <= MARGIN_ANGSTROM).all(axis=1)]
    return found
