"""Searches as JSON: properties, presets, pages of hits, counts, facets, histograms, points of a plot."""

from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from db.explorer.answers import json_answer
from db.explorer.api.parameters import FieldNames, FilterText, ModelName, SortText, names_in
from db.explorer.context import Context
from db.explorer.cursors import from_cursor, to_cursor
from db.query.analysis.pareto import Sense, pareto_front
from db.query.filter_language import parse_filter
from db.query.presets import PRESETS
from db.query.properties import DESCRIPTIONS, PROPERTIES, Kind, resolve_property
from db.query.request import Request as Search
from db.query.store import new_request, with_preset_order
from models.errors import FilterError

router = APIRouter()


@router.get("/properties")
def properties(request: Request) -> Response:
    """Everything that can be filtered, sorted and shown: name, kind, unit, description, group, interval."""
    return json_answer(request, [{"name": name, **asdict(each)} for name, each in DESCRIPTIONS.items()])


@router.get("/presets")
def presets(request: Request) -> Response:
    """Searches that have a name."""
    return json_answer(request, [{"name": name, **asdict(each)} for name, each in PRESETS.items()])


@router.get("/crystals")
def crystals(
    request: Request,
    explorer: Context,
    *,
    filter: FilterText = "",
    sort: SortText = "",
    fields: FieldNames = "",
    limit: Annotated[int, Query(ge=1)] = 50,
    after: Annotated[str, Query(description="`next` of the page before.")] = "",
    model: ModelName = "",
) -> Response:
    """One page of the crystals that a filter describes."""
    limit = min(limit, explorer.settings.page_rows)
    asked = with_preset_order(new_request(filter, names_in(fields), sort or None, limit, model or None))
    page = explorer.store.page(replace(asked, after=from_cursor(after, asked.sort)))
    return json_answer(request, {"rows": page.rows, "next": to_cursor(page.next)})


@router.get("/count")
def count(request: Request, explorer: Context, filter: FilterText = "", model: ModelName = "") -> Response:
    """Number of crystals that a filter describes, and of all; where `exact` is false an estimate."""
    total = explorer.store.quick_count(model=model or None)
    found = explorer.store.quick_count(filter, model or None) if filter.strip() else total
    return json_answer(request, {"n": found.n, "exact": found.exact and total.exact, "total": total.n})


@router.get("/explain")
def explain(request: Request, explorer: Context, filter: FilterText = "", model: ModelName = "") -> Response:
    """How many crystals each term of a filter leaves, alone and when it is left out."""
    explanation = explorer.store.explain(filter, model or None)
    return json_answer(request, asdict(explanation) | {"sentences": explanation.sentences()})


@router.get("/facets")
def facets(
    request: Request,
    explorer: Context,
    field: str,
    filter: FilterText = "",
    model: ModelName = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 20,
) -> Response:
    """The most frequent values of a property among the hits."""
    found = explorer.store.facets(field, filter, model=model or None, limit=limit)
    values = [{"value": each.value, "n": each.n} for each in found.values]
    return json_answer(request, {"field": found.field, "values": values, "exact": found.exact})


@router.get("/histogram")
def histogram(
    request: Request,
    explorer: Context,
    *,
    field: str,
    filter: FilterText = "",
    bins: Annotated[int, Query(ge=1, le=200)] = 40,
    scale: Annotated[str, Query(pattern="^(linear|log)$")] = "linear",
    model: ModelName = "",
) -> Response:
    """How the values of a number are spread among the hits."""
    found = explorer.store.histogram(field, filter, model=model or None, bins=bins, scale=scale)
    return json_answer(request, found._asdict())


@dataclass(frozen=True)
class Axes:
    """What a scatter plot shows."""

    x: str
    y: str
    color: str = ""
    pareto: Annotated[str, Query(description="Good ends of x and y, e.g. max,min; empty leaves the front out.")] = ""

    def senses(self) -> tuple[Sense, Sense]:
        """The good ends of x and y."""
        parts = [part.strip() for part in self.pareto.split(",")]
        if len(parts) != 2 or not set(parts) <= set(Sense):
            raise FilterError(f"pareto is {self.pareto[:40]!r}. Write the good end of x and of y, for example max,min.")
        return Sense(parts[0]), Sense(parts[1])

    def columns(self) -> dict[str, str]:
        """The property of every column of the answer; ends of intervals where the axes have them."""
        names = {"id": "id", "formula": "formula", "x": _number(self.x), "y": _number(self.y)}
        for axis in ("x", "y"):
            ends = DESCRIPTIONS[names[axis]].interval
            names |= {f"{axis}_lo": ends[0], f"{axis}_hi": ends[1]} if ends else {}
        return names | ({"color": resolve_property(self.color)} if self.color else {})


@router.get("/points")
def points(
    request: Request,
    explorer: Context,
    axes: Annotated[Axes, Depends()],
    *,
    filter: FilterText = "",
    limit: Annotated[int, Query(ge=1)] = 5000,
    sort: SortText = "",
    model: ModelName = "",
) -> Response:
    """Columns for a scatter plot: hits whose x and y are known, with intervals and the Pareto front."""
    columns = axes.columns()
    if filter.strip():
        parse_filter(filter)  # by itself first: positions of its faults are those of the text that was sent
    known = f"{columns['x']} IS KNOWN AND {columns['y']} IS KNOWN"
    search = Search(f"({filter}) AND {known}" if filter.strip() else known, tuple(dict.fromkeys(columns.values())))
    limit = min(limit, explorer.settings.points)
    search = replace(with_preset_order(search), sort=sort or None, limit=limit, model=model or None)
    rows = explorer.store.page(search).rows
    answer: dict[str, Any] = {column: list(map(itemgetter(name), rows)) for column, name in columns.items()}
    front: list[int] = pareto_front(answer["x"], answer["y"], *axes.senses()).tolist() if axes.pareto else []
    return json_answer(request, answer | {"pareto": front, "limited": len(rows) == limit})


def _number(name: str) -> str:
    resolved = resolve_property(name)
    if PROPERTIES[resolved] not in (Kind.NUMBER, Kind.INTEGER):
        raise FilterError(f"{resolved} is a {PROPERTIES[resolved]} and has no axis. Choose a number.")
    return resolved
