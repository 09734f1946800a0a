"""Chemical formulas as people and files write them: any order, brackets, charges, blanks; and anonymous ones."""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from math import gcd

from models.crystals.crystal import SYMBOLS, formula_of_counts
from models.errors import GmtError

MAX_FORMULA_CHARS = 1000
MAX_COUNT = 1_000_000
"""Largest number of atoms of an element that a formula may come to."""

_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS) if number} | {"D": 1, "T": 1}
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_TOKEN = re.compile(r"([A-Z][a-z]?|[(\[{]|[)\]}])([0-9]*\.?[0-9]*)")
_ION = re.compile(r"([A-Z][a-z]?)[0-9]*[+-]([0-9]*)")
_CHARGE = re.compile(r"(?:\^|(?<=\s))[0-9]*[+-]$")
_ANONYMOUS = re.compile(r"([A-Z][a-z]?)([0-9]*)")


class FormulaError(GmtError, ValueError):
    """A text is no chemical formula; says what in it is none."""


def formula_amounts(text: str) -> dict[int, float]:
    """Amount of each element by atomic number, ascending: "Mg(OH)2" is {1: 2.0, 8: 2.0, 12: 1.0}.

    Charges are left out where it is clear that they are some: of ions if every element has one ("Ca2+ O2-",
    "Si4+O2-2"), of the whole behind a blank or a caret ("PO4 3-"). D and T are hydrogen.

    Args:
        text: element symbols, each with a number of atoms or none, in brackets or not.

    Raises:
        FormulaError: the text is no formula, or one that can be read in two ways.
    """
    written = text.strip().strip("'\"").replace("_", "").translate(_SUBSCRIPTS)
    if len(written) > MAX_FORMULA_CHARS:
        raise FormulaError(f"it has {len(written)} characters, limit {MAX_FORMULA_CHARS}")
    if parted := re.search(r"[0-9]\s+[0-9]+(?![0-9+-])", written):
        raise FormulaError(f"{parted[0][:20]!r} may be one number or two")
    ions = "".join(written.split())
    if _ION.fullmatch(ions) or re.fullmatch(f"(?:{_ION.pattern}){{2,}}", ions):
        written = _ION.sub(r"\1\2", ions)
    atoms = _count_atoms("".join(_CHARGE.sub("", written).split()))
    return dict(sorted(atoms.items()))


@lru_cache(4096)  # a table repeats few formulas
def parse_formula(text: str) -> dict[int, float] | None:
    """The same as `formula_amounts`; None where the text is no formula, and so states nothing."""
    try:
        return formula_amounts(text)
    except FormulaError:
        return None


def normalized_formula(text: str) -> str:
    """The reduced formula that a text means, as crystals have it: "SiO2", "Si2 O4" and "(SiO2)3" are "O2Si".

    Args:
        text: as for `formula_amounts`, with whole numbers of atoms.

    Returns:
        Symbols in alphabetical order, counts without common divisor.

    Raises:
        FormulaError: the text is no formula, or its amounts are no whole numbers.
    """
    amounts = formula_amounts(text)
    if broken := [amount for amount in amounts.values() if not amount.is_integer()]:
        raise FormulaError(f"{broken[0]:g} is no whole number of atoms")
    return formula_of_counts([*amounts], [int(amount) for amount in amounts.values()])


def _count_atoms(formula: str) -> dict[int, float]:
    """Atoms by atomic number of a formula without blanks and charges."""
    # one level per open bracket; what closes one adds its atoms, multiplied, to the level below
    levels: list[defaultdict[int, float]] = [defaultdict(float)]
    at = 0
    while at < len(formula):
        token = _TOKEN.match(formula, at)
        if token is None:
            raise FormulaError(f"{formula[at : at + 20]!r} is no element symbol and no number of atoms")
        sign, amount = token[1], _amount(token[2])
        at = token.end()
        if sign in "([{" and not token[2]:
            levels.append(defaultdict(float))
        elif sign in ")]}" and len(levels) > 1:
            for number, n in levels.pop().items():
                levels[-1][number] += n * amount
                if n * amount > MAX_COUNT:  # at once: each bracket might multiply again
                    raise FormulaError(f"it has more than {MAX_COUNT:,} atoms of an element")
        elif sign in _NUMBERS:
            levels[-1][_NUMBERS[sign]] += amount
        else:
            raise FormulaError(f"{token[0][:20]!r} is no element" if sign.isalpha() else "a parenthesis is lost")
    if len(levels) > 1 or not levels[0]:
        raise FormulaError("a parenthesis is not closed" if len(levels) > 1 else "it has no atoms")
    return levels[0]


def _amount(digits: str) -> float:
    """A number of atoms, 1 where none is written."""
    if digits == "." or not 0 < float(digits or 1) <= MAX_COUNT:
        raise FormulaError(f"{digits[:20]} is no number of atoms")
    return float(digits or 1)


def formula_text(amounts: Mapping[int, float]) -> str:
    """A formula as messages write it, symbols in alphabetical order, e.g. "Al2 Mg O4"."""
    parts = sorted((SYMBOLS[number], amount) for number, amount in amounts.items())
    return " ".join(symbol if amount == 1 else f"{symbol}{amount:g}" for symbol, amount in parts)


def anonymous_formula(formula: str) -> str:
    """A reduced formula without its elements: letters A, B, ... by descending counts, "O2Si" is "A2B".

    Args:
        formula: symbols, each with its count or none, as `reduced_formula` gives it; letters in place of symbols may
            stand for anything, so that "AB2" is "A2B" too.

    Raises:
        FormulaError: the text is something else.

    Source: OPTIMADE specification 1.2, property chemical_formula_anonymous.
    """
    symbols = _ANONYMOUS.findall(formula)
    if "".join(symbol + digits for symbol, digits in symbols) != formula or not symbols:
        raise FormulaError("it is not made of letters and whole numbers")
    if len({symbol for symbol, _ in symbols}) < len(symbols):
        raise FormulaError("a letter stands in it twice")
    return _letters(tuple(sorted((int(_amount(digits)) for _, digits in symbols), reverse=True)))


@lru_cache(4096)
def _letters(counts: tuple[int, ...]) -> str:
    """The anonymous formula of descending counts; most crystals share theirs with many others."""
    divisor = gcd(*counts)
    parts = []
    for place, n in enumerate(counts):
        # A to Z, then Aa to Za, Ab to Zb, ...
        suffix = chr(ord("a") + place // 26 - 1) if place >= 26 else ""
        parts.append(f"{chr(ord('A') + place % 26)}{suffix}{n // divisor if n > divisor else ''}")
    return "".join(parts)
