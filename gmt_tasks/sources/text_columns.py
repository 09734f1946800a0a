"""Columns of foreign texts: numbers in decimal or Fortran notation, and element labels."""

import math
import re
from collections.abc import Sequence

import numpy as np

from gmt_tasks.sources.parsed import (
    Floats,
    Ints,
    RefusedInputError,
    atomic_number,
    is_isotope,
    isotope_notes,
)
from models.errors import Doubt, Reason

# What float() takes of these characters is a decimal number; of others it takes 1_000 and digits of every script.
_DECIMAL = re.compile(r"[0-9eE+\-. ]*")
# 1.0D+00, and 1.0-105: an exponent of three digits leaves no room for its letter.
_FORTRAN = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[dDeE]([+-]?[0-9]+)|([+-][0-9]{3}))?")
_NONFINITE = re.compile(r"[+-]?(?:nan|inf|infinity)|\*+", re.IGNORECASE)


def decimal_rows(words: Sequence[str], n_columns: int, first_line: int) -> Floats:
    """Numbers of consecutive lines.

    Args:
        words: the words of all lines, one after the other.
        n_columns: words in each line.
        first_line: 1-based line of the first word.

    Returns:
        Finite numbers, shape [n_lines, n_columns].

    Raises:
        RefusedInputError: a word is no number (`parse`); or it is NaN, infinite, too large for a float, or the stars
            that Fortran writes where a number has no room (`nonfinite`). The detail names word and line.
    """
    try:
        decimals = [*map(float, words)] if _DECIMAL.fullmatch(" ".join(words)) else []
    except ValueError:
        decimals = []
    # The sum is finite only where every term is; where it is not, each is looked at.
    if decimals and math.isfinite(sum(decimals)):
        return np.array(decimals).reshape(-1, n_columns)
    values = [*map(fortran_number, words)]
    for position, value in enumerate(values):
        if value is None or not math.isfinite(value):
            reason, kind = (Reason.PARSE, "") if value is None else (Reason.NONFINITE, "finite ")
            detail = f"line {first_line + position // n_columns}: {words[position][:40]!r} is no {kind}number"
            raise RefusedInputError(reason, detail)
    return np.array(values, dtype=np.float64).reshape(-1, n_columns)


def fortran_number(word: str) -> float | None:
    """A number as C, Python or Fortran writes it; NaN for a row of stars, None for what is no number."""
    if match := _FORTRAN.fullmatch(word):
        mantissa, exponent, bare_exponent = match.groups()
        return float(f"{mantissa}e{exponent or bare_exponent or 0}")
    if _NONFINITE.fullmatch(word):
        return math.nan if word.startswith("*") else float(word)
    return None


def element_numbers(labels: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """Atomic numbers of element symbols, whatever their case.

    Args:
        labels: one per atom or species; decorations as in `atomic_number`.

    Returns:
        Atomic numbers, shape [n_labels], 0 where a label is no element; and notes about isotopes, and about symbols in
        another case than the field's (`ga`, `AS`), which are a doubt: CA may be calcium, or a carbon of a name.
    """
    kinds = {label: atomic_number(label) or 0 for label in dict.fromkeys(labels)}
    recased = []
    for label in [label for label, number in kinds.items() if not number and label.isalpha() and label.isascii()]:
        symbol = label.capitalize()
        # A small d or t is no isotope: nobody writes it, and much else is called so.
        kinds[label] = 0 if is_isotope(symbol) else atomic_number(symbol) or 0
        if kinds[label]:
            recased.append(f"{label} as {symbol}")
    notes: tuple[str, ...] = (f"{Doubt.SPECIES}: read {', '.join(recased[:10])}",) if recased else ()
    if any(map(is_isotope, kinds)):
        notes += isotope_notes(labels)
    return np.array([kinds[label] for label in labels], dtype=np.int64), notes
