"""The sites that a CIF lists: where they are, what may stand on them, and what the file says of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.items import UNKNOWN, Items, decimals, parse_number
from gmt_tasks.sources.files.cif.species import UNCLEAR, element_of_type, elements_of_label, is_mixture
from gmt_tasks.sources.parsed import RefusedInputError
from models.crystals.crystal import MAX_FRACTIONAL
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
        contradictory_label: of a row whose label names another element than its type symbol; empty if there is none.
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
    contradictory_label: str

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
    _refuse_alternatives(items, labels, rows)
    columns = [items.column(name) for name in _COORDINATES]
    texts = [column[row] for row in rows for column in columns]
    positions = _positions(items, [labels[row] for row in rows], texts)
    n_decimals = np.array([decimals(text) for text in texts]).reshape(-1, 3)
    frac_coords, n_idealised = _idealised(positions, n_decimals)
    elements = [_elements(items, labels[row], symbols[row]) for row in rows]
    # Zeros at the end are often left out, so the longest of the three tells best.
    resolution = 10.0 ** -np.clip(n_decimals.max(axis=1), 0, _MOST_DECIMALS)
    stated = next((column for name in _MULTIPLICITY if (column := _column(items, name, len(labels)))), [])
    multiplicities = [parse_number(stated[row]) if stated else None for row in rows]
    return Sites(
        labels=[labels[row] for row in rows],
        elements=elements,
        symbols=[symbols[row] or labels[row] for row in rows],
        frac_coords=frac_coords,
        occupancies=occupancies[rows],
        multiplicities=np.array([int(number or 0) if abs(number or 0) < 1e6 else 0 for number in multiplicities]),
        resolution=resolution,
        n_idealised=n_idealised,
        notes=notes,
        contradictory_label=next((text for row in rows if (text := _contradiction(labels[row], symbols[row]))), ""),
    )


def _column(items: Items, name: str, n_rows: int) -> list[str]:
    """A column of the sites; empty where the block does not have it.

    Raises:
        RefusedInputError: it has another number of values, so that nobody knows which belongs to which site.
    """
    column = items.column(name)
    if column and len(column) != n_rows:
        raise RefusedInputError(Reason.PARSE, f"{items.line(name)}{len(column)} values of {name} for {n_rows} sites")
    return column


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
    flags = _column(items, "_atom_site_calc_flag", len(labels))
    is_dummy = [flag.lower() == "dum" for flag in flags] or [False] * len(labels)
    rows = [
        row
        for row, (label, symbol) in enumerate(zip(labels, symbols, strict=True))
        if not is_dummy[row] and not (label in UNKNOWN and not symbol)
    ]
    dropped = [labels[row] for row in range(len(labels)) if is_dummy[row]]
    if not dropped:
        return rows, ()
    note = f"{Doubt.SPECIES}: {len(dropped)} dummy sites left out, as _atom_site_calc_flag says ({dropped[0]})"
    return rows, (note,)


def _refuse_alternatives(items: Items, labels: list[str], rows: list[int]) -> None:
    """Raises for sites of several disorder groups of one assembly: only one of them is there at a time."""
    groups = _column(items, "_atom_site_disorder_group", len(labels))
    assemblies = _column(items, "_atom_site_disorder_assembly", len(labels))
    first: dict[str, int] = {}
    for row in rows if groups else ():
        if groups[row] in (*UNKNOWN, "0"):
            continue
        other = first.setdefault(assemblies[row] if assemblies else "", row)
        if groups[other] != groups[row]:
            detail = f"{labels[other]} and {labels[row]} are in disorder groups {groups[other]} and {groups[row]}"
            raise RefusedInputError(Reason.DISORDERED, items.line_of(labels[row]) + detail)


def _occupancies(items: Items, labels: list[str]) -> Floats:
    """Occupancy of each row, 1 where it is not given."""
    texts = _column(items, "_atom_site_occupancy", len(labels))
    if not texts:
        return np.ones(len(labels))
    values = [1.0 if text in UNKNOWN else parse_number(text) for text in texts]
    for label, text, value in zip(labels, texts, values, strict=True):
        if value is None:
            detail = f"{items.line_of(label, text)}{text[:60]!r} is no number (_atom_site_occupancy of {label[:60]})"
            raise RefusedInputError(Reason.PARSE, detail)
    return np.array(values, dtype=np.float64)


def _positions(items: Items, labels: list[str], texts: list[str]) -> Floats:
    """Fractional coordinates of the rows, shape [n_sites, 3], from three texts of each."""
    values = [parse_number(text) for text in texts]
    if None in values:
        site, axis = divmod(values.index(None), 3)
        label, text = labels[site], texts[3 * site + axis]
        advice = "; give it, or mark the row as a dummy site (_atom_site_calc_flag dum)" if text in UNKNOWN else ""
        what = f"{text[:60]!r} is no number ({_COORDINATES[axis]} of {label[:60]})"
        raise RefusedInputError(Reason.PARSE, f"{items.line_of(label, text)}{what}{advice}")
    positions = np.array(values, dtype=np.float64).reshape(-1, 3)
    # So far from the cell a number has no digits left to say where in the cell.
    is_usable = (np.abs(positions) <= MAX_FRACTIONAL).all(axis=1)
    if not is_usable.all():
        site = int(np.flatnonzero(~is_usable)[0])
        detail = f"{items.line_of(labels[site])}position {positions[site].tolist()} of {labels[site]}"
        raise RefusedInputError(Reason.NONFINITE, detail)
    return positions


def _idealised(frac_coords: Floats, n_decimals: NDArray[np.int64]) -> tuple[Floats, int]:
    """Positions with 0.3333, 0.66667, 0.1667 as the thirds and sixths that they are rounded from, and how many."""
    sixths = np.rint(frac_coords * 6)
    is_third = sixths % 3 != 0
    # Rounded or cut off: either way less than one unit of the last digit away.
    is_near = np.abs(frac_coords - sixths / 6) < 10.0**-n_decimals
    is_changed = is_third & is_near & (n_decimals >= _FEWEST_DIGITS_OF_A_THIRD) & (n_decimals < 12)
    return np.where(is_changed, sixths / 6, frac_coords), int(is_changed.sum())


def _elements(items: Items, label: str, symbol: str) -> tuple[int, ...]:
    """Atomic numbers that a row may be."""
    name = symbol or label
    if is_mixture(name):
        detail = f"{items.line_of(label)}{name[:60]!r} names several elements on one site"
        raise RefusedInputError(Reason.DISORDERED, detail)
    if symbol:
        element = element_of_type(symbol)
        elements: tuple[int, ...] = (element,) if element else ()
    else:
        elements = elements_of_label(label)
    if not elements or elements == (UNCLEAR,):
        detail = f"{items.line_of(label)}{name[:60]!r} ({label[:60]}) is no element"
        if not symbol and label[:1] == "T":
            detail = f"{items.line_of(label)}{label!r} may be a tetrahedral site or tritium; add _atom_site_type_symbol"
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, detail)
    return elements


def _contradiction(label: str, symbol: str) -> str:
    """That a label names another element than the type symbol; empty if it does not, or names none."""
    # "F1" may be short for iron, and a bare letter any site.
    is_short = len(label) < 2 or label[:1].upper() == symbol[:1].upper()
    named = () if is_short or not symbol else elements_of_label(label)
    is_contradictory = named and UNCLEAR not in named and element_of_type(symbol) not in named
    return f"the label {label[:60]!r} stands beside the type symbol {symbol[:60]!r}" if is_contradictory else ""
