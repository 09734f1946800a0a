"""What searches keep between each other: never out of date, read once, within its bytes."""

from collections.abc import Iterator
from typing import Any

import pytest

from db import segments
from db.query.by_column import rows
from db.query.by_column.cache import CACHE, Cache
from db.query.request import Request
from db.records import DecisionRecord, ModelVersion
from db.store import ResultStore
from db.transactions import reading
from tests.db.blocks import MODEL, block, results, spec, work_off

NEWER = ModelVersion(MODEL.name, "2", "b" * 64)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Begins and ends with an empty cache: it belongs to the process."""
    CACHE.clear()
    yield
    CACHE.clear()


@pytest.fixture
def read_arrays(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Column and segment of every array that is read of the database."""
    seen: list[tuple[str, int]] = []
    read = segments.read

    def noted(*args: Any) -> Iterator[tuple[str, int, bytes]]:
        for array in read(*args):
            seen.append(array[:2])
            yield array

    monkeypatch.setattr(rows.segments, "read", noted)
    return seen


def screened(
    store: ResultStore, source: str, numbers: range, model: ModelVersion = MODEL, shard_atoms: int = 40
) -> None:
    run = store.open_run(spec(source, model=model))
    store.add_block(run.id, block(0, numbers, source), shard_atoms)
    work_off(store, run.id)


def answers(store: ResultStore) -> list[Any]:
    """What a few searches answer."""
    rows = store.page(Request('k_vrh_gpa > 5 OR point_group = "mmm"', ("id", "model", "k_vrh_gpa"), "-k_vrh_gpa", 0))
    facets = [store.facets(name) for name in ("point_group", "elements", "metal", "spacegroup", "model")]
    return [rows, store.count(), *facets, store.histogram("k_vrh_gpa", bins=3)]


def test_answers_are_those_of_an_empty_cache_whatever_was_stored_meanwhile(store: ResultStore, db: str) -> None:
    def check() -> None:
        warm = answers(store)
        CACHE.clear()
        assert answers(store) == warm

    screened(store, "a", range(20))
    check()
    screened(store, "b", range(10, 30))
    check()
    # the same crystals by another version, some of which then are replaced by a run of the same moment
    screened(store, "c", range(6), NEWER)
    check()
    runs = [store.open_run(spec(source)) for source in ("d", "e")]
    for run, source in zip(runs, ("d", "e"), strict=True):
        store.add_block(run.id, block(0, range(50, 58), source), 10**6)
    held = [store.lease_shard(run.id, "w") for run in runs]
    for lease, shift in zip(held, (0.0, 1000.0), strict=True):
        assert lease is not None
        store.commit_shard(lease, results(lease, shift=shift))
        check()
    assert store.count("k_vrh_gpa > 900") == 8
    before = answers(store)
    store.promote_model(MODEL.name, "2", DecisionRecord("somebody", "a test"))
    assert answers(store) != before, "the version to show of a crystal is another one"
    check()


def test_a_second_question_reads_no_array_and_a_new_segment_is_read_alone(
    store: ResultStore, read_arrays: list[tuple[str, int]]
) -> None:
    screened(store, "a", range(20))
    answers(store)
    first = set(read_arrays)
    assert {name for name, _ in first} >= {segments.ID, "k_vrh_gpa", "point_group"}
    assert len(read_arrays) == len(first), "nothing is read twice"
    read_arrays.clear()
    answers(store)
    assert read_arrays == []
    screened(store, "b", range(30, 33))
    read_arrays.clear()
    answers(store)
    assert read_arrays and not first & set(read_arrays)


def test_no_number_of_a_segment_comes_again_with_other_values(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEAST_FRESH", "FRESH_ROWS", "MOST_SMALL"):
        monkeypatch.setattr(segments, name, 2)
    seen: dict[int, dict[str, bytes]] = {}
    for step in range(3):
        screened(store, str(step), range(6 * step, 6 * step + 3))
        held: dict[int, dict[str, bytes]] = {}
        with reading(store._engine) as connection:
            for name, segment, data in segments.read(connection, 1, [segments.ID, "k_vrh_gpa"]):
                held.setdefault(segment, {})[name] = data
        assert len(held) <= max(step, 1), "they were merged"
        assert all(seen.get(number, arrays) == arrays for number, arrays in held.items())
        seen |= held
    assert len(seen) == 3


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(100)
    for key in "ab":
        cache.put(key, key, 40)
    assert cache.get("a") == "a"
    cache.put("c", "c", 40)
    assert [cache.get(key) for key in "abc"] == ["a", None, "c"]
    cache.put("a", "longer", 60)
    assert cache.get("a") == "longer"
    assert cache.n_bytes == 100
    cache.put("huge", "huge", 101)
    assert cache.get("huge") is None
    assert cache.n_bytes == 100, "what is too large pushes nothing out"
