"""DesignStore: goals, rounds and proposals of designs, the part of `ResultStore` that `gmtscreen design` needs."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
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
        """All designs, the newest first: design (its number), filter, sort, settings, created, rounds, proposals."""
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
        """What a design proposes, the first first: rank, crystal_id, formula, round, value, facts, and all in words."""
        return read(self._engine, _proposals, design_proposals.c.design_id == design_id)

    def refused(self, design_id: int) -> list[dict[str, Any]]:
        """What a design chose and then refused, as `proposals`; `refused` says why."""
        return read(self._engine, _refused, design_id)

    def proposals_of_crystal(self, crystal_id: str) -> list[dict[str, Any]]:
        """The proposals that are a crystal, each with its design and the design's goal; the newest design first."""
        return read(self._engine, proposals_of_crystal, crystal_id)

    def describe(self, number: int) -> dict[str, Any]:
        """A design as `overview` has it, with its rounds, its proposals, and what it chose and then refused.

        Raises:
            MissingError: there is none.
        """
        return read(self._engine, _describe, number)


def proposals_of_crystal(connection: Connection, crystal_id: str) -> list[dict[str, Any]]:
    """The proposals that are a crystal; see `DesignStore.proposals_of_crystal`."""
    return _proposals(connection, design_proposals.c.crystal_id == crystal_id)


def rounds_of_runs(connection: Connection, run_id: int | None = None) -> dict[int, dict[str, int]]:
    """Design and number of the finished round that a run is, by run; of one run or of all."""
    statement = select(design_rounds.c.run_id, design_rounds.c.design_id, design_rounds.c.number)
    if run_id is not None:
        statement = statement.where(design_rounds.c.run_id == run_id)
    # a design that was begun anew with other settings may go over the same runs: the newest one is named
    rows = connection.execute(statement.order_by(design_rounds.c.design_id))
    return {row.run_id: {"design": row.design_id, "round": row.number} for row in rows}


def proposal_text(facts: Mapping[str, Any]) -> str:
    """Why a crystal was proposed, or chosen and then refused, in words.

    Args:
        facts: a row of `DesignStore.proposals` without its text.

    Returns:
        For example "proposed by design 1 (NOT metal, by -d_max_pc_per_n) as number 3, from round 2: d_max_pc_per_n
        31.2, promise 0.81, uncertainty 0.64, crowding 0.10".
    """
    goal = f"{facts['filter'] or 'all crystals'}, by {facts['sort']}"
    place = f"as number {facts['rank']}, from round {facts['round']}"
    reasons = [f"{facts['sort'].removeprefix('-')} {facts['value']:.4g}"]
    reasons += [f"{name} {value:.2f}" for name, value in facts["facts"].items()]
    refused = facts["refused"]
    text = f"{'refused' if refused else 'proposed'} by design {facts['design_id']} ({goal}) {place}: "
    return text + ", ".join(reasons) + (f"; {refused}" if refused else "")


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
    # A larger number than a column holds is nobody's, and no parameter of a statement either.
    is_number = abs(number) < 2**63
    row = connection.execute(select(designs).where(designs.c.id == number)).one_or_none() if is_number else None
    if row is None:
        raise MissingError(f"This database has no design {number}. gmtscreen designs lists all.")
    return Design(number, resumed=True, spec=DesignSpec(row.filter, row.sort, json.loads(row.settings)))


def _overview(connection: Connection) -> list[dict[str, Any]]:
    n_rounds = Counter(connection.execute(select(design_rounds.c.design_id)).scalars())
    proposed = select(design_proposals.c.design_id).where(design_proposals.c.refused.is_(None))
    n_proposals = Counter(connection.execute(proposed).scalars())
    rows = connection.execute(select(designs).order_by(designs.c.id.desc())).mappings()
    return [
        {
            "design": row["id"],
            "filter": row["filter"],
            "sort": row["sort"],
            "settings": json.loads(row["settings"]),
            "created": row["created"],
            "rounds": n_rounds[row["id"]],
            "proposals": n_proposals[row["id"]],
        }
        for row in rows
    ]


def _describe(connection: Connection, number: int) -> dict[str, Any]:
    spec = _get(connection, number).spec
    created = connection.execute(select(designs.c.created).where(designs.c.id == number)).scalar_one()
    return {
        "design": number,
        **asdict(spec),
        "created": created,
        "rounds": [asdict(one) for one in _rounds(connection, number)],
        "proposals": _proposals(connection, design_proposals.c.design_id == number),
        "refused": _refused(connection, number),
    }


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
            "refused": one.refused,
        }
        for one in proposals
    ]
    if rows:
        insert_rows(connection, design_proposals, rows)


def _refused(connection: Connection, design_id: int) -> list[dict[str, Any]]:
    return _proposals(connection, design_proposals.c.design_id == design_id, refused=True)


def _proposals(connection: Connection, condition: Any, *, refused: bool = False) -> list[dict[str, Any]]:
    names = ("design_id", "rank", "crystal_id", "round", "value", "facts", "refused")
    columns = [design_proposals.c[name] for name in names]
    statement = (
        select(*columns, crystals.c.formula, designs.c.filter, designs.c.sort)
        .join(crystals, crystals.c.id == design_proposals.c.crystal_id)
        .join(designs, designs.c.id == design_proposals.c.design_id)
        .where(condition, design_proposals.c.refused.is_not(None) if refused else design_proposals.c.refused.is_(None))
        .order_by(design_proposals.c.design_id.desc(), design_proposals.c.rank)
    )
    rows = [{**row, "facts": json.loads(row["facts"])} for row in connection.execute(statement).mappings()]
    return [row | {"text": proposal_text(row)} for row in rows]
