"""The best of a ranking that are unlike each other: variants of one compound do not fill a short list.

Alike are crystals of a similar composition, and more so with the same prototype (anonymous formula and space group).
The ranking is walked from the best down, and a crystal that is too much like a better one taken before it is skipped;
only where that leaves too few are the skipped ones taken, least alike first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from db.records import Floats
from models.crystals.crystal import SYMBOLS
from models.crystals.formula import formula_amounts

DIVERSITY_FIELDS = ("formula", "formula_anonymous", "spacegroup")
"""What the likeness of two crystals is computed from."""

SHORTLIST_PER_ROW = 20
"""So many rows of the ranking are looked at per row that is wanted."""

ALIKE = 0.6
"""Likeness from which on a crystal is a variant of another. Two crystals with half of their atoms in common and one
prototype have it, and so have two structures of one composition."""

PROTOTYPE_SHARE = 0.2
"""Of a likeness of 1, what the same prototype makes out."""


def diverse_rows(rows: Sequence[Mapping[str, Any]], n: int, alike: float = ALIKE) -> list[int]:
    """Chooses rows of a ranking that are unlike each other.

    Args:
        rows: best first, each with formula, formula_anonymous and spacegroup.
        n: how many to choose.
        alike: likeness from which on the worse of two is skipped, 0 to 1.

    Returns:
        Positions of the chosen rows in the order of the ranking, at most n.
    """
    likeness = likenesses(rows)
    chosen: list[int] = []
    for place in range(len(rows)):
        if len(chosen) == n:
            break
        if not chosen or likeness[place, chosen].max() < alike:
            chosen.append(place)
    # Too few: of the skipped ones always the one that is least like all that are chosen.
    skipped = [place for place in range(len(rows)) if place not in set(chosen)]
    while len(chosen) < n and skipped:
        nearest = likeness[np.ix_(skipped, chosen)].max(axis=1)
        chosen.append(skipped.pop(int(nearest.argmin())))
    return sorted(chosen)


def likenesses(rows: Sequence[Mapping[str, Any]]) -> Floats:
    """How alike every two crystals are.

    Args:
        rows: see `diverse_rows`.

    Returns:
        0 (nothing in common) to 1 (one composition and prototype), shape [n_rows, n_rows].
    """
    fractions = np.zeros((len(rows), len(SYMBOLS)))
    for place, row in enumerate(rows):
        amounts = formula_amounts(str(row["formula"]))
        fractions[place, list(amounts)] = np.array(list(amounts.values())) / sum(amounts.values())
    # Atoms in common: the overlap of two compositions is 1 where they are equal.
    common = np.array([np.minimum(fractions, one).sum(axis=1) for one in fractions]).reshape(len(rows), len(rows))
    prototypes = np.array([f"{row['formula_anonymous']} {row['spacegroup']}" for row in rows])
    same = prototypes[:, np.newaxis] == prototypes
    likeness: Floats = (1 - PROTOTYPE_SHARE) * common + PROTOTYPE_SHARE * same
    return likeness
