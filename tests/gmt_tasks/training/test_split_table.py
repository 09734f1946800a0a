"""The split that a training makes binding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.training.loop import MOST_REPEATS, repeats
from gmt_tasks.training.split_table import is_learned, seen_by_model, split_table_of
from models.gmtnet.training_data.split_table import SplitTable, source_name
from models.quantities import Tensor
from tests.gmt_tasks.labels.toy_labels import good_rows, write_rows


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelledCrystals:
    return read_labels(write_rows(tmp_path_factory.mktemp("labels"), good_rows(4)))


def test_a_table_holds_every_formula_and_the_tensors_of_every_training_crystal(labels: LabelledCrystals) -> None:
    table, formulas = split_table_of(labels), labels.crystals.formulas()
    assert table.parts_of(formulas) == dict(zip(formulas, labels.split.tolist(), strict=True))
    for row in (int(labels.rows(split)[0]) for split in Split):
        crystal_id = content_ids(labels.crystals.select([row]))[0]
        known = {quantity for quantity, values in labels.components.items() if not np.isnan(values[row, 0])}
        seen = table.learned([crystal_id, source_name(labels.ids[row], formulas[row])])
        assert set(seen.values()) == ({frozenset(known)} if labels.split[row] == "train" else set())


def test_numbers_count_as_labels_of_the_tensors_that_they_constrain(labels: LabelledCrystals) -> None:
    row = int(labels.rows(Split.TRAIN)[0])
    missing = {quantity: np.full_like(values, np.nan) for quantity, values in labels.components.items()}
    means = np.full_like(labels.eps_mean, np.nan)
    means[row] = 3.0
    table = split_table_of(replace(labels, components=missing, eps_mean=means))
    (name,) = content_ids(labels.crystals.select([row]))
    assert table.learned([name])[name] == {Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL}


def test_a_planted_leak_is_no_held_out_label(labels: LabelledCrystals) -> None:
    """A source that calls half of the training formulas val: for the model they are training data all the same."""
    table = split_table_of(labels)
    leaked = labels.split.copy()
    leaked[labels.rows(Split.TRAIN)[::2]] = "val"
    planted = replace(labels, split=leaked)
    assert len(planted.rows(Split.VAL)) > len(labels.rows(Split.VAL))
    assert np.array_equal(seen_by_model(planted, table).split, labels.split)
    assert np.array_equal(seen_by_model(planted, None).split, leaked)


def test_new_crystals_are_those_that_no_ancestor_was_trained_on(labels: LabelledCrystals) -> None:
    rows = labels.rows(Split.TRAIN)
    assert is_learned(labels, rows, split_table_of(labels)).all()
    assert not is_learned(labels, rows, SplitTable.of({}, {})).any()
    assert not is_learned(labels, labels.rows(Split.TEST), split_table_of(labels)).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("n_new", [0, 3, 30, 300])
def test_new_crystals_are_at_least_their_share_of_an_epoch_up_to_the_limit(share: float, n_new: int) -> None:
    known, new = np.arange(1000), np.arange(n_new)
    n = repeats(known, new, share)
    assert 1 <= n <= MOST_REPEATS
    if n_new and n < MOST_REPEATS:
        assert n * n_new >= 0.8 * share / (1 - share) * (1000 - n_new)


def test_the_table_of_a_fine_tuned_model_holds_that_of_its_start(tmp_path: Path, labels: LabelledCrystals) -> None:
    """What the start was trained on stays training data, whatever the later labels say."""
    first = split_table_of(labels)
    turned = replace(labels, split=np.where(labels.split == "train", "test", "train"))
    joined = first.joined(split_table_of(turned))
    assert set(joined.parts_of(labels.crystals.formulas()).values()) == {"train"}
