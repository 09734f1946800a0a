"""Our models on JARVIS's test crystals: the same crystals, the same numbers, and formulas that a model knows apart."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmt_tasks.evaluation.scoreboard.board import BoardTable, Origin
from gmt_tasks.evaluation.scoreboard.jarvis import Benchmark, best_contribution, jarvis_table, read_benchmark
from gmt_tasks.evaluation.scoreboard.jarvis_models import find_list, read_crystals, with_our_models
from gmt_tasks.evaluation.scoreboard.number_scores import MAE
from gmt_tasks.evaluation.scoreboard.own_models import ALL, UNSEEN, Wanted, predict_numbers
from models.errors import SourceError
from models.quantities import Tensor
from models.tensors.voigt import to_printed
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.evaluation.scoreboard.leaderboard_files import KV, write_benchmark, write_contribution
from tests.gmt_tasks.evaluation.scoreboard.own_toy import VERSION, toy_model
from tests.gmt_tasks.sources.remote.jarvis_files import jarvis_atoms

CRYSTALS = textbook_crystals().crystals
FORMULAS = CRYSTALS.formulas()
IDS = [f"JVASP-{k}" for k in range(CRYSTALS.n_crystals)]


def records() -> list[dict[str, Any]]:
    """The list as JARVIS publishes it, with a record of no crystal and one of another id."""
    rows = [{"jid": name, "atoms": jarvis_atoms(CRYSTALS, k), "formula": "X"} for k, name in enumerate(IDS)]
    return [{"jid": "JVASP-900", "atoms": {"lattice_mat": 3}}, *rows, {"jid": "JVASP-901", "atoms": rows[0]["atoms"]}]


def write_list(folder: Path, value: Any, *, packed: bool = True) -> Path:
    """The list in a folder, as text or in a zip."""
    text = json.dumps(value)
    path = folder / f"jdft_3d-1-1-2030.json{'.zip' if packed else ''}"
    if not packed:
        path.write_text(text)
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jdft_3d-1-1-2030.json", text)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_the_wanted_crystals_are_read_and_no_others(tmp_path: Path, packed: bool) -> None:
    path = write_list(tmp_path, records(), packed=packed)
    assert find_list(tmp_path) == path
    read = read_crystals(path, {*IDS[:5], "JVASP-900"})
    assert set(read.place) == set(IDS[:5]) and read.n_unreadable == 1
    for name, row in read.place.items():
        own = CRYSTALS.select([IDS.index(name)])
        np.testing.assert_allclose(read.crystals.select([row]).lattice, own.lattice)
        np.testing.assert_array_equal(read.crystals.select([row]).numbers, own.numbers)


@pytest.mark.parametrize("value", [{"a": 1}, [1], "text"])
def test_a_file_that_is_no_list_of_records_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SourceError):
        read_crystals(write_list(tmp_path, value), set(IDS))


def test_a_list_that_unpacks_without_end_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "jdft_3d-bomb.json.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jdft_3d-bomb.json", "[" + " " * (60 << 20) + "]")
    with pytest.raises(SourceError, match="unpacks to more than"):
        read_crystals(path, set(IDS))


def boards(folder: Path, parts: dict[str, str] | None) -> BoardTable:
    """The table of a task whose truth is what the toy model says, shifted by 3 GPa."""
    truth = predict_numbers(toy_model(), CRYSTALS, (Wanted.K_VOIGT,)).values[Wanted.K_VOIGT] + 3.0
    test = dict(zip(IDS, truth.tolist(), strict=True)) | {"JVASP-77777": 1.0}
    benchmark: Benchmark = read_benchmark(write_benchmark(folder, test))
    table = jarvis_table(KV, benchmark, folder)
    crystals = read_crystals(write_list(folder, records()), set(test))
    return with_our_models(table, KV, benchmark, [toy_model(parts)], crystals)


def test_a_model_is_scored_on_all_crystals_and_on_formulas_it_never_saw(tmp_path: Path) -> None:
    known = {FORMULAS[0]: "train", FORMULAS[1]: "val", FORMULAS[2]: "test"}
    n_known = sum(formula in FORMULAS[:2] for formula in FORMULAS)
    rows = {row.subset: row for row in boards(tmp_path, known).rows}
    assert {name: row.n for name, row in rows.items()} == {
        f"{ALL}, {n_known} known": len(IDS),
        UNSEEN: len(IDS) - n_known,
    }
    for row in rows.values():
        assert (row.predictor, row.origin, row.sha256) == ("toy@1", Origin.OURS, VERSION.sha256)
        assert row.figures[MAE].value == pytest.approx(3.0), "a wrong pairing of ids would show here"
        assert row.note.startswith("1 without a number")


def test_a_model_without_a_table_has_seen_everything(tmp_path: Path) -> None:
    rows = {row.subset: row for row in boards(tmp_path, None).rows}
    assert {name: row.n for name, row in rows.items()} == {f"{ALL}, {len(IDS)} known": len(IDS), UNSEEN: 0}


def test_the_best_contribution_is_scored_on_the_same_crystals(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_benchmark(tmp_path, dict.fromkeys([*IDS, "JVASP-77777"], 10.0)))
    # best on the whole, by the id that no crystal of ours has; on our crystals it is off by 2
    for name, error, elsewhere in (("good", 2.0, 0.0), ("bad", 1.0, 1e4)):
        rows = [(each, 10.0 + error) for each in IDS]
        write_contribution(tmp_path, name, [*rows, ("JVASP-77777", 10.0 + elsewhere)])
    best = best_contribution(KV, benchmark, tmp_path)
    assert best is not None and best.name == "good"
    crystals = read_crystals(write_list(tmp_path, records()), set(IDS))
    table = with_our_models(jarvis_table(KV, benchmark, tmp_path), KV, benchmark, [toy_model({})], crystals, best)
    notes = {row.note for row in table.rows if row.origin is Origin.OURS}
    assert notes and all(note.endswith(f"on the same crystals good has an MAE of 2 (n = {len(IDS)})") for note in notes)


def test_without_structures_the_row_says_what_is_missing(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_benchmark(tmp_path, {"a": 1.0}))
    table = with_our_models(jarvis_table(KV, benchmark, tmp_path), KV, benchmark, [toy_model()], None)
    assert [(row.origin, dict(row.figures)) for row in table.rows] == [(Origin.MISSING, {})]
    assert "jdft_3d" in table.rows[0].note


def test_every_number_is_what_an_independent_formula_gives() -> None:
    numbers = predict_numbers(toy_model(), CRYSTALS, tuple(Wanted))
    prediction = toy_model().screener.predict(CRYSTALS)
    tensors = prediction.derived.prediction.tensors
    stiffness, electronic = tensors[Tensor.ELASTIC], tensors[Tensor.DIELECTRIC_ELECTRONIC]
    assert numbers.n_refused == 0
    c = stiffness
    k_voigt = (c[:, 0, 0] + c[:, 1, 1] + c[:, 2, 2] + 2 * (c[:, 0, 1] + c[:, 0, 2] + c[:, 1, 2])) / 9
    np.testing.assert_allclose(numbers.values[Wanted.K_VOIGT], k_voigt, rtol=1e-8)
    shear = c[:, 0, 0] + c[:, 1, 1] + c[:, 2, 2] - c[:, 0, 1] - c[:, 0, 2] - c[:, 1, 2]
    g_voigt = (shear + 3 * (c[:, 3, 3] + c[:, 4, 4] + c[:, 5, 5])) / 15
    np.testing.assert_allclose(numbers.values[Wanted.G_VOIGT], g_voigt, rtol=1e-8)
    np.testing.assert_allclose(numbers.values[Wanted.EPS_YY], electronic[:, 1, 1])
    mean = np.linalg.eigvalsh(electronic).mean(axis=1)
    np.testing.assert_allclose(numbers.values[Wanted.INDEX] ** 2, mean, rtol=1e-9)
    stress = to_printed(Tensor.PIEZOELECTRIC, tensors[Tensor.PIEZOELECTRIC])
    np.testing.assert_allclose(numbers.values[Wanted.E_MAX], np.abs(stress).max(axis=(1, 2)))
    # d C = e: the strain coefficients give the stress coefficients back
    strain = np.stack([e @ np.linalg.inv(s) for e, s in zip(stress, stiffness, strict=True)])
    np.testing.assert_allclose(numbers.values[Wanted.D_MAX], 1000 * np.abs(strain).max(axis=(1, 2)), atol=1e-8)
