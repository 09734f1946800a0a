"""Alembic's entry: runs the revisions on the connection that `db.migrations.upgrade` hands over."""

from alembic import context

from db import tables  # noqa: F401  registers the tables in the metadata
from db.base import metadata
from models.errors import StoreError

connection = context.config.attributes.get("connection")
if connection is None:
    raise StoreError("Migrations run when a store is opened: use db.store.ResultStore(url), not the alembic command.")
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
