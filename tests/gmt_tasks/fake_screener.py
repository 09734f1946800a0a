"""A screener without torch: arithmetic on the cell, and elements that make it crash, raise, hang or lose a row.

The numbers depend on one crystal only, so that any split and any order of work must give the same results.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from db.records import ModelVersion, ResultBlock, ShardLease
from models.crystal import CrystalBatch
from models.quantities import DERIVED, TENSORS, ColumnKind, Tensor

CRASH, RAISE, HANG, LOSE = 118, 117, 116, 115
VERSION = ModelVersion("fake", "1", "f" * 64)


@dataclass
class FakeScreener:
    """The contract of a screener; `once` is a file whose removal makes one crash (a transient fault)."""

    once: Path | None = None
    delay_s: float = 0.0
    model_version: ModelVersion = VERSION

    @property
    def metrics(self) -> dict[str, float]:
        """What a real model was measured to reach."""
        return {"ewt25_elastic": 0.5}

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """Numbers from the cell volume; see the module's docstring for the special elements."""
        if self.once is not None and self.once.exists():
            self.once.unlink()
            os._exit(3)
        if (crystals.numbers == CRASH).any():
            os._exit(9)
        if (crystals.numbers == HANG).any():
            time.sleep(3600)
        if (crystals.numbers == RAISE).any():
            raise RuntimeError("element 117 is refused\nsecond line")
        time.sleep(self.delay_s)
        kept = [i for i in range(crystals.n_crystals) if crystals.numbers[crystals.first_atom[i]] != LOSE]
        return result_block([crystal_ids[i] for i in kept], crystals.select(kept))

    def predict_lines(self, ids: list[str], crystals: CrystalBatch) -> list[dict[str, object]]:
        """Lines of the promised shape, only the fields that the tests look at."""
        return [
            {"id": i, "formula": f, "status": "ok", "reason": None, "model": str(self.model_version)}
            for i, f in zip(ids, crystals.formulas(), strict=True)
        ]


def result_block(crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
    """A complete block whose numbers follow from the volume per atom of each crystal."""
    n = crystals.n_crystals
    volume = np.abs(np.linalg.det(crystals.lattice)) / np.maximum(crystals.atoms_per_crystal, 1)
    columns: dict[str, np.ndarray] = {
        "spacegroup": np.full(n, 225),
        "point_group": np.full(n, "m-3m", dtype=object),
        "symmetry_ambiguous": np.zeros(n, bool),
    }
    for name, quantity in DERIVED.items():
        if quantity.kind is ColumnKind.NUMBER:
            columns[name] = volume * (1 + len(name))
        elif quantity.kind is ColumnKind.FLAG:
            columns[name] = np.ones(n, bool)
        else:
            columns[name] = np.full(n, "isotropic", dtype=object)
    tensors = {name: volume.reshape(-1, *[1] * len(q.shape)) * np.ones((n, *q.shape)) for name, q in TENSORS.items()}
    removed = {name: np.zeros(n) for name in Tensor}
    return ResultBlock(list(crystal_ids), columns, tensors, removed, [json.dumps([])] * n, [])


def make_fake(once: Path | None = None, delay_s: float = 0.0) -> FakeScreener:
    """Factory for worker processes."""
    return FakeScreener(once, delay_s)


def make_broken() -> FakeScreener:
    """Factory that fails, as with missing weights."""
    raise ValueError("weights are missing")


def cubic_crystals(elements: list[int]) -> CrystalBatch:
    """One-atom cubic crystals of the given elements, each with its own cell length."""
    lattices = [np.eye(3) * (3.0 + 0.001 * i) for i in range(len(elements))]
    return CrystalBatch.from_arrays(lattices, [np.zeros((1, 3))] * len(elements), [np.array([z]) for z in elements])


def lease_of(elements: list[int], shard_id: int = 1) -> ShardLease:
    """A lease over one-atom crystals of the given elements."""
    ids = [f"s{shard_id}c{i}" for i in range(len(elements))]
    return ShardLease(1, shard_id, 1, 1, ids, cubic_crystals(elements))
