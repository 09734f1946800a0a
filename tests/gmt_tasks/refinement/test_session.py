"""Refine runs against a real database: chosen, computed, accounted for, resumed; only the physics is made up."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.records import Balance, ResultBlock, ShardLease
from db.store import ResultStore
from gmt_tasks.process import StoppedError, StopRequest
from gmt_tasks.refinement import session as session_module
from gmt_tasks.refinement.choice import RefineRequest
from gmt_tasks.refinement.session import Choice, RefineSession, choose_crystals
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source, run_spec
from gmt_tasks.settings import Settings, load_settings
from gmt_tasks.sources.source import SourceBlock
from gmt_tasks.telemetry import Progress
from models.errors import FilterError, GmtError
from tests.gmt_tasks.refinement.fake_refiner import FakeRefiner, replaced
from tests.gmt_tasks.runs.test_drive import PLAN, DirectPool, ListSource
from tests.gmt_tasks.workers.fake_screener import VERSION

ELEMENTS = [5, 6, 7, 13, 14, 15]


class LargerSource(ListSource):
    """The same crystals in cells of half as much volume again: other crystals."""

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        for block in super().blocks(start):
            yield replace(block, crystals=replace(block.crystals, lattice=1.15 * block.crystals.lattice))


class DirectRefinePool(DirectPool):
    """Computes second opinions at once, in this process."""

    gpus_per_worker = 0.0

    def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
        done = [(lease, FakeRefiner().screen(lease.crystal_ids, lease.crystals)) for lease in self.waiting[:1]]
        self.n_collected += len(done)
        self.waiting = self.waiting[1:]
        return done

    def close(self) -> None:
        self.waiting = []


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of six screened one-atom crystals, closed, so that its file is all of it."""
    path = tmp_path_factory.mktemp("screened") / "a.db"
    screen(path, ListSource(ELEMENTS))
    return path


def screen(db: Path | str, source: ListSource) -> None:
    """A run of the fake network over a source."""
    with ResultStore(db) as store:
        store.register_model(VERSION, {})
        run = store.open_run(run_spec([source], VERSION, 0.01, PLAN))
        ingest_source(store, run.id, source, PLAN)
        ShardDriver(store, run.id, DirectPool(), "here").drive()
        close_run(store, run.id, 1.0)


@pytest.fixture
def settings(screened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of it, and the fakes."""
    for name, stand_in in replaced().items():
        monkeypatch.setattr(session_module, name, stand_in)
    monkeypatch.setenv("GMTSCREEN_SHARD_ATOMS", "1")
    shutil.copy(screened, tmp_path / "a.db")
    return load_settings(db=str(tmp_path / "a.db"))


def opened(choice: Choice) -> RefineSession:
    """The session of a choice with workers in this process."""
    session = RefineSession.open(choice)
    session._pool = DirectRefinePool()  # type: ignore[assignment]
    return session


def refine(settings: Settings, request: RefineRequest, stop_after: int | None = None) -> tuple[Balance, RefineSession]:
    """All steps of the flow; with `stop_after` a stop is asked for once so many crystals are done."""
    with opened(choose_crystals(settings, request)) as session:
        session.stop = StopRequest()

        def watch(progress: Progress) -> None:
            if progress.n_done == stop_after:
                session.stop.ask()

        session.on_progress = watch
        session.ingest()
        session.drive()
        session.evaluate_references()
        session.store_hull()
        return session.finish(), session


def contents(settings: Settings) -> list[dict[str, Any]]:
    with ResultStore(settings.database) as store:
        return list(store.dump())


def test_every_chosen_crystal_is_done_once_and_a_repetition_changes_nothing(settings: Settings) -> None:
    request = RefineRequest("", sort="volume_per_atom", top=4, references=2)
    balance, session = refine(settings, request)
    assert balance == Balance(4, 4, 0, 0, 0, 0)
    assert session.n_committed == 4
    before = contents(settings)

    again = choose_crystals(settings, request)
    assert again.estimate.n_crystals == 0
    with opened(again) as repeated:
        assert repeated.finished and repeated.run.id == session.run.id
    assert contents(settings) == before


def test_a_stopped_run_goes_on_with_its_own_crystals_though_its_filter_finds_others_now(settings: Settings) -> None:
    request = RefineRequest("NOT refined", sort="volume_per_atom", top=3, references=0)
    first = choose_crystals(settings, request).chosen.ids
    with pytest.raises(StoppedError):
        refine(settings, request, stop_after=2)
    balance, session = refine(settings, request)
    assert balance == Balance(3, 3, 0, 0, 0, 0)
    assert session.run.resumed and session.choice.chosen.ids == first
    assert session.n_committed == 1, "what was committed before the stop is not computed again"

    rest, other = refine(settings, request)
    assert rest.done == 3 and other.run.id != session.run.id, "a finished run is not gone on with"
    assert not set(other.choice.chosen.ids) & set(first)


def test_energies_of_competitors_are_computed_once_and_make_the_hull(settings: Settings) -> None:
    chosen = choose_crystals(settings, RefineRequest('elements HAS "B"'))
    assert (len(chosen.chosen.ids), chosen.estimate.n_references) == (1, 0)
    screen(settings.database, LargerSource([5], name="larger"))
    # Two crystals of one element now: the energy of the fake is minus the atomic number, so that both are on the hull.
    request = RefineRequest('elements HAS "B"', sort="volume_per_atom", top=1)
    assert choose_crystals(settings, request).estimate.n_references == 1
    _, session = refine(settings, request)
    assert session.n_references == 1
    assert choose_crystals(settings, request).estimate.n_references == 0
    with ResultStore(settings.database) as store:
        (row,) = store.opinions.of_run(session.run.id)
    assert row["e_above_hull_ev_per_atom"] == pytest.approx(0.0) and row["n_hull_references"] == 1
    assert row["e_above_hull_uncertainty_ev_per_atom"] > 0 and row["notes"] == []


def test_without_a_competitor_the_note_says_what_is_missing(settings: Settings) -> None:
    _, session = refine(settings, RefineRequest('elements HAS "Al"'))
    with ResultStore(settings.database) as store:
        (row,) = store.opinions.of_run(session.run.id)
    assert row["e_above_hull_ev_per_atom"] is None
    assert row["notes"] == ["no energy above the hull: the database has no evaluated crystal of Al alone"]


def test_a_wrong_filter_and_a_missing_database_are_refused_and_nothing_is_written(settings: Settings) -> None:
    before = contents(settings)
    with pytest.raises(FilterError):
        choose_crystals(settings, RefineRequest("k_vrh_gpa >"))
    with pytest.raises(FilterError, match="no_such"):
        choose_crystals(settings, RefineRequest("", sort="no_such"))
    with pytest.raises(GmtError, match="There is no database"):
        choose_crystals(load_settings(db=settings.database + "x"), RefineRequest(""))
    assert not Path(settings.database + "x").exists()
    assert choose_crystals(settings, RefineRequest('elements HAS "U"')).chosen.ids == []
    assert contents(settings) == before
