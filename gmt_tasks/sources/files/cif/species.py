"""Elements of CIF sites: type symbols name them; a label suggests one or two, between which the formula decides."""

import re
from functools import lru_cache

from models.crystals.crystal import SYMBOLS

_NUMBER_OF = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
_DEUTERIUM = re.compile(r"\d{0,3}D(?![a-z])")
_LETTERS = re.compile(r"\d{0,3}([A-Za-z]+)")
_GROUPS_OF_ATOMS = frozenset("BF BH CF CH CN CO HO ND NH NO OD OH PO SO WO".split())
_OF_A_GROUP = re.compile(r"[2-6](?!\+)|[\d ]*-")
_FURTHER_SYMBOL = re.compile(r"\d\s*([A-Z][a-z]?)")
_LAST_IN_CAPITALS = 96  # curium: what comes after is in no crystal, but "CF", "NO", "BH", "CN", "NH" are groups
_GROUP_LABEL = re.compile(r"(?:OH|NH|CH|NO3|PO4|SO4|CO3|[HD][23]O$)", re.IGNORECASE)
_NO_ATOM = re.compile(r"(?:wat|vac?|vacancy|du|dum|dummy|cg|cen|cent|centroid|x|q|lp)\d*$", re.IGNORECASE)
_MIXTURE = re.compile(r"[,+/]\s*[A-Z]|[\d)]\s*[A-Z][a-z]?\s*\+\s*\d")

UNCLEAR = 0
"""Stands beside the elements of a label that may be the name of a group of atoms: it fits no formula."""


@lru_cache(4096)
def element_of_type(symbol: str) -> int | None:
    """Atomic number of a type symbol ("Fe3+", "FE", "O-2", "D"); None for what is no single element ("OH", "X")."""
    match = _LETTERS.match(symbol)
    if match is None:
        return None
    letters, rest = match[1], symbol[match.end() :]
    element = 1 if letters in ("D", "T") else _NUMBER_OF.get(letters.title())
    further = _FURTHER_SYMBOL.search(rest)
    if element is None or (further and (further[1] in _NUMBER_OF or further[1] in ("D", "T"))):
        return None
    # "CO" is cobalt as older programs write it, "CO3" a carbonate, "CO3+" cobalt again.
    if letters in _GROUPS_OF_ATOMS and (letters == "PO" or _OF_A_GROUP.match(rest)):
        return None
    return None if letters[1:].isupper() and element > _LAST_IN_CAPITALS else element


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


def is_likely_pair(label: str) -> bool:
    """Whether a label in capitals is hardly anything but its two-letter element: the second letter names none.

    "NA1" is sodium, though it may be a nitrogen called A; "HO1" is as well the hydrogen of an oxygen.
    """
    letters = _LETTERS.match(label)
    return letters is not None and len(letters[1]) == 2 and letters[1][1].upper() not in _NUMBER_OF


def is_mixture(symbol: str) -> bool:
    """Whether a symbol names several elements on one site ("Nb,Zr", "0.8(1)Nb + 0.2(1)Zr")."""
    return _MIXTURE.search(symbol) is not None
