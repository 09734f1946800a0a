"""Crystals from files: one file, a directory, or a glob, in sorted order, whatever mixture of formats it is."""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from db.records import RejectedInput
from gmt_tasks.sandbox import SandboxPool
from gmt_tasks.sources.file_inputs import FileInput, finished, inputs_of
from gmt_tasks.sources.metadata import metadata_json
from gmt_tasks.sources.parsed import ParsedCrystal
from gmt_tasks.sources.source import ReadOptions, SourceBlock
from gmt_tasks.sources.structure_files import FileFormat, file_format
from gmt_tasks.sources.structure_text import Refusal, TextJob
from gmt_tasks.sources.table_files import TableFile
from models.crystal import CrystalBatch
from models.errors import Reason, SourceError

TEXTS_PER_BLOCK = 256
LINES_PER_BLOCK = 4096
BYTES_PER_BLOCK = 64 << 20
PARSER = "gmt_tasks.sources.structure_text:parse_text"

_FULL_HASH_BYTES = 64 << 20
_EDGE_BYTES = 1 << 20
_READABLE = "CIF, POSCAR/CONTCAR/.vasp, .json, .jsonl (each also .gz) or .parquet"
_UNREAD = (".zip", ".tar", ".tar.gz", ".tgz", ".xyz", ".extxyz", ".db")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedFile:
    """A file and the name it has in ids: relative to the directory or glob it was found by, with `/`."""

    path: Path
    label: str
    format: FileFormat | None


class FilesSource:
    """Crystals from a list of files; see `open_source` for what a path may be.

    Args:
        name: the source as the user wrote it.
        files: in the order in which they are read.
        options: limits for reading.
    """

    def __init__(self, name: str, files: Sequence[NamedFile], options: ReadOptions) -> None:
        self.name = name
        self.files = list(files)
        self._options = options

    @classmethod
    def from_text(cls, text: str, options: ReadOptions) -> "FilesSource":
        """Finds the files that a path, directory or glob means.

        Raises:
            SourceError: there is none, or the only one is of a kind that is not read.
        """
        path = Path(text).expanduser()
        if path.is_dir():
            files = _in_directory(path)
        elif path.exists():
            files = [_single(path)]
        else:
            files = _matching(text)
        source = cls(text, files, options)
        if len(files) == 1 and files[0].format is FileFormat.PARQUET:
            TableFile(files[0].path, files[0].label)  # the columns are checked before a run begins
        return source

    def fingerprint(self) -> str:
        """sha256 over names, sizes and contents; above 64 MiB a file counts by size, time, head and tail."""
        digest = sha256()
        for file in self.files:
            digest.update(f"{file.label}\0".encode())
            digest.update(_content_digest(file.path))
        return digest.hexdigest()

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The inputs from position `start` on; texts in blocks of 256, rows of tables in blocks of 4,096."""
        with self._pool() as pool:
            position = 0
            pending: list[FileInput] = []
            for file in self.files:
                content = _content(file, self._options)
                if isinstance(content, TableFile):
                    yield from self._flush(pool, pending, position - len(pending))
                    pending = []
                    if position + content.n_rows > start:
                        yield from content.blocks(position, max(0, start - position))
                    position += content.n_rows
                    continue
                for item in content:
                    position += 1
                    if position <= start:
                        continue
                    pending.append(item)
                    if _is_full(pending):
                        yield from self._flush(pool, pending, position - len(pending))
                        pending = []
            yield from self._flush(pool, pending, position - len(pending))

    def _pool(self) -> SandboxPool:
        return SandboxPool(
            PARSER,
            deadline_s=self._options.deadline_s,
            memory_bytes=self._options.memory_bytes,
            max_workers=self._options.max_workers,
        )

    def _flush(self, pool: SandboxPool, pending: list[FileInput], start: int) -> Iterator[SourceBlock]:
        """Interprets the pending inputs, the first of which has position `start`; no block if there are none."""
        if not pending:
            return
        outcomes = pool.map([item.payload for item in pending if isinstance(item.payload, TextJob)])
        results = [finished(item, next(outcomes) if isinstance(item.payload, TextJob) else None) for item in pending]
        yield _block(pending, results, start)


def _block(inputs: list[FileInput], results: list[ParsedCrystal | Refusal], start: int) -> SourceBlock:
    """The block of interpreted inputs."""
    crystals = [(row, result) for row, result in enumerate(results) if isinstance(result, ParsedCrystal)]
    rejected = [
        RejectedInput(start + row, inputs[row].source_id, result.reason, result.detail)
        for row, result in enumerate(results)
        if isinstance(result, Refusal)
    ]
    return SourceBlock(
        start=start,
        stop=start + len(inputs),
        positions=np.array([start + row for row, _ in crystals], dtype=np.int64),
        source_ids=[crystal.source_id or inputs[row].source_id for row, crystal in crystals],
        crystals=CrystalBatch.from_arrays(
            [crystal.lattice for _, crystal in crystals],
            [crystal.frac_coords for _, crystal in crystals],
            [crystal.numbers for _, crystal in crystals],
        ),
        metadata=[metadata_json(crystal.extra, inputs[row].notes + crystal.notes) for row, crystal in crystals],
        rejected=rejected,
    )


def _is_full(pending: list[FileInput]) -> bool:
    """True when a block is long or heavy enough; texts are slow to parse, so their blocks are short."""
    is_text = isinstance(pending[-1].payload, TextJob)
    limit = TEXTS_PER_BLOCK if is_text else LINES_PER_BLOCK
    return len(pending) >= limit or (len(pending) % 64 == 0 and sum(i.n_bytes for i in pending) > BYTES_PER_BLOCK)


def _content(file: NamedFile, options: ReadOptions) -> TableFile | Iterator[FileInput]:
    """A table, or the inputs of any other file; a table that cannot be opened is one refused input."""
    if file.format is not FileFormat.PARQUET:
        return inputs_of(file.path, file.label, file.format, options)
    try:
        return TableFile(file.path, file.label)
    except SourceError as error:
        return iter([FileInput(file.label, Refusal(Reason.PARSE, str(error)))])


def _single(path: Path) -> NamedFile:
    """One file given by its path; its format must be known."""
    kind = file_format(path.name)
    if kind is None:
        not_yet = path.name.lower().endswith(_UNREAD)
        problem = "this version does not read such files yet" if not_yet else "a name of no known format"
        raise SourceError(f"{path.name}: {problem}. Give {_READABLE}, or a directory or glob of these.")
    return NamedFile(path, path.name, kind)


def _in_directory(root: Path) -> list[NamedFile]:
    """All files of known formats below a directory, sorted by relative path; links to directories are not followed."""
    paths = [Path(folder) / name for folder, _, names in os.walk(root) for name in names]
    named = [NamedFile(p, p.relative_to(root).as_posix(), file_format(p.name)) for p in paths if p.is_file()]
    files = sorted((file for file in named if file.format is not None), key=lambda file: file.label)
    if len(files) < len(named):
        n_other = len(named) - len(files)
        _log.info("%s: %d of %d files have no known format and are no inputs", root, n_other, len(named))
    if not files:
        raise SourceError(f"Directory {root} holds no file that can be read among {len(named)}. Give {_READABLE}.")
    return files


def _matching(pattern: str) -> list[NamedFile]:
    """The files that match a glob, sorted; a match of unknown format is an input, and will be refused."""
    # Path.glob wants a root apart from the pattern; a user's pattern may be absolute, relative or begin with ~.
    matches = glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207
    paths = sorted(path for match in matches if (path := Path(match)).is_file())
    if not paths:
        raise SourceError(
            f"No file {pattern!r}. Give a path or glob of {_READABLE}, a directory, or one of the names "
            "`reference` and `prototypes`."
        )
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [NamedFile(path, path.relative_to(common).as_posix(), file_format(path.name)) for path in paths]


def _content_digest(path: Path) -> bytes:
    """A digest that changes when the file changes."""
    digest = sha256()
    try:
        status = path.stat()
        with path.open("rb") as stream:
            if status.st_size <= _FULL_HASH_BYTES:
                digest.update(stream.read())
            else:
                digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
                digest.update(stream.read(_EDGE_BYTES))
                stream.seek(-_EDGE_BYTES, os.SEEK_END)
                digest.update(stream.read())
    except OSError as error:
        digest.update(f"unreadable: {error.errno}".encode())
    return digest.digest()
