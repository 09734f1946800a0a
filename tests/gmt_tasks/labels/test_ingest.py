"""Label batches: a good one passes, each planted fault is refused under its own name."""

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.labels.rows import StoredLabel
from db.labels.store import LabelStore
from db.store import ResultStore
from db.tables import LabelState
from gmt_tasks.labels.checks import row
from gmt_tasks.labels.ingest import IngestOptions, LabelReport, ingest_labels
from gmt_tasks.labels.label_batch import BatchStatus
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.source import LabelRow
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.formula import normalized_formula
from models.gmtnet.training_data.split_table import SplitTable
from tests.gmt_tasks.labels.planted_faults import (
    Row,
    expected_sizes,
    good_rows,
    halved,
    leaked,
    rotated,
    scaled,
    stale,
    with_nan,
    write_rows,
    wrong_voigt_order,
)

REPLACE = IngestOptions(replace=True)
KINDS = ("elastic_stiffness", "dielectric_total", "piezo_e_total")


@pytest.fixture(scope="module")
def good() -> dict[str, list[Row]]:
    """Thirty right labels of each kind."""
    return {kind: good_rows(30, seed=k, kind=kind) for k, kind in enumerate(KINDS)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "labels.db") as opened:
        yield opened


@pytest.fixture
def bring(store: ResultStore, tmp_path: Path) -> Callable[..., LabelReport]:
    """Brings rows into the store as one label batch."""
    n = 0

    def brought(rows: list[Row], right: list[Row] | None = None, **more: Any) -> LabelReport:
        nonlocal n
        n += 1
        expect = None if right is None else expected_sizes(right)
        source = open_label_source(str(write_rows(tmp_path / f"part-{n}.jsonl", rows)))
        return ingest_labels(store, source, expect=expect, **more)

    return brought


def reasons(report: LabelReport) -> Counter[str]:
    found: Counter[str] = Counter()
    for part in report.parts:
        found.update(part.reasons)
    return found


def found_for(report: LabelReport) -> list[LabelReason]:
    return [finding.reason for finding in report.findings]


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_batch_passes_and_every_row_is_accepted(kind: str, good: Any, bring: Any) -> None:
    report = bring(good[kind], good[kind])
    assert (report.status, report.accepted, report.findings) == (BatchStatus.ACCEPTED, 30, [])
    assert report.parts[0].residual_max < 1e-6
    assert report.parts[0].compared == 30


@pytest.mark.parametrize("kind", KINDS)
def test_crystals_for_which_the_model_has_no_answer_are_taken_and_not_compared(
    kind: str, good: Any, bring: Any
) -> None:
    report = bring(good[kind], good[kind][5:])
    assert (report.status, report.accepted, report.parts[0].compared) == (BatchStatus.ACCEPTED, 30, 25)


def scattered(rows: list[Row]) -> list[Row]:
    """Values each of which is another factor off: no slip of units, another calculation of everything."""
    factors = np.exp(np.random.default_rng(8).uniform(0.25, 0.5, len(rows)) * (-1) ** np.arange(len(rows)))
    return [scaled([row], factor)[0] for row, factor in zip(rows, factors, strict=True)]


def test_many_accepted_labels_are_superseded_only_when_somebody_says_so(
    good: Any, bring: Any, store: ResultStore
) -> None:
    right = good["elastic_stiffness"][:10]
    bring(right)
    before = accepted_values(store)
    for _ in range(2):
        report = bring(scattered(right))
        assert (report.status, found_for(report), report.superseded) == (BatchStatus.REFUSED, [LabelReason.REPLACES], 0)
        assert "10 accepted labels would be superseded by 10 rows; new over old is " in report.findings[0].detail
        assert accepted_values(store) == before
    assert bring(scattered(right)[:4]).superseded == 4  # a few corrections need no word
    assert bring(scattered(right), options=REPLACE).superseded == 6
    assert bring(scattered(right)).status is BatchStatus.REPEATED


def test_a_constant_factor_between_repeats_is_refused_and_scatter_around_it_is_not(good: Any, bring: Any) -> None:
    rows, factor = good["elastic_stiffness"][:10], 1.05
    bring(rows)
    for times, says in ((1.35, "1.35 times known k_gpa"), (factor, "10 of 10 labels of crystals with known labels")):
        report = bring(scaled(rows, times), options=REPLACE)
        assert (report.status, found_for(report)) == (BatchStatus.REFUSED, [LabelReason.UNIT_FACTOR])
        assert says in report.findings[0].detail
    # another code: the same median, and a scatter as it is between codes
    noise = np.exp(np.random.default_rng(1).normal(np.log(factor) / 5, 0.04, len(rows)))
    other = [scaled([row], x)[0] | {"source": "another code"} for row, x in zip(rows, noise, strict=True)]
    assert bring(other).status is not BatchStatus.REFUSED


def test_few_repeats_with_one_factor_in_all_of_their_sizes_are_refused(bring: Any) -> None:
    rows = good_rows(4, seed=9)
    bring(rows)
    assert found_for(bring(scaled(rows, 1.07))) == [LabelReason.UNIT_FACTOR]  # K and G of each


def accepted_values(store: ResultStore) -> list[Any]:
    """The values that are trained on."""
    return sorted(str(json.loads(label.content)["tensor_voigt"]) for label in store.labels.accepted())


def test_right_values_that_come_again_take_the_place_of_wrong_ones_that_came_between(
    good: Any, bring: Any, store: ResultStore
) -> None:
    right, wrong = good["elastic_stiffness"], scattered(good["elastic_stiffness"])
    bring(right)
    before = accepted_values(store)
    assert bring(wrong, options=REPLACE).superseded == 30
    assert accepted_values(store) != before
    again = bring(right, options=REPLACE)
    assert (again.status, again.superseded, again.accepted, again.known) == (BatchStatus.ACCEPTED, 30, 30, 0)
    assert accepted_values(store) == before


def test_a_folder_that_keeps_old_and_newer_values_changes_nothing_when_it_comes_again(
    good: Any, bring: Any, store: ResultStore
) -> None:
    old, newer = good["elastic_stiffness"], scattered(good["elastic_stiffness"])
    bring(old)
    bring(newer, options=REPLACE)
    now = accepted_values(store)
    for _ in range(2):
        report = bring([*old, *newer])
        assert (report.status, report.accepted) == (BatchStatus.REPEATED, 0)
        assert accepted_values(store) == now
    for rows in ([*newer, *old], [*old, *newer]):  # in either order, also where both were new at once
        bring(rows)
        assert accepted_values(store) == now


def test_a_wrong_voigt_order_is_refused_under_its_name(good: Any, bring: Any) -> None:
    for kind in ("elastic_stiffness", "piezo_e_total"):
        report = bring(wrong_voigt_order(good[kind]), good[kind])
        assert report.status is BatchStatus.REFUSED
        assert found_for(report) == [LabelReason.VOIGT_ORDER]
        assert report.accepted == 0
        assert reasons(report)[LabelReason.VOIGT_ORDER] > 20


@pytest.mark.parametrize("kind", KINDS)
def test_rotated_labels_are_refused_under_their_name(kind: str, good: Any, bring: Any) -> None:
    report = bring(rotated(good[kind]), good[kind])
    assert report.status is BatchStatus.REFUSED
    assert LabelReason.FRAME in found_for(report)
    assert set(found_for(report)) <= {LabelReason.FRAME, LabelReason.SYMMETRY_MISFIT}
    assert report.accepted == 0


@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_refused_under_its_name(kind: str, good: Any, bring: Any) -> None:
    report = bring(with_nan(good[kind]), good[kind])
    assert report.status is BatchStatus.REFUSED
    assert found_for(report) == [LabelReason.NONFINITE]
    assert reasons(report) == {LabelReason.NONFINITE: 10, LabelReason.LABEL_BATCH: 20}


@pytest.mark.parametrize("kind", KINDS)
def test_halved_values_are_refused_beside_predictions(kind: str, good: Any, bring: Any) -> None:
    report = bring(halved(good[kind]), good[kind])
    assert report.status is BatchStatus.REFUSED
    assert found_for(report) == [LabelReason.UNIT_FACTOR]
    assert "halved" in report.findings[0].detail
    assert report.accepted == 0


def test_halved_values_are_refused_beside_known_labels_without_a_model(good: Any, bring: Any) -> None:
    assert bring(good["elastic_stiffness"]).accepted == 30
    again = [row | {"source": "another code"} for row in halved(good["elastic_stiffness"])]
    report = bring(again)
    assert found_for(report) == [LabelReason.UNIT_FACTOR]
    assert "0.5 times known k_gpa" in report.findings[0].detail


def test_kbar_for_gpa_is_named(good: Any, bring: Any) -> None:
    report = bring(scaled(good["elastic_stiffness"], 10.0), good["elastic_stiffness"])
    assert "kbar for GPa" in report.findings[0].detail


def test_one_row_in_kbar_is_refused_alone(good: Any, bring: Any) -> None:
    rows = good["elastic_stiffness"]
    faulty = [*scaled(rows[:1], 10.0), *rows[1:]]
    report = bring(faulty, rows)
    assert report.status is BatchStatus.ACCEPTED
    assert reasons(report) == {LabelReason.UNIT_FACTOR: 1}
    assert report.accepted == 29


def test_leaked_duplicates_refuse_the_whole_batch(bring: Any, store: ResultStore) -> None:
    held_back, new = good_rows(6, seed=1, split="test"), good_rows(20, seed=2, split="train")
    assert bring(held_back).splits == {"test": 6}
    report = bring(leaked(new, held_back))
    assert report.status is BatchStatus.REFUSED
    assert found_for(report) == [LabelReason.LEAKED_SPLIT]
    assert reasons(report) == {LabelReason.LEAKED_SPLIT: 6, LabelReason.LABEL_BATCH: 20}


def test_the_split_of_the_current_model_goes_before_that_of_rows_and_database(bring: Any, store: ResultStore) -> None:
    """Four fifths of what a new source calls val or test were training data of the model: that calibrates nothing."""
    tested = good_rows(10, seed=1, split="test")
    formulas = {normalized_formula(row["formula"]) for row in tested}
    report = bring(tested, table=SplitTable.of(dict.fromkeys(formulas, "train"), {}))
    assert (report.status, report.resplit) == (BatchStatus.ACCEPTED, 10)
    assert {label.split for label in store.labels.accepted()} == {"train"}
    other = good_rows(10, seed=5, split="train")
    leak = bring(other, table=SplitTable.of({normalized_formula(row["formula"]): "test" for row in other}, {}))
    assert found_for(leak) == [LabelReason.LEAKED_SPLIT]


def test_the_same_rows_without_a_declared_split_pass_and_test_stays_test(bring: Any, store: ResultStore) -> None:
    held_back, new = good_rows(6, seed=1, split="test"), good_rows(20, seed=2, split="train")
    bring(held_back)
    rows = [{key: value for key, value in row.items() if key != "split"} for row in leaked(new, held_back)]
    report = bring(rows)
    assert report.status is BatchStatus.ACCEPTED
    assert reasons(report) == {LabelReason.DUPLICATE: 6}  # the same crystal in an equivalent representation
    split_of = {label.source_id: label.split for label in store.labels.accepted()}
    assert {split_of[row["id"]] for row in held_back} == {"test"}
    assert set(split_of) == {row["id"] for row in (*held_back, *new)}


def test_a_formula_declared_for_test_and_for_training_in_one_batch_is_a_leak(bring: Any) -> None:
    first, second = good_rows(1, seed=1, split="test")[0], good_rows(1, seed=1, split="train")[0]
    second |= {"id": "other", "lattice": (1.02 * np.array(second["lattice"])).tolist()}
    assert found_for(bring([second, first])) == [LabelReason.LEAKED_SPLIT]


def test_stale_data_are_refused_and_a_plain_repetition_changes_nothing(
    good: Any, bring: Any, store: ResultStore
) -> None:
    rows = good["elastic_stiffness"]
    bring(rows)
    before = list(store.labels.accepted())
    again = bring(rows)
    assert (again.status, again.known, again.accepted, again.parts) == (BatchStatus.REPEATED, 30, 0, [])
    report = bring(stale(rows))
    assert (report.status, found_for(report)) == (BatchStatus.STALE, [LabelReason.STALE])
    assert reasons(report) == {LabelReason.DUPLICATE: 30}
    assert list(store.labels.accepted()) == before


def test_something_new_among_old_rows_is_not_stale(good: Any, bring: Any) -> None:
    rows = good["elastic_stiffness"]
    bring(rows[:20])
    report = bring([*stale(rows[:20]), *rows[20:]])
    assert (report.status, report.accepted) == (BatchStatus.ACCEPTED, 10)


def test_a_corrected_batch_is_checked_again(good: Any, bring: Any) -> None:
    rows = good["elastic_stiffness"]
    assert bring(with_nan(rows), rows).accepted == 0
    report = bring([row for k, row in enumerate(rows) if k % 3], rows)
    assert (report.status, report.accepted) == (BatchStatus.ACCEPTED, 20)


def test_a_killed_ingest_goes_on_where_it_was(
    good: Any, bring: Any, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmt_tasks.labels.ingest.ROWS_PER_BLOCK", 10)
    rows, looked_at = good["elastic_stiffness"], 0

    def killed(n: int) -> None:
        nonlocal looked_at
        looked_at += n
        if looked_at == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(rows, on_block=killed)
    assert not list(store.labels.accepted())  # nothing is accepted before the whole is checked
    checked: list[int] = []
    from gmt_tasks.labels import ingest as label_ingest

    whole = label_ingest.check_labels
    monkeypatch.setattr(label_ingest, "check_labels", lambda s, i, *a: checked.append(len(i)) or whole(s, i, *a))
    report = bring(rows)
    assert checked == [10]
    assert (report.status, report.accepted) == (BatchStatus.ACCEPTED, 30)


def test_a_contradiction_marks_both_and_the_first_is_kept(good: Any, bring: Any, store: ResultStore) -> None:
    rows = good["elastic_stiffness"]
    bring(rows)
    other = [row | {"source": "another code"} for row in [*scaled(rows[:1], 1.4), *scaled(rows[1:2], 1.03)]]
    report = bring(other)
    assert reasons(report) == {LabelReason.CONTRADICTION: 1, LabelReason.DUPLICATE: 1}
    assert {part.overruled for part in report.parts} == {1}
    marked = [each for each in store.labels.counts() if each["reason"] == LabelReason.CONTRADICTION]
    assert [(each["source"], each["state"]) for each in marked] == [
        ("another code", LabelState.OVERRULED),
        ("computed with care", LabelState.ACCEPTED),
    ]


def test_a_newer_value_of_the_same_source_and_id_supersedes(good: Any, bring: Any, store: ResultStore) -> None:
    rows = good["elastic_stiffness"][:5]
    bring(rows)
    report = bring(scaled(rows[:1], 1.4))
    assert (report.status, report.accepted, report.superseded) == (BatchStatus.ACCEPTED, 1, 1)
    accepted = [json.loads(label.content) for label in store.labels.accepted()]
    assert len(accepted) == 5
    assert scaled(rows[:1], 1.4)[0] in accepted


def test_provenance_and_licence_are_kept(good: Any, bring: Any, store: ResultStore) -> None:
    row = copy.deepcopy(good["elastic_stiffness"][0]) | {"doi": "10.1/x", "method": "VASP 6, PBE"}
    assert bring([row]).licences == {"CC BY 4.0": 1}
    label = next(iter(store.labels.accepted()))
    assert json.loads(label.provenance) | {"read_from": ""} == {
        "doi": "10.1/x",
        "method": "VASP 6, PBE",
        "read_from": "",
    }
    assert label.licence == "CC BY 4.0"


def test_rows_that_are_no_labels_end_as_refused_rows(good: Any, bring: Any) -> None:
    broken = [{"id": "x"}, good["elastic_stiffness"][0] | {"kind": "moduli_of_tea"}, good["elastic_stiffness"][1]]
    report = bring(broken)
    assert reasons(report)[LabelReason.UNKNOWN_KIND] == 2
    # an error that counts them, not a silence: the command ends with 1
    assert report.status is BatchStatus.REFUSED
    counted = {finding.kind: finding.detail for finding in report.findings}
    assert counted["moduli_of_tea"].startswith("1 of 1 rows")
    assert report.accepted == 1
    assert sum(part.rows for part in report.parts) == report.brought == 3


def test_the_store_of_labels_is_that_of_the_results(store: ResultStore) -> None:
    assert isinstance(store.labels, LabelStore)
    assert store.labels.of_ingest(1) == []
    assert StoredLabel("h", "k", "s", "i").part == ("s", "k")


def test_a_row_whose_content_cannot_be_written_is_refused_alone(
    good: Any, bring: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested as deeply as the reader allows and the writer does not."""
    rows = copy.deepcopy(good["dielectric_total"])
    rows[7]["id"], rows[7]["note"] = "deep", "x"
    hashed = row.content_hash

    def fails(item: Any) -> str:
        if isinstance(item, LabelRow) and item.source_id == "deep":
            raise RecursionError("maximum recursion depth exceeded")
        return hashed(item)

    monkeypatch.setattr(row, "content_hash", fails)
    report = bring(rows, rows)
    assert (report.brought, report.accepted, reasons(report)) == (30, 29, Counter({"parse": 1}))
