"""A crystal of two atoms as a frame of extended XYZ, in the dialect that a test asks for."""

import numpy as np

from gmt_tasks.sources.files.extxyz import read_frame
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal
from gmt_tasks.sources.source import MissingSymmetry

LATTICE = np.array([[4.0, 0.2, 0.0], [0.0, 5.0, 0.1], [0.3, 0.0, 6.0]])
FRAC = np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.5]])
OLD_STYLE = " ".join(repr(float(x)) for x in LATTICE.ravel())
ROWS = LATTICE.tolist()


def frame(
    comment: str = "Properties=species:S:1:pos:R:3", labels: tuple[str, str] = ("Ba", "O"), cell: str | None = None
) -> str:
    lattice = f'"{OLD_STYLE}"' if cell is None else cell
    rows = [
        " ".join([label, *map(repr, position)])
        for label, position in zip(labels, (FRAC @ LATTICE).tolist(), strict=True)
    ]
    return "\n".join(["2", f"Lattice={lattice} {comment}", *rows, ""])


def job(text: str, first_line: int = 1) -> TextJob:
    return TextJob("extxyz", text, first_line, 10_000, MissingSymmetry.REFUSE)


def read(text: str, first_line: int = 1) -> ParsedCrystal:
    return read_frame(job(text, first_line))


def assert_ba_o(crystal: ParsedCrystal) -> None:
    assert np.allclose(crystal.lattice, LATTICE, atol=1e-12) and np.allclose(crystal.frac_coords, FRAC, atol=1e-12)
    assert crystal.numbers.tolist() == [56, 8]
