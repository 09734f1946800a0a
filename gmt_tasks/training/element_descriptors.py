"""Makes models/gmtnet/element_descriptors.csv: 92 one-hot element descriptors from pymatgen's element data.

The bins are those of CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), table S2): group, period,
electronegativity, atomic radius, valence electrons, first ionisation energy, electron affinity, block, molar volume.
Run as `python -m gmt_tasks.training.element_descriptors PATH` after an update of pymatgen's data.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.periodic_table import Element

from models.crystals.crystal import MAX_ATOMIC_NUMBER, SYMBOLS


def _bins(read: Callable[[Element], object], element: Element, edges: NDArray[np.float64]) -> list[int]:
    """Bins [e0, e1), [e1, e2), ...: one per value, the first or last for one outside, none where pymatgen has none."""
    row = [0] * (len(edges) - 1)
    try:
        value = float(read(element))  # type: ignore[arg-type]
    except (AttributeError, KeyError, ValueError, TypeError, IndexError):  # pymatgen has no rule for what is missing
        return row
    if np.isfinite(value):
        row[int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(row) - 1))] = 1
    return row


def _valence_electrons(element: Element) -> float:
    """Electrons outside the noble-gas core, closed d and f shells not counted."""
    shells = element.full_electronic_structure
    highest = max(n for n, _, _ in shells)
    count = 0
    for n, letter, electrons in shells:
        # a full d or f shell below a p or s block is core
        closed = {"d": 10, "f": 14}.get(letter) == electrons and element.block in "sp"
        if (
            n == highest or (letter == "d" and n == highest - 1) or (letter == "f" and n == highest - 2)
        ) and not closed:
            count += electrons
    return float(min(count, 12))


_PARTS: list[tuple[str, Callable[[Element], object], NDArray[np.float64]]] = [
    ("group", lambda e: e.group, np.arange(0.5, 19)),
    ("period", lambda e: e.row, np.arange(0.5, 9)),
    ("electronegativity", lambda e: e.X, np.linspace(0.5, 4.0, 11)),
    ("radius_angstrom", lambda e: e.atomic_radius, np.linspace(0.25, 2.5, 11)),
    ("valence", _valence_electrons, np.arange(0.5, 13)),
    ("log_ionization_ev", lambda e: np.log(e.ionization_energies[0]), np.linspace(np.log(3.7), np.log(25.0), 11)),
    ("electron_affinity_ev", lambda e: e.electron_affinity, np.linspace(-3.0, 3.7, 11)),
    ("block", lambda e: "spdf".index(e.block), np.arange(-0.5, 4)),
    ("log_molar_volume_cm3", lambda e: np.log(e.molar_volume), np.linspace(np.log(4.0), np.log(75.0), 11)),
]


def descriptor_table() -> tuple[list[str], NDArray[np.int64]]:
    """Column names and the table: atomic number and 92 zeros and ones per row, rows 0 (placeholder) to 118."""
    names = ["atomic_number"] + [f"{name}_{k}" for name, _, edges in _PARTS for k in range(len(edges) - 1)]
    rows = [[0] * len(names)]
    for z in range(1, MAX_ATOMIC_NUMBER + 1):
        element = Element(SYMBOLS[z])
        rows.append([z] + [bit for _, read, edges in _PARTS for bit in _bins(read, element, edges)])
    return names, np.array(rows, dtype=np.int64)


def write_descriptors(path: Path) -> None:
    """Writes the table as CSV."""
    names, table = descriptor_table()
    np.savetxt(path, table, fmt="%d", delimiter=",", header=",".join(names), comments="")


if __name__ == "__main__":
    write_descriptors(Path(sys.argv[1]))
