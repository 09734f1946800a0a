"""Deduplication: equivalent representations collapse into one crystal with all source ids and their rotations."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from db.records import IngestedBlock
from db.store import ResultStore
from flows.reports.crystal_view import identity_lines
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.ingest.deduplicate import Deduplicator, backfill, content_ids, nothing_known
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.runs.lifecycle import dry_balance, ingest_source, run_spec
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import CrystalBatch
from models.fingerprint.content_id import identify
from models.fingerprint.prefilter import MARGIN_ANGSTROM, find_prefilter, possible_matches
from models.fingerprint.structure_match import (
    TOLERANCE_ANGSTROM,
    StructureMatch,
    environment_fingerprints,
    match_structures,
)
from models.reference.crystals import (
    crystals_of_all_classes,
    in_cell,
    random_orthogonal,
    textbook_crystals,
    transformed,
)
from tests.gmt_tasks.workers.fake_screener import VERSION
from tests.models.fingerprint import trials

TEXTBOOK = textbook_crystals()
QUARTZ = TEXTBOOK.crystals.select([TEXTBOOK.names.index("quartz")])
NITRIDE = TEXTBOOK.crystals.select([TEXTBOOK.names.index("wurtzite AlN")])
ROTATION = random_orthogonal(np.random.default_rng(1))
MIRROR = np.diag([1.0, 1.0, -1.0])
SUPERCELL = np.diag([2, 1, 1])


class NamedCrystals:
    """A source of named crystals, in blocks of a given size."""

    def __init__(self, crystals: dict[str, CrystalBatch], name: str = "made", size: int = 100) -> None:
        self.name, self._crystals, self._size = name, crystals, size

    def fingerprint(self) -> str:
        return "made"

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        names = list(self._crystals)
        for first in range(start, len(names), self._size):
            chosen = names[first : first + self._size]
            batch = CrystalBatch.join([self._crystals[name] for name in chosen])
            stop = first + len(chosen)
            yield SourceBlock(first, stop, np.arange(first, stop), chosen, batch, [None] * len(chosen), [])


def straddling(batch: CrystalBatch) -> CrystalBatch:
    """The crystal with noise of 1e-4 angstrom, another id of its own, and thus the case that look-ups are for."""
    own = content_ids(batch)
    return next(n for n in (trials.noisy(batch, 1e-4, seed) for seed in range(50)) if content_ids(n) != own)


def stored_ids(store: ResultStore, crystals: dict[str, CrystalBatch], name: str = "made", size: int = 100) -> list[str]:
    """Ingests the crystals and gives the content id under which each is stored."""
    source, plan = NamedCrystals(crystals, name, size), IngestPlan(1000, 1000)
    run = store.open_run(run_spec([source], VERSION, 0.01, plan))
    ingest_source(store, run.id, source, plan)
    return [str(store.show(each)["id"]) for each in crystals]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "a.db") as opened:
        opened.register_model(VERSION, {})
        yield opened


@pytest.mark.parametrize("size", [1, 100])
def test_equivalent_representations_collapse_and_keep_all_their_source_ids(store: ResultStore, size: int) -> None:
    crystals = {
        "stored": NITRIDE,
        "turned": transformed(NITRIDE, ROTATION),
        "inverted": transformed(NITRIDE, -np.eye(3)),
        "supercell": in_cell(NITRIDE, SUPERCELL),
        "noise": straddling(NITRIDE),
        "other": QUARTZ,
    }
    ids = stored_ids(store, crystals, size=size)
    assert len(set(ids[:5])) == 1 and ids[5] != ids[0]
    assert store.show("stored")["source_ids"] == sorted(set(crystals) - {"other"})
    assert store.show("other")["source_ids"] == ["other"]
    balance = store.balance(1)
    assert (balance.n_in, balance.duplicate, balance.pending) == (6, 4, 2)


def test_a_representation_in_another_orientation_says_so_and_how(store: ResultStore) -> None:
    crystals = {"stored": NITRIDE, "turned": transformed(NITRIDE, ROTATION), "same frame": in_cell(NITRIDE, SUPERCELL)}
    stored_ids(store, crystals)
    facts = store.show("turned")
    rotations = {arrival["source_id"]: arrival["turn"] for arrival in facts["inputs"]}
    assert rotations["stored"] is None and rotations["same frame"] is None
    # up to an operation of 6mm, which keeps the polar axis
    assert np.allclose(rotations["turned"] @ [0, 0, 1], ROTATION @ [0, 0, 1], atol=1e-9)
    text = "\n".join(identity_lines(facts))
    assert "turned gives it" in text and "same frame gives it" not in text
    # the printed rows are a cell of the crystal in the frame of that input: its own rows are whole multiples of them
    printed = text.partition("in the frame of that input (angstrom)")[2].split("\n")[1:4]
    rows = np.array(
        [
            [float(word.replace(".", "0")) if word == "." else float(word) for word in line.split()[1:]]
            for line in printed
        ]
    )
    multiples = crystals["turned"].lattice[0] @ np.linalg.inv(rows)
    assert np.allclose(multiples, np.round(multiples), atol=1e-3)
    assert not np.allclose(rows, NITRIDE.lattice[0], atol=1e-3)  # control: they are turned


def test_an_inverted_polar_crystal_is_the_same_crystal_with_its_axis_turned(store: ResultStore) -> None:
    stored_ids(store, {"stored": NITRIDE, "inverted": transformed(NITRIDE, -np.eye(3))})
    rotation = next(a["turn"] for a in store.show("inverted")["inputs"] if a["source_id"] == "inverted")
    assert np.allclose(rotation @ [0, 0, 1], [0, 0, -1], atol=1e-9)


def test_enantiomorphs_are_stored_apart_and_linked(store: ResultStore) -> None:
    left, right = stored_ids(store, {"left": QUARTZ, "right": transformed(QUARTZ, MIRROR)})
    assert left != right
    facts = store.show("left")
    assert (facts["twin_id"], facts["twin_stored"]) == (right, True)
    assert store.show("right")["twin_id"] == left
    assert any(right in line for line in identity_lines(facts))


@pytest.mark.parametrize("in_one_run", [True, False])
def test_a_mirror_image_with_noise_takes_the_id_that_was_reserved_for_it(store: ResultStore, in_one_run: bool) -> None:
    mirrored = straddling(transformed(QUARTZ, MIRROR))
    if in_one_run:
        stored_ids(store, {"left": QUARTZ, "right": mirrored})
    else:
        stored_ids(store, {"left": QUARTZ})
        stored_ids(store, {"right": mirrored}, name="later")
    left, right = store.show("left"), store.show("right")
    assert right["id"] == left["twin_id"] != content_ids(mirrored)[0]
    assert right["twin_id"] == left["id"]


def test_a_later_run_recognises_what_an_earlier_one_stored(store: ResultStore) -> None:
    batch = crystals_of_all_classes(seed=2).crystals.select(range(0, 32, 4))
    names = [f"crystal {k}" for k in range(batch.n_crystals)]
    first = stored_ids(store, {name: batch.select([k]) for k, name in enumerate(names)})
    again = trials.noisy(batch, 1e-3, seed=1)
    assert content_ids(again) != first  # negative control: the hashes alone do not recognise them
    equivalent = {f"again {k}": transformed(again.select([k]), ROTATION) for k in range(again.n_crystals)}
    assert stored_ids(store, equivalent, name="later") == first


def test_what_differs_by_more_than_the_tolerance_is_not_recognised(store: ResultStore) -> None:
    moved = trials.first_atom_moved(QUARTZ, 5 * TOLERANCE_ANGSTROM, seed=3)
    strained = trials.strained(QUARTZ, 0.01 * np.eye(3))
    assert len(set(stored_ids(store, {"quartz": QUARTZ, "moved": moved, "strained": strained}))) == 3


def test_crystals_of_an_empty_database_keep_their_own_ids() -> None:
    source = NamedCrystals({"quartz": QUARTZ})
    block = ingest_block("made", next(source.blocks()))
    assert Deduplicator(nothing_known).deduplicated(block).crystal_ids == content_ids(QUARTZ)
    assert block.buckets[0][0].startswith("O2Si:")


def encode_block(batch: CrystalBatch) -> IngestedBlock:
    """The crystals as a block of a source."""
    names = {f"crystal {k}": batch.select([k]) for k in range(batch.n_crystals)}
    return ingest_block("made", next(NamedCrystals(names, size=10_000).blocks()))


def compared_with_everything(block: IngestedBlock) -> list[str]:
    """What `Deduplicator` must find, by comparing each crystal with all earlier ones of other ids, atom by atom."""
    ids, enantiomorph_ids, first = list(block.crystal_ids), list(block.enantiomorph_ids), {}
    seen = environment_fingerprints(block.crystals)
    for row in range(len(ids)):
        if ids[row] not in first:
            relations = [(ids[k], enantiomorph_ids[k], match_structures(seen[k], seen[row])) for k in first.values()]
            same = [
                each
                for each in relations
                if each[2] is StructureMatch.SAME or (each[2] is StructureMatch.ENANTIOMORPH and each[1] is None)
            ]
            mirrored = [each for each in relations if each[2] is StructureMatch.ENANTIOMORPH]
            if same:
                ids[row], enantiomorph_ids[row] = same[0][:2]
            elif mirrored:
                enantiomorph_ids[row], ids[row] = mirrored[0][:2]
        first.setdefault(ids[row], row)
    return ids


def test_a_large_bucket_is_sorted_as_if_each_crystal_were_compared_with_every_other() -> None:
    """A hundred crystals of one formula that all lie in a bucket or two: some alike, some not, some mirrored."""
    rattled = [trials.noisy(QUARTZ, 0.03, seed) for seed in range(20)]
    again = [transformed(trials.noisy(each, 1e-3, seed), ROTATION) for seed, each in enumerate(rattled)]
    mirrored = [transformed(trials.noisy(each, 5e-4, seed), MIRROR) for seed, each in enumerate(rattled[:10])]
    close = [trials.noisy(QUARTZ, 0.004, seed) for seed in range(30)]
    block = encode_block(CrystalBatch.join([*rattled, *again, *mirrored, *close]))
    assert len({buckets[0] for buckets in block.buckets}) <= 4
    found = Deduplicator(nothing_known).deduplicated(block).crystal_ids
    assert found == compared_with_everything(block)
    assert found[:20] == found[20:40] == block.crystal_ids[:20]
    assert len(set(found[:20])) == 20
    assert not set(found[40:50]) & set(found[:40])


def test_the_prefilter_never_rules_out_a_match_and_rules_out_nearly_every_other_crystal() -> None:
    batch = crystals_of_all_classes(seed=5).crystals
    rows = find_prefilter(batch)
    for sigma in (1e-4, 2e-3):
        again = trials.noisy(batch, sigma, seed=1)
        related = [
            match_structures(*pair) is not StructureMatch.OTHER
            for pair in zip(environment_fingerprints(batch), environment_fingerprints(again), strict=True)
        ]
        assert sum(related) > 10
        gaps = np.abs(find_prefilter(again) - rows).max(axis=1)
        assert (gaps[related] <= MARGIN_ANGSTROM).all()
    perturbed = find_prefilter(CrystalBatch.join([trials.noisy(QUARTZ, 0.05, seed) for seed in range(50)]))
    assert [possible_matches(one, perturbed).tolist() for one in perturbed] == [[k] for k in range(50)]


def test_the_dry_run_counts_what_the_run_recognises(store: ResultStore) -> None:
    crystals = {
        "stored": NITRIDE,
        "turned": transformed(NITRIDE, ROTATION),
        "noise": straddling(NITRIDE),
        "other": QUARTZ,
    }
    for size in (1, 100):
        source, plan = NamedCrystals(crystals, f"in blocks of {size}", size), IngestPlan(1000, 1000)
        run = store.open_run(run_spec([source], VERSION, 0.01, plan))
        ingest_source(store, run.id, source, plan)
        assert dry_balance([source], plan) == store.balance(run.id)
        assert store.balance(run.id).duplicate == 2


def ids_without_buckets(store: ResultStore, crystals: dict[str, CrystalBatch]) -> list[str]:
    """Stores crystals as they were stored before there were buckets, under ids of their own."""
    source = NamedCrystals(crystals, "before")
    run = store.open_run(run_spec([source], VERSION, 0.01, IngestPlan(1000, 1000)))
    (block,) = (ingest_block("before", each) for each in source.blocks())
    ids = [f"{k:032x}" for k in range(len(crystals))]
    n = len(ids)
    old = IngestedBlock("before", 0, n, block.positions, block.source_ids, ids, block.crystals, [None] * n, [])
    store.add_block(run.id, old, 1000)
    store.end_ingest(run.id, "before")
    return ids


def test_crystals_of_an_older_database_are_recognised_and_keep_their_ids(store: ResultStore) -> None:
    old = ids_without_buckets(store, {"quartz": QUARTZ, "nitride": NITRIDE})
    mirrored = transformed(QUARTZ, MIRROR)
    crystals = {"turned": transformed(NITRIDE, ROTATION), "noise": straddling(QUARTZ), "mirrored": mirrored}
    ids = stored_ids(store, crystals)
    assert ids[:2] == [old[1], old[0]]
    assert store.show("turned")["source_ids"] == ["nitride", "turned"]
    assert ids[2] == content_ids(mirrored)[0] == store.show("quartz")["twin_id"]
    assert store.show("mirrored")["twin_id"] == old[0]
    assert backfill(store) == 0


def test_an_interrupted_backfill_goes_on(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ids_without_buckets(store, {str(k): trials.strained(QUARTZ, 0.02 * k * np.eye(3)) for k in range(7)})
    monkeypatch.setattr("gmt_tasks.ingest.deduplicate._BACKFILLED_AT_A_TIME", 2)
    first = store.crystals_without_bucket(3)
    buckets = [key[0] for key in identify(first.load(first.ids)).buckets]
    store.set_buckets(first.ids, buckets, [None] * 3)
    assert len(store.crystals_without_bucket(100).ids) == 4
    assert backfill(store) == 4
    assert sorted(store.crystals_in_buckets(buckets).ids)[:3] == first.ids
