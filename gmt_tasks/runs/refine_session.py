"""A refine run from its choice to the closed balance, with the ledger, the workers and the promises of a screening.

Its only source is the list of crystals that a filter chose, fixed when the run is opened. After the crystals come the
energies of competing ones, each computed once per database and potential, and from them energies above the hull.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import count
from typing import Any, Self

from db.records import ModelVersion, ResultBlock, ShardLease
from db.refinements.records import Competitor, ReferenceEnergy
from db.refinements.store import subsystems
from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.refinement.choice import CRYSTALS_PER_BLOCK, RefineRequest, block_of, choose, run_spec
from gmt_tasks.refinement.estimate import Estimate, expected_seconds, reference_seconds
from gmt_tasks.refinement.hull import choose_references, hull_distance
from gmt_tasks.refinement.potential_card import potential_version, require_potential
from gmt_tasks.refinement.recipe import load_recipe
from gmt_tasks.refinement.refiner import ENERGY_ONLY, load_refiner
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.runs.lifecycle import shard_atoms_for
from gmt_tasks.runs.session import ScreenSession, available_cores, describe_model, worker_factory
from gmt_tasks.settings import Settings
from gmt_tasks.telemetry import RateMeter, event
from gmt_tasks.workers.isolation import Timeouts
from gmt_tasks.workers.worker import Worker
from models.errors import GmtError

SHARD_ATOMS = 48
"""A minute of a core's work, and what a kill costs at most."""

REFERENCES_PER_JOB = 8


class NothingChosenError(GmtError):
    """No crystal passes the filter of a refine run."""


@dataclass(frozen=True)
class Choice:
    """What a refine run will look at, before it is opened.

    Attributes:
        request: what is asked for.
        ids: content ids, in order.
        network: the version that predicts.
        potential: the version that is asked for its opinion.
    """

    request: RefineRequest
    ids: list[str]
    network: ModelVersion
    potential: ModelVersion

    @property
    def model(self) -> ModelVersion:
        """The version that results are stored under."""
        return ModelVersion.combined(self.network, self.potential, load_recipe().version)


def choose_crystals(store: ResultStore, settings: Settings, request: RefineRequest) -> Choice:
    """The crystals that a request chooses now; writes nothing.

    Raises:
        FilterError: filter or order are not valid.
        PotentialError: the potential is not installed.
        NothingChosenError: no crystal passes.
    """
    require_potential()
    network, _ = describe_model(settings.model)
    empty = Choice(request, [], network, potential_version())
    ids = choose(store, request, empty.model, settings.symprec)
    if not ids:
        raise NothingChosenError(
            f"No crystal passes {request.filter or 'the filter'}. Look with: gmtscreen query, which says why."
        )
    return Choice(request, ids, empty.network, empty.potential)


def competitors_of(store: ResultStore, crystals: list[dict[str, Any]], potential: str) -> dict[str, list[Competitor]]:
    """The stored crystals of all chemical systems of some crystals (dicts with `elements`), and of their parts."""
    systems = {part for crystal in crystals for part in subsystems(crystal["elements"])}
    return store.opinions.competitors(potential, systems)


def others_of(crystal: dict[str, Any], by_system: dict[str, list[Competitor]]) -> dict[str, list[Competitor]]:
    """The competitors of a crystal (a dict with id, twin_id, elements) by system: not itself, nor its mirror image."""
    own = {crystal["id"], crystal.get("twin_id")}
    parts = subsystems(crystal["elements"])
    return {part: [one for one in by_system[part] if one.crystal_id not in own] for part in parts}


def missing_references(
    store: ResultStore, crystals: list[dict[str, Any]], potential: str, limit: int
) -> dict[str, Competitor]:
    """The competing crystals, by id, whose energies are wanted and were never tried.

    Args:
        store: the database.
        crystals: dicts with id, twin_id, formula and elements.
        potential: NAME@VERSION.
        limit: of references per crystal.
    """
    by_system = competitors_of(store, crystals, potential)
    wanted: dict[str, Competitor] = {}
    for crystal in crystals:
        others = others_of(crystal, by_system)
        chosen = choose_references(crystal["formula"], crystal["elements"], others, limit)
        wanted |= {one.crystal_id: one for one in chosen if not one.tried}
    return wanted


def estimate(store: ResultStore, settings: Settings, choice: Choice) -> Estimate:
    """What a choice will cost; what has a second opinion of these versions already costs nothing."""
    chosen = store.opinions.chosen(choice.ids)
    done = store.opinions.done(choice.model, choice.ids)
    pending = [row for row, crystal_id in enumerate(chosen.ids) if crystal_id not in done]
    n_atoms, seconds = expected_seconds(chosen.crystals.select(pending), settings.symprec)
    rows = [
        {"id": crystal_id, "formula": formula, "elements": elements}
        for crystal_id, formula, elements in zip(chosen.ids, chosen.formulas, chosen.elements, strict=True)
    ]
    # what is refined brings its energy along
    wanted = missing_references(store, rows, str(choice.potential), choice.request.references)
    references = [one.n_atoms for name, one in wanted.items() if name not in set(choice.ids)]
    return Estimate(
        len(pending),
        n_atoms,
        len(references),
        seconds + reference_seconds(references),
        settings.workers or available_cores(),
    )


@dataclass
class RefineSession(ScreenSession):
    """One call of `gmtscreen refine`.

    Attributes:
        choice: its crystals.
        on_references: called with the numbers of competing crystals whose energies are done, and of all.
    """

    choice: Choice = field(kw_only=True)
    on_references: Callable[[int, int], None] = field(default=lambda _done, _all: None, kw_only=True)

    @classmethod
    def open_choice(cls, settings: Settings, store: ResultStore, choice: Choice) -> Self:
        """Opens the run of a choice.

        Args:
            settings: with the model resolved; see `chosen_model`.
            store: the database; the session closes it.
            choice: of `choose_crystals`.
        """
        _, metrics = describe_model(settings.model)
        plan = IngestPlan(
            choice.request.max_atoms,
            settings.shard_atoms or SHARD_ATOMS,
            settings.workers or available_cores(),
            shards_per_worker=4,
            least_shard_atoms=1,
        )
        store.register_model(choice.model, metrics)
        run = store.open_run(run_spec(choice.request, choice.ids, choice.model, settings.symprec))
        event("run.opened", run=run.id, state=run.state, resumed=run.resumed, model=choice.model)
        return cls(settings, [], store, run, plan, choice=choice)

    def factory(self) -> Callable[[], Worker]:
        """What makes a worker: network and potential."""
        return worker_factory(self.settings, partial(load_refiner, max_atoms=self.choice.request.max_atoms))

    def timeouts(self) -> Timeouts:
        """Each crystal by itself; one takes up to a hundred times as long as another of as many atoms."""
        return Timeouts(
            start_s=self.settings.start_timeout_s,
            job_s=300.0,
            job_s_per_atom=60.0,
            computing_s=60.0,
            usual_times=200.0,
            first_s_per_atom=1.0,
            late_times=20.0,
            batch_atoms=1,
        )

    def ingest(self, index: int = 0) -> int:  # noqa: ARG002  as that of a screening, which has several sources
        """Writes the chosen crystals as the inputs of the run, from where an earlier call stopped."""
        source, ids = self.choice.request.source, self.choice.ids
        position, exhausted = self.store.ingest_cursor(self.run.id, source)
        while position < len(ids):
            self.stop.check()
            part = self.store.opinions.chosen(ids[position : position + CRYSTALS_PER_BLOCK])
            block = block_of(source, part, position)
            self.store.add_block(self.run.id, block, shard_atoms_for(block, self.plan))
            position = block.stop
            self.on_ingest(position)
        if not exhausted:
            self.store.end_ingest(self.run.id, source)
        return position

    @cached_property
    def potential(self) -> str:
        """NAME@VERSION of the potential."""
        return str(self.choice.potential)

    def evaluate_references(self) -> int:
        """Computes the energies of competing crystals that nobody computed yet; returns their number.

        What is done is stored job by job, so a stop or a kill loses the jobs in flight and nothing else.
        """
        refined = self.store.opinions.of_run(self.run.id)
        wanted = missing_references(self.store, refined, self.potential, self.choice.request.references)
        if not wanted:
            return 0
        self.start_workers()
        meter, n_done = RateMeter(), 0
        self.on_progress(meter.progress(0, len(wanted)))
        for block in self._answers([wanted[name] for name in sorted(wanted)]):
            energies = zip(block.crystal_ids, block.energies, strict=True)
            rows = [ReferenceEnergy(name.removeprefix(ENERGY_ONLY), energy) for name, energy in energies]
            for name, reason, detail in block.quarantined:
                rows.append(ReferenceEnergy(name.removeprefix(ENERGY_ONLY), None, f"{reason}: {detail}"))
            self.store.opinions.add_reference_energies(self.potential, rows)
            n_done += len(rows)
            meter.add(len(rows))
            self.on_progress(meter.progress(n_done, len(wanted)))
            self.stop.check()
        return n_done

    def _answers(self, wanted: list[Competitor]) -> Iterator[ResultBlock]:
        """The answers of the workers for competing crystals, a job at a time, small cells first."""
        ordered = sorted(wanted, key=lambda one: (one.n_atoms, one.crystal_id))
        parts = [ordered[k : k + REFERENCES_PER_JOB] for k in range(0, len(ordered), REFERENCES_PER_JOB)]
        numbers, pool = count(), self._pool
        while pool is not None and (parts or pool.n_in_flight):
            while parts and pool.has_room:
                part = self.store.opinions.chosen([one.crystal_id for one in parts.pop(0)])
                # No shard of the ledger: nothing but the energies is stored, each once.
                ids = [ENERGY_ONLY + crystal_id for crystal_id in part.ids]
                pool.submit(ShardLease(self.run.id, next(numbers), 0, 0, ids, part.crystals))
            for _, block in pool.collect():
                yield block
            self.stop.check()

    def find_hulls(self) -> int:
        """Stores how far each refined crystal lies above the hull of the others; returns how many are known."""
        refined = self.store.opinions.of_run(self.run.id)
        by_system = competitors_of(self.store, refined, self.potential)
        half_width = load_recipe().hull_half_width_ev_per_atom
        rows = []
        for crystal in refined:
            others = [one for part in others_of(crystal, by_system).values() for one in part]
            distance = hull_distance(crystal["formula"], crystal["energy_ev_per_atom"], others)
            earlier = [note for note in crystal["notes"] if "hull" not in note]
            rows.append(
                {
                    "crystal_id": crystal["id"],
                    "e_above_hull_ev_per_atom": distance.ev_per_atom,
                    "e_above_hull_uncertainty_ev_per_atom": None if distance.ev_per_atom is None else half_width,
                    "n_hull_references": distance.n_references,
                    "notes": [*earlier, *distance.notes],
                }
            )
        self.store.opinions.set_hull(self.run.id, rows)
        return sum(row["e_above_hull_ev_per_atom"] is not None for row in rows)


def open_refine(settings: Settings, request: RefineRequest) -> RefineSession:
    """Opens database, choice and run; reads the models' cards only.

    Raises:
        GmtError: database, filter, model or potential cannot be used, or nothing is chosen; nothing is written then.
    """
    settings = chosen_model(settings)
    store = ResultStore.open_existing(settings.database)
    try:
        return RefineSession.open_choice(settings, store, choose_crystals(store, settings, request))
    except BaseException:
        store.close()
        raise
