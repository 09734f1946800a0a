"""Held-out binaries: errors of logarithms on made-up labels, only of the part and kind that count."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.evaluation.scoreboard.binaries import FILE, LN_G, LN_K, K, binaries_table, read_binaries
from gmt_tasks.evaluation.scoreboard.board import BoardTable, Origin
from gmt_tasks.evaluation.scoreboard.own_models import ALL, UNSEEN, Wanted, predict_numbers
from gmt_tasks.labels.files import Split
from models.errors import SourceError
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.evaluation.scoreboard.own_toy import toy_model

CRYSTALS = textbook_crystals().crystals
FACTORS = {LN_K: 1.2, LN_G: 0.5}


def label_rows(kind: str = "moduli_vrh", split: str = "test") -> list[dict[str, object]]:
    """Labels that are the toy model's moduli times known factors."""
    values = predict_numbers(toy_model(), CRYSTALS, (Wanted.K_VRH, Wanted.G_VRH)).values
    rows: list[dict[str, object]] = []
    for k in range(CRYSTALS.n_crystals):
        atoms = slice(CRYSTALS.first_atom[k], CRYSTALS.first_atom[k + 1])
        keys = ("K_vrh", "G_vrh") if kind == "moduli_vrh" else ("K", "G")
        moduli = (FACTORS[LN_K] * values[Wanted.K_VRH][k], FACTORS[LN_G] * values[Wanted.G_VRH][k])
        rows.append(
            {"id": f"made-{k}", "source": "made up", "formula": CRYSTALS.formulas()[k], "unit": "GPa", "kind": kind}
            | {"lattice": CRYSTALS.lattice[k].tolist(), "species": CRYSTALS.numbers[atoms].tolist(), "split": split}
            | {"frac_coords": CRYSTALS.frac_coords[atoms].tolist(), **dict(zip(keys, moduli, strict=True))}
        )
    return rows


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    """A label file."""
    path = folder / FILE
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> BoardTable:
    folder = tmp_path_factory.mktemp("labels")
    write(folder, [*label_rows(), *label_rows(split="train")[:3], *label_rows("moduli_aflow")[:3]])
    return binaries_table(folder, [toy_model({CRYSTALS.formulas()[0]: "train"}), toy_model({})])


def test_only_test_labels_of_the_kind_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, [*label_rows()[:4], *label_rows(split="val")[:2], *label_rows("moduli_aflow")[:3]])
    binaries = read_binaries(path, Split.TEST)
    assert binaries.crystals.n_crystals == len(binaries.k_gpa) == len(binaries.g_gpa) == 4
    np.testing.assert_allclose(binaries.k_gpa, [row["K_vrh"] for row in label_rows()[:4]])
    with pytest.raises(SourceError, match="train part"):
        read_binaries(path, Split.TRAIN)


def test_figures_are_logarithms_of_the_factors(table: BoardTable) -> None:
    ours = [row for row in table.rows if row.origin is Origin.OURS]
    for row in ours:
        for name, factor in FACTORS.items():
            assert row.figures[name].value == pytest.approx(abs(math.log(factor)))
    values = predict_numbers(toy_model(), CRYSTALS, (Wanted.K_VRH,)).values[Wanted.K_VRH]
    [whole] = [row for row in ours if row.subset.startswith(ALL)]
    assert whole.figures[K].value == pytest.approx(0.2 * values.mean()), "label minus a label over 1.2"
    # the second model saw nothing, so that all crystals and the never seen ones are the same
    n_known = CRYSTALS.formulas().count(CRYSTALS.formulas()[0])
    assert sorted(row.subset for row in ours) == [f"{ALL}, {n_known} known", UNSEEN, UNSEEN]
    assert {row.n for row in ours if row.subset == UNSEEN} == {
        CRYSTALS.n_crystals,
        sum(formula != CRYSTALS.formulas()[0] for formula in CRYSTALS.formulas()),
    }


def test_published_figures_of_potentials_say_that_the_crystals_are_others(table: BoardTable) -> None:
    quoted = {row.predictor: row for row in table.rows if row.origin is Origin.QUOTED}
    assert quoted["TensorNet on OMat24"].figures[LN_G].value == 0.38
    assert {(row.subset, row.n) for row in quoted.values()} == {("all binaries", 3959)}
    assert any("Crystals and task differ" in note for note in table.notes)


def test_without_labels_the_row_says_where_they_should_be(tmp_path: Path) -> None:
    missing = [row for row in binaries_table(tmp_path, [toy_model()]).rows if row.origin is Origin.MISSING]
    assert len(missing) == 1 and "--data" in missing[0].note


@pytest.mark.parametrize("line", ["{", "[]", '{"kind": "moduli_vrh", "split": "test"}'])
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / FILE
    path.write_bytes(gzip.compress(f"{line}\n".encode()))
    with pytest.raises(SourceError, match="line 1"):
        read_binaries(path, Split.TEST)
