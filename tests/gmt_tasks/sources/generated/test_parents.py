"""Parents of made crystals: named, stored or published, and those of a run that goes on whatever was stored since."""

import json
from pathlib import Path

import numpy as np
import pytest

from db.records import ModelVersion, Run
from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.runs.lifecycle import dry_balance, ingest_source, run_spec
from gmt_tasks.sources.generated.from_parents import SourceFromParents
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import Source
from models.errors import SourceError

MODEL = ModelVersion("toy", "1", "a" * 64)
PLAN = IngestPlan(max_atoms=200)
STRAINED = "strained:of=TiZr2,n=5"


class KilledError(Exception):
    """In the middle of the reading."""


def alloy(folder: Path, name: str, c_angstrom: float) -> str:
    """A file with a made-up tetragonal TiZr2 and its path."""
    path = folder / f"{name}.jsonl"
    lattice = np.diag([3.2, 3.2, c_angstrom]).ravel().tolist()
    coords = [[0, 0, 0], [0.5, 0.5, 0.33], [0.5, 0.5, 0.67]]
    path.write_text(json.dumps({"id": name, "lattice": lattice, "species": ["Ti", "Zr", "Zr"], "frac_coords": coords}))
    return str(path)


def opened(text: str, database: Path | None) -> SourceFromParents:
    source = open_source(text, None, database)
    assert isinstance(source, SourceFromParents)
    return source


def begin(store: ResultStore, *sources: Source) -> Run:
    store.register_model(MODEL, {})
    return store.open_run(run_spec(sources, MODEL, 0.01, PLAN))


def screen(database: Path, *texts: str, until: int | None = None) -> int:
    """Reads sources into a run as commands do; killed after so many blocks; returns the run's number."""
    sources = [open_source(text, None, database) for text in texts]
    n_blocks = 0

    def on_block(_: int) -> None:
        nonlocal n_blocks
        n_blocks += 1
        if n_blocks == until:
            raise KilledError

    with ResultStore(database) as store:
        run = begin(store, *sources)
        for source in sources:
            ingest_source(store, run.id, source, PLAN, on_block=on_block)
        return run.id


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One TiZr2, in a run of its own."""
    screen(tmp_path / "a.db", alloy(tmp_path, "first", 9.1))
    return tmp_path / "a.db"


def test_a_stored_crystal_is_a_parent_by_formula_source_id_and_content_id(database: Path) -> None:
    (parent,) = opened(STRAINED, database).parents
    assert parent.id.startswith("gx-")
    assert sorted(parent.numbers.tolist()) == [22, 40, 40]
    for of in ("first", parent.id, parent.id[:9], "Zr2Ti", "Zr4Ti2"):
        (other,) = opened(f"strained:of={of}", database).parents
        assert other.id == parent.id


def test_without_a_database_only_published_crystals_are_parents(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No crystal is meant by 'TiZr2'"):
        open_source(STRAINED, None, tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(SourceError, match="No crystal is meant"):
        open_source(STRAINED, None, f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(SourceError, match="No crystal is meant"):
        open_source(STRAINED)


def test_an_id_that_is_not_stored_is_refused(database: Path) -> None:
    with pytest.raises(SourceError, match="No crystal has the id or source id 'mp-149'"):
        open_source("strained:of=mp-149", None, database)


def test_a_killed_run_goes_on_with_the_parents_it_began_with(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has stored strained crystals of that formula meanwhile, and another run has stored another crystal of it."""
    monkeypatch.setattr("gmt_tasks.sources.generated.from_parents.BLOCK", 2)
    with pytest.raises(KilledError):
        screen(database, STRAINED, until=1)
    screen(database, alloy(tmp_path, "second", 10.4))
    run = screen(database, STRAINED)
    with ResultStore(database) as store:
        resumed = [row for row in store.dump(run) if row["table"] == "inputs"]
        lineage = [row for row in store.dump(run) if row["table"] == "lineage"]
        assert store.ingest_cursor(run, STRAINED) == (5, True)
        assert len(store.run_numbers()) == 3
    alone = tmp_path / "b.db"
    screen(alone, alloy(tmp_path, "first", 9.1))
    whole = screen(alone, STRAINED)
    with ResultStore(alone) as store:
        undisturbed = [row for row in store.dump(whole) if row["table"] == "inputs"]
        assert [row["crystal_id"] for row in undisturbed] == [row["crystal_id"] for row in resumed]
        assert [row["source_id"] for row in undisturbed] == [row["source_id"] for row in resumed]
    assert len(lineage) == 5


def test_only_an_unfinished_run_holds_its_parents(database: Path, tmp_path: Path) -> None:
    """The negative control: when it is finished, what was stored since is a parent, and what it made is none."""
    run = screen(database, STRAINED)
    before = opened(STRAINED, database)
    screen(database, alloy(tmp_path, "second", 10.4))
    assert opened(STRAINED, database).fingerprint() == before.fingerprint()
    with ResultStore(database) as store:
        spec = store.get_run(run).spec
        assert spec.fingerprints == (before.fingerprint(),)
        from db.tables import runs
        from db.transactions import writing

        with writing(store._engine) as connection:
            connection.execute(runs.update().where(runs.c.id == run).values(state="finished"))
    after = opened(STRAINED, database)
    assert len(after.parents) == 2
    assert after.fingerprint() != before.fingerprint()


def test_what_was_made_is_a_parent_by_its_id_only(database: Path) -> None:
    screen(database, "strained:of=first,n=3")
    assert len(opened(STRAINED, database).parents) == 1
    (made,) = opened("strained:of=strained:" + opened(STRAINED, database).parents[0].id + ":2,n=1", database).parents
    assert made.id != opened(STRAINED, database).parents[0].id


def test_storing_the_reference_crystals_changes_no_fingerprint(tmp_path: Path) -> None:
    before = open_source("substitutions:near=BaTiO3,n=5", None, tmp_path / "a.db").fingerprint()
    screen(tmp_path / "a.db", "reference")
    source = opened("substitutions:near=BaTiO3,n=5", tmp_path / "a.db")
    assert source.fingerprint() == before
    assert not any(parent.is_stored for parent in source.parents)


def test_a_dry_run_counts_what_the_run_would_read_and_stores_nothing(database: Path) -> None:
    with ResultStore(database) as store:
        before = list(store.dump())
    balance = dry_balance([open_source(STRAINED, None, database)], PLAN)
    assert (balance.n_in, balance.pending + balance.duplicate) == (5, 5)
    with ResultStore(database) as store:
        assert list(store.dump()) == before


def test_lineage_of_prototypes_names_the_structure_type() -> None:
    (block,) = open_source("prototypes:n=5,seed=2,elements=Ba+Sr+Ti+Zr+O").blocks()
    for lineage, text in zip(block.lineage, block.metadata, strict=True):
        assert lineage is not None
        assert (lineage.operation, lineage.seed) == ("decoration", 2)
        assert lineage.parent == json.loads(text or "")["aflow"]
        assert set(json.loads(lineage.detail).values()) == set(json.loads(text or "")["oxidation_states"])
