"""The cell of a space group by its free values: volume per atom, ratios of lengths, angles."""

from enum import IntEnum

import numpy as np

from models.crystals.crystal import Floats
from models.crystals.crystal_systems import crystal_systems


class CellValue(IntEnum):
    """A free value of a conventional cell."""

    VOLUME = 0  # per atom, cubic angstrom
    B_OVER_A = 1
    C_OVER_A = 2
    ALPHA = 3  # degrees
    BETA = 4
    GAMMA = 5


_V, _B, _C = CellValue.VOLUME, CellValue.B_OVER_A, CellValue.C_OVER_A

_FREE: dict[str, tuple[CellValue, ...]] = {
    "triclinic": tuple(CellValue),
    "monoclinic": (_V, _B, _C, CellValue.BETA),
    "orthorhombic": (_V, _B, _C),
    "tetragonal": (_V, _C),
    "trigonal": (_V, _C),
    "hexagonal": (_V, _C),
    "cubic": (_V,),
}
"""Free values by crystal system; trigonal cells have hexagonal axes, monoclinic ones the unique axis b."""

FREE_VALUES: tuple[tuple[CellValue, ...], ...] = (
    (),
    *(_FREE[str(name)] for name in crystal_systems(np.arange(1, 231))),
)
"""Free values by space-group number; entry 0 is a placeholder."""


def values_of_cell(cell: Floats, n_atoms: int) -> Floats:
    """All six values of a conventional cell, in the order of CellValue.

    Args:
        cell: a, b, c in angstrom, alpha, beta, gamma in degrees, [6].
        n_atoms: in the conventional cell.
    """
    a, b, c = cell[:3]
    volume = a * b * c * _volume_factor(cell[3:])
    return np.array([volume / n_atoms, b / a, c / a, *cell[3:]])


def cell_of_values(number: int, values: Floats, n_atoms: int) -> Floats:
    """A conventional cell from its free values.

    Args:
        number: space group.
        values: in the order of CellValue; those that are not free are not read, [6].
        n_atoms: in the conventional cell.

    Returns:
        a, b, c in angstrom, alpha, beta, gamma in degrees, [6]; lengths are NaN where angles allow no lattice.
    """
    free = FREE_VALUES[number]
    b_over_a = values[_B] if _B in free else 1.0
    c_over_a = values[_C] if _C in free else 1.0
    fixed = np.array([90.0, 90.0, 120.0 if 143 <= number <= 194 else 90.0])
    angles = np.array([values[3 + k] if CellValue(3 + k) in free else fixed[k] for k in range(3)])
    with np.errstate(invalid="ignore"):
        a = np.cbrt(values[_V] * n_atoms / (b_over_a * c_over_a * _volume_factor(angles)))
    return np.array([a, b_over_a * a, c_over_a * a, *angles])


def _volume_factor(angles: Floats) -> float:
    """Volume over the product of lengths; NaN where the angles in degrees allow no lattice."""
    x, y, z = np.cos(np.radians(angles))
    square = 1.0 - x * x - y * y - z * z + 2.0 * x * y * z
    return float(np.sqrt(square)) if square > 1e-6 else float("nan")
