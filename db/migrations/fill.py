"""Computes derived columns that are new in the registry for the results that a database holds already.

From the stored tensors, by the functions that predictions go through. Some results a transaction, in the order of
their key, and the place is kept with them: a kill costs one transaction, and two programs that open the database at
once share the work. What has a value keeps it. Intervals are not made up afterwards: they stay unknown, because the
calibration of the model that predicted the results did not know these columns.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, select, tuple_, update

from db import segments
from db.codec import plain_values, read_crystals, read_tensor
from db.tables import column_segments, crystals, results, unfilled_columns
from db.transactions import read, write
from models.crystals.crystal_systems import crystal_systems
from models.crystals.masses import densities
from models.derived.columns import derive_columns
from models.quantities import DERIVED, TENSORS, Tensor

LOGGER = logging.getLogger("gmtscreen.db")

RESULTS_PER_TRANSACTION = 1000
WORTH_A_MESSAGE = 20_000
"""Results that take so long that whoever waits should know why."""


def fill_new_columns(engine: Engine) -> None:
    """Computes what `unfilled_columns` names, then forgets it."""
    n_results = read(engine, _n_results)
    if n_results >= WORTH_A_MESSAGE:
        LOGGER.warning("computing new columns of %d stored results, once; stopping it loses nothing", n_results)
    while write(engine, _fill_some):
        pass
    for model_id in read(engine, _models):
        write(engine, _rebuild_segments, model_id)
    write(engine, _forget)


def _n_results(connection: Connection) -> int:
    """Of a database in which something is to be done; 0 of any other."""
    if not _names(connection):
        return 0
    return connection.execute(select(func.count()).select_from(results)).scalar_one()


def _names(connection: Connection) -> list[str]:
    statement = select(unfilled_columns.c.name).order_by(unfilled_columns.c.name)
    # of a column that has gone from the registry again there is nothing to compute
    return [name for name in connection.execute(statement).scalars() if name in DERIVED]


def _fill_some(connection: Connection) -> bool:
    """Fills the next results; False where none is left."""
    # a writer of PostgreSQL waits here for another that does the same
    marks = connection.execute(select(unfilled_columns).order_by(unfilled_columns.c.name).with_for_update()).all()
    names = [mark.name for mark in marks if mark.name in DERIVED]
    if not names:
        return False
    key = tuple_(results.c.crystal_id, results.c.model_id)
    chosen = [results.c[name] for name in ("crystal_id", "model_id", "spacegroup", "piezo_allowed", *Tensor)]
    chosen += [crystals.c[name] for name in ("lattice", "numbers", "frac_coords")]
    statement = select(*chosen).join(crystals, crystals.c.id == results.c.crystal_id)
    if marks[0].crystal_id is not None:
        statement = statement.where(key > tuple_(marks[0].crystal_id, marks[0].model_id))
    ordered = statement.order_by(results.c.crystal_id, results.c.model_id).limit(RESULTS_PER_TRANSACTION)
    rows = connection.execute(ordered).all()
    if not rows:
        return False
    at_row = [results.c.crystal_id == bindparam("of_crystal"), results.c.model_id == bindparam("of_model")]
    # what has a value keeps it
    values = {
        name: func.coalesce(results.c[name], bindparam(f"new_{name}", type_=results.c[name].type)) for name in names
    }
    connection.execute(update(results).where(*at_row).values(values), computed_rows(rows, names))
    connection.execute(update(unfilled_columns).values(crystal_id=rows[-1].crystal_id, model_id=rows[-1].model_id))
    return True


def computed_rows(rows: Sequence[Row[Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Values of derived columns of stored results, as parameters of an UPDATE.

    Args:
        rows: results with tensors, symmetry and the arrays of their crystals.
        names: the columns.
    """
    batch = read_crystals([r.lattice for r in rows], [r.numbers for r in rows], [r.frac_coords for r in rows])
    tensors, is_stored = {}, {}
    for tensor in Tensor:
        one_by_one = [read_tensor(tensor, getattr(row, tensor.value)) for row in rows]
        is_stored[tensor] = np.array([one is not None for one in one_by_one])
        unknown = np.full(TENSORS[tensor].shape, np.nan)
        tensors[tensor] = np.stack([unknown if one is None else one for one in one_by_one])
    # a result without a space group is that of no class; 1 is the class that forbids nothing
    numbers = np.array([row.spacegroup or 1 for row in rows], dtype=np.int64)
    allowed = np.array([row.piezo_allowed is not False for row in rows])
    columns = derive_columns(tensors, crystal_systems(numbers), allowed, densities(batch))
    values: dict[str, list[Any]] = {
        "of_crystal": [row.crystal_id for row in rows],
        "of_model": [row.model_id for row in rows],
    }
    for name in names:
        known = np.all([np.ones(len(rows), bool), *(is_stored[q] for q in DERIVED[name].from_tensors)], axis=0)
        plain = plain_values(name, columns[name])
        values[f"new_{name}"] = [value if is_known else None for value, is_known in zip(plain, known, strict=True)]
    keys = list(values)
    return [dict(zip(keys, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _models(connection: Connection) -> list[int]:
    if not _names(connection):
        return []
    return list(connection.execute(select(column_segments.c.model_id).distinct()).scalars())


def _rebuild_segments(connection: Connection, model_id: int) -> None:
    """Puts the new columns, now that all values are there, where searches read them."""
    segments.lock(connection, model_id)
    segments.rebuild(connection, model_id)


def _forget(connection: Connection) -> None:
    connection.execute(delete(unfilled_columns).where(unfilled_columns.c.name.in_(_names(connection))))
