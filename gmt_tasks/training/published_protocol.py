"""The protocol of the GMTNet paper: its filters and its split of the JARVIS tensor files, as labelled crystals.

Each tensor is a data set of its own: the records that carry it, in file order, filtered, shuffled with seed 32; the
first 80 % train, of the rest the last 10 % test and the 10 % before them val. A crystal can be in the training part of
one tensor and in the test part of another, so every record gives one labelled row per tensor and a network that is to
be compared strictly is trained on one tensor at a time.

Filters: dielectric entries below 100; piezoelectric entries below 100 C/m², zero tensors leave the training part only;
elastic entries below 1500 GPa, none of the entries that the point group forbids above 1e-4 GPa, these then set to 0.

The published code preprocesses the elastic file in eight interleaved parts and does not say in which order they were
joined; here they stand in file order, so the elastic split may differ from the one behind the published figures.

Source: Yan et al., arXiv:2406.12888, and its code (divelab/AIRS, OpenMat/GMTNet: data.py, utils.py, train.py).
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.sources.remote.jarvis_tensors import JarvisTensors, has_jarvis_tensors, read_jarvis_tensors
from models.crystals.crystal import CrystalBatch, Floats, Ints, find_invalid
from models.errors import SourceError
from models.gmtnet.published.mask import PUBLISHED_SYMPREC, ideal_entries, published_entries
from models.quantities import ELASTIC_INVARIANTS, TENSORS, Tensor
from models.symmetry.operations import listed_operations
from models.tensors.voigt import reorder_vasp_voigt, to_components

Bools = NDArray[np.bool_]

PUBLISHED_SEED = 32
MAX_FORBIDDEN = {Tensor.ELASTIC: 1e-4}
"""Largest entry, in the unit of the tensor, that may stand where the point group allows none; it is then set to 0."""
ZERO_PIEZO_C_PER_M2 = 1e-5
LARGEST_ZERO = {Tensor.PIEZOELECTRIC: ZERO_PIEZO_C_PER_M2}
"""Norm up to which the published code takes a tensor for zero, in its unit."""

_FORBIDDEN = 1.0  # an ideal entry below this is forbidden
_SHARES = {Split.TRAIN: 0.8, Split.VAL: 0.1, Split.TEST: 0.1}


@dataclass(frozen=True)
class PublishedCounts:
    """What became of the records of one tensor.

    Attributes:
        records: with the tensor.
        filtered: left out by the published filters.
        train, val, test: rows of the split.
        refused: rows of these whose crystal we do not calculate with (see `models.crystals.crystal.find_invalid`).
    """

    records: int
    filtered: int
    train: int
    val: int
    test: int
    refused: int


@dataclass(frozen=True)
class PublishedLabels:
    """The data sets of the protocol.

    Attributes:
        labels: one row per record and tensor.
        counts: per tensor.
    """

    labels: LabelledCrystals
    counts: dict[Tensor, PublishedCounts]


@dataclass(frozen=True)
class _Part:
    """The data set of one tensor."""

    ids: list[str]
    crystals: CrystalBatch
    tensors: Floats
    split: NDArray[np.str_]


def read_published(folder: Path) -> PublishedLabels:
    """Reads the JARVIS tensor files of a folder and applies the published filters and split.

    Raises:
        SourceError: see `read_jarvis_tensors`; or a tensor has fewer than 10 records, too few for the split.
    """
    parts: dict[Tensor, _Part] = {}
    counts: dict[Tensor, PublishedCounts] = {}
    for quantity, records in read_jarvis_tensors(folder).items():
        parts[quantity], counts[quantity] = _data_set(quantity, records)
    return PublishedLabels(_labelled(parts), counts)


def read_labels_or_published(folder: Path) -> LabelledCrystals:
    """Labels to train on: by the paper's protocol where a folder has the JARVIS files, else our label files."""
    return read_published(folder).labels if has_jarvis_tensors(folder) else read_labels(folder)


def labelled_tensors(labels: LabelledCrystals) -> tuple[Tensor, ...]:
    """The tensors that some training row has: what a network can be trained on, in the order of `TENSORS`."""
    rows = labels.rows(Split.TRAIN)
    return tuple(q for q in TENSORS if not np.isnan(labels.components[q][rows, 0]).all())


def published_split(n_records: int) -> NDArray[np.str_]:
    """The part of every record of a filtered list, [n_records]; "" for the few that rounding leaves over.

    Raises:
        SourceError: fewer than 10 records: val and test would be empty.
    """
    sizes = {split: int(share * n_records) for split, share in _SHARES.items()}
    if not all(sizes.values()):
        raise SourceError(
            f"{n_records} records pass the published filters; the published split needs at least 10. Give the whole "
            "file."
        )
    # Python's shuffle with that seed, as published: numpy's gives another order
    order = list(range(n_records))
    random.Random(PUBLISHED_SEED).shuffle(order)
    split = np.full(n_records, "", dtype="<U5")
    split[order[: sizes[Split.TRAIN]]] = Split.TRAIN.value
    split[order[-(sizes[Split.VAL] + sizes[Split.TEST]) : -sizes[Split.TEST]]] = Split.VAL.value
    split[order[-sizes[Split.TEST] :]] = Split.TEST.value
    return split


def published_filter(quantity: Tensor, records: JarvisTensors) -> tuple[Ints, Floats]:
    """The records that pass the published filters, ascending, and their tensors with forbidden entries set to 0."""
    axes = tuple(range(1, records.tensors.ndim))
    small = np.flatnonzero(np.abs(records.tensors).max(axis=axes, initial=0.0) < TENSORS[quantity].max_training_entry)
    tensors = records.tensors[small]
    if quantity not in MAX_FORBIDDEN:
        return small, tensors
    forbidden = forbidden_entries(quantity, records.crystals.select(small))
    entries = published_entries(quantity, tensors)
    allowed = np.where(forbidden, 0.0, entries)
    clean = np.abs(entries - allowed).max(axis=1, initial=0.0) < MAX_FORBIDDEN[quantity]
    matrices = reorder_vasp_voigt(allowed.reshape(-1, 6, 6), n_voigt_axes=2)
    return small[clean], matrices[clean]


def forbidden_entries(quantity: Tensor, crystals: CrystalBatch) -> Bools:
    """Entries that the point group forbids in the published sense, in the order of `published_entries`."""
    return np.abs(ideal_entries(quantity, listed_operations(crystals, PUBLISHED_SYMPREC))) < _FORBIDDEN


def _data_set(quantity: Tensor, records: JarvisTensors) -> tuple[_Part, PublishedCounts]:
    kept, tensors = published_filter(quantity, records)
    crystals = records.crystals.select(kept)
    split = published_split(len(kept))
    if quantity in LARGEST_ZERO:
        zero = np.linalg.norm(published_entries(quantity, tensors), axis=1) <= LARGEST_ZERO[quantity]
        split[zero & (split == Split.TRAIN.value)] = ""
    # the split is made before crystals are refused, so that it is the published one
    used = np.flatnonzero(split != "")
    refused = find_invalid(crystals.select(used))
    good = np.array([row for k, row in enumerate(used) if k not in refused], dtype=np.int64)
    train, val, test = (int((split == part.value).sum()) for part in Split)
    counts = PublishedCounts(len(records.ids), len(records.ids) - len(kept), train, val, test, len(refused))
    part = _Part([records.ids[kept[row]] for row in good], crystals.select(good), tensors[good], split[good])
    return part, counts


def _labelled(parts: dict[Tensor, _Part]) -> LabelledCrystals:
    """All data sets one after the other; frames and signs are proven, since tensors and cells come from one run."""
    sizes = [len(part.ids) for part in parts.values()]
    n_rows, starts = sum(sizes), dict(zip(parts, np.cumsum([0, *sizes]), strict=False))
    components = {q: np.full((n_rows, TENSORS[q].n_components), np.nan) for q in TENSORS}
    for quantity, part in parts.items():
        rows = slice(starts[quantity], starts[quantity] + len(part.ids))
        components[quantity][rows] = to_components(quantity, part.tensors)
    labelled = {q: ~np.isnan(values[:, 0]) for q, values in components.items()}
    return LabelledCrystals(
        ids=[name for part in parts.values() for name in part.ids],
        crystals=CrystalBatch.join(part.crystals for part in parts.values()),
        split=np.concatenate([part.split for part in parts.values()]),
        components=components,
        primary=labelled,
        sign_unproven=np.zeros(n_rows, dtype=bool),
        proven_frame=labelled[Tensor.PIEZOELECTRIC],
        eps_mean=np.full((n_rows, 2), np.nan),
        eps_principal=np.full((n_rows, 3), np.nan),
        elastic=np.full((n_rows, len(ELASTIC_INVARIANTS)), np.nan),
        elastic_noise=np.zeros((n_rows, len(ELASTIC_INVARIANTS))),
        piezo_singular=np.full(n_rows, np.nan),
        ieee=np.full((n_rows, 3, 3), np.nan),
    )
