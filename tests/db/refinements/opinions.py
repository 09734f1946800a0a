"""Made-up second opinions about crystals."""

from typing import Any

import numpy as np

from db.records import Refinement
from models.crystals.crystal import CrystalBatch

POTENTIAL = "toy-potential@1"
MODES = [
    {"frequency_thz": -1.5, "degeneracy": 1, "irrep": "A1", "polar": True},
    {"frequency_thz": 4.0, "degeneracy": 2, "irrep": "E", "polar": False},
]


def refinement(crystal_id: str, n_atoms: int = 2, notes: list[str] | None = None, **columns: Any) -> Refinement:
    """A second opinion whose arrays are drawn from the crystal's id."""
    rng = np.random.default_rng(int(crystal_id.removeprefix("gx-")[:8], 16))
    force_constants = rng.normal(size=(3 * n_atoms, 3 * n_atoms))
    stiffness = rng.normal(size=(6, 6))
    return Refinement(
        crystal_id,
        POTENTIAL,
        columns,
        CrystalBatch.from_arrays([4 * np.eye(3)], [rng.uniform(size=(n_atoms, 3))], [np.full(n_atoms, 13)]),
        rng.normal(size=6),
        rng.normal(size=(3, 3)),
        100 * np.eye(6) + stiffness + stiffness.T,
        120 * np.eye(6),
        MODES,
        force_constants + force_constants.T,
        rng.normal(size=(3 * n_atoms, 6)),
        notes or [],
    )
