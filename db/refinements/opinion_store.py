"""OpinionStore: second opinions of a database, the part of `ResultStore` that refine runs need beside the ledger."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from db.bulk import chunks
from db.codec import read_crystals
from db.records import ModelVersion, Refinement, RunState
from db.refinements import store as second_opinions
from db.refinements.records import ChosenCrystals, Competitor, ReferenceEnergy
from db.refinements.tables import refinements
from db.tables import crystals, inputs, models, runs
from db.transactions import read, write


class OpinionStore:
    """Second opinions and energies in a database.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_crystal(self, crystal_id: str) -> list[tuple[str, Refinement]]:
        """Every second opinion about a crystal with its combined model, the newest model first."""
        return read(self._engine, second_opinions.of_crystal, crystal_id)

    def of_run(self, run_id: int) -> list[dict[str, Any]]:
        """The crystals of a run that have a second opinion of its model; see `db.refinements.store.of_run`."""
        return read(self._engine, second_opinions.of_run, run_id)

    def competitors(self, potential: str, systems: Collection[str]) -> dict[str, list[Competitor]]:
        """The stored crystals of chemical systems; see `db.refinements.store.competitors`."""
        return read(self._engine, second_opinions.competitors, potential, systems)

    def add_reference_energies(self, potential: str, energies: Iterable[ReferenceEnergy]) -> None:
        """Stores energies by a potential; what is there stays, so it may be repeated."""
        write(self._engine, second_opinions.add_reference_energies, potential, list(energies))

    def set_hull(self, run_id: int, rows: Sequence[dict[str, Any]]) -> None:
        """Stores energies above the hull of a run's second opinions; see `db.refinements.store.set_hull`."""
        write(self._engine, second_opinions.set_hull, run_id, rows)

    def chosen(self, ids: Sequence[str]) -> ChosenCrystals:
        """Stored crystals of the given ids in that order, each with the first source id it came with."""
        return read(self._engine, _chosen, ids)

    def with_opinion(self, model: ModelVersion, ids: Sequence[str]) -> set[str]:
        """Those of the crystals that have a second opinion of a combined model."""
        return read(self._engine, _with_opinion, model, ids)

    def unfinished_choice(self, settings: dict[str, Any], model: ModelVersion, ids: Sequence[str]) -> list[str] | None:
        """The crystals that an unfinished run of the same command chose, where only its own work has changed since.

        A filter that asks about second opinions no longer finds what the run has refined already: what a run chose
        and now does not find must have its second opinion.

        Args:
            settings: of the run.
            model: that it stores results under.
            ids: what its command chooses now.
        """
        return read(self._engine, _unfinished_choice, settings, model, ids)


def _chosen(connection: Connection, ids: Sequence[str]) -> ChosenCrystals:
    columns = [crystals.c[name] for name in ("id", "lattice", "numbers", "frac_coords", "formula", "elements")]
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    for part in chunks(ids):
        for row in connection.execute(select(*columns).where(crystals.c.id.in_(part))):
            found[row.id] = row
        arrived = select(inputs.c.crystal_id, inputs.c.source_id).where(inputs.c.crystal_id.in_(part))
        ordered = arrived.order_by(inputs.c.run_id, inputs.c.source_index, inputs.c.position)
        for crystal_id, source_id in connection.execute(ordered):
            names.setdefault(crystal_id, source_id)
    rows = [found[crystal_id] for crystal_id in ids]
    return ChosenCrystals(
        list(ids),
        [names.get(crystal_id, crystal_id) for crystal_id in ids],
        [row.formula for row in rows],
        [row.elements for row in rows],
        read_crystals([row.lattice for row in rows], [row.numbers for row in rows], [row.frac_coords for row in rows]),
    )


def _with_opinion(connection: Connection, model: ModelVersion, ids: Sequence[str]) -> set[str]:
    statement = select(refinements.c.crystal_id).join(models, models.c.id == refinements.c.model_id)
    of_model = statement.where(models.c.name == model.name, models.c.version == model.version)
    refined = set(connection.execute(of_model).scalars())
    return refined & set(ids)


def _unfinished_choice(
    connection: Connection, settings: dict[str, Any], model: ModelVersion, ids: Sequence[str]
) -> list[str] | None:
    statement = (
        select(runs.c.id, runs.c.settings, runs.c.model_id)
        .join(models, models.c.id == runs.c.model_id)
        .where(models.c.name == model.name, models.c.version == model.version, runs.c.state == RunState.RUNNING)
        .order_by(runs.c.id.desc())
    )
    for run in connection.execute(statement).all():
        if json.loads(run.settings) != settings:
            continue
        ordered = select(inputs.c.crystal_id).where(inputs.c.run_id == run.id).order_by(inputs.c.position)
        chosen = list(connection.execute(ordered).scalars())
        of_model = refinements.c.model_id == run.model_id
        done = set(connection.execute(select(refinements.c.crystal_id).where(of_model)).scalars())
        if set(chosen) <= done | set(ids):
            return chosen
    return None
