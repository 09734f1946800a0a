"""The Pareto front against its definition, and lists of hits that are unlike each other."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from db.query.diversity import ALIKE, diverse_rows, likenesses
from db.query.pareto import Sense, pareto_front

NUMBERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6) | st.just(math.nan)), max_size=20)


@given(NUMBERS, st.sampled_from(Sense), st.sampled_from(Sense))
def test_the_front_is_what_no_row_dominates(pairs: list[tuple[float, float]], x: Sense, y: Sense) -> None:
    signs = [1 if sense is Sense.MAX else -1 for sense in (x, y)]
    good = [(signs[0] * a, signs[1] * b) for a, b in pairs]

    def beaten(row: tuple[float, float]) -> bool:
        return any(o[0] >= row[0] and o[1] >= row[1] and o != row for o in good)

    front = pareto_front([a for a, _ in pairs], [b for _, b in pairs], x, y)
    assert sorted(front) == [k for k, row in enumerate(good) if not math.isnan(row[1]) and not beaten(row)]
    assert [good[k][0] for k in front] == sorted((good[k][0] for k in front), reverse=True)


ROWS = [
    {"formula": formula, "formula_anonymous": anonymous, "spacegroup": spacegroup}
    for formula, anonymous, spacegroup in (
        ("AlN", "AB", 186), ("AlN", "AB", 216), ("GaN", "AB", 186), ("O2Si", "A2B", 152), ("O2Si", "A2B", 180),
        ("O3PbTi", "A3BC", 99),
    )
]  # fmt: skip


def test_variants_of_a_better_hit_are_skipped_and_taken_only_where_rows_are_missing() -> None:
    assert diverse_rows(ROWS, 3) == [0, 3, 5]
    assert diverse_rows(ROWS, 2) == [0, 3]
    # the variant that is least like all others comes back first
    assert diverse_rows(ROWS, 4) in ([0, 2, 3, 5], [0, 1, 3, 5], [0, 3, 4, 5])
    assert diverse_rows(ROWS, 9) == list(range(6))
    assert diverse_rows([], 3) == []


def test_likeness_is_symmetric_and_one_for_the_same() -> None:
    likeness = likenesses(ROWS)
    assert np.allclose(likeness, likeness.T)
    assert np.allclose(np.diag(likeness), 1)
    assert likeness[0, 1] >= ALIKE > likeness[0, 3]
    assert likeness[0, 3] == 0
