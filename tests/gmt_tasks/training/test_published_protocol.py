"""Filters and split of the GMTNet paper, on made-up files of their format."""

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmt_tasks.labels.files import Split
from gmt_tasks.sources.remote.jarvis_tensors import read_jarvis_tensors
from gmt_tasks.training.published_protocol import (
    labelled_tensors,
    published_filter,
    published_split,
    read_labels_or_published,
    read_published,
)
from models.errors import SourceError
from models.quantities import Tensor
from models.tensors.voigt import from_components
from tests.gmt_tasks.sources.remote.jarvis_files import (
    made_up_crystals,
    made_up_records,
    made_up_tensors,
    write_jarvis_files,
)

TENSORS_OF_FILES = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.PIEZOELECTRIC, Tensor.ELASTIC)


def test_the_split_is_the_published_sequence_of_random_numbers() -> None:
    """Against the published recipe written down step by step: seed the generator, shuffle the indices, cut."""
    for n in (10, 74, 4713):
        random.seed(32)
        ids = list(np.arange(n))
        random.shuffle(ids)
        n_test = n_val = int(0.1 * n)
        expected = {
            Split.TRAIN: ids[: int(0.8 * n)],
            Split.VAL: ids[-(n_val + n_test) : -n_test],
            Split.TEST: ids[-n_test:],
        }
        split = published_split(n)
        for part, rows in expected.items():
            assert np.flatnonzero(split == part.value).tolist() == sorted(int(row) for row in rows)
    assert (published_split(74) != np.roll(published_split(74), 1)).any(), "negative control"


def test_numbers_of_the_published_files() -> None:
    """4,713 dielectric and 4,998 piezoelectric records: 10 % of them test, rounded down; one is left over."""
    for n, test in ((4713, 471), (4998, 499)):
        split = published_split(n)
        assert (split == "test").sum() == (split == "val").sum() == test
        assert (split == "train").sum() == int(0.8 * n)
        assert (split == "").sum() == n - int(0.8 * n) - 2 * test


def test_too_few_records_for_a_split_are_refused() -> None:
    with pytest.raises(SourceError, match="9 records pass the published filters"):
        published_split(9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jarvis")
    write_jarvis_files(path)
    return path


def test_labels_are_the_written_tensors_at_the_rows_of_the_split(folder: Path) -> None:
    published = read_published(folder)
    labels, crystals = published.labels, made_up_crystals()
    for seed, quantity in enumerate(TENSORS_OF_FILES):
        scale = 20.0 if quantity is Tensor.ELASTIC else 1.0
        written = scale * made_up_tensors(crystals, quantity, seed)
        known = np.flatnonzero(~np.isnan(labels.components[quantity][:, 0]))
        assert len(known) > 20
        place = np.array([int(labels.ids[row].removeprefix("JVASP-")) - 1000 for row in known])
        found = from_components(quantity, labels.components[quantity][known])
        np.testing.assert_allclose(found, written[place], atol=1e-9)
        np.testing.assert_array_equal(labels.crystals.select(known).lattice, crystals.lattice[place])
        counts = published.counts[quantity]
        assert [(labels.split[known] == part.value).sum() for part in Split] == [counts.train, counts.val, counts.test]
        assert (counts.filtered, counts.refused) == (0, 0)
    assert labelled_tensors(labels) == TENSORS_OF_FILES
    assert (np.sum([~np.isnan(labels.components[q][:, 0]) for q in Tensor], axis=0) == 1).all(), "one tensor per row"


def test_zero_tensors_leave_the_training_part_only(folder: Path) -> None:
    labels = read_published(folder).labels
    values = labels.components[Tensor.PIEZOELECTRIC]
    zero = np.linalg.norm(values, axis=1) <= 1e-5  # False where there is no piezoelectric label
    assert not (zero & (labels.split == "train")).any()
    assert (zero & (labels.split != "train")).any(), "val and test keep them"


def test_folders_of_both_kinds_can_be_trained_on(folder: Path, tmp_path: Path) -> None:
    assert set(read_labels_or_published(folder).split) == {"train", "val", "test"}
    with pytest.raises(SourceError, match="No label files"):
        read_labels_or_published(tmp_path)


def changed(folder: Path, stem: str, key: str, change: Any) -> Path:
    """The files with one tensor changed in the record of the first crystal that has it."""
    first, second = made_up_records()
    for records, name in ((first, "jarvis_diele_piezo"), (second, "jarvis_elastic")):
        if name == stem:
            victim = next(record for record in records if record[key] is not None)
            change(victim[key])
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(records))
    return folder


def put(value: float, row: int = 0, column: int = 0) -> Any:
    def change(tensor: list[list[float]]) -> None:
        tensor[row][column] = value

    return change


@pytest.mark.parametrize(
    ("stem", "key", "change", "left_out"),
    [
        ("jarvis_diele_piezo", "dielectric", put(99.9), 0),
        ("jarvis_diele_piezo", "dielectric", put(-100.0), 1),
        ("jarvis_diele_piezo", "piezoelectric_C_m2", put(99.9), 0),
        ("jarvis_diele_piezo", "piezoelectric_C_m2", put(100.0), 1),
        ("jarvis_elastic", "elastic_total_kbar", put(14999.0), 0),
        ("jarvis_elastic", "elastic_total_kbar", put(15000.0), 1),
    ],
)
def test_tensors_with_too_large_an_entry_are_left_out(
    tmp_path: Path, stem: str, key: str, change: Any, left_out: int
) -> None:
    counts = read_published(changed(tmp_path, stem, key, change)).counts
    assert sum(each.filtered for each in counts.values()) == left_out


@pytest.mark.parametrize(("kbar", "left_out"), [(9e-4, 0), (2e-3, 1)])
def test_forbidden_stiffness_entries_are_zeroed_or_cost_the_record(tmp_path: Path, kbar: float, left_out: int) -> None:
    """Quartz forbids C16 (xx with xy): 1e-4 GPa is the published limit."""
    found = read_jarvis_tensors(changed(tmp_path, "jarvis_elastic", "elastic_total_kbar", put(kbar, 0, 3)))
    assert found[Tensor.ELASTIC].tensors[0, 0, 5] == pytest.approx(kbar / 10)
    rows, tensors = published_filter(Tensor.ELASTIC, found[Tensor.ELASTIC])
    assert len(found[Tensor.ELASTIC].ids) - len(rows) == left_out
    assert (0 in rows) == (left_out == 0)
    if not left_out:
        assert tensors[0, 0, 5] == 0.0
        assert tensors[0, 0, 3] == found[Tensor.ELASTIC].tensors[0, 0, 3] != 0.0, "C14 is allowed and stays"
