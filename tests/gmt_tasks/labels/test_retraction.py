"""A label batch is taken back: what it superseded comes back, as if it had never come, once."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.labels.batches import Withdrawal
from db.labels.rows import StoredLabel
from db.records import ModelProvenance, ModelVersion
from db.store import ResultStore
from db.tables import LabelState
from gmt_tasks.labels.checks.duplicates import resolve_duplicates
from gmt_tasks.labels.ingest import IngestOptions, LabelReport, ingest_labels
from gmt_tasks.labels.label_batch import BatchStatus
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.labels.retraction import resolve_without, retract_batch, retracted_since
from gmt_tasks.labels.snapshot import freeze, read_snapshot
from models.errors import StoreError
from tests.gmt_tasks.labels.planted_faults import Row, good_rows, scaled, write_rows

WHY = Withdrawal("ada@lab", "unconverged k points")
REPLACE = IngestOptions("eve@lab", replace=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "labels.db") as opened:
        yield opened


@pytest.fixture
def bring(store: ResultStore, tmp_path: Path) -> Callable[..., LabelReport]:
    """Brings rows into the store as one label batch."""

    def brought(rows: list[Row], name: str, options: IngestOptions = REPLACE) -> LabelReport:
        source = open_label_source(str(write_rows(tmp_path / f"{name}.jsonl", rows)))
        return ingest_labels(store, source, options=options)

    return brought


def several(rows: list[Row]) -> list[Row]:
    """New values of the same ids, each off by another factor."""
    return [scaled([row], (1.3, 0.7, 1.5, 0.6, 1.25, 0.75)[k % 6])[0] for k, row in enumerate(rows)]


def accepted(store: ResultStore) -> set[str]:
    return {label.hash for label in store.labels.accepted()}


def states(store: ResultStore) -> list[tuple[Any, ...]]:
    """Every label with how it ended; the batches that are gone left out."""
    return sorted(
        (label.hash, label.state, label.reason, label.detail, label.decided_by)
        for batch in store.labels.batches()
        for label in store.labels.of_ingest(batch.id)
        if label.state is not LabelState.RETRACTED
    )


def test_what_a_retracted_batch_superseded_is_accepted_again_and_nothing_is_deleted(
    store: ResultStore, bring: Any
) -> None:
    rows = good_rows(12, seed=1)
    bring(rows, "right")
    before, states_before, splits = accepted(store), states(store), store.labels.splits_of(["B4Sc4"])
    bring([*several(rows[:8]), *good_rows(2, seed=2)], "wrong")
    assert accepted(store) != before
    planned = retract_batch(store, 2, WHY, dry_run=True)
    assert (planned.dry_run, planned.restored, accepted(store) == before) == (True, 8, False)
    report = retract_batch(store, 2, WHY)
    assert (report.retracted, report.restored, report.changed, report.was_retracted) == ({"accepted": 10}, 8, {}, False)
    assert accepted(store) == before
    assert states(store) == states_before
    assert store.labels.splits_of(["B4Sc4"]) == splits
    kept = store.labels.of_ingest(2)
    assert {(label.state, label.reason) for label in kept} == {(LabelState.RETRACTED, LabelReason.RETRACTED)}
    assert all(str(label.detail).startswith("was accepted") for label in kept)
    again = retract_batch(store, 2, Withdrawal("bob", "once more"))
    assert (again.was_retracted, again.who, again.why, again.restored) == (True, "ada@lab", "unconverged k points", 0)
    assert accepted(store) == before


def test_duplicates_and_contradictions_of_a_retracted_batch_are_decided_without_it(
    store: ResultStore, bring: Any
) -> None:
    rows = good_rows(6, seed=1)
    bring(rows, "first")
    same = [row | {"source": "a second group", "id": f"same-{k}"} for k, row in enumerate(rows[:3])]
    other = [row | {"source": "a third group", "id": f"other-{k}"} for k, row in enumerate(several(rows[3:]))]
    assert (bring(same, "second").status, bring(other, "third").accepted) == (BatchStatus.STALE, 0)
    report = retract_batch(store, 1, WHY)
    assert (report.retracted, report.restored) == ({"accepted": 6}, 6)
    assert {label.source for label in store.labels.accepted()} == {"a second group", "a third group"}
    assert not any(label.reason for label in store.labels.of_ingest(3))


def test_a_retracted_batch_that_comes_again_is_refused_with_who_and_why_unless_somebody_says_again(
    store: ResultStore, bring: Any
) -> None:
    rows = good_rows(6, seed=1)
    bring(rows, "wrong")
    retract_batch(store, 1, WHY)
    report = bring(rows, "wrong")
    assert (report.status, [each.reason for each in report.findings]) == (BatchStatus.REFUSED, [LabelReason.RETRACTED])
    assert "6 labels: ada@lab retracted batch 1: unconverged k points" in report.findings[0].detail
    more = bring([*rows, *good_rows(2, seed=2)], "more")  # something new beside it: that alone is taken
    assert (more.status, more.accepted, more.retracted != "") == (BatchStatus.ACCEPTED, 2, True)
    taken = bring(rows, "wrong", IngestOptions(again=True))
    assert (taken.status, taken.accepted, taken.retracted) == (BatchStatus.ACCEPTED, 6, "")


def test_an_unknown_batch_and_one_that_is_not_finished_are_not_retracted(store: ResultStore) -> None:
    with pytest.raises(StoreError, match="no label batch 7; the database has 0"):
        retract_batch(store, 7, WHY)
    store.labels.open_ingest("half", "f")
    with pytest.raises(StoreError, match="not finished"):
        retract_batch(store, 1, WHY)


def test_a_snapshot_and_a_model_say_which_batches_they_saw_and_which_was_retracted_since(
    store: ResultStore, bring: Any, tmp_path: Path
) -> None:
    bring(good_rows(4, seed=1, split="train"), "a")
    bring(good_rows(3, seed=2, split="test"), "b")
    snapshot = freeze(store, tmp_path / "datasets")
    assert [(each["batch"], each["rows"]) for each in snapshot.batches] == [(1, 4), (2, 3)]
    assert read_snapshot(snapshot.folder).batches == snapshot.batches
    model = ModelVersion("toy", "1", "a" * 64)
    store.register_model(model, {}, ModelProvenance("there", {}, snapshot.hash, "1", snapshot.batches))
    seen = store.describe_model("toy@1")["batches"]
    assert (json.dumps(seen), retracted_since(seen, store)) == (json.dumps(snapshot.batches), {})
    retract_batch(store, 2, WHY)
    assert retracted_since(seen, store) == {2: "ada@lab retracted batch 2: unconverged k points"}
    assert [batch.who for batch in store.labels.batches()] == ["eve@lab", "eve@lab"]


LABELS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["here", "there"]), st.sampled_from([100.0, 104.0, 140.0, 1000.0])),
    min_size=1,
    max_size=8,
)


def resolved_in_order(labels: list[StoredLabel]) -> dict[str, StoredLabel]:
    """Labels of one crystal as batch after batch resolves them."""
    ended: dict[str, StoredLabel] = {}
    for batch in sorted({label.ingest_id for label in labels}):
        known = [label for label in ended.values() if label.state is LabelState.ACCEPTED]
        for end in resolve_duplicates(known, [label for label in labels if label.ingest_id == batch]):
            label = next(label for label in labels if label.hash == end.hash)
            ended[end.hash] = replace(label, state=end.state, reason=end.reason, decided_by=end.decided_by)
    return {label.hash: ended[label.hash] for label in labels}


@settings(max_examples=60)
@given(LABELS, st.integers(1, 4))
def test_a_retraction_leaves_what_would_be_there_if_the_batch_had_never_come(
    drawn: list[tuple[int, str, float]], gone: int
) -> None:
    labels = [
        StoredLabel(f"h{k}", "moduli_vrh", source, "x", "c", sizes={"k_gpa": value}, ingest_id=batch)
        for k, (batch, source, value) in enumerate(sorted(drawn, key=lambda entry: entry[0]))
    ]
    stored = resolved_in_order(labels)
    retracted = {label.hash for label in labels if label.ingest_id == gone}
    ends = {label.hash: label.state for label in stored.values() if label.ingest_id != gone}
    ends |= {end.hash: end.state for end in resolve_without(list(stored.values()), retracted)}
    never_came = resolved_in_order([label for label in labels if label.ingest_id != gone])
    assert ends == {name: label.state for name, label in never_came.items()}
