"""Elements of CIF sites: type symbols name them; a label suggests one or two, between which the formula decides."""

import re
from functools import lru_cache

from models.crystals.crystal import SYMBOLS

_NUMBER_OF = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
_DEUTERIUM = re.compile(r"\d{0,3}D(?![a-z])")
_ISOTOPE = re.compile(r"\d{0,3}[DT](?![A-Za-z])")
_LETTERS = re.compile(r"\d{0,3}([A-Za-z]+)")
_GROUP_OF_ATOMS = re.compile(r"(?:OH|NH|NO|PO|SO|CO|CN|WO|HO)[2-6]?$|OH2|H2O|HOH|[Ww]at", re.IGNORECASE)
_GROUP_LABEL = re.compile(r"(?:OH|NH|CH|NO3|PO4|SO4|CO3)", re.IGNORECASE)
_NO_ATOM = re.compile(r"(?:wat|vac?|vacancy|du|dum|dummy|cg|cen|cent|centroid|x|q|lp)\d*$", re.IGNORECASE)
_MIXTURE = re.compile(r"[,+/]\s*[A-Z]|[\d)]\s*[A-Z][a-z]?\s*\+\s*\d")

UNCLEAR = 0
"""Stands beside the elements of a label that may be the name of a group of atoms: it fits no formula."""


@lru_cache(4096)
def element_of_type(symbol: str) -> int | None:
    """Atomic number of a type symbol ("Fe3+", "FE", "O-2", "D"); None for what is no single element ("OH", "X")."""
    if _ISOTOPE.match(symbol):
        return 1
    # "CO" is cobalt as older programs write it, "CO3" a carbonate, "CO3+" cobalt again.
    if _GROUP_OF_ATOMS.match(symbol) and symbol not in ("CO", "Co", "HO", "Ho"):
        return None if not _NUMBER_OF.get(symbol[:2]) else _NUMBER_OF[symbol[:2]]
    letters = _LETTERS.match(symbol)
    return _NUMBER_OF.get(letters[1].title()) if letters else None


@lru_cache(4096)
def elements_of_label(label: str) -> tuple[int, ...]:
    """Atomic numbers that a label may mean, the likelier first; none for a label that names no element.

    "Si1" is silicon, "O1" oxygen; "SI1" silicon or sulfur, "HO1" holmium or hydrogen, "CU1" copper or carbon. A bare
    "T1" is a tetrahedral site as often as tritium, and so names none.
    """
    letters = _LETTERS.match(label)
    if letters is None or _NO_ATOM.match(label):
        return ()
    name = letters[1]
    pair = _NUMBER_OF.get(name[:2].title()) if len(name) > 1 else None
    single = 1 if _DEUTERIUM.match(label) else _NUMBER_OF.get(name[0].upper())
    if name[1:2].islower():
        # Properly written: "Ca" and "CaM" are calcium; "Ow" and "Ob" are oxygen with a letter that numbers it.
        return (pair,) if pair else (single,) if single else ()
    options = tuple(number for number in (pair, single) if number)
    return (*options, UNCLEAR) if _GROUP_LABEL.match(label) and options else options


def is_mixture(symbol: str) -> bool:
    """Whether a symbol names several elements on one site ("Nb,Zr", "0.8(1)Nb + 0.2(1)Zr")."""
    return _MIXTURE.search(symbol) is not None
