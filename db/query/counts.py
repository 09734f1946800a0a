"""How many crystals a filter describes, and how the values of one property are spread among them.

Numbers are counted where that is quick and estimated from a random sample of the rows where it is not; every answer
says which of the two it is.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from db.query.pages import COLUMNS, HITS, Request, conditions
from db.query.properties import LISTS, PROPERTIES, Kind, resolve_property
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


def exact_count(connection: Connection, request: Request) -> int:
    """Number of rows that a request without limit has."""
    statement = select(func.count()).select_from(HITS).where(*conditions(connection, request))
    return int(connection.execute(statement).scalar_one())


def count(connection: Connection, request: Request) -> Count:
    """Number of rows that a request without limit has, or an estimate of it."""
    return Count(exact_count(connection, request), exact=True)


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
    column = COLUMNS[name]
    statement = select(column.label("value"), func.count().label("n")).select_from(HITS)
    rows = connection.execute(statement.where(*conditions(connection, request)).group_by(column)).all()
    numbers: dict[Any, int] = {}
    for value, n in rows:
        for entry in value.strip(",").split(",") if name == "elements" else [value]:
            numbers[entry] = numbers.get(entry, 0) + n
    # Ties in the order of the values, unknown last: the same list on either dialect.
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0] is None, item[0]))
    return Facets(name, [FacetValue(*item) for item in ordered[:limit]], exact=True)


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
    statement = select(COLUMNS[name]).select_from(HITS).where(*conditions(connection, request))
    values = list(connection.execute(statement).scalars())
    return binned(name, values, bins, BinScale(scale), 1.0)


def binned(name: str, values: Sequence[float | None], bins: int, scale: BinScale, weight: float) -> Histogram:
    """The histogram of given values, each of which stands for `weight` crystals."""
    import numpy as np

    numbers = np.array([value for value in values if value is not None], dtype=np.float64)
    if scale is BinScale.LOG:
        numbers = np.log10(numbers[numbers > 0])
    n_unknown = round(weight * (len(values) - len(numbers)))
    if not len(numbers):
        return Histogram(name, [], [], n_unknown, weight == 1)
    counts, edges = np.histogram(numbers, bins)
    edges = 10**edges if scale is BinScale.LOG else edges
    return Histogram(name, edges.tolist(), [round(weight * n) for n in counts.tolist()], n_unknown, weight == 1)
