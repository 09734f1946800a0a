"""Packed values read back to what they were, and order as they did."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from db import segments
from db.storage.packing import (
    deflate,
    from_order_code,
    from_order_codes,
    inflate,
    nearest_single,
    order_code,
    pack_tensor,
    pack_text,
    rounded_single,
    unpack_tensor,
    unpack_text,
)
from db.storage.segment_ids import decode_ids, encode_ids, ids_of
from models.quantities import TENSORS, Tensor

numbers = st.floats(allow_nan=False, allow_infinity=False)
singles = st.floats(allow_nan=False, allow_infinity=False, width=32)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(one=singles, other=singles)
def test_codes_of_singles_are_integers_in_their_order_and_read_back(one: float, other: float) -> None:
    assert isinstance(order_code(one), int)
    assert from_order_code(int(order_code(one))) == one
    assert from_order_codes(np.array([order_code(one), np.nan, order_code(other)])).tolist()[::2] == [one, other]
    assert (order_code(one) < order_code(other)) == (one < other)
    assert (order_code(one) == order_code(other)) == (one == other)


@given(held=singles, literal=numbers)
def test_a_literal_that_no_single_holds_compares_as_it_does_unrounded(held: float, literal: float) -> None:
    assert (order_code(held) < order_code(literal)) == (held < literal)
    assert (order_code(held) > order_code(literal)) == (held > literal)


@pytest.mark.parametrize("literal", [3.5e38, -3.5e38, 1e300, 0.1, -1e-300])
def test_literals_beyond_and_between_singles_equal_none(literal: float) -> None:
    assert order_code(literal) % 1 == 0.5


@given(arrays.arrays(np.float64, 5, elements=st.floats(-1e30, 1e30)))
def test_ends_of_intervals_are_rounded_outwards(values: np.ndarray) -> None:
    lower, upper = (rounded_single(f"k_vrh_gpa_{end}", values) for end in ("lo", "hi"))
    assert (lower <= values).all()
    assert (values <= upper).all()
    for ends in (lower, upper):
        assert (ends == ends.astype(np.float32)).all()
        assert np.allclose(ends, values, rtol=2e-7, atol=1e-44)


def test_what_float32_cannot_hold_is_unknown() -> None:
    assert np.isnan(rounded_single("k_vrh_gpa", np.array([1e300, np.nan, np.inf]))).all()


@given(tensor=st.sampled_from(Tensor), data=st.data())
def test_symmetric_tensors_read_back_bit_by_bit_with_their_zeros(tensor: Tensor, data: st.DataObject) -> None:
    entries = st.sampled_from([0.0, -0.0]) | st.floats(-1e3, 1e3)
    given_tensor = data.draw(arrays.arrays("<f8", TENSORS[tensor].shape, elements=entries))
    rows, columns = np.triu_indices(given_tensor.shape[-1])
    given_tensor[..., columns, rows] = given_tensor[..., rows, columns]
    content = given_tensor.tobytes()
    packed = pack_tensor(tensor, content)
    assert unpack_tensor(tensor, packed) == content
    assert len(packed) <= 8 * TENSORS[tensor].n_components + 4


def test_an_asymmetric_tensor_keeps_every_entry_and_rounding_is_no_asymmetry() -> None:
    asymmetric = np.arange(9.0)
    assert unpack_tensor(Tensor.DIELECTRIC_TOTAL, pack_tensor(Tensor.DIELECTRIC_TOTAL, asymmetric.tobytes())) == (
        asymmetric.tobytes()
    )
    rounded = np.eye(3)
    rounded[0, 1] = math.ulp(1.0)
    packed = pack_tensor(Tensor.DIELECTRIC_TOTAL, rounded.tobytes())
    assert len(packed) < 48
    assert np.allclose(np.frombuffer(unpack_tensor(Tensor.DIELECTRIC_TOTAL, packed)).reshape(3, 3), rounded, atol=1e-15)


@given(content=st.binary(), text=texts)
def test_bytes_and_texts_read_back(content: bytes, text: str) -> None:
    assert inflate(deflate(content)) == content
    assert len(deflate(content)) <= len(content) + 1
    assert unpack_text(pack_text(text)) == text


def test_the_form_of_stored_texts_never_changes() -> None:
    # bytes as a database holds them: another dictionary would make them unreadable
    text = json.dumps({"formula": "AlN", "nsites": 4, "notes": ["symmetry_doubt: no space group"]})
    assert unpack_text(bytes.fromhex(STORED)) == text


STORED = "01ab464e558e397e4ac889c904c4816751f40c073406298d28c5d60200"


@given(values=st.lists(st.none() | singles, min_size=1), names=st.lists(st.none() | texts, min_size=1))
def test_columns_read_back(values: list[float | None], names: list[str | None]) -> None:
    column = segments.decode("k_vrh_gpa", segments.encode(segments.column_of("k_vrh_gpa", values)))
    assert [None if math.isnan(value) else value for value in column.values.tolist()] == values
    column = segments.decode("point_group", segments.encode(segments.column_of("point_group", names)))
    assert column.texts is not None
    assert [None if place < 0 else column.texts[place] for place in column.values.tolist()] == names


@given(st.lists(st.binary(min_size=10, max_size=10), min_size=2, unique=True))
def test_keys_order_as_ids_do(contents: list[bytes]) -> None:
    ids = sorted("gx-" + content.hex() for content in contents)
    packed = decode_ids(encode_ids(ids_of(ids)))
    assert packed is not None
    assert packed.texts(np.arange(len(ids))) == ids
    assert (np.diff(packed.keys().astype(object)) >= 0).all()


def test_ids_of_two_forms_are_left_to_sql() -> None:
    assert ids_of(["gx-" + "0" * 20, "0" * 20]) is None
    assert ids_of(["quartz"]) is None


def test_nearest_single_is_the_one_that_numpy_gives() -> None:
    assert nearest_single(0.1) == float(np.float32(0.1))
