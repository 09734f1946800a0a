"""Kinds of compounds by their elements: methods err differently on oxides and on intermetallics."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import MAX_ATOMIC_NUMBER, SYMBOLS, CrystalBatch

NONMETALS = "H He B C N O F Ne Si P S Cl Ar Ge As Se Br Kr Sb Te I Xe At Rn".split()
"""Elements that are no metals, metalloids among them."""

IS_METAL: NDArray[np.bool_] = ~np.isin(np.arange(MAX_ATOMIC_NUMBER + 1), [SYMBOLS.index(s) for s in NONMETALS])
"""By atomic number."""


class ChemicalClass(StrEnum):
    """Kind of a compound; the first that fits."""

    INTERMETALLIC = "intermetallic"  # metals alone, elements included
    OXIDE = "oxide"
    HALIDE = "halide"
    CHALCOGENIDE = "chalcogenide"  # S, Se, Te
    PNICTIDE = "pnictide"  # N, P, As
    OTHER = "other"  # borides, carbides, silicides, hydrides, ...


_ANIONS = {
    ChemicalClass.OXIDE: ["O"],
    ChemicalClass.HALIDE: ["F", "Cl", "Br", "I"],
    ChemicalClass.CHALCOGENIDE: ["S", "Se", "Te"],
    ChemicalClass.PNICTIDE: ["N", "P", "As"],
}


def chemical_classes(crystals: CrystalBatch) -> NDArray[np.str_]:
    """The class of every crystal as text, [n_crystals]."""
    classes = np.full(crystals.n_crystals, ChemicalClass.OTHER.value, dtype="U16")
    if not crystals.n_crystals:
        return classes
    starts = crystals.first_atom[:-1]
    # the first that fits is written last
    for kind, symbols in reversed(_ANIONS.items()):
        holds = np.isin(crystals.numbers, [SYMBOLS.index(symbol) for symbol in symbols])
        classes[np.logical_or.reduceat(holds, starts)] = kind.value
    classes[np.logical_and.reduceat(IS_METAL[crystals.numbers], starts)] = ChemicalClass.INTERMETALLIC.value
    return classes
