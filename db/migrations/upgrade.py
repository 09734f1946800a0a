"""Brings a database to the newest schema: alembic revisions, then columns for quantities that are new in the registry.

The derived columns follow `models.quantities`, not a revision each: a new quantity there appears as a column when the
database is next opened, and `db.migrations.fill` computes it for the results that are there.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import CommandError
from sqlalchemy import URL, Column, Connection, delete, func, insert, select, update

from db.migrations.state import HEAD, missing_columns, revision_of
from db.tables import column_segments, crystals, results, unfilled_columns
from models.errors import StoreError
from models.quantities import DERIVED

LOGGER = logging.getLogger("gmtscreen.db")

WORTH_A_MESSAGE = 20_000
"""Crystals whose database takes so long to change that whoever waits should know why; a minute for a million."""


def config_for(connection: Connection | None = None) -> Config:
    """Alembic's configuration for the revisions of this package, without any file."""
    config = Config()
    # Alembic reads options through configparser, to which a percent sign is a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, url: URL) -> None:
    """Runs the revisions that the database lacks, inside the connection's transaction.

    Raises:
        StoreError: a newer gmtscreen wrote the database.
    """
    revision = revision_of(connection)
    if revision is not None and revision < HEAD:
        n_crystals = connection.execute(select(func.count()).select_from(crystals)).scalar_one()
        if n_crystals >= WORTH_A_MESSAGE:
            LOGGER.warning("changing a database of %d crystals to revision %s, once", n_crystals, HEAD)
    try:
        command.upgrade(config_for(connection), "head")
    except CommandError:
        message = (
            f"{url.render_as_string(hide_password=True)} has schema revision {revision_of(connection)}, this gmtscreen "
            f"knows revisions up to {HEAD}. Use the newer gmtscreen that wrote it."
        )
        raise StoreError(message) from None


def add_new_columns(connection: Connection) -> None:
    """Adds the columns that the registries of quantities have and the database lacks."""
    operations = Operations(MigrationContext.configure(connection))
    for column in missing_columns(connection):
        name = column.name
        operations.add_column(column.table.name, Column(name, column.type))
        if column.table is not results:
            continue
        # of a column that was there, went and comes again
        connection.execute(delete(column_segments).where(column_segments.c.name == name))
        if name in DERIVED:
            connection.execute(delete(unfilled_columns).where(unfilled_columns.c.name == name))
            connection.execute(insert(unfilled_columns), {"name": name})
            # what was under way begins again with the others: what has a value keeps it
            connection.execute(update(unfilled_columns).values(crystal_id=None, model_id=None))
