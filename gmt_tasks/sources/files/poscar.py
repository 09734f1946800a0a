"""One crystal from the text of a POSCAR or CONTCAR, by VASP's own rules.

Where VASP's reading would be another crystal than the one that was meant (numbers with decimal commas, more positions
than counts, several frames in a file), the file is refused.

Source of the format: https://vasp.at/wiki/POSCAR.
"""

import re
from collections.abc import Sequence
from itertools import chain

import numpy as np

from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import (
    Floats,
    Ints,
    ParsedCrystal,
    RefusedInputError,
    atomic_number,
    fractional,
    require_finite,
)
from gmt_tasks.sources.text_columns import decimal_rows, element_numbers, fortran_number
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Doubt, Reason

_COMMENT = re.compile(r"[#!]")
_NUMBER_START = re.compile(r"[0-9+\-.*]")
_FLAGS = {"T", "F", ".TRUE.", ".FALSE."}
_SPECIES_LINE = 5  # 0-based
_SECOND_FRAME = re.compile(
    r"^[ \t]*direct configuration|"  # of an XDATCAR
    r"^[ \t]*\d[\d \t]*(?:[a-z!#][^\n]*)?\n(?:[ \t]*s[^\n]*\n)?[ \t]*[cdfk][a-z]*[ \t]*$",  # counts and a mode
    re.IGNORECASE | re.MULTILINE,
)


def read_poscar(job: TextJob) -> ParsedCrystal:
    """Reads one POSCAR; velocities and what else follows the positions are no part of the crystal.

    A VASP 4 file names no elements: they are taken from labels behind the positions or from the first line, with a
    doubt, or the file is refused.

    Args:
        job: the file; it may list as many sites as are ever looked at, since a supercell may reduce to a small cell.

    Raises:
        RefusedInputError: `parse` or `nonfinite` with the line, `degenerate_cell`, `unknown_species`, `too_large`,
            `empty`.
    """
    lines = job.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lattice, scale = _cell(lines, job.first_line)
    labels, counts, mode_line = _counts(lines, job.first_line)
    is_cartesian, first_position, notes = _mode(lines, mode_line, job.first_line)
    rows, positions = _positions(lines, first_position, sum(counts), job.first_line)
    numbers, species_notes = _species(lines, labels, counts, rows, job.first_line)
    if is_cartesian:
        with np.errstate(over="ignore"):
            positions = positions * scale
        positions = fractional(lattice, positions, f"line {job.first_line + 2}: ")
    return ParsedCrystal(lattice, positions, numbers, notes + species_notes)


def _cell(lines: list[str], first_line: int) -> tuple[Floats, Floats]:
    """The scaled lattice in angstrom, shape [3, 3], and the scale of each Cartesian axis, shape [3].

    One scale is of all axes, a negative one the volume of the cell, three are of the Cartesian components x, y, z.
    """
    scale = _scales(_words(lines, 1), first_line + 1)
    words = [_words(lines, row) for row in (2, 3, 4)]
    for row, line_words in enumerate(words, start=2):
        if len(line_words) < 3:
            detail = f"line {first_line + row}: {len(line_words)} numbers, expected 3 of a lattice vector"
            raise RefusedInputError(Reason.PARSE, detail)
    lattice = decimal_rows([*chain.from_iterable(row[:3] for row in words)], 3, first_line + 2)
    with np.errstate(all="ignore"):  # what overflows is refused
        if scale[0] < 0:
            volume = abs(np.linalg.det(lattice))
            if not 0 < volume < np.inf:
                detail = f"line {first_line + 1}: a volume as scale, of lattice vectors that span none"
                raise RefusedInputError(Reason.DEGENERATE_CELL, detail)
            scale = np.full(3, np.cbrt(-scale[0] / volume))
        lattice = lattice * scale
    require_finite(lattice, np.empty((0, 3)))
    return lattice, scale


def _scales(words: list[str], number: int) -> Floats:
    """The scale of each axis as the second line states it, shape [3]; a volume stays negative."""
    n_scales = next((k for k, word in enumerate(words) if not _NUMBER_START.match(word)), len(words))
    # Without a mark, a comment begins with a letter; NaN and infinity do as well.
    if n_scales == 0 and words and fortran_number(words[0]) is not None:
        n_scales = 1
    if n_scales not in {1, 3}:
        detail = f"line {number}: {n_scales} numbers, expected 1 or 3 scale factors"
        raise RefusedInputError(Reason.PARSE, detail)
    scale = decimal_rows(words[:n_scales], n_scales, number)[0]
    if not scale.all():
        raise RefusedInputError(Reason.DEGENERATE_CELL, f"line {number}: a scale factor is 0")
    if n_scales == 3 and scale.min() < 0:
        raise RefusedInputError(Reason.PARSE, f"line {number}: of three scale factors none may be negative")
    return np.broadcast_to(scale, 3)


def _counts(lines: list[str], first_line: int) -> tuple[list[str], list[int], int]:
    """Species labels (none in a VASP 4 file), atoms of each, and the 0-based line behind them; both may be wrapped."""
    labels: list[str] = []
    row = _SPECIES_LINE
    while (words := _words(lines, row)) and not _NUMBER_START.match(words[0]):
        labels += words
        row += 1
    first_counts = row
    counts: list[int] = []
    # VASP 4 reads its counts from one line; a later one reads as many as it read species.
    while len(counts) < max(len(labels), 1) and (words := _words(lines, row)) and _whole(words[0]):
        n_counts = next((k for k, word in enumerate(words) if not _whole(word)), len(words))
        if n_counts < len(words) and _NUMBER_START.match(words[n_counts]):
            break  # a count that is none
        counts += [int(word) for word in words[:n_counts]]
        row += 1
    _check_counts(labels, counts, first_line + first_counts)
    return labels, counts, row


def _check_counts(labels: list[str], counts: list[int], number: int) -> None:
    """Refuses counts that do not fit the species, that sum to nothing, or to too much."""
    if not counts or (labels and len(counts) != len(labels)):
        of_labels = f" for {len(labels)} species" if labels else ""
        raise RefusedInputError(Reason.PARSE, f"line {number}: {len(counts)} numbers of atoms{of_labels}")
    n_atoms = sum(counts)
    if n_atoms > MAX_LISTED_ATOMS:
        raise RefusedInputError(Reason.TOO_LARGE, f"line {number}: {n_atoms} sites, limit {MAX_LISTED_ATOMS}")
    if not n_atoms:
        raise RefusedInputError(Reason.EMPTY, f"line {number}: the counts sum to 0")


def _mode(lines: list[str], row: int, first_line: int) -> tuple[bool, int, tuple[str, ...]]:
    """Whether positions are Cartesian, the 0-based line of the first, and a note where the mode is no known word."""
    words = _words(lines, row)
    if words and words[0][0] in "sS":
        row += 1
        words = _words(lines, row)
    if not words or _NUMBER_START.match(words[0]):
        raise RefusedInputError(Reason.PARSE, f"line {first_line + row}: no Direct or Cartesian above the positions")
    letter = words[0][0].lower()
    is_known = letter in "ckdf"  # Fractional is read as Direct by every program
    note = f"mode: {words[0][:20]!r} in line {first_line + row} read as Direct, as VASP does"
    return letter in "ck", row + 1, () if is_known else (note,)


def _positions(lines: list[str], row: int, n_atoms: int, first_line: int) -> tuple[list[list[str]], Floats]:
    """The words of the lines of positions, and the positions as they are written, shape [n_atoms, 3]."""
    rows = [line.split() for line in lines[row : row + n_atoms]]
    rows += [[]] * (n_atoms - len(rows))
    for site, words in enumerate(rows):
        if len(words) < 3:
            detail = f"line {first_line + row + site}: {len(words)} numbers, expected 3 of position {site + 1}"
            raise RefusedInputError(Reason.PARSE, f"{detail} of {n_atoms} (the file has {len(lines)} lines)")
    positions = decimal_rows([*chain.from_iterable(words[:3] for words in rows)], 3, first_line + row)
    _check_end(lines, row + n_atoms, n_atoms, first_line)
    return rows, positions


def _check_end(lines: list[str], row: int, n_atoms: int, first_line: int) -> None:
    """Refuses a file that goes on, from a 0-based line, with more positions or with another frame."""
    following = _words(lines, row)
    # Velocities come behind a blank line or a word: numbers right here are atoms that the counts leave out.
    if len(following) >= 3 and all(fortran_number(word) is not None for word in following[:3]):
        detail = f"line {first_line + row}: more positions than the {n_atoms} of the counts"
        raise RefusedInputError(Reason.PARSE, detail)
    behind = "\n".join(lines[row:])
    if second := _SECOND_FRAME.search(behind):
        number = first_line + row + behind.count("\n", 0, second.start())
        raise RefusedInputError(Reason.PARSE, f"line {number}: a second frame; a POSCAR holds one, give each its file")


def _species(
    lines: list[str], labels: list[str], counts: list[int], rows: list[list[str]], first_line: int
) -> tuple[Ints, tuple[str, ...]]:
    """Atomic numbers, shape [n_atoms], and notes on how they were concluded."""
    behind = [_label(words) for words in rows] if max(map(len, rows)) > 3 else []
    doubts: tuple[str, ...] = ()
    if not labels:
        labels, origin = _labels_of_vasp4(lines[0].split(), counts, behind)
        if not labels:
            detail = f"line {first_line + _SPECIES_LINE}: {len(counts)} counts but no element symbols (VASP 4 format)"
            raise RefusedInputError(Reason.UNKNOWN_SPECIES, f"{detail}; insert a line with the symbols above it")
        doubts = (f"{Doubt.SPECIES}: the file names its elements only {origin}",)
    # POTCAR decorations: Fe_pv, Si_GW/8f2a..., O/
    symbols = [label.split("/")[0].split("_")[0] for label in labels]
    numbers, notes = element_numbers(symbols)
    if not numbers.all():
        unknown = labels[int(np.flatnonzero(numbers == 0)[0])][:40]
        detail = f"line {first_line + _SPECIES_LINE}: {unknown!r} is no element"
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, detail)
    numbers = np.repeat(numbers, counts)
    return numbers, doubts + _contradictions(behind, numbers) + notes


def _contradictions(behind: list[str], numbers: Ints) -> tuple[str, ...]:
    """The doubt that labels behind positions name other elements than the counts give to their sites."""
    known = [atomic_number(label) or 0 for label in behind]
    sites = [site for site, number in enumerate(known) if number and number != numbers[site]]
    if not sites:
        return ()
    label = behind[sites[0]][:20]
    doubt = f"{label!r} stands behind position {sites[0] + 1}, which the counts give to another element"
    return (f"{Doubt.SPECIES}: {doubt} ({len(sites)} sites)",)


def _labels_of_vasp4(title: list[str], counts: list[int], behind: list[str]) -> tuple[list[str], str]:
    """Labels of the species of a file without a line for them, and where they stand; empty if nowhere."""
    if behind and all(map(atomic_number, behind)):
        stops = np.cumsum(counts).tolist()
        groups = [behind[stop - count : stop] for stop, count in zip(stops, counts, strict=True)]
        if all(len(set(group)) == 1 for group in groups):
            return [group[0] for group in groups], "behind the positions"
    if len(title) == len(counts) and all(map(atomic_number, title)):
        return title, "in its first line"
    return [], ""


def _label(words: Sequence[str]) -> str:
    """The label behind a position, and behind the flags of selective dynamics if there are any."""
    rest = words[6:] if len(words) >= 6 and _FLAGS.issuperset(words[3:6]) else words[3:]
    return rest[0] if rest else ""


def _words(lines: list[str], row: int) -> list[str]:
    """The words of a 0-based line in front of a comment; none behind the end."""
    return _COMMENT.split(lines[row], maxsplit=1)[0].split() if row < len(lines) else []


def _whole(word: str) -> bool:
    """True for a whole number without sign that Python reads (it refuses thousands of digits)."""
    return word.isdecimal() and word.isascii() and len(word) <= 20
