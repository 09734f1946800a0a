"""How values lie on the disk in few bytes: numbers as float32, tensors as independent components, deflated texts.

Every form reads back to what was written: tensors and arrays bit by bit, but that the two sides of an index symmetry
become equal where they differed by rounding. Forms of stored databases never change; a new one gets a new tag.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quantities import TENSORS, Tensor

PLAIN, DEFLATED, COMPONENTS = b"\0", b"\1", b"\2"
"""First byte of a packed value: as it is, deflated, or independent components that are not zero."""

ROUNDING = 1e-9
"""Relative difference of two entries that index symmetry makes equal, up to which it is rounding."""

_SINGLE, _BITS, _SIGN = struct.Struct("<f"), struct.Struct("<i"), 0x7FFFFFFF
_MAX_SINGLE = float(np.finfo(np.float32).max)
_TINY, _SMALL = 24, 512

# What texts of inputs and results often hold, the most frequent last. Part of the form: never change it.
_DICTIONARY = (
    b'{"notes": ["isotope_merged: composition_doubt: species_doubt: symmetry_doubt: cell_doubt: periodicity_doubt: '
    b'"metadata", "source": "val test train", "material_id": "mp-", "band_gap": "energy_per_atom": "nsites": '
    b'"volume_per_atom": "e_above_hull": "e_form": -0."formation_energy_per_atom": {"source": ", "formula": '
    b'"spacegroup": , "nsites": , "volume_per_atom": , "e_above_hull": , "e_form": -'
    b'["near-symmetric: the space group depends on the tolerance ( at 0.001,  at 0.01,  at 0.1 angstrom); another would'
    b" change piezoelectric by  dielectric_total by  elastic_voigt by  dielectric_electronic by 100 %"
    b'", "the overall sign of e is uncertain: 2 of 3 of 4 networks agree on it", "'
    b'["unlike the training data: 99. % of held-out crystals are nearer to it, so errors may be larger than the '
    b'intervals say"]["probably a metal (predicted band gap 0.00 eV): dielectric and piezoelectric tensors have no '
    b'meaning"]'
)


def order_code(value: float) -> float:
    """A number that orders as the value does: an integer for each float32, the middle between two for what is not one.

    SQLite keeps the integers in one to four bytes, where a float takes eight, and compares, sorts and indexes them. A
    literal between two float32 compares with both as it should. Both zeros are 0.
    """
    if abs(value) > _MAX_SINGLE:
        return math.copysign(_BITS.unpack(_SINGLE.pack(_MAX_SINGLE))[0] + 0.5, value)
    single = _SINGLE.pack(value)
    bits: int = _BITS.unpack(single)[0]
    code = bits if bits >= 0 else -(bits & _SIGN)
    nearest: float = _SINGLE.unpack(single)[0]
    return code if nearest == value else code + (0.5 if nearest < value else -0.5)


def order_codes(values: Sequence[float | None] | NDArray[np.float64]) -> list[Any]:
    """`order_code` of many values at once; None and NaN become None.

    Args:
        values: numbers, or an array of any shape; the lists have that of the array.
    """
    array = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        singles = array.astype(np.float32)
    bits = singles.view(np.int32).astype(np.int64)
    codes = np.where(bits >= 0, bits, -(bits & _SIGN))
    exact, unknown = np.isfinite(singles) & (singles == array), np.isnan(array)
    if exact.all():
        return list(codes.tolist())
    objects = codes.astype(object)
    objects[unknown] = None
    for place in np.argwhere(~exact & ~unknown).tolist():
        objects[tuple(place)] = order_code(float(array[tuple(place)]))
    return list(objects.tolist())


def nearest_single(value: float) -> float:
    """The float32 nearest to a value."""
    single: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    return single


def from_order_code(code: int) -> float:
    """The float32 that an integer code stands for."""
    value: float = _SINGLE.unpack(_BITS.pack(abs(code)))[0]
    return value if code >= 0 else -value


def from_order_codes(codes: NDArray[np.float64]) -> NDArray[np.float32]:
    """The float32 that integer codes stand for, NaN for NaN, shape as given."""
    known = ~np.isnan(codes)
    whole = np.where(known, codes, 0).astype(np.int64)
    singles = np.abs(whole).astype(np.int32).view(np.float32)
    return np.where(known, np.where(whole < 0, -singles, singles), np.float32(np.nan))


def single_below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each value, shape as given."""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def rounded_single(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values as float32 keeps them; a lower end is never raised, an upper end never lowered.

    Args:
        name: of the column: `_lo` and `_hi` end the names of ends of intervals.
        values: shape [n_crystals]; what float32 cannot hold becomes NaN.
    """
    rounded: NDArray[np.float64] = rounded_singles([name], values[None])[0]
    return rounded


def rounded_singles(names: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`rounded_single` of many columns, shape [n_columns, n_crystals]."""
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
    lower = [k for k, name in enumerate(names) if name.endswith("_lo")]
    upper = [k for k, name in enumerate(names) if name.endswith("_hi")]
    singles[lower], singles[upper] = single_below(values[lower]), -single_below(-values[upper])
    return np.where(np.isfinite(singles), singles, np.nan).astype(np.float64)


def deflate(content: bytes, dictionary: bytes = b"", *, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    """The content in fewer bytes, or as it is where that takes no more or would save a handful.

    Args:
        content: any bytes.
        dictionary: what `inflate` is given, too.
        strategy: of zlib; `inflate` reads them all.
    """
    if len(content) <= _TINY and not dictionary:
        return PLAIN + content
    # small contents come out the same from small tables, which are cleared sooner
    memory = 5 if len(content) <= _SMALL else 9
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15, memory, strategy, dictionary)
    packed = compressor.compress(content) + compressor.flush()
    return DEFLATED + packed if len(packed) < len(content) else PLAIN + content


def inflate(packed: bytes, dictionary: bytes = b"") -> bytes:
    """What `deflate` was given."""
    if packed[:1] == PLAIN:
        return packed[1:]
    return zlib.decompressobj(-15, dictionary).decompress(packed[1:])


def pack_text(text: str) -> bytes:
    """A text of an input or a result in few bytes."""
    return deflate(text.encode(), _DICTIONARY)


def unpack_text(packed: bytes) -> str:
    """What `pack_text` was given."""
    return inflate(packed, _DICTIONARY).decode()


@cache
def _upper_triangle(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.triu_indices(n)
    return rows, columns


def pack_tensor(tensor: Tensor, content: bytes) -> bytes:
    """A tensor (little-endian float64) as its independent components that are not zero.

    The last two indices of every stored tensor are symmetric. A tensor that is not keeps all of its components.
    """
    return pack_tensors(tensor, [content])[0]


def pack_tensors(tensor: Tensor, contents: Sequence[bytes]) -> list[bytes]:
    """`pack_tensor` of many."""
    full = np.frombuffer(b"".join(contents), "<f8").reshape(len(contents), *TENSORS[tensor].shape)
    mirrored, entries = full.swapaxes(-1, -2), tuple(range(1, full.ndim))
    apart = np.abs(full - mirrored).max(axis=entries)
    symmetric = apart <= ROUNDING * np.abs(full).max(axis=entries)
    rows, columns = _upper_triangle(full.shape[-1])
    # the mean of equal numbers is that number; what is symmetric as it is stays so, too large numbers included
    means = np.where((apart > 0).reshape(-1, *[1] * (full.ndim - 1)), 0.5 * (full + mirrored), full)
    components = means[..., rows, columns].reshape(len(contents), -1)
    # by its bits: a negative zero is kept
    nonzero = np.ascontiguousarray(components).view("<i8") != 0
    masks = np.packbits(nonzero, axis=1)
    return [
        COMPONENTS + masks[k].tobytes() + components[k][nonzero[k]].tobytes() if symmetric[k] else PLAIN + content
        for k, content in enumerate(contents)
    ]


def unpack_tensor(tensor: Tensor, packed: bytes) -> bytes:
    """The tensor as little-endian float64, all of its components."""
    if packed.startswith(PLAIN):
        return packed[1:]
    shape = TENSORS[tensor].shape
    rows, columns = _upper_triangle(shape[-1])
    n_components = TENSORS[tensor].n_components
    n_mask = (n_components + 7) // 8
    nonzero = np.unpackbits(np.frombuffer(packed, np.uint8, n_mask, 1), count=n_components).astype(bool)
    components = np.zeros(n_components)
    components[nonzero] = np.frombuffer(packed, "<f8", -1, 1 + n_mask)
    full: NDArray[np.float64] = np.zeros(shape)
    full[..., rows, columns] = full[..., columns, rows] = components.reshape(*shape[:-2], -1)
    content: bytes = np.ascontiguousarray(full, "<f8").tobytes()
    return content
