"""Properties of second opinions as columns: read of their table, which holds a few thousand of a million crystals."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from db.query.by_column.rows import NotByColumnError, is_in
from db.refinements.tables import refinements
from db.segments import Column
from db.storage.segment_ids import ids_of
from models.refinement_quantities import REFINED, REFINEMENT, RefinementKind

_UNKNOWN = {RefinementKind.FLAG: (-1, np.int8), RefinementKind.TEXT: (-1, np.int32)}


class Rows(Protocol):
    """The rows of a search, as `db.query.by_column.table.Table` has them."""

    keys: NDArray[np.uint64]
    models: NDArray[np.int32]

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """The crystal ids of some rows."""


def second_opinion_column(connection: Connection, rows: Rows, name: str) -> Column:
    """A property of the second opinion about the crystal of each row, unknown where there is none.

    Of several opinions that of the row's own model counts, else that of the newest one, as in `db.query.sql`.

    Raises:
        NotByColumnError: some ids are in a form that columns do not have.
    """
    value = refinements.c[name if name in REFINEMENT else "crystal_id"]
    statement = select(refinements.c.crystal_id, refinements.c.model_id, value.label("value"))
    stored = connection.execute(statement.order_by(refinements.c.model_id)).all()
    newest = {row.crystal_id: row.value for row in stored}
    own = {(row.crystal_id, row.model_id): row.value for row in stored}
    by_form = ids_of(list(newest)) if newest else None
    if newest and by_form is None:
        raise NotByColumnError
    places = np.zeros(0, np.int64) if by_form is None else np.flatnonzero(is_in(rows.keys, np.sort(by_form.keys())))
    ids = rows.ids(places)
    of_rows = zip(ids, rows.models[places].tolist(), strict=True)
    values = [own.get(key, newest.get(key[0])) for key in of_rows]
    if name == REFINED:
        flags = np.zeros(len(rows.keys), np.int8)
        flags[places] = [crystal_id in newest for crystal_id in ids]
        return Column(flags)
    return _spread(name, len(rows.keys), places, values)


def _spread(name: str, n_rows: int, places: NDArray[np.int64], values: list[object]) -> Column:
    """Values of some rows as a column of all."""
    unknown, dtype = _UNKNOWN.get(REFINEMENT[name].kind, (np.nan, np.float32))
    column = np.full(n_rows, unknown, dtype)
    if REFINEMENT[name].kind is not RefinementKind.TEXT:
        column[places] = [unknown if value is None else value for value in values]
        return Column(column)
    texts = sorted({str(value) for value in values if value is not None})
    place_of = {text: place for place, text in enumerate(texts)}
    column[places] = [-1 if value is None else place_of[str(value)] for value in values]
    return Column(column, texts)
