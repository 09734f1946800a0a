"""What the training loop reads: graphs of one atom per orbit and labels as tensors, made once.

Crystals with tensors or their invariants come first, candidates (of which energies and band gaps are known) after them.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.labels.kinds import NUMBER_ARRAYS
from gmt_tasks.training.candidate_columns import read_table
from gmt_tasks.training.computed import read_computed
from gmt_tasks.training.evaluated_formulas import evaluated_formulas, judged_by_start
from gmt_tasks.training.split_table import is_learned
from models.crystals.crystal import CrystalBatch, Floats, Ints, find_invalid
from models.crystals.graph import GraphSpec, NeighborRule, build_graph
from models.gmtnet.card import find_checkpoint
from models.gmtnet.config import CONFIGS
from models.gmtnet.loss import Targets, TypicalNorms
from models.gmtnet.published.mask import published_corrections
from models.gmtnet.training_data.split_table import SplitTable, load_split_table
from models.quantities import TENSORS, Scalar, Tensor
from models.symmetry.orbits import OrbitGraph, join_orbit_graphs, reduce_to_orbits, without_orbits
from models.tensors.rotate import component_rotation
from models.tensors.voigt import from_components, piezo_to_voigt

if TYPE_CHECKING:
    from gmt_tasks.training.config import TrainingConfig

CANDIDATE_POOL = 24_000
"""Candidates that are prepared; more would cost memory and improve the network little."""

MAX_CANDIDATE_ATOMS = 40


@dataclass
class Prepared:
    """Training data as the loop wants it.

    Attributes:
        graph: of all crystals, one atom per orbit.
        targets: their labels, on the CPU.
        atoms: orbits per crystal, the cost of a crystal, [n_crystals].
        labelled: crystals with labels, indices.
        scarce: those with a label that few have (`scarce` in the registry of label kinds), indices.
        new: crystals that the start of the training has not seen, indices.
        candidates: crystals with energies and band gaps only, indices.
        computed: crystals that a potential strained and distorted, indices.
        corrections: the published mask of every crystal by tensor, [n_crystals, n_components, n_components].
    """

    graph: OrbitGraph
    targets: Targets
    atoms: Ints
    labelled: Ints
    scarce: Ints
    new: Ints
    candidates: Ints
    computed: Ints
    corrections: dict[Tensor, torch.Tensor]


def training_rows(data: LabelledCrystals, config: "TrainingConfig") -> Ints:
    """Crystals of the train part that a run learns from."""
    rows = data.rows(Split.TRAIN)
    rows = rows[data.crystals.atoms_per_crystal[rows] <= config.max_atoms]
    if config.limit:
        rows = np.sort(np.random.default_rng(config.seed).permutation(rows)[: config.limit])
    return rows


def label_counts(data: LabelledCrystals, rows: Ints) -> dict[str, int]:
    """How many of the crystals `rows` have a label of each sort: what a training really reads."""
    counts = {q.value: int((~np.isnan(components[rows, 0])).sum()) for q, components in data.components.items()}
    for name in NUMBER_ARRAYS:
        known = ~np.isnan(getattr(data, name)[rows].reshape(len(rows), -1))
        counts[name] = int(known.any(axis=1).sum())
    counts["elastic, another code"] = int((data.elastic_noise[rows] > 0).any(axis=1).sum())
    return counts


def prepare(data: LabelledCrystals, rows: Ints, config: "TrainingConfig") -> Prepared:
    """Graphs and targets of the labelled crystals `rows` and of the candidates of a run."""
    spec = CONFIGS[config.network].graph
    targets, graphs = make_targets(data, rows), orbit_graphs(data.crystals.select(rows), spec)
    table = load_split_table(find_checkpoint(config.start)) if config.start else None
    folder, n_candidates, n_computed = Path(config.data), 0, 0
    held_back = evaluated_formulas(folder, data) if config.candidates or config.computed else set()
    if config.candidates:
        crystals, scalars = _read_candidates(folder / config.candidates, held_back, table)
        graphs += orbit_graphs(crystals, spec)
        targets, n_candidates = _extended(targets, {"scalars": scalars}), crystals.n_crystals
    if config.computed:
        crystals, targets = _with_computed(targets, folder / config.computed, held_back, table)
        graphs += orbit_graphs(crystals, spec)
        n_computed = crystals.n_crystals
    # networks of the published kind are trained behind its mask
    corrections: dict[Tensor, torch.Tensor] = {}
    if spec.rule is NeighborRule.PUBLISHED:
        masks = published_corrections(data.crystals.select(rows), CONFIGS[config.network].tensors)
        corrections = {q: torch.as_tensor(matrices, dtype=torch.float32) for q, matrices in masks.items()}
    graph = join_orbit_graphs(graphs)
    atoms = np.bincount(graph.crystal_of_orbit, minlength=graph.n_crystals)
    arrays = [data.components[quantity][:, 0] for quantity, row in TENSORS.items() if row.few_labels]
    arrays += [getattr(data, array.name).reshape(-1) for array in NUMBER_ARRAYS.values() if array.scarce]
    scarce = np.flatnonzero(np.any([~np.isnan(array[rows]) for array in arrays], axis=0))
    return Prepared(
        graph,
        targets,
        atoms,
        np.arange(len(rows)),
        scarce,
        np.flatnonzero(~is_learned(data, rows, table)),
        np.arange(len(rows), len(rows) + n_candidates),
        np.arange(len(rows) + n_candidates, len(rows) + n_candidates + n_computed),
        corrections,
    )


def select_targets(data: Prepared, rows: Ints, device: str) -> Targets:
    """Labels of the crystals of the given indices."""
    chosen = torch.as_tensor(rows)
    picked = {
        f.name: getattr(data.targets, f.name)[chosen].to(device) for f in fields(Targets) if f.name != "components"
    }
    return Targets(components={q: c[chosen].to(device) for q, c in data.targets.components.items()}, **picked)


def typical_norms(data: LabelledCrystals, rows: Ints) -> TypicalNorms:
    """Median Frobenius norm of the training labels of each quantity, NaN without any.

    Labels below 1e-4 of the largest are left out.
    """
    norms = {}
    for quantity, values in data.components.items():
        sizes = np.linalg.norm(values[rows], axis=1)
        sizes = sizes[~np.isnan(sizes)]
        norms[quantity] = float(np.median(sizes[sizes >= 1e-4 * sizes.max()])) if len(sizes) else np.nan
    return TypicalNorms(norms)


def make_targets(data: LabelledCrystals, rows: Ints) -> Targets:
    """Labels of the given crystals as float32 tensors."""

    def move(array: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(array)[rows], dtype=torch.float32)

    return Targets(
        {q: move(c) for q, c in data.components.items()},
        torch.as_tensor(data.sign_unproven[rows]),
        move(data.eps_mean),
        move(data.eps_principal),
        move(data.elastic),
        move(data.elastic_noise),
        move(data.piezo_singular),
        torch.as_tensor(_maps_to_ieee_voigt(data.ieee[rows]), dtype=torch.float32),
        torch.full((len(rows), len(Scalar)), torch.nan),
        torch.zeros(len(rows)),
    )


def _maps_to_ieee_voigt(rotations: Floats) -> Floats:
    """Maps from components of e to the flat 3x6 Voigt matrix in rotated axes, [n, 18, 18]; 0 where none is known."""
    n = TENSORS[Tensor.PIEZOELECTRIC].n_components
    maps = np.zeros((len(rotations), n, n))
    has_frame = ~np.isnan(rotations[:, 0, 0])
    units = piezo_to_voigt(from_components(Tensor.PIEZOELECTRIC, np.eye(n))).reshape(n, -1)
    if has_frame.any():
        maps[has_frame] = units.T @ component_rotation(Tensor.PIEZOELECTRIC, rotations[has_frame])
    return maps


def orbit_graphs(batch: CrystalBatch, spec: GraphSpec) -> list[OrbitGraph]:
    """Graphs of one atom per orbit, in parts: the edges of all crystals at once would not fit in memory."""
    parts = np.array_split(np.arange(batch.n_crystals), max(1, batch.n_crystals // 256))
    chosen = [batch.select(part) for part in parts]
    reduce = without_orbits if spec.rule is NeighborRule.PUBLISHED else reduce_to_orbits
    return [reduce(some, build_graph(some, spec)) for some in chosen]


def _read_candidates(path: Path, held_back: set[str], start: SplitTable | None = None) -> tuple[CrystalBatch, Floats]:
    """A fixed random part of the candidates, without compositions that models are judged by, and their scalars [n, 5].

    Args:
        path: of the table of candidates.
        held_back: formulas of those compositions: they would leak what is predicted beside their tensors.
        start: split of the model that the training starts from; None without one.
    """
    batch, columns = read_table(path, ("e_form", "band_gap"))
    gap, energy = columns["band_gap"], columns["e_form"]
    # How wide a gap is, is learned from crystals that have one: zeros, four labels of five, would halve the wide ones.
    width = np.where(gap > 0.0, gap, np.nan)
    scalars = np.full((batch.n_crystals, len(Scalar)), np.nan)
    scalars[:, :3] = np.stack([width, np.where(np.isnan(gap), np.nan, gap <= 0.0), energy], axis=1)
    usable = ~np.isnan(scalars).all(axis=1) & usable_candidates(batch, held_back, start)
    rows = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(usable))[:CANDIDATE_POOL])
    return batch.select(rows), scalars[rows]


def usable_candidates(batch: CrystalBatch, held_back: set[str], start: SplitTable | None) -> NDArray[np.bool_]:
    """Candidates that are valid, not too large, and of no composition that models are judged by, [n_crystals]."""
    formulas = batch.formulas()
    usable = batch.atoms_per_crystal <= MAX_CANDIDATE_ATOMS
    usable &= ~np.isin(formulas, sorted(held_back | judged_by_start(formulas, start)))
    usable[list(find_invalid(batch))] = False
    return usable


def prepare_answered(data: LabelledCrystals, rows: Ints, crystals: CrystalBatch, config: "TrainingConfig") -> Prepared:
    """Graphs of crystals that an ensemble answers for, and the labels of the first of them.

    Args:
        data: labelled crystals.
        rows: of its train part, in order the first of `crystals`.
        crystals: these and others without labels.
        config: of the run.
    """
    n_others = crystals.n_crystals - len(rows)
    targets = _extended(make_targets(data, rows), {"scalars": np.full((n_others, len(Scalar)), np.nan)})
    graph = join_orbit_graphs(orbit_graphs(crystals, CONFIGS[config.network].graph))
    few = [data.components[quantity][rows, 0] for quantity, row in TENSORS.items() if row.few_labels]
    return Prepared(
        graph,
        targets,
        np.bincount(graph.crystal_of_orbit, minlength=graph.n_crystals),
        np.arange(len(rows)),
        np.flatnonzero(np.any([~np.isnan(labels) for labels in few], axis=0)),
        np.zeros(0, dtype=np.int64),
        np.arange(len(rows), crystals.n_crystals),
        np.zeros(0, dtype=np.int64),
        {},
    )


def _with_computed(
    targets: Targets, path: Path, held_back: set[str], start: SplitTable | None
) -> tuple[CrystalBatch, Targets]:
    """Computed crystals, and the targets followed by theirs; which of the others were relaxed is known then too.

    Args:
        targets: of the crystals before them.
        path: of the file of computed crystals.
        held_back: formulas that nothing may be learned of.
        start: split of the model that the training starts from; None without one.
    """
    computed = read_computed(path)
    formulas = computed.crystals.formulas()
    allowed = ~np.isin(formulas, sorted(held_back | judged_by_start(formulas, start)))
    computed = computed.select(np.flatnonzero(allowed))
    # Crystals of which DFT computed a stiffness were relaxed. Others were too, but so many zeros would drown what says
    # how crystals are off; and with no distorted crystals beside them zeros would say that all are relaxed.
    scalars = targets.scalars.clone()
    has_stiffness = ~torch.isnan(targets.components[Tensor.ELASTIC]).any(dim=1)
    for scalar in (Scalar.EXPANSION, Scalar.DISTORTION):
        scalars[has_stiffness, list(Scalar).index(scalar)] = 0.0
    known = {"scalars": computed.scalars, "stiffness_noise": computed.relative_noise}
    stiffness = {Tensor.ELASTIC: computed.stiffness}
    return computed.crystals, _extended(replace(targets, scalars=scalars), known, stiffness)


def _extended(targets: Targets, arrays: dict[str, Floats], components: dict[Tensor, Floats] | None = None) -> Targets:
    """Targets followed by those of crystals of which only these arrays [n, ...] and components [n, ...] are known."""
    n = len(next(iter(arrays.values())))

    def extend(labels: torch.Tensor, known: Floats | None) -> torch.Tensor:
        # flags and maps have no NaN; where no label is they are not read
        empty = 0.0 if labels.dtype is torch.bool or labels.ndim == 3 else torch.nan
        added = labels.new_full((n, *labels.shape[1:]), empty)
        return torch.cat([labels, added if known is None else torch.as_tensor(known, dtype=labels.dtype)])

    arrays = {"stiffness_noise": np.zeros(n)} | arrays
    given = {} if components is None else components
    extended = {f.name: extend(getattr(targets, f.name), arrays.get(f.name)) for f in fields(Targets)[1:]}
    return replace(targets, components={q: extend(c, given.get(q)) for q, c in targets.components.items()}, **extended)
