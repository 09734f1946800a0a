"""Label files -> labelled crystals as flat arrays: full tensors, and invariants where no tensor is known.

A label file is JSON lines (`.jsonl` or `.jsonl.gz`) with `id, lattice, species, frac_coords, split, kind` and the
values of that kind. Files may share crystals: rows with the same cell and positions become one crystal with several
labels, so that a tensor never leaves the frame of the lattice it came with.

A snapshot is read once: its arrays are kept in a file beside it, under a digest of its label files and of the program
that read them.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.checks.symmetry import projected
from gmt_tasks.labels.kinds import KINDS, NUMBER_ARRAYS, TENSOR_VALUES, read_accepted_label
from gmt_tasks.labels.label_kind import ReadLabel, RefusedRowError, TensorValue
from gmt_tasks.sources.row_errors import error_text
from models.crystals.crystal import CrystalBatch, Floats, find_invalid
from models.errors import SourceError
from models.quantities import TENSORS, Tensor
from models.symmetry.search import SIGN_FREE_CLASSES, find_symmetry
from models.tensors.frames import FrameError, ieee_rotation, oriented_point_group
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, to_components

SNAPSHOT_FACTS = "snapshot.json"
"""File that makes a folder of label files a snapshot, which never changes."""

MOST_FAULTS = 5
"""Kinds of faults of a file that are named, the most frequent first."""

SYMPREC_ANGSTROM = 1e-2
"""Tolerance of the symmetry search, that of the check."""


class Split(StrEnum):
    """Part of the data, by reduced formula, the same in every file."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True)
class LabelledCrystals:
    """Crystals with the labels that are known; NaN where one is missing.

    Attributes:
        ids: id of the first row that brought the crystal.
        crystals: n_crystals of them.
        split: "train", "val" or "test", [n_crystals].
        components: orthonormal components per quantity in its unit, symmetrized, [n_crystals, n_components].
        primary: the tensor comes from a file of full DFT tensors, not from recovered or optical data; the published
            baselines are for these. Per quantity, [n_crystals].
        sign_unproven: the overall sign of the piezoelectric label is not proven, [n_crystals].
        proven_frame: the piezoelectric label's frame is proven, [n_crystals].
        eps_mean: mean dielectric constant (electronic, total), [n_crystals, 2].
        eps_principal: ascending eigenvalues of the electronic dielectric tensor, [n_crystals, 3].
        elastic: moduli and directional extremes (ELASTIC_INVARIANTS), [n_crystals, 12].
        elastic_noise: relative standard deviation of those that models are not judged by, 0 for all others,
            [n_crystals, 12].
        piezo_singular: largest singular value of the 3x6 Voigt matrix of e in the IEEE frame, C/m², [n_crystals].
        ieee: rotation to the IEEE frame where piezo_singular is known, [n_crystals, 3, 3].
    """

    ids: list[str]
    crystals: CrystalBatch
    split: NDArray[np.str_]
    components: dict[Tensor, Floats]
    primary: dict[Tensor, NDArray[np.bool_]]
    sign_unproven: NDArray[np.bool_]
    proven_frame: NDArray[np.bool_]
    eps_mean: Floats
    eps_principal: Floats
    elastic: Floats
    elastic_noise: Floats
    piezo_singular: Floats
    ieee: Floats

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Indices of the crystals of a split."""
        return np.flatnonzero(self.split == split.value)


@dataclass(frozen=True)
class _LabelledCrystal:
    """A crystal as the first row brought it, and what its labels hold, by tensor or array; the first of each counts."""

    first: ReadLabel
    labels: dict[str, Any]


def read_labels(folder: Path) -> LabelledCrystals:
    """Reads every `*.jsonl[.gz]` of a folder whose rows are labels.

    Full tensors win over invariants of the same crystal; labels outside the filters of the GMTNet paper (dielectric
    components above 100, piezoelectric above 100 C/m², stiffness above 1500 GPa) are left out, and so are tensors that
    disagree with the crystal's point group by more than the limit of the check. The arrays of a snapshot are kept, so
    that a retraining reads its files once.

    Raises:
        SourceError: no label file there, or rows of another kind or with other keys than known ones; it counts them.
    """
    paths = [p for p in folder.glob("*.jsonl*") if p.name.endswith((".jsonl", ".jsonl.gz"))]
    if not paths:
        raise SourceError(
            f"No label files (*.jsonl or *.jsonl.gz) in {folder}. Pass the folder that holds them with --data."
        )
    if not (folder / SNAPSHOT_FACTS).exists():
        return _read_files(paths)
    kept, digest = folder.with_name(f"{folder.name}-arrays.npz"), _digest(paths)
    labels = _load_arrays(kept, digest)
    if labels is None:
        labels = _read_files(paths)
        _save_arrays(labels, kept, digest)
    return labels


def _digest(paths: Sequence[Path]) -> str:
    """Of label files and of everything that turns them into arrays: programs and libraries."""
    package = Path(__file__).parent
    digest = sha256(repr([version(name) for name in ("moyopy", "spglib", "numpy")]).encode())
    for folder in (package, package.parents[1] / "models"):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.read_bytes())
    for path in sorted(paths):
        digest.update(path.name.encode() + sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _save_arrays(labels: LabelledCrystals, path: Path, digest: str) -> None:
    """Keeps the arrays in a file that appears whole or, on storage that cannot be written to, not at all."""
    arrays: dict[str, Any] = {"digest": np.array(digest), "ids": np.array(labels.ids)}
    arrays |= {f"crystals.{field.name}": getattr(labels.crystals, field.name) for field in fields(CrystalBatch)}
    for field in fields(LabelledCrystals):
        value = getattr(labels, field.name)
        if isinstance(value, dict):
            arrays |= {f"{field.name}.{quantity.value}": array for quantity, array in value.items()}
        elif isinstance(value, np.ndarray):
            arrays[field.name] = value
    part = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()


def _load_arrays(path: Path, digest: str) -> LabelledCrystals | None:
    """The arrays that were kept; None where there are none, or those of other files or of another program."""
    try:
        with np.load(path) as archive:
            if str(archive["digest"]) != digest:
                return None
            arrays = dict(archive)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # not there, or damaged: read anew
        return None
    picked: dict[str, Any] = {
        "ids": arrays["ids"].tolist(),
        "crystals": CrystalBatch(**{field.name: arrays[f"crystals.{field.name}"] for field in fields(CrystalBatch)}),
    }
    for field in fields(LabelledCrystals):
        if field.name in arrays:
            picked.setdefault(field.name, arrays[field.name])
    for name in ("components", "primary"):
        picked[name] = {quantity: arrays[f"{name}.{quantity.value}"] for quantity in TENSORS}
    return LabelledCrystals(**picked)


def _read_files(paths: Sequence[Path]) -> LabelledCrystals:
    kinds = KINDS.values()
    # files with full tensors first: the first label of a crystal counts
    stems = [kind.file for kind in kinds if kind.primary]
    stems += [f"{kind.file}_recovered" for kind in kinds if kind.primary]
    stems += [kind.file for kind in kinds if not kind.primary]
    order = {stem: place for place, stem in enumerate(stems)}
    ranks = {kind.name: rank for rank, kind in enumerate(kinds)}
    crystals: dict[bytes, _LabelledCrystal] = {}
    for path in sorted(paths, key=lambda p: (order.get(p.name.partition(".")[0], len(order)), p.name)):
        for label in sorted(_labels_of(path), key=lambda label: ranks[label.kind.name]):
            values = _trained_values(label)
            if not values:
                continue
            crystal = crystals.setdefault(cell_key(label), _LabelledCrystal(label, {}))
            for name, value in values.items():
                crystal.labels.setdefault(name, value)
    return _with_ieee_frames(_symmetrized(_assembled(list(crystals.values()))))


def cell_key(label: ReadLabel) -> bytes:
    """By which rows are found to share a cell: what is the same after rounding has the same bytes."""
    places = np.round(label.frac_coords, 3) % 1.0
    # + 0.0 after the rounding: -0.0 has other bytes than 0.0, and -1e-9 becomes it
    cell = np.concatenate([np.round(label.lattice, 3).ravel(), places.ravel()]) + 0.0
    return cell.tobytes() + label.numbers.tobytes()


def _labels_of(path: Path) -> list[ReadLabel]:
    """The rows of a label file; those that are no labels are counted, and none of them is passed over."""
    labels: list[ReadLabel] = []
    refused: defaultdict[str, list[int]] = defaultdict(list)
    number = 0
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                labels.append(read_accepted_label(json.loads(line)))
            except json.JSONDecodeError as error:
                raise SourceError(
                    f"{path.name} line {number} is not JSON ({error.msg}). Correct or remove the line."
                ) from error
            except RefusedRowError as error:
                refused[str(error)].append(number)
            except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
                raise SourceError(
                    f"{path.name} line {number} is no label ({error_text(error)}). Correct or remove the line."
                ) from error
    if refused:
        n_refused = sum(map(len, refused.values()))
        frequent = sorted(refused.items(), key=lambda item: -len(item[1]))[:MOST_FAULTS]
        named = "; ".join(f"{len(places):,} from line {places[0]} on: {text}" for text, places in frequent)
        raise SourceError(f"{path.name}: {n_refused:,} of {number:,} rows are no labels that are known here. {named}")
    return labels


def _trained_values(label: ReadLabel) -> dict[str, Any]:
    """What training takes of a row, by tensor or array; nothing where one of its required values is left out."""
    kind, row = label.kind, label.row
    if kind.doubtful(row):
        return {}
    trained: dict[str, Any] = {}
    for value in kind.values:
        entries = label.values.get(value.key)
        if entries is None:
            continue
        if not value.is_trained(entries):
            if value.key in kind.optional:
                continue
            return {}
        if isinstance(value, TensorValue):
            trained[value.tensor] = entries
            trained[f"primary {value.tensor}"] = kind.primary and not row.get("recovered", False)
            if value.is_odd:
                # as computed, no IEEE convention in between: the sign is that of the calculation in every class
                is_direct = row.get("frame", "structure") == "structure"
                trained["proven_frame"] = is_direct or (row["frame"] == "ieee_pymatgen" and "point_group" in row)
                trained["class"] = "" if is_direct else row.get("point_group", "")
        else:
            array = trained.setdefault(value.array.name, np.full(value.array.width, np.nan))
            array[list(value.columns)] = np.sort(entries)
            noise = trained.setdefault(f"{value.array.name}_noise", np.zeros(value.array.width))
            noise[list(value.columns)] = value.noise
    return trained


def _assembled(crystals: Sequence[_LabelledCrystal]) -> LabelledCrystals:
    """The labels of the crystals that can be computed with, side by side."""
    batch = CrystalBatch.from_arrays(
        [crystal.first.lattice for crystal in crystals],
        [crystal.first.frac_coords for crystal in crystals],
        [crystal.first.numbers for crystal in crystals],
    )
    refused = find_invalid(batch)
    keep = np.array([k for k in range(len(crystals)) if k not in refused], dtype=np.int64)
    rows, labels = [crystals[k].first.row for k in keep], [crystals[k].labels for k in keep]
    proven = np.array([label.get("proven_frame", False) for label in labels], dtype=np.bool_)
    classes = np.array([label.get("class", "") for label in labels], dtype=np.str_)
    numbers = {name: _stacked(labels, name, (array.width,)) for name, array in NUMBER_ARRAYS.items()}
    numbers["piezo_singular"] = numbers["piezo_singular"][:, 0]
    numbers["elastic_noise"] = np.nan_to_num(_stacked(labels, "elastic_noise", (NUMBER_ARRAYS["elastic"].width,)))
    return LabelledCrystals(
        ids=[row["id"] for row in rows],
        crystals=batch.select(keep),
        split=np.array([row["split"] for row in rows]),
        components={q: to_components(q, _stacked(labels, q, tensor.shape)) for q, tensor in TENSORS.items()},
        primary={q: _stacked(labels, f"primary {q}", ()) == 1 for q in TENSORS},
        sign_unproven=~proven | np.isin(classes, list(SIGN_FREE_CLASSES)),
        proven_frame=proven,
        ieee=np.full((len(rows), 3, 3), np.nan),
        **numbers,
    )


def _stacked(labels: Sequence[dict[str, Any]], name: str, shape: tuple[int, ...]) -> Floats:
    """One value of every crystal, [n_crystals, *shape], NaN where it is not known."""
    missing = np.full(shape, np.nan)
    return np.array([label.get(name, missing) for label in labels], dtype=np.float64).reshape(-1, *shape)


def _symmetrized(data: LabelledCrystals) -> LabelledCrystals:
    """Projects every tensor label on its crystal's point group; drops those that disagree with it."""
    for quantity, value in TENSOR_VALUES.items():
        components = data.components[quantity]
        labelled = np.flatnonzero(~np.isnan(components[:, 0]))
        symmetry = find_symmetry(data.crystals.select(labelled), SYMPREC_ANGSTROM)
        with_group = np.setdiff1d(np.arange(len(labelled)), symmetry.failed)
        rows = labelled[with_group]
        tensors = from_components(quantity, components[rows])
        allowed, residual = projected(value, tensors, symmetry.select(with_group))
        components[labelled] = np.nan
        fits = residual < value.residual_limit
        components[rows[fits]] = allowed[fits]
    return data


def _with_ieee_frames(data: LabelledCrystals) -> LabelledCrystals:
    """IEEE frames of the crystals of which only a number in that frame is known, and the tensors that it determines."""
    for name, array in NUMBER_ARRAYS.items():
        if array.tensor is None or array.ieee_tensor is None:
            continue
        numbers: Floats = getattr(data, name)
        rows = np.flatnonzero(~np.isnan(numbers))
        symmetry = find_symmetry(data.crystals.select(rows), SYMPREC_ANGSTROM)
        for k, row in enumerate(rows):
            try:
                group = oriented_point_group(int(symmetry.number[k]))
                rotation = ieee_rotation(symmetry.conventional[k].T, group)
            except FrameError:  # the number cannot be compared with anything
                numbers[row] = np.nan
                continue
            data.ieee[row] = rotation
            in_ieee = array.ieee_tensor(numbers[row], group)
            components = data.components[array.tensor]
            if in_ieee is not None and np.isnan(components[row, 0]):
                components[row] = to_components(array.tensor, rotate(array.tensor, in_ieee, rotation.T))
                numbers[row] = np.nan
    return data
