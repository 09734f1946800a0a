"""Small files in the format of the JARVIS tensor files released with GMTNet, with made-up tensors on known crystals."""

import json
import pickle
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats
from models.quantities import TENSORS, Tensor
from models.symmetry.search import find_symmetry
from models.tensors.voigt import from_components
from models.testing.contract import crystals_of_all_classes, textbook_crystals

JARVIS_ORDER = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
"""xx, yy, zz, xy, yz, zx."""
_OUR_INDEX = {(0, 0): 0, (1, 1): 1, (2, 2): 2, (1, 2): 3, (2, 0): 4, (0, 1): 5}


def made_up_crystals() -> CrystalBatch:
    """Textbook crystals and two of each crystal class: 74 cells."""
    parts = [textbook_crystals().crystals, *(crystals_of_all_classes(seed=s).crystals for s in (3, 4))]
    return CrystalBatch.join(parts)


def made_up_tensors(crystals: CrystalBatch, quantity: Tensor, seed: int = 0) -> Floats:
    """Random tensors that obey the crystals' point groups, in our form."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(crystals.n_crystals, TENSORS[quantity].n_components)) + 5.0 * (
        quantity is not Tensor.PIEZOELECTRIC
    )
    return find_symmetry(crystals, 1e-5).project(quantity, from_components(quantity, raw))


def jarvis_atoms(crystals: CrystalBatch, crystal: int) -> dict[str, Any]:
    """A crystal as JARVIS's Atoms.to_dict writes it."""
    rows = slice(crystals.first_atom[crystal], crystals.first_atom[crystal + 1])
    lattice = crystals.lattice[crystal]
    return {
        "lattice_mat": lattice.tolist(),
        "coords": crystals.frac_coords[rows].tolist(),
        "elements": [SYMBOLS[z] for z in crystals.numbers[rows]],
        "abc": np.linalg.norm(lattice, axis=1).tolist(),
        "angles": [90.0, 90.0, 90.0],  # not read
        "cartesian": False,
        "props": [""] * len(crystals.numbers[rows]),
    }


def in_jarvis_order(quantity: Tensor, tensor: Floats) -> list[list[float]]:
    """One tensor as the files list it, entry by entry: 3x3; 3x6 in C/m²; 6x6 in kbar."""
    if quantity is Tensor.PIEZOELECTRIC:
        return [[float(tensor[i, j, k]) for j, k in JARVIS_ORDER] for i in range(3)]
    if quantity is Tensor.ELASTIC:
        places = [_OUR_INDEX[pair] for pair in JARVIS_ORDER]
        return [[10.0 * float(tensor[a, b]) for b in places] for a in places]
    return [[float(x) for x in row] for row in tensor]


def jarvis_records(crystals: CrystalBatch) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Records of the two files; every second crystal has a piezoelectric tensor, zero where the class forbids one."""
    electronic, piezo, elastic = (
        made_up_tensors(crystals, q, seed)
        for seed, q in enumerate((Tensor.DIELECTRIC_ELECTRONIC, Tensor.PIEZOELECTRIC, Tensor.ELASTIC))
    )
    first, second = [], []
    for k in range(crystals.n_crystals):
        common = {"JARVIS_ID": f"JVASP-{1000 + k}", "atoms": jarvis_atoms(crystals, k)}
        first.append(
            common
            | {
                "dielectric": in_jarvis_order(Tensor.DIELECTRIC_ELECTRONIC, electronic[k]),
                "dielectric_ionic": None,
                "piezoelectric_C_m2": in_jarvis_order(Tensor.PIEZOELECTRIC, piezo[k]) if k % 2 else None,
            }
        )
        second.append(common | {"elastic_total_kbar": in_jarvis_order(Tensor.ELASTIC, 20.0 * elastic[k])})
    return first, second


@cache
def _made_up_records() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return jarvis_records(made_up_crystals())


def made_up_records() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Records of all made-up crystals, free to be changed."""
    return deepcopy(_made_up_records())


def write_jarvis_files(folder: Path, *, suffix: str = ".pkl", crystals: CrystalBatch | None = None) -> None:
    """Writes `jarvis_diele_piezo` and `jarvis_elastic` into a folder."""
    names = ("jarvis_diele_piezo", "jarvis_elastic")
    for name, records in zip(names, jarvis_records(crystals) if crystals else made_up_records(), strict=True):
        data = pickle.dumps(records) if suffix == ".pkl" else json.dumps(records).encode()
        (folder / f"{name}{suffix}").write_bytes(data)
