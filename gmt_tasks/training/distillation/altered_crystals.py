"""Crystals made of others: with other volumes, strained, distorted, or with an element replaced by one of its group.

An ensemble answers for them as it does for any crystal, and a network that learns from it (distillation.py) sees more
of what the ensemble knows than crystals in tables show.
"""

from collections.abc import Mapping

import numpy as np

from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats, Ints
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM

N_STRAINED, N_DISTORTED, N_SUBSTITUTED = 9_000, 5_000, 100_000
_STRAINED_ATOMS, _DISTORTED_ATOMS = 20, 10
_LARGEST_LOG_VOLUME, _LARGEST_STRAIN, _DISPLACEMENT_ANGSTROM = 0.18, 0.03, 0.05
_SUBSTITUTED_LOG_VOLUME = 0.04

_GROUPS = (
    "Li Na K Rb Cs", "Be Mg Ca Sr Ba", "Sc Y La", "Ti Zr Hf", "V Nb Ta", "Cr Mo W", "Mn Re", "Fe Ru Os", "Co Rh Ir",
    "Ni Pd Pt", "Cu Ag Au", "Zn Cd Hg", "B Al Ga In Tl", "C Si Ge Sn Pb", "N P As Sb Bi", "O S Se Te", "F Cl Br I",
    "Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
)  # fmt: skip
_NUMBERS = [np.array([*map(SYMBOLS.index, group.split())]) for group in _GROUPS]
REPLACEMENTS: Mapping[int, Ints] = {int(old): group[group != old] for group in _NUMBERS for old in group}
"""Atomic numbers of the other elements of its group, by atomic number."""


def off_equilibrium_copies(pool: CrystalBatch, seed: int) -> CrystalBatch:
    """Copies of small crystals with another volume, and of smaller ones that are strained and distorted as well.

    Args:
        pool: validated crystals near their equilibrium.
        seed: of the choice, the strains and the displacements.
    """
    rng = np.random.default_rng(seed)

    def chosen(most_atoms: int, n: int) -> CrystalBatch:
        rows = np.flatnonzero(pool.atoms_per_crystal <= most_atoms)
        return pool.select(np.sort(rng.permutation(rows)[:n]))

    strained = chosen(_STRAINED_ATOMS, N_STRAINED)
    strained = scaled(strained, np.exp(rng.uniform(-_LARGEST_LOG_VOLUME, _LARGEST_LOG_VOLUME, strained.n_crystals) / 3))
    distorted = chosen(_DISTORTED_ATOMS, N_DISTORTED)
    n, owner = distorted.n_crystals, distorted.crystal_of_atom
    strain = rng.uniform(-_LARGEST_STRAIN, _LARGEST_STRAIN, (n, 3, 3))
    strain = 0.5 * (strain + strain.swapaxes(1, 2))
    scale = np.exp(rng.uniform(-0.5, 0.5, n) * _LARGEST_LOG_VOLUME / 3)
    lattice = distorted.lattice @ ((np.eye(3) + strain) * scale[:, None, None])
    # half of them keep their fractional coordinates, and often some of their symmetry
    moved = rng.normal(size=(len(owner), 3)) * _DISPLACEMENT_ANGSTROM * rng.integers(0, 2, n)[owner][:, None]
    frac_coords = distorted.frac_coords + np.einsum("ni,nij->nj", moved, np.linalg.inv(lattice)[owner])
    return CrystalBatch.join([strained, CrystalBatch(lattice, frac_coords, distorted.numbers, owner)])


def substituted_copies(pool: CrystalBatch, n: int, seed: int) -> CrystalBatch:
    """Copies in which one element is replaced by another of its group, in a cell that bonds of that length fill.

    Args:
        pool: validated crystals.
        n: copies, at most; crystals in which nothing can be replaced have none.
        seed: of the choice of crystals and elements, and of volumes up to 2 % off on both sides.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(pool.n_crystals, n, replace=n > pool.n_crystals))
    copies = pool.select(rows)
    numbers = copies.numbers.copy()
    for first, stop in zip(copies.first_atom[:-1], copies.first_atom[1:], strict=True):
        numbers[first:stop] = replace_one(copies.numbers[first:stop], rng)
    scale = substitution_scale(copies, numbers)
    scale *= np.exp(rng.uniform(-_SUBSTITUTED_LOG_VOLUME, _SUBSTITUTED_LOG_VOLUME, copies.n_crystals) / 6)
    changed = np.bincount(copies.crystal_of_atom, weights=numbers != copies.numbers, minlength=copies.n_crystals) > 0
    altered = CrystalBatch(copies.lattice, copies.frac_coords, numbers, copies.crystal_of_atom)
    return scaled(altered, scale).select(np.flatnonzero(changed))


def replace_one(numbers: Ints, rng: np.random.Generator) -> Ints:
    """Atomic numbers of one crystal, [n_atoms], with one element replaced by another of its group that it has not.

    The same numbers where there is no such element.
    """
    present = np.unique(numbers)
    options = [(old, np.setdiff1d(REPLACEMENTS[int(old)], present)) for old in present if int(old) in REPLACEMENTS]
    pairs = [(old, new) for old, others in options for new in others]
    if not pairs:
        return numbers
    old, new = pairs[int(rng.integers(len(pairs)))]
    return np.where(numbers == old, new, numbers)


def substitution_scale(crystals: CrystalBatch, numbers: Ints) -> Floats:
    """Factors of lengths that keep the share of each cell that spheres of the covalent radii fill, [n_crystals].

    Args:
        crystals: as they were.
        numbers: atomic numbers that theirs are replaced by, [n_atoms].
    """
    volume = np.asarray(COVALENT_RADIUS_ANGSTROM) ** 3
    filled = [
        np.bincount(crystals.crystal_of_atom, weights=volume[species], minlength=crystals.n_crystals)
        for species in (numbers, crystals.numbers)
    ]
    return np.asarray(np.cbrt(filled[0] / filled[1]))


def scaled(crystals: CrystalBatch, scale: Floats) -> CrystalBatch:
    """The crystals with all lengths multiplied by factors, [n_crystals]."""
    lattice = crystals.lattice * scale[:, None, None]
    return CrystalBatch(lattice, crystals.frac_coords, crystals.numbers, crystals.crystal_of_atom)
