"""Folds: every formula of train and val is judged once, by a model that knew nothing of it; the test part never."""

import gzip
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accuracy.cross_validation import APART, N_FOLDS, document, figures_of, part_of, write_fold
from gmt_tasks.training.config import TrainingConfig

FORMULAS = st.lists(st.sampled_from(["Al", "N", "O", "Ga", "Pb"]), min_size=1, max_size=3, unique=True).map("".join)


def row(formula: str, split: str) -> dict[str, Any]:
    return {"formula": formula, "split": split}


@given(formula=FORMULAS, split=st.sampled_from(["train", "val"]))
def test_a_formula_is_judged_in_one_fold_and_only_there(formula: str, split: str) -> None:
    parts = [part_of(row(formula, split), fold) for fold in range(N_FOLDS)]
    assert parts.count("test") == 1
    # what it was in the files plays no part, nor how its formula is written
    assert parts == [part_of(row(formula, "train"), fold) for fold in range(N_FOLDS)]
    others = {part for part in parts if part != "test"}
    assert len(others) == 1 and others <= {"train", "val"}


def test_formulas_are_dealt_evenly_and_written_in_any_order_to_the_same_fold() -> None:
    parts = [part_of(row(f"Al{n}N", "train"), 0) for n in range(1, 1001)]
    assert 150 < parts.count("test") < 250 and 50 < parts.count("val") < 120
    assert part_of(row("NAl", "train"), 3) == part_of(row("AlN", "train"), 3)


@given(formula=FORMULAS)
def test_the_test_part_is_neither_learned_nor_judged(formula: str) -> None:
    assert {part_of(row(formula, "test"), fold) for fold in range(N_FOLDS)} == {APART}


def test_the_folder_of_a_fold_changes_parts_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [row(f"Al{n}N", "train") | {"K_vrh": n} for n in range(1, 9)] + [row("AlP", "test") | {"K_vrh": 0}]
    with gzip.open(data / "moduli.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(one) + "\n" for one in rows)
    (data / "candidates.parquet").write_bytes(b"crystals")
    for fold in range(2):
        write_fold(data, tmp_path / str(fold), fold)
        with gzip.open(tmp_path / str(fold) / "moduli.jsonl.gz", "rt") as lines:
            found = [json.loads(line) for line in lines]
        assert [one["split"] for one in found] == [part_of(one, fold) for one in rows]
        assert [one | {"split": ""} for one in found] == [one | {"split": ""} for one in rows]
        assert (tmp_path / str(fold) / "candidates.parquet").read_bytes() == b"crystals"


def test_the_document_has_the_mean_and_spread_of_what_was_judged_on_the_fold_alone(tmp_path: Path) -> None:
    cards = []
    for fold, spearman in enumerate((0.6, 0.7, 0.8)):
        judged = {"property": "e_norm_c_per_m2", "predictor": "model", "n": 10, "mae": 1.0, "median_relative": 0.5}
        of = [judged | {"split": split, "spearman": value} for split, value in (("val", 0.99), ("test", spearman))]
        of += [judged | {"split": "test", "predictor": "one member", "spearman": spearman - 0.1}]
        covered = {"quantity": "e_norm_c_per_m2", "system": "all", "split": "test", "n": 10, "coverage": 80 + 10 * fold}
        signs = [{"split": "test", "n": 4, "right": 3}]
        metrics = {"tensors": [], "properties": of, "coverage": [covered], "error_rankings": []}
        cards.append(tmp_path / f"{fold}.json")
        cards[-1].write_text(json.dumps({"metrics": metrics | {"breakdown": {"signs": signs}}}), encoding="utf-8")
    text = document([figures_of(card) for card in cards], TrainingConfig(epochs=3), 2)
    row = "| `e_norm_c_per_m2` | 30 | 1.00 ± 0.00 | 0.500 ± 0.000 | 0.700 ± 0.100 | 0.600 ± 0.100 | 90.0 ± 10.0 |"
    assert row in text.splitlines()
    assert "fold by fold: 0.600, 0.700, 0.800" in text
    assert "75.0 ± 0.0 % of the 12 labels" in text
