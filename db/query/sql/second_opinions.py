"""Properties of second opinions in SQL: of the row's own model where it is one, else of the crystal's newest one."""

from typing import Any

from sqlalchemy import ColumnElement, func, select

from db.refinements.tables import refinements
from db.tables import crystals, results
from models.refinement_quantities import REFINEMENT


def refined() -> ColumnElement[bool]:
    """Whether a second opinion about the crystal is stored."""
    return crystals.c.id.in_(select(refinements.c.crystal_id))


def second_opinion_columns() -> dict[str, ColumnElement[Any]]:
    """The expression of every property of second opinions, for statements that select from results."""
    other = refinements.alias("other_refinements")
    of_crystal = other.c.crystal_id == results.c.crystal_id
    # not by ORDER BY and LIMIT: SQLite does not let that look at the row outside
    own = select(other.c.model_id).where(of_crystal, other.c.model_id == results.c.model_id)
    newest = select(func.max(other.c.model_id)).where(of_crystal)
    shown = func.coalesce(own.correlate(results).scalar_subquery(), newest.correlate(results).scalar_subquery())
    at_row = (refinements.c.crystal_id == results.c.crystal_id, refinements.c.model_id == shown)
    return {
        name: select(refinements.c[name]).where(*at_row).correlate(results).scalar_subquery() for name in REFINEMENT
    }
