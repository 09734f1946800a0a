"""Bytes of a file as text or as lines, within bounds and in linear time: nothing here interprets them."""

from collections.abc import Iterator
from pathlib import Path

from gmt_tasks.sources.files.compression import (
    MAX_UNPACKING_RATIO,
    UnpackingError,
    open_unpacked,
    unpacked_limit,
)
from gmt_tasks.sources.parsed import Refusal, RefusedInputError
from models.errors import Reason

_NO_LIMIT = 1 << 62


def read_bytes(path: Path, max_text_bytes: int) -> bytes:
    """The whole file, unpacked.

    Raises:
        RefusedInputError: too large (`too_large`), a bad or suspicious packed file (`archive`), unreadable (`parse`).
    """
    try:
        size = path.stat().st_size
        stream, is_packed = open_unpacked(path)
        with stream:
            if not is_packed and size > max_text_bytes:
                raise RefusedInputError(Reason.TOO_LARGE, f"a text of {size} bytes, limit {max_text_bytes}")
            limit = unpacked_limit(path, max_text_bytes) if is_packed else max_text_bytes
            data = stream.read(limit + 1) if is_packed else stream.read()
        if len(data) > limit:
            raise RefusedInputError(Reason.ARCHIVE, f"{size} bytes unpack to more than {limit}")
        return data
    except UnpackingError as error:
        raise RefusedInputError(Reason.ARCHIVE, str(error)) from error
    except OSError as error:
        raise RefusedInputError(Reason.PARSE, f"cannot be read: {error.strerror or error}") from error


def decode_text(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Text of a file and a note if it was not UTF-8; never fails, because Latin-1 knows every byte."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), ("encoding: read as UTF-16",)
    # Two letters of ASCII, each with a zero byte on the same side: UTF-16 that lost its mark.
    for zeros, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(data) >= 4 and not any(data[zeros:4:2]) and all(data[1 - zeros : 4 : 2]):
            return data.decode(encoding, errors="replace"), ("encoding: read as UTF-16",)
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        return data.decode("latin-1"), (f"encoding: byte {error.start} is not UTF-8, read as Latin-1",)


def lines_of(path: Path, max_text_bytes: int) -> Iterator[tuple[int, bytes | Refusal]]:
    """The lines of a file with their 1-based numbers, unpacked within bounds.

    Args:
        path: the file.
        max_text_bytes: longest line; a longer one is a refusal in its place, and the lines after it follow.

    Yields:
        Number and line; a fault of the whole file is the last one.
    """
    number = 0
    try:
        stream, is_packed = open_unpacked(path)
        allowed = unpacked_limit(path, _NO_LIMIT) if is_packed else _NO_LIMIT
        with stream:
            while line := stream.readline(max_text_bytes + 1):
                number += 1
                allowed -= len(line)
                if len(line) > max_text_bytes:
                    # Its rest is read without being kept, so that the next line begins where a line begins.
                    while allowed >= 0 and not line.endswith(b"\n") and (line := stream.readline(1 << 20)):
                        allowed -= len(line)
                    detail = f"line {number} is longer than {max_text_bytes} bytes"
                    yield number, Refusal(Reason.TOO_LARGE, detail)
                    line = b""
                if allowed < 0:
                    detail = f"unpacks to more than {MAX_UNPACKING_RATIO} times its size; line {number} and on not read"
                    yield number, Refusal(Reason.ARCHIVE, detail)
                    return
                if line:
                    yield number, line
    except UnpackingError as error:
        yield number + 1, Refusal(Reason.ARCHIVE, f"not readable after line {number}: {error}")
    except OSError as error:
        yield number + 1, Refusal(Reason.PARSE, f"not readable after line {number}: {error.strerror or error}")
