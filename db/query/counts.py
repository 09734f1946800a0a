"""How many crystals a filter describes, and how the values of one property are spread among them.

Counted in the stored columns, or by SQL where columns cannot answer; every answer says that it is exact, so that one
which is estimated could say otherwise.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from db.query.by_column.rows import NotByColumnError
from db.query.by_column.selection import Selection, conditions
from db.query.properties import LISTS, PROPERTIES, Kind, resolve_property
from db.query.request import Request
from db.query.sql.conditions import COLUMNS, HITS
from db.records import Floats
from db.segments import Column
from models.crystals.crystal import SYMBOLS
from models.errors import FilterError


class BinScale(StrEnum):
    """How the edges of a histogram are spaced."""

    LINEAR = "linear"
    LOG = "log"


class Count(NamedTuple):
    """A number of crystals, and whether it was counted or estimated."""

    n: int
    exact: bool


class FacetValue(NamedTuple):
    """A value of a property, None for unknown, and how many crystals have it."""

    value: Any
    n: int


class Facets(NamedTuple):
    """The most frequent values of a property, the most frequent first."""

    field: str
    values: list[FacetValue]
    exact: bool


class Histogram(NamedTuple):
    """Counts between edges; a crystal with an unknown value, or one that the scale cannot show, is in `n_unknown`.

    Attributes:
        edges: bins + 1 numbers in the property's unit, or none where no value is known.
        counts: of each bin; the last one holds its upper edge too.
        n_unknown: crystals in no bin.
        exact: False where the numbers are estimates.
    """

    field: str
    edges: list[float]
    counts: list[int]
    n_unknown: int
    exact: bool


def count(connection: Connection, request: Request) -> Count:
    """Number of rows that a request without limit has."""
    try:
        return Count(len(Selection(connection, request).rows), exact=True)
    except NotByColumnError:
        statement = select(func.count()).select_from(HITS).where(*conditions(connection, request))
        return Count(int(connection.execute(statement).scalar_one()), exact=True)


def facets(connection: Connection, request: Request, field: str, limit: int = 20) -> Facets:
    """The most frequent values of a property among the hits of a request.

    Args:
        connection: for reading.
        request: its filter and model count, nothing else.
        field: a property that is no number; of `elements`, each element counts for itself.
        limit: number of values.

    Raises:
        FilterError: the field is unknown, or a number or a list other than elements.
    """
    name = resolve_property(field)
    if PROPERTIES[name] is Kind.NUMBER or (PROPERTIES[name] in LISTS and name != "elements"):
        raise FilterError(f"{name} is a {PROPERTIES[name]} and has no facets. Ask for its histogram or for elements.")
    try:
        hits = Selection(connection, request)
        numbers = _numbers_by_column(hits.table.column(name).take(hits.rows), PROPERTIES[name])
    except NotByColumnError:
        numbers = _numbers_by_sql(connection, request, name)
    # Ties in the order of the values, unknown last: the same list on either dialect.
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0] is None, item[0]))
    return Facets(name, [FacetValue(*item) for item in ordered[:limit]], exact=True)


def _numbers_by_column(column: Column, kind: Kind) -> dict[Any, int]:
    """How often each value occurs, None for unknown."""
    values = column.values
    if kind is Kind.ELEMENTS:
        return _numbers_of_elements(values)
    if column.texts is not None:
        # unknown ones are -1
        counts = np.bincount(values + 1, minlength=len(column.texts) + 1).tolist()
        return {value: n for value, n in zip([None, *column.texts], counts, strict=True) if n}
    known = values[~np.isnan(values) if values.dtype.kind == "f" else values >= 0].astype(np.int64)
    numbers: dict[Any, int] = {}
    # small integers: counting them is much faster than sorting them
    counts = np.bincount(known)
    for value in np.flatnonzero(counts).tolist():
        numbers[bool(value) if kind is Kind.FLAG else value] = int(counts[value])
    return numbers | ({None: len(values) - len(known)} if len(known) < len(values) else {})


def _numbers_of_elements(masks: NDArray[np.uint64]) -> dict[str, int]:
    """How many rows of element masks, [n_rows, 2], hold each element."""
    words = np.ascontiguousarray(masks.astype("<u8", copy=False)).view("<u2")
    counts = []
    for word in words.T:
        # how often each pattern of sixteen elements occurs; an element's number is the sum of those that have its bit
        of_patterns = np.bincount(word, minlength=1 << 16)
        counts += [int(of_patterns.reshape(-1, 2, 1 << bit)[:, 1].sum()) for bit in range(16)]
    return {symbol: n for symbol, n in zip(SYMBOLS, counts, strict=False) if n}


def _numbers_by_sql(connection: Connection, request: Request, name: str) -> dict[Any, int]:
    column = COLUMNS[name]
    statement = select(column.label("value"), func.count().label("n")).select_from(HITS)
    numbers: dict[Any, int] = {}
    for value, n in connection.execute(statement.where(*conditions(connection, request)).group_by(column)):
        for entry in value.strip(",").split(",") if name == "elements" else [value]:
            numbers[entry] = numbers.get(entry, 0) + n
    return numbers


def histogram(
    connection: Connection, request: Request, field: str, bins: int = 40, scale: BinScale | str = BinScale.LINEAR
) -> Histogram:
    """How the values of a number are spread among the hits of a request.

    Args:
        connection: for reading.
        request: its filter and model count, nothing else.
        field: a number.
        bins: how many, 1 to 1000.
        scale: of the edges; on a logarithmic one only positive values have a place.

    Raises:
        FilterError: the field is unknown or no number, or there are too few or too many bins.
    """
    name = resolve_property(field)
    if PROPERTIES[name] not in (Kind.NUMBER, Kind.INTEGER):
        raise FilterError(f"{name} is a {PROPERTIES[name]} and has no histogram. Ask for a number.")
    if not 1 <= bins <= 1000:
        raise FilterError(f"A histogram has 1 to 1000 bins, not {bins}.")
    try:
        hits = Selection(connection, request)
        values = hits.table.column(name).values[hits.rows].astype(np.float64)
    except NotByColumnError:
        statement = select(COLUMNS[name]).select_from(HITS).where(*conditions(connection, request))
        values = np.array(connection.execute(statement).scalars().all(), dtype=np.float64)
    return _binned(name, values, bins, BinScale(scale))


def _binned(name: str, values: Floats, bins: int, scale: BinScale) -> Histogram:
    shown = values[values > 0] if scale is BinScale.LOG else values[~np.isnan(values)]
    n_unknown = len(values) - len(shown)
    if not len(shown):
        return Histogram(name, [], [], n_unknown, exact=True)
    counts, edges = np.histogram(np.log10(shown) if scale is BinScale.LOG else shown, bins)
    edges = 10**edges if scale is BinScale.LOG else edges
    return Histogram(name, edges.tolist(), counts.tolist(), n_unknown, exact=True)
