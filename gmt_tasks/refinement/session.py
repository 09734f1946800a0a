"""A refine run: the crystals that a filter chose, in the ledger of every other run, with their hulls at the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from db.records import ModelVersion
from db.refinements.records import ChosenCrystals
from db.store import ResultStore
from gmt_tasks.refinement.choice import CRYSTALS_PER_BLOCK, RefineRequest, block_of, choose, run_spec
from gmt_tasks.refinement.estimate import Estimate, expected_seconds, reference_seconds
from gmt_tasks.refinement.recipe import load_recipe
from gmt_tasks.refinement.references import (
    ReferenceDriver,
    RefinedCrystal,
    chosen_as_refined,
    hull_rows,
    missing_references,
)
from gmt_tasks.refinement.refiner import load_refiner
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.runs.run_session import RunSession, n_usable_cores
from gmt_tasks.runs.session import describe_model, worker_factory
from gmt_tasks.settings import Settings
from gmt_tasks.telemetry import event
from gmt_tasks.workers.isolation import Timeouts
from gmt_tasks.workers.worker import Worker
from models.potential.card import read_potential_card

SHARD_ATOMS, GPU_SHARD_ATOMS = 24, 512
"""Atoms of a shard: a few crystals, some seconds of a CPU core, so that a kill loses little; a GPU wants more."""


@dataclass(frozen=True)
class Choice:
    """What a refine command would do, before it writes anything.

    Attributes:
        settings: where and how, with the network that they mean in the database.
        request: what was asked for.
        network: identity of the network.
        potential: identity of the potential.
        chosen: the crystals in their order.
        estimate: what is left to compute, and what it costs.
    """

    settings: Settings
    request: RefineRequest
    network: ModelVersion
    potential: ModelVersion
    chosen: ChosenCrystals
    estimate: Estimate

    @property
    def model(self) -> ModelVersion:
        """What the results are stored under: network, potential and the recipe of their combination."""
        return combined_model(self.network, self.potential)


def combined_model(network: ModelVersion, potential: ModelVersion) -> ModelVersion:
    """The version of a network with the second opinion of a potential, as this program combines them."""
    return ModelVersion.combined(network, potential, load_recipe().version)


def choose_crystals(settings: Settings, request: RefineRequest) -> Choice:
    """Chooses the crystals of a request and estimates the work; writes nothing.

    Raises:
        FilterError: filter or order are not valid.
        StoreError: there is no such database.
        GmtError: a package of the potential is missing, the model cannot be found, or no crystal fits.
    """
    card = read_potential_card()
    potential = ModelVersion(card.name, card.version, card.sha256)
    with ResultStore.open_existing(settings.database) as store:
        settings = chosen_model(settings)
        network, _ = describe_model(settings.model)
        model = combined_model(network, potential)
        chosen = store.opinions.chosen(choose(store, request, model, settings.symprec))
        estimate = _estimate(store, chosen, model, str(potential), request, settings)
    return Choice(settings, request, network, potential, chosen, estimate)


def _estimate(
    store: ResultStore,
    chosen: ChosenCrystals,
    model: ModelVersion,
    potential: str,
    request: RefineRequest,
    settings: Settings,
) -> Estimate:
    """What the crystals without a second opinion and the missing references are expected to cost."""
    known = store.opinions.with_opinion(model, chosen.ids)
    rows = [row for row, crystal_id in enumerate(chosen.ids) if crystal_id not in known]
    n_atoms, seconds = expected_seconds(chosen.crystals.select(rows), settings.symprec, request.max_atoms)
    references = missing_references(store, potential, chosen_as_refined(chosen), request.references)
    seconds += reference_seconds([one.n_atoms for one in references])
    return Estimate(len(rows), n_atoms, len(references), seconds, settings.workers or n_usable_cores())


@dataclass(kw_only=True)
class RefineSession(RunSession):
    """One call of `gmtscreen refine`.

    Attributes:
        choice: what the run looks at.
        n_references: competing crystals whose energies this session computed.
    """

    choice: Choice
    n_references: int = field(default=0, init=False)

    @classmethod
    def open(cls, choice: Choice) -> Self:
        """Opens the run of a choice.

        Raises:
            StoreError: the database cannot be written to.
        """
        settings, request = choice.settings, choice.request
        store = ResultStore(settings.database)
        store.register_model(choice.model, {})
        run = store.open_run(run_spec(request, choice.chosen.ids, choice.model, settings.symprec))
        event("run.opened", run=run.id, state=run.state, resumed=run.resumed, model=choice.model)
        return cls(settings=settings, store=store, run=run, choice=choice)

    @property
    def timeouts(self) -> Timeouts:
        """Relaxations differ a hundredfold in length, so nothing is hung before minutes have gone."""
        return Timeouts(
            start_s=self.settings.start_timeout_s,
            job_s=120.0,
            job_s_per_atom=30.0,
            computing_s=120.0,
            usual_times=100.0,
            first_s_per_atom=0.5,
            late_s=20.0,
        )

    @property
    def batch_atoms(self) -> int:
        """One crystal at a time: its strained and displaced cells are a batch of their own."""
        return 1

    @property
    def shard_atoms(self) -> int:
        """Atoms of a shard."""
        on_gpu = self._pool is not None and self._pool.gpus_per_worker > 0
        return self.settings.shard_atoms or (GPU_SHARD_ATOMS if on_gpu else SHARD_ATOMS)

    def new_worker(self) -> Callable[[], Worker]:
        """What makes a worker: the network of the settings with the potential."""
        return worker_factory(self.settings, load_refiner, self.choice.request.max_atoms)

    def ingest(self, index: int = 0) -> int:  # noqa: ARG002  a refine run has one source
        """Enters the chosen crystals as the inputs of the run; returns their number."""
        chosen, source = self.choice.chosen, self.choice.request.source
        position, exhausted = self.store.ingest_cursor(self.run.id, source)
        while not exhausted and position < len(chosen.ids):
            self.stop.check()
            block = block_of(source, chosen.part(position, position + CRYSTALS_PER_BLOCK), position)
            self.store.add_block(self.run.id, block, self.shard_atoms)
            position = block.stop
            self.on_ingest(position)
        if not exhausted:
            self.store.end_ingest(self.run.id, source)
        return len(chosen.ids)

    def evaluate_references(self) -> int:
        """Computes the energies of competing crystals that are still missing; returns how many this call computed."""
        potential = str(self.choice.potential)
        crystals = [RefinedCrystal(**_named(row)) for row in self.store.opinions.of_run(self.run.id)]
        missing = missing_references(self.store, potential, crystals, self.choice.request.references)
        if missing:
            pool = self.start_workers()
            driver = ReferenceDriver(self.store, self.run.id, pool, potential, self.on_progress, self.stop)
            self.n_references += driver.drive([one.crystal_id for one in missing], self.shard_atoms)
        return self.n_references

    def store_hull(self) -> int:
        """Stores how far each crystal lies above the hull of the others; returns how many have such an energy."""
        potential, width = str(self.choice.potential), load_recipe().hull_half_width_ev_per_atom
        rows = hull_rows(self.store, potential, self.store.opinions.of_run(self.run.id), width)
        self.store.opinions.set_hull(self.run.id, rows)
        return sum(row["e_above_hull_ev_per_atom"] is not None for row in rows)


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "twin_id", "formula", "elements")}
