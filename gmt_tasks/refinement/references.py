"""The competing crystals of a refine run: which ones a hull needs, their energies by the workers, and the hulls."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from db.records import ResultBlock, ShardLease
from db.refinements.records import ChosenCrystals, Competitor, ReferenceEnergy
from db.refinements.store import subsystems
from db.store import ResultStore
from gmt_tasks.process import StopRequest
from gmt_tasks.refinement.hull import choose_references, hull_distance
from gmt_tasks.refinement.refiner import ENERGY_ONLY
from gmt_tasks.runs.drive import POLL_S, Pool
from gmt_tasks.telemetry import Progress, RateMeter, event

_HULL_NOTES = ("no energy above the hull", "the hull is made of")


@dataclass(frozen=True)
class RefinedCrystal:
    """A crystal whose distance to the hull is wanted.

    Attributes:
        id: content id.
        twin_id: of its mirror image, which is no competitor; None for an achiral one or where it is unknown.
        formula: reduced.
        elements: chemical system, ",Al,N,".
    """

    id: str
    twin_id: str | None
    formula: str
    elements: str

    @staticmethod
    def of_row(row: dict[str, Any]) -> "RefinedCrystal":
        """A crystal of a run, as `OpinionStore.of_run` gives it."""
        return RefinedCrystal(row["id"], row["twin_id"], row["formula"], row["elements"])


def chosen_as_refined(chosen: ChosenCrystals) -> list[RefinedCrystal]:
    """Chosen crystals before anything is computed of them."""
    columns = zip(chosen.ids, chosen.formulas, chosen.elements, strict=True)
    return [RefinedCrystal(crystal_id, None, formula, elements) for crystal_id, formula, elements in columns]


def competitors_of(
    store: ResultStore, potential: str, crystals: Sequence[RefinedCrystal]
) -> Iterator[tuple[RefinedCrystal, dict[str, list[Competitor]]]]:
    """Each crystal with the stored crystals of its chemical system and of parts of it, without itself."""
    systems = {crystal.elements for crystal in crystals}
    parts = {system: subsystems(system) for system in systems}
    by_system = store.opinions.competitors(potential, set(chain.from_iterable(parts.values())))
    for crystal in crystals:
        others: dict[str, list[Competitor]] = {}
        own = (crystal.id, crystal.twin_id)
        for system in parts[crystal.elements]:
            others[system] = [one for one in by_system[system] if one.crystal_id not in own]
        yield crystal, others


def missing_references(
    store: ResultStore, potential: str, crystals: Sequence[RefinedCrystal], limit: int
) -> list[Competitor]:
    """The competing crystals that the hulls of crystals need and whose energies were never tried, by size.

    Args:
        store: the database.
        potential: NAME@VERSION.
        crystals: whose hulls are wanted; what is among them is computed anyway.
        limit: references of each crystal, at most.
    """
    computed = {crystal.id for crystal in crystals}
    missing: dict[str, Competitor] = {}
    for crystal, others in competitors_of(store, potential, crystals):
        for one in choose_references(crystal.formula, crystal.elements, others, limit):
            if not one.tried and one.crystal_id not in computed:
                missing[one.crystal_id] = one
    return sorted(missing.values(), key=lambda one: (one.n_atoms, one.crystal_id))


@dataclass
class ReferenceDriver:
    """Has the energies of competing crystals computed by the workers and stores each as it arrives.

    Attributes:
        store: the database.
        run_id: for the log.
        pool: the workers.
        potential: NAME@VERSION.
        on_progress: called after every answer.
        stop: checked before every submission.
    """

    store: ResultStore
    run_id: int
    pool: Pool
    potential: str
    on_progress: Callable[[Progress], None]
    stop: StopRequest

    def drive(self, ids: Sequence[str], shard_atoms: int) -> int:
        """Computes and stores energies; what is stored is not asked for again. Returns their number.

        Args:
            ids: of the crystals, in the order in which they are computed.
            shard_atoms: computed at a time, at most.
        """
        waiting, meter, n_stored = list(self._leases(ids, shard_atoms)), RateMeter(), 0
        while waiting or self.pool.n_in_flight:
            self.stop.check()
            while waiting and self.pool.has_room:
                self.pool.submit(waiting.pop(0))
            for lease, block in self.pool.collect(POLL_S):
                self.store.opinions.add_reference_energies(self.potential, _energies(block))
                n_stored += len(lease.crystal_ids)
                meter.add(len(lease.crystal_ids))
                self.on_progress(meter.progress(n_stored, len(ids)))
        event("references.computed", run=self.run_id, crystals=n_stored)
        return n_stored

    def _leases(self, ids: Sequence[str], shard_atoms: int) -> Iterator[ShardLease]:
        """The crystals as the workers take them; the ledger of the run knows nothing of these."""
        crystals = self.store.opinions.chosen(ids).crystals
        shard = np.cumsum([0, *crystals.atoms_per_crystal.tolist()])[:-1] // max(shard_atoms, 1)
        for number in np.unique(shard).tolist():
            rows = np.flatnonzero(shard == number).tolist()
            names = [ENERGY_ONLY + ids[row] for row in rows]
            yield ShardLease(self.run_id, -1 - number, 0, 1, names, crystals.select(rows))


def _energies(block: ResultBlock) -> list[ReferenceEnergy]:
    """Energies of an answer, and why other crystals of it have none."""
    known = zip(block.crystal_ids, block.energies, strict=True)
    failed = ((name, f"{reason.value}: {detail}") for name, reason, detail in block.quarantined)
    return [
        *(ReferenceEnergy(name.removeprefix(ENERGY_ONLY), energy) for name, energy in known),
        *(ReferenceEnergy(name.removeprefix(ENERGY_ONLY), None, why) for name, why in failed),
    ]


def hull_rows(
    store: ResultStore, potential: str, refined: Iterable[dict[str, Any]], half_width_ev_per_atom: float
) -> list[dict[str, Any]]:
    """Energies above the hull of the crystals of a run, as `OpinionStore.set_hull` takes them.

    Args:
        store: the database.
        potential: NAME@VERSION.
        refined: as `OpinionStore.of_run` gives them.
        half_width_ev_per_atom: of the 90 % interval.
    """
    rows = {row["id"]: row for row in refined if row["energy_ev_per_atom"] is not None}
    crystals = [RefinedCrystal.of_row(row) for row in rows.values()]
    hulls = []
    for crystal, others in competitors_of(store, potential, crystals):
        row = rows[crystal.id]
        distance = hull_distance(crystal.formula, row["energy_ev_per_atom"], [*chain.from_iterable(others.values())])
        # A repetition replaces what an earlier hull of fewer crystals had to say.
        notes = [note for note in row["notes"] if not note.startswith(_HULL_NOTES)]
        hulls.append(
            {
                "crystal_id": crystal.id,
                "e_above_hull_ev_per_atom": distance.ev_per_atom,
                "e_above_hull_uncertainty_ev_per_atom": None
                if distance.ev_per_atom is None
                else half_width_ev_per_atom,
                "n_hull_references": distance.n_references,
                "notes": [*notes, *distance.notes],
            }
        )
    return hulls
