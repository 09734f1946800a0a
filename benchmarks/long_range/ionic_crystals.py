"""Random ionic crystals and their Ewald energies: exact labels of which the part beyond any cutoff is large."""

from dataclasses import dataclass

import numpy as np
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Lattice, Structure

from models.crystals.crystal import CrystalBatch, Floats, Ints

CHARGE_OF: dict[int, int] = {3: 1, 11: 1, 12: 2, 20: 2, 13: 3, 7: -3, 8: -2, 16: -2, 9: -1, 17: -1}
"""Charge of each element (Li, Na, Mg, Ca, Al, N, O, S, F, Cl): the network sees elements, never charges."""

LEAST_DISTANCE_ANGSTROM = 1.7
VOLUME_PER_ATOM_A3 = 11.0, 19.0
LEAST_HEIGHT_ANGSTROM = 3.5
"""Above twice the least distance: an image that is too close has fractional differences below 1/2, so it is unique."""

_TRIALS = 24
_CRYSTALS_AT_ONCE = 64


@dataclass(frozen=True)
class IonicCrystals:
    """Neutral crystals of ions at random places.

    Attributes:
        crystals: n_crystals of them.
        charges: of every atom in elementary charges, [n_atoms].
    """

    crystals: CrystalBatch
    charges: Floats

    def ewald_energies(self) -> Floats:
        """Coulomb energy of point charges in eV per atom, [n_crystals], by pymatgen."""
        batch, energies = self.crystals, np.zeros(self.crystals.n_crystals)
        for k in range(batch.n_crystals):
            atoms = slice(batch.first_atom[k], batch.first_atom[k + 1])
            structure = Structure(
                Lattice(batch.lattice[k]),
                batch.numbers[atoms].tolist(),
                batch.frac_coords[atoms],
                site_properties={"charge": self.charges[atoms].tolist()},
            )
            structure.add_oxidation_state_by_site(self.charges[atoms].tolist())
            energies[k] = EwaldSummation(structure).total_energy / batch.atoms_per_crystal[k]
        return energies


def random_ionic_crystals(n_crystals: int, atoms: tuple[int, int], seed: int) -> IonicCrystals:
    """Crystals of random neutral compositions in random cells, no two ions closer than the least distance.

    Numbers of atoms are spread evenly on a logarithmic scale, so that small cells, of which a cutoff sees most, are
    there too.

    Args:
        n_crystals: how many.
        atoms: fewest and most atoms of a cell.
        seed: of all that is random.
    """
    rng = np.random.default_rng(seed)
    parts: list[CrystalBatch] = []
    n_made = 0
    while n_made < n_crystals:
        numbers = [_composition(rng, atoms) for _ in range(_CRYSTALS_AT_ONCE)]
        counts = np.array([len(z) for z in numbers])
        lattice = _cells(rng, counts)
        frac, is_full = _places(rng, lattice, counts)
        rows = np.flatnonzero(is_full)
        parts.append(
            CrystalBatch.from_arrays(lattice[rows], [frac[k, : counts[k]] for k in rows], [numbers[k] for k in rows])
        )
        n_made += len(rows)
    crystals = CrystalBatch.join(parts).select(np.arange(n_crystals))
    charge = np.zeros(119)
    charge[list(CHARGE_OF)] = list(CHARGE_OF.values())
    return IonicCrystals(crystals, charge[crystals.numbers])


def _composition(rng: np.random.Generator, atoms: tuple[int, int]) -> Ints:
    """Atomic numbers of a neutral cell of one to three binary salts in random amounts, in random order."""
    cations = [z for z, q in CHARGE_OF.items() if q > 0]
    anions = [z for z, q in CHARGE_OF.items() if q < 0]
    wanted = np.exp(rng.uniform(*np.log(atoms)))
    while True:
        cell: list[int] = []
        for _ in range(rng.integers(1, 4)):
            cation, anion = int(rng.choice(cations)), int(rng.choice(anions))
            divisor = int(np.gcd(CHARGE_OF[cation], CHARGE_OF[anion]))
            formula = [cation] * (-CHARGE_OF[anion] // divisor) + [anion] * (CHARGE_OF[cation] // divisor)
            cell += formula * max(1, int(rng.uniform(0.3, 1.0) * wanted / len(formula)))
            if len(cell) >= wanted:
                break
        if atoms[0] <= len(cell) <= atoms[1]:
            return rng.permutation(cell)


def _cells(rng: np.random.Generator, counts: Ints) -> Floats:
    """Random cells of the given numbers of atoms, none flatter than the least height, [n, 3, 3]."""
    volume = counts * rng.uniform(*VOLUME_PER_ATOM_A3, size=len(counts))
    cells = np.zeros((len(counts), 3, 3))
    left = np.arange(len(counts))
    while len(left):
        # random lengths and angles: a triangular matrix, scaled to the volume
        shape = np.zeros((len(left), 3, 3))
        shape[:, [0, 1, 2], [0, 1, 2]] = np.exp(rng.uniform(-0.45, 0.45, size=(len(left), 3)))
        shape[:, [1, 2, 2], [0, 0, 1]] = rng.uniform(-0.5, 0.5, size=(len(left), 3))
        shape *= np.cbrt(volume[left] / np.linalg.det(shape))[:, None, None]
        heights = 1.0 / np.linalg.norm(np.linalg.inv(shape), axis=1)
        tall = heights.min(axis=1) > LEAST_HEIGHT_ANGSTROM
        cells[left[tall]] = shape[tall]
        left = left[~tall]
    return cells


def _places(rng: np.random.Generator, lattice: Floats, counts: Ints) -> tuple[Floats, np.ndarray]:
    """Places of ions one after the other, each the first of some random ones that is far enough from all before.

    Returns:
        Fractional coordinates, [n, largest count, 3], and which cells were filled, [n].
    """
    n = len(lattice)
    frac, is_full = rng.uniform(size=(n, counts.max(), 3)), np.ones(n, dtype=bool)
    for place in range(1, counts.max()):
        trials = rng.uniform(size=(n, _TRIALS, 3))
        difference = trials[:, :, None] - frac[:, None, :place]
        vectors = (difference - np.round(difference)).reshape(n, -1, 3) @ lattice
        squares = np.square(vectors).sum(axis=2).reshape(n, _TRIALS, place)
        free = squares.min(axis=2) > LEAST_DISTANCE_ANGSTROM**2
        frac[:, place] = trials[np.arange(n), free.argmax(axis=1)]
        is_full &= free.any(axis=1) | (place >= counts)
    return frac, is_full
