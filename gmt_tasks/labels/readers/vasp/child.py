"""Runs in a sandboxed child: one output file of VASP in, a `VaspRun` or a refusal out."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gmt_tasks.labels.label_kind import RefusedRowError, fault_of
from gmt_tasks.labels.readers.vasp.outcar import read_outcar
from gmt_tasks.labels.readers.vasp.run import VaspRun, encode_refusal, encode_run
from gmt_tasks.labels.readers.vasp.vasprun import read_vasprun
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sandbox.messages import Message
from gmt_tasks.sources.files.compression import UnpackingError, open_unpacked, unpacked_limit
from gmt_tasks.sources.files.text_bytes import lines_of
from gmt_tasks.sources.parsed import Refusal
from gmt_tasks.sources.row_errors import row_or_refusal

MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 16 << 30
"""Far above real files; a packed one may unpack to 200 times its size."""

_CHUNK = 1 << 20


def answer(content: Any) -> Message:
    """Runs in the child: reads the file at a path and answers with what it says."""
    path, is_xml = content

    def lines() -> Iterator[bytes]:
        for _, line in lines_of(Path(path), MAX_LINE_BYTES):
            # a line beyond the bounds, or damage, refuses the file
            if isinstance(line, Refusal):
                raise RefusedRowError(LabelReason.PARSE, line.detail)
            yield line

    read = partial(read_vasprun, _chunks(Path(path))) if is_xml else partial(read_outcar, lines())
    run = row_or_refusal(read, lambda error: RefusedRowError(*fault_of(error)))
    return encode_run(run) if isinstance(run, VaspRun) else encode_refusal(run)


def _chunks(path: Path) -> Iterator[bytes]:
    """A file in pieces, unpacked within bounds."""
    try:
        stream, is_packed = open_unpacked(path)
        left = unpacked_limit(path, MAX_FILE_BYTES) if is_packed else MAX_FILE_BYTES
        with stream:
            while chunk := stream.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise RefusedRowError(LabelReason.PARSE, "the file unpacks to far more than a vasprun.xml")
                yield chunk
    except UnpackingError as error:
        raise RefusedRowError(LabelReason.PARSE, str(error)) from error
