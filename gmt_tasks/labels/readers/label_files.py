"""Labels from files: JSON lines, one label per line, and output of VASP, one calculation per folder, side by side."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gmt_tasks.labels.label_kind import RefusedRowError
from gmt_tasks.labels.readers.label_formats import LABELS, OUTCAR, VASPRUN, job_of, unread_program
from gmt_tasks.labels.readers.rows import labels_or_refusal
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.labels.readers.suggestion_folders import TEMPLATE, is_unfilled, requested_id
from gmt_tasks.labels.readers.vasp.job import labels_of_job
from gmt_tasks.labels.readers.vasp.run import VaspRun, decode_run
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sandbox.children import Ending, SandboxPool
from gmt_tasks.sources.files.find import NamedFile, content_fingerprint, find_files
from gmt_tasks.sources.files.formats import JSON_LINES
from gmt_tasks.sources.files.text_bytes import lines_of
from gmt_tasks.sources.json_records import load_json
from gmt_tasks.sources.parsed import Refusal, RefusedInputError
from gmt_tasks.sources.source import ReadOptions
from models.errors import SourceError

VASP_READER = "gmt_tasks.labels.readers.vasp.child:answer"
VASP_DEADLINE_S = 600.0
"""Processor time for one file: a gigabyte of OUTCAR takes about 50 s."""


class LabelFiles:
    """Labels from files.

    Args:
        name: the source as the user wrote it.
        files: in the order in which they are read.
        options: limits for reading.
    """

    def __init__(self, name: str, files: Sequence[NamedFile], options: ReadOptions) -> None:
        self.name = name
        self._files = list(files)
        self._options = options
        self.n_without_response = 0
        """Calculations that `rows` passed over last."""

    @classmethod
    def from_text(cls, text: str, options: ReadOptions) -> "LabelFiles":
        """Finds the label files that a path, folder or glob means; other files of a folder are no labels.

        Raises:
            SourceError: there is none, or only folders of `suggest` that nobody has answered.
        """
        if (program := unread_program(text)) and not Path(text).is_dir():
            raise SourceError(
                f"{text} is output of {program}, of which no tensor is read. Write label rows (JSON lines) as "
                "docs/labels.md describes them: lattice, species, frac_coords, kind, unit and the tensor."
            )
        source = cls(text, find_files(text, LABELS).files, options)
        if all(_is_template(file) for file in source._files) and next(source.rows(), None) is None:
            raise SourceError(
                f"{text} holds {len(source._files)} calculations that suggest asked for, and no answer yet. Put OUTCAR "
                f"and vasprun.xml into each job's folder, or fill in its {TEMPLATE}; then run the same command again."
            )
        return source

    def fingerprint(self) -> str:
        """Changes with names and contents of the files."""
        return content_fingerprint(self._files)

    def rows(self) -> Iterator[Label]:
        """The non-blank lines of the files, and the labels of each calculation where its first file stands.

        A line that is no JSON object is refused with its place, an output file that cannot be used with its job. Of
        templates the rows without any value are passed over, and so are calculations that asked for no response, such
        as relaxations: these are refused only where the source has no label at all.
        """
        jobs: defaultdict[tuple[str, str], list[NamedFile]] = defaultdict(list)
        for file in self._files:
            if file.format in (OUTCAR, VASPRUN):
                jobs[job_of(file.label)].append(file)
        n_given, without_response = 0, []
        with SandboxPool(
            VASP_READER,
            decode=decode_run,
            deadline_s=VASP_DEADLINE_S,
            memory_bytes=self._options.memory_bytes,
            max_workers=self._options.max_workers,
        ) as pool:
            for file in self._files:
                # a job is read where the first of its files stands
                job = jobs.pop(job_of(file.label), None) if file.format in (OUTCAR, VASPRUN) else None
                labels = self._rows_of_lines(file) if job is None else iter(_labels_of_files(job, pool))
                n_before = n_given
                for label in labels:
                    n_given += 1
                    yield label
                if job is not None and n_given == n_before:
                    detail = "the calculation asked for no response: LEPSILON, LCALCEPS, or IBRION 6 with ISIF 3"
                    without_response.append(RefusedLabel(_id_of_job(job[0]), "", LabelReason.INCOMPLETE, detail))
        self.n_without_response = len(without_response) if n_given else 0
        if not n_given:
            yield from without_response

    def _rows_of_lines(self, file: NamedFile) -> Iterator[Label]:
        """The labels of a file of JSON lines; none for an output file of a job that was read."""
        if file.format is None:
            yield RefusedLabel(file.label, "", LabelReason.PARSE, "a folder that cannot be looked into")
        if file.format is not JSON_LINES:
            return
        for number, line in lines_of(file.path, self._options.max_text_bytes):
            place = f"{file.label}#{number}"
            if isinstance(line, Refusal):
                yield RefusedLabel(place, "", LabelReason.PARSE, line.detail)
            elif line.strip():
                labels = labels_or_refusal(partial(_label_row, line, place, number), place)
                is_gap = _is_template(file) and isinstance(labels[0], LabelRow) and is_unfilled(labels[0].row)
                yield from [] if is_gap else labels


def _is_template(file: NamedFile) -> bool:
    """Whether a file is a job's template of `suggest`, filled in or not."""
    return file.path.name == TEMPLATE


def _id_of_job(file: NamedFile) -> str:
    """The id of a calculation: that of the crystal it was asked for, else its place."""
    folder, suffix = job_of(file.label)
    place = file.path.absolute().parent.name if folder == "." else folder
    return requested_id(file.path.parent) or (f"{place}/{suffix}" if suffix else place)


def _labels_of_files(job: Sequence[NamedFile], pool: SandboxPool) -> Sequence[Label]:
    """The labels of the output files of one calculation, which children read; none if it asked for no response."""

    def read() -> Iterator[Label]:
        runs: dict[str, VaspRun] = {}
        # the OUTCAR first: it says more
        for file in sorted(job, key=lambda file: file.format is VASPRUN):
            outcome = pool.run([str(file.path.absolute()), file.format is VASPRUN])
            if outcome.ending is not Ending.VALUE:
                raise RefusedRowError(LabelReason.PARSE, f"{file.path.name}: {outcome.detail}")
            if isinstance(outcome.value, RefusedRowError):
                raise RefusedRowError(outcome.value.reason, f"{file.path.name}: {outcome.value.detail}")
            runs[file.path.name] = outcome.value
        formats = [file.format for file in job]
        if len(set(formats)) != len(formats):
            detail = f"{' and '.join(runs)} lie in one folder: which of them is meant is not known"
            raise RefusedRowError(LabelReason.INCONSISTENT, detail)
        yield from labels_of_job(_id_of_job(job[0]), runs)

    return labels_or_refusal(read, _id_of_job(job[0]))


def _label_row(line: bytes, place: str, number: int) -> Iterator[Label]:
    """The label of one line."""
    try:
        row = load_json(line, number)
    except RefusedInputError as refused:
        yield RefusedLabel(place, "", LabelReason.PARSE, refused.detail)
        return
    if not isinstance(row, dict):
        yield RefusedLabel(place, "", LabelReason.PARSE, f"line {number} holds no JSON object")
        return
    # Without an id of its own a label is found by its place.
    source_id = row.get("id")
    yield LabelRow(source_id if isinstance(source_id, str) and source_id else place, row)
