"""The table of formulas and their parts that travels with a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.gmtnet.card import WEIGHTS_FOLDER, ModelCard, card_paths, find_checkpoint, write_card
from models.gmtnet.config import CONFIGS
from models.gmtnet.training_data.split_table import (
    PARTS,
    SplitTable,
    load_split_table,
    save_split_table,
    split_table_path,
)
from models.quantities import Tensor

parts = st.dictionaries(st.text(min_size=1), st.sampled_from(PARTS), max_size=30)
learned = st.dictionaries(st.text(min_size=1), st.lists(st.sampled_from(list(Tensor))), max_size=30)


@given(parts, learned)
def test_a_table_gives_back_what_it_was_made_of_and_knows_nothing_else(
    split: dict[str, str], seen: dict[str, list[Tensor]]
) -> None:
    table = SplitTable.of(split, seen)
    assert table.parts_of([*split, "\x00 never"]) == split
    assert table.learned([*seen, "\x00 never"]) == {name: frozenset(tensors) for name, tensors in seen.items()}


@given(parts, parts, learned, learned)
def test_what_one_ancestor_was_trained_on_stays_training_data(
    first: dict[str, str], second: dict[str, str], seen: dict[str, list[Tensor]], later: dict[str, list[Tensor]]
) -> None:
    one, other = SplitTable.of(first, seen), SplitTable.of(second, later)
    joined = one.joined(other)
    names = sorted({*first, *second})
    assert joined.parts_of(names) == {
        name: min(first.get(name, "test"), second.get(name, "test"), key=PARTS.index) for name in names
    }
    known = sorted({*seen, *later})
    assert joined.learned(known) == {name: frozenset([*seen.get(name, ()), *later.get(name, ())]) for name in known}
    swapped = other.joined(one)
    assert all(np.array_equal(getattr(joined, name), getattr(swapped, name)) for name in ("formulas", "parts"))


def test_a_table_is_pinned_by_its_card(tmp_path: Path) -> None:
    card = ModelCard("m", "1", "0" * 64, CONFIGS["gmtnet"], (1,))
    path = write_card(card, tmp_path)
    assert load_split_table(path) is None
    table = SplitTable.of({"GaN": "train", "AlN": "test"}, {"gx-1": [Tensor.ELASTIC]})
    write_card(save_split_table(table, path, card), tmp_path)
    read = load_split_table(path)
    assert read is not None and read.parts_of(["GaN", "AlN", "BN"]) == {"GaN": "train", "AlN": "test"}
    write_card(replace(card, split_sha256="1" * 64), tmp_path)
    with pytest.raises(ModelError, match="is not the file that its card describes"):
        load_split_table(path)
    split_table_path(path).unlink()
    with pytest.raises(ModelError, match="is missing beside"):
        load_split_table(path)


@pytest.mark.parametrize("path", card_paths(WEIGHTS_FOLDER), ids=lambda path: path.stem)
def test_every_shipped_model_carries_its_split(path: Path) -> None:
    table = load_split_table(find_checkpoint(path.stem))
    assert table is not None
    counts = np.bincount(table.parts, minlength=3)
    # four fifths are trained on, a tenth each calibrates and tests
    assert counts.sum() > 5000 and 0.75 < counts[0] / counts.sum() < 0.85
