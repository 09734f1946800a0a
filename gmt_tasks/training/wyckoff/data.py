"""The real crystals that a generator learns from, as slots, and their split."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from gmt_tasks.labels.files import read_labels
from gmt_tasks.training.candidate_columns import read_table, read_texts
from gmt_tasks.training.evaluated_formulas import evaluated_formulas
from models.crystals.crystal import Ints, find_invalid
from models.wyckoff.occupation import WyckoffCrystals, occupied_positions

HYPOTHETICAL = ("wbm", "perov_5", "carbon_24")
"""Sources of candidates that nobody made or that were made by a rule: what they show is the rule."""

MOST_ORBITS, MOST_SLOTS = 48, 160
"""Crystals beyond are left out: a hundredth of all, with a fifth of all slots."""

_HELD_OUT_SHARE = 0.05


class Part(StrEnum):
    """Part of the data, by formula."""

    TRAIN = "train"
    VAL = "val"  # chosen here, for the learning curve
    TEST = "test"  # formulas that tensor models are judged by, val or test


@dataclass(frozen=True)
class RealCrystals:
    """Distinct real crystals with their parts.

    Attributes:
        crystals: by their occupied positions.
        part: of each, [n_crystals].
        ids: of the source.
    """

    crystals: WyckoffCrystals
    part: list[Part]
    ids: list[str]

    def rows(self, part: Part) -> Ints:
        """Rows of a part."""
        return np.flatnonzero(np.array([one == part for one in self.part], dtype=np.bool_))


def real_crystals(folder: Path, name: str) -> RealCrystals:
    """The real crystals of a Parquet file of candidates.

    Args:
        folder: of the data, with files of labels whose val and test formulas are left for tests.
        name: of the file; it has columns `id` and `source`.
    """
    path = folder / name
    ids, sources = read_texts(path, "id"), read_texts(path, "source")
    batch, _ = read_table(path, ())
    is_real = np.array([not source.startswith(HYPOTHETICAL) for source in sources])
    is_real[list(find_invalid(batch))] = False
    # one entry of a database may be in several of the files that the table was made of
    first = np.zeros(batch.n_crystals, dtype=np.bool_)
    first[np.unique(np.array(ids), return_index=True)[1]] = True
    chosen = np.flatnonzero(is_real & first)
    crystals, rows = occupied_positions(batch.select(chosen))
    formulas = batch.select(chosen[rows]).formulas()
    held_back = evaluated_formulas(folder, read_labels(folder))
    parts = [Part.TEST if formula in held_back else part_by_hash(formula) for formula in formulas]
    return RealCrystals(crystals, parts, [ids[row] for row in chosen[rows].tolist()])


def part_by_hash(formula: str) -> Part:
    """Train or val by the hash of a formula: no crystal of a formula in train is in val."""
    digest = int.from_bytes(hashlib.sha256(formula.encode()).digest()[:4], "big")
    return Part.VAL if digest < _HELD_OUT_SHARE * 2**32 else Part.TRAIN
