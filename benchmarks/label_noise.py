"""How far moduli of one kind of labels are from those of the Materials Project, on crystals of train and val with both.

    python -m benchmarks.label_noise --data FOLDER [--kind moduli_aflow]

Two codes relax a crystal to cells that differ, so crystals are matched by formula, space group and volume per atom
(within 5 %), not by their cells. Of several partners a full tensor counts before Hill averages, and those before
rounded ones. The noise that a kind has in gmt_tasks/labels/kinds.py is the robust standard deviation printed here.
"""

import argparse
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import Split
from gmt_tasks.labels.kinds import KINDS, read_accepted_label
from gmt_tasks.labels.label_kind import ReadLabel

Floats = NDArray[np.float64]

PARTNERS = ("elastic_stiffness", "moduli_vrh", "elastic_invariants")
LARGEST_VOLUME_CHANGE = 0.05
N_RESAMPLED = 2000
BINS_GPA = (0.0, 20.0, 40.0, 80.0, 150.0, np.inf)
"""Edges of the sizes by which a factor that depends on size would show."""


class Moduli(NamedTuple):
    """Hill averages of one row in GPa, and the volume per atom of its cell in cubic angstrom."""

    k_gpa: float
    g_gpa: float
    volume: float
    kind: str


def main() -> None:
    """Reads the label files and prints the noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=[name for name, kind in KINDS.items() if "k_gpa" in sizes_of(name)])
    asked = parser.parse_args()
    pairs, n_rows = matched(asked.data, asked.kind or "moduli_aflow")
    sys.stdout.write(f"{n_rows} rows of train and val, {len(pairs)} with a partner\n")
    for column, name in ((0, "K"), (1, "G")):
        sys.stdout.write(noise_text(name, pairs[:, 0, column], pairs[:, 1, column]))


def sizes_of(kind: str) -> set[str]:
    """Names of the sizes that a kind has."""
    return {size.name for size in KINDS[kind].sizes}


def matched(folder: Path, kind: str) -> tuple[Floats, int]:
    """K and G of rows of a kind and of their partners, [n_pairs, 2, 2], and the number of rows of the kind."""
    rows: list[tuple[tuple[str, int], Moduli]] = []
    partners: defaultdict[tuple[str, int], list[Moduli]] = defaultdict(list)
    for key, moduli in rows_with_moduli(folder):
        if moduli.kind == kind:
            rows.append((key, moduli))
        elif moduli.kind in PARTNERS:
            partners[key].append(moduli)
    pairs = []
    for key, own in rows:
        near = [other for other in partners[key] if abs(other.volume / own.volume - 1) < LARGEST_VOLUME_CHANGE]
        if near:
            best = min(near, key=lambda o: (PARTNERS.index(o.kind), abs(o.volume / own.volume - 1)))
            pairs.append([[own.k_gpa, own.g_gpa], [best.k_gpa, best.g_gpa]])
    both = np.array(pairs).reshape(-1, 2, 2)
    return both[(both > 0).all(axis=(1, 2))], len(rows)


def rows_with_moduli(folder: Path) -> Iterator[tuple[tuple[str, int], Moduli]]:
    """Formula with space group, and the moduli, of every row that training would take; nothing of the test part."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["split"] == Split.TEST or "k_gpa" not in sizes_of(row["kind"]):
                    continue
                label = read_accepted_label(row)
                if not label.kind.doubtful(row):
                    yield (row["formula"], row["spacegroup"]), moduli_of(label, row)


def moduli_of(label: ReadLabel, row: dict[str, Any]) -> Moduli:
    """The moduli of one row; NaN where an indefinite stiffness has none."""
    sizes = label.sizes()
    volume = abs(np.linalg.det(label.lattice)) / len(label.numbers)
    return Moduli(sizes.get("k_gpa", np.nan), sizes.get("g_gpa", np.nan), float(volume), row["kind"])


def noise_text(name: str, own: Floats, other: Floats) -> str:
    """Median ratio with its 90 % interval, robust standard deviation and tails of ln(own / other)."""
    logs = np.log(own / other)
    rng = np.random.default_rng(0)
    medians = np.median(logs[rng.integers(0, len(logs), (N_RESAMPLED, len(logs)))], axis=1)
    low, high = np.exp(np.quantile(medians, [0.05, 0.95]))
    robust = 1.4826 * np.median(np.abs(logs - np.median(logs)))
    median, tail = np.quantile(np.abs(logs), [0.5, 0.9])
    lines = [
        f"{name}: n {len(logs)}, median ratio {np.exp(np.median(logs)):.4f} ({low:.4f} to {high:.4f}), robust standard "
        f"deviation {robust:.3f}, |ln| median {median:.3f}, 90th percentile {tail:.3f}, mean of ln {logs.mean():+.4f}"
    ]
    for lower, upper in pairwise(BINS_GPA):
        # by the mean of both: by one of them, its own noise alone would make a trend
        ratios = logs[(np.sqrt(own * other) > lower) & (np.sqrt(own * other) <= upper)]
        if len(ratios):
            lines.append(f"  {lower:g} to {upper:g} GPa: n {len(ratios)}, median ratio {np.exp(np.median(ratios)):.3f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
