"""Which files hold labels, by their names: label rows (JSON lines), output of VASP; and what is known but not read."""

import re
from pathlib import Path, PurePosixPath

from gmt_tasks.sources.files.compression import COMPRESSIONS, compression_of
from gmt_tasks.sources.files.find import FileKinds
from gmt_tasks.sources.files.formats import JSON_LINES, FileFormat, file_format

OUTCAR = FileFormat(
    name="outcar", label="OUTCAR", suffixes=(), name_pattern=re.compile(r"(?<![A-Za-z])OUTCAR(?![A-Za-z])")
)
VASPRUN = FileFormat(
    name="vasprun", label="vasprun.xml", suffixes=(), name_pattern=re.compile(r"(?<![A-Za-z])vasprun(?=[._].*\bxml\b)")
)

_UNREAD = {
    "Quantum ESPRESSO (ph.x, thermo_pw)": re.compile(r"^ph\.out$|\.ph\.out$|^output_el_cons|\.dynG$", re.IGNORECASE),
    "ABINIT (DDB, anaddb)": re.compile(r"_?DDB(\.nc)?$|anaddb\.(out|nc|abo)$|_anaddb\.nc$"),
    "VASP's vaspout.h5": re.compile(r"vaspout\.h5$"),
}
"""Output of calculations that no reader here or in the pinned libraries makes tensors of."""


def label_format(name: str) -> FileFormat | None:
    """The format of labels that a file name means, packed or not; None if it means none."""
    stem = _unpacked_name(name)
    for row in (OUTCAR, VASPRUN):
        if row.name_pattern is not None and row.name_pattern.search(stem):
            return row
    return JSON_LINES if file_format(name) is JSON_LINES else None


def unread_program(name: str) -> str:
    """The program whose output a name announces that is known and not read; "" for all others."""
    stem = _unpacked_name(name)
    return next((program for program, pattern in _UNREAD.items() if pattern.search(stem)), "")


def job_of(label: str) -> tuple[str, str]:
    """The job that an output file belongs to: its folder and what the name adds, "relax2" of OUTCAR.relax2.gz.

    Args:
        label: name of the file below the folder or glob that was given, with `/`.
    """
    path = PurePosixPath(label)
    stem = re.sub(r"OUTCAR|vasprun|\bxml\b", "", _unpacked_name(path.name))
    return path.parent.as_posix(), ".".join(re.findall(r"[^._]+", stem))


def _unpacked_name(name: str) -> str:
    """Name of a file without the ending of its compression."""
    compression = compression_of(name)
    bare = Path(name).name
    return bare[: -len(compression.suffix)] if compression else bare


_PACKED = "/".join(compression.suffix for compression in COMPRESSIONS)
LABELS = FileKinds(label_format, f".jsonl, OUTCAR or vasprun.xml (each also {_PACKED})", "mp:... or jarvis:...")
"""What is looked for where labels are read."""
