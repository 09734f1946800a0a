"""What pair sums say of an Ewald energy when the charges are given: those within a cutoff, and with periodic kernels.

    python -m benchmarks.long_range.pair_sums --out runs/ewald

Least squares, no network: how large the part beyond the cutoff is, and how much of it the kernels hold.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.long_range.ewald import CUTOFF_ANGSTROM, PARTS, labelled, layers_of
from benchmarks.long_range.ionic_crystals import CHARGE_OF
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.image_kernels import find_kernels, pairs_of
from models.crystals.neighbors import find_neighbors

N_RADIAL = 32


def pair_sums(batch: CrystalBatch) -> tuple[Floats, Floats]:
    """Sums over pairs of the product of their charges, per atom: in shells within the cutoff, and times kernels.

    Returns:
        Arrays [n_crystals, N_RADIAL + 1], the last column the mean square of the charges, and [n_crystals, n_widths].
    """
    table = np.zeros(119)
    table[list(CHARGE_OF)] = list(CHARGE_OF.values())
    charge, owner, n = table[batch.numbers], batch.crystal_of_atom, batch.n_crystals
    radius = np.full(n, CUTOFF_ANGSTROM)
    pairs = find_neighbors(batch.lattice, batch.frac_coords, owner, radius)
    product = charge[pairs.center] * charge[pairs.neighbor]
    # hats between nodes: a linear interpolation of any function of the distance
    position = (pairs.distance / CUTOFF_ANGSTROM) * N_RADIAL
    near = np.zeros((n, N_RADIAL + 1))
    for node in range(N_RADIAL):
        hat = np.maximum(0.0, 1.0 - np.abs(position - node))
        near[:, node] = np.bincount(owner[pairs.center], product * hat, minlength=n)
    near[:, N_RADIAL] = np.bincount(owner, charge**2, minlength=n)
    kernels = find_kernels(batch, layers_of("gmtnet-long-range").graph.kernel_widths_angstrom)
    center, neighbor = pairs_of(kernels.sizes)
    weighted = kernels.values * (charge[center] * charge[neighbor])[:, None]
    far = np.stack([np.bincount(owner[center], column, minlength=n) for column in weighted.T], axis=1)
    counts = batch.atoms_per_crystal[:, None]
    return near / counts, far / counts


def main() -> None:
    """Prints mean absolute errors on test crystals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/ewald"))
    asked = parser.parse_args()
    sums = {part: (*pair_sums(labelled(part, asked.out)[0]), labelled(part, asked.out)[1]) for part in PARTS}
    names = {"pair sums within the cutoff": 1, "the same and the periodic kernels": 2}
    for name, n_arrays in names.items():
        features = {
            part: np.concatenate([*row[:n_arrays], np.ones((len(row[2]), 1))], axis=1) for part, row in sums.items()
        }
        weights = np.linalg.lstsq(features["train"], sums["train"][2], rcond=None)[0]
        errors = {part: 1e3 * np.abs(features[part] @ weights - sums[part][2]).mean() for part in ("test", "large")}
        sys.stdout.write(f"{name}: {errors['test']:.0f} meV/atom on test, {errors['large']:.0f} on large cells\n")


if __name__ == "__main__":
    main()
