"""Second opinions in the database: stored with their shard, read back, and which row of a crystal a search sees."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from db.query.request import Request
from db.records import DecisionRecord, ModelVersion, ResultBlock, is_combined
from db.refinements import store as second_opinions
from db.refinements.records import ReferenceEnergy
from db.refinements.rows import pack_symmetric, unpack_symmetric
from db.refinements.tables import reference_energies, refinements
from db.runs.reports import result_of
from db.store import ResultStore
from db.transactions import reading, writing
from models.errors import Reason, StoreError
from tests.db import blocks
from tests.db.refinements.opinions import MODES, POTENTIAL, refinement

BOTH = ModelVersion.combined(blocks.MODEL, ModelVersion("potential", "2", "b" * 64), "1")
REFINED = (2, 3)


def refine(store: ResultStore, seeds: tuple[int, ...] = REFINED, shift: float = 1000.0) -> int:
    """A run that refines some crystals: their numbers are the network's and `shift`; crystal 3 is unstable."""
    run = store.open_run(blocks.spec("refined", model=BOTH))
    store.add_block(run.id, blocks.block(0, seeds, "refined"), 10**6)
    store.end_ingest(run.id, "refined")
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    opinions = [
        refinement(each, gamma_stable=each != blocks.crystal_id(3), volume_ratio=1.01, energy_ev_per_atom=-3.0)
        for each in lease.crystal_ids
    ]
    assert store.commit_shard(lease, replace(blocks.results(lease, shift=shift), refinements=opinions))
    return run.id


@pytest.fixture
def refined(store: ResultStore) -> ResultStore:
    """Six screened crystals, of which two are refined."""
    run = blocks.filled(store, 6)
    blocks.work_off(store, run)
    refine(store)
    return store


def seeds(store: ResultStore, text: str, model: str | None = None) -> list[int]:
    found = set(store.query(text, limit=0, model=model)["id"])
    return [seed for seed in range(6) if blocks.crystal_id(seed) in found]


def test_what_is_stored_is_read_back(refined: ResultStore) -> None:
    given = refinement(blocks.crystal_id(2), gamma_stable=True, volume_ratio=1.01, energy_ev_per_atom=-3.0)
    with reading(refined._engine) as connection:
        ((model, stored),) = second_opinions.of_crystal(connection, given.crystal_id)
    assert model == str(BOTH)
    assert (stored.potential, stored.modes, stored.notes) == (POTENTIAL, MODES, [])
    assert stored.columns["volume_ratio"] == pytest.approx(1.01)
    assert stored.columns["lowest_mode_thz"] is None
    for name in ("strain", "given_stress_gpa", "stiffness_gpa", "stiffness_clamped_gpa"):
        assert np.array_equal(getattr(stored, name), getattr(given, name)), name
    assert np.array_equal(stored.relaxed.frac_coords, given.relaxed.frac_coords)
    # float32 keeps seven digits
    assert stored.force_constants == pytest.approx(given.force_constants, rel=1e-6)
    assert stored.internal_strain == pytest.approx(given.internal_strain, rel=1e-6)


def test_a_symmetric_matrix_takes_half_its_bytes_and_comes_back() -> None:
    whole = np.random.default_rng(0).normal(size=(60, 60))
    matrix = (whole + whole.T).astype(np.float32).astype(np.float64)
    packed = pack_symmetric(matrix)
    assert np.array_equal(unpack_symmetric(packed), matrix)
    assert len(packed) < 0.55 * matrix.astype(np.float32).nbytes


def test_a_search_that_does_not_ask_about_second_opinions_gives_what_it_gave_before(store: ResultStore) -> None:
    run = blocks.filled(store, 6)
    blocks.work_off(store, run)
    asked = Request("k_vrh_gpa > 20", fields=("id", "k_vrh_gpa", "model"), sort="-k_vrh_gpa", limit=0)
    before = store.page(asked)
    refine(store)
    assert store.page(asked) == before
    assert store.count() == 6


def test_a_filter_that_asks_about_second_opinions_sees_the_refined_results(refined: ResultStore) -> None:
    assert seeds(refined, "refined AND k_vrh_gpa > 1000") == [2, 3]
    assert seeds(refined, "refined AND gamma_stable AND k_vrh_gpa > 1000") == [2]
    assert seeds(refined, "refined AND k_vrh_gpa < 1000") == []
    assert seeds(refined, "k_vrh_gpa > 1000") == []
    # the network's results of the others
    assert seeds(refined, "NOT refined AND k_vrh_gpa < 1000") == [0, 1, 4, 5]
    assert seeds(refined, "gamma_stable IS UNKNOWN") == [0, 1, 4, 5]
    assert seeds(refined, "refined OR k_vrh_gpa > 0") == [0, 1, 2, 3, 4, 5]
    (page,) = (refined.page(Request("volume_ratio > 1", fields=("id", "model", "k_vrh_gpa"))),)
    assert {row["model"] for row in page.rows} == {str(BOTH)}


def test_a_second_opinion_stands_beside_the_result_of_any_model(refined: ResultStore) -> None:
    assert seeds(refined, "gamma_stable", str(blocks.MODEL)) == [2]
    rows = refined.page(Request("", fields=("id", "model", "gamma_stable", "refined"), limit=0)).rows
    by_id = {row["id"]: row for row in rows}
    assert {row["model"] for row in rows} == {str(blocks.MODEL)}
    assert [by_id[blocks.crystal_id(seed)]["gamma_stable"] for seed in range(4)] == [None, None, True, False]
    assert [by_id[blocks.crystal_id(seed)]["refined"] for seed in range(4)] == [False, False, True, True]
    assert seeds(refined, "", str(BOTH)) == [2, 3]


def test_of_two_second_opinions_a_row_has_that_of_its_own_model(refined: ResultStore) -> None:
    newer = ModelVersion.combined(blocks.MODEL, ModelVersion("potential", "3", "c" * 64), "1")
    run = refined.open_run(blocks.spec("again", model=newer))
    refined.add_block(run.id, blocks.block(0, [3], "again"), 10**6)
    lease = refined.lease_shard(run.id, "w")
    assert lease is not None
    stable = refinement(blocks.crystal_id(3), gamma_stable=True)
    assert refined.commit_shard(lease, replace(blocks.results(lease), refinements=[stable]))
    assert seeds(refined, "gamma_stable") == [2, 3]
    assert seeds(refined, "gamma_stable", str(BOTH)) == [2]
    with reading(refined._engine) as connection:
        assert len(second_opinions.of_crystal(connection, blocks.crystal_id(3))) == 2


def test_it_is_never_what_screens_nor_what_show_begins_with(refined: ResultStore) -> None:
    states = {row["name"]: row["state"] for row in refined.list_models()}
    assert states == {"toy": "current", BOTH.name: "candidate"}
    assert is_combined(BOTH.name) and is_combined(str(BOTH)) and not is_combined("gmtnet@0.5.0+local")
    facts = refined.show(blocks.crystal_id(2))
    assert [one["model"] for one in facts["results"]] == [str(blocks.MODEL), str(BOTH)]
    assert result_of(facts)["model"] == str(blocks.MODEL)
    (opinion,) = facts["second_opinions"]
    assert opinion["columns"]["gamma_stable"] is True
    assert opinion["relaxed"]["lattice"].shape == (3, 3)
    assert refined.show(blocks.crystal_id(0))["second_opinions"] == []


def test_refused_crystals_of_a_refine_run_are_rejected_or_quarantined(refined: ResultStore) -> None:
    run = refined.open_run(blocks.spec("more", model=BOTH))
    refined.add_block(run.id, blocks.block(0, [4, 5], "more"), 10**6)
    refined.end_ingest(run.id, "more")
    lease = refined.lease_shard(run.id, "w")
    assert lease is not None
    refused = [(lease.crystal_ids[0], Reason.TOO_LARGE, "90 atoms"), (lease.crystal_ids[1], Reason.MODEL_FAILED, "x")]
    assert refined.commit_shard(lease, ResultBlock([], {}, {}, {}, [], refused))
    balance = refined.finish(run.id, 1.0)
    assert (balance.closed, balance.rejected, balance.quarantined, balance.done) == (True, 1, 1, 0)


def test_pruning_takes_the_second_opinions_along(refined: ResultStore) -> None:
    (run,) = refined.runs(2)
    assert refined.finish(2, 1.0).closed, run
    assert refined.prune_model(BOTH.name, BOTH.version, DecisionRecord("me", "old")) == 2
    with reading(refined._engine) as connection:
        assert connection.execute(select(refinements.c.crystal_id)).all() == []
    assert seeds(refined, "refined") == []


def test_an_opinion_that_does_not_fit_its_cell_is_refused_with_its_shard(store: ResultStore) -> None:
    run = store.open_run(blocks.spec("refined", model=BOTH))
    store.add_block(run.id, blocks.block(0, [1], "refined"), 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    for wrong in (
        replace(refinement(lease.crystal_ids[0]), internal_strain=np.zeros((3, 6))),
        refinement(lease.crystal_ids[0], colour="red"),
    ):
        with pytest.raises(StoreError):
            store.commit_shard(lease, replace(blocks.results(lease), refinements=[wrong]))
    assert store.progress(run.id) == (0, 1)


def test_reference_energies_are_kept_once_and_found_by_chemical_system(refined: ResultStore) -> None:
    system = refined.page(Request(f'id = "{blocks.crystal_id(4)}"', fields=("elements",))).rows[0]["elements"]
    text = f",{','.join(sorted(system))},"
    with writing(refined._engine) as connection:
        first = ReferenceEnergy(blocks.crystal_id(4), -1.0)
        second_opinions.add_reference_energies(connection, POTENTIAL, [first])
        second_opinions.add_reference_energies(connection, POTENTIAL, [replace(first, energy_ev_per_atom=-2.0)])
        failed = ReferenceEnergy(blocks.crystal_id(5), None, "it collapsed")
        second_opinions.add_reference_energies(connection, POTENTIAL, [failed])
    with reading(refined._engine) as connection:
        found = second_opinions.competitors(connection, POTENTIAL, second_opinions.subsystems(text))
        (one,) = [each for each in found[text] if each.crystal_id == blocks.crystal_id(4)]
        assert (one.energy_ev_per_atom, one.tried) == (-1.0, True)
        other = second_opinions.competitors(connection, "other@1", [text])[text]
        assert all(each.energy_ev_per_atom is None and not each.tried for each in other)
        # those of the refined crystals are there without asking
        stored = connection.execute(select(reference_energies.c.crystal_id)).scalars().all()
    assert set(stored) == {blocks.crystal_id(seed) for seed in (2, 3, 4, 5)}


def test_the_parts_of_a_chemical_system() -> None:
    assert second_opinions.subsystems(",Al,N,O,") == [
        ",Al,", ",N,", ",O,", ",Al,N,", ",Al,O,", ",N,O,", ",Al,N,O,",
    ]  # fmt: skip


def test_hull_distances_are_added_later(refined: ResultStore) -> None:
    with reading(refined._engine) as connection:
        rows = second_opinions.of_run(connection, 2)
    assert [row["e_above_hull_ev_per_atom"] for row in rows] == [None, None]
    row = {"crystal_id": blocks.crystal_id(2), "e_above_hull_ev_per_atom": 0.03, "n_hull_references": 7}
    with writing(refined._engine) as connection:
        more = {"e_above_hull_uncertainty_ev_per_atom": 0.05, "notes": ["only elements"]}
        second_opinions.set_hull(connection, 2, [row | more])
    assert seeds(refined, "e_above_hull_ev_per_atom < 0.05 AND n_hull_references = 7") == [2]
    assert refined.show(blocks.crystal_id(2))["second_opinions"][0]["notes"] == ["only elements"]
