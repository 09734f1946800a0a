"""Archives, unpacked in a sandboxed child within bounds, member by member, into a folder of the driver.

No name in an archive ever becomes a path: members are written as `0`, `1.gz`, ... and keep their name as a label only.
Links, devices, paths that leave the archive, archives in archives and whatever lies beyond a bound are refused one by
one; members of no known format are no inputs and only counted, as in a directory.
"""

import errno
import io
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.compression import (
    COMPRESSIONS,
    MAX_UNPACKING_RATIO,
    compression_of,
    unpack_by_magic,
    unpacked_limit,
)
from gmt_tasks.sources.files.formats import Content, ending_of, file_format
from gmt_tasks.sources.files.text_jobs import text_of
from gmt_tasks.sources.parsed import Refusal, RefusedInputError
from gmt_tasks.sources.row_errors import error_text
from models.errors import Reason

MAX_MEMBERS = 100_000
MAX_DEPTH = 32
MAX_MEMBER_BYTES = 8 << 30
MAX_TOTAL_BYTES = 32 << 30
MAX_NAME_CHARS = 1024

_CHUNK = 1 << 20
_MEMBER_FILE = re.compile(rf"\d+({'|'.join(re.escape(compression.suffix) for compression in COMPRESSIONS)})?")
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO)
"""Faults that are not the archive's; other numbers come of offsets that lead nowhere."""


@dataclass(frozen=True)
class UnpackJob:
    """An archive, and the empty folder for its members; without one they are counted and not unpacked."""

    archive: Path
    folder: Path | None

    def content(self) -> list[str | None]:
        """The job as a JSON value."""
        return [str(self.archive), None if self.folder is None else str(self.folder)]


@dataclass(frozen=True)
class Member:
    """One member: its name in the archive, and the file that now holds it or why there is none."""

    name: str
    content: Path | Refusal


@dataclass(frozen=True)
class ArchiveContent:
    """The inputs in an archive, in its order, and how many members are none, by the ending of their names."""

    members: list[Member] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def answer(content: list[str | None]) -> Message:
    """Runs in the child: unpacks one archive and answers with its members, files by their bare names."""
    archive, folder = content
    unpacked = unpack(UnpackJob(Path(archive or ""), None if folder is None else Path(folder)))
    parts: list[list[str]] = []
    for member in unpacked.members:
        if isinstance(member.content, Path):
            parts.append([member.name, member.content.name])
        else:
            parts.append([member.name, member.content.reason, member.content.detail])
    return Message([parts, dict(unpacked.ignored)])


def decode_content(content: Any, folder: Path) -> ArchiveContent:
    """What a child claims to have unpacked into a folder, checked: it leads to plain files in this folder only.

    Raises:
        ValueError, TypeError: it is no list of members, or a file is none that `unpack` makes.
    """
    parts, counts = content
    if not all(type(count) is int for count in counts.values()):
        raise TypeError("members that are not counted")
    members = []
    for name, *rest in parts[: MAX_MEMBERS + 1]:
        label = text_of(name)[:MAX_NAME_CHARS]
        if len(rest) == 2:
            members.append(Member(label, Refusal(Reason(rest[0]), text_of(rest[1]))))
            continue
        path = folder / text_of(*rest)
        if not _MEMBER_FILE.fullmatch(path.name) or path.parent != folder or path.is_symlink():
            raise ValueError(f"a member that lies at {str(path)[:200]}")
        members.append(Member(label, path))
    return ArchiveContent(members, Counter({text_of(ending): counts[ending] for ending in counts}))


def unpack(job: UnpackJob) -> ArchiveContent:
    """The members of an archive that are inputs, in the order of the archive.

    A fault that ends reading (a broken stream, a bound) is one refused member at the end; what came before it stays.
    """
    content = ArchiveContent()
    members = content.members
    try:
        limit = unpacked_limit(job.archive, MAX_TOTAL_BYTES)
        if job.archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(job.archive) as archive:
                _collect(_zip_entries(archive), job.folder, limit, content)
        else:
            with job.archive.open("rb") as packed, unpack_by_magic(packed) as stream:
                bounded = BoundedStream(stream, limit)
                # As a stream, read once from front to back: a tar has no directory to trust.
                with tarfile.open(fileobj=bounded, mode="r|", errorlevel=2) as archive:
                    _collect(_tar_entries(archive), job.folder, limit, content)
    except RefusedInputError as refused:
        members.append(Member("", Refusal(refused.reason, refused.detail)))
    except Exception as error:
        if _is_of_the_machine(error):
            raise
        detail = f"not readable after {len(members)} members: {error_text(error)}"
        members.append(Member("", Refusal(Reason.ARCHIVE, detail)))
    return content


@dataclass(frozen=True)
class _Entry:
    """A member as the archive describes it; `open` gives its bytes. Folders are entries too: they count."""

    name: str
    fault: str
    open: Any
    is_folder: bool


def _collect(entries: Iterator[_Entry], folder: Path | None, limit: int, content: ArchiveContent) -> None:
    """Adds the inputs among the entries, unpacked; raises at a bound that concerns the whole archive."""
    left, members = limit, content.members
    for number, entry in enumerate(entries):
        if number >= MAX_MEMBERS:
            raise RefusedInputError(Reason.ARCHIVE, f"more than {MAX_MEMBERS} members; the rest was not read")
        if entry.is_folder:
            continue
        known_format = file_format(entry.name)
        fault = entry.fault or _fault_of_name(entry.name)
        if not fault and known_format is not None and known_format.content is Content.ARCHIVE:
            fault = "an archive in an archive"
        if fault:
            members.append(Member(entry.name[:MAX_NAME_CHARS], Refusal(Reason.ARCHIVE, fault)))
        elif known_format is None:
            content.ignored[ending_of(entry.name)] += 1
        elif folder is not None:
            compression = compression_of(entry.name)
            target = folder / f"{number}{compression.suffix if compression else ''}"
            try:
                left -= _write(entry, target, left)
                members.append(Member(entry.name, target))
            except RefusedInputError:
                raise  # a bound that concerns all members
            except Exception as error:
                if _is_of_the_machine(error):
                    raise
                members.append(Member(entry.name, Refusal(Reason.ARCHIVE, f"cannot be unpacked: {error_text(error)}")))


def _is_of_the_machine(error: Exception) -> bool:
    """Whether no archive is to blame: memory or room ran out, or storage fails."""
    is_storage = isinstance(error, OSError) and error.errno in _OF_THE_MACHINE
    return is_storage or isinstance(error, MemoryError)


def _fault_of_name(name: str) -> str:
    """What is wrong with the path of a member; empty if nothing."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or name[1:2] == ":":
        return "its path leaves the archive"
    if len(parts) > MAX_DEPTH:
        return f"{len(parts)} folders deep, limit {MAX_DEPTH}"
    return f"a name of {len(name)} characters" if len(name) > MAX_NAME_CHARS else ""


def _write(entry: _Entry, target: Path, left: int) -> int:
    """Unpacks one member; returns its size in bytes."""
    size = 0
    with entry.open() as source, target.open("wb") as sink:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > min(left, MAX_MEMBER_BYTES):
                ratio = f"{MAX_UNPACKING_RATIO} times the archive's size, at most {MAX_TOTAL_BYTES >> 30} GiB"
                raise RefusedInputError(Reason.ARCHIVE, f"unpacks to more than {ratio}; stopped at {entry.name[:200]}")
            sink.write(chunk)
    return size


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    """The entries of a zip's directory."""
    for info in archive.infolist():
        kind = (info.external_attr >> 28) & 0xF  # the type bits of a Unix mode; 0 where no Unix wrote them
        fault = "" if kind in (0, 0x8, 0x4) else "a link" if kind == 0xA else "no regular file"
        if info.flag_bits & 0x1:
            fault = "encrypted"
        yield _Entry(info.filename, fault, partial(archive.open, info), info.is_dir())


def _tar_entries(archive: tarfile.TarFile) -> Iterator[_Entry]:
    """The entries of a tar, as they come."""
    for info in archive:
        fault = "a link" if info.issym() or info.islnk() else "" if info.isreg() else "no regular file"
        yield _Entry(info.name, fault, partial(archive.extractfile, info), info.isdir())


class BoundedStream(io.BufferedIOBase):
    """A stream that refuses to give more than a number of bytes, also of members that are skipped."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._left = limit

    def readable(self) -> bool:
        """True: for a reader of text around it."""
        return True

    def read1(self, size: int = -1, /) -> bytes:
        """Some of the next bytes, at most `size`."""
        return self.read(size)

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, at most `size`."""
        data = self._stream.read(-1 if size is None else size)
        self._left -= len(data)
        if self._left < 0:
            raise RefusedInputError(Reason.ARCHIVE, f"unpacks to more than {self._limit} bytes; the rest was not read")
        return data
