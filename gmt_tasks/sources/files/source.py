"""Crystals from files: one file, a directory, or a glob, in sorted order, whatever mixture of formats it is.

The driver's half: it finds, orders, splits and counts. What interprets foreign bytes runs in sandboxed children, but
for short JSON, which is plain data read in linear time.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gmt_tasks.sandbox.children import Ending, SandboxPool
from gmt_tasks.sources.files.archives import MAX_MEMBER_BYTES, ArchiveContent, Member, UnpackJob, decode_content
from gmt_tasks.sources.files.find import FoundFiles, NamedFile, content_fingerprint, find_files
from gmt_tasks.sources.files.formats import ARCHIVE, Content, file_format
from gmt_tasks.sources.files.inputs import FileInput, finished, inputs_of
from gmt_tasks.sources.files.objects import ObjectFiles
from gmt_tasks.sources.files.tables.table import READER, Table, decode_table
from gmt_tasks.sources.files.text_jobs import TextJob, decode_readings
from gmt_tasks.sources.parsed import Refusal, block_of_readings
from gmt_tasks.sources.source import ReadOptions, SourceBlock
from gmt_tasks.storage.address import is_stored, local_path
from models.errors import Reason, SourceError

TEXTS_PER_BLOCK = 256
LINES_PER_BLOCK = 4096
BYTES_PER_BLOCK = 64 << 20
UNPACKING_DEADLINE_S = 600.0
LISTED_ARCHIVE_BYTES = 256 << 20
PARSER = "gmt_tasks.sources.files.parse:answer"
UNPACKER = "gmt_tasks.sources.files.archives:answer"


@dataclass(frozen=True)
class _Children:
    """The processes that read for a source; each starts when it is first needed."""

    texts: SandboxPool
    tables: SandboxPool
    archives: SandboxPool
    folder: Path
    """Where archives are unpacked, the only folder to which a child may write."""

    @classmethod
    def start(cls, options: ReadOptions, stack: ExitStack) -> "_Children":
        """Pools that end with the stack."""
        deadline_s, memory_bytes = options.deadline_s, options.memory_bytes
        texts = SandboxPool(
            PARSER,
            decode=decode_readings,
            deadline_s=deadline_s,
            memory_bytes=memory_bytes,
            max_workers=options.max_workers,
        )
        # One child: it keeps a table open and reads it from front to back.
        tables = SandboxPool(
            READER, decode=decode_table, deadline_s=deadline_s, memory_bytes=memory_bytes, max_workers=1
        )
        folder = stack.enter_context(TemporaryDirectory(prefix="gmtscreen-"))
        archives = SandboxPool(
            UNPACKER,
            deadline_s=max(deadline_s, UNPACKING_DEADLINE_S),
            memory_bytes=memory_bytes,
            file_bytes=MAX_MEMBER_BYTES,
            folder=folder,
            max_workers=1,
        )
        for pool in (texts, tables, archives):
            stack.enter_context(pool)
        return cls(texts, tables, archives, Path(folder))


class FilesSource:
    """Crystals from a list of files; see `open_source` for what a path may be.

    Args:
        name: the source as the user wrote it.
        found: the files in the order in which they are read, and how many others lie beside them; or objects.
        options: limits for reading.
    """

    def __init__(self, name: str, found: FoundFiles | ObjectFiles, options: ReadOptions) -> None:
        self.name = name
        self._objects = found if isinstance(found, ObjectFiles) else None
        found = found.found if isinstance(found, ObjectFiles) else found
        self.files = found.files
        self._options = options
        self._ignored = found.ignored
        self._ignored_in: dict[str, Counter[str]] = {}  # by the label of the archive

    @classmethod
    def from_text(cls, text: str, options: ReadOptions) -> "FilesSource":
        """Finds the files that a path, directory or glob means.

        Raises:
            SourceError: there is none, or the only one is of a kind that is not read.
        """
        source = cls(text, ObjectFiles.find(text) if is_stored(text) else find_files(local_path(text)), options)
        only = source.files[0]
        if len(source.files) == 1 and only.format is not None and only.format.content is Content.TABLE:
            with ExitStack() as stack:  # the columns are checked before a run begins
                local = next(stack.enter_context(closing(source._local_files())))
                Table(local.path, only.label, only.format.name, _Children.start(options, stack).tables)
        return source

    def _local_files(self) -> Generator[NamedFile]:
        """The files in order; objects have their local copies while it is their turn."""
        yield from self.files if self._objects is None else self._objects.local()

    def fingerprint(self) -> str:
        """Changes with names and contents of the files."""
        return content_fingerprint(self.files) if self._objects is None else self._objects.fingerprint()

    def ignored_files(self) -> Counter[str]:
        """How many files in directories and archives are no inputs, by the ending of their names.

        Archives that this object has not unpacked yet are looked through, but for those above 256 MiB and objects.
        """
        archives = [file for file in self.files if file.format is ARCHIVE and file.label not in self._ignored_in]
        with ExitStack() as stack:
            pool = _Children.start(self._options, stack).archives if archives else None
            for file in archives:
                if pool is not None and file.path.is_file() and file.path.stat().st_size <= LISTED_ARCHIVE_BYTES:
                    self._ignored_in[file.label] = _unpacked(file, None, pool).ignored
        return sum(self._ignored_in.values(), self._ignored)

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The inputs from position `start` on; texts in blocks of 256, rows of tables in blocks of 4,096."""
        with ExitStack() as stack:
            children = _Children.start(self._options, stack)
            position = 0
            pending: list[FileInput] = []
            files = stack.enter_context(closing(self._local_files()))
            for content in self._contents(files, children):
                # A table comes in blocks of its own: what is pending stands before it.
                if isinstance(content, Table):
                    yield from _flush(children.texts, pending, position - len(pending))
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
                    # Texts are slow to parse, so their blocks are short; weighed now and then only, since the sum over
                    # all pending inputs at every one would take time with their square.
                    limit = TEXTS_PER_BLOCK if isinstance(item.payload, TextJob) else LINES_PER_BLOCK
                    n_bytes = sum(waiting.n_bytes for waiting in pending) if len(pending) % 64 == 0 else 0
                    if len(pending) >= limit or n_bytes > BYTES_PER_BLOCK:
                        yield from _flush(children.texts, pending, position - len(pending))
                        pending = []
            yield from _flush(children.texts, pending, position - len(pending))

    def _contents(self, files: Iterable[NamedFile], children: _Children) -> Iterator[Table | Iterable[FileInput]]:
        """What each file holds: a table, or the inputs of any other file; archives give what their members hold."""
        for file in files:
            content = file.format.content if file.format is not None else Content.TEXT
            if content is Content.ARCHIVE:
                with TemporaryDirectory(dir=children.folder) as folder:
                    yield from self._contents_of_archive(file, Path(folder), children)
            elif content is Content.TABLE and file.format is not None:
                try:
                    table = Table(file.path, file.label, file.format.name, children.tables)
                    refusal = Refusal(Reason.EMPTY, "a table without rows")
                    yield table if table.n_rows else [FileInput(file.label, refusal)]
                except SourceError as error:
                    yield [FileInput(file.label, Refusal(Reason.PARSE, str(error)))]
            else:
                yield inputs_of(file, self._options, lambda job: children.texts.run(job.content()))

    def _contents_of_archive(
        self, file: NamedFile, folder: Path, children: _Children
    ) -> Iterator[Table | Iterable[FileInput]]:
        """What the members of an archive hold; refused members are refused inputs."""
        content = _unpacked(file, folder, children.archives)
        self._ignored_in[file.label] = content.ignored
        if not content.members:
            refusal = Refusal(Reason.EMPTY, "an archive without a file of a known format")
            yield [FileInput(file.label, refusal)]
        for member in content.members:
            label = f"{file.label}/{member.name}" if member.name else file.label
            if isinstance(member.content, Refusal):
                yield [FileInput(label, member.content)]
            else:
                yield from self._contents([NamedFile(member.content, label, file_format(member.name))], children)
                member.content.unlink(missing_ok=True)


def _unpacked(file: NamedFile, folder: Path | None, pool: SandboxPool) -> ArchiveContent:
    """The members of an archive, unpacked into the folder; an archive that ends the child is one refused member."""
    outcome = pool.run(UnpackJob(file.path.absolute(), folder).content())
    if outcome.ending is Ending.FAILED:
        raise SourceError(f"{file.label} cannot be unpacked: {outcome.detail}. Make room, or unpack it yourself.")
    if outcome.ending is not Ending.VALUE:
        return ArchiveContent([Member("", Refusal(Reason.ARCHIVE, f"unpacking was ended: {outcome.detail}"))])
    try:
        return decode_content(outcome.value, folder or file.path.parent)
    except (ValueError, TypeError, AttributeError) as error:
        return ArchiveContent([Member("", Refusal(Reason.ARCHIVE, f"unpacking ended in nonsense: {error}"))])


def _flush(pool: SandboxPool, pending: list[FileInput], start: int) -> Iterator[SourceBlock]:
    """Interprets the pending inputs, the first of which has position `start`; no block if there are none."""
    if not pending:
        return
    outcomes = pool.map([item.payload.content() for item in pending if isinstance(item.payload, TextJob)])
    readings = [finished(item, next(outcomes) if isinstance(item.payload, TextJob) else None) for item in pending]
    ids = [reading.source_id or item.source_id for reading, item in zip(readings, pending, strict=True)]
    yield block_of_readings(start, readings, ids, [item.place for item in pending])
