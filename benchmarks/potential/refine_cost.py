"""Evaluations and processor time of second opinions beside what `gmt_tasks.refinement.estimate` expects.

python -m benchmarks.potential.refine_cost candidates.parquet --n 40
"""

import argparse

import numpy as np

from gmt_tasks.refinement.estimate import n_evaluations, n_neighbors
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import ReadOptions
from models.potential.opinion import second_opinions
from models.potential.sevennet import SevenNet
from models.symmetry.standard_cell import standard_cell


def main() -> None:
    """Prints one line per crystal and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--max-atoms", type=int, default=20)
    arguments = parser.parse_args()
    potential = SevenNet()
    block = next(iter(open_source(arguments.source, ReadOptions()).blocks(0)))
    sizes = block.crystals.atoms_per_crystal
    rng = np.random.default_rng(0)
    chosen = rng.permutation(np.flatnonzero(sizes <= arguments.max_atoms))[: arguments.n]
    ratios = []
    for row in chosen:
        crystals = block.crystals.select([int(row)])
        opinions, failures = second_opinions(potential, crystals)
        if 0 not in opinions:
            print(row, failures)  # noqa: T201
            continue
        opinion, cell = opinions[0], standard_cell(crystals, 0)
        n_relative = opinion.n_evaluations / n_evaluations(cell)
        per_neighbor = opinion.seconds / (opinion.n_evaluations * n_neighbors(cell))
        ratios.append((n_relative, per_neighbor, opinion.seconds))
        print(  # noqa: T201
            f"{row} {crystals.formulas()[0]} {len(cell.crystal.numbers)} atoms sg {cell.spacegroup} "
            f"{opinion.relaxation} {'stable' if opinion.gamma_stable else 'unstable'} {opinion.n_evaluations} cells "
            f"({n_relative:.2f} of expected), {opinion.seconds:.2f} s, {1e6 * per_neighbor:.0f} us per neighbour",
            flush=True,
        )
    print("medians, means:", np.median(ratios, axis=0), np.mean(ratios, axis=0))  # noqa: T201


if __name__ == "__main__":
    main()
