"""Second opinions of labelled crystals: what the combination of network and potential is tuned and judged on.

    python -m benchmarks.potential.second_opinions --data FOLDER --out opinions.jsonl [--splits train,val]

One line per crystal with a full stiffness label: its id, split, chemical class, label, and what the potential says.
A killed run goes on where it stopped; several parts may run side by side into files of their own.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.labels.files import LabelledCrystals, read_labels
from models.crystals.chemical_classes import chemical_classes
from models.potential.opinion import second_opinions
from models.potential.second_opinion import SecondOpinion
from models.potential.sevennet import SevenNet
from models.quantities import Tensor
from models.tensors.voigt import from_components

BATCH = 16
"""Crystals whose calculations ask the potential together."""


def main() -> None:
    """Reads the label files and appends a line per crystal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--splits", default="train,val,test")
    parser.add_argument("--max-atoms", type=int, default=12)
    parser.add_argument("--part", default="0/1", help="which part of how many")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    part, n_parts = (int(number) for number in asked.part.split("/"))
    rows = chosen_rows(labels, asked.splits.split(","), asked.max_atoms)[part::n_parts]
    done = set()
    if asked.out.exists():
        with asked.out.open(encoding="utf-8") as lines:
            done = {json.loads(line)["id"] for line in lines if line.endswith("\n")}
    missing = [row for row in rows.tolist() if labels.ids[row] not in done]
    sys.stdout.write(f"{len(rows)} crystals, {len(missing)} to do\n")
    potential = SevenNet()
    with asked.out.open("a", encoding="utf-8") as file:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            opinions, failures = second_opinions(potential, labels.crystals.select(batch))
            for k, row in enumerate(batch):
                said = opinion_facts(opinions[k]) if k in opinions else {"failed": failures[k]}
                file.write(json.dumps(label_facts(labels, row) | said) + "\n")
            file.flush()


def chosen_rows(labels: LabelledCrystals, splits: list[str], max_atoms: int) -> np.ndarray:
    """Crystals with a full stiffness label, the small ones first, [n]."""
    labelled = np.isfinite(labels.components[Tensor.ELASTIC]).all(axis=1)
    counts = labels.crystals.atoms_per_crystal
    rows = np.flatnonzero(labelled & np.isin(labels.split, splits) & (counts <= max_atoms))
    return rows[np.argsort(counts[rows], kind="stable")]


def label_facts(labels: LabelledCrystals, row: int) -> dict[str, Any]:
    """What is known of a labelled crystal."""
    stiffness = from_components(Tensor.ELASTIC, labels.components[Tensor.ELASTIC][row])
    crystal = labels.crystals.select([row])
    return {
        "id": labels.ids[row],
        "formula": crystal.formulas()[0],
        "split": str(labels.split[row]),
        "chemical_class": str(chemical_classes(crystal)[0]),
        "label_gpa": np.round(stiffness, 3).tolist(),
    }


def opinion_facts(opinion: SecondOpinion) -> dict[str, Any]:
    """What the potential says, as plain data."""
    return {
        "relaxation": opinion.relaxation.value,
        "stiffness_gpa": np.round(opinion.stiffness_gpa, 3).tolist(),
        "lattice": opinion.relaxed.lattice[0].tolist(),
        "frac_coords": opinion.relaxed.frac_coords.tolist(),
        "numbers": opinion.relaxed.numbers.tolist(),
        "volume_ratio": opinion.volume_ratio,
        "gamma_stable": opinion.gamma_stable,
        "n_evaluations": opinion.n_evaluations,
        "seconds": round(opinion.seconds, 3),
    }


if __name__ == "__main__":
    main()
