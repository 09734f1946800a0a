"""The content id of a crystal: the same listing of the same crystal always gets the same id.

The id is a hash of a canonical listing: the lattice in steps of 1e-4 angstrom and, sorted by atomic number and
position, the fractional coordinates modulo 1 in steps of 1e-4. It does not change when atoms are listed in another
order, when lattice vectors are added to positions, or when numbers carry rounding noise far below a step.

Limits, stated so that nobody relies on more:
  * Another cell, another origin and a rotated lattice give another id. A rotated lattice must, because every stored
    tensor is in the frame of the lattice stored under that id.
  * Two listings whose numbers differ by noise can straddle an edge between two steps and then get two ids; one
    coordinate with noise of 1e-8 does so with probability about 1e-4. The edges are placed off every short decimal
    and simple fraction, so that files with five digits do not sit on them by construction.
  * Crystals closer than a step in every number are one crystal.
"""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from models.crystal import CrystalBatch

STEPS_PER_UNIT = 10_000
"""Steps per angstrom (lattice) and per lattice vector (positions)."""

_EDGE_SHIFT = 0.2360679774997897
"""Moves the rounding edges by sqrt(5) - 2 steps, to values no printed coordinate has; 0.12345 would lie on one else."""

_DIGITS = 20


def content_ids(batch: CrystalBatch) -> list[str]:
    """Content ids of crystals, `gx-` and 20 hexadecimal digits each.

    Args:
        batch: crystals with finite lattice (angstrom) and positions, i.e. those that `find_invalid` lets pass.

    Returns:
        One id per crystal.
    """
    cells = _steps(batch.lattice).reshape(-1, 9)
    wrapped = batch.frac_coords - np.floor(batch.frac_coords)
    atoms = np.concatenate([batch.numbers[:, None], _steps(wrapped) % STEPS_PER_UNIT], axis=1)
    order = np.lexsort((atoms[:, 3], atoms[:, 2], atoms[:, 1], atoms[:, 0], batch.crystal_of_atom))
    # Fixed width and byte order: the id is the same on every machine.
    cell_bytes = memoryview(np.ascontiguousarray(cells, dtype="<i8").tobytes())
    atom_bytes = memoryview(np.ascontiguousarray(atoms[order], dtype="<i8").tobytes())
    edges = (batch.first_atom * 32).tolist()
    ids = []
    for crystal in range(batch.n_crystals):
        digest = sha256(cell_bytes[72 * crystal : 72 * crystal + 72])
        digest.update(atom_bytes[edges[crystal] : edges[crystal + 1]])
        ids.append("gx-" + digest.hexdigest()[:_DIGITS])
    return ids


def _steps(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Values in whole steps, rounded with shifted edges."""
    return np.floor(values * STEPS_PER_UNIT + (0.5 + _EDGE_SHIFT)).astype(np.int64)
