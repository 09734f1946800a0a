"""What the database does with second opinions: write with a shard, show, and what convex hulls need."""

import json
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, combinations, repeat
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from db.bulk import chunks, insert_absent, upsert
from db.codec import clean_detail
from db.records import Refinement
from db.refinements.records import Competitor, ReferenceEnergy
from db.refinements.rows import plain_value, read_refinement, refinement_row
from db.refinements.tables import reference_energies, refinements
from db.tables import Outcome, crystals, inputs, models, runs
from db.transactions import database_time
from models.refinement_quantities import HULL_COLUMNS


def write(connection: Connection, model_id: int, run_id: int, blocks: Sequence[Refinement]) -> None:
    """Stores second opinions, in the transaction of their results, and their energies for convex hulls."""
    now = database_time(connection)
    common = {"model_id": model_id, "run_id": run_id, "created": now}
    # in the order of their ids, as results are
    rows = sorted((refinement_row(one, common) for one in blocks), key=lambda row: str(row["crystal_id"]))
    upsert(connection, refinements, rows)
    energies = [(one, one.columns.get("energy_ev_per_atom")) for one in blocks]
    known = [(one.potential, ReferenceEnergy(one.crystal_id, energy)) for one, energy in energies if energy is not None]
    for potential in sorted({potential for potential, _ in known}):
        add_reference_energies(connection, potential, [energy for name, energy in known if name == potential])


def add_reference_energies(connection: Connection, potential: str, energies: Iterable[ReferenceEnergy]) -> None:
    """Stores energies by a potential; what is there stays.

    Args:
        connection: in a write transaction.
        potential: NAME@VERSION.
        energies: of crystals; one that could not be computed is kept too, so that it is not tried again.
    """
    common = {"potential": potential, "created": database_time(connection)}
    rows = [
        {
            "crystal_id": one.crystal_id,
            "energy_ev_per_atom": one.energy_ev_per_atom,
            "detail": clean_detail(one.detail) or None,
            **common,
        }
        for one in sorted(energies, key=lambda energy: energy.crystal_id)
    ]
    insert_absent(connection, reference_energies, rows)


def of_crystal(connection: Connection, crystal_id: str) -> list[tuple[str, Refinement]]:
    """Every second opinion about a crystal with its combined model, the newest model first."""
    model = models.c.name.concat("@").concat(models.c.version).label("model")
    statement = (
        select(refinements, model)
        .join(models, models.c.id == refinements.c.model_id)
        .where(refinements.c.crystal_id == crystal_id)
        .order_by(refinements.c.model_id.desc())
    )
    rows = connection.execute(statement).mappings()
    return [(row["model"], read_refinement(dict(row))) for row in rows]


def of_run(connection: Connection, run_id: int) -> list[dict[str, Any]]:
    """Crystals of a run that have a second opinion of its model, by this run or an earlier one, in the order of ids.

    Each with id, twin_id, formula, elements, n_atoms, run_id, energy_ev_per_atom, refinement_seconds, notes and the
    properties of `HULL_COLUMNS`.
    """
    columns = ("id", "twin_id", "formula", "elements", "n_atoms")
    of_opinion = ("run_id", "energy_ev_per_atom", "refinement_seconds", "notes", *HULL_COLUMNS)
    statement = (
        select(*(crystals.c[name] for name in columns), *(refinements.c[name] for name in of_opinion))
        .join(crystals, crystals.c.id == refinements.c.crystal_id)
        .join(runs, runs.c.model_id == refinements.c.model_id)
        .join(inputs, (inputs.c.run_id == runs.c.id) & (inputs.c.crystal_id == refinements.c.crystal_id))
        .where(runs.c.id == run_id, inputs.c.outcome == Outcome.ACCEPTED)
        .order_by(crystals.c.id)
    )
    rows = [dict(row) for row in connection.execute(statement).mappings()]
    return [row | {"notes": json.loads(row["notes"])} for row in rows]


def subsystems(elements: str) -> list[str]:
    """Every chemical system inside one, as `crystals.elements` writes them; ",Al,N," gives ",Al,", ",N,", ",Al,N,"."""
    symbols = elements.strip(",").split(",")
    sizes = range(1, len(symbols) + 1)
    parts = chain.from_iterable(map(combinations, repeat(symbols), sizes))
    return [f",{','.join(part)}," for part in parts]


def competitors(connection: Connection, potential: str, systems: Collection[str]) -> dict[str, list[Competitor]]:
    """The stored crystals of chemical systems, with their energies by a potential where they are known.

    Args:
        connection: for reading.
        potential: NAME@VERSION.
        systems: as `crystals.elements` writes them; crystals of parts of a system belong to that part.

    Returns:
        By system, each in the order of atoms and id.
    """
    joined = crystals.outerjoin(
        reference_energies,
        (reference_energies.c.crystal_id == crystals.c.id) & (reference_energies.c.potential == potential),
    )
    columns = [crystals.c[name] for name in ("id", "formula", "elements", "n_atoms")]
    energy, tried = reference_energies.c.energy_ev_per_atom, reference_energies.c.created
    found: dict[str, list[Competitor]] = {system: [] for system in systems}
    wanted = sorted(systems)
    for chunk in chunks(wanted):
        # one walk through the crystals for all systems: no index holds their elements
        chosen = crystals.c.elements.in_(chunk)
        statement = select(*columns, energy, tried).select_from(joined).where(chosen)
        for row in connection.execute(statement.order_by(crystals.c.n_atoms, crystals.c.id)):
            one = Competitor(row.id, row.formula, row.n_atoms, row.energy_ev_per_atom, row.created is not None)
            found[row.elements].append(one)
    return found


def set_hull(connection: Connection, run_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Stores energies above the hull of a run's second opinions.

    Args:
        connection: in a write transaction.
        run_id: the run.
        rows: `crystal_id`, the properties of `HULL_COLUMNS`, and `notes`, all notes of the crystal.
    """
    model_id = select(runs.c.model_id).where(runs.c.id == run_id).scalar_subquery()
    of_row = (refinements.c.model_id == model_id) & (refinements.c.crystal_id == bindparam("of_crystal"))
    names = (*HULL_COLUMNS, "notes")
    values = {name: bindparam(f"new_{name}", type_=refinements.c[name].type) for name in names}
    parameters = []
    for row in rows:
        plain = {f"new_{name}": plain_value(name, row[name]) for name in HULL_COLUMNS}
        parameters.append({"of_crystal": row["crystal_id"], "new_notes": json.dumps(row["notes"]), **plain})
    if parameters:
        connection.execute(update(refinements).where(of_row).values(values), parameters)
