"""SearchStore: every way to ask for results, the part of `ResultStore` that only reads.

A filter text means the same in all of them. A preset in it brings its order, and its columns where none are asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from db.query import counts
from db.query import pages as search
from db.query.analysis.diversity import DIVERSITY_FIELDS, SHORTLIST_PER_ROW, diverse_rows
from db.query.analysis.explain import Explanation, explain
from db.query.hits import KEY_FIELDS, Hits, load_hits
from db.query.presets import preset_in
from db.query.request import Page, Request, field_names
from db.transactions import read, reading
from models.errors import FilterError

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core.structure import Structure


class SearchStore:
    """Searches in a database; `ResultStore` opens it."""

    _engine: Engine

    def query(
        self,
        filter: str = "",
        *,
        fields: Sequence[str] | None = None,
        sort: str | None = None,
        limit: int = 50,
        model: str | None = None,
        diverse: bool = False,
    ) -> "pd.DataFrame":
        """The crystals that a filter describes, one row per crystal.

        Args:
            filter: see `db.query.filter_language`; an empty text means all.
            fields: the columns wanted; None gives those of the filter's preset, else the main ones.
            sort: a column, with "-" in front for descending; None gives the order of the filter's preset, else that of
                `id`. Unknown values come last, ties are in the order of `id`.
            limit: largest number of rows, 0 for all.
            model: NAME or NAME@VERSION; without it, each crystal's row is that of its current model, else the newest.
            diverse: leave out crystals that are too much like a better one, see `db.query.analysis.diversity`.
        """
        request = new_request(filter, fields, sort, limit, model)
        return search.to_frame(read(self._engine, _rows, request, diverse=diverse), request.fields)

    def page(self, request: Request) -> Page:
        """One page of hits as dicts, with the mark where the next page starts; the search of web and REST."""
        return read(self._engine, search.page, with_preset_order(request))

    def count(self, filter: str = "", model: str | None = None) -> int:
        """Number of crystals that a filter describes, exactly."""
        return self.quick_count(filter, model).n

    def quick_count(self, filter: str = "", model: str | None = None) -> counts.Count:
        """Number of crystals that a filter describes, or an estimate of it where counting takes long."""
        return read(self._engine, counts.count, Request(filter, model=model))

    def facets(self, field: str, filter: str = "", *, model: str | None = None, limit: int = 20) -> counts.Facets:
        """The most frequent values of a property among the crystals that a filter describes, with their numbers."""
        return read(self._engine, counts.facets, Request(filter, model=model), field, limit)

    def histogram(
        self, field: str, filter: str = "", *, model: str | None = None, bins: int = 40, scale: str = "linear"
    ) -> counts.Histogram:
        """How the values of a number are spread among the crystals that a filter describes."""
        return read(self._engine, counts.histogram, Request(filter, model=model), field, bins, scale)

    def explain(self, filter: str, model: str | None = None) -> Explanation:
        """How many crystals each term of a filter leaves, and which term or pair of terms leaves none."""
        return read(self._engine, explain, Request(filter, model=model))

    def stream(self, request: Request, rows_per_block: int = 1000) -> Iterator[list[dict[str, Any]]]:
        """The rows of a request in blocks, all of one state of the database; memory does not grow with their number."""
        with reading(self._engine) as connection:
            yield from search.stream(connection, with_preset_order(request), rows_per_block)

    def hits(self, request: Request) -> Iterator[Hits]:
        """The rows of a request with their structures and tensors, some at a time; `id` and `model` are added to them.

        The tensors are in the frame of the lattice rows beside them.
        """
        request = replace(with_preset_order(request), fields=tuple(dict.fromkeys((*KEY_FIELDS, *request.fields))))
        with reading(self._engine) as connection:
            for rows in search.stream(connection, request):
                yield load_hits(connection, rows)

    def diverse_rows(self, request: Request) -> list[dict[str, Any]]:
        """The rows of a request without those that are too much like a better one; the request needs a limit."""
        return read(self._engine, _rows, with_preset_order(request), diverse=True)

    def diverse_hits(self, request: Request) -> Iterator[Hits]:
        """As `hits`, without those that are too much like a better one; the request needs a limit."""
        request = replace(with_preset_order(request), fields=tuple(dict.fromkeys((*KEY_FIELDS, *request.fields))))
        with reading(self._engine) as connection:
            yield load_hits(connection, _rows(connection, request, diverse=True))

    def tensors(
        self,
        filter: str = "",
        *,
        fields: Sequence[str] = (),
        sort: str | None = None,
        limit: int = 50,
        model: str | None = None,
        diverse: bool = False,
    ) -> Hits:
        """Tensors and structures of the hits as arrays, in one order; see `query` for the arguments.

        The tensors are in the frame of the lattice rows beside them; `gmt_tasks.export.frames.in_ieee_frame` gives
        both in the IEEE frame.
        """
        request = new_request(filter, [*KEY_FIELDS, *fields], sort, limit, model)
        with reading(self._engine) as connection:
            return load_hits(connection, _rows(connection, request, diverse=diverse))

    def structures(
        self,
        filter: str = "",
        *,
        fields: Sequence[str] = (),
        sort: str | None = None,
        limit: int = 50,
        model: str | None = None,
        diverse: bool = False,
    ) -> "list[Structure]":
        """The hits as pymatgen Structures, with the asked fields, `id` and `model` as `properties`; see `query`."""
        found = self.tensors(filter, fields=fields, sort=sort, limit=limit, model=model, diverse=diverse)
        return found.structures()


def new_request(filter: str, fields: Sequence[str] | None, sort: str | None, limit: int, model: str | None) -> Request:
    """A request, with order and columns of the filter's preset where none are given; see `SearchStore.query`."""
    preset = preset_in(filter)
    if fields is None and preset is not None:
        fields = preset.fields
    return with_preset_order(Request(filter, field_names(fields), sort, limit, model))


def with_preset_order(request: Request) -> Request:
    """The request in the order of its filter's preset, where it has none of its own."""
    preset = preset_in(request.filter)
    return request if request.sort is not None or preset is None else replace(request, sort=preset.sort)


def _rows(connection: Connection, request: Request, *, diverse: bool) -> list[dict[str, Any]]:
    """The rows of a request; where they shall be diverse, chosen out of a longer ranking."""
    if not diverse:
        return search.page(connection, request).rows
    if not request.limit:
        raise FilterError("Diverse hits need a limit: how many of them are wanted?")
    fields = tuple(dict.fromkeys((*request.fields, *DIVERSITY_FIELDS)))
    longer = replace(request, fields=fields, limit=request.limit * SHORTLIST_PER_ROW)
    ranking = search.page(connection, longer).rows
    # What only the choice needed goes again.
    extra = set(fields) - set(request.fields)
    chosen = [ranking[place] for place in diverse_rows(ranking, request.limit)]
    for name in extra:
        for row in chosen:
            del row[name]
    return chosen
