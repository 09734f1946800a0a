"""Chemical formulas as people and files write them: "SiO2", "O2 Si1", "Mg(OH)2", "Al2 (Si O4) (O H)2"."""

import re
from collections import defaultdict
from collections.abc import Mapping

from models.crystals.crystal import SYMBOLS

MAX_FORMULA_CHARS = 1000
MAX_AMOUNT = 1e6

_AMOUNT = r"\d+\.?\d*|\.\d+"
_TERM = re.compile(rf"([A-Z][a-z]?)\s*({_AMOUNT})?[\s,'\"]*")
_GROUP = re.compile(rf"[(\[{{]([^()\[\]{{}}]*)[)\]}}]\s*({_AMOUNT})?")
_FACTOR = re.compile(rf"\s*({_AMOUNT})?\s*(.*)", re.DOTALL)
_JOINT = re.compile(r"[*·•]")
_CHARGE = re.compile(r"\s*(?:\^|\()?\d*[+-]+\d*\)?\s*$")
_NUMBER_OF = {symbol: number for number, symbol in enumerate(SYMBOLS) if number} | {"D": 1, "T": 1}


def parse_formula(text: str) -> dict[int, float] | None:
    """Amounts of the elements by atomic number; deuterium and tritium count as hydrogen.

    Args:
        text: symbols in any order, amounts whole or decimal, brackets nested, parts of a hydrate joined by a dot.

    Returns:
        None where the text is no formula: an unknown symbol, an open bracket, an amount without a symbol.
    """
    if len(text) > MAX_FORMULA_CHARS:
        return None
    total: defaultdict[int, float] = defaultdict(float)
    for part in _JOINT.split(_CHARGE.sub("", text.strip())):
        factor, content = _FACTOR.fullmatch(part).groups()  # type: ignore[union-attr]  # matches every text
        amounts = _amounts(content)
        if amounts is None:
            return None
        for number, amount in amounts.items():
            total[number] += float(factor or 1) * amount
    positive = {number: amount for number, amount in sorted(total.items()) if amount > 0}
    return positive if positive and max(positive.values()) <= MAX_AMOUNT else None


def _amounts(text: str) -> dict[int, float] | None:
    """Amounts in a text of terms and brackets; the innermost bracket is multiplied out until none is left."""
    while group := _GROUP.search(text):
        inner = _sum_of_terms(group[1])
        if not inner:
            return None
        factor = float(group[2] or 1)
        terms = " ".join(f"{SYMBOLS[number]}{factor * amount:.12f}" for number, amount in inner.items())
        text = f"{text[: group.start()]} {terms} {text[group.end() :]}"
    return _sum_of_terms(text)


def _sum_of_terms(text: str) -> dict[int, float] | None:
    """Amounts in a text without brackets; None if it holds anything but known symbols and their amounts."""
    amounts: defaultdict[int, float] = defaultdict(float)
    position = len(text) - len(text.lstrip())
    while position < len(text):
        term = _TERM.match(text, position)
        number = _NUMBER_OF.get(term[1]) if term else None
        if term is None or number is None:
            return None
        amounts[number] += float(term[2] or 1)
        position = term.end()
    return dict(amounts)


def formula_text(amounts: Mapping[int, float]) -> str:
    """A formula as messages write it, symbols in alphabetical order, e.g. "Al2 Mg O4"."""
    parts = sorted((SYMBOLS[number], amount) for number, amount in amounts.items())
    return " ".join(symbol if amount == 1 else f"{symbol}{amount:g}" for symbol, amount in parts)
