"""Sizes of atoms: what counts as a bond, and where an atom ends."""

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import MAX_ATOMIC_NUMBER

Floats = NDArray[np.float64]

UNKNOWN_COVALENT_ANGSTROM = 1.6
UNKNOWN_VDW_ANGSTROM = 2.4
"""For elements without a published radius; none of them has labels."""

_COVALENT = (
    (0.31, 0.28),  # H He
    (1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58),  # Li to Ne
    (1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06),  # Na to Ar
    (2.03, 1.76, 1.70, 1.60, 1.53, 1.39, 1.39, 1.32, 1.26),  # K to Co
    (1.24, 1.32, 1.22, 1.22, 1.20, 1.19, 1.20, 1.20, 1.16),  # Ni to Kr
    (2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42),  # Rb to Rh
    (1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.40),  # Pd to Xe
    (2.44, 2.15),  # Cs Ba
    (2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87),  # La to Lu
    (1.75, 1.70, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.40, 1.50, 1.50),  # Hf to Rn
    (2.60, 2.21),  # Fr Ra
    (2.15, 2.06, 2.00, 1.96, 1.90, 1.87, 1.80, 1.69),  # Ac to Cm
)
_VDW = (
    (1.20, 1.43),
    (2.12, 1.98, 1.91, 1.77, 1.66, 1.50, 1.46, 1.58),
    (2.50, 2.51, 2.25, 2.19, 1.90, 1.89, 1.82, 1.83),
    (2.73, 2.62, 2.58, 2.46, 2.42, 2.45, 2.45, 2.44, 2.40),
    (2.40, 2.38, 2.39, 2.32, 2.29, 1.88, 1.82, 1.86, 2.25),
    (3.21, 2.84, 2.75, 2.52, 2.56, 2.45, 2.44, 2.46, 2.44),
    (2.15, 2.53, 2.49, 2.43, 2.42, 2.47, 1.99, 2.04, 2.06),
    (3.48, 3.03),
    (2.98, 2.88, 2.92, 2.95, 2.92, 2.90, 2.87, 2.83, 2.79, 2.87, 2.81, 2.83, 2.79, 2.80, 2.74),
    (2.63, 2.53, 2.57, 2.49, 2.48, 2.41, 2.29, 2.32, 2.45, 2.47, 2.60, 2.54, 2.40, 2.40, 2.40),
    (2.80, 2.80),
    (2.80, 2.93, 2.88, 2.71, 2.82, 2.81, 2.83, 3.05),
)


def _by_number(rows: tuple[tuple[float, ...], ...], unknown: float) -> Floats:
    radii = [radius for row in rows for radius in row]
    table = np.full(MAX_ATOMIC_NUMBER + 1, unknown)
    table[1 : len(radii) + 1] = radii
    table.flags.writeable = False
    return table


COVALENT_RADIUS_ANGSTROM = _by_number(_COVALENT, UNKNOWN_COVALENT_ANGSTROM)
"""Covalent radii by atomic number, shape [119]; Mn, Fe, Co in their low-spin value.

Source: B. Cordero et al., Dalton Trans. 2832 (2008), table 2.
"""

VDW_RADIUS_ANGSTROM = _by_number(_VDW, UNKNOWN_VDW_ANGSTROM)
"""Van der Waals radii by atomic number, shape [119]; Pm, Po, At, Rn, Fr and Ra, which have none, are estimates.

Source: S. Alvarez, Dalton Trans. 42, 8617 (2013), table 1.
"""
