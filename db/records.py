"""The types that go into the database and come out of it: runs, blocks of inputs, results of a shard.

Arrays in, arrays out: blocks hold flat numpy arrays with one row per crystal, never lists of objects with one row each.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.quantities import INTERVALS, TENSORS, Tensor

Floats = NDArray[np.float64]

COMBINED = "+"
"""Joins the names of network and potential in that of a model that is both."""


class RunState(StrEnum):
    """Where a run stands."""

    INGESTING = "ingesting"
    RUNNING = "running"
    FINISHED = "finished"


class Stage(StrEnum):
    """The step at which an input ended without a result."""

    INGEST = "ingest"
    PREDICT = "predict"


@dataclass(frozen=True)
class ModelVersion:
    """A model, immutable: `name@version` and the sha256 of its weights."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @staticmethod
    def combined(network: "ModelVersion", potential: "ModelVersion", recipe: str) -> "ModelVersion":
        """A network with the second opinion of a potential, as a version of its own.

        Args:
            network: what predicts all tensors.
            potential: what relaxes, and blends into the stiffness.
            recipe: version of how both are combined.
        """
        parts = (network.sha256, potential.sha256, recipe)
        return ModelVersion(
            f"{network.name}{COMBINED}{potential.name}",
            f"{network.version}{COMBINED}{potential.version}{COMBINED}{recipe}",
            hashlib.sha256(" ".join(parts).encode()).hexdigest(),
        )


def is_combined(model: str) -> bool:
    """Whether the name of a model, or NAME@VERSION, is that of a network with a second opinion."""
    return COMBINED in model.partition("@")[0]


@dataclass(frozen=True)
class ModelProvenance:
    """Where the files of a model version are and how it came to be.

    Attributes:
        folder: of its checkpoint.
        files: sha256 of every file of it, by file name.
        snapshot: hash of the dataset snapshot that it was trained on; empty when it is unknown.
        code_version: of the program that made it.
        batches: label batches that the snapshot was made of, each with `batch`, `source` and `rows`; empty when they
            are unknown.
    """

    folder: str
    files: dict[str, str]
    snapshot: str = ""
    code_version: str = ""
    batches: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class DecisionRecord:
    """Why a model version becomes the current one, or does not.

    Attributes:
        who: the person or the machine that decided.
        why: in words.
        report: of the gate, JSON-serialisable; None where no gate was asked.
    """

    who: str
    why: str
    report: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunSpec:
    """What makes two commands the same run.

    Attributes:
        sources: as the user wrote them.
        fingerprints: one per source; changes when the content of the source changes.
        model: the model version.
        settings: everything else that changes a result (symprec in angstrom, limit, ...), JSON-serialisable.
    """

    sources: tuple[str, ...]
    fingerprints: tuple[str, ...]
    model: ModelVersion
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as the ledger stores it; `resumed` says whether an earlier call opened it."""

    id: int
    state: RunState
    spec: RunSpec
    resumed: bool


@dataclass(frozen=True)
class RejectedInput:
    """An input that gave no crystal or no result."""

    position: int
    source_id: str
    reason: Reason
    detail: str


class LineageOperation(StrEnum):
    """How a crystal was made from its parent."""

    SUBSTITUTION = "substitution"
    STRAIN = "strain"
    VACANCY = "vacancy"
    ANTISITE = "antisite"
    DECORATION = "decoration"
    GENERATION = "generation"


@dataclass(frozen=True)
class Lineage:
    """How an input that was made here was made.

    Attributes:
        parent: content id or source id of the crystal that it was made from, or the name of a structure type; None
            where a generator made it from nothing.
        operation: what was done to the parent.
        detail: JSON text of what exactly, e.g. {"Ti": "Zr"}.
        seed: of the random numbers; None where there are none.
        model: NAME@VERSION of the generator; None where no network made it.
        log_probability: natural logarithm of how probable the source holds it; None where it does not say.
    """

    parent: str | None
    operation: LineageOperation
    detail: str = "{}"
    seed: int | None = None
    model: str | None = None
    log_probability: float | None = None


@dataclass(frozen=True)
class IngestedBlock:
    """The next inputs of one source, in order: accepted crystals and rejected inputs.

    Attributes:
        source: the source's name.
        start, stop: the half-open range of input positions in the source that this block covers; every position is
            either in `positions` or in `rejected`.
        positions: input position of each accepted crystal, shape [n_crystals].
        source_ids: the source's own id of each accepted crystal.
        crystal_ids: content id of each accepted crystal.
        crystals: the accepted crystals, n_crystals of them.
        metadata: JSON text per accepted crystal, or None.
        rejected: the others.
        enantiomorph_ids: content id of each crystal's mirror image, None for an achiral one; empty where not computed.
        buckets: keys under which crystals that may equal each one are found, its own first; empty where not computed.
        prefilter_rows: of each crystal, see models/fingerprint/prefilter.py; not stored; empty where not computed.
        rotations: by row, for crystals whose frame differs from that of the stored crystal of their id: the orthogonal
            matrix from the stored frame into theirs, shape [3, 3].
        lineage: how each accepted crystal was made, None for one that was not made here; empty where none was.
    """

    source: str
    start: int
    stop: int
    positions: NDArray[np.int64]
    source_ids: list[str]
    crystal_ids: list[str]
    crystals: CrystalBatch
    metadata: list[str | None]
    rejected: list[RejectedInput]
    enantiomorph_ids: list[str | None] = field(default_factory=list)
    buckets: list[tuple[str, ...]] = field(default_factory=list)
    prefilter_rows: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    rotations: dict[int, Floats] = field(default_factory=dict)
    lineage: list[Lineage | None] = field(default_factory=list)


@dataclass(frozen=True)
class KnownCrystals:
    """What is needed to find stored crystals, one entry per crystal; the few that are looked at are loaded.

    Attributes:
        ids: content ids.
        enantiomorph_ids: content id of the mirror image, None for an achiral crystal.
        buckets: the key of the bucket that each lies in.
        load: gives the crystals of ids, as stored, in the order asked for.
    """

    ids: list[str]
    enantiomorph_ids: list[str | None]
    buckets: list[str]
    load: Callable[[Sequence[str]], CrystalBatch]

    def crystals(self, places: Iterable[int]) -> CrystalBatch:
        """The crystals at some of the places of these lists, in the order asked for."""
        return self.load([self.ids[place] for place in places])


@dataclass(frozen=True)
class ShardLease:
    """The right to work on one shard: only a holder of the newest `token` may commit it."""

    run_id: int
    shard_id: int
    token: int
    attempt: int
    crystal_ids: list[str]
    crystals: CrystalBatch


@dataclass(frozen=True)
class Refinement:
    """What a potential said about one crystal. Tensors are in the Cartesian frame of the crystal as it is stored.

    Attributes:
        crystal_id: content id of the crystal as it was given.
        potential: NAME@VERSION of the potential.
        columns: values by the names of `models.refinement_quantities.REFINEMENT`, None where unknown.
        relaxed: the relaxed primitive cell, a batch of one.
        strain: from the given to the relaxed cell, Voigt with factors of 2 on shears, shape [6].
        given_stress_gpa: of the crystal as given, negative under pressure, shape [3, 3].
        stiffness_gpa: by the potential alone, with relaxed ions, shape [6, 6].
        stiffness_clamped_gpa: with ions that follow the strain, shape [6, 6].
        modes: at the zone centre by frequency: dicts of frequency_thz, degeneracy, irrep, polar.
        force_constants: in eV/angstrom^2, symmetric, shape [3 n, 3 n], in the order of `relaxed`'s atoms.
        internal_strain: minus d2E/du deta in eV/angstrom, shape [3 n, 6].
        notes: sentences for a reader, such as why a number is missing.
    """

    crystal_id: str
    potential: str
    columns: dict[str, Any]
    relaxed: CrystalBatch
    strain: Floats
    given_stress_gpa: Floats
    stiffness_gpa: Floats
    stiffness_clamped_gpa: Floats
    modes: list[dict[str, Any]]
    force_constants: Floats
    internal_strain: Floats
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ResultBlock:
    """The results of a shard, one row per crystal that has one, and the crystals that have none.

    Attributes:
        crystal_ids: content ids, n_crystals of them.
        columns: spacegroup, point_group, symmetry_ambiguous, ... and the derived columns by name, each [n_crystals].
        tensors: stored components, each [n_crystals, ...shape of the quantity], in the input frame.
        removed_fraction: share of each raw tensor that symmetrization removed, each [n_crystals].
        warnings: JSON text (a list of strings) per crystal.
        quarantined: crystals without a result: (content id, reason, detail). The ledger counts them as rejected when
            the model refused them (an element it never saw), as quarantined when their calculation failed.
        refinements: second opinions about crystals with a result, of a model that is a network with a potential.
        energies: of crystals by a potential in eV per atom, where nothing else was asked; they are in `crystal_ids`.
    """

    crystal_ids: list[str]
    columns: dict[str, NDArray[Any]]
    tensors: dict[Tensor, Floats]
    removed_fraction: dict[Tensor, Floats]
    warnings: list[str]
    quarantined: list[tuple[str, Reason, str]]
    refinements: list[Refinement] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Balance:
    """Where every input of a run ended; `n_in` must equal the sum of the others."""

    n_in: int
    done: int
    duplicate: int
    rejected: int
    quarantined: int
    pending: int

    @property
    def closed(self) -> bool:
        """True when nothing is pending and nothing is lost."""
        return self.pending == 0 and self.n_in == self.done + self.duplicate + self.rejected + self.quarantined


def uncertainty_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """How far the numbers of one result may be off, as prediction records and reports state it.

    Args:
        columns: values by the names of `models.quantities.UNCERTAINTY_COLUMNS`, None where nothing is known.

    Returns:
        `uncertainty`: the ends [lower, upper] of the 90 % interval of every derived number that has one.
        `error_radius`: per tensor, in its unit, the Frobenius distance within which the true tensor is with 90 %;
        None where nothing is known.
    """
    ends = {name: [columns[lower], columns[upper]] for name, (lower, upper) in INTERVALS.items()}
    # Both ends or none: an interval with one end is no interval.
    return {
        "uncertainty": {name: pair for name, pair in ends.items() if None not in pair},
        "error_radius": {tensor.value: columns[row.error_column] for tensor, row in TENSORS.items()},
    }
