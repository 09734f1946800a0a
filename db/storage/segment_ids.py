"""The ids of a segment's crystals as bytes and numbers: half of their letters, and compared without making texts."""

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_KEY_BYTES = 8
_ID_PATTERN = re.compile("(gx-)?((?:[0-9a-f]{2}){8,32})")

Array = NDArray[Any]


class SegmentIds(NamedTuple):
    """The crystals of a segment: the bytes that their ids write in hexadecimal, shape [n, width]."""

    prefix: bool
    digits: NDArray[np.uint8]

    def keys(self) -> NDArray[np.uint64]:
        """Numbers in the order of the ids, shape [n]."""
        first = np.ascontiguousarray(self.digits[:, :_KEY_BYTES]).view(">u8")[:, 0].astype(np.uint64)
        return (first >> np.uint64(1)) | np.uint64(self.prefix << 63)

    def order(self) -> NDArray[np.int64]:
        """The rows in the order of their ids, shape [n]."""
        words = -(-self.digits.shape[1] // _KEY_BYTES)
        filled = np.zeros((len(self.digits), words * _KEY_BYTES), np.uint8)
        filled[:, : self.digits.shape[1]] = self.digits
        # the last key counts most
        return np.lexsort(filled.view(">u8").T[::-1])

    @staticmethod
    def join(parts: Collection["SegmentIds"]) -> "SegmentIds | None":
        """Ids one after the other; None where there are none, or of several forms, which SQL alone can search."""
        if len({(part.prefix, part.digits.shape[1]) for part in parts}) != 1:
            return None
        return SegmentIds(next(iter(parts)).prefix, np.concatenate([part.digits for part in parts]))

    def texts(self, rows: Array) -> list[str]:
        """The ids of some rows."""
        prefix = "gx-" if self.prefix else ""
        return [prefix + digits.tobytes().hex() for digits in self.digits[rows]]


def ids_of(texts: Sequence[str]) -> SegmentIds | None:
    """Ids as bytes; None where they are not of one form, and then only SQL can search them."""
    matches = [_ID_PATTERN.fullmatch(text) for text in texts]
    forms = {(match[1], len(match[2])) if match else None for match in matches}
    if len(forms) != 1 or None in forms:
        return None
    digits = b"".join(bytes.fromhex(match[2]) for match in matches if match)
    return SegmentIds(bool(matches[0] and matches[0][1]), np.frombuffer(digits, np.uint8).reshape(len(texts), -1))


def encode_ids(ids: SegmentIds | None) -> bytes:
    """Ids as bytes; nothing where only SQL can search them."""
    return b"" if ids is None else bytes([ids.prefix, ids.digits.shape[1]]) + ids.digits.tobytes()


def decode_ids(data: bytes) -> SegmentIds | None:
    """What `encode_ids` was given."""
    return SegmentIds(bool(data[0]), np.frombuffer(data, np.uint8, -1, 2).reshape(-1, data[1])) if data else None
