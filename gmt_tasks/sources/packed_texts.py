"""Small foreign texts in a zip or gzip file: one text per file, read within bounds by the standard library.

Whole collections of crystals are unpacked in a confined child (gmt_tasks/sources/files/archives.py). What is read here
is a table or a JSON document of a few megabytes: no name in it becomes a path, nothing is written, and as much as a
bound allows is unpacked. Archives in archives, encrypted texts and texts that unpack too far are refused.
"""

import gzip
import zipfile
import zlib
from pathlib import Path

from gmt_tasks.sources.files.compression import unpacked_limit
from models.errors import SourceError

MAX_PACKED_BYTES = 64 << 20
MAX_TEXT_BYTES = 256 << 20
_RESOURCE_FORKS = "__MACOSX/"
_ENCRYPTED = 0x1


def zipped_text(path: Path, suffix: str, limit: int = MAX_TEXT_BYTES) -> str:
    """The only text in a zip file.

    Args:
        path: the zip file.
        suffix: with which the name of the text ends, in small letters.
        limit: bytes to which it may unpack at most; a small file may unpack to 200 times its size only.

    Raises:
        SourceError: no zip file, not exactly one text with that ending, encrypted, not UTF-8, or beyond the limit.
    """
    _refuse_large(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            entries = [entry for entry in entries if not entry.filename.startswith(_RESOURCE_FORKS)]
            if len(entries) != 1 or not entries[0].filename.lower().endswith(suffix):
                names = ", ".join(entry.filename[:60] for entry in entries[:3]) or "nothing"
                raise SourceError(f"{path.name} holds {names}, expected one {suffix} text. Take the file as published.")
            if entries[0].flag_bits & _ENCRYPTED:
                raise SourceError(f"{path.name} is encrypted. Take the file as published.")
            most = unpacked_limit(path, limit)
            with archive.open(entries[0]) as stream:
                return _decoded(stream.read(most + 1), most, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise SourceError(f"{path.name} is no zip file that can be read: {str(error)[:200]}. Take it anew.") from error


def plain_or_gzipped_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """A text, unpacked where the name of the file ends in .gz.

    Raises:
        SourceError: no complete gzip file, not UTF-8, or beyond the limit.
    """
    _refuse_large(path)
    is_packed = path.name.lower().endswith(".gz")
    most = unpacked_limit(path, limit) if is_packed else limit
    try:
        with gzip.open(path) if is_packed else path.open("rb") as stream:
            return _decoded(stream.read(most + 1), most, path)
    except (OSError, zlib.error, EOFError) as error:
        raise SourceError(f"{path.name} is no complete gzip file: {str(error)[:200]}. Take it anew.") from error


def _refuse_large(path: Path) -> None:
    if not path.is_file():
        raise SourceError(f"{path.name} is no file (a folder, or a link to nothing). Take the file as published.")
    if path.stat().st_size > MAX_PACKED_BYTES:
        raise SourceError(
            f"{path.name} has {path.stat().st_size:,} bytes, {MAX_PACKED_BYTES:,} are read. Is it the file?"
        )


def _decoded(data: bytes, limit: int, path: Path) -> str:
    if len(data) > limit:
        raise SourceError(f"{path.name} unpacks to more than {limit:,} bytes; the rest was not read. Is it the file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is no text in UTF-8: {error.reason} at byte {error.start}.") from error
