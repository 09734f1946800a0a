"""One crystal from POSCAR or CONTCAR text, read with pymatgen."""

import math
import warnings

import numpy as np
from pymatgen.io.vasp.inputs import Poscar

from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import (
    ParsedCrystal,
    RefusedInputError,
    atomic_number,
    atomic_numbers,
    isotope_notes,
    require_finite,
)
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Reason


def read_poscar(job: TextJob) -> ParsedCrystal:
    """Reads one POSCAR.

    A VASP 4 file names no elements. pymatgen then invents H, He, Li, ...; here the comment line may name them, as
    ASE and VASP's own tools write it, and otherwise the file is refused.

    Args:
        job: the file; it may list as many sites as are ever looked at, since a supercell may reduce to a small cell.

    Raises:
        RefusedInputError: `parse` with the line where known, `nonfinite`, `unknown_species`, `too_large`.
    """
    lines = job.text.splitlines()
    _check_cell(lines)
    _check_counts(lines)
    notes: tuple[str, ...] = ()
    try:
        poscar, is_named = _parse(job.text, None)
        if not is_named:
            words, n_species = lines[0].split(), len(lines[5].split())
            if len(words) != n_species or not all(atomic_number(word) for word in words):
                detail = f"line 6: {n_species} counts but no element symbols (VASP 4 format)"
                raise RefusedInputError(Reason.UNKNOWN_SPECIES, f"{detail}; insert a line with the symbols above it")
            poscar, _ = _parse(job.text, words)
            notes = ("species_from_comment: the file names its elements only in its first line",)
    except (ValueError, IndexError, UserWarning) as error:  # pymatgen raises a warning when a coordinate is missing
        length = f" (the file has {len(lines)} lines)" if len(lines) < 8 else ""
        raise RefusedInputError(Reason.PARSE, f"not a POSCAR: {error}{length}") from error
    structure = poscar.structure
    numbers, _ = atomic_numbers([site.specie.symbol for site in structure])
    merged = isotope_notes(lines[5].split())  # pymatgen reads D as H without a word
    lattice, frac_coords = np.array(structure.lattice.matrix), np.array(structure.frac_coords)
    require_finite(lattice, frac_coords)
    return ParsedCrystal(lattice, frac_coords, numbers, notes + merged)


def _parse(text: str, names: list[str] | None) -> tuple[Poscar, bool]:
    """The parsed file, and whether it named its elements."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        poscar = Poscar.from_str(text, default_names=names, read_velocities=False)
    return poscar, not any("Defaulting to false names" in str(warning.message) for warning in caught)


def _check_cell(lines: list[str]) -> None:
    """Refuses a file whose scale or lattice lines (2 to 5) are no finite numbers, before anything divides by them."""
    for number, line in enumerate(lines[1:5], start=2):
        words = line.split("#")[0].split("!")[0].split()
        expected = 1 if number == 2 else 3
        try:
            values = [float(word) for word in words[:expected]]
        except ValueError as error:
            raise RefusedInputError(Reason.PARSE, f"line {number}: {error}") from error
        if len(values) != expected:
            raise RefusedInputError(Reason.PARSE, f"line {number}: {len(values)} numbers, expected {expected}")
        if not all(map(math.isfinite, values)):
            raise RefusedInputError(Reason.NONFINITE, f"line {number}: {line.strip()[:80]}")
        if number == 2 and values[0] == 0:
            raise RefusedInputError(Reason.DEGENERATE_CELL, "line 2: the scale factor is 0")


def _check_counts(lines: list[str]) -> None:
    """Refuses counts (the first lines of whole numbers below the lattice) that sum to nothing, or to too much."""
    total, first = 0, 0
    for number, line in enumerate(lines[5:], start=6):
        words = line.split()
        if words and all(word.isdecimal() and word.isascii() for word in words):
            first = first or number
            total += sum(int(word[:20]) for word in words)  # Python refuses numbers of thousands of digits
        elif first:
            break
    if not first:
        return  # pymatgen says what is wrong then
    if total > MAX_LISTED_ATOMS:
        raise RefusedInputError(Reason.TOO_LARGE, f"line {first}: {total} sites, limit {MAX_LISTED_ATOMS}")
    if not total:
        raise RefusedInputError(Reason.EMPTY, f"line {first}: the counts sum to 0")
