"""What is too few is said before the training."""

from dataclasses import replace

import numpy as np
import pytest

from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.retraining.gate.data import select_labels
from gmt_tasks.retraining.sufficiency import FEW_NEW, check_sufficiency, held_out_counts, is_new
from gmt_tasks.training.split_table import split_table_of
from models.applicability.distance import FEWEST_HELD_OUT
from models.uncertainty.conformal import SMALLEST_N
from tests.gmt_tasks.labels.toy_labels import good_rows, write_rows


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelledCrystals:
    return read_labels(write_rows(tmp_path_factory.mktemp("labels"), good_rows(20)))


def test_enough_labels_have_nothing_missing(labels: LabelledCrystals) -> None:
    everything = np.ones(len(labels.ids), dtype=np.bool_)
    found = check_sufficiency(labels, ["k_vrh_gpa", "eps_total_mean", "elastic_error_gpa"], everything)
    assert found.missing == () and found.remarks == ()


def test_an_interval_that_would_be_lost_is_named_with_its_number_of_labels(labels: LabelledCrystals) -> None:
    held_out = labels.rows(Split.VAL)
    few = select_labels(labels, np.sort(np.concatenate([labels.rows(Split.TRAIN), held_out[: SMALLEST_N - 1]])))
    found = check_sufficiency(few, ["k_vrh_gpa"], np.ones(len(few.ids), dtype=np.bool_))
    n = held_out_counts(few)["k_vrh_gpa"]
    assert n < SMALLEST_N
    assert any(f"k_vrh_gpa {n}" in sentence for sentence in found.missing)
    assert any(str(FEWEST_HELD_OUT) in sentence for sentence in found.missing)
    # a model that has no such interval has none to lose
    without = check_sufficiency(few, [], np.ones(len(few.ids), dtype=np.bool_))
    assert not any("interval" in sentence for sentence in without.missing)


def test_few_new_crystals_are_a_remark_and_no_obstacle(labels: LabelledCrystals) -> None:
    new = np.zeros(len(labels.ids), dtype=np.bool_)
    new[labels.rows(Split.TRAIN)[:3]] = True
    found = check_sufficiency(labels, ["k_vrh_gpa"], new)
    assert found.missing == ()
    assert [remark.split()[0] for remark in found.remarks] == ["3", "0"]
    assert str(FEW_NEW[Split.TRAIN]) in found.remarks[0]


def test_what_the_current_model_saw_or_was_tested_on_is_not_new(labels: LabelledCrystals) -> None:
    table = split_table_of(labels)
    tested = select_labels(labels, labels.rows(Split.TEST))
    assert np.array_equal(is_new(labels, tested, table), labels.split == Split.VAL.value)
    renamed = replace(labels, ids=[f"other-{name}" for name in labels.ids])
    assert is_new(renamed, tested, table).all()
