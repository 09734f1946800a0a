"""Which files a path, a directory or a glob means, in which order, and when they have changed."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gmt_tasks.sources.files.formats import ASE_DATABASE, FileFormat, ending_of, file_format, readable_formats
from gmt_tasks.sources.files.tables.sqlite_schema import is_sqlite, table_names
from models.errors import SourceError

_FULL_HASH_BYTES = 64 << 20
_EDGE_BYTES = 1 << 20

_OWN_TABLES = {"crystals", "inputs", "runs", "shards"}
"""Of a database in which gmtscreen stores results."""


@dataclass(frozen=True)
class NamedFile:
    """A file and the name it has in ids: relative to the directory or glob it was found by, with `/`."""

    path: Path
    label: str
    format: FileFormat | None


@dataclass(frozen=True)
class FoundFiles:
    """What a path, directory or glob means.

    Attributes:
        files: the inputs, in the order in which they are read.
        ignored: how many files beside them are no inputs, by the ending of their names.
    """

    files: list[NamedFile]
    ignored: Counter[str]


@dataclass(frozen=True)
class FileKinds:
    """Which files are looked for.

    Attributes:
        format_of: what the name of a file means; None for no input.
        readable: all that may be given, as messages list it.
        named: what may be given beside files, likewise.
    """

    format_of: Callable[[str], FileFormat | None]
    readable: str
    named: str


CRYSTALS = FileKinds(file_format, readable_formats(), "one of the names `reference` and `prototypes`")


def find_files(text: str, kinds: FileKinds = CRYSTALS) -> FoundFiles:
    """The files that a path, directory or glob means, and how many others lie there.

    Raises:
        SourceError: there is none, or the only one is of a kind that is not read.
    """
    try:
        path = Path(text).expanduser()
        if path.is_dir():
            return _in_directory(path, kinds)
        if not path.exists():
            return _matching(text, kinds)
        if (only_format := kinds.format_of(path.name)) is not None:
            return FoundFiles([NamedFile(path, path.name, only_format)], Counter())
    except (OSError, RuntimeError, ValueError) as error:  # no permission, a name too long, no such user, a NUL
        raise SourceError(f"{text[:200]!r} cannot be looked at: {error}. Give {kinds.readable}.") from error
    raise SourceError(
        f"{path.name}: a name of no known format. Give {kinds.readable}, or a directory or glob of these."
    )


def content_fingerprint(files: Iterable[NamedFile]) -> str:
    """sha256 over names, sizes and contents; above 64 MiB a file counts by size, time, head and tail."""
    digest = sha256()
    for file in files:
        digest.update(f"{file.label}\0".encode(errors="surrogateescape"))
        digest.update(_content_digest(file.path))
    return digest.hexdigest()


def _in_directory(root: Path, kinds: FileKinds) -> FoundFiles:
    """All files of known formats below a directory, sorted by relative path; links to directories are not followed.

    A folder that may not be looked into is an input too: it will be refused, so that nobody takes it for empty.
    """
    files: list[NamedFile] = []
    ignored: Counter[str] = Counter()

    def refuse(error: OSError) -> None:
        path = Path(error.filename)
        files.append(NamedFile(path, path.relative_to(root).as_posix(), None))

    for folder, _, names in os.walk(root, onerror=refuse):
        parent = Path(folder)
        relative = parent.relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        _sort_out([(parent / name, prefix + name) for name in names], kinds, files, ignored)
    if not files:
        problem = f"Directory {root} holds no file that can be read among {ignored.total()}"
        raise SourceError(f"{problem}. Give {kinds.readable}.")
    return FoundFiles(sorted(files, key=lambda file: file.label), ignored)


def _matching(pattern: str, kinds: FileKinds) -> FoundFiles:
    """The files that match a glob, sorted; where none has a known format, each is an input, and will be refused."""
    # Path.glob wants a root apart from the pattern; a user's pattern may be absolute, relative or begin with ~.
    matches = glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207
    paths = sorted(path for match in matches if not (path := Path(match)).is_dir())
    if not paths:
        scheme, separator, _ = pattern.partition("://")
        if separator and scheme.replace("+", "").isalnum():
            # Nothing behind the scheme is repeated: what was taken for an address may hold a password.
            raise SourceError(
                f"{scheme[:20]}://... is no address that is read. Give s3://bucket/key, gs://bucket/key (in small "
                "letters) or file:///path, or fetch the files first."
            )
        raise SourceError(
            f"No file {pattern!r}. Give a path or glob of {kinds.readable}, a directory, or {kinds.named}."
        )
    common = Path(os.path.commonpath([path.parent for path in paths]))
    named = [(path, path.relative_to(common).as_posix()) for path in paths]
    files: list[NamedFile] = []
    ignored: Counter[str] = Counter()
    _sort_out(named, kinds, files, ignored)
    if not files:
        return FoundFiles([NamedFile(path, label, None) for path, label in named], Counter())
    # A pattern that ends in ** names folders only to look into them.
    if n_folders := 0 if "**" in pattern else len(matches) - len(paths):
        ignored["folders"] = n_folders
    return FoundFiles(files, ignored)


def _sort_out(
    named: Iterable[tuple[Path, str]], kinds: FileKinds, files: list[NamedFile], ignored: Counter[str]
) -> None:
    """Appends the inputs among the files to `files`, and counts the others."""
    for path, label in named:
        known = kinds.format_of(path.name)
        if known is None:
            ignored[ending_of(path.name)] += 1
        elif known is ASE_DATABASE and _is_own_database(path):
            ignored[".db of gmtscreen"] += 1
        else:
            files.append(NamedFile(path, label, known))


def _is_own_database(path: Path) -> bool:
    """True for a database of runs: it often lies in the same directory and has the ending of ASE's."""
    try:
        if not path.is_file():  # nobody waits for a pipe
            return False
        names = table_names(path)
        # After a kill everything may still stand in the log beside the file; ASE writes no such log.
        in_log = not names and path.with_name(path.name + "-wal").exists() and is_sqlite(path)
    except OSError:
        return False  # it will be refused when it is read
    return names >= _OWN_TABLES or in_log


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
