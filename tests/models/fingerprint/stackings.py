"""Crystals made to be mistaken for each other: stackings, homometric chains, exchanged species, chiral space groups."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import spglib

from models.crystals.crystal import Crystal, CrystalBatch, Floats
from models.crystals.neighbors import closest_pairs
from models.reference.crystals import cell_from_parameters

SITES = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
TETRAHEDRAL = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), (0.75, 0.75, 0.75))
"""The four interpenetrating face-centred lattices of a Heusler cell: two of cube corners, two of tetrahedra."""


def crystal(lattice: Floats, frac: Sequence[Sequence[float]] | Floats, numbers: Sequence[int]) -> CrystalBatch:
    """One crystal as a batch."""
    return Crystal(lattice, np.array(frac) % 1.0, np.array(numbers)).as_batch()


def chain(places: Sequence[int], period: int, step: float = 1.7, spacing: float = 4.0) -> CrystalBatch:
    """Silicon atoms in rows along z at multiples of `step`, the rows on a square lattice; lengths in angstrom."""
    lattice = np.diag([spacing, spacing, period * step])
    return crystal(lattice, [[0, 0, place / period] for place in places], [14] * len(places))


def close_packing(stacking: str) -> CrystalBatch:
    """Cobalt in a sequence of close-packed layers, e.g. "AB" or "ABC"."""
    n = len(stacking)
    frac = [(*SITES[site], k / n) for k, site in enumerate(stacking)]
    return crystal(cell_from_parameters(2.5, 2.5, 2.04 * n, 90, 90, 120), frac, [27] * n)


def kagome(stacking: str) -> CrystalBatch:
    """Nickel in kagome layers 4 angstrom apart, shifted against each other as the stacking says."""
    n = len(stacking)
    nets = [[(0.5, 0), (0, 0.5), (0.5, 0.5)][m] for m in range(3)]
    frac = [(x + SITES[s][0], y + SITES[s][1], k / n) for k, s in enumerate(stacking) for x, y in nets]
    return crystal(cell_from_parameters(5.3, 5.3, 4.0 * n, 90, 90, 120), frac, [28] * 3 * n)


def stackings(longest: int) -> dict[str, str]:
    """Every periodic stacking of close-packed layers whose word of h and c is at most so long, as layers by its word.

    A layer is h where its two neighbours are in equal positions, else c; a word stands for its rotations and reversal.
    """
    found: dict[str, str] = {}
    for length in range(1, longest + 1):
        for letters in product("hc", repeat=length):
            turned = [letters[k:] + letters[:k] for k in range(length)]
            word = "".join(min(turned + [each[::-1] for each in turned]))
            repeats = any(word == word[:part] * (length // part) for part in range(1, length))
            if not repeats and word not in found:
                found[word] = _layers(word)
    return found


def _layers(word: str) -> str:
    """Layers of a word, repeated until the positions close."""
    places, step = [0, 1], 1
    while True:
        for letter in word:
            step = step if letter == "c" else -step
            places.append((places[-1] + step) % 3)
        if places[-2:] == places[:2]:
            return "".join("ABC"[place] for place in places[:-2])


def heusler(species: Sequence[int]) -> CrystalBatch:
    """Face-centred cells with one species, or 0 for a vacancy, on each of the four sites of `TETRAHEDRAL`."""
    half = 2.95 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    cubic = np.array(TETRAHEDRAL) @ (5.9 * np.eye(3)) @ np.linalg.inv(half)
    filled = [k for k, z in enumerate(species) if z]
    return crystal(half, cubic[filled], [species[k] for k in filled])


def in_space_group(number: int, seed: int, species: Sequence[int] = (14, 8)) -> CrystalBatch:
    """A random crystal with one general position per species in a space group, as a primitive cell."""
    rng = np.random.default_rng([seed, number])
    operations = spglib.get_symmetry_from_database(_hall_number(number))
    n = len(operations["rotations"])
    while True:
        cell = _cell(number, 14.0 * n * len(species), rng)
        sites = [operations["rotations"] @ rng.random(3) + operations["translations"] for _ in species]
        full = (cell, np.concatenate(sites) % 1.0, np.repeat(species, n))
        found = spglib.find_primitive(full, symprec=1e-4)
        one = CrystalBatch.from_arrays([found[0]], [found[1]], [found[2]])
        if not closest_pairs(one.lattice, one.frac_coords, one.crystal_of_atom, 1.0):
            return one


def space_group(one: CrystalBatch) -> int:
    """Its number, by spglib."""
    return int(spglib.get_symmetry_dataset((one.lattice[0], one.frac_coords, one.numbers), symprec=1e-4).number)


def is_sohncke(number: int) -> bool:
    """Whether a space group has no operation that turns left into right, so that its crystals may be chiral."""
    return bool((np.linalg.det(spglib.get_symmetry_from_database(_hall_number(number))["rotations"]) > 0).all())


def _hall_number(number: int) -> int:
    return next(hall for hall in range(1, 531) if spglib.get_spacegroup_type(hall).number == number)


def _cell(number: int, volume: float, rng: np.random.Generator) -> Floats:
    """Random lengths and angles as the crystal system allows, in spglib's standard setting."""
    (a, b, c), (alpha, beta, gamma) = rng.uniform(0.8, 1.25, 3), rng.uniform(78, 102, 3)
    if number >= 3:
        alpha = gamma = 90.0
    if number >= 16:
        beta = 90.0
    if number >= 75:
        b = a
    if 143 <= number < 195:
        gamma = 120.0
    if number >= 195:
        c = a
    lattice = cell_from_parameters(a, b, c, alpha, beta, gamma)
    scaled: Floats = lattice * np.cbrt(volume / abs(np.linalg.det(lattice)))
    return scaled
