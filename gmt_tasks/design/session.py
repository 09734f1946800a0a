"""A design from its goal to its proposals: each round an ordinary run, then a shift of the generator.

Everything that a round leaves is in the database: its run, and what was counted. The weights of its generator lie in a
folder; one that is missing is made again from the database, which gives the same weights on the same machine. So a
design that was stopped goes on where it was, in the middle of a round or between two.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from db.designs.records import Design, DesignRound, DesignSpec
from db.store import ResultStore
from gmt_tasks.design.judge import N_BEST, Judged, choose, goal_scale, judge, n_learned
from gmt_tasks.design.proposals import LOOKED_AT, estimator, proposed
from gmt_tasks.design.request import DesignRequest
from gmt_tasks.process import StopRequest
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.runs.session import ScreenSession, describe_model, open_sources
from gmt_tasks.settings import Settings
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import CrystalBatch, Floats
from models.errors import GmtError

if TYPE_CHECKING:
    from models.wyckoff.occupation import WyckoffCrystals

MOST_ANCHORS = 300
"""Written crystals at which the divergence of a generator is measured."""

RELAXATION_EV_PER_ATOM = 0.3
"""By which energies of crystals as they are written may exceed those that are asked of relaxed ones."""


@dataclass(kw_only=True)
class DesignSession:
    """One call of `gmtscreen design`.

    Attributes:
        settings: where and how.
        request: what is looked for.
        store: the database.
        design: its row there.
        folder: of the generators.
        stop: checked between steps.
    """

    settings: Settings
    request: DesignRequest
    store: ResultStore
    design: Design
    folder: Path
    on_round: Callable[[DesignRound], None] = lambda finished: None
    stop: StopRequest = field(default_factory=StopRequest)
    _screening: ScreenSession | None = field(default=None, init=False)

    @classmethod
    def open(cls, settings: Settings, request: DesignRequest, folder: Path | None = None) -> Self:
        """Opens the database and the design; computes nothing yet.

        Args:
            settings: where and how.
            request: what is looked for.
            folder: of the generators; None takes `design-NUMBER` in the working folder.

        Raises:
            GmtError: database or model cannot be used, or the request makes no sense.
        """
        from models.wyckoff.generator import load_generator

        settings = chosen_model(settings)
        version, metrics = describe_model(settings.model)
        # a slip is said before anything is stored
        goal_scale(request)
        open_source(request.source(1, ""))
        beginning = str((folder or Path()).resolve())
        if "," in beginning:
            raise GmtError(f"The folder {beginning} has a comma in its name, which separates parameters. Name another.")
        store = ResultStore(settings.database)
        store.register_model(version, metrics)
        facts = {"model": str(version), "symprec": settings.symprec, "max_atoms": settings.max_atoms}
        facts |= {"generator": load_generator().card.sha256}
        design = store.designs.open(DesignSpec(request.filter, request.sort, request.settings() | facts))
        where = (folder or Path(f"design-{design.id}")).resolve()
        return cls(settings=settings, request=request, store=store, design=design, folder=where)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers and the connections."""
        if self._screening is not None:
            self._screening.close()
        self.store.close()

    def rounds(self) -> list[DesignRound]:
        """The finished rounds."""
        return self.store.designs.rounds(self.design.id)

    def next_round(self) -> int | None:
        """Number of the round to go on with; None when all are finished."""
        self.stop.check()
        n_finished = len(self.rounds())
        return n_finished + 1 if n_finished < self.request.rounds else None

    def source(self, number: int) -> str:
        """The source of a round; its generator is made where it is missing."""
        path = self._generator_path(number)
        return self.request.source(number, "" if path is None else str(path))

    def open_round(self, number: int) -> ScreenSession:
        """The run of a round; its workers are those of the round before."""
        opened = open_sources([self.source(number)], max_atoms=self.settings.max_atoms, database=self.settings.database)
        screening = ScreenSession.open(self.settings, opened)
        if self._screening is not None:
            screening.take_workers(self._screening)
            self._screening.close()
        self._screening = screening
        return screening

    def close_round(self, number: int, run: int, seconds: float) -> DesignRound:
        """Judges a round, shifts the generator, and stores what came out.

        Args:
            number: of the round.
            run: of its crystals.
            seconds: that writing and predicting took.
        """
        from models.wyckoff.generator import SHIPPED, load_generator

        began = time.monotonic()
        runs = [*(one.run for one in self.rounds()[: number - 1]), run]
        judged = self._judge(runs)
        divergence = self._shift(number, judged)
        of_run = set(self.store.designs.crystals_of_run(run))
        before = {one for other in runs[:-1] for one in self.store.designs.crystals_of_run(other)}
        counts = {name: count for name, count in asdict(self.store.balance(run)).items() if name != "pending"}
        counts |= {"new": len(of_run - before), "wanted": int((judged.round == number).sum())}
        finished = DesignRound(
            number,
            run,
            load_generator(self._generator_path(number) or SHIPPED).card.sha256,
            counts,
            judged.quantiles(number),
            divergence,
            seconds + time.monotonic() - began,
        )
        self.store.designs.add_round(self.design.id, finished)
        self.on_round(finished)
        return finished

    def needs_proposals(self) -> bool:
        """Whether other ones than those stored are asked for."""
        n_proposed = len(self.store.designs.proposals(self.design.id))
        n_looked_at = n_proposed + len(self.store.designs.refused(self.design.id))
        n_wanted = sum(one.counts["wanted"] for one in self.rounds())
        enough = min(LOOKED_AT * self.request.propose, n_wanted)
        return n_proposed > self.request.propose or (n_proposed < self.request.propose and n_looked_at < enough)

    def propose(self) -> int:
        """Stores the crystals to calculate next, and those that were refused; returns the number of proposals."""
        judged = self._judge([one.run for one in self.rounds()], n_best=2 * self.request.propose)
        most_above_hull = self.request.above_hull
        estimate = estimator() if most_above_hull else None
        chosen = choose(self.store, judged, (LOOKED_AT if estimate else 1) * self.request.propose)
        proposals = proposed(judged, chosen, self.request.propose, estimate, most_above_hull, self.stop)
        self.store.designs.propose(self.design.id, proposals)
        return sum(one.refused is None for one in proposals)

    def _generator_path(self, number: int) -> Path | None:
        """Card of the generator that writes a round; None for the one that comes with the program."""
        from models.wyckoff.generator import has_version

        if number == 1 or not self.request.bound:
            return None
        path = self.folder / f"round-{number - 1}" / "wyckoff.json"
        if not has_version(path, self._suffix(number - 1)):
            self._shift(number - 1, self._judge([one.run for one in self.rounds()[: number - 1]]))
        return path

    def _suffix(self, number: int) -> str:
        """End of the version of the generator that follows a round."""
        return f"+{hashlib.sha256(f'{self.design.spec}'.encode()).hexdigest()[:8]}.{number}"

    def _judge(self, runs: list[int], n_best: int = N_BEST) -> Judged:
        """The wanted crystals of runs by the results of this design's model."""
        return judge(self.store, self.request, runs, self.design.spec.settings["model"], n_best)

    def _shift(self, number: int, judged: Judged) -> float:
        """Makes the generator that follows a round; returns its divergence from the first one, nats per crystal."""
        if not self.request.bound:
            return 0.0
        from gmt_tasks.training.wyckoff.shift import Shifted, ShiftOptions, shift
        from models.wyckoff.generator import load_generator, save_generator

        # the divergence is measured at some of the crystals that the round wrote, wanted or not
        ids = self.store.designs.crystals_of_run(self._run_of(number))
        some = np.sort(np.random.default_rng(number).permutation(len(ids))[:MOST_ANCHORS])
        written = _occupied(self.store.labels.crystals_of([ids[k] for k in some]))
        first, good = load_generator(), self._learned(judged)
        shifted = Shifted(first.network, 0.0, 0)
        if good is not None and written is not None:
            options = ShiftOptions(bound=self.request.bound, seed=1000 * self.request.seed + number)
            shifted = shift(first.network, *good, written[0], options)
        facts = {"design": self.design.id, "round": number, "divergence": shifted.divergence}
        version = f"{first.card.version}{self._suffix(number)}"
        card = replace(first.card, version=version, training=facts, metrics={})
        save_generator(shifted.network, card, self.folder / f"round-{number}")
        return shifted.divergence

    def _learned(self, judged: Judged) -> "tuple[WyckoffCrystals, Floats] | None":
        """The wanted crystals so far that the generator learns from, with their weights; None without any.

        Where the potential is installed, those far above the hull as they are written are left out: a tensor network
        believes in crystals that no energy would let exist.
        """
        if not judged.ids:
            return None
        estimate = estimator(energies_as_written=True) if self.request.above_hull else None
        chosen = choose(self.store, judged, (2 if estimate else 1) * n_learned(judged))
        kept = np.arange(len(chosen.rows))
        if estimate is not None:
            energies = estimate(chosen.crystals)
            lowest = energies.above_hull_ev_per_atom - energies.half_width_ev_per_atom
            kept = kept[lowest <= self.request.above_hull + RELAXATION_EV_PER_ATOM][: n_learned(judged)]
        occupied = _occupied(chosen.crystals.select(kept))
        if occupied is None:
            return None
        crystals, rows = occupied
        return crystals, np.maximum(judged.score[chosen.rows[kept][rows]], 1e-6)

    def _run_of(self, number: int) -> int:
        finished = {one.number: one.run for one in self.rounds()}
        if number in finished:
            return finished[number]
        if self._screening is None:
            raise GmtError(f"round {number} of design {self.design.id} has no run; run the same command again")
        return self._screening.run.id


def _occupied(crystals: CrystalBatch) -> "tuple[WyckoffCrystals, Any] | None":
    """Crystals by their occupied positions with their rows; None where none has that form."""
    from models.wyckoff.occupation import occupied_positions

    occupied, rows = occupied_positions(crystals)
    return (occupied, rows) if len(rows) else None
