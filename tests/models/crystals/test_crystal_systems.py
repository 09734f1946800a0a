"""The first and last space group of each crystal system."""

import numpy as np

from models.crystals.crystal_systems import crystal_systems


def test_space_groups_belong_to_the_seven_systems() -> None:
    ends = [1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230]
    names = ["triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"]
    assert crystal_systems(np.array(ends)).tolist() == [name for name in names for _ in range(2)]
