"""Matbench: the published folds, the tables of its data sets, contributions and our models on made-up files."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmt_tasks.evaluation.scoreboard.board import BoardTable, Origin
from gmt_tasks.evaluation.scoreboard.matbench import (
    MAE,
    RMSE,
    SPREAD,
    TASKS,
    MatbenchTask,
    fold_figures,
    folds,
    matbench_tables,
    read_data,
    row_ids,
)
from gmt_tasks.evaluation.scoreboard.own_models import ALL, UNSEEN, Wanted, predict_numbers
from gmt_tasks.evaluation.scoreboard.quoted import MATBENCH_FIGURES
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import SourceError
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.evaluation.scoreboard.own_toy import toy_model

CRYSTALS = textbook_crystals().crystals
KVRH = TASKS[0]
PUBLISHED = {
    "matbench_log_kvrh": ["mb-log-kvrh-00006", "mb-log-kvrh-00010", "mb-log-kvrh-00040"],
    "matbench_log_gvrh": ["mb-log-gvrh-00006", "mb-log-gvrh-00010", "mb-log-gvrh-00040"],
    "matbench_dielectric": ["mb-dielectric-0008", "mb-dielectric-0010", "mb-dielectric-0019"],
}
"""First test ids of fold_0 in matbench_v0.1_validation.json of the package matbench 0.6."""


def structure(crystals: CrystalBatch, row: int) -> dict[str, Any]:
    """A crystal as pymatgen's Structure.as_dict() writes it."""
    atoms = slice(crystals.first_atom[row], crystals.first_atom[row + 1])
    sites = [
        {"species": [{"element": SYMBOLS[z], "occu": 1}], "abc": abc.tolist(), "label": SYMBOLS[z], "properties": {}}
        for z, abc in zip(crystals.numbers[atoms], crystals.frac_coords[atoms], strict=True)
    ]
    names = {"@module": "pymatgen.core.structure", "@class": "Structure", "charge": 0}
    return names | {"lattice": {"matrix": crystals.lattice[row].tolist()}, "sites": sites}


def write_data(folder: Path, task: MatbenchTask, targets: list[Any], crystals: CrystalBatch = CRYSTALS) -> Path:
    """A data set as matminer stores it."""
    rows = [[structure(crystals, row), target] for row, target in enumerate(targets)]
    table = {"index": list(range(len(rows))), "columns": ["structure", task.column], "data": rows}
    path = folder / f"{task.name}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(table).encode()))
    return path


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_folds_are_the_published_ones(task: MatbenchTask) -> None:
    ids = row_ids(task, task.n_rows)
    assert [ids[row] for row in folds(task.n_rows)[0][:3]] == PUBLISHED[task.name]


@pytest.mark.parametrize("n_rows", [5, 9, 4764, 10987])
def test_folds_are_those_of_scikit_learn_and_share_the_rows_out(n_rows: int) -> None:
    from sklearn.model_selection import KFold

    own = folds(n_rows)
    for rows, (_, test) in zip(own, KFold(5, shuffle=True, random_state=18012019).split(np.zeros(n_rows)), strict=True):
        np.testing.assert_array_equal(rows, test)
    assert sorted(np.concatenate(own).tolist()) == list(range(n_rows))
    other = [test for _, test in KFold(5, shuffle=True, random_state=18012018).split(np.zeros(n_rows))]
    assert n_rows < 10 or not np.array_equal(own[0], other[0]), "negative control: another seed"


def test_a_data_set_is_read_row_by_row(tmp_path: Path) -> None:
    n = CRYSTALS.n_crystals
    targets: list[Any] = [float(k) for k in range(n)]
    targets[2] = None
    data = read_data(KVRH, write_data(tmp_path, KVRH, targets))
    assert data.rows.tolist() == list(range(n)) and np.flatnonzero(np.isnan(data.target)).tolist() == [2]
    np.testing.assert_allclose(data.crystals.lattice, CRYSTALS.lattice)
    np.testing.assert_array_equal(data.crystals.numbers, CRYSTALS.numbers)


def test_a_row_without_a_crystal_keeps_its_place(tmp_path: Path) -> None:
    path = write_data(tmp_path, KVRH, [1.0] * CRYSTALS.n_crystals)
    table = json.loads(gzip.decompress(path.read_bytes()))
    table["data"][1][0]["sites"][0]["species"][0]["element"] = "Zz"
    path.write_bytes(gzip.compress(json.dumps(table).encode()))
    data = read_data(KVRH, path)
    assert data.rows.tolist() == [0, *range(2, CRYSTALS.n_crystals)] and len(data.target) == CRYSTALS.n_crystals


@pytest.mark.parametrize("text", ["[]", "{}", '{"columns": ["structure", "other"], "data": [], "index": []}', "{"])
def test_a_file_that_is_no_data_set_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "matbench_log_kvrh.json.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(SourceError, match="matbench_log_kvrh"):
        read_data(KVRH, tmp_path / "matbench_log_kvrh.json.gz")


def test_figures_are_means_over_folds() -> None:
    target, rng = np.zeros(23), np.random.default_rng(0)
    predicted = rng.normal(size=23)
    predicted[4] = np.nan
    figures, n_scored = fold_figures(predicted, target, np.ones(23, dtype=bool))
    means = [np.nanmean(np.abs(predicted[rows])) for rows in folds(23)]
    assert n_scored == 22
    assert figures[MAE].value == pytest.approx(sum(means) / 5)
    assert figures[SPREAD].value == pytest.approx(np.std(means))
    assert figures[RMSE].value == pytest.approx(
        np.mean([np.sqrt(np.nanmean(predicted[rows] ** 2)) for rows in folds(23)])
    )
    assert math.isnan(fold_figures(predicted, target, np.zeros(23, dtype=bool))[0][MAE].value)


def write_results(folder: Path, name: str, by_fold: dict[str, Any]) -> None:
    """A contribution as Matbench's repository has it."""
    path = folder / "benchmarks" / f"matbench_v0.1_{name}" / "results.json.gz"
    path.parent.mkdir(parents=True)
    results = {key: {"data": numbers, "scores": {"mae": 0.0}} for key, numbers in by_fold.items()}
    path.write_bytes(gzip.compress(json.dumps({"tasks": {KVRH.name: {"results": results}}}).encode()))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> BoardTable:
    """A data set whose targets are what the toy model says, plus 0.25, and contributions."""
    folder = tmp_path_factory.mktemp("matbench")
    values = predict_numbers(toy_model(), CRYSTALS, (Wanted.K_VRH,)).values[Wanted.K_VRH]
    target = np.log10(values) + 0.25
    write_data(folder, KVRH, target.tolist())
    ids = row_ids(KVRH, len(target))
    exact = {f"fold_{k}": {ids[row]: target[row] + 0.5 for row in rows} for k, rows in enumerate(folds(len(target)))}
    write_results(folder, "shifted", exact)
    write_results(folder, "wrong_folds", {f"fold_{k}": exact[f"fold_{(k + 1) % 5}"] for k in range(5)})
    write_results(folder, "short", {"fold_0": {}})
    write_results(folder, "alignn", exact)
    write_results(folder / "other", "shifted", {key: dict.fromkeys(fold, 9.0) for key, fold in exact.items()})
    write_results(folder, "absurd", exact | {"fold_0": {ids[0]: 1e200}})
    (folder / "benchmarks" / "folder" / "results.json.gz").mkdir(parents=True)
    known = {CRYSTALS.formulas()[0]: "train"}
    return matbench_tables([KVRH], folder, [toy_model(known)])[0]


def test_our_model_is_scored_on_the_test_rows_of_every_fold(table: BoardTable) -> None:
    ours = {row.subset.partition(",")[0]: row for row in table.rows if row.origin is Origin.OURS}
    assert ours[ALL].n == CRYSTALS.n_crystals
    assert ours[UNSEEN].n == sum(formula != CRYSTALS.formulas()[0] for formula in CRYSTALS.formulas())
    for row in ours.values():
        assert row.figures[MAE].value == pytest.approx(0.25)
    assert any("rows, the published one 10,987" in note for note in table.notes)


def test_contributions_are_scored_again_fold_by_fold(table: BoardTable) -> None:
    rows = {row.predictor: row for row in table.rows}
    assert rows["shifted"].figures[MAE].value == pytest.approx(0.5)
    assert (rows["shifted"].origin, rows["shifted"].n, rows["shifted"].note) == (
        Origin.RESCORED,
        CRYSTALS.n_crystals,
        "",
    )
    assert rows["wrong_folds"].n == 0 and "outside of their fold" in rows["wrong_folds"].note
    assert rows["short"].origin is Origin.MISSING and "no contribution" in rows["short"].note


def test_two_contributions_of_one_name_stand_both_and_absurd_ones_are_lines(table: BoardTable) -> None:
    rows = {row.predictor: row for row in table.rows}
    assert rows["shifted"].figures[MAE].value == pytest.approx(0.5)
    assert rows["shifted (other/benchmarks/matbench_v0.1_shifted)"].figures[MAE].value > 1.0
    assert "1 predictions such as '1e+200'" in rows["absurd"].note
    assert "is no file" in rows["folder"].note


def test_a_broken_data_set_is_a_line_and_costs_no_other_table(tmp_path: Path) -> None:
    (tmp_path / f"{KVRH.name}.json.gz").write_bytes(b"")
    write_data(tmp_path, TASKS[1], [1.0] * CRYSTALS.n_crystals)
    broken, whole = matbench_tables(TASKS[:2], tmp_path, [toy_model()])
    assert [row.note for row in broken.rows if row.note.startswith("not scored: matbench_log_kvrh")]
    assert any(row.origin is Origin.OURS for row in whole.rows)


def test_published_figures_stand_beside_them_as_quoted(table: BoardTable) -> None:
    quoted = {row.predictor: row for row in table.rows if row.origin is Origin.QUOTED}
    assert quoted.keys() == {figure.name for figure in MATBENCH_FIGURES[KVRH.name]} - {"ALIGNN"}
    assert [row.origin for row in table.rows if row.predictor == "ALIGNN"] == [Origin.RESCORED], "once, scored here"
    assert quoted["coNGN"].figures[MAE].value == 0.0491 and quoted["coNGN"].n is None


def test_without_a_folder_our_models_have_no_figure_and_say_why() -> None:
    rows = matbench_tables([KVRH], None, [toy_model()])[0].rows
    missing = [row for row in rows if row.origin is Origin.MISSING]
    assert [row.predictor for row in missing] == ["our models"] and "matbench_log_kvrh.json.gz" in missing[0].note
