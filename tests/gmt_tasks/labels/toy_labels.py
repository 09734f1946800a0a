"""Label rows whose truth is known: tensors of the toy model for small random crystals of many classes."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.crystals.crystal import Crystal, CrystalBatch
from models.quantities import TENSORS, Tensor
from models.reference.crystals import CRYSTAL_CLASSES, class_operations, random_crystal
from models.symmetry.search import find_symmetry
from models.testing.contract import ToyTensorModel
from tests.gmt_tasks.labels.planted_faults import nearest_contact

Row = dict[str, Any]

FILES = {"dielectric_total": "dielectric", "piezo_e_total": "piezoelectric", "elastic_stiffness": "elastic"}
CONTACTS = (0.62, 1.4)
SMALL_CLASSES = tuple(name for name in CRYSTAL_CLASSES if len(class_operations(name)) <= 4)


@cache
def toy_crystals(n_rounds: int = 12, seed: int = 7) -> CrystalBatch:
    """Crystals of the small classes, up to 8 atoms, some of each class, in other cells and of other elements."""
    rng = np.random.default_rng(seed)
    return CrystalBatch.join(roomy(random_crystal(name, rng)) for _ in range(n_rounds) for name in SMALL_CLASSES)


def roomy(crystal: Crystal) -> CrystalBatch:
    """A made-up crystal with a cell in which its atoms are neither too close nor too far apart for their elements."""
    # elements are drawn after the cell
    contact = nearest_contact(crystal.lattice, crystal.frac_coords, crystal.numbers)
    lattice = crystal.lattice * np.clip(contact, *CONTACTS) / contact
    return replace(crystal, lattice=lattice).as_batch()


def split_of(formula: str) -> str:
    """Train, val or test by formula: a third each."""
    return ("test", "val", "train")[sum(formula.encode()) % 3]


@cache
def toy_rows(n_rounds: int = 12, seed: int = 7) -> tuple[str, ...]:
    """JSON lines of three kinds of labels of every toy crystal, exactly symmetric."""
    batch = toy_crystals(n_rounds, seed)
    symmetry = find_symmetry(batch)
    raw = ToyTensorModel().predict(batch)
    tensors = {q: symmetry.project(q, t.reshape(-1, batch.n_crystals, *TENSORS[q].shape)[0]) for q, t in raw.items()}
    lines = []
    for k, formula in enumerate(batch.formulas()):
        one = batch.select([k])
        shape = {"lattice": one.lattice[0].tolist(), "frac_coords": one.frac_coords.tolist()}
        row = {"id": f"toy-{seed}-{k}", "source": "toy", "formula": formula, "species": one.numbers.tolist()} | shape
        row |= {"split": split_of(formula), "frame": "input"}
        found = {q: t[k].tolist() for q, t in tensors.items()}
        both = {"tensor": found[Tensor.DIELECTRIC_TOTAL], "tensor_electronic": found[Tensor.DIELECTRIC_ELECTRONIC]}
        lines.append(row | {"kind": "dielectric_total", "unit": "relative"} | both)
        lines.append(row | {"kind": "elastic_stiffness", "unit": "GPa", "tensor_voigt": found[Tensor.ELASTIC]})
        if symmetry.piezo_allowed[k]:
            facts = {"frame": "ieee_pymatgen", "point_group": symmetry.point_group[k], "unit": "C/m^2"}
            lines.append(row | facts | {"kind": "piezo_e_total", "tensor": found[Tensor.PIEZOELECTRIC]})
    return tuple(json.dumps(line) for line in lines)


def good_rows(n_rounds: int = 12, seed: int = 7) -> list[Row]:
    """Fresh copies of the rows, to be changed at will."""
    return [json.loads(line) for line in toy_rows(n_rounds, seed)]


def write_rows(folder: Path, rows: Iterable[Row]) -> Path:
    """Label files of these rows, one per kind."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {}
    for row in rows:
        lines.setdefault(FILES[row["kind"]], []).append(json.dumps(row))
    for name, found in lines.items():
        (folder / f"{name}.jsonl").write_text("\n".join(found) + "\n", encoding="utf-8")
    return folder


def changed(rows: Iterable[Row], change: Callable[[Row], Row]) -> list[Row]:
    """Every row after a change."""
    return [change(row) for row in rows]
