"""Asks the potential for the energies of candidates as they are, for `benchmarks.plausibility.formation_energies`.

    python -m benchmarks.plausibility.potential_energies --data FOLDER --out energies.npz [--minutes 25]

Formulas of val, elements and a random part of the others, none that a label file holds back; seed 0.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.plausibility.candidates import Candidates, read_candidates
from models.crystals.crystal import Ints
from models.potential.sevennet import SevenNet

MOST_ATOMS, N_TRAIN, BATCH = 20, 9_000, 50


def chosen_rows(candidates: Candidates, elements: frozenset[int]) -> Ints:
    """Rows of the candidates in the order in which they are computed."""
    crystals, rng = candidates.crystals, np.random.default_rng(0)
    unknown = np.zeros(crystals.n_crystals, dtype=bool)
    unknown[crystals.crystal_of_atom[~np.isin(crystals.numbers, list(elements))]] = True
    fits = np.isfinite(candidates.formation_energy) & ~unknown & (crystals.atoms_per_crystal <= MOST_ATOMS)
    # hypothetical perovskites have energies of another code
    fits &= ~np.char.startswith(candidates.source, "perov")
    is_element = np.array([formula.isalpha() and len(formula) < 3 for formula in candidates.formulas])
    val = rng.permutation(np.flatnonzero(fits & candidates.is_val))
    train = rng.permutation(np.flatnonzero(fits & candidates.is_train & ~is_element))[:N_TRAIN]
    return np.concatenate([val, np.flatnonzero(fits & candidates.is_train & is_element), train])


def main() -> None:
    """Computes until the time is over and writes what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25.0)
    options = parser.parse_args()
    candidates, potential = read_candidates(options.data), SevenNet()
    rows, started = chosen_rows(candidates, potential.elements), time.monotonic()
    energies, forces = [np.zeros(0)], [np.zeros(0)]
    for first in range(0, len(rows), BATCH):
        crystals = candidates.crystals.select(rows[first : first + BATCH])
        found = potential.evaluate(crystals)
        energies.append(found.energy_ev / crystals.atoms_per_crystal)
        largest = np.zeros(crystals.n_crystals)
        np.maximum.at(largest, crystals.crystal_of_atom, np.linalg.norm(found.forces_ev_per_angstrom, axis=1))
        forces.append(largest)
        if time.monotonic() - started > 60 * options.minutes:
            break
    e, f = np.concatenate(energies), np.concatenate(forces)
    np.savez(options.out, k=rows[: len(e)], e=e, f=f)


if __name__ == "__main__":
    main()
