"""Oxidation states of a composition, and which ions replace an ion how probably.

The probabilities are those of G. Hautier, C. Fischer, V. Ehrlacher, A. Jain and G. Ceder, Inorg. Chem. 50, 656 (2011),
whose fitted table pymatgen ships: p(x, y) = exp(lambda(x, y)) / Z for a pair of ions x, y, and for x in the place of y
p(x | y) = p(x, y) / p(y). The table knows ions only, and few anions besides halogens and chalcogens. Where it does not
know an ion (arsenides, tellurides, carbides) or the crystal has no oxidation states (intermetallic compounds), elements
are replaced by elements, with the same table summed over the oxidation states of each.
"""

import importlib.resources
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import chain, product
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import SYMBOLS, Floats, Ints
from models.errors import SourceError

TABLE = "core/structure_prediction/data/lambda.json"

UNSEEN = -5.0
"""Weight of pairs that were never observed, as in the paper."""

NEVER_PLACED = frozenset("Kr Xe Tc Pm Po Ac Pa Np Pu Am Cm Bk Cf".split())
"""Elements of the table without stable isotope (but for Th and U), and noble gases: nothing is replaced by them."""

_ION = re.compile(r"([A-Z][a-z]?)(\d*)([+-])")


class Ion(NamedTuple):
    """An element with its oxidation state; None where a crystal has none."""

    symbol: str
    charge: int | None


class Replacement(NamedTuple):
    """An ion in the place of another, with the natural logarithm of its conditional probability."""

    ion: Ion
    log_probability: float


@cache
def table_bytes() -> bytes:
    """The table of weights as pymatgen ships it."""
    table = importlib.resources.files("pymatgen").joinpath(TABLE)
    if not table.is_file():
        raise SourceError(f"The installed pymatgen ships no {TABLE}. Install the version that pyproject.toml names.")
    return table.read_bytes()


def table_digest() -> str:
    """sha256 of the table of weights."""
    return sha256(table_bytes()).hexdigest()


@cache
def replacements(ion: Ion) -> tuple[Replacement, ...]:
    """What may stand in the place of an ion, the most probable first; itself among them.

    Args:
        ion: of the parent. One that the table does not know keeps its charge in every replacement.
    """
    ions, joint = _ion_table()
    if ion in ions:
        row = joint[ions.index(ion)]
        options = list(zip(ions, (row / row.sum()).tolist(), strict=True))
    else:
        options = list(_element_options(ion))
    allowed = [
        # rounded, so that no order of a sum decides about an order of crystals
        Replacement(option, round(math.log(probability), 9))
        for option, probability in options
        if option.symbol not in NEVER_PLACED or option.symbol == ion.symbol
    ]
    return tuple(sorted(allowed, key=lambda each: (-each.log_probability, each.ion)))


def oxidation_states(numbers: Ints) -> dict[str, int] | None:
    """The likeliest oxidation states that balance, one per element; None where none do.

    Common states come before rare ones; among these, electrons go to the more electronegative elements.

    Args:
        numbers: atomic numbers, shape [n_atoms].

    Returns:
        Charges by symbol; None for elements, alloys and compounds of mixed valence.
    """
    from pymatgen.core.periodic_table import Element  # costs half a second: only where crystals are made

    species, counts = np.unique(numbers, return_counts=True)
    elements = [Element(SYMBOLS[number]) for number in species]
    listed = [_known_states(element.symbol) for element in elements]
    best: tuple[tuple[int, float], tuple[int, ...]] | None = None
    for states in product(*listed):
        if int(np.dot(states, counts)):
            continue
        pairs = list(zip(elements, states, counts.tolist(), strict=True))
        n_rare = sum(state not in element.common_oxidation_states for element, state, _ in pairs)
        # an element whose electronegativity is unknown is a noble gas
        transferred = sum(n * state * (element.X if element.X == element.X else 0.0) for element, state, n in pairs)
        rank = ((n_rare, round(transferred, 6)), states)
        best = rank if best is None or rank < best else best
    return None if best is None else {SYMBOLS[z]: state for z, state in zip(species, best[1], strict=True)}


@cache
def _known_states(symbol: str) -> tuple[int, ...]:
    """Oxidation states in which an element is common or occurs in the ICSD, ascending."""
    from pymatgen.core.periodic_table import Element

    element = Element(symbol)
    return tuple(sorted({*element.common_oxidation_states, *element.icsd_oxidation_states} - {0}))


@cache
def _ion_table() -> tuple[tuple[Ion, ...], Floats]:
    """The ions of the table, sorted, and exp(lambda) of every pair, shape [n_ions, n_ions]."""
    pairs = {
        (_read_ion(one), _read_ion(other)): float(weight)
        for one, other, weight in json.loads(table_bytes())
        # deuterium is hydrogen here
        if "D1+" not in (one, other)
    }
    ions = tuple(sorted(set(chain.from_iterable(pairs))))
    place = {ion: row for row, ion in enumerate(ions)}
    weights = np.full((len(ions), len(ions)), UNSEEN)
    for (one, other), weight in pairs.items():
        weights[place[one], place[other]] = weights[place[other], place[one]] = weight
    return ions, np.exp(weights)


@cache
def _element_table() -> tuple[tuple[str, ...], Floats]:
    """The elements of the table, sorted, and the sums over their oxidation states, shape [n_elements, n_elements]."""
    ions, joint = _ion_table()
    names = tuple(sorted({ion.symbol for ion in ions}))
    member = np.array([ion.symbol == name for name in names for ion in ions], dtype=np.float64).reshape(len(names), -1)
    return names, member @ joint @ member.T


def _read_ion(text: str) -> Ion:
    """An ion as the table writes it: "Ba2+", "O2-", "Cu+"."""
    match = _ION.fullmatch(text)
    if match is None:
        raise SourceError(f"{text!r} in pymatgen's {TABLE} is no ion. Install the version that pyproject.toml names.")
    return Ion(match[1], int(match[2] or 1) * (1 if match[3] == "+" else -1))


def _element_options(ion: Ion) -> Iterator[tuple[Ion, float]]:
    """Elements that may stand in the place of one, with its charge where it has one and they can have it."""
    names, joint = _element_table()
    if ion.symbol not in names:
        yield ion, 1.0
        return
    row = joint[names.index(ion.symbol)]
    for symbol, weight in zip(names, row, strict=True):
        if symbol == ion.symbol or ion.charge is None or ion.charge in _known_states(symbol):
            yield Ion(symbol, ion.charge), float(weight / row.sum())
