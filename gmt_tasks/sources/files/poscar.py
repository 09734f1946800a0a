"""One crystal from POSCAR or CONTCAR text, read with pymatgen."""

import math
import warnings

import numpy as np
from pymatgen.io.vasp.inputs import Poscar

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


def read_poscar(text: str, max_sites: int = MAX_LISTED_ATOMS) -> ParsedCrystal:
    """Reads one POSCAR.

    A VASP 4 file names no elements. pymatgen then invents H, He, Li, ...; here the comment line may name them, as
    ASE and VASP's own tools write it, and otherwise the file is refused.

    Args:
        text: the file.
        max_sites: refuse the file if its counts sum to more, before a list of that length is made.

    Raises:
        RefusedInputError: `parse` with the line where known, `nonfinite`, `unknown_species`, `too_large`.
    """
    lines = text.splitlines()
    _check_cell(lines)
    _check_counts(lines, max_sites)
    notes: tuple[str, ...] = ()
    try:
        poscar, named = _parse(text, None)
        if not named:
            poscar, _ = _parse(text, _elements_of_comment(lines))
            notes = ("species_from_comment: the file names its elements only in its first line",)
    except (ValueError, IndexError, UserWarning) as error:  # pymatgen raises a warning when a coordinate is missing
        raise RefusedInputError(Reason.PARSE, f"not a POSCAR: {error}{_short_file(lines)}") from error
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


def _check_counts(lines: list[str], max_sites: int) -> None:
    """Refuses counts (the first lines of whole numbers below the lattice) that sum to nothing, or to too much."""
    whole = [all(word.isdecimal() and word.isascii() for word in line.split() or "?") for line in lines[5:]]
    if not any(whole):
        return
    first = whole.index(True)
    n_lines = whole.index(False, first) - first if False in whole[first:] else len(whole) - first
    total = sum(int(word[:20]) for line in lines[5 + first : 5 + first + n_lines] for word in line.split())
    if total > max_sites:
        raise RefusedInputError(Reason.TOO_LARGE, f"line {first + 6}: {total} sites, limit {max_sites}")
    if not total:
        raise RefusedInputError(Reason.EMPTY, f"line {first + 6}: the counts sum to 0")


def _elements_of_comment(lines: list[str]) -> list[str]:
    """The elements that the comment line of a VASP 4 file lists, one per count.

    Raises:
        RefusedInputError: the line lists something else (`unknown_species`).
    """
    words, n_species = lines[0].split(), len(lines[5].split())
    if len(words) == n_species and all(atomic_number(word) for word in words):
        return words
    detail = f"line 6: {n_species} counts but no element symbols (VASP 4 format)"
    raise RefusedInputError(Reason.UNKNOWN_SPECIES, f"{detail}; insert a line with the symbols above it")


def _short_file(lines: list[str]) -> str:
    return f" (the file has {len(lines)} lines)" if len(lines) < 8 else ""
