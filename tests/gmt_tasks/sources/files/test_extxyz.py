"""Extended XYZ: the crystal that was written, and the line of what is wrong."""

import numpy as np
import pytest

from gmt_tasks.sources.files.extxyz import read_frame
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError
from gmt_tasks.sources.source import MissingSymmetry
from models.errors import Reason

LATTICE = np.array([[4.0, 0.2, 0.0], [0.0, 5.0, 0.1], [0.3, 0.0, 6.0]])
FRAC = np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.5]])


def frame(
    comment: str = "Properties=species:S:1:pos:R:3", labels: tuple[str, str] = ("Ba", "O"), cell: str | None = None
) -> str:
    lattice = " ".join(repr(float(x)) for x in LATTICE.ravel()) if cell is None else cell
    rows = [
        " ".join([label, *map(repr, position)])
        for label, position in zip(labels, (FRAC @ LATTICE).tolist(), strict=True)
    ]
    return "\n".join(["2", f'Lattice="{lattice}" {comment}', *rows, ""])


def read(text: str, first_line: int = 1) -> ParsedCrystal:
    return read_frame(TextJob("extxyz", text, first_line, 10_000, MissingSymmetry.REFUSE))


def test_a_frame_gives_back_the_crystal_that_was_written() -> None:
    crystal = read(frame("Properties=species:S:1:pos:R:3 energy=-3.5 id=abc"))
    assert np.allclose(crystal.lattice, LATTICE) and np.allclose(crystal.frac_coords, FRAC)
    assert crystal.numbers.tolist() == [56, 8]
    assert (crystal.source_id, crystal.extra, crystal.notes) == ("abc", {"energy": "-3.5"}, ())


@pytest.mark.parametrize("comment", ["", 'pbc="T T T"', "Properties=species:S:1:pos:R:3:forces:R:0", "is_bulk"])
def test_the_usual_second_lines_are_read(comment: str) -> None:
    assert read(frame(comment)).numbers.tolist() == [56, 8]


def test_columns_may_stand_in_another_order_and_species_may_be_numbers() -> None:
    lines = frame().split("\n")
    swapped = [" ".join([*line.split()[1:], "7", line.split()[0]]) for line in lines[2:4]]
    text = "\n".join([lines[0], lines[1].replace("species:S:1:pos:R:3", "pos:R:3:tag:I:1:species:S:1"), *swapped])
    assert read(text).numbers.tolist() == [56, 8]
    assert read(frame(labels=("56", "8"))).numbers.tolist() == [56, 8]


def test_a_slab_is_read_as_periodic_with_a_note() -> None:
    assert read(frame('pbc="T T F"')).notes[0].startswith("pbc: the file says T T F")


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("x\n", Reason.PARSE, "line 7"),
        ("0\nLattice=\n", Reason.EMPTY, "line 7"),
        (frame().rsplit("\n", 2)[0], Reason.PARSE, "the file ends before"),
        (frame().replace("Lattice", "Lettuce"), Reason.PARSE, "line 8: no Lattice"),
        (frame(cell="1 2 3"), Reason.PARSE, "line 8: Lattice has 3 numbers"),
        (frame(cell="4 0 0 0 4 0 0 0 nan"), Reason.NONFINITE, "lattice"),
        (frame(cell="4 0 0 0 4 0 4 4 0"), Reason.DEGENERATE_CELL, "line 8"),
        (frame("Properties=species:S:1"), Reason.PARSE, "line 8: Properties"),
        (frame("Properties=species:S:1:pos:R:3:f:R:3"), Reason.PARSE, "line 9: 4 columns, expected 7"),
        (frame().replace("Ba 0.0 0.0", "Ba 0.0 x"), Reason.PARSE, "line 9"),
        (frame(labels=("Qq", "O")), Reason.UNKNOWN_SPECIES, "Qq"),
        (frame("a" * 200_000), Reason.PARSE, "line 8"),
    ],
)
def test_each_fault_has_its_reason_and_its_line(text: str, reason: Reason, place: str) -> None:
    with pytest.raises(RefusedInputError) as refused:
        read(text, 7)
    assert (refused.value.reason, place in refused.value.detail) == (reason, True), refused.value.detail
