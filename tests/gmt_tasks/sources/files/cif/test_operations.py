"""Operations as text: what they mean, and that nothing else is taken for one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmt_tasks.sources.files.cif.items import Items
from gmt_tasks.sources.files.cif.operations import listed_operations, parse_operation

ROWS = st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3).filter(any)


@given(st.lists(ROWS, min_size=3, max_size=3), st.lists(st.integers(0, 23), min_size=3, max_size=3), st.booleans())
def test_an_operation_that_was_written_is_read_back(rows: list[list[int]], steps: list[int], shift_first: bool) -> None:
    parts = []
    for row, step in zip(rows, steps, strict=True):
        letters = "".join(f"{'+' if sign > 0 else '-'}{axis}" for sign, axis in zip(row, "xyz", strict=True) if sign)
        parts.append(f"{step}/24{letters}" if shift_first and step else letters + (f" + {step}/24" if step else ""))
    parsed = parse_operation(", ".join(parts).upper())
    assert parsed is not None
    assert np.reshape(parsed[:9], (3, 3)).tolist() == rows
    assert np.allclose(parsed[9:], np.array(steps) / 24)


@given(st.text("xyz+-/,0123456789. m", max_size=30))
def test_any_text_is_an_operation_or_none(text: str) -> None:
    parsed = parse_operation(text)
    assert parsed is None or (len(parsed) == 12 and np.isfinite(parsed).all())


def test_decimals_of_thirds_and_time_reversal_are_understood() -> None:
    assert parse_operation("x+0.333,y+.667,z-1/3") == parse_operation("x+1/3,y+2/3,z+2/3")
    assert parse_operation("-x,y+1/2,-z,-1") == parse_operation("-x,1/2+y,-z")


def test_what_is_no_operation_is_none() -> None:
    for text in ("", "x,y", "x,y,z,w", "x y z", "x,,z", "xy,z,x", "x+1/0,y,z,5", "a,b,c", "x,y,z" + " " * 300):
        assert parse_operation(text) is None, text


def items(loop: str) -> Items:
    return Items(f"data_x\nloop_\n_symmetry_equiv_pos_as_xyz\n{loop}\n", 1)


def test_a_missing_identity_is_added_and_a_doubled_operation_dropped() -> None:
    found = listed_operations(items("-x,-y,-z\n-x,-y,-z"))
    assert found is not None and found.n_ops == 2 and found.is_group


def test_operations_with_blanks_and_without_quotes_are_joined_again() -> None:
    found = listed_operations(items("x, y, z\n-x, y+1/2, -z+1/2\n-x, -y, -z\nx, -y+1/2, z+1/2"))
    assert found is not None and found.n_ops == 4 and found.is_group
