"""Can a network learn what lies beyond its cutoff? Ewald energies of random ionic crystals, local and long-range.

    python -m benchmarks.long_range.ewald --out runs/ewald --networks gmtnet gmtnet-long-range --seeds 0 1 2

Both networks have the same graph (all neighbours within 4 angstrom), the same width and the same recipe. Labels are
exact, so what is left of the error is what a network cannot know or did not learn. Runs are resumed; the table is of
all that are finished.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.long_range.ionic_crystals import IonicCrystals, random_ionic_crystals
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.scalars.training import ScalarData, predict_scalars, train_scalar
from models.crystals.crystal import CrystalBatch, Floats
from models.gmtnet.config import CONFIGS, GMTNetConfig

CUTOFF_ANGSTROM = 4.0
SIZES = (8, 16, 32, 61)
"""Bounds of the classes of cells, atoms."""


class Part(NamedTuple):
    """One set of crystals: how many, of how many atoms, from which seed."""

    n_crystals: int
    atoms: tuple[int, int]
    seed: int


PARTS = {
    "train": Part(2000, (8, 60), 1),
    "val": Part(300, (8, 60), 2),
    "test": Part(500, (8, 60), 3),
    "large": Part(60, (110, 130), 4),
}


def layers_of(name: str) -> GMTNetConfig:
    """A named network at the width of this benchmark, with edges within the cutoff."""
    return replace(
        CONFIGS[name],
        graph=replace(CONFIGS[name].graph, radius_angstrom=CUTOFF_ANGSTROM),
        channels=32,
        edge_channels=32,
        radial_range=(1.2, CUTOFF_ANGSTROM),
        message_irreps=("16x0e+8x1o",),
        hidden_irreps="24x0e+8x1o",
        coupling_channels=4,
        l_max=1,
    )


def labelled(part: str, out: Path, n_crystals: int | None = None) -> tuple[CrystalBatch, Floats]:
    """The crystals of a part and their energies in eV per atom; computed once and kept in a file.

    Args:
        part: of PARTS.
        out: folder of the files.
        n_crystals: fewer than the part has, for trials.
    """
    row = PARTS[part]
    ionic: IonicCrystals = random_ionic_crystals(n_crystals or row.n_crystals, row.atoms, row.seed)
    file = out / f"{part}-{ionic.crystals.n_crystals}.npy"
    if not file.exists():
        np.save(file, ionic.ewald_energies())
    return ionic.crystals, np.load(file)


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/ewald"))
    parser.add_argument("--networks", nargs="+", default=["gmtnet"], choices=list(CONFIGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--limit", type=int, help="crystals of each part, for trials")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    parts = {part: labelled(part, asked.out, asked.limit) for part in PARTS}
    graphs = {
        name: {part: ScalarData.of(*crystals, layers_of(name).graph) for part, crystals in parts.items()}
        for name in asked.networks
    }
    for seed, name in product(asked.seeds, asked.networks):
        folder = asked.out / f"{name}-seed{seed}"
        if not (folder / "result.json").exists():
            _run(name, seed, asked.epochs, graphs[name], folder)
    lines = table(asked.out, {part: (batch.atoms_per_crystal, e) for part, (batch, e) in parts.items()})
    sys.stdout.write("\n".join(lines) + "\n")


def _run(name: str, seed: int, epochs: int, data: dict[str, ScalarData], folder: Path) -> None:
    """One training and its errors on test crystals, as a file."""
    config = TrainingConfig(
        network=name, seed=seed, epochs=epochs, batch_crystals=16, batch_atoms=1500, learning_rate=3e-3, average=0.99
    )
    start = time.process_time()
    network = train_scalar(layers_of(name), config, data["train"], data["val"], folder)
    if network is None:
        raise RuntimeError("the training ended before its last epoch")
    result: dict[str, Any] = {"network": name, "seed": seed, "epochs": epochs}
    result["processor_minutes"] = (time.process_time() - start) / 60
    result["weights"] = sum(p.numel() for p in network.parameters())
    for part in ("val", "test", "large"):
        result[part] = (predict_scalars(network, data[part]) - data[part].labels).tolist()
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def table(out: Path, parts: dict[str, tuple[Floats, Floats]]) -> list[str]:
    """A table of mean absolute errors in meV per atom, and the ratio of local to long-range errors, as lines.

    Args:
        out: folder of the runs.
        parts: atoms per crystal and energies in eV per atom, [n_crystals] each.
    """
    (sizes, energies), (_, large) = parts["test"], parts["large"]
    mean = parts["train"][1].mean()
    names = [f"{low} to {high - 1} atoms" for low, high in pairwise(SIZES)]
    lines = [
        f"| network | seed | weights | core-minutes | test | {' | '.join(names)} | {large.size} of 110 to 130 atoms |",
        "|---|" + "---|" * (len(names) + 5),
        "| mean of training energies | | | | " + " | ".join(_row(energies - mean, large - mean, sizes)) + " |",
    ]
    errors: dict[str, list[list[float]]] = {}
    for file in sorted(out.glob("*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        row = _row(np.array(result["test"]), np.array(result["large"]), sizes)
        errors.setdefault(result["network"], []).append([float(value) for value in row])
        head = f"| {result['network']} | {result['seed']} | {result['weights']:,} | {result['processor_minutes']:.1f}"
        lines.append(f"{head} | {' | '.join(row)} |")
    means = {name: np.mean(rows, axis=0) for name, rows in errors.items()}
    for name, row in means.items():
        lines.append(f"| {name}, mean of {len(errors[name])} | | | | {' | '.join(f'{x:.0f}' for x in row)} |")
    for name, row in means.items():
        if name != "gmtnet" and "gmtnet" in means:
            ratios = " | ".join(f"{x:.2f}" for x in means["gmtnet"] / row)
            lines.append(f"| error of gmtnet over that of {name} | | | | {ratios} |")
    return lines


def _row(error: Floats, large: Floats, sizes: Floats) -> list[str]:
    """Mean absolute errors in meV per atom: of all, of each class of sizes, of large cells."""
    classes = [error[(sizes >= low) & (sizes < high)] for low, high in pairwise(SIZES)]
    return [f"{1e3 * np.abs(part).mean():.0f}" for part in (error, *classes, large)]


if __name__ == "__main__":
    main()
