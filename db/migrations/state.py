"""Which schema a database has, read without alembic: this runs at every opening."""

from typing import Any

from sqlalchemy import Column, ColumnClause, Connection, column, inspect, select
from sqlalchemy import table as table_of

from db.refinements.tables import refinements
from db.tables import results, unfilled_columns
from models.quantities import DERIVED

HEAD = "0014"
"""The newest revision; a test holds it equal to the newest file of the folder `versions`."""

REVISION_TABLE = "alembic_version"
"""Alembic's own table; every database of ours has it."""


def revision_of(connection: Connection) -> str | None:
    """The schema revision of a database, None for an empty one."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    # Read by itself: alembic would take a third of a second to import.
    number: ColumnClause[str] = column("version_num")
    revisions = select(number).select_from(table_of(REVISION_TABLE))
    return connection.execute(revisions).scalar_one_or_none()


def missing_columns(connection: Connection) -> list[Column[Any]]:
    """The columns of results and second opinions that the registries of quantities have and the database lacks."""
    inspector = inspect(connection)
    missing: list[Column[Any]] = []
    for table in (results, refinements):
        present = {column["name"] for column in inspector.get_columns(table.name)}
        missing += [column for column in table.columns if column.name not in present]
    return missing


def is_current(connection: Connection) -> bool:
    """True when nothing needs to be done to the schema."""
    return revision_of(connection) == HEAD and not missing_columns(connection)


def has_unfilled_columns(connection: Connection) -> bool:
    """Whether new columns of stored results are still to be computed."""
    # a newer gmtscreen may have begun with columns that only it can compute
    return any(name in DERIVED for name in connection.execute(select(unfilled_columns.c.name)).scalars())
