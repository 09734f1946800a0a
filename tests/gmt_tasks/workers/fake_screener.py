"""A screener without torch: arithmetic on the cell, and elements that make it crash, raise, hang or lose a row.

The numbers depend on one crystal only, so that any split and any order of work must give the same results.
"""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from db.records import ModelVersion, ResultBlock, ShardLease
from models.crystals.crystal import CrystalBatch
from models.quantities import DERIVED, TENSORS, ColumnKind, Tensor

CRASH, RAISE, HANG, LOSE, SEGFAULT, GREEDY, SPIN, KILLED = 118, 117, 116, 115, 114, 113, 112, 111
VERSION = ModelVersion("fake", "1", "f" * 64)


class OutOfMemoryError(RuntimeError):
    """Named and worded as torch's, which is a RuntimeError too."""


@dataclass
class FakeScreener:
    """The contract of a screener.

    Attributes:
        once: a file whose removal makes one crash (a transient fault).
        delay_s: time that a batch takes, asleep.
        room_atoms: larger batches raise as torch does when a GPU has no memory left.
        s_per_atom: computing time that an atom takes, and
        s_per_batch: that a batch takes whatever it holds.
        asleep_s_per_atom: time that an atom takes asleep.
    """

    once: Path | None = None
    delay_s: float = 0.0
    room_atoms: int | None = None
    s_per_atom: float = 0.0
    s_per_batch: float = 0.0
    asleep_s_per_atom: float = 0.0
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
        if self.room_atoms is not None and len(crystals.numbers) > self.room_atoms:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of ...")
        # A fault strikes in the middle of the work, as a real one does.
        bad = np.flatnonzero(np.isin(crystals.numbers, FAULTY))
        n_atoms = bad[0] if len(bad) else len(crystals.numbers)
        work(self.s_per_batch + self.s_per_atom * n_atoms)
        time.sleep(self.asleep_s_per_atom * n_atoms)
        if len(bad):
            misbehave(int(crystals.numbers[bad[0]]))
        time.sleep(self.delay_s)
        kept = [i for i in range(crystals.n_crystals) if crystals.numbers[crystals.first_atom[i]] != LOSE]
        return result_block([crystal_ids[i] for i in kept], crystals.select(kept))

    def predict_lines(self, ids: list[str], crystals: CrystalBatch) -> list[dict[str, object]]:
        """Lines of the promised shape, only the fields that the tests look at."""
        return [
            {"id": i, "formula": f, "status": "ok", "reason": None, "model": str(self.model_version)}
            for i, f in zip(ids, crystals.formulas(), strict=True)
        ]


FAULTY = (CRASH, RAISE, HANG, SEGFAULT, GREEDY, SPIN, KILLED)


def work(seconds: float) -> None:
    """Computing time, not time asleep: so it can be measured on a busy machine."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def misbehave(element: int) -> None:
    """What a faulty element does to the process that computes it."""
    match element:
        case 118:  # CRASH
            os._exit(9)
        case 117:  # RAISE
            raise RuntimeError("element 117 is refused\nsecond line")
        case 116:  # HANG
            time.sleep(3600)
        case 114:  # SEGFAULT
            os.kill(os.getpid(), signal.SIGSEGV)
        case 113:  # GREEDY
            hoard = []
            while True:
                hoard.append(np.empty(1 << 27))  # asked for and never touched: a test must not fill the machine
        case 112:  # SPIN
            work(3600)
        case 111:  # KILLED: as by a kernel short of memory
            os.kill(os.getpid(), signal.SIGKILL)


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


def make_fake(**given: Any) -> FakeScreener:
    """Factory for worker processes."""
    return FakeScreener(**given)


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
