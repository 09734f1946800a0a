"""DesignStore: goals, rounds and proposals of designs, the part of `ResultStore` that `gmtscreen design` needs."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select

from db.bulk import insert_rows
from db.designs.records import Design, DesignRound, DesignSpec, Proposal
from db.designs.tables import design_proposals, design_rounds, designs
from db.tables import Outcome, crystals, inputs
from db.transactions import read, write
from models.errors import MissingError


class DesignStore:
    """Designs in a database.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, spec: DesignSpec) -> Design:
        """The design of a specification, a new one where there is none."""
        return write(self._engine, _open, spec)

    def get(self, number: int) -> Design:
        """A design by its number.

        Raises:
            MissingError: there is none.
        """
        return read(self._engine, _get, number)

    def overview(self) -> list[dict[str, Any]]:
        """All designs, the newest first: id, filter, sort, settings, created, and how many rounds they have."""
        return read(self._engine, _overview)

    def rounds(self, design_id: int) -> list[DesignRound]:
        """The finished rounds of a design in order."""
        return read(self._engine, _rounds, design_id)

    def add_round(self, design_id: int, finished: DesignRound) -> None:
        """Stores a finished round; one of its number is replaced, so it may be repeated."""
        write(self._engine, _add_round, design_id, finished)

    def crystals_of_run(self, run_id: int) -> list[str]:
        """Content ids of the crystals that inputs of a run became, in the order of their first input."""
        return read(self._engine, _crystals_of_run, run_id)

    def propose(self, design_id: int, proposals: Sequence[Proposal]) -> None:
        """Stores what a design proposes in place of what it proposed before."""
        write(self._engine, _propose, design_id, proposals)

    def proposals(self, design_id: int) -> list[dict[str, Any]]:
        """What a design proposes, the first first: rank, id, formula, round, value and facts."""
        return read(self._engine, _proposals, design_proposals.c.design_id == design_id)

    def proposals_of_crystal(self, crystal_id: str) -> list[dict[str, Any]]:
        """The proposals that are a crystal, each with its design and the design's goal."""
        return read(self._engine, _proposals, design_proposals.c.crystal_id == crystal_id)


def _open(connection: Connection, spec: DesignSpec) -> Design:
    text = json.dumps(asdict(spec), sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    known = connection.execute(select(designs.c.id).where(designs.c.fingerprint == fingerprint)).scalar_one_or_none()
    if known is not None:
        return Design(known, resumed=True, spec=spec)
    row = {
        "fingerprint": fingerprint,
        "filter": spec.filter,
        "sort": spec.sort,
        "settings": json.dumps(spec.settings, sort_keys=True),
        "created": time.time(),
    }
    (number,) = connection.execute(insert(designs).values(row)).inserted_primary_key or (0,)
    return Design(int(number), resumed=False, spec=spec)


def _get(connection: Connection, number: int) -> Design:
    row = connection.execute(select(designs).where(designs.c.id == number)).one_or_none()
    if row is None:
        raise MissingError(f"There is no design {number} in this database. gmtscreen design --list shows them.")
    return Design(number, resumed=True, spec=DesignSpec(row.filter, row.sort, json.loads(row.settings)))


def _overview(connection: Connection) -> list[dict[str, Any]]:
    finished = select(design_rounds.c.design_id).order_by(design_rounds.c.number)
    owners = list(connection.execute(finished).scalars())
    rows = connection.execute(select(designs).order_by(designs.c.id.desc())).mappings()
    return [
        {
            "design": row["id"],
            "filter": row["filter"],
            "sort": row["sort"],
            "settings": json.loads(row["settings"]),
            "created": row["created"],
            "rounds": owners.count(row["id"]),
        }
        for row in rows
    ]


def _rounds(connection: Connection, design_id: int) -> list[DesignRound]:
    statement = select(design_rounds).where(design_rounds.c.design_id == design_id).order_by(design_rounds.c.number)
    return [
        DesignRound(
            row.number,
            row.run_id,
            row.generator,
            json.loads(row.counts),
            json.loads(row.quantiles),
            row.divergence,
            row.seconds,
        )
        for row in connection.execute(statement)
    ]


def _add_round(connection: Connection, design_id: int, finished: DesignRound) -> None:
    own = (design_rounds.c.design_id == design_id) & (design_rounds.c.number == finished.number)
    connection.execute(delete(design_rounds).where(own))
    row = {
        "design_id": design_id,
        "number": finished.number,
        "run_id": finished.run,
        "generator": finished.generator,
        "counts": json.dumps(finished.counts),
        "quantiles": json.dumps(finished.quantiles),
        "divergence": finished.divergence,
        "seconds": finished.seconds,
    }
    connection.execute(insert(design_rounds).values(row))


def _crystals_of_run(connection: Connection, run_id: int) -> list[str]:
    became = inputs.c.outcome.in_([Outcome.ACCEPTED, Outcome.DUPLICATE])
    statement = (
        select(inputs.c.crystal_id)
        .where(inputs.c.run_id == run_id, inputs.c.crystal_id.is_not(None), became)
        .order_by(inputs.c.source_index, inputs.c.position)
    )
    return list(dict.fromkeys(connection.execute(statement).scalars()))


def _propose(connection: Connection, design_id: int, proposals: Sequence[Proposal]) -> None:
    connection.execute(delete(design_proposals).where(design_proposals.c.design_id == design_id))
    rows = [
        {
            "design_id": design_id,
            "rank": one.rank,
            "crystal_id": one.crystal_id,
            "round": one.round,
            "value": one.value,
            "facts": json.dumps(one.facts),
        }
        for one in proposals
    ]
    if rows:
        insert_rows(connection, design_proposals, rows)


def _proposals(connection: Connection, condition: Any) -> list[dict[str, Any]]:
    columns = [design_proposals.c[name] for name in ("design_id", "rank", "crystal_id", "round", "value", "facts")]
    statement = (
        select(*columns, crystals.c.formula, designs.c.filter, designs.c.sort)
        .join(crystals, crystals.c.id == design_proposals.c.crystal_id)
        .join(designs, designs.c.id == design_proposals.c.design_id)
        .where(condition)
        .order_by(design_proposals.c.design_id.desc(), design_proposals.c.rank)
    )
    rows = connection.execute(statement).mappings()
    return [{**row, "facts": json.loads(row["facts"])} for row in rows]
