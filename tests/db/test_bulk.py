"""Values in parts that one statement binds: nothing is left out, and few statements are distinct."""

from hypothesis import given
from hypothesis import strategies as st

from db.bulk import MAX_VARIABLES, chunks


@given(st.integers(0, 3 * MAX_VARIABLES))
def test_parts_have_all_values_in_order_and_one_of_few_lengths(n: int) -> None:
    values = [f"gx-{k}" for k in range(n)]
    parts = list(chunks(values))
    assert list(dict.fromkeys(value for part in parts for value in part)) == values
    # a statement is kept for each length
    assert {len(part) for part in parts} <= {1 << k for k in range(MAX_VARIABLES.bit_length())}
    # no statement is much longer than what it asks for
    assert sum(map(len, parts)) < 2 * max(n, 1)
