"""Filter tree to SELECT, and pages of hits: the only read path of searches.

A filter becomes SQLAlchemy expressions with bound values; no text of the user ever becomes SQL. Everything is written
in SQL that means the same on SQLite and PostgreSQL: no LIKE (its case rules differ), no NaN in the database, texts
compared by code point. Pages go by key ("after this row"), not by offset, so the last page costs what the first does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Double,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from db import registry
from db.base import ComparedNumber, Float32
from db.query.filter_language import parse_filter
from db.query.filter_tree import (
    And,
    Comparison,
    Decided,
    Filter,
    Flag,
    Has,
    Is,
    Knowledge,
    Matches,
    Not,
    Operator,
    Or,
    TextMatch,
    properties_of,
)
from db.query.lists import INPUT_LISTS, any_source_id, doubted, has, values_of
from db.query.properties import CRYSTALS, LISTS, PROPERTIES, Kind, Vocabulary, resolve_property
from db.query.times import time_text, whole_seconds
from db.tables import ModelState, crystals, models, results
from models.errors import Doubt, FilterError

if TYPE_CHECKING:
    import pandas as pd

Condition = ColumnElement[bool]

DEFAULT_FIELDS: tuple[str, ...] = (
    "id",
    "source_ids",
    "formula",
    "spacegroup",
    "point_group",
    "k_vrh_gpa",
    "g_vrh_gpa",
    "poisson_vrh",
    "mechanically_stable",
    "e_max_c_per_m2",
    "d_max_pc_per_n",
    "eps_electronic_mean",
    "eps_total_mean",
    "refractive_index",
)
"""What a query prints when nobody says what it should."""

DOUBT_FLAGS: dict[str, Condition] = {"doubtful": doubted(), **{doubt.value: doubted(doubt) for doubt in Doubt}}
"""Flags that ask what a crystal came with."""

COLUMNS: dict[str, ColumnElement[Any]] = {
    **{name: results.c[name] for name in PROPERTIES if name in results.c},
    **{name: crystals.c[name] for name in PROPERTIES if name in crystals.c},
    "last_modified": results.c.created,
    "model": models.c.name.concat("@").concat(models.c.version),
    **DOUBT_FLAGS,
}
"""The column, or the expression, of every property that has one value per crystal."""

HITS = results.join(crystals, crystals.c.id == results.c.crystal_id).join(models, models.c.id == results.c.model_id)
"""What a search looks through: one row per result, with its crystal and its model."""


@dataclass(frozen=True)
class PageMark:
    """The last row of a page: the next page starts after it."""

    value: Any
    crystal_id: str
    model_id: int


@dataclass(frozen=True)
class Request:
    """What is asked for; see `ResultStore.query`.

    Attributes:
        vocabulary: what the filter may name.
        one_per_crystal: one row per crystal also where the filter asks for a model.
    """

    filter: str = ""
    fields: tuple[str, ...] = DEFAULT_FIELDS
    sort: str | None = None
    limit: int = 50
    model: str | None = None
    after: PageMark | None = None
    vocabulary: Vocabulary = CRYSTALS
    one_per_crystal: bool = False


@dataclass(frozen=True)
class Page:
    """Some hits, one dict per row, and the mark of the next page; None when this is the last."""

    rows: list[dict[str, Any]]
    next: PageMark | None


def field_names(fields: Sequence[str] | None) -> tuple[str, ...]:
    """Our names of the wanted fields, without repetitions; the default ones for None.

    Raises:
        FilterError: a field is unknown.
    """
    if fields is None:
        return DEFAULT_FIELDS
    return tuple(dict.fromkeys(resolve_property(field.strip()) for field in fields))


def to_condition(tree: Filter) -> Condition:
    """The SQL condition of a filter; unknown values follow SQL's three-valued logic."""
    match tree:
        case And(terms) | Or(terms):
            joined = and_ if isinstance(tree, And) else or_
            return joined(*(to_condition(term) for term in terms))
        case Not(term):
            return not_(to_condition(term))
        case Comparison(name, operator, value):
            return _compare(name, operator, value)
        case Matches(name, match, text):
            return _on_texts(name, lambda column: _match(column, match, text))
        case Has(name, quantifier, values):
            return has(name, quantifier, values)
        case Is(name, knowledge):
            # What a crystal came with is always known, also where the list is empty.
            column = crystals.c.id if name in INPUT_LISTS else COLUMNS[name]
            return column.is_not(None) if knowledge is Knowledge.KNOWN else column.is_(None)
        case Decided(value):
            return cast(null(), Boolean()) if value is None else true() if value else false()
        case Flag(name):
            column = COLUMNS[name]
            # a condition as it is can begin from its own index; compared with a value it cannot
            return column if name in DOUBT_FLAGS else column == literal(True)


_COMPARE: dict[Operator, Callable[[ColumnElement[Any], ColumnElement[Any]], Condition]] = {
    Operator.EQUAL: lambda a, b: a == b,
    Operator.UNEQUAL: lambda a, b: a != b,
    Operator.LESS: lambda a, b: a < b,
    Operator.LESS_EQUAL: lambda a, b: a <= b,
    Operator.GREATER: lambda a, b: a > b,
    Operator.GREATER_EQUAL: lambda a, b: a >= b,
}


def _compare(name: str, operator: Operator, value: float | str | bool) -> Condition:
    # Of a list, != means that no entry is equal, not that some entry differs.
    if name == "source_ids" and operator is Operator.UNEQUAL:
        return not_(_compare(name, Operator.EQUAL, value))
    if PROPERTIES[name] is Kind.TIME:
        return _compare_time(COLUMNS[name], operator, whole_seconds(str(value)))
    bound: ColumnElement[Any] = literal(value)
    if name in COLUMNS and isinstance(COLUMNS[name].type, Float32):
        bound = literal(value, ComparedNumber())
    elif isinstance(value, float):
        # With its own type: typed like an integer column, PostgreSQL would round 2.5 to 2.
        small_integer = value.is_integer() and abs(value) < 2**31
        bound = literal(int(value), Integer()) if small_integer else literal(value, Double())
    return _on_texts(name, lambda column: _COMPARE[operator](column, bound))


def _compare_time(column: ColumnElement[Any], operator: Operator, seconds: int) -> Condition:
    """Comparison of a time without its fraction of a second, as results print it."""
    first: ColumnElement[Any] = literal(float(seconds), Double())
    next_second: ColumnElement[Any] = literal(seconds + 1.0, Double())
    match operator:
        case Operator.EQUAL:
            return and_(column >= first, column < next_second)
        case Operator.UNEQUAL:
            return or_(column < first, column >= next_second)
        case Operator.LESS | Operator.GREATER_EQUAL:
            return _COMPARE[operator](column, first)
        case Operator.LESS_EQUAL:
            return column < next_second
        case Operator.GREATER:
            return column >= next_second


def _on_texts(name: str, test: Callable[[ColumnElement[Any]], Condition]) -> Condition:
    """The test of a property's column; of source ids, that one of the crystal's passes."""
    return any_source_id(test) if name == "source_ids" else test(COLUMNS[name])


def _match(column: ColumnElement[Any], match: TextMatch, text: str) -> Condition:
    n = len(text)
    if n == 0:
        return func.length(column) >= 0  # every text holds the empty one; unknown stays unknown
    needle = literal(text, Text())
    if match is TextMatch.CONTAINS:
        return func.replace(column, needle, literal("", Text())) != column
    if match is TextMatch.STARTS:
        return func.substr(column, 1, n) == needle
    # For a shorter text the start is 0 or less, and what comes back is shorter than the needle on either dialect.
    return func.substr(column, func.length(column) - (n - 1)) == needle


def page(connection: Connection, request: Request) -> Page:
    """The rows of a request, without limit when its limit is 0, and where the next page starts.

    Raises:
        FilterError: filter, sort or limit are not valid.
        StoreError: the model is unknown.
    """
    if request.limit < 0:
        raise FilterError(f"The limit is {request.limit}. Give 0 for all rows, or a positive number.")
    sort, descending = _sort_column(request.sort)
    columns = [COLUMNS[name].label(name) for name in request.fields if name not in INPUT_LISTS]
    keys = [results.c.crystal_id.label("_crystal"), results.c.model_id.label("_model"), sort.label("_sort")]
    statement = select(*keys, *columns).select_from(HITS).where(*conditions(connection, request))
    statement = _ordered(statement, sort, descending, request.after)
    if request.limit:
        statement = statement.limit(request.limit + 1)  # one more shows whether there is a next page
    rows = connection.execute(statement).mappings().all()
    mark = None
    if len(rows) > request.limit > 0:
        rows = rows[: request.limit]
        mark = PageMark(rows[-1]["_sort"], rows[-1]["_crystal"], rows[-1]["_model"])
    return Page(list(_finish_rows(connection, rows, request.fields)), mark)


def stream(connection: Connection, request: Request, rows_per_block: int = 1000) -> Iterator[list[dict[str, Any]]]:
    """The rows of a request in blocks, in the order of its pages, up to its limit; memory does not grow with them."""
    left = request.limit
    while True:
        size = min(rows_per_block, left) if left else rows_per_block
        block = page(connection, replace(request, limit=size))
        if block.rows:
            yield block.rows
        left -= len(block.rows) if left else 0
        if block.next is None or (request.limit and left <= 0):
            return
        request = replace(request, after=block.next)


def _sort_column(sort: str | None) -> tuple[ColumnElement[Any], bool]:
    if sort is None:
        return crystals.c.id, False
    name = resolve_property(sort.removeprefix("-"))
    if PROPERTIES[name] in LISTS:
        raise FilterError(f"{name} is a {PROPERTIES[name]} and has no order. Sort by a number or a text.")
    return COLUMNS[name], sort.startswith("-")


def _ordered(statement: Select[Any], sort: ColumnElement[Any], descending: bool, after: PageMark | None) -> Select[Any]:
    if after is not None:
        beyond = or_(
            results.c.crystal_id > after.crystal_id,
            and_(results.c.crystal_id == after.crystal_id, results.c.model_id > after.model_id),
        )
        # Unknown values sort last: after one of them only further unknown ones come.
        if after.value is None:
            statement = statement.where(sort.is_(None), beyond)
        else:
            last = literal(after.value, sort.type)
            further = sort < last if descending else sort > last
            statement = statement.where(or_(further, and_(sort == last, beyond), sort.is_(None)))
    direction = sort.desc() if descending else sort.asc()
    return statement.order_by(direction.nulls_last(), results.c.crystal_id, results.c.model_id)


def conditions(connection: Connection, request: Request) -> Iterator[Condition]:
    """The conditions that a hit of a request meets: those of its filter, and that its model is the one to show."""
    tree = parse_filter(request.filter, request.vocabulary) if request.filter.strip() else None
    if tree is not None:
        yield to_condition(tree)
    # Whether a filter by model wants several results of one crystal is for the request to say.
    yield from which_rows(connection, None if request.one_per_crystal else tree, request.model)


def which_rows(connection: Connection, tree: Filter | None, model: str | None) -> Iterator[Condition]:
    """Conditions that leave the rows to search in: those of the wanted model, else each crystal's best one.

    Args:
        connection: to the database.
        tree: the filter; None for one row per crystal.
        model: NAME or NAME@VERSION.
    """
    chosen = None if model is None else registry.matching_ids(connection, model)
    if chosen is not None:
        yield results.c.model_id.in_(chosen)
    # Who filters by model wants to see several results of one crystal.
    if tree is None or "model" not in properties_of(tree):
        yield from _best_model_only(connection, chosen)


def _best_model_only(connection: Connection, chosen: list[int] | None) -> Iterator[Condition]:
    """One row per crystal: that of the current model, else of the newest; nothing to do when there is one model."""
    versions = connection.execute(select(models.c.id, models.c.state).order_by(models.c.id)).all()
    versions = [row for row in versions if chosen is None or row.id in chosen]
    if len(versions) < 2:
        return
    ordered = sorted(versions, key=lambda row: (row.state == ModelState.CURRENT, row.id))
    ranks = {row.id: rank for rank, row in enumerate(ordered)}
    other = results.alias("other")
    better = case(ranks, value=other.c.model_id, else_=-1) > case(ranks, value=results.c.model_id, else_=-1)
    beaten = select(literal(1)).where(other.c.crystal_id == results.c.crystal_id, better)
    yield not_(beaten.correlate(results).exists())


def _finish_rows(connection: Connection, rows: Sequence[Any], fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows as dicts in the order of the fields, with lists where a property is one."""
    crystal_ids = [row["_crystal"] for row in rows]
    lists = {name: values_of(connection, name, crystal_ids) for name in fields if name in INPUT_LISTS}
    for row in rows:
        values: dict[str, Any] = {}
        for name in fields:
            values[name] = lists[name][row["_crystal"]] if name in lists else row[name]
        if values.get("last_modified") is not None:
            values["last_modified"] = time_text(values["last_modified"])
        if "elements" in values:
            values["elements"] = values["elements"].strip(",").split(",")
        yield values


_DTYPES = {Kind.NUMBER: "float64", Kind.INTEGER: "Int64", Kind.FLAG: "boolean"}


def to_frame(rows: list[dict[str, Any]], fields: tuple[str, ...]) -> "pd.DataFrame":
    """Rows as a table; columns have their kind's type also where all values are unknown, or where there is no row."""
    # Imported here: it takes longer than most queries.
    import pandas as pd

    columns = {}
    for name in fields:
        columns[name] = pd.Series([row[name] for row in rows], dtype=_DTYPES.get(PROPERTIES[name], "object"))
    return pd.DataFrame(columns)
