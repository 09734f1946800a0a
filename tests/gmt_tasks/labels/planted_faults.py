"""Label rows that are right by construction, and the faults that are planted in label batches.

Each fault takes good rows and gives the faulty batch. The good rows are random crystals of classes whose
symmetry can tell a wrong frame and a wrong Voigt order, with tensors projected on the operations that the crystals were
made with: no symmetry search of ours takes part.
"""

import copy
import json
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.checks.unit_checks import Sizes
from gmt_tasks.labels.kinds import KINDS, read_label
from models.crystals.crystal import SYMBOLS, Crystal, CrystalBatch
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.quantities import Tensor
from models.reference.crystals import class_operations, random_crystal, random_orthogonal
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, mandel_to_stiffness_voigt, piezo_to_voigt, voigt_to_piezo

Floats = NDArray[np.float64]
Row = dict[str, Any]

CLASSES = ("4", "-4", "3", "32", "3m", "6", "6mm", "-6", "-42m", "4mm")
NOT_PIEZOELECTRIC = ("4", "6")
_TO_VASP = [0, 1, 2, 5, 3, 4]
_METALS = [z for z in (*range(21, 31), *range(39, 49), *range(57, 80)) if z not in (43, 61)]
_NONMETALS = (5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 52, 53)


def good_rows(n: int = 40, seed: int = 0, kind: str = "elastic_stiffness", split: str | None = None) -> list[Row]:
    """Right labels of n different crystals, each of a formula of its own."""
    rng = np.random.default_rng(seed)
    return [_good_row(CLASSES[k % len(CLASSES)], _pair(seed, k), rng, kind, split) for k in range(n)]


@cache
def _crystal(crystal_class: str) -> Crystal:
    return random_crystal(crystal_class, np.random.default_rng(4))


def _pair(seed: int, k: int) -> tuple[int, int]:
    """Two elements, another pair for every row and seed."""
    place = seed * 97 + k
    return _METALS[place % len(_METALS)], _NONMETALS[(place // len(_METALS)) % len(_NONMETALS)]


def _good_row(crystal_class: str, pair: tuple[int, int], rng: np.random.Generator, kind: str, split: str | None) -> Row:
    crystal = _crystal(crystal_class)
    numbers = np.where(crystal.numbers == crystal.numbers[0], pair[0], pair[1])
    scale = rng.uniform(0.95, 1.05) / nearest_contact(crystal.lattice, crystal.frac_coords, numbers)
    lattice = crystal.lattice * scale @ random_orthogonal(rng)
    columns = lattice.T
    operations = columns @ class_operations(crystal_class) @ np.linalg.inv(columns)
    name = sha256(f"{pair}{lattice}".encode()).hexdigest()[:8]
    row: Row = {
        "id": f"good-{name}",
        "source": "computed with care",
        "formula": "".join(f"{SYMBOLS[z]}{(numbers == z).sum()}" for z in pair),
        "lattice": lattice.tolist(),
        "species": numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
        "kind": kind,
        "unit": KINDS[kind].units[0],
        "frame": "structure",
        "licence": "CC BY 4.0",
    }
    return row | _values(kind, operations, rng) | ({"split": split} if split else {})


def nearest_contact(lattice: Floats, frac_coords: Floats, numbers: NDArray[np.int64]) -> float:
    """Smallest distance of two atoms over the sum of their covalent radii, among the images two cells around."""
    images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    apart = frac_coords[:, None, None] - frac_coords[None, :, None] + images
    distances = np.linalg.norm(apart @ lattice, axis=-1)
    radii = COVALENT_RADIUS_ANGSTROM[numbers]
    contacts = distances / (radii[:, None] + radii[None, :])[..., None]
    return float(contacts[distances > 1e-6].min())


def _values(kind: str, operations: Floats, rng: np.random.Generator) -> Row:
    if kind == "elastic_stiffness":
        root = rng.normal(size=(6, 6))
        mandel = 40.0 * np.eye(6) + 25.0 * root @ root.T + 30.0 * np.pad(np.ones((3, 3)), (0, 3))
        return {"tensor_voigt": _projected(Tensor.ELASTIC, mandel_to_stiffness_voigt(mandel), operations)}
    if kind == "piezo_e_total":
        piezo = from_components(Tensor.PIEZOELECTRIC, rng.normal(size=18))
        return {"tensor": _projected(Tensor.PIEZOELECTRIC, piezo, operations)}
    electronic, lattice_part = (_spread(rng, scale) for scale in (3.0, 6.0))
    return {
        "tensor_electronic": _projected(Tensor.DIELECTRIC_ELECTRONIC, np.eye(3) + electronic, operations),
        "tensor": _projected(Tensor.DIELECTRIC_TOTAL, np.eye(3) + electronic + lattice_part, operations),
    }


def _spread(rng: np.random.Generator, scale: float) -> Floats:
    """A positive definite matrix with eigenvalues that are far apart."""
    axes = random_orthogonal(rng)
    spread: Floats = scale * axes @ np.diag([0.4, 1.0, 2.2]) @ axes.T
    return spread


def _projected(quantity: Tensor, tensor: Floats, operations: Floats) -> Any:
    """The part of a tensor that the operations leave as it is, as nested lists."""
    average = rotate(quantity, tensor, operations).mean(axis=0)
    return average.tolist()


def expected_sizes(rows: Iterable[Row], error: float = 0.15) -> Any:
    """A stand-in for a model that is right within an error: sizes by formula, whatever the representation."""
    rng = np.random.default_rng(7)
    known: dict[str, Sizes] = {}
    for row in rows:
        label = read_label(row)
        formula = CrystalBatch.from_arrays([label.lattice], [label.frac_coords], [label.numbers]).formulas()[0]
        found = known.setdefault(formula, {})
        for name, size in label.sizes().items():
            found.setdefault(name, float(size * np.exp(error * rng.normal())))

    def expect(crystals: CrystalBatch) -> list[Sizes]:
        return [known.get(formula, {}) for formula in crystals.formulas()]

    return expect


def wrong_voigt_order(rows: Sequence[Row]) -> list[Row]:
    """Tensors written in VASP's order 11, 22, 33, 12, 23, 13 as if it were ours."""
    return [_with_tensors(row, _in_vasp_order) for row in rows]


def rotated(rows: Sequence[Row], seed: int = 3) -> list[Row]:
    """Tensors in a frame that is not that of the lattice beside them: a random rotation for each row."""
    rng = np.random.default_rng(seed)
    faulty = []
    for row in rows:
        rotation = random_orthogonal(rng)
        faulty.append(_with_tensors(row, lambda q, t, rotation=rotation: rotate(q, t, rotation)))
    return faulty


def with_nan(rows: Sequence[Row], every: int = 3) -> list[Row]:
    """Every third row has an entry that is no number."""

    def spoil(_: Tensor, tensor: Floats) -> Floats:
        tensor = tensor.copy()
        tensor.flat[0] = np.nan
        return tensor

    return [_with_tensors(row, spoil) if k % every == 0 else copy.deepcopy(row) for k, row in enumerate(rows)]


def leaked(rows: Sequence[Row], held_back: Sequence[Row]) -> list[Row]:
    """Good rows, and copies of test rows under other ids and representations that claim to be training data."""
    copies = []
    for k, row in enumerate(held_back):
        moved = np.array(row["frac_coords"]) + np.array([0.13, 0.29, 0.41])
        other = {"id": f"other-{k}", "source": "elsewhere", "frac_coords": moved.tolist(), "split": "train"}
        copies.append(copy.deepcopy(row) | other)
    return [*copy.deepcopy(list(rows)), *copies]


def stale(rows: Sequence[Row]) -> list[Row]:
    """Labels that were delivered before, under new ids and a new date."""
    renamed = {"source": "the new delivery", "retrieved": "2026-01-01"}
    return [copy.deepcopy(row) | renamed | {"id": f"new-{k}"} for k, row in enumerate(rows)]


def scaled(rows: Sequence[Row], factor: float) -> list[Row]:
    """Every value in another unit."""
    return [_with_tensors(row, lambda _, tensor: factor * tensor) for row in rows]


def halved(rows: Sequence[Row]) -> list[Row]:
    """Every value at half its size."""
    return scaled(rows, 0.5)


def _in_vasp_order(quantity: Tensor, tensor: Floats) -> Floats:
    if quantity is Tensor.ELASTIC:
        return tensor[_TO_VASP][:, _TO_VASP]
    return voigt_to_piezo(piezo_to_voigt(tensor)[:, _TO_VASP]) if quantity is Tensor.PIEZOELECTRIC else tensor


def _with_tensors(row: Row, change: Any) -> Row:
    changed = copy.deepcopy(row)
    for key, quantity in KINDS[row["kind"]].tensors.items():
        if row.get(key) is not None:
            changed[key] = change(quantity, np.array(row[key], dtype=np.float64)).tolist()
    return changed


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """A label file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
