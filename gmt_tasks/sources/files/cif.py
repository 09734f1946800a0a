"""One crystal from one CIF data block, read with pymatgen and checked where pymatgen looks away.

pymatgen's parser drops sites, turns unknown labels into dummy atoms, reads "." as 0 and falls back to P1 when a space
group means nothing to it. Each of these is checked here first and ends as a refusal with its line.
"""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
from pymatgen.core.operations import SymmOp
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure
from pymatgen.io.cif import CifBlock, CifFile, CifParser, str2float

from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import (
    OCCUPANCY_TOLERANCE,
    ParsedCrystal,
    RefusedInputError,
    atomic_numbers,
    isotope_notes,
    ordered_species,
    require_finite,
)
from gmt_tasks.sources.source import MissingSymmetry
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Reason

MIN_THICKNESS_ANGSTROM = 0.01
"""A cell thinner than this sends neighbour searches into endless loops."""

_CELL_KEYS = tuple(f"_cell_length_{x}" for x in "abc") + tuple(f"_cell_angle_{x}" for x in ("alpha", "beta", "gamma"))
_COORDINATES = tuple(f"_atom_site_fract_{x}" for x in "xyz")
_SPACE_GROUP = re.compile(r"^_(symmetry_space_group_name|space_group_name|space_group_IT|symmetry_Int)", re.IGNORECASE)
_OPERATIONS = re.compile(r"^_(symmetry_equiv_pos_as_xyz|space_group_symop_operation_xyz)_?$")
_UNKNOWN_VALUES = ("", "?", ".")
_GROUPS = ("OH", "NO3")
_WATER = ("Wat", "wat", "Hw", "Ow")
_PROVENANCE = (
    "_database_code_ICSD",
    "_cod_database_code",
    "_database_code_depnum_ccdc_archive",
    "_chemical_name_mineral",
)
_NOTED = {"implicit hydrogens": "implicit_hydrogens", "rounded to ideal values": "coordinates_idealised"}

_LONGEST_OPERATION = 200  # "-x+1/3,-x+y+2/3,z+2/3" has 22 characters
_FEW_SITES = 1000
"""Above it pymatgen's comparison of every site with every other takes seconds, at 50,000 an hour."""

_operations_cache: dict[tuple[str, ...], list[SymmOp]] = {}


class _Parser(CifParser):
    """pymatgen's parser, opened at the places where its result must be checked half-way."""

    _cif: CifFile
    warnings: list[str]
    feature_flags: dict[str, bool]
    check_cif: bool

    def block(self) -> CifBlock:
        """The (only) data block, after pymatgen's repairs of known dialects."""
        block: CifBlock = next(iter(self._cif.data.values()))
        return block

    def _sanitize_data(self, data: CifBlock) -> CifBlock:
        """pymatgen's repairs, after two of ours that they rely on: sites are lists, and each has a label."""
        items = data.data
        for key in [key for key in items if key.startswith("_atom_site_") and isinstance(items[key], str)]:
            items[key] = [items[key]]  # one atom written without a loop
        if "_atom_site_type_symbol" in items:
            items.setdefault("_atom_site_label", list(items["_atom_site_type_symbol"]))
        return super()._sanitize_data(data)

    def structure(self) -> Structure | None:
        """The ordered or disordered structure; errors are raised, not turned into warnings."""
        return self._get_structure(self.block(), primitive=False, symmetrized=False, check_occu=True)

    def get_symops(self, data: CifBlock) -> list[SymmOp]:
        """Symmetry operations, kept by name or by their own texts: looking up Fm-3m takes up to a second."""
        names = [name for name in sorted(data.data) if _SPACE_GROUP.match(name) or _OPERATIONS.match(name)]
        key = tuple(str(data.data[name]) for name in names)
        if key not in _operations_cache:
            if len(_operations_cache) > 2000:
                _operations_cache.clear()
            _operations_cache[key] = super().get_symops(data)
        return _operations_cache[key]


def read_cif_block(job: TextJob) -> ParsedCrystal:
    """Reads one data block.

    Args:
        job: the block, from its `data_` line on; refused if its sites times operations exceed `max_sites`, before
            anything is expanded.

    Raises:
        RefusedInputError: with a reason from the closed list and, where known, the line.
    """
    parser = _Parser.from_str(job.text, occupancy_tolerance=1 + OCCUPANCY_TOLERANCE)
    parser.check_cif = False  # the composition is compared below, as a note
    block = parser.block()
    finder = _LineFinder(job.text, job.first_line)
    _check_cell(block, finder)
    for key, value in block.data.items():
        # pymatgen's pattern for operations takes time with the square of their length.
        lengths = [len(str(text)) for text in (value if isinstance(value, list) else [value])]
        if "xyz" in key and (too_long := [length for length in lengths if length > _LONGEST_OPERATION]):
            detail = f"{key} holds a text of {too_long[0]} characters, limit {_LONGEST_OPERATION}"
            raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, detail)
    n_sites = _check_sites(block, finder)
    notes = _check_symmetry(parser, block, n_sites, job.max_sites, job.missing_symmetry)
    crystal = _explicit_cell(parser, block) if n_sites > _FEW_SITES else None
    crystal = crystal or _expanded_cell(parser, block, finder)
    return replace(crystal, notes=notes + crystal.notes)


def _expanded_cell(parser: _Parser, block: CifBlock, finder: "_LineFinder") -> ParsedCrystal:
    """The crystal that pymatgen makes of the sites and operations, with notes of what it changed or doubts."""
    structure = _expand(parser, finder)
    occupancies = []
    for site in structure:
        parts = [(part.symbol, float(share)) for part, share in site.species.items()]
        occupancies.append(parts)
    labels, rounded = ordered_species(occupancies)
    numbers, _ = atomic_numbers(labels)
    lattice, frac_coords = np.array(structure.lattice.matrix), np.array(structure.frac_coords)
    require_finite(lattice, frac_coords)
    if any("sum to > 1" in warning for warning in parser.warnings):
        rounded = (f"occupancy_rounded: sums above 1 within {OCCUPANCY_TOLERANCE:.0%}",)
    notes = rounded + isotope_notes(map(_letters, _symbols(block)))  # pymatgen has forgotten the isotopes by now
    all_warnings = "\n".join(parser.warnings)
    notes += tuple(name for phrase, name in _NOTED.items() if phrase in all_warnings)
    mismatch = parser.check(structure)
    if mismatch and "Cannot determine" not in mismatch:
        notes += (f"composition_mismatch: {' '.join(mismatch.split())[:200]}",)
    return ParsedCrystal(lattice, frac_coords, numbers, notes, None, _provenance(block))


class _LineFinder:
    """Finds the line of the file that holds some words."""

    def __init__(self, text: str, first_line: int) -> None:
        self._lines = text.splitlines()
        self._first_line = first_line

    def where(self, *words: str) -> str:
        """The start of a detail: "line 12: " if a line holds all words, else the first line of the block."""
        for number, line in enumerate(self._lines, start=self._first_line):
            if set(words) <= set(re.split(r"[\s'\"]+", line)):
                return f"line {number}: "
        return f"block at line {self._first_line}: "


def _number(value: Any, finder: _LineFinder, *context: str) -> float:
    """A CIF number ("5.431(2)"); refuses what is none, with its line."""
    try:
        if value in _UNKNOWN_VALUES:
            raise ValueError(value)
        return float(str2float(value))
    except (ValueError, TypeError, IndexError) as error:
        detail = f"{finder.where(*context, str(value))}{value!r} is no number ({' '.join(context)})"
        raise RefusedInputError(Reason.PARSE, detail) from error


def _check_cell(block: CifBlock, finder: _LineFinder) -> None:
    """Refuses cells without finite lengths, possible angles and a thickness."""
    missing = [key for key in _CELL_KEYS if key not in block.data]
    if _CELL_KEYS[0] in missing:
        raise RefusedInputError(Reason.PARSE, f"{finder.where('data_')}{', '.join(missing)} missing")
    values = [_number(block.data[key], finder, key) for key in _CELL_KEYS if key not in missing]
    if not all(map(math.isfinite, values)):
        raise RefusedInputError(Reason.NONFINITE, f"{finder.where(_CELL_KEYS[0])}cell {values}")
    if missing:
        return  # pymatgen fills lengths and angles from the lattice system
    lengths, cosines = np.array(values[:3]), np.cos(np.radians(values[3:]))
    square = 1 + 2 * float(np.prod(cosines)) - float(np.sum(cosines**2))
    volume = abs(float(np.prod(lengths))) * math.sqrt(max(square, 0.0))
    sines = np.sqrt(1 - cosines**2)
    heights = volume / np.maximum(np.abs(np.prod(lengths) / np.where(lengths == 0, 1, lengths)) * sines, 1e-12)
    if volume == 0 or float(heights.min()) < MIN_THICKNESS_ANGSTROM:
        cell = f"lengths {values[:3]} angles {values[3:]} give a volume of {volume:.3g} angstrom^3"
        raise RefusedInputError(Reason.DEGENERATE_CELL, finder.where(_CELL_KEYS[0]) + cell)


def _check_sites(block: CifBlock, finder: _LineFinder) -> int:
    """Refuses unknown labels, missing and non-finite coordinates; fills in unset occupancies."""
    data = block.data
    labels = data.get("_atom_site_label", [])
    if all(label in _UNKNOWN_VALUES for label in labels):
        raise RefusedInputError(Reason.EMPTY, f"{finder.where('_atom_site_label')}no rows in the atom_site loop")
    missing = [key for key in _COORDINATES if len(data.get(key, [])) != len(labels)]
    if missing:
        where = finder.where("_atom_site_label")
        raise RefusedInputError(Reason.PARSE, f"{where}{', '.join(missing)} missing or incomplete")
    symbols = _symbols(block)
    for row, (label, symbol) in enumerate(zip(labels, symbols, strict=True)):
        _check_symbol(symbol, label, finder)
        if symbols is labels and _letters(symbol) == "T":
            detail = f"{finder.where(label)}{label!r} may be a tetrahedral site or tritium; add _atom_site_type_symbol"
            raise RefusedInputError(Reason.UNKNOWN_SPECIES, detail)
        position = [_number(data[key][row], finder, label) for key in _COORDINATES]
        if not all(map(math.isfinite, position)):
            raise RefusedInputError(Reason.NONFINITE, f"{finder.where(label)}position {position} of {label}")
    if "_atom_site_occupancy" in data:
        data["_atom_site_occupancy"] = ["1" if x in _UNKNOWN_VALUES else x for x in data["_atom_site_occupancy"]]
    return len(labels)


def _symbols(block: CifBlock) -> list[str]:
    """The species of each row as written: type symbols, or labels where there are none."""
    symbols: list[str] = block.data.get("_atom_site_type_symbol", block.data["_atom_site_label"])
    return symbols


def _letters(symbol: str) -> str:
    """The element letters that a symbol or label begins with ("D" of "D1")."""
    match = re.match(r"[A-Z][a-z]?", symbol)
    return match[0] if match else ""


def _check_symbol(symbol: str, label: str, finder: _LineFinder) -> None:
    """Refuses what pymatgen would drop (OH), or read as a dummy atom (Qq, X) or another element (Va as V)."""
    letters = re.match(r"[A-Za-z]{0,2}", symbol)
    start = letters[0] if letters else ""
    if symbol.startswith(_WATER):
        return
    is_element = Element.is_valid_symbol(start.title()) or (
        Element.is_valid_symbol(start[:1].upper()) and not start[1:].islower()
    )
    if not is_element or symbol.startswith(_GROUPS):
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, f"{finder.where(label)}{symbol!r} ({label}) is no element")


def _check_symmetry(
    parser: _Parser, block: CifBlock, n_sites: int, max_sites: int, missing_symmetry: MissingSymmetry
) -> tuple[str, ...]:
    """Refuses unresolved space groups and expansions beyond the limit; says when P1 was assumed."""
    if parser.feature_flags["magcif"]:
        return ()
    operations = parser.get_symops(block)
    if any(not math.isclose(abs(np.linalg.det(op.rotation_matrix)), 1, abs_tol=1e-6) for op in operations):
        raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, "an operation listed does not conserve volume")
    if n_sites * len(operations) > (max_sites if len(operations) > 1 else max(max_sites, MAX_LISTED_ATOMS)):
        detail = f"{n_sites} sites times {len(operations)} operations, limit {max_sites}"
        raise RefusedInputError(Reason.TOO_LARGE, detail)
    if len(operations) > 1 or any(_OPERATIONS.match(key) and block.data[key] for key in block.data):
        return ()
    # Now the identity alone is left: right for P1, and what pymatgen falls back to for a name that it does not know.
    named = {key: block.data[key] for key in block.data if _SPACE_GROUP.match(key)}
    named = {key: value for key, value in named.items() if isinstance(value, str) and value not in _UNKNOWN_VALUES}
    if not named:
        return ("symmetry_missing: no space group and no operations, read as P1",)
    if any(re.sub(r"[\s_]", "", value).upper() in ("P1", "1") for value in named.values()):
        return ()
    if missing_symmetry is MissingSymmetry.REFUSE:
        key, value = next(iter(named.items()))
        raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, f"{key} {value!r} is unknown and no operations are listed")
    return ("symmetry_assumed: the space group is unknown, read as P1 as asked",)


def _explicit_cell(parser: _Parser, block: CifBlock) -> ParsedCrystal | None:
    """A large cell that gives all its atoms, each alone on its site: nothing is left to expand or to merge.

    None where the identity is not the only operation or a site is not simply one atom: pymatgen knows what to do then.
    """
    data = block.data
    if parser.feature_flags["magcif"] or len(parser.get_symops(block)) > 1:
        return None
    symbols = _symbols(block)
    occupancies = [str2float(value) for value in data.get("_atom_site_occupancy", ["1"] * len(symbols))]
    names = {symbol: parser._parse_symbol(symbol) for symbol in set(symbols)}
    if any(symbol.startswith(_WATER) or not name for symbol, name in names.items()) or set(occupancies) != {1.0}:
        return None
    if (cell := parser.get_lattice(block)) is None:
        return None
    lattice, (numbers, _) = np.array(cell.matrix), atomic_numbers([names[symbol] for symbol in symbols])
    frac_coords = np.stack([np.array(list(map(str2float, data[key]))) for key in _COORDINATES], axis=1)
    require_finite(lattice, frac_coords)
    notes = isotope_notes(map(_letters, symbols))
    return ParsedCrystal(lattice, frac_coords, numbers, notes, None, _provenance(block))


def _provenance(block: CifBlock) -> dict[str, Any]:
    """What a block says of where it comes from."""
    values = {key.lstrip("_"): block.data.get(key) for key in _PROVENANCE}
    return {key: value for key, value in values.items() if value not in (None, *_UNKNOWN_VALUES)}


def _expand(parser: _Parser, finder: _LineFinder) -> Structure:
    """The full cell; pymatgen's complaints become reasons."""
    try:
        structure = parser.structure()
    except NotImplementedError as error:
        reason = Reason.DISORDERED if "isordered" in str(error) else Reason.PARSE
        raise RefusedInputError(reason, str(error)) from error
    except ValueError as error:
        if "exceeded tolerance" in str(error):
            raise RefusedInputError(Reason.OCCUPANCY, f"{finder.where('_atom_site_occupancy')}{error}") from error
        raise
    if structure is None or not len(structure):
        raise RefusedInputError(Reason.EMPTY, "every site of the block has occupancy 0")
    return structure
