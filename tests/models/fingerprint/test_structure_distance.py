"""The distance in shape: zero between representations of one crystal, small after relaxation, large between others."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models.crystals.crystal import CrystalBatch
from models.fingerprint.structure_distance import structure_distances
from models.reference.crystals import random_crystal


@pytest.mark.parametrize("name", ["-1", "mm2", "32", "m-3m"])
def test_representations_of_a_crystal_have_no_distance_and_relaxed_ones_a_small_one(name: str) -> None:
    rng = np.random.default_rng(2)
    batch = random_crystal(name, rng).as_batch()
    lattice, frac, numbers = batch.lattice[0], batch.frac_coords, batch.numbers
    order = rng.permutation(len(numbers))
    doubled = np.concatenate([frac / [2, 1, 1], frac / [2, 1, 1] + [0.5, 0, 0]])
    others = {
        "rotated": (lattice @ Rotation.random(rng=1).as_matrix(), frac, numbers),
        "mirrored, shifted": (-lattice, frac + np.array([0.1, 0.2, 0.3]), numbers),
        "permuted": (lattice, frac[order], numbers[order]),
        "expanded": (1.1 * lattice, frac, numbers),
        "supercell": (lattice * [[2], [1], [1]], doubled, np.tile(numbers, 2)),
    }
    for other in others.values():
        distance = structure_distances(batch, CrystalBatch.from_arrays(*([part] for part in other)))
        assert distance[0] < 1e-6
    moves = rng.normal(size=frac.shape) * 0.05 @ np.linalg.inv(lattice)
    strain = np.eye(3) + rng.uniform(-0.02, 0.02, (3, 3))
    strained = CrystalBatch.from_arrays([lattice @ strain], [frac + moves], [numbers])
    assert 1e-3 < structure_distances(batch, strained)[0] < 0.06
    # negative control: other places, same elements and cell
    moved = CrystalBatch.from_arrays([lattice], [rng.uniform(size=frac.shape)], [numbers])
    assert structure_distances(batch, moved)[0] > 0.08
