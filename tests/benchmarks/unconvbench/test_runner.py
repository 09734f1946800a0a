"""UnconvBench's files are read as its code writes them, or refused with a reason, and run to a table."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from benchmarks.unconvbench.__main__ import main
from benchmarks.unconvbench.tasks import FOLDS_FILE, TaskError, find_tasks, official_folds, read_folds, read_task
from models.gmtnet.config import CONFIGS, GMTNET_LONG_RANGE

NAME = "unconvbench_made_up"
SMALL = replace(
    GMTNET_LONG_RANGE,
    channels=8,
    n_comformer=1,
    n_radial=8,
    edge_channels=8,
    message_irreps=("4x0e+2x1o",),
    hidden_irreps="4x0e+2x1o",
    coupling_channels=2,
    attention_heads=2,
    l_max=1,
)


def entries(n: int = 12) -> list[list[Any]]:
    """Rock salt of different sizes, as pymatgen writes it, labelled with its edge in angstrom."""
    edges = np.linspace(4.0, 6.0, n)
    return [[Structure(Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3]).as_dict(), float(a)] for a in edges]


def splits(n: int) -> dict[str, Any]:
    """Folds as the benchmark's own code writes them."""
    width = len(str(n))
    names = [f"{NAME}-{str(k + 1).rjust(width, '0')}" for k in range(n)]
    folds = {}
    for fold in official_folds(n):
        folds[fold.name] = {"train": [names[k] for k in fold.train], "test": [names[k] for k in fold.test]}
    return folds


def write(folder: Path, rows: list[list[Any]], folds: dict[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    data = {"columns": ["structure", "target"], "data": rows}
    (folder / f"ub_{NAME}.json").write_text(json.dumps(data), encoding="utf-8")
    if folds is not None:
        content = {"metadata": {"n_split": 5}, "splits": {NAME: folds}}
        (folder / FOLDS_FILE).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, "gmtnet-long-range", SMALL)


def test_the_folds_are_those_of_scikit_learn() -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    for n in (11, 530, 1058):
        expected = model_selection.KFold(5, random_state=42, shuffle=True).split(np.arange(n))
        for fold, (train, test) in zip(official_folds(n), expected, strict=True):
            assert np.array_equal(fold.train, train)
            assert np.array_equal(fold.test, test)


def test_every_entry_is_predicted_once_over_the_folds() -> None:
    folds = official_folds(53)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(53))
    assert all(len(np.intersect1d(fold.train, fold.test)) == 0 for fold in folds)


def test_a_task_has_ids_labels_and_crystals(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", entries(), splits(12))
    task = read_task(NAME, find_tasks(folder)[NAME], 100)
    assert task.ids[0] == f"{NAME}-01"
    assert task.ids[-1] == f"{NAME}-12"
    assert np.allclose(task.crystals.lattice[:, 0, 0], task.labels)
    assert not task.refused
    for fold, made in zip(read_folds(folder, task), official_folds(12), strict=True):
        assert np.array_equal(fold.test, made.test)


def test_gzipped_tasks_and_folders_without_folds_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", entries())
    plain = folder / f"ub_{NAME}.json"
    (folder / f"ub_{NAME}.json.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    task = read_task(NAME, find_tasks(folder)[NAME], 100)
    assert len(read_folds(folder, task)) == 5


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    structure = json.loads(json.dumps(entries(1)[0][0]))
    change(structure)
    return structure


def test_entries_that_are_no_crystals_are_refused_one_by_one(tmp_path: Path) -> None:
    half = [{"element": "Na", "occu": 0.5}, {"element": "K", "occu": 0.5}]
    rows = entries()
    rows[0][0] = broken(lambda s: s["sites"][0].update(species=half))
    rows[1][0] = broken(lambda s: s.pop("lattice"))
    rows[2][1] = None
    rows[3][0] = broken(lambda s: s["sites"][1].update(abc=[0, 0, 0]))
    rows[4] = rows[4][:1]
    task = read_task(NAME, find_tasks(write(tmp_path / "data", rows))[NAME], 100)
    assert list(task.refused) == [0, 1, 2, 3, 4]
    assert [task.refused[k].partition(":")[0] for k in range(5)] == ["disordered", "parse", "label", "overlap", "parse"]
    assert task.entries.tolist() == list(range(5, 12))
    too_large = read_task(NAME, find_tasks(write(tmp_path / "data", rows))[NAME], 2)
    assert len(too_large.entries) == 7
    with pytest.raises(TaskError, match="none of 12 entries is usable"):
        read_task(NAME, find_tasks(write(tmp_path / "data", rows))[NAME], 1)


def without_test(folds: dict[str, Any]) -> None:
    del folds["fold_0"]["test"]


def unknown_id(folds: dict[str, Any]) -> None:
    folds["fold_0"]["train"].append("unconvbench_other-0001")


def twice_in_test(folds: dict[str, Any]) -> None:
    folds["fold_0"]["test"].append(folds["fold_0"]["test"][0])


def outside_of_the_folder(folds: dict[str, Any]) -> None:
    folds["../../fold"] = folds.pop("fold_0")


def on_both_sides(folds: dict[str, Any]) -> None:
    folds["fold_0"]["train"].append(folds["fold_0"]["test"][0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_test, "fold_0 has no lists train and test"),
        (unknown_id, "1 ids of fold_0 are not among the 12 of its file, the first unconvbench_other-0001"),
        (twice_in_test, "fold_0: .* occurs more than once in its test part; list each id once"),
        (outside_of_the_folder, "has a fold '../../fold': name it with letters"),
        (on_both_sides, "1 entries of fold_0 are learned from and predicted"),
        (dict.clear, "has no splits of"),
    ],
)
def test_folds_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    folds = splits(12)
    change(folds)
    folder = write(tmp_path / "data", entries(), folds)
    task = read_task(NAME, find_tasks(folder)[NAME], 100)
    with pytest.raises(TaskError, match=sentence):
        read_folds(folder, task)


@pytest.mark.parametrize("text", ["{", "[]", '{"data": []}', '{"columns": ["a", "b"], "data": 3}'])
def test_files_of_another_format_are_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ub_other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TaskError, match="ub_other.json (is no task|cannot be read)"):
        read_task("other", path, 100)


@pytest.mark.usefixtures("small_network")
def test_a_run_prints_errors_and_keeps_predictions_in_the_benchmarks_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = entries()
    rows[7][1] = "unknown"
    folder = write(tmp_path / "data", rows, splits(12))
    options = ["--epochs", "1", "--folds", "0", "1", "--out", str(tmp_path / "runs"), "--json"]
    assert main([str(folder), "--task", "made_up", *options]) == 0
    printed = capsys.readouterr()
    (report,) = json.loads(printed.out)
    assert "1 of 12 entries" in printed.err
    recorded = json.loads(Path(report["predictions"]).read_text(encoding="utf-8"))[NAME]
    labels = {f"{NAME}-{k + 1:02d}": row[1] for k, row in enumerate(rows)}
    for row, fold in zip(report["folds"], ("fold_0", "fold_1"), strict=True):
        expected = [labels[name] for name in splits(12)[fold]["test"]]
        errors = [abs(p - y) for p, y in zip(recorded[fold], expected, strict=True) if not isinstance(y, str)]
        assert row["mae"] == pytest.approx(np.mean(errors))
    assert main([str(folder), *options[:-1]]) == 0
    assert f"| mean | | | {report['mae']:.4g} |" in capsys.readouterr().out


@pytest.mark.usefixtures("small_network")
def test_bad_usage_is_one_line_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    folder = write(tmp_path / "data", entries())
    assert main([str(folder), "--task", "qmof"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "holds no file" in said[0]
    assert f"Known are {NAME}" in said[1]
    assert main([str(folder), "--folds", "9", "--out", str(tmp_path / "runs")]) == 1
    assert "folds are 0 to 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--epochs", "0"], "--epochs is 0: give 1 or more"),
        (["--seed", "-1"], "--seed is -1"),
        (["--device", "cuda"], "torch finds no GPU"),
        (["--out", "FILE/runs"], "cannot be made a folder"),
    ],
)
def test_options_that_no_task_can_run_with_end_with_2(
    tmp_path: Path,
    options: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").touch()
    folder = write(tmp_path / "data", entries())
    options = [option.replace("FILE", str(tmp_path / "file")) for option in options]
    assert main([str(folder), "--out", str(tmp_path / "runs"), *options]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert sentence in said


def test_labels_beyond_all_quantities_are_refused_each_with_a_line(tmp_path: Path) -> None:
    rows = entries()
    for entry, label in enumerate([10**400, 1e300, float("nan"), -1e13]):
        rows[entry][1] = label
    task = read_task(NAME, find_tasks(write(tmp_path / "data", rows))[NAME], 100)
    assert list(task.refused) == [0, 1, 2, 3]
    assert all("is no finite number up to 1e+12" in why for why in task.refused.values())


def test_two_files_of_one_task_are_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", entries())
    (folder / f"ub_{NAME}.json.gz").touch()
    with pytest.raises(TaskError, match=f"ub_{NAME}.json and ub_{NAME}.json.gz are two files of one task"):
        find_tasks(folder)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("unlabelled", [False, True])
def test_a_fold_without_labels_in_a_part_is_refused(
    tmp_path: Path, part: str, unlabelled: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folds, rows = splits(12), entries()
    if unlabelled:
        for name in folds["fold_1"][part]:
            rows[int(name[-2:]) - 1][1] = None
    else:
        folds["fold_1"][part] = []
    folder = write(tmp_path / "data", rows, folds)
    assert main([str(folder), "--folds", "1", "--out", str(tmp_path / "runs")]) == 1
    assert f"the {part} part of fold_1 has" in capsys.readouterr().err


@pytest.mark.usefixtures("small_network")
def test_a_later_fold_keeps_the_predictions_of_an_earlier_one(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "data", entries(), splits(12)), tmp_path / "runs"
    file = out / "gmtnet-long-range" / NAME / "predictions.json"
    kept = []
    for fold in ("0", "1"):
        assert main([str(folder), "--epochs", "1", "--folds", fold, "--out", str(out)]) == 0
        kept.append(json.loads(file.read_text(encoding="utf-8"))[NAME])
    assert list(kept[1]) == ["fold_0", "fold_1"]
    assert kept[1]["fold_0"] == kept[0]["fold_0"]


def fold_anew(rows: list[list[Any]], folds: dict[str, Any]) -> None:
    folds["fold_0"], folds["fold_1"] = folds["fold_1"], folds["fold_0"]


def label_anew(rows: list[list[Any]], folds: dict[str, Any]) -> None:
    rows[int(folds["fold_0"]["train"][0][-2:]) - 1][1] += 1.0


def other_structure(rows: list[list[Any]], folds: dict[str, Any]) -> None:
    entry = int(folds["fold_0"]["train"][0][-2:]) - 1
    rows[entry][0] = Structure(Lattice.cubic(7.0), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3]).as_dict()


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize("change", [fold_anew, label_anew, other_structure])
def test_weights_of_other_crystals_labels_or_folds_are_not_taken(
    tmp_path: Path,
    change: Callable[[list[list[Any]], dict[str, Any]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, folds = entries(), splits(12)
    options = ["--epochs", "1", "--folds", "0", "--out", str(tmp_path / "runs")]
    assert main([str(write(tmp_path / "data", rows, folds)), *options]) == 0
    change(rows, folds)
    folder = write(tmp_path / "data", rows, folds)
    capsys.readouterr()
    assert main([str(folder), *options]) == 1
    assert "another configuration (crystals and labels). Give another --out" in capsys.readouterr().err
    assert main([str(folder), *options[:-1], str(tmp_path / "other")]) == 0
