"""Standard atomic weights, and what follows for a crystal: its density and the number of its atoms per volume.

Of an element without a stable isotope, mass number of the longest-lived one. Isotopes (D, T) count as their element.

Source: T. Prohaska et al., Pure Appl. Chem. 94, 573 (2022), abridged to five digits.
"""

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.derived.thermal import Densities

Floats = NDArray[np.float64]

GRAMS_PER_CM3 = 1.66053906892
"""Density of one atomic mass unit per cubic angstrom."""

_ROWS: tuple[tuple[float, ...], ...] = (
    (1.008, 4.0026),  # H to He
    (6.94, 9.0122, 10.81, 12.011, 14.007, 15.999, 18.9984, 20.1797),  # Li to Ne
    (22.9898, 24.305, 26.9815, 28.085, 30.9738, 32.06, 35.45, 39.948),  # Na to Ar
    (39.0983, 40.078, 44.9559, 47.867, 50.9415, 51.9961, 54.938, 55.845, 58.9332, 58.6934, 63.546, 65.38),  # K to Zn
    (69.723, 72.63, 74.9216, 78.971, 79.904, 83.798),  # Ga to Kr
    (85.4678, 87.62, 88.9058, 91.224, 92.9064, 95.95, 98.0, 101.07, 102.9055, 106.42, 107.8682, 112.414),  # Rb to Cd
    (114.818, 118.71, 121.76, 127.6, 126.9045, 131.293),  # In to Xe
    (132.9055, 137.327, 138.9055, 140.116, 140.9077, 144.242, 145.0, 150.36),  # Cs to Sm
    (151.964, 157.25, 158.9254, 162.5, 164.9303, 167.259, 168.9342, 173.054, 174.9668),  # Eu to Lu
    (178.49, 180.9479, 183.84, 186.207, 190.23, 192.217, 195.084, 196.9666, 200.592),  # Hf to Hg
    (204.38, 207.2, 208.9804, 209.0, 210.0, 222.0),  # Tl to Rn
    (223.0, 226.0, 227.0, 232.0377, 231.0359, 238.0289, 237.0, 244.0),  # Fr to Pu
    (243.0, 247.0, 247.0, 251.0, 252.0, 257.0, 258.0, 259.0, 262.0),  # Am to Lr
    (267.0, 268.0, 271.0, 270.0, 269.0, 278.0, 281.0, 281.0, 285.0),  # Rf to Cn
    (286.0, 289.0, 289.0, 293.0, 293.0, 294.0),  # Nh to Og
)

ATOMIC_MASSES: Floats = np.array([np.nan, *(mass for row in _ROWS for mass in row)])
"""In atomic mass units by atomic number, shape [119]; NaN for 0."""


def densities(crystals: CrystalBatch) -> Densities:
    """Mass and number density of crystals."""
    volume = np.abs(np.linalg.det(crystals.lattice))
    masses = np.bincount(crystals.crystal_of_atom, ATOMIC_MASSES[crystals.numbers], minlength=crystals.n_crystals)
    return Densities(GRAMS_PER_CM3 * masses / volume, crystals.atoms_per_crystal / volume)
