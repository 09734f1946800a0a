"""Pickles are read as data: numbers and crystals come out as they went in, everything else is refused by name."""

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from gmt_tasks.sources.remote.safe_unpickler import PickledObject, load_pickle_safely, read_pickle_safely
from models.errors import SourceError

PROTOCOLS = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


class Calls:
    """Pickles as a call of a function: what a hostile file does."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@PROTOCOLS
def test_containers_texts_and_numbers_come_out_as_they_went_in(protocol: int) -> None:
    value = [{"a": [1, -2.5, True, None], "b": ("x", b"raw", 2**70)}, OrderedDict(c=1), [[]], ()]
    assert load_pickle_safely(pickle.dumps(value, protocol), "x") == value


@PROTOCOLS
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(4, dtype=">f4"),
        np.array([True, False]),
        np.zeros((0, 3)),
        np.arange(24, dtype=np.int8).reshape(2, 3, 4)[:, ::2],
    ],
    ids=["C order", "Fortran order", "big endian", "flags", "empty", "strided"],
)
def test_arrays_of_numbers_come_out_as_they_went_in(array: np.ndarray, protocol: int) -> None:
    found = load_pickle_safely(pickle.dumps({"x": (array,)}, protocol), "x")["x"][0]
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, array)


@PROTOCOLS
def test_numpy_scalars_become_plain_numbers(protocol: int) -> None:
    found = load_pickle_safely(pickle.dumps([np.float64(0.1), np.int32(-7), np.bool_(True)], protocol), "x")
    assert found == [0.1, -7, True]
    assert not any(isinstance(each, np.generic) for each in found)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_structure_becomes_a_record_without_behaviour(protocol: int) -> None:
    structure = Structure(Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    found = load_pickle_safely(pickle.dumps(structure, protocol), "x")
    assert isinstance(found, PickledObject)
    assert found.class_name == "pymatgen.core.structure.Structure"
    assert not isinstance(found, Structure) and not hasattr(found, "get_space_group_info")
    np.testing.assert_array_equal(found.state["_lattice"].state["_matrix"], 4.2 * np.eye(3))


def test_shared_and_circular_containers_stay_what_they_are() -> None:
    shared = [np.arange(3.0)]
    circle: list[Any] = [shared, shared]
    circle.append(circle)
    found = load_pickle_safely(pickle.dumps(circle), "x")
    assert found[0] is found[1] and found[2] is found
    np.testing.assert_array_equal(found[0][0], [0.0, 1.0, 2.0])


@PROTOCOLS
@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (os.system, "echo executed > '{marker}'"),
        (eval, "open(r'{marker}', 'w')"),
        (open, "{marker}"),
        (np.load, "{marker}"),
        (bytearray, "{marker}"),
        (Fraction, "1/2"),
    ],
    ids=["os.system", "eval", "open", "numpy.load", "bytearray", "any other class"],
)
def test_a_hostile_pickle_is_refused_by_name_and_nothing_in_it_runs(
    function: Callable[..., Any], argument: str, protocol: int, tmp_path: Path
) -> None:
    marker, path = tmp_path / "executed", tmp_path / "jarvis_elastic.pkl"
    path.write_bytes(pickle.dumps([{"atoms": Calls(function, argument.format(marker=marker))}], protocol))
    with pytest.raises(SourceError, match=rf"jarvis_elastic.pkl was refused: it asks for \w+\.{function.__name__}, "):
        read_pickle_safely(path)
    assert not marker.exists()


def test_the_usual_reader_would_run_it(tmp_path: Path) -> None:
    """Negative control: the same bytes do harm where they are trusted."""
    marker = tmp_path / "executed"
    data = pickle.dumps(Calls(os.system, f"echo executed > '{marker}'"))
    with pytest.raises(SourceError):
        load_pickle_safely(data, "x")
    assert not marker.exists()
    pickle.loads(data)  # noqa: S301 -- the point of this test
    assert marker.exists()


def opcodes(*lines: bytes) -> bytes:
    return b"".join(lines) + b"."


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (opcodes(b"cnumpy._core.multiarray\n_reconstruct.__globals__\n"), "__globals__"),
        (opcodes(b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93"), "ndarray.__init__"),
        (opcodes(b"cnumpy\ndtype\n(S'O'\ntR"), "numbers of fixed size"),
        (opcodes(b"cnumpy\ndtype\n(S'V8'\ntR"), "numbers of fixed size"),
        (opcodes(b"cnumpy\ndtype\n(S'f8'\ntR(I3\nS'|'\nN(S'a'\ntNI8\nI1\nI0\ntb"), "fields"),
        (opcodes(b"P0\n"), "outside object"),
        (opcodes(b"c_codecs\nencode\n(Vx\nS'zip'\ntR"), "encoding"),
        (opcodes(b"cnumpy\ndtype\n(S'f8'\ntR"), "outside an array"),
        (opcodes(b"(lcnumpy._core.multiarray\n_reconstruct\na"), "outside an array"),
        (
            opcodes(b"cnumpy._core.multiarray\n_reconstruct\n(tR(I1\n(I9\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS'ab'\ntb"),
            "bytes",
        ),
    ],
    ids=["dotted", "dotted, new", "objects", "void", "fields", "persistent", "codec", "type", "function", "no bytes"],
)
def test_forged_pickles_are_refused_with_a_reason(data: bytes, why: str) -> None:
    pickletools.genops(io.BytesIO(data))
    with pytest.raises(SourceError, match=why):
        load_pickle_safely(data, "forged.pkl")


def test_an_array_that_claims_more_than_its_bytes_is_refused() -> None:
    honest = pickle.dumps(np.arange(3.0), protocol=2)
    assert honest.count(b"K\x03\x85") == 1
    with pytest.raises(SourceError, match=r"shape \[9\] and type f8 comes with 24 bytes"):
        load_pickle_safely(honest.replace(b"K\x03\x85", b"K\x09\x85"), "forged.pkl")
    with pytest.raises(SourceError, match="only numbers"):
        load_pickle_safely(pickle.dumps(np.array([Fraction(1, 2)], dtype=object)), "objects.pkl")


@pytest.mark.parametrize("data", [b"", b"not a pickle", pickle.dumps([1, 2, 3])[:-2], b"\x80\x04(((((" + b"." * 3])
def test_what_is_no_whole_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError, match=r"x\.pkl is no readable pickle"):
        load_pickle_safely(data, "x.pkl")
