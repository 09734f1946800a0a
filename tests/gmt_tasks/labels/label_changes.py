"""Ways to make right label rows wrong, or to say the same in other words: what label_faults.py plants.

A `Change` gives the keys of one row that change. What makes a batch takes the right rows and a generator of random
numbers.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from gmt_tasks.labels.kinds import KINDS
from models.crystals.crystal import SYMBOLS
from models.reference.crystals import random_orthogonal
from models.tensors.rotate import rotate
from models.tensors.voigt import piezo_to_voigt, voigt_to_piezo
from tests.gmt_tasks.labels.planted_faults import Row

Rows = list[Row]
Change = Callable[[Row], dict[str, Any]]


def each(change: Change) -> Callable[[Rows, np.random.Generator], Rows]:
    """Every row with some keys changed."""
    return lambda rows, rng: [copy.deepcopy(row) | change(row) for row in rows]


def some(change: Change, every: int) -> Callable[[Rows, np.random.Generator], Rows]:
    """One of so many rows with some keys changed."""
    return lambda rows, rng: [
        copy.deepcopy(row) | (change(row) if k % every == 0 else {}) for k, row in enumerate(rows)
    ]


def values_of(row: Row) -> dict[str, Any]:
    """The values of a row, those of the other keys of its kind left out."""
    return {key: row[key] for key in KINDS[row["kind"]].keys if row.get(key) is not None}


def times(factor: float, *keys: str) -> Change:
    """Values multiplied; all of them, or those of some keys. What a row says beside them is left out."""

    def change(row: Row) -> dict[str, Any]:
        chosen = {key: value for key, value in values_of(row).items() if not keys or key in keys}
        scaled = {key: (factor * np.array(value, dtype=np.float64)).tolist() for key, value in chosen.items()}
        return WITHOUT_MODULI | scaled

    return change


WITHOUT_MODULI = {"K_voigt": None, "G_voigt": None}


def stiffness(change: Callable[[Any], Any]) -> Change:
    """A stiffness after a change of its matrix."""
    return lambda row: WITHOUT_MODULI | {"tensor_voigt": change(np.array(row["tensor_voigt"], dtype=float)).tolist()}


def piezo(change: Callable[[Any], Any]) -> Change:
    """A piezoelectric tensor after a change of its Voigt matrix."""
    return lambda row: {"tensor": voigt_to_piezo(change(piezo_to_voigt(np.array(row["tensor"], dtype=float)))).tolist()}


def reordered(order: list[int]) -> Callable[[Any], Any]:
    """Voigt entries in another order."""
    return lambda matrix: matrix[order][:, order] if len(matrix) == 6 else matrix[:, order]


def sheared(one: float, two: float) -> Callable[[Any], Any]:
    """Entries with one and with two shear indices multiplied."""
    scale = np.ones((6, 6))
    scale[:3, 3:], scale[3:, :3], scale[3:, 3:] = one, one, two
    return lambda matrix: matrix * scale


def cell(change: Callable[[Any], Any]) -> Change:
    """Another lattice beside the same fractional coordinates."""
    return lambda row: {"lattice": change(np.array(row["lattice"], dtype=float)).tolist()}


def rotated(rows: Rows, rng: np.random.Generator) -> Rows:
    """Tensors each in a frame of its own."""
    made = []
    for row in rows:
        turn, changed = random_orthogonal(rng), copy.deepcopy(row)
        for key, quantity in KINDS[row["kind"]].tensors.items():
            if row.get(key) is not None:
                changed[key] = rotate(quantity, np.array(row[key], dtype=float), turn).tolist()
        made.append(changed)
    return made


def lattice_from_parameters(row: Row) -> dict[str, Any]:
    """The cell rebuilt from its lengths and angles, a along x and b in the xy plane; the tensor left as it was."""
    a, b, c = np.array(row["lattice"], dtype=float)
    x = a / np.linalg.norm(a)
    z = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    frame = np.stack([x, np.cross(z, x), z])
    return {"lattice": (np.stack([a, b, c]) @ frame.T).tolist()}


def shifted(*keys: str, within: str = "") -> Callable[[Rows, np.random.Generator], Rows]:
    """Some keys of each row taken from the next one, or from the next one of the same space group."""

    def make(rows: Rows, rng: np.random.Generator) -> Rows:
        groups: dict[Any, Rows] = {}
        for row in rows:
            groups.setdefault(row.get(within), []).append(row)
        return [
            copy.deepcopy(row) | {key: copy.deepcopy(other.get(key)) for key in keys or values_of(row)}
            for group in groups.values()
            for row, other in zip(group, group[1:] + group[:1], strict=True)
        ]

    return make


def elements_exchanged(rows: Rows, rng: np.random.Generator) -> Rows:
    """Binaries whose two elements changed places, of other than equal amounts."""
    made = []
    for row in rows:
        kinds, counts = np.unique(row["species"], return_counts=True)
        if len(kinds) == 2 and counts[0] != counts[1]:
            made.append(copy.deepcopy(row) | {"species": [int(kinds.sum() - z) for z in row["species"]]})
    return made


def strain_coefficients(rows: Rows, rng: np.random.Generator) -> Rows:
    """d = e / C in pC/N in place of e, with stiffnesses of 40 to 200 GPa."""
    soft = np.exp(rng.uniform(np.log(40.0), np.log(200.0), len(rows)))
    return [copy.deepcopy(row) | times(1000.0 / c)(row) for row, c in zip(rows, soft, strict=True)]


def ionic(row: Row) -> dict[str, Any]:
    """The part of the lattice in place of the total tensor."""
    return {"tensor": (np.array(row["tensor"]) - np.array(row["tensor_electronic"])).tolist()}


def susceptibility(row: Row) -> dict[str, Any]:
    """eps - 1 for eps."""
    return {key: (np.array(value) - np.eye(3)).tolist() for key, value in values_of(row).items()}


def supercell(row: Row) -> dict[str, Any]:
    """The cell doubled along a."""
    coords = np.array(row["frac_coords"], dtype=float)
    halves = np.concatenate([coords * [0.5, 1, 1], coords * [0.5, 1, 1] + [0.5, 0, 0]])
    lattice = np.array(row["lattice"], dtype=float) * np.array([[2.0], [1.0], [1.0]])
    return {"lattice": lattice.tolist(), "species": [*row["species"], *row["species"]], "frac_coords": halves.tolist()}


def renamed(rows: Rows, rng: np.random.Generator) -> Rows:
    """The same labels under new ids, in supercells at another origin: a new delivery of what is known."""
    made = []
    for k, row in enumerate(rows):
        changed = copy.deepcopy(row) | supercell(row)
        changed["frac_coords"] = np.add(changed["frac_coords"], [0.1, 0.2, 0.3]).tolist()
        made.append(changed | {"id": f"new-{k}", "source": "the new delivery"})
    return made


def scattered(rows: Rows, rng: np.random.Generator) -> Rows:
    """New values under known ids, each off by another factor."""
    signs = (-1.0) ** np.arange(len(rows))
    factors = np.exp(rng.uniform(0.25, 0.5, len(rows)) * signs)
    return [copy.deepcopy(row) | times(factor)(row) for row, factor in zip(rows, factors, strict=True)]


def from_another_code(factor: float, spread: float) -> Callable[[Rows, np.random.Generator], Rows]:
    """The labels of another code, which scatter, times a factor."""

    def make(rows: Rows, rng: np.random.Generator) -> Rows:
        factors = factor * np.exp(rng.normal(0.0, spread, len(rows)))
        return [
            copy.deepcopy(row) | times(x)(row) | {"source": "another code", "id": f"c-{k}"}
            for k, (row, x) in enumerate(zip(rows, factors, strict=True))
        ]

    return make


def centred(rows: Rows, rng: np.random.Generator) -> Rows:
    """Atoms moved onto the sites of rock salt: the class of the crystals has an inversion centre."""
    salt = [[0, 0, 0], [0.5, 0.5, 0.5]]
    cube = (4.0 * (np.ones((3, 3)) - np.eye(3)) / 2 * 1.4).tolist()
    made = []
    for row in rows:
        a, b = (int(z) for z in (*np.unique(row["species"]), 8)[:2])
        changed = {"species": [a, b], "frac_coords": salt, "lattice": cube, "formula": SYMBOLS[a] + SYMBOLS[b]}
        made.append(copy.deepcopy(row) | changed | {"nsites": 2, "spacegroup": 225, "point_group": "m-3m"})
    return made


def mixed(change: Change) -> Callable[[Rows, np.random.Generator], Rows]:
    """Every second row changed."""
    return some(change, 2)


def upper_triangle(matrix: Any) -> Any:
    """The lower half left zero."""
    return np.triu(matrix)


def ieee_stiffness(row: Row) -> dict[str, Any]:
    """The stiffness as published, in the IEEE frame, beside the lattice of the input."""
    return WITHOUT_MODULI | {"tensor_voigt": row["voigt_ieee"]}


def ieee_piezo(row: Row) -> dict[str, Any]:
    """The piezoelectric tensor as published, in the IEEE frame."""
    return {"tensor": voigt_to_piezo(np.array(row["voigt_ieee"], dtype=float)).tolist()}


def with_nan(row: Row) -> dict[str, Any]:
    """An entry that is no number."""
    tensor = np.array(row["tensor_voigt"], dtype=float)
    tensor[0, 0] = np.nan
    return {"tensor_voigt": tensor.tolist()}


def key(name: str, value: Callable[[Row], Any]) -> Change:
    """One key of a row."""
    return lambda row: {name: value(row)}


def volume(row: Row) -> float:
    """Of the cell in cubic angstrom."""
    return float(abs(np.linalg.det(np.array(row["lattice"], dtype=float))))
