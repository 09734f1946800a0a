"""Pickles read as data: nothing that a file names is executed or imported.

A pickle is a program; the usual reader lets it call any function of any installed package. Here every name that a file
mentions is looked up in a closed list, and behind each name stands a class of ours without behaviour, not the real one:

* numpy arrays and scalars: numbers of fixed size only, with as many bytes as their shape says. numpy's own reader is
  not used, since a forged type can make it take raw bytes for object pointers;
* crystals as JARVIS and pymatgen pickle them: `PickledObject`, a record of what the file says about the object;
* plain containers.

Everything else is refused with the name that the file asked for.
Source of the danger and of the remedy: Python documentation, pickle, "Restricting Globals".
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import SourceError

_NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
_BYTE_ORDERS = frozenset({"<", ">", "=", "|"})
_LEAVES = (bool, int, float, str, bytes)
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    MemoryError,
)
"""What reading a damaged or crafted pickle may raise."""


class _RefusedPickleError(Exception):
    """The file asks for something that data does not need; the text says what."""


class PickledObject:
    """What a file says about an object of a foreign class. It can do nothing.

    Attributes:
        class_name: module and class that the file names.
        arguments: what the file passes to the constructor.
        state: the attributes that it sets.
    """

    class_name = ""
    arguments: tuple[Any, ...]
    state: dict[str, Any]

    def __new__(cls, *arguments: Any) -> "PickledObject":
        """An object, whether the file calls the class or its `__new__`."""
        pickled = super().__new__(cls)
        pickled.arguments, pickled.state = arguments, {}
        return pickled

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.state.update(part)


class _Array:
    """A numpy array under construction: empty until the file sets its state."""

    def __init__(self, value: NDArray[Any] | None = None) -> None:
        self.value = np.zeros(0) if value is None else value

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _RefusedPickleError("an array has a state of unknown form")
        _, shape, kind, fortran, raw = state
        self.value = _from_bytes(raw, kind, shape, "F" if fortran else "C")


class _Type:
    """The type of an array's numbers."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        if not isinstance(code, str) or code not in _NUMBERS:
            raise _RefusedPickleError(f"an array holds {code!r:.40}; only numbers of fixed size are read")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in _BYTE_ORDERS:
            raise _RefusedPickleError("the type of an array has a state of unknown form")
        if any(part is not None for part in state[2:5]):
            raise _RefusedPickleError("an array has fields; only plain numbers are read")
        self.order = state[1]


def _from_bytes(raw: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    """The array, after its size was checked against its bytes."""
    if not isinstance(kind, _Type) or not isinstance(raw, (bytes, bytearray)) or not isinstance(shape, tuple):
        raise _RefusedPickleError("an array is not made of bytes, a type of numbers and a shape")
    if len(shape) > 8 or not all(isinstance(n, int) and 0 <= n < 2**31 for n in shape):
        raise _RefusedPickleError(f"an array has the shape {shape!r:.40}")
    numbers = np.dtype(kind.order + kind.code)
    if math.prod(shape) * numbers.itemsize != len(raw):
        raise _RefusedPickleError(f"an array of shape {list(shape)} and type {kind.code} comes with {len(raw)} bytes")
    return np.frombuffer(raw, dtype=numbers).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes as protocols 0 to 2 write them; other codecs could unpack an archive."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _RefusedPickleError(f"bytes are written in the encoding {encoding!r:.20}")
    return text.encode("latin1")


_NUMPY: dict[str, Callable[..., Any]] = {
    # Arrays get their content as a state, later: the arguments say nothing.
    "_reconstruct": lambda *_arguments: _Array(),
    "ndarray": lambda *_arguments: _Array(),
    "dtype": _Type,
    "scalar": lambda kind, raw: _from_bytes(raw, kind, (), "C").item(),
    "_frombuffer": lambda raw, kind, shape, order: _Array(_from_bytes(raw, kind, shape, order)),
}
_NUMPY_MODULES = frozenset(
    {"numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"}
)
_PLAIN: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("builtins", "tuple"): tuple,
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _encode,
    # How protocols 0 to 2 write no bytes; with an argument, the real one would allocate as much as it says.
    ("builtins", "bytes"): lambda: b"",
    ("__builtin__", "bytes"): lambda: b"",
}
_CRYSTALS = frozenset(
    {
        ("jarvis.core.atoms", "Atoms"),
        ("jarvis.core.lattice", "Lattice"),
        ("pymatgen.core.structure", "Structure"),
        ("pymatgen.core.lattice", "Lattice"),
        ("pymatgen.core.sites", "PeriodicSite"),
        ("pymatgen.core.composition", "Composition"),
        ("pymatgen.core.periodic_table", "Element"),
    }
)


class _Reader(pickle.Unpickler):
    """Looks up every name in the closed list."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in the file; refuses a name that is not in the list."""
        if (module, name) in _CRYSTALS:
            return type(name, (PickledObject,), {"class_name": f"{module}.{name}"})
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _NUMPY[name]
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        raise _RefusedPickleError(f"it asks for {module}.{name}, which is no data")

    def persistent_load(self, pid: Any) -> Any:
        """Refuses what lies outside of the file."""
        raise _RefusedPickleError(f"it asks for the outside object {pid!r:.40}")


def load_pickle_safely(data: bytes, name: str) -> Any:
    """The content of a pickle: containers, texts, numbers, numpy arrays of numbers and `PickledObject` records.

    Args:
        data: the bytes of the file.
        name: of the file, for the error.

    Raises:
        SourceError: the file asks for anything else, or is no whole pickle; nothing of it was executed.
    """
    try:
        return _decoded(_Reader(io.BytesIO(data)).load(), {})
    except _RefusedPickleError as error:
        raise SourceError(
            f"{name} was refused: {error}. Nothing in it was executed. Pickles are read as numbers, texts, lists and "
            "crystals only; write the records as JSON instead."
        ) from error
    except _BROKEN as error:
        raise SourceError(
            f"{name} is no readable pickle ({type(error).__name__}: {error}). Copy the file again, or write the "
            "records as JSON."
        ) from error


def read_pickle_safely(path: Path) -> Any:
    """`load_pickle_safely` of a file."""
    return load_pickle_safely(path.read_bytes(), path.name)


def _decoded(value: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    """The value with real arrays; each container is visited once, however often it occurs.

    Args:
        value: what the reader made.
        seen: containers done, by identity: the container (kept, so that its identity stays its own) and the result.
    """
    if isinstance(value, _Array):
        return value.value
    if value is None or isinstance(value, _LEAVES):
        return value
    if not isinstance(value, (list, dict, tuple, PickledObject)):
        raise _RefusedPickleError(f"it holds a {type(value).__name__} outside an array or a crystal")
    if id(value) in seen:
        return seen[id(value)][1]
    if isinstance(value, tuple):
        decoded = tuple(_decoded(part, seen) for part in value)
        seen[id(value)] = value, decoded
        return decoded
    seen[id(value)] = value, value  # before its content, which may hold it again
    if isinstance(value, list):
        value[:] = [_decoded(part, seen) for part in value]
        return value
    if isinstance(value, PickledObject):
        value.arguments = _decoded(value.arguments, seen)
    content = value.state if isinstance(value, PickledObject) else value
    for key in content:
        content[key] = _decoded(content[key], seen)
    return value
