"""The sites that a CIF lists: where they are, what may stand on them, and what the file says of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.items import UNKNOWN, Items, decimals, parse_number
from gmt_tasks.sources.files.cif.species import UNCLEAR, element_of_type, elements_of_label, is_mixture
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Doubt, Reason

_COORDINATES = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_MULTIPLICITY = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")
_FEWEST_DIGITS_OF_A_THIRD = 4
_MOST_DECIMALS = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sites:
    """The rows of the atom_site loop that are atoms.

    Attributes:
        labels: as written.
        elements: atomic numbers that each row may be, the likelier first; one where a type symbol says it.
        symbols: type symbols, or labels where there are none, for notes about isotopes.
        frac_coords: shape [n_sites, 3]; thirds and sixths that were rounded are put right.
        occupancies: shape [n_sites]; 1 where the file does not say.
        multiplicities: number of images that the file states, shape [n_sites]; 0 where it does not.
        resolution: of the coordinates of each site as written, e.g. 1e-4, shape [n_sites]; 1 for whole numbers.
        n_idealised: coordinates that were put right.
        notes: what was left out.
    """

    labels: list[str]
    elements: list[tuple[int, ...]]
    symbols: list[str]
    frac_coords: Floats
    occupancies: Floats
    multiplicities: NDArray[np.int64]
    resolution: Floats
    n_idealised: int
    notes: tuple[str, ...]

    @property
    def n_sites(self) -> int:
        """Number of rows."""
        return len(self.labels)


def read_sites(items: Items) -> Sites:
    """The sites of a block.

    Raises:
        RefusedInputError: `empty`, `parse` or `nonfinite` for a coordinate, with its line, `unknown_species`,
            `disordered` for a row that names a mixture.
    """
    labels, symbols = _names(items)
    rows, notes = _rows_with_atoms(items, labels, symbols)
    if not rows:
        raise RefusedInputError(Reason.EMPTY, f"{items.line('_atom_site_label')}no atoms in the atom_site loop")
    occupancies = _occupancies(items, labels)
    rows = [row for row in rows if occupancies[row] != 0]
    if not rows:
        raise RefusedInputError(Reason.EMPTY, "every site of the block has occupancy 0")
    texts = [[items.column(name)[row] for name in _COORDINATES] for row in rows]
    positions = [_position(items, labels[row], text) for row, text in zip(rows, texts, strict=True)]
    frac_coords, n_idealised = _idealised(np.array(positions), texts)
    elements = [_elements(items, labels[row], symbols[row]) for row in rows]
    # Zeros at the end are often left out, so the longest of the three tells best.
    n_decimals = np.clip([max(map(decimals, text)) for text in texts], 0, _MOST_DECIMALS)
    stated = next((column for name in _MULTIPLICITY if (column := items.column(name))), [])
    multiplicities = [parse_number(stated[row]) if len(stated) == len(labels) else None for row in rows]
    return Sites(
        labels=[labels[row] for row in rows],
        elements=elements,
        symbols=[symbols[row] or labels[row] for row in rows],
        frac_coords=frac_coords,
        occupancies=occupancies[rows],
        multiplicities=np.array([int(number or 0) if abs(number or 0) < 1e6 else 0 for number in multiplicities]),
        resolution=10.0**-n_decimals,
        n_idealised=n_idealised,
        notes=notes,
    )


def _names(items: Items) -> tuple[list[str], list[str]]:
    """Label and type symbol of each row; an empty symbol where there is none."""
    labels, symbols = items.column("_atom_site_label"), items.column("_atom_site_type_symbol")
    labels = labels or symbols
    columns = {name: items.column(name) for name in _COORDINATES}
    if not labels and any(columns.values()):
        detail = f"{items.line(_COORDINATES[0])}coordinates, but neither _atom_site_label nor _atom_site_type_symbol"
        raise RefusedInputError(Reason.PARSE, detail)
    missing = [name for name, column in columns.items() if len(column) != len(labels)]
    if missing and labels and not all(label in UNKNOWN for label in labels):
        where = items.line("_atom_site_label")
        raise RefusedInputError(Reason.PARSE, f"{where}{', '.join(missing)} missing or incomplete")
    if not symbols:
        return labels, [""] * len(labels)
    if len(symbols) != len(labels):
        detail = f"{items.line('_atom_site_type_symbol')}{len(symbols)} type symbols for {len(labels)} labels"
        raise RefusedInputError(Reason.PARSE, detail)
    return labels, ["" if symbol in UNKNOWN else symbol for symbol in symbols]


def _rows_with_atoms(items: Items, labels: list[str], symbols: list[str]) -> tuple[list[int], tuple[str, ...]]:
    """Rows that are atoms, and a note about the dummy sites that were left out because the file calls them so."""
    flags = items.column("_atom_site_calc_flag")
    is_dummy = [flag.lower() == "dum" for flag in flags] if len(flags) == len(labels) else [False] * len(labels)
    rows = [
        row
        for row, (label, symbol) in enumerate(zip(labels, symbols, strict=True))
        if not is_dummy[row] and not (label in UNKNOWN and not symbol)
    ]
    dropped = [labels[row] for row in range(len(labels)) if is_dummy[row]]
    note = (
        f"{Doubt.SPECIES}: {len(dropped)} dummy sites left out, as _atom_site_calc_flag says ({dropped[0]})"
        if dropped
        else ""
    )
    return rows, (note,) if note else ()


def _occupancies(items: Items, labels: list[str]) -> Floats:
    """Occupancy of each row, 1 where it is not given."""
    texts = items.column("_atom_site_occupancy")
    if len(texts) != len(labels):
        return np.ones(len(labels))
    values = [1.0 if text in UNKNOWN else parse_number(text) for text in texts]
    for label, text, value in zip(labels, texts, values, strict=True):
        if value is None:
            detail = f"{items.line_of(label, text)}{text!r} is no number (_atom_site_occupancy of {label})"
            raise RefusedInputError(Reason.PARSE, detail)
    return np.array(values, dtype=np.float64)


def _position(items: Items, label: str, texts: list[str]) -> list[float]:
    """Fractional coordinates of one row."""
    position = []
    for name, text in zip(_COORDINATES, texts, strict=True):
        value = parse_number(text)
        if value is None:
            advice = "; give it, or mark the row as a dummy site (_atom_site_calc_flag dum)" if text in UNKNOWN else ""
            detail = f"{items.line_of(label, text)}{text!r} is no number ({name} of {label}){advice}"
            raise RefusedInputError(Reason.PARSE, detail)
        position.append(value)
    if not np.isfinite(position).all():
        raise RefusedInputError(Reason.NONFINITE, f"{items.line_of(label)}position {position} of {label}")
    return position


def _idealised(frac_coords: Floats, texts: list[list[str]]) -> tuple[Floats, int]:
    """Positions with 0.3333, 0.66667, 0.1667 as the thirds and sixths that they are rounded from, and how many."""
    n_decimals = np.array([[decimals(text) for text in row] for row in texts])
    sixths = np.rint(frac_coords * 6)
    is_third = (sixths % 6 != 0) & (sixths % 3 != 0) | (sixths % 2 != 0) & (sixths % 3 != 0)
    # Rounded or cut off: either way less than one unit of the last digit away.
    is_near = np.abs(frac_coords - sixths / 6) < 10.0**-n_decimals
    is_changed = is_third & is_near & (n_decimals >= _FEWEST_DIGITS_OF_A_THIRD) & (n_decimals < 12)
    return np.where(is_changed, sixths / 6, frac_coords), int(is_changed.sum())


def _elements(items: Items, label: str, symbol: str) -> tuple[int, ...]:
    """Atomic numbers that a row may be."""
    name = symbol or label
    if is_mixture(name):
        raise RefusedInputError(Reason.DISORDERED, f"{items.line_of(label)}{name!r} names several elements on one site")
    if symbol:
        element = element_of_type(symbol)
        elements: tuple[int, ...] = (element,) if element else ()
    else:
        elements = elements_of_label(label)
    if not elements or elements == (UNCLEAR,):
        detail = f"{items.line_of(label)}{name!r} ({label}) is no element"
        if not symbol and label[:1] == "T":
            detail = f"{items.line_of(label)}{label!r} may be a tetrahedral site or tritium; add _atom_site_type_symbol"
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, detail)
    return elements
