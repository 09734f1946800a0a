"""Crystals whose decomposition of the optic modes at Γ is published, in primitive cells."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import spglib

from models.crystals.crystal import Crystal, CrystalBatch
from models.reference.crystals import cell_from_parameters

# Rows of a primitive cell in units of a, b, c, by the first letter of the symbol. Trigonal axes are hexagonal.
_PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, 0.5], [0, -0.5, 0.5]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}


@dataclass(frozen=True)
class PublishedModes:
    """A crystal and what is published about its modes.

    Attributes:
        name: of the crystal.
        spacegroup: 1 to 230.
        crystal: batch of one.
        optic: e.g. {"T1u": 1, "T2g": 1}.
    """

    name: str
    spacegroup: int
    crystal: CrystalBatch
    optic: dict[str, int]


@cache
def published_modes() -> dict[str, PublishedModes]:
    """All of them by their names."""
    path = Path(__file__).parents[2] / "golden" / "gamma_modes_published.json"
    return {row["name"]: _published(row) for row in json.loads(path.read_text(encoding="utf-8"))}


def _published(row: dict[str, Any]) -> PublishedModes:
    kind = spglib.get_spacegroup_type(row["hall_number"])
    table = spglib.get_symmetry_from_database(row["hall_number"])
    assert kind is not None and table is not None
    primitive = _PRIMITIVE[kind.international_short[0]]
    frac_coords, numbers = [], []
    for number, position in row["sites"]:
        images = (table["rotations"] @ np.array(position) + table["translations"]) @ np.linalg.inv(primitive)
        # to six decimals, 1 being 0: a site on a symmetry element comes once
        orbit = np.unique(np.round(images % 1.0, 6) % 1.0, axis=0)
        frac_coords.append(orbit)
        numbers += [number] * len(orbit)
    a, b, c, alpha, beta, gamma = row["cell"]
    lattice = primitive @ cell_from_parameters(a, b, c, alpha, beta, gamma)
    terms = re.findall(r"(\d*)([ABET]\S*)", row["optic"])
    crystal = Crystal(lattice, np.concatenate(frac_coords), np.array(numbers)).as_batch()
    optic = {symbol: int(count or 1) for count, symbol in terms}
    return PublishedModes(row["name"], int(kind.number), crystal, optic)
