"""The seven crystal systems by space-group number."""

import numpy as np
from numpy.typing import NDArray

CRYSTAL_SYSTEMS: dict[str, int] = {
    "triclinic": 1,
    "monoclinic": 3,
    "orthorhombic": 16,
    "tetragonal": 75,
    "trigonal": 143,
    "hexagonal": 168,
    "cubic": 195,
}
"""The first space-group number of each system; International Tables A (2016)."""


def crystal_systems(numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    """Names of the crystal systems of space-group numbers 1 to 230, same shape."""
    first = np.array(list(CRYSTAL_SYSTEMS.values()))
    names = np.array(list(CRYSTAL_SYSTEMS))
    return np.asarray(names[np.searchsorted(first, np.asarray(numbers), side="right") - 1])
