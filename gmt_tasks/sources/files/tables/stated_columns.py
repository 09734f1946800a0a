"""What the columns of a table say of their crystals, compared with the atoms of all rows at once.

The same rules as for single records (gmt_tasks/sources/stated_composition.py, gmt_tasks/sources/json_shapes.py).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmt_tasks.sources.files.tables.columns import (
    Flags,
    Ints,
    as_numpy,
    flatten,
    float_values,
    is_list,
    is_text,
    rows_with,
    texts_of,
)
from gmt_tasks.sources.json_shapes import INCOMPLETE_FEATURES, periodicity_notes
from gmt_tasks.sources.parsed import Floats, atomic_number
from gmt_tasks.sources.stated_composition import (
    COUNT_KEYS,
    FORMULA_KEYS,
    count_doubt,
    is_same_composition,
)
from models.crystals.crystal import SYMBOLS
from models.crystals.formula import parse_formula
from models.errors import Doubt

_N_ELEMENTS = len(SYMBOLS)
_LONGEST_AMOUNT = 6  # digits
_OPEN, _CLOSE = ord("("), ord(")")
_ELEMENT_OF_BYTES = np.zeros((256, 256), dtype=np.int64)
"""Atomic number by the one or two bytes of a symbol, the second 0 for a single letter; 0 for no element."""
for _symbol in (*SYMBOLS[1:], "D", "T"):
    _ELEMENT_OF_BYTES[ord(_symbol[0]), ord(_symbol[1]) if len(_symbol) > 1 else 0] = atomic_number(_symbol) or 0


@dataclass(frozen=True)
class Atoms:
    """The atoms of the rows of a table.

    Attributes:
        numbers: atomic numbers, shape [n_atoms].
        rows: the row of each atom, ascending, shape [n_atoms].
        n_rows: number of rows.
        is_sound: the rows that are worth comparing, shape [n_rows].
    """

    numbers: Ints
    rows: Ints
    n_rows: int
    is_sound: Flags

    def amounts(self) -> Floats:
        """Number of atoms of each element in each sound row, shape [n_rows, n_elements]."""
        chosen = self.is_sound[self.rows]
        keys = self.rows[chosen] * _N_ELEMENTS + self.numbers[chosen]
        return np.bincount(keys, minlength=self.n_rows * _N_ELEMENTS).reshape(self.n_rows, -1).astype(np.float64)


def contradictions(batch: pa.RecordBatch, atoms: Atoms) -> dict[str, Flags]:
    """The columns that state a composition, and the rows whose atoms have other elements or ratios than they say."""
    names = batch.schema.names
    formulas = [name for name in FORMULA_KEYS if names.count(name) == 1 and is_text(batch.column(name).type)]
    has_elements = names.count("elements") == 1 and is_list(batch.column("elements").type)
    if not formulas and not has_elements:
        return {}
    amounts = atoms.amounts()
    found = {name: _contradicting_formulas(batch.column(name), amounts, atoms) for name in formulas}
    if has_elements and is_text(batch.column("elements").type.value_type):
        found["elements"] = _contradicting_elements(batch.column("elements"), amounts > 0, atoms)
    return found


def _contradicting_formulas(column: pa.Array, amounts: Floats, atoms: Atoms) -> Flags:
    """Rows whose formula names other elements or ratios."""
    stated, is_simple, is_other = _simple_formulas(column, atoms.n_rows)
    totals, n_atoms = stated.sum(axis=1), amounts.sum(axis=1)
    # Products of whole numbers are compared: no rounding.
    differs = (stated * n_atoms[:, None] != amounts * totals[:, None]).any(axis=1)
    wrong: Flags = is_simple & atoms.is_sound & differs
    for row in np.flatnonzero(is_other & atoms.is_sound).tolist():
        text = texts_of(column.slice(row, 1))[0]
        parts = parse_formula(text or "")
        if parts is not None:
            own = np.repeat(np.arange(_N_ELEMENTS), amounts[row].astype(np.int64))
            wrong[row] = not is_same_composition(parts, own)
    return wrong


def _simple_formulas(column: pa.Array, n_rows: int) -> tuple[Floats, Flags, Flags]:
    """Reads all formulas of symbols, whole numbers and groups in one pair of parentheses, as arrays of bytes.

    Returns:
        Amount of each element, shape [n_rows, n_elements]; the rows for which it was read; and the rows with any other
        text, which may be a formula of another kind or none at all.
    """
    data, rows, depth, is_other = _plain_bytes(column, n_rows)
    is_upper, is_close, is_digit = data - 65 < 26, data == _CLOSE, data - 48 < 10
    heads = np.flatnonzero(is_upper | is_close | (data == _OPEN))
    # Digits belong to the head before them, a symbol or the end of a group, and count by their distance from the last.
    head_of_byte = np.searchsorted(heads, np.arange(len(data)), side="right") - 1
    place = np.append(heads, len(data))[1:][head_of_byte] - 1 - np.arange(len(data))
    values = np.where(is_digit, data - 48, 0) * 10.0 ** np.minimum(place, _LONGEST_AMOUNT)
    has_digits = np.bincount(head_of_byte[is_digit], minlength=len(heads)) > 0
    factors = np.where(has_digits, np.bincount(head_of_byte, values, minlength=len(heads)), 1.0)

    is_symbol = is_upper[heads]
    starts, amounts = heads[is_symbol], factors[is_symbol]
    ends_of_groups = np.flatnonzero(is_close[heads])
    is_inside = depth[starts] > 0
    following = np.searchsorted(ends_of_groups, np.flatnonzero(is_symbol)[is_inside])
    amounts[is_inside] *= factors[ends_of_groups[following]]
    second = np.append(np.where(data - 97 < 26, data, 0), 0)[starts + 1]
    elements = _ELEMENT_OF_BYTES[data[starts], second]

    is_unread = rows_with(rows[starts[elements == 0]], n_rows)  # like A in AB2: it states nothing
    is_long = rows_with(rows[is_digit & (place >= _LONGEST_AMOUNT)], n_rows)
    keys = rows[starts] * _N_ELEMENTS + elements
    stated = np.bincount(keys, amounts, minlength=n_rows * _N_ELEMENTS).astype(np.float64).reshape(n_rows, -1)
    return stated, rows_with(rows, n_rows) & ~is_unread & ~is_long, is_other | is_long


def _plain_bytes(column: pa.Array, n_rows: int) -> tuple[NDArray[np.uint8], Ints, Ints, Flags]:
    """The bytes of the texts that may be such formulas, with row and depth of each, and the rows with other texts."""
    column = pc.cast(pc.fill_null(column, ""), pa.large_binary())
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + n_rows + 1]
    content = column.buffers()[2]
    data = np.frombuffer(content, dtype=np.uint8)[offsets[0] : offsets[-1]] if content else np.zeros(0, np.uint8)
    lengths = np.diff(offsets)
    rows = np.repeat(np.arange(n_rows), lengths)
    is_upper, is_lower, is_digit = data - 65 < 26, data - 97 < 26, data - 48 < 10
    is_open, is_close = data == _OPEN, data == _CLOSE
    is_first = np.zeros(len(data), dtype=bool)
    is_first[(offsets[:-1] - offsets[0])[lengths > 0]] = True
    before = np.concatenate([[0], data[:-1]])[: len(data)] * ~is_first
    # What may stand at the beginning and behind an opening parenthesis is a symbol, or a group at the beginning; a
    # small letter stands directly behind a capital one.
    at_start = np.where(is_first, is_upper | is_open, is_upper | (before != _OPEN))
    is_fit = at_start & (is_upper | is_digit | is_open | is_close | (is_lower & (before - 65 < 26) & (before >= 65)))
    sums = np.concatenate([[0], np.cumsum(is_open.astype(np.int64) - is_close)])
    depth = sums[1:] - sums[offsets[:-1] - offsets[0]][rows]
    is_other = rows_with(rows[~is_fit | (depth < 0) | (depth > 1)], n_rows)
    is_other |= sums[offsets[1:] - offsets[0]] != sums[offsets[:-1] - offsets[0]]
    kept = ~is_other[rows]
    return data[kept], rows[kept], depth[kept], is_other


def _contradicting_elements(column: pa.Array, present: Flags, atoms: Atoms) -> Flags:
    """Rows whose list of elements is not that of their atoms."""
    labels, rows, broken = flatten(column)
    encoded = labels.dictionary_encode()
    known = np.array([atomic_number(label or "") or 0 for label in texts_of(encoded.dictionary)] + [0], dtype=np.int64)
    elements = known[as_numpy(encoded.indices.fill_null(len(known) - 1)).astype(np.int64)]
    listed = np.zeros_like(present)
    listed[rows, elements] = True
    states_some: Flags = rows_with(rows, atoms.n_rows) & ~broken & ~listed[:, 0]
    differs: Flags = (listed != present).any(axis=1)
    return states_some & atoms.is_sound & differs


def incomplete_rows(batch: pa.RecordBatch) -> Flags:
    """Rows whose sites are not all atoms, as OPTIMADE's `structure_features` says."""
    name = "structure_features"
    if batch.schema.names.count(name) != 1 or not is_list(batch.column(name).type):
        return np.zeros(batch.num_rows, dtype=bool)
    features, rows, _ = flatten(batch.column(name))
    if not is_text(features.type):
        return np.zeros(batch.num_rows, dtype=bool)
    named = as_numpy(pc.is_in(features, value_set=pa.array(sorted(INCOMPLETE_FEATURES), features.type)))
    return rows_with(rows[named.astype(bool)], batch.num_rows)


def declares_other_species(batch: pa.RecordBatch) -> bool:
    """True if OPTIMADE's `species` explains some name otherwise than as one element that fills its site."""
    if batch.schema.names.count("species") != 1 or pa.types.is_null(batch.column("species").type):
        return False
    species, _, _ = flatten(batch.column("species"))
    if not pa.types.is_struct(species.type):
        return True
    fields = {name: pc.struct_field(species, name) for name in ("name", "chemical_symbols", "concentration")
              if species.type.get_field_index(name) >= 0}  # fmt: skip
    if len(fields) < 3 or not is_list(fields["chemical_symbols"].type) or not is_list(fields["concentration"].type):
        return True
    for name in ("chemical_symbols", "concentration"):
        if not (as_numpy(pc.fill_null(pc.list_value_length(fields[name]), 0)) == 1).all():
            return True
    symbols, shares = pc.list_flatten(fields["chemical_symbols"]), pc.list_flatten(fields["concentration"])
    is_itself = pc.equal(fields["name"], symbols)
    return not pc.all(pc.fill_null(pc.and_(is_itself, pc.equal(shares, 1)), fill_value=False)).as_py()


def doubts(batch: pa.RecordBatch, n_atoms: Ints) -> dict[int, list[str]]:
    """The doubts about rows: another number of atoms than the columns say, axes that are not periodic."""
    found: dict[int, list[str]] = {}
    names = batch.schema.names
    for name in [name for name in (*COUNT_KEYS, "nperiodic_dimensions") if names.count(name) == 1]:
        kind = batch.column(name).type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            stated = float_values(batch.column(name))
            expected = np.full(batch.num_rows, 3) if name == "nperiodic_dimensions" else n_atoms
            for row in np.flatnonzero(np.isfinite(stated) & (stated != expected)).tolist():
                text = count_doubt(name, stated[row], int(n_atoms[row]))
                if name == "nperiodic_dimensions":
                    text = f"{Doubt.PERIODICITY}: {name} is {stated[row]:g}, read as periodic along every axis"
                found.setdefault(row, []).append(text)
    for name in [name for name in ("dimension_types", "pbc") if names.count(name) == 1]:
        column = batch.column(name)
        if is_list(column.type):
            values, rows, _ = flatten(column)
            if pa.types.is_boolean(values.type) or pa.types.is_integer(values.type):
                unset = as_numpy(pc.fill_null(pc.equal(pc.cast(values, pa.int64()), 0), fill_value=False)).astype(bool)
                for row in np.unique(rows[unset]).tolist():
                    found.setdefault(row, []).extend(periodicity_notes(name, column[row].as_py()))
    return found
