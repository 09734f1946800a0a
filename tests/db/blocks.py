"""Made-up crystals, blocks and results for the tests of the database; the numbers mean nothing but are reproducible."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from db.records import IngestedBlock, ModelVersion, RejectedInput, ResultBlock, RunSpec, ShardLease
from db.store import ResultStore
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.quantities import DERIVED, TENSORS, ColumnKind, Tensor

MODEL = ModelVersion("toy", "1", "a" * 64)
SHARD_ATOMS = 12


def spec(*sources: str, model: ModelVersion = MODEL, **settings: Any) -> RunSpec:
    """A run over the given sources, or over one called `made`."""
    names = sources or ("made",)
    return RunSpec(names, tuple(f"fingerprint of {name}" for name in names), model, {"symprec": 0.01} | settings)


def crystal_id(seed: int) -> str:
    """The content id of the made-up crystal number `seed`."""
    return hashlib.sha256(f"crystal {seed}".encode()).hexdigest()[:32]


def crystals(seeds: Sequence[int]) -> CrystalBatch:
    """One made-up crystal of 1 to 5 atoms per seed."""
    generators = [np.random.default_rng(seed) for seed in seeds]
    counts = [1 + seed % 5 for seed in seeds]
    return CrystalBatch.from_arrays(
        [4 * np.eye(3) + rng.uniform(-0.5, 0.5, (3, 3)) for rng in generators],
        [rng.uniform(size=(n, 3)) for rng, n in zip(generators, counts, strict=True)],
        [rng.integers(1, 90, n) for rng, n in zip(generators, counts, strict=True)],
    )


def block(start: int, items: Sequence[int | Reason], source: str = "made") -> IngestedBlock:
    """A block from position `start` on: a number is the crystal of that seed, a reason is a rejected input."""
    accepted = [(start + k, item) for k, item in enumerate(items) if not isinstance(item, Reason)]
    rejected = [
        RejectedInput(start + k, f"{source}-{start + k}", item, f"detail of {start + k}")
        for k, item in enumerate(items)
        if isinstance(item, Reason)
    ]
    seeds = [seed for _, seed in accepted]
    return IngestedBlock(
        source=source,
        start=start,
        stop=start + len(items),
        positions=np.array([position for position, _ in accepted], dtype=np.int64),
        source_ids=[f"{source}-{position}" for position, _ in accepted],
        crystal_ids=[crystal_id(seed) for seed in seeds],
        crystals=crystals(seeds),
        metadata=[json.dumps({"position": position}) for position, _ in accepted],
        rejected=rejected,
    )


def results(lease: ShardLease, poison: Sequence[str] = (), shift: float = 0.0) -> ResultBlock:
    """Results that depend on the crystal's id and on `shift` only; ids in `poison` are quarantined."""
    ids = [each for each in lease.crystal_ids if each not in poison]
    return ResultBlock(
        crystal_ids=ids,
        columns=columns(ids, shift),
        tensors={tensor: tensors(tensor, ids, shift) for tensor in Tensor},
        removed_fraction={tensor: np.full(len(ids), 0.25) for tensor in Tensor},
        warnings=[json.dumps([f"warning of {each[:4]}"]) for each in ids],
        quarantined=[(each, Reason.MODEL_FAILED, "poison") for each in lease.crystal_ids if each in poison],
    )


def number_of(crystal: str) -> float:
    """A number between 0 and 1 that belongs to a crystal."""
    return int(crystal.removeprefix("gx-")[:8], 16) / 2**32


def columns(ids: Sequence[str], shift: float = 0.0) -> dict[str, Any]:
    """Symmetry and derived columns of the given crystals."""
    numbers = np.array([number_of(each) for each in ids], dtype=np.float64)
    made: dict[ColumnKind, Any] = {
        ColumnKind.NUMBER: 100 * numbers + shift,
        ColumnKind.FLAG: numbers > 0.5,
        ColumnKind.TEXT: np.array(["uniaxial"] * len(ids), dtype=object),
    }
    symmetry = {
        "spacegroup": 1 + (229 * numbers).astype(np.int64),
        "point_group": np.array(["m-3m"] * len(ids), dtype=object),
        "symprec": np.full(len(ids), 0.01),
        "symmetry_ambiguous": numbers < 0.1,
        "spacegroup_1e2": np.ones(len(ids), dtype=np.int64),
    }
    return symmetry | {name: made[quantity.kind] for name, quantity in DERIVED.items()}


def tensors(tensor: Tensor, ids: Sequence[str], shift: float = 0.0) -> Any:
    """Tensors of the given crystals, each [n_crystals, ...shape]."""
    shape = TENSORS[tensor].shape
    ramp = np.arange(float(np.prod(shape))).reshape(shape)
    ramp = ramp + np.swapaxes(ramp, -1, -2)
    if tensor is not Tensor.PIEZOELECTRIC:  # positive definite as those of stable crystals
        ramp = ramp + 1000 * np.eye(len(ramp))
    return np.array([ramp + number_of(each) + shift for each in ids]).reshape(len(ids), *shape)


def work_off(store: ResultStore, run_id: int, holder: str = "worker", poison: Sequence[str] = ()) -> int:
    """Leases and commits until nothing is left; returns the number of shards."""
    n_shards = 0
    while (lease := store.lease_shard(run_id, holder)) is not None:
        assert store.commit_shard(lease, results(lease, poison))
        n_shards += 1
    return n_shards


def filled(store: ResultStore, n_crystals: int = 20) -> int:
    """A run over so many crystals, read to its end; returns its number."""
    run = store.open_run(spec())
    store.add_block(run.id, block(0, range(n_crystals)), SHARD_ATOMS)
    store.end_ingest(run.id, "made")
    return run.id


def rows(store: ResultStore) -> list[dict[str, Any]]:
    """Everything in the store that does not depend on time."""
    return list(store.dump())
