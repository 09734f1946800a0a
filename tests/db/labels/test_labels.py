"""Labels in the database, on both dialects: known once, resolved together, splits for ever."""

from dataclasses import replace

import numpy as np
import pytest

from db.labels.rows import LabelRecord, Resolution
from db.records import IngestedBlock
from db.store import ResultStore
from db.tables import LabelStage, LabelState
from models.crystals.crystal import CrystalBatch

ROCK_SALT = CrystalBatch.from_arrays(
    [np.eye(3) * 4.2], [np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])], [np.array([12, 8])]
)
BLOCK = IngestedBlock("s", 0, 1, np.array([0]), ["a"], ["gx-1"], ROCK_SALT, [None], [], [None], [("MgO:1:1",)])


def record(k: int, **more: object) -> LabelRecord:
    base = LabelRecord(
        hash=f"h{k}", position=k, kind="moduli_vrh", crystal_id="gx-1", formula="MgO", source="s", source_id=f"id-{k}",
        licence="CC BY 4.0", provenance="{}", declared_split=None, content='{"a":1}', state=LabelState.PENDING,
        reason=None, detail=None, residual=0.25, tells_order=True, tells_frame=False, sizes={"k_gpa": 1.5},
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def filled(store: ResultStore, *records: LabelRecord) -> int:
    ingest_id = store.labels.open_ingest("labels.jsonl", "f" * 64)
    store.labels.add(ingest_id, records or [record(0)], BLOCK)
    return ingest_id


def accept(store: ResultStore, ingest_id: int, *hashes: str, split: str = "train") -> None:
    resolutions = [Resolution(each, LabelState.ACCEPTED, ratio=0.9) for each in hashes]
    store.labels.conclude(ingest_id, resolutions, {"MgO": (split, "declared")}, "accepted", {"rows": len(hashes)})


def test_a_label_comes_back_as_it_was_stored(store: ResultStore) -> None:
    ingest_id = filled(store)
    found = store.labels.of_ingest(ingest_id)
    assert len(found) == 1
    for name in ("hash", "kind", "crystal_id", "formula", "source", "licence", "residual", "tells_order", "sizes"):
        assert getattr(found[0], name) == getattr(record(0), name)
    assert found[0].tells_frame is False
    assert found[0].state is LabelState.PENDING


def test_the_same_block_twice_is_one_block(store: ResultStore) -> None:
    ingest_id = filled(store, record(0), record(1))
    store.labels.add(ingest_id, [record(0), record(1), record(2)], BLOCK)
    assert [label.hash for label in store.labels.of_ingest(ingest_id)] == ["h0", "h1", "h2"]


def test_many_labels_at_once_are_written_too(store: ResultStore) -> None:
    ingest_id = filled(store, *(record(k) for k in range(300)))
    accept(store, ingest_id, *(f"h{k}" for k in range(300)))
    assert len(list(store.labels.accepted())) == 300


def test_a_batch_without_a_status_is_gone_on_with_and_a_concluded_one_is_not(store: ResultStore) -> None:
    first = store.labels.open_ingest("labels.jsonl", "f" * 64)
    assert store.labels.open_ingest("labels.jsonl", "f" * 64) == first
    assert store.labels.open_ingest("labels.jsonl", "e" * 64) != first
    accept(store, first)
    assert store.labels.open_ingest("labels.jsonl", "f" * 64) != first


def test_only_what_is_accepted_is_trained_on_in_the_split_of_its_formula(store: ResultStore) -> None:
    ingest_id = filled(store, record(0), record(1), record(2, state=LabelState.REFUSED, reason="nonfinite"))
    accept(store, ingest_id, "h1", split="test")
    assert [(label.hash, label.split, label.licence) for label in store.labels.accepted()] == [
        ("h1", "test", "CC BY 4.0")
    ]
    assert [label.hash for label in store.labels.accepted_of_crystals(["gx-1", "gx-2"])] == ["h1"]
    assert store.labels.ratios_of("test") == {"moduli_vrh": [0.9]}
    assert store.labels.ratios_of("val") == {}


def test_a_formula_keeps_its_first_split(store: ResultStore) -> None:
    accept(store, filled(store), "h0", split="test")
    later = filled(store, record(1))
    accept(store, later, "h1", split="train")
    assert store.labels.splits_of(["MgO", "SiO2"]) == {"MgO": "test"}
    assert {label.split for label in store.labels.accepted()} == {"test"}


def test_rows_of_a_killed_ingest_and_of_a_refused_batch_are_checked_again_and_others_are_not(
    store: ResultStore,
) -> None:
    bad = record(3, state=LabelState.REFUSED, reason="nonfinite")
    first = filled(store, record(0), record(1), record(2), bad)
    refused = Resolution("h1", LabelState.REFUSED, "instalment", "with bad company")
    accepted = Resolution("h2", LabelState.ACCEPTED)
    store.labels.conclude(first, [refused, accepted], {"MgO": ("train", "hash")}, "refused", {})
    again = store.labels.open_ingest("other.jsonl", "e" * 64)
    assert store.labels.unresolved(again, ["h0", "h1", "h2", "h3", "h4"]) == {
        "h0": True,
        "h1": True,
        "h2": False,
        "h3": False,
    }
    assert {(label.hash, label.state, label.reason) for label in store.labels.of_ingest(again)} == {
        ("h0", LabelState.PENDING, None),
        ("h1", LabelState.PENDING, None),
    }
    stages = {label.hash: label.stage for label in store.labels.of_ingest(first)}
    assert stages == {"h2": None, "h3": LabelStage.ROW}


def test_a_mark_keeps_the_ratio_that_was_found_before(store: ResultStore) -> None:
    accept(store, filled(store), "h0")
    later = store.labels.open_ingest("other.jsonl", "e" * 64)
    mark = Resolution("h0", LabelState.ACCEPTED, "contradiction", "120 against 100")
    store.labels.conclude(later, [mark], {}, "accepted", {})
    label = store.labels.accepted_of_crystals(["gx-1"])[0]
    assert (label.reason, label.ratio) == ("contradiction", 0.9)


def test_crystals_come_in_the_order_asked_for(store: ResultStore) -> None:
    filled(store)
    assert store.labels.crystals_of(["gx-1", "gx-1"]).n_crystals == 2
    assert store.labels.crystals_of([]).n_crystals == 0


@pytest.mark.parametrize("text", ["with \0 in it", "\ud800"])
def test_foreign_texts_are_made_storable(store: ResultStore, text: str) -> None:
    ingest_id = filled(store, record(0, source=text, source_id=text, detail=text, licence=text))
    assert len(store.labels.of_ingest(ingest_id)) == 1


def test_counts_by_source_kind_state_and_reason(store: ResultStore) -> None:
    ingest_id = filled(store, record(0), record(1), record(2, state=LabelState.REFUSED, reason="nonfinite"))
    accept(store, ingest_id, "h0", "h1")
    assert [(each["state"], each["reason"], each["n"]) for each in store.labels.counts()] == [
        ("accepted", None, 2),
        ("refused", "nonfinite", 1),
    ]
