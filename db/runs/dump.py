"""A dump of everything that does not depend on how it was computed, to compare two databases."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, and_, select

from db.runs.ledger import run_row
from db.runs.reports import OF_CURSOR
from db.tables import BLOCK_COLUMNS, crystals, cursors, inputs, lineage, models, removed_fraction_column, results, runs
from models.quantities import Tensor


def dump(connection: Connection, run_id: int | None) -> Iterator[dict[str, Any]]:
    """All inputs, lineage and results in an order that depends on no computation; see `ResultStore.dump`."""
    run = None if run_id is None else run_row(connection, run_id)
    names = ("position", "source_id", "crystal_id", "outcome", "stage", "reason", "detail", "metadata")
    arrivals = (
        select(runs.c.key.label("run_key"), cursors.c.source, *(inputs.c[name] for name in names))
        .join(cursors, OF_CURSOR)
        .join(runs, runs.c.id == inputs.c.run_id)
        .order_by(runs.c.key, inputs.c.source_index, inputs.c.position)
    )
    # Times, leases and row numbers are left out: they differ between two computations of the same.
    columns = [results.c[name] for name in BLOCK_COLUMNS]
    columns += [results.c[tensor.value] for tensor in Tensor]
    columns += [results.c[removed_fraction_column(tensor)] for tensor in Tensor]
    of_crystal = [crystals.c.formula, crystals.c.lattice, crystals.c.numbers, crystals.c.frac_coords]
    predictions = (
        select(models.c.sha256, results.c.crystal_id, *of_crystal, *columns, results.c.warnings)
        .join(crystals, crystals.c.id == results.c.crystal_id)
        .join(models, models.c.id == results.c.model_id)
        .order_by(models.c.sha256, results.c.crystal_id)
    )
    made = ("position", "crystal_id", "parent", "operation", "detail", "seed", "model", "log_probability")
    lineages = (
        select(runs.c.key.label("run_key"), cursors.c.source, *(lineage.c[name] for name in made))
        .join(cursors, and_(cursors.c.run_id == lineage.c.run_id, cursors.c.source_index == lineage.c.source_index))
        .join(runs, runs.c.id == lineage.c.run_id)
        .order_by(runs.c.key, lineage.c.source_index, lineage.c.position)
    )
    if run is not None:
        lineages = lineages.where(lineage.c.run_id == run.id)
        arrivals = arrivals.where(inputs.c.run_id == run.id)
        of_run = select(inputs.c.crystal_id).where(inputs.c.run_id == run.id, inputs.c.crystal_id.is_not(None))
        predictions = predictions.where(results.c.model_id == run.model_id, results.c.crystal_id.in_(of_run))
    for table, statement in (("inputs", arrivals), ("lineage", lineages), ("results", predictions)):
        # Row by row from the server: a dump may be larger than the memory.
        for row in connection.execute(statement.execution_options(yield_per=1000)).mappings():
            yield {"table": table, **row}
