"""On PostgreSQL the results of each model version lie in a partition of their own; SQLite has one table."""

from sqlalchemy import Connection


def partition_of(model_id: int) -> str:
    """Name of the partition of a model version."""
    return f"results_of_model_{model_id}"


def add_partition(connection: Connection, model_id: int) -> None:
    """Makes the partition of a model version where there is none; nothing to do on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    name = partition_of(model_id)
    if connection.exec_driver_sql(f"SELECT to_regclass('{name}')").scalar_one() is not None:
        return
    # Attached, not created as a partition: searches go on meanwhile.
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE results INCLUDING ALL)")
    connection.exec_driver_sql(f"ALTER TABLE results ATTACH PARTITION {name} FOR VALUES IN ({model_id})")


def drop_partition(connection: Connection, model_id: int) -> None:
    """Removes the partition of a model version with all that is in it, which frees its space at once."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {partition_of(model_id)}")
