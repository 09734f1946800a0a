"""Which files a path, a directory or a glob means, in which order, and when they have changed."""

import glob
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gmt_tasks.sources.files.formats import FileFormat, file_format, readable_formats
from models.errors import SourceError

_FULL_HASH_BYTES = 64 << 20
_EDGE_BYTES = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedFile:
    """A file and the name it has in ids: relative to the directory or glob it was found by, with `/`."""

    path: Path
    label: str
    format: FileFormat | None


def find_files(text: str) -> list[NamedFile]:
    """The files that a path, directory or glob means.

    Raises:
        SourceError: there is none, or the only one is of a kind that is not read.
    """
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            return _in_directory(path)
        if not path.exists():
            return _matching(text)
        if (only_format := file_format(path.name)) is not None:
            return [NamedFile(path, path.name, only_format)]
    except (OSError, RuntimeError, ValueError) as error:  # no permission, a name too long, no such user, a NUL
        raise SourceError(f"{text[:200]!r} cannot be looked at: {error}. Give {readable_formats()}.") from error
    raise SourceError(
        f"{path.name}: a name of no known format. Give {readable_formats()}, or a directory or glob of these."
    )


def content_fingerprint(files: Iterable[NamedFile]) -> str:
    """sha256 over names, sizes and contents; above 64 MiB a file counts by size, time, head and tail."""
    digest = sha256()
    for file in files:
        digest.update(f"{file.label}\0".encode(errors="surrogateescape"))
        digest.update(_content_digest(file.path))
    return digest.hexdigest()


def _in_directory(root: Path) -> list[NamedFile]:
    """All files of known formats below a directory, sorted by relative path; links to directories are not followed.

    A folder that may not be looked into is an input too: it will be refused, so that nobody takes it for empty.
    """
    closed: list[Path] = []
    walk = os.walk(root, onerror=lambda error: closed.append(Path(error.filename)))
    paths = [Path(folder) / name for folder, _, names in walk for name in names]
    formats = [(path, file_format(path.name)) for path in paths]
    inputs = [(path, row) for path, row in formats if row is not None and row.is_sought]
    if n_other := len(paths) - len(inputs):
        _log.info("%s: %d of %d files have no known format and are no inputs", root, n_other, len(paths))
    files = [NamedFile(path, path.relative_to(root).as_posix(), row) for path, row in inputs]
    files += [NamedFile(path, path.relative_to(root).as_posix(), None) for path in closed]
    if not files:
        problem = f"Directory {root} holds no file that can be read among {len(paths)}"
        raise SourceError(f"{problem}. Give {readable_formats()}.")
    return sorted(files, key=lambda file: file.label)


def _matching(pattern: str) -> list[NamedFile]:
    """The files that match a glob, sorted; a match of unknown format is an input, and will be refused."""
    # Path.glob wants a root apart from the pattern; a user's pattern may be absolute, relative or begin with ~.
    matches = glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207
    paths = sorted(path for match in matches if not (path := Path(match)).is_dir())
    if not paths:
        raise SourceError(
            f"No file {pattern!r}. Give a path or glob of {readable_formats()}, a directory, or one of the names "
            "`reference` and `prototypes`."
        )
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [NamedFile(path, path.relative_to(common).as_posix(), file_format(path.name)) for path in paths]


def _content_digest(path: Path) -> bytes:
    """A digest that changes when the file changes; what is no regular file is not opened (a pipe would wait)."""
    digest = sha256()
    try:
        if not path.is_file():
            return b"no regular file"
        status = path.stat()
        with path.open("rb") as stream:
            if status.st_size <= _FULL_HASH_BYTES:
                digest.update(stream.read())
            else:  # a table of tens of gigabytes would take minutes before each run
                digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
                digest.update(stream.read(_EDGE_BYTES))
                stream.seek(-_EDGE_BYTES, os.SEEK_END)
                digest.update(stream.read())
    except OSError as error:
        digest.update(f"unreadable: {error.errno}".encode())
    return digest.digest()
