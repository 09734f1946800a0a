"""Packed files: which compressions are read, how packed data are recognised, and how far they may unpack.

What a file is packed with is decided by its first bytes: names lie, and a packed file read as text is nonsense at best.
"""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

MAX_UNPACKING_RATIO = 200
"""Text unpacks to at most this many times its packed size (plus 1 MiB); real crystals reach 20."""

_FREE_UNPACKING = 1 << 20
_CHUNK = 1 << 16
_XZ_MEMORY_BYTES = 256 << 20
"""A crafted header may ask for 4 GiB; `xz -9` needs 65 MiB."""
_MAGIC_BYTES = 10


class UnpackingError(Exception):
    """Packed data are damaged, cut short, or packed in a way that is not read; the text says which."""


@dataclass(frozen=True)
class Compression:
    """A compression of single files.

    Attributes:
        name: for messages.
        suffix: ending of a packed file's name, in small letters; what stands before it names the format inside.
        archive_suffixes: endings of a tar that is packed so, beside `.tar` and the suffix.
        magic: the bytes with which packed data begin.
        open: from the packed stream to an object whose `read` gives at most so many unpacked bytes.
    """

    name: str
    suffix: str
    archive_suffixes: tuple[str, ...]
    magic: re.Pattern[bytes]
    open: Callable[[IO[bytes]], Any]


class _Frames:
    """Packed streams one after the other, unpacked by a decoder of the standard library.

    Args:
        stream: the packed bytes.
        new_decoder: makes the decoder of one stream.
    """

    def __init__(self, stream: IO[bytes], new_decoder: Callable[[], Any]) -> None:
        self._stream = stream
        self._new_decoder = new_decoder
        self._decoder = new_decoder()

    def read(self, size: int) -> bytes:
        """The next unpacked bytes, at most `size`; none at the end."""
        data = b""
        while not data:
            packed = self._decoder.unused_data if self._decoder.eof else b""
            if self._decoder.eof or self._decoder.needs_input:
                packed = packed or self._stream.read(_CHUNK)
                if not packed and not self._decoder.eof:
                    raise EOFError("the data end before the end of the stream")
                if not packed:
                    return b""
            if self._decoder.eof:
                self._decoder = self._new_decoder()
            data = self._decoder.decompress(packed, size)
        return data


def _open_zstd(stream: IO[bytes]) -> Any:
    import pyarrow as pa  # Python has zstd from 3.14 on; importing pyarrow costs a tenth of a second

    return pa.CompressedInputStream(stream, "zstd")


COMPRESSIONS = (
    Compression("gzip", ".gz", (".tgz",), re.compile(rb"\x1f\x8b"), lambda stream: gzip.GzipFile(fileobj=stream)),
    Compression(
        "bzip2",
        ".bz2",
        (".tbz2", ".tbz"),
        re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
        lambda stream: _Frames(stream, bz2.BZ2Decompressor),
    ),
    Compression(
        "xz",
        ".xz",
        (".txz",),
        re.compile(rb"\xfd7zXZ\x00"),
        lambda stream: _Frames(stream, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)),
    ),
    # A frame that may be skipped can stand before the first one with content.
    Compression("zstd", ".zst", (".tzst",), re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _open_zstd),
)
"""One row for each compression that is read; a new one needs nothing else."""

_UNREAD = {
    "zip archive": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
    "7z archive": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "rar archive": re.compile(rb"Rar!\x1a\x07"),
    "lzma file of the old format": re.compile(rb"\x5d\x00\x00[\x00-\xff]{2}"),
    "lz4 file": re.compile(rb"\x04\x22\x4d\x18"),
    "lzip file": re.compile(rb"LZIP[\x00\x01]"),
    "file of compress (.Z)": re.compile(rb"\x1f[\x9d\xa0]"),
}
"""What else may be packed, by its first bytes; lzma of the old format has no checksum."""


def compression_of(name: str) -> Compression | None:
    """The compression that the name of a file announces."""
    lowered = name.lower()
    return next((compression for compression in COMPRESSIONS if lowered.endswith(compression.suffix)), None)


def compression_in(start: bytes) -> Compression | None:
    """The compression of data that begin with these bytes.

    Raises:
        UnpackingError: they are packed in a way that is not read.
    """
    for name, magic in _UNREAD.items():
        if magic.match(start):
            packed = ", ".join(compression.suffix for compression in COMPRESSIONS)
            raise UnpackingError(f"a {name}, which is not read here; unpack it, or pack it as {packed}")
    return next((compression for compression in COMPRESSIONS if compression.magic.match(start)), None)


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a stream; whatever is wrong with the packed ones is an `UnpackingError`."""

    def __init__(self, stream: IO[bytes], compression: Compression) -> None:
        self._packed = stream
        self._compression = compression
        self._source: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            self._source = self._source or self._compression.open(self._packed)
            data = self._source.read(min(len(buffer), 1 << 20))
        except (EOFError, zlib.error, lzma.LZMAError, MemoryError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the machine's fault; the libraries say by an OSError without a number that data are damaged
            raise UnpackingError(f"not a complete {self._compression.name} file: {str(error)[:200]}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._packed.close()
        super().close()


def unpack_by_magic(stream: io.BufferedReader) -> io.BufferedReader:
    """The stream itself, or what is packed in it, by its first bytes.

    Raises:
        UnpackingError: it is packed in a way that is not read.
    """
    compression = compression_in(stream.peek(_MAGIC_BYTES)[:_MAGIC_BYTES])
    return stream if compression is None else io.BufferedReader(_Unpacked(stream, compression), _CHUNK)


def open_unpacked(path: Path) -> tuple[io.BufferedReader, bool]:
    """The bytes of a file, unpacked once if they are packed, and whether they were.

    Raises:
        UnpackingError: packed in a way that is not read, more than once, or not at all although the name says so.
        OSError: it cannot be read.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(path.open("rb"))
        content = stack.enter_context(unpack_by_magic(stream))
        announced = compression_of(path.name)
        if content is stream and announced is not None:
            raise UnpackingError(f"not a complete {announced.name} file: it begins with other bytes")
        if content is not stream and compression_in(content.peek(_MAGIC_BYTES)[:_MAGIC_BYTES]) is not None:
            raise UnpackingError("packed more than once; unpack it yourself")
        stack.pop_all()  # the caller closes it
    return content, content is not stream


def unpacked_limit(path: Path, max_bytes: int) -> int:
    """How many bytes a packed file may unpack to: the absolute limit, or less for a file that is small itself."""
    return min(max_bytes, MAX_UNPACKING_RATIO * path.stat().st_size + _FREE_UNPACKING)
