"""The candidates with their energies, parted by formula as the labels are."""

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gmt_tasks.training.candidate_columns import read_table
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.formula import FormulaError, normalized_formula


@dataclass(frozen=True)
class Candidates:
    """Crystals of candidates.parquet.

    Attributes:
        crystals: the crystals.
        formulas: reduced, shape [n_crystals].
        source: where each is from, shape [n_crystals].
        formation_energy: in eV per atom, NaN where unknown, shape [n_crystals].
        above_hull: likewise.
        is_train, is_val: formulas that some label file has in test are in neither, those in val are in val alone.
    """

    crystals: CrystalBatch
    formulas: NDArray[np.str_]
    source: NDArray[np.str_]
    formation_energy: Floats
    above_hull: Floats
    is_train: NDArray[np.bool_]
    is_val: NDArray[np.bool_]


def read_candidates(folder: Path) -> Candidates:
    """Reads the candidates of a folder and the parts of its label files."""
    path = folder / "candidates.parquet"
    crystals, columns = read_table(path, ("e_form", "e_above_hull"))
    formulas, parts = np.array(crystals.formulas()), _parts(folder)
    is_test = np.array(["test" in parts[formula] for formula in formulas])
    is_val = np.array(["val" in parts[formula] for formula in formulas]) & ~is_test
    source = np.array(pq.read_table(path, columns=["source"])["source"].to_pylist())
    energies = columns["e_form"], columns["e_above_hull"]
    return Candidates(crystals, formulas, source, *energies, ~is_test & ~is_val, is_val)


def _parts(folder: Path) -> defaultdict[str, set[str]]:
    """The parts in which each formula is, over all label files."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                try:
                    parts[normalized_formula(row["formula"])].add(row["split"])
                except (KeyError, FormulaError):
                    continue
    return parts
