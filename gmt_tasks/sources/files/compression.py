"""Packed files: which compressions are read, and how far a packed file may unpack."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MAX_UNPACKING_RATIO = 200
"""Text unpacks to at most this many times its packed size (plus 1 MiB); real crystals reach 20."""

_FREE_UNPACKING = 1 << 20


@dataclass(frozen=True)
class Compression:
    """A compression of single files.

    Attributes:
        name: for messages.
        suffix: ending of a packed file's name, in small letters; what stands before it names the format inside.
        magic: the bytes with which packed data begin.
        open: gives the unpacked stream of a path or of a stream.
        faults: what reading a damaged stream raises.
    """

    name: str
    suffix: str
    magic: bytes
    open: Callable[[Any], Any]
    faults: tuple[type[Exception], ...]


COMPRESSIONS = (Compression("gzip", ".gz", b"\x1f\x8b", gzip.open, (gzip.BadGzipFile, EOFError, zlib.error)),)
"""One row for each compression that is read; a new one needs nothing else."""

FAULTS: tuple[type[Exception], ...] = tuple(fault for compression in COMPRESSIONS for fault in compression.faults)


def compression_of(name: str) -> Compression | None:
    """The compression that the name of a file announces."""
    lowered = name.lower()
    return next((compression for compression in COMPRESSIONS if lowered.endswith(compression.suffix)), None)


def open_unpacked(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked if its name announces a compression."""
    compression = compression_of(path.name)
    stream: IO[bytes] = path.open("rb") if compression is None else compression.open(path)
    return stream


def unpack_by_magic(stream: IO[bytes]) -> IO[bytes]:
    """The stream itself, or what is packed in it, by its first bytes: names of archives often lie."""
    longest = max(len(compression.magic) for compression in COMPRESSIONS)
    start = stream.read(longest)
    stream.seek(0)
    for compression in COMPRESSIONS:
        if start.startswith(compression.magic):
            unpacked: IO[bytes] = compression.open(stream)
            return unpacked
    return stream


def unpacked_limit(path: Path, max_bytes: int) -> int:
    """How many bytes a packed file may unpack to: the absolute limit, or less for a file that is small itself."""
    return min(max_bytes, MAX_UNPACKING_RATIO * path.stat().st_size + _FREE_UNPACKING)
