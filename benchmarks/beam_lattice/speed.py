"""Nets homogenized per second, beside a plain loop over nets and struts.

    python -m benchmarks.beam_lattice.speed --data ../shared/data --n 300

The nets are the bonds of the first crystals of the table of candidates that have such a net. Both are asked in turns,
on one core; processor time is counted. The largest difference of both results is printed, too.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.beam_lattice.plain import plain_stiffness
from gmt_tasks.training.candidate_columns import read_table
from models.beam_lattice.from_crystals import nets_of_bonds
from models.beam_lattice.homogenize import homogenize

MAX_ATOMS = 20
N_ROUNDS = 3


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--n", type=int, default=300)
    chosen = parser.parse_args()
    crystals, _ = read_table(chosen.data / "candidates.parquet", ())
    small = np.flatnonzero(crystals.atoms_per_crystal <= MAX_ATOMS)
    nets = nets_of_bonds(crystals.select(np.random.default_rng(0).permutation(small)[: 2 * chosen.n])).nets
    nets = nets.select(np.arange(min(chosen.n, nets.n_nets))).at_density(0.05)
    each = [nets.select([k]) for k in range(nets.n_nets)]
    ours, plain = [], []
    for _ in range(N_ROUNDS):
        start = time.process_time()
        together = homogenize(nets).stiffness_voigt
        middle = time.process_time()
        one_by_one = np.stack([plain_stiffness(net) for net in each])
        ours.append(middle - start)
        plain.append(time.process_time() - middle)
    largest = np.abs(one_by_one).max(axis=(1, 2))
    difference = (np.abs(together - one_by_one).max(axis=(1, 2)) / largest).max()
    fastest, slowest = min(ours), min(plain)
    n_struts = len(nets.radius) / nets.n_nets
    print(f"{nets.n_nets} nets, {nets.nodes_per_net.mean():.1f} nodes and {n_struts:.1f} struts each")  # noqa: T201
    print(f"homogenize {nets.n_nets / fastest:,.0f} nets/s, plain loop {nets.n_nets / slowest:,.0f} nets/s of one core")  # noqa: T201
    print(f"ratio {slowest / fastest:.1f}, largest relative difference {difference:.1e}")  # noqa: T201


if __name__ == "__main__":
    main()
