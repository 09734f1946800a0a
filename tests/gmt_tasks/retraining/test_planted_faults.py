"""Poisoned second label batches, forced past the label check: the gate alone refuses those that harm the model.

That the label check refuses each of them is shown in tests/gmt_tasks/labels/test_ingest.py. Here the rows are
written into a snapshot by hand, hash and all, as if the check had let them pass; the literature is switched
off, because toy labels are no material's, so the labels known before have to see the harm.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from db.records import ModelVersion
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.snapshot import (
    DatasetSnapshot,
    SnapshotRows,
    content_hash,
    read_snapshot,
    snapshot_folder,
    write_snapshot,
)
from gmt_tasks.retraining import retraining
from gmt_tasks.retraining.outcome import Ending
from gmt_tasks.retraining.plan import RetrainPlan, make_plan
from gmt_tasks.retraining.retraining import Retraining, nothing_new
from models.errors import ModelError, SourceError
from models.gmtnet.card import read_card
from models.gmtnet.training_data.split_table import load_split_table
from tests.gmt_tasks.labels import planted_faults
from tests.gmt_tasks.labels.toy_labels import Row
from tests.gmt_tasks.retraining.tiny import label_batches, options_in, settings_in, tiny_gate

pytestmark = pytest.mark.slow

Fault = Callable[[Sequence[Row]], list[Row]]
KNOWN_BEFORE = "labels known before"


def force(datasets: Path, rows: Sequence[Row]) -> DatasetSnapshot:
    """A snapshot of rows that nobody checked."""
    forced = SnapshotRows()
    for number, row in enumerate(rows):
        # line by line: a snapshot itself takes no NaN
        forced.lines[KINDS[row["kind"]].file].append(json.dumps(row | {"label": str(number)}, sort_keys=True))
        forced.counts["split"][row["split"]] += 1
    folder = snapshot_folder(datasets, content_hash(forced.lines))
    write_snapshot(forced.snapshot(folder), forced)
    return read_snapshot(folder)


@dataclass
class Bench:
    """A model of the first label batch, and how it is retrained on another dataset."""

    folder: Path
    datasets: Path
    first: RetrainPlan
    rows: list[Row]

    def plan(self, rows: Sequence[Row]) -> RetrainPlan:
        """Fine-tuning of the first model on forced rows, long enough to learn them."""
        snapshot = force(self.datasets, rows)
        card = read_card(self.first.candidate_card)
        options = options_in(self.folder, epochs=8)
        plan = make_plan(
            options,
            snapshot=snapshot.hash,
            data=snapshot.folder,
            current=ModelVersion(card.name, card.version, card.sha256),
            current_card=self.first.candidate_card,
            current_snapshot=self.first.snapshot,
        )
        return replace(plan, configs=tuple(replace(each, learning_rate=5e-3) for each in plan.configs))

    def retrain(self, rows: Sequence[Row], newest: str | None = None) -> dict[str, Any]:
        """The gate's report."""
        return judged(self.plan(rows), self.folder, self.datasets, newest)


def judged(plan: RetrainPlan, folder: Path, datasets: Path, newest: str | None = None) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch, planned(plan, folder, datasets) as work:
        patch.setattr(retraining, "freeze", lambda *_: SimpleNamespace(hash=newest or plan.snapshot))
        work.calibrate(work.train())
        return work.run_gate()


def planned(plan: RetrainPlan, folder: Path, datasets: Path) -> Retraining:
    """A retraining with a plan of its own instead of that of the accepted labels, of which there are none."""
    work = Retraining(settings_in(folder), options_in(folder), datasets, lambda line: None)
    work.plan = plan
    if plan.current_card is not None:
        work.table = load_split_table(plan.current_card)
    return work


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        tiny_gate(patch)
        folder = tmp_path_factory.mktemp("bench")
        datasets, rows = folder / "datasets", label_batches()[0]
        snapshot = force(datasets, rows)
        options = options_in(folder, from_scratch=True, epochs=12)
        plan = make_plan(options, snapshot=snapshot.hash, data=snapshot.folder, current=None, current_card=None)
        judged(plan, folder, datasets)
        yield Bench(folder, datasets, plan, rows)


def test_a_good_second_batch_passes(bench: Bench) -> None:
    report = bench.retrain([*bench.rows, *label_batches()[1]])
    assert report["reasons"] == []


def test_halved_units_are_refused_by_their_size_or_the_labels_known_before(bench: Bench) -> None:
    report = bench.retrain([*bench.rows, *planted_faults.halved(label_batches()[1])])
    seen_by = (KNOWN_BEFORE, "new labels are as large as earlier ones")
    assert any(name in reason for name in seen_by for reason in report["reasons"]), report["reasons"]


@pytest.mark.parametrize("fault", [planted_faults.wrong_voigt_order, planted_faults.rotated, planted_faults.with_nan])
def test_what_symmetry_contradicts_is_not_read_and_the_rest_is_refused_where_it_harms(
    fault: Fault, bench: Bench
) -> None:
    """Either the gate refuses, or nothing that was known before became worse."""
    try:
        report = bench.retrain([*bench.rows, *fault(label_batches()[1])])
    except ModelError as error:
        assert "losses are no number" in str(error)
        return
    worse = [each for each in report["comparisons"] if each["group"] == KNOWN_BEFORE and each["verdict"] == "worse"]
    assert bool(worse) <= (not report["passes"])


def test_leaked_test_crystals_are_refused_by_their_composition(bench: Bench) -> None:
    held_back = [row for row in bench.rows if row["split"] == "test"]
    report = bench.retrain(planted_faults.leaked(bench.rows, held_back))
    assert any("no test or val composition" in reason for reason in report["reasons"])


def test_stale_labels_are_refused_by_their_hash(bench: Bench) -> None:
    plan = bench.plan([*bench.rows, *label_batches()[1]])
    newer = bench.retrain([*bench.rows, *label_batches()[1]], newest="f" * 64)
    assert [reason.partition(":")[0] for reason in newer["reasons"]] == ["data"]
    assert "no newer labels were accepted since" in newer["reasons"][0]
    same = replace(plan, snapshot=bench.first.snapshot)
    outcome = nothing_new(same)
    assert outcome is not None and outcome.ending is Ending.NOTHING_NEW


def test_a_file_that_was_changed_after_the_freeze_is_not_trained_on(bench: Bench) -> None:
    import gzip

    plan = bench.plan([*bench.rows, *planted_faults.stale(label_batches()[1][:6])])
    path = plan.data / "elastic.jsonl.gz"
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(text.replace(b'"train"', b'"test" ', 1)))
    with pytest.raises(SourceError, match="they were changed"):
        planned(plan, bench.folder, bench.datasets).train()
