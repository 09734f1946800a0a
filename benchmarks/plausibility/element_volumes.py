"""Makes models/plausibility/element_volumes.csv: the volume that an atom of each element brings.

    python -m benchmarks.plausibility.element_volumes --data FOLDER --out models/plausibility/element_volumes.csv

Volumes add up: fitted on the candidates of FOLDER whose formulas no label file holds back, hypothetical perovskites and
carbon left out, so that the square root of the relative deviation is least on the whole (a few layered and porous
crystals move nothing). Prints how well they do on formulas of val.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.plausibility.candidates import Candidates, read_candidates
from models.crystals.crystal import SYMBOLS, Floats

PRIOR_A3, PRIOR_WEIGHT = 15.0, 1e-6
"""What an element without crystals gets, and how little that counts for the others."""

N_ELEMENTS = 103


def fractions_of(candidates: Candidates) -> Floats:
    """Share of each element in every crystal, shape [n_crystals, 104]."""
    crystals = candidates.crystals
    shares = np.zeros((crystals.n_crystals, N_ELEMENTS + 1))
    np.add.at(shares, (crystals.crystal_of_atom, crystals.numbers), 1.0)
    return np.asarray(shares / crystals.atoms_per_crystal[:, None])


def fit_volumes(shares: Floats, per_atom_a3: Floats, n_rounds: int = 30) -> Floats:
    """Volumes of the elements in cubic angstrom by iterated weighted least squares, shape [104]."""
    weight, volumes = np.ones(len(shares)), np.full(shares.shape[1], PRIOR_A3)
    prior = PRIOR_WEIGHT * len(shares)
    for _ in range(n_rounds):
        rows = shares * (weight / per_atom_a3)[:, None]
        volumes = np.linalg.solve(rows.T @ rows + prior * np.eye(shares.shape[1]), rows.T @ weight + prior * PRIOR_A3)
        volumes = np.maximum(volumes, 1.0)
        weight = np.maximum(np.abs(shares @ volumes / per_atom_a3 - 1), 0.02) ** -0.5
    return volumes


def main() -> None:
    """Fits, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    candidates = read_candidates(options.data)
    crystals, shares = candidates.crystals, fractions_of(candidates)
    per_atom = np.abs(np.linalg.det(crystals.lattice)) / crystals.atoms_per_crystal
    is_relaxed = ~np.char.startswith(candidates.source, "perov") & ~np.char.startswith(candidates.source, "carbon")
    volumes = fit_volumes(shares[candidates.is_train & is_relaxed], per_atom[candidates.is_train & is_relaxed])
    ratio = (per_atom / (shares @ volumes))[candidates.is_val]
    quantiles = np.quantile(ratio, [0.001, 0.01, 0.5, 0.99, 0.999]).round(2).tolist()
    print(f"val: {len(ratio)} crystals, median deviation {np.median(np.abs(ratio - 1)):.3f}, quantiles {quantiles}")  # noqa: T201
    rows = [f"{SYMBOLS[z]},{volumes[z]:.2f}" for z in range(1, N_ELEMENTS + 1)]
    options.out.write_text("\n".join(["symbol,volume_a3", *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
