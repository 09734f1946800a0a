"""A screening from the first source to the closed balance: which model, which sources, and how they are cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from db.records import ModelVersion
from db.store import ResultStore
from gmt_tasks.ingest.blocks import SHARD_ATOMS, IngestPlan
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.runs.lifecycle import ingest_source, run_spec
from gmt_tasks.runs.run_session import RunSession, n_usable_cores
from gmt_tasks.settings import Settings
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import MissingSymmetry, ReadOptions, Source
from gmt_tasks.telemetry import event
from gmt_tasks.workers.packed_model import PackedModel, load_packed
from gmt_tasks.workers.worker import Worker, load_worker

if TYPE_CHECKING:
    from gmt_tasks.workers.pool import WorkerPool


def describe_model(model: str) -> tuple[ModelVersion, dict[str, Any]]:
    """Version and measured metrics of a model by name, `name@version` or checkpoint folder.

    Raises:
        ModelError: there is no such model.
    """
    # The card beside the weights is enough: loading the weights is left to the workers.
    from models.gmtnet.card import find_checkpoint, read_card

    card = read_card(find_checkpoint(model))
    return ModelVersion(card.name, card.version, card.sha256), dict(card.metrics)


def worker_factory(settings: Settings, load: Callable[..., Worker], *more: Any) -> Callable[[], Worker]:
    """What makes a worker in another process: a model in a folder travels along where the folder cannot be seen.

    Args:
        settings: with the model.
        load: a top-level function of model, device, symprec and more.
        more: what else it takes.
    """
    model = settings.model
    # A worker has another working folder: paths of checkpoints become absolute.
    if model.endswith(".json") or Path(model).is_dir():
        model = str(Path(model).resolve())
    arguments = (settings.device, settings.symprec, *more)
    if settings.ray_address and Path(model).is_absolute():
        from models.gmtnet.card import find_checkpoint

        return partial(load_packed, load, PackedModel.of(find_checkpoint(model)), *arguments)
    return partial(load, model, *arguments)


def open_sources(
    texts: Sequence[str],
    *,
    max_atoms: int,
    database: str | Path | None = None,
    missing_symmetry: MissingSymmetry = MissingSymmetry.REFUSE,
) -> list[Source]:
    """Opens what the user named; see `open_source` for what can be named and for the database.

    Raises:
        SourceError: a source does not exist or cannot be read as a whole.
    """
    options = ReadOptions(max_atoms=max_atoms, missing_symmetry=missing_symmetry)
    return [open_source(text, options, database) for text in texts]


@dataclass(kw_only=True)
class ScreenSession(RunSession):
    """One call of `gmtscreen screen`.

    Attributes:
        sources: what, in order.
        plan: bounds and shard size.
    """

    sources: list[Source]
    plan: IngestPlan
    _n_read: int = field(default=0, init=False)
    _n_seen: int = field(default=0, init=False)

    @classmethod
    def open(cls, settings: Settings, sources: list[Source], *, limit: int | None = None) -> Self:
        """Opens the database, the model and the run; reads no crystal yet.

        Args:
            settings: where and how.
            sources: opened sources.
            limit: inputs to take from all sources together.

        Raises:
            GmtError: database or model cannot be used.
        """
        settings = chosen_model(settings)
        version, metrics = describe_model(settings.model)
        plan = IngestPlan(
            settings.max_atoms, settings.shard_atoms or SHARD_ATOMS, settings.workers or n_usable_cores(), limit
        )
        if settings.gpus_per_worker and settings.device != "cpu":
            plan = plan.on_gpus(settings.shard_atoms, plan.n_workers)
        store = ResultStore(settings.database)
        store.register_model(version, metrics)
        run = store.open_run(run_spec(sources, version, settings.symprec, plan))
        event("run.opened", run=run.id, state=run.state, resumed=run.resumed, model=version)
        unique = list({source.name: source for source in sources}.values())
        return cls(settings=settings, store=store, run=run, sources=unique, plan=plan)

    def new_worker(self) -> Callable[[], Worker]:
        """What makes a worker: the model of the settings."""
        return worker_factory(self.settings, load_worker)

    def start_workers(self) -> "WorkerPool":
        """Starts Ray and the workers, once; on GPUs shards become larger."""
        pool = super().start_workers()
        if pool.gpus_per_worker:
            self.plan = self.plan.on_gpus(self.settings.shard_atoms, pool.n_workers)
        return pool

    def ingest(self, index: int) -> int:
        """Ingests source number `index`; call it for 0, 1, 2, ... Returns the number of its inputs.

        Raises:
            StoppedError: a stop was asked for; the next call goes on at the same place.
        """

        def on_block(n: int) -> None:
            self._n_read += n
            self.on_ingest(self._n_read)
            self.reading.added()
            self.stop.check()

        self.stop.check()
        source, before = self.sources[index], self._n_seen
        n = ingest_source(self.store, self.run.id, source, self.plan, n_before=before, on_block=on_block)
        self._n_seen += n
        return n
