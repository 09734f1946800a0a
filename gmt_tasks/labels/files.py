"""Label files -> labelled crystals as flat arrays: full tensors, and invariants where no tensor is known.

A label file is JSON lines (`.jsonl` or `.jsonl.gz`) with `id, lattice, species, frac_coords, split, kind` and the
values of that kind. Files may share crystals: rows with the same cell and positions become one crystal with several
labels, so that a tensor never leaves the frame of the lattice it came with.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Floats, find_invalid
from models.errors import SourceError
from models.quantities import ELASTIC_INVARIANTS, TENSORS, Tensor
from models.symmetry.search import SIGN_FREE_CLASSES, find_symmetry
from models.tensors.frames import FrameError, ieee_rotation, oriented_point_group
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, to_components, voigt_to_piezo

MAX_DIELECTRIC = TENSORS[Tensor.DIELECTRIC_TOTAL].max_training_entry
MAX_PIEZO_C_PER_M2 = TENSORS[Tensor.PIEZOELECTRIC].max_training_entry
MAX_STIFFNESS_GPA = TENSORS[Tensor.ELASTIC].max_training_entry
MAX_MEAN_DIELECTRIC = 200.0
MAX_LABEL_RESIDUAL = 0.2


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
    piezo_singular: Floats
    ieee: Floats

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Indices of the crystals of a split."""
        return np.flatnonzero(self.split == split.value)


class _Collector:
    """Merges rows of several files into crystals with several labels."""

    def __init__(self) -> None:
        self.index: dict[bytes, int] = {}
        self.rows: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any], labels: dict[str, Any]) -> None:
        if not labels:
            return
        shape = np.concatenate([np.ravel(row["lattice"]), np.ravel(row["frac_coords"])])
        key = (np.round(shape, 3) + 0.0).tobytes() + bytes(row["species"])  # + 0.0: -0.0 has other bytes than 0.0
        if key not in self.index:
            self.index[key] = len(self.rows)
            self.rows.append(row)
            self.labels.append({})
        known = self.labels[self.index[key]]
        for name, value in labels.items():
            known.setdefault(name, value)


def read_labels(folder: Path) -> LabelledCrystals:
    """Reads every `*.jsonl[.gz]` of a folder whose rows carry labels.

    Full tensors win over invariants of the same crystal; labels outside the filters of the GMTNet paper (dielectric
    components above 100, piezoelectric above 100 C/m², stiffness above 1500 GPa) are left out, and so are tensors that
    disagree with the crystal's point group by more than 20 %.

    Raises:
        SourceError: no label file there.
    """
    paths = sorted(p for p in folder.glob("*.jsonl*") if p.name.endswith((".jsonl", ".jsonl.gz")))
    if not paths:
        raise SourceError(
            f"No label files (*.jsonl or *.jsonl.gz) in {folder}. Pass the folder that holds them with --data."
        )
    collector = _Collector()
    for path in sorted(paths, key=lambda p: _priority(p.name)):
        for row in _rows(path):
            read = _READERS.get(row.get("kind", ""))
            if read is not None:
                collector.add(row, read(row))
    return _with_piezo_frames(_symmetrized(_assemble(collector)))


def _priority(name: str) -> tuple[int, str]:
    """Files with full tensors first."""
    order = (
        "dielectric.",
        "piezoelectric.",
        "elastic.",
        "elastic_recovered.",
        "dielectric_electronic.",
        "elastic_invariants.",
    )
    return next((k for k, prefix in enumerate(order) if name.startswith(prefix)), len(order)), name


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise SourceError(
                    f"{path.name} line {number} is not JSON ({error.msg}). Correct or remove the line."
                ) from error


def _read_dielectric(row: dict[str, Any]) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for quantity, key in ((Tensor.DIELECTRIC_TOTAL, "tensor"), (Tensor.DIELECTRIC_ELECTRONIC, "tensor_electronic")):
        tensor = row.get(key)
        if tensor is not None and np.abs(tensor).max() < MAX_DIELECTRIC:
            labels |= {quantity: tensor, f"primary {quantity}": True}
    return labels


def _read_electronic(row: dict[str, Any]) -> dict[str, Any]:
    if not row.get("symmetry_consistent", True) or np.max(row["eps_principal"]) > MAX_DIELECTRIC:
        return {}
    labels: dict[str, Any] = {"eps_principal": sorted(row["eps_principal"])}
    if row.get("tensor_electronic") is not None:
        labels[Tensor.DIELECTRIC_ELECTRONIC] = row["tensor_electronic"]
    return labels


def _read_dielectric_scalar(row: dict[str, Any]) -> dict[str, Any]:
    """Either mean may be missing: NaN, as everywhere."""
    values = np.array([row["eps_electronic"], row["eps_total"]], dtype=np.float64)
    values[~(values < MAX_MEAN_DIELECTRIC)] = np.nan
    return {} if np.isnan(values).all() else {"eps_mean": values.tolist()}


def _read_piezo(row: dict[str, Any]) -> dict[str, Any]:
    if np.abs(row["tensor"]).max() > MAX_PIEZO_C_PER_M2:
        return {}
    # as computed, no turn by the IEEE convention in between: the sign is that of the calculation in every class
    direct = row.get("frame", "structure") == "structure"
    proven = direct or (row["frame"] == "ieee_pymatgen" and "point_group" in row)
    tensor = {Tensor.PIEZOELECTRIC: row["tensor"], f"primary {Tensor.PIEZOELECTRIC}": True}
    return tensor | {"proven_frame": proven, "class": "" if direct else row.get("point_group", "")}


def _read_elastic(row: dict[str, Any]) -> dict[str, Any]:
    odd = {"K_conflict", "G_conflict", "negative_LC"} & set(row.get("flags", []))
    if np.abs(row["tensor_voigt"]).max() > MAX_STIFFNESS_GPA or odd:
        return {}
    return {Tensor.ELASTIC: row["tensor_voigt"], f"primary {Tensor.ELASTIC}": not row.get("recovered", False)}


def _read_invariants(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("flags") or not 0 < row["K_Voigt"] < MAX_STIFFNESS_GPA:
        return {}
    return {"elastic": [row[key] for key in _INVARIANT_KEYS]}


def _read_moduli(row: dict[str, Any]) -> dict[str, Any]:
    if not 0 < row["K_vrh"] < MAX_STIFFNESS_GPA or not 0 < row["G_vrh"] < MAX_STIFFNESS_GPA:
        return {}
    known = {"k_vrh": row["K_vrh"], "g_vrh": row["G_vrh"]}
    return {"elastic": [known.get(name, np.nan) for name in ELASTIC_INVARIANTS]}


def _read_piezo_scalar(row: dict[str, Any]) -> dict[str, Any]:
    return {"piezo_singular": [row["e_singular_max_ieee"]]}


_INVARIANT_KEYS = (
    "K_Voigt", "K_Reuss", "K_VRH", "G_Voigt", "G_Reuss", "G_VRH", "Emin", "Emax", "Gmin", "Gmax", "minLC", "maxLC",
)  # fmt: skip
"""Of a file of ELATE runs, in the order of ELASTIC_INVARIANTS; directional values in GPa and 1/TPa."""

_READERS = {
    "dielectric_total": _read_dielectric,
    "dielectric_electronic": _read_electronic,
    "dielectric_scalar_mean": _read_dielectric_scalar,
    "piezo_e_total": _read_piezo,
    "elastic_stiffness": _read_elastic,
    "elastic_invariants": _read_invariants,
    "moduli_vrh": _read_moduli,
    "piezo_scalar": _read_piezo_scalar,
}


def _assemble(collector: _Collector) -> LabelledCrystals:
    rows, labels = collector.rows, collector.labels
    batch = CrystalBatch.from_arrays(
        [np.array(r["lattice"], dtype=np.float64) for r in rows],
        [np.array(r["frac_coords"], dtype=np.float64) for r in rows],
        [np.array(r["species"], dtype=np.int64) for r in rows],
    )
    refused = find_invalid(batch)
    keep = np.array([k for k in range(len(rows)) if k not in refused], dtype=np.int64)
    rows, labels = [rows[k] for k in keep], [labels[k] for k in keep]
    components = {q: _stack_components(q, labels) for q in TENSORS}
    proven = np.array([bool(found.get("proven_frame", False)) for found in labels])
    classes = np.array([found.get("class", "") for found in labels])
    return LabelledCrystals(
        [r["id"] for r in rows],
        batch.select(keep),
        np.array([r["split"] for r in rows]),
        components,
        {q: np.array([bool(found.get(f"primary {q}", False)) for found in labels]) for q in TENSORS},
        ~proven | np.isin(classes, list(SIGN_FREE_CLASSES)),
        proven,
        _stack(labels, "eps_mean", 2),
        _stack(labels, "eps_principal", 3),
        _stack(labels, "elastic", len(ELASTIC_INVARIANTS)),
        _stack(labels, "piezo_singular", 1)[:, 0],
        np.full((len(rows), 3, 3), np.nan),
    )


def _stack(labels: list[dict[str, Any]], name: str, width: int) -> Floats:
    missing = [np.nan] * width
    return np.array([found.get(name, missing) for found in labels], dtype=np.float64).reshape(-1, width)


def _stack_components(quantity: Tensor, labels: list[dict[str, Any]]) -> Floats:
    values = np.full((len(labels), TENSORS[quantity].n_components), np.nan)
    known = [k for k, found in enumerate(labels) if quantity in found]
    if known:
        values[known] = to_components(quantity, np.array([labels[k][quantity] for k in known], dtype=np.float64))
    return values


def _symmetrized(data: LabelledCrystals) -> LabelledCrystals:
    """Projects every tensor label on its crystal's point group; drops those that disagree with it."""
    for quantity, values in data.components.items():
        known = np.flatnonzero(~np.isnan(values[:, 0]))
        symmetry = find_symmetry(data.crystals.select(known), symprec=1e-2)
        settled = np.setdiff1d(np.arange(len(known)), symmetry.failed)
        chosen = known[settled]
        before = values[chosen]
        tensors = from_components(quantity, before)
        after = to_components(quantity, symmetry.select(settled).project(quantity, tensors))
        removed = np.linalg.norm(after - before, axis=1) / np.maximum(np.linalg.norm(before, axis=1), 1e-12)
        values[known] = np.nan
        fits = removed < MAX_LABEL_RESIDUAL
        values[chosen[fits]] = after[fits]
    return data


def _with_piezo_frames(data: LabelledCrystals) -> LabelledCrystals:
    """IEEE frames for the crystals of which only the largest singular value of e is known.

    In -43m and 23 that value is |e14|, the only constant there is: the tensor is known but for its sign.
    """
    rows = np.flatnonzero(~np.isnan(data.piezo_singular))
    symmetry = find_symmetry(data.crystals.select(rows), symprec=1e-2)
    for k, row in enumerate(rows):
        try:
            group = oriented_point_group(int(symmetry.number[k]))
            rotation = ieee_rotation(symmetry.conventional[k].T, group)
        except FrameError:
            data.piezo_singular[row] = np.nan
            continue
        data.ieee[row] = rotation
        if group in {"-43m", "23"} and np.isnan(data.components[Tensor.PIEZOELECTRIC][row, 0]):
            in_ieee = data.piezo_singular[row] * piezo_of_e14(1.0)
            tensor = rotate(Tensor.PIEZOELECTRIC, in_ieee, rotation.T)
            data.components[Tensor.PIEZOELECTRIC][row] = to_components(Tensor.PIEZOELECTRIC, tensor)
            data.piezo_singular[row] = np.nan
    return data


def piezo_of_e14(e14: float) -> Floats:
    """The tensor e of -43m and 23 in the IEEE frame, [3, 3, 3], from e14 = e25 = e36 in C/m²."""
    voigt = np.zeros((3, 6))
    voigt[[0, 1, 2], [3, 4, 5]] = e14
    return voigt_to_piezo(voigt)
