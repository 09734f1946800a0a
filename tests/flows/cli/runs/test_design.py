"""`gmtscreen design` end to end: the real flow, Ray, database and generator; only the physics is fake."""

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.designs.store import DesignStore
from db.store import ResultStore
from flows.cli.app import app
from gmt_tasks.design import session as design_module
from gmt_tasks.design.request import DesignRequest
from gmt_tasks.design.session import DesignSession
from gmt_tasks.process import StoppedError
from gmt_tasks.runs import session as run_module
from gmt_tasks.runs.session import ScreenSession
from gmt_tasks.settings import load_settings
from models.wyckoff import generator as generator_module
from models.wyckoff.generator import SHIPPED, Generator, load_generator
from tests.flows.conftest import describe_fake, fake_worker

# The first test waits for Ray and for Prefect to start, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)

BATCH, PER_ROUND = 8, 16
GENERATE, SORT = "elements=Mg+O,known=keep,max_atoms=8", "-k_vrh_gpa"
STOPPED = "gmtscreen: stopped; run the same command again to finish the rest"


@pytest.fixture(scope="module", autouse=True)
def small_design(prefect_server: None) -> Iterator[None]:
    """A fake model here and in the workers, and small batches of the generator, so that a round has a middle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "describe_model", describe_fake)
        patch.setattr(run_module, "load_worker", fake_worker)
        patch.setattr(design_module, "describe_model", describe_fake)
        patch.setattr(generator_module, "BATCH", BATCH)
        patch.setattr(Generator.write_batch, "__defaults__", (BATCH,))
        yield


@dataclass(frozen=True)
class Place:
    """Where a design works: its database and the folder of its generators."""

    folder: Path

    @property
    def db(self) -> Path:
        return self.folder / "a.db"

    def call(self, *more: str) -> Any:
        """Runs the command."""
        fixed = ["--db", str(self.db), "--out", str(self.folder / "generators"), "--workers", "2", "--above-hull", "0"]
        asked = ["--sort", SORT, "--rounds", "2", "--per-round", str(PER_ROUND), "--generate", GENERATE]
        return CliRunner().invoke(app, ["design", "", *fixed, *asked, "--propose", "4", *more])

    def design(self, *more: str) -> dict[str, Any]:
        """What the command prints as JSON."""
        result = self.call("--json", *more)
        assert result.exit_code == 0, result.stderr
        facts: dict[str, Any] = json.loads(result.stdout)
        return facts

    def session(self, **other: Any) -> DesignSession:
        """The design opened without the command line."""
        asked: dict[str, Any] = {
            "sort": SORT,
            "rounds": 2,
            "per_round": PER_ROUND,
            "generate": GENERATE,
            "propose": 4,
        } | other
        request = DesignRequest(above_hull=0.0, **asked)
        return DesignSession.open(load_settings(db=str(self.db)), request, self.folder / "generators")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, Any]]:
    """A design that was never stopped, and what it printed."""
    place = Place(tmp_path_factory.mktemp("design"))
    return place, place.design()


@pytest.fixture
def copied(finished: tuple[Place, dict[str, Any]], tmp_path: Path) -> Place:
    """The database of that design without its folder of generators."""
    shutil.copy(finished[0].db, tmp_path / "a.db")
    return Place(tmp_path)


def without_time(facts: dict[str, Any]) -> dict[str, Any]:
    """What a design found, without how long it took and where its folder is."""
    rounds = [{name: value for name, value in one.items() if name != "seconds"} for one in facts["rounds"]]
    return {"design": facts["design"], "rounds": rounds, "proposals": facts["proposals"]}


def refuse(*_: object, **__: object) -> Any:
    """Takes the place of what must not be called again."""
    raise AssertionError("something was computed again")


def stop(*_: object, **__: object) -> Any:
    """Takes the place of a step at whose beginning a stop comes."""
    raise StoppedError


def test_a_design_closes_its_balances_and_a_second_call_computes_nothing_and_prints_the_same(
    finished: tuple[Place, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, facts = finished
    with ResultStore(place.db) as store:
        assert store.designs.describe(facts["design"])["rounds"] == facts["rounds"]
        balances = [store.balance(one["run"]) for one in facts["rounds"]]
        before = list(store.dump())
    for one, balance in zip(facts["rounds"], balances, strict=True):
        counts = one["counts"]
        assert counts["n_in"] == balance.n_in == PER_ROUND and balance.pending == 0
        assert sum(counts[name] for name in ("done", "duplicate", "rejected", "quarantined")) == PER_ROUND
        assert 0 < counts["wanted"] <= counts["new"] <= counts["done"] + counts["duplicate"]
        assert len(one["quantiles"]) == 5
    assert [one["number"] for one in facts["rounds"]] == [1, 2]
    assert facts["rounds"][0]["generator"] == load_generator(SHIPPED).card.sha256 != facts["rounds"][1]["generator"]
    assert 0 < facts["rounds"][0]["divergence"] <= 6
    assert [row["rank"] for row in facts["proposals"]] == [1, 2, 3, 4]

    for name in ("open_round", "close_round", "propose"):
        monkeypatch.setattr(DesignSession, name, refuse)
    assert place.design() == facts
    texts = [place.call().stdout for _ in range(2)]
    assert texts[0] == texts[1] and facts["proposals"][0]["formula"] in texts[0]
    with ResultStore(place.db) as store:
        assert list(store.dump()) == before


def test_a_lost_folder_of_generators_is_made_again_with_the_same_weights(
    finished: tuple[Place, dict[str, Any]], copied: Place
) -> None:
    _, facts = finished
    with copied.session() as session:
        session.source(2)
        card = session.folder / "round-1" / "wyckoff.json"
        made = json.loads(card.read_text())["sha256"]
        assert made == facts["rounds"][1]["generator"]
        # what is there is not made again, and what was cut off is
        before = card.stat().st_mtime_ns
        session.source(2)
        assert card.stat().st_mtime_ns == before
        card.write_text('{"name": "wyck')
        session.source(2)
        assert load_generator(card).card.sha256 == made


def test_the_generators_of_another_design_in_the_same_folder_are_not_taken(
    finished: tuple[Place, dict[str, Any]], copied: Place
) -> None:
    place, facts = finished
    shutil.copytree(place.folder / "generators", copied.folder / "generators")
    with copied.session(filter="k_vrh_gpa > 0", bound=0.5) as other:
        assert other.design.id != facts["design"]
        with ResultStore(copied.db) as store:
            store.designs.add_round(other.design.id, store.designs.rounds(facts["design"])[0])
        taken = Path(other.source(2).partition("model=")[2])
        assert load_generator(taken).card.sha256 != facts["rounds"][1]["generator"]
        assert json.loads(taken.read_text())["training"]["divergence"] <= 0.5


def test_more_rounds_and_proposals_are_the_same_design_and_another_seed_is_another(
    finished: tuple[Place, dict[str, Any]], copied: Place
) -> None:
    number = finished[1]["design"]
    for other, is_same in (({"rounds": 5, "propose": 9}, True), ({"seed": 1}, False), ({"bound": 1.0}, False)):
        with copied.session(**other) as session:
            assert (session.design.id == number) == session.design.resumed == is_same


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--sort", "-formula"), "'formula' is no number that gmtscreen derives"),
        (("--sort", "-no_such_gpa"), "'no_such_gpa' is no number"),
        (("--generate", "n=5"), "A design sets n of its source itself"),
        (("--generate", "elements=Xx"), "'Xx' is no element symbol"),
        (("--generate", "n"), "Leave it out of --generate"),
        (("--out", "a,b"), "has a comma in its name"),
        (("--rounds", "0"), "Invalid value for '--rounds'"),
    ],
)
def test_a_slip_is_refused_in_one_line_before_anything_is_stored(
    tmp_path: Path, asked: tuple[str, ...], said: str
) -> None:
    place = Place(tmp_path)
    result = place.call(*asked)
    assert result.exit_code == 2
    assert said in result.stderr and "Traceback" not in result.stderr
    if "Usage" not in result.stderr:
        assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_filter_that_cannot_be_read_is_shown_with_its_fault_before_anything_is_stored(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["design", "k_vrh_gpa > AND", "--db", str(tmp_path / "a.db")])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("gmtscreen: ")
    assert "k_vrh_gpa > AND" in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def stop_in_the_second_round(patch: pytest.MonkeyPatch) -> None:
    """A signal comes when the first block of round 2 was read."""
    ingest = ScreenSession.ingest

    def stopped(self: ScreenSession, index: int) -> int:
        if "seed=2" in self.sources[index].name:
            self.on_ingest = lambda n: self.stop.ask()
        return ingest(self, index)

    patch.setattr(ScreenSession, "ingest", stopped)


def stop_at_the_end_of_the_screening(patch: pytest.MonkeyPatch) -> None:
    """A signal comes when the last thing of round 2's screening is done."""
    finish = ScreenSession.finish

    def stopped(self: ScreenSession) -> Any:
        balance = finish(self)
        if "seed=2" in self.sources[0].name:
            self.stop.ask()
        return balance

    patch.setattr(ScreenSession, "finish", stopped)


def stop_before_judging(patch: pytest.MonkeyPatch) -> None:
    """A stop comes between screening and judging of round 1."""
    patch.setattr(DesignSession, "close_round", stop)


def stop_after_the_shift(patch: pytest.MonkeyPatch) -> None:
    """A stop comes when the generator of round 2 is made and round 1 is not stored."""
    patch.setattr(DesignStore, "add_round", stop)


def stop_before_proposing(patch: pytest.MonkeyPatch) -> None:
    """A stop comes when all rounds are finished."""
    patch.setattr(DesignSession, "propose", stop)


STOPS = {
    stop_in_the_second_round: 1,
    stop_at_the_end_of_the_screening: 1,
    stop_before_judging: 0,
    stop_after_the_shift: 0,
    stop_before_proposing: 2,
}
"""Each with the rounds that are stored then."""


@pytest.mark.slow
@pytest.mark.parametrize("stop_where", STOPS, ids=lambda function: function.__name__)
def test_a_design_that_was_stopped_ends_like_one_that_was_not(
    finished: tuple[Place, dict[str, Any]], tmp_path: Path, stop_where: Any
) -> None:
    place = Place(tmp_path)
    patched: AbstractContextManager[pytest.MonkeyPatch] = pytest.MonkeyPatch.context()
    with patched as patch:
        stop_where(patch)
        result = place.call()
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, STOPPED)
    with ResultStore(place.db) as store:
        assert len(store.designs.rounds(1)) == STOPS[stop_where]
        assert store.designs.proposals(1) == []
    assert without_time(place.design()) == without_time(finished[1])


@pytest.mark.slow
def test_more_rounds_go_on_with_a_design_whose_folder_was_lost(
    finished: tuple[Place, dict[str, Any]], copied: Place
) -> None:
    before, after = without_time(finished[1]), without_time(copied.design("--rounds", "3"))
    assert after["design"] == before["design"]
    assert after["rounds"][:2] == before["rounds"]
    assert len({one["generator"] for one in after["rounds"]}) == 3
    assert len(after["proposals"]) == 4
    # fewer rounds than there are: nothing is taken back
    assert without_time(copied.design()) == after


@pytest.mark.slow
def test_a_bound_of_zero_leaves_the_generator_as_it_is(tmp_path: Path) -> None:
    place = Place(tmp_path)
    rounds = place.design("--bound", "0")["rounds"]
    assert {one["generator"] for one in rounds} == {load_generator(SHIPPED).card.sha256}
    assert [one["divergence"] for one in rounds] == [0.0, 0.0]
    assert rounds[1]["counts"]["new"] > 0
    assert not list(tmp_path.glob("generators/round-*"))
