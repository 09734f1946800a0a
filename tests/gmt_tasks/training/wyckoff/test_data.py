"""Real crystals and their parts: no formula in two of them, none that tensors are judged by in training."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.labels.files import read_labels
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from gmt_tasks.training.evaluated_formulas import evaluated_formulas
from gmt_tasks.training.wyckoff import data as wyckoff_data
from gmt_tasks.training.wyckoff.data import Part, RealCrystals, real_crystals
from models.crystals.crystal import CrystalBatch, find_invalid

DATA = Path("../shared/data")


@pytest.fixture(scope="module")
def real() -> RealCrystals:
    """Every twentieth row of the candidates: the search for occupied positions of all takes a minute."""
    if not DATA.is_dir():
        pytest.skip("the label files are not here (../shared/data)")
    read_table, read_texts = wyckoff_data.read_table, wyckoff_data.read_texts

    def some(path: Path, columns: tuple[str, ...]) -> tuple[CrystalBatch, object]:
        batch, found = read_table(path, columns)
        return batch.select(np.arange(0, batch.n_crystals, 20)), found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wyckoff_data, "read_table", some)
        patch.setattr(wyckoff_data, "read_texts", lambda path, name: read_texts(path, name)[::20])
        return real_crystals(DATA, "candidates.parquet")


def formulas_by_part(real: RealCrystals) -> dict[Part, set[str]]:
    formulas: dict[Part, set[str]] = defaultdict(set)
    for formula, part in zip(real.crystals.to_crystals().formulas(), real.part, strict=True):
        formulas[part].add(formula)
    return formulas


@pytest.mark.slow
def test_no_formula_is_in_two_parts_and_all_parts_have_some(real: RealCrystals) -> None:
    formulas = formulas_by_part(real)
    assert set(formulas) == set(Part)
    for first in Part:
        for second in Part:
            assert first == second or not formulas[first] & formulas[second]
    assert sum(len(real.rows(part)) for part in Part) == real.crystals.n_crystals


@pytest.mark.slow
def test_formulas_that_tensor_models_are_judged_by_are_in_the_test_part_alone(real: RealCrystals) -> None:
    judged, formulas = evaluated_formulas(DATA, read_labels(DATA)), formulas_by_part(real)
    assert formulas[Part.TEST] <= judged
    assert not (formulas[Part.TRAIN] | formulas[Part.VAL]) & judged


@pytest.mark.slow
def test_about_a_twentieth_of_the_other_formulas_is_held_out(real: RealCrystals) -> None:
    formulas = formulas_by_part(real)
    n_train, n_val = len(formulas[Part.TRAIN]), len(formulas[Part.VAL])
    assert 0.02 < n_val / (n_train + n_val) < 0.09


@pytest.mark.slow
def test_crystals_are_valid_real_ones_and_each_is_there_once(real: RealCrystals) -> None:
    assert not find_invalid(real.crystals.to_crystals())
    assert len(set(real.ids)) == len(real.ids) == real.crystals.n_crystals


@pytest.mark.parametrize("held_back", [set(), {"ClNa", "MgO"}], ids=["none", "two"])
def test_hypothetical_invalid_and_repeated_rows_are_left_out_and_judged_formulas_are_for_tests(
    held_back: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five rows beside the reference crystals: two of rules, one with overlapping atoms, two that are there already."""
    listed = list(reference_crystals().values())
    crystals = [(one.lattice, one.frac_coords, one.numbers) for one in listed]
    overlapping = (np.eye(3) * 4, np.zeros((2, 3)), np.array([11, 17]))
    rows = [*crystals, crystals[0], crystals[1], overlapping, crystals[0], crystals[1]]
    ids = [one.source_id for one in listed]
    texts = {
        "id": [*ids, "rule-1", "rule-2", "overlapping", ids[0], ids[1]],
        "source": ["mp"] * len(ids) + ["wbm_1", "perov_5", "mp", "mp", "jarvis"],
    }
    monkeypatch.setattr(wyckoff_data, "read_texts", lambda path, name: texts[name])
    batch = CrystalBatch.from_arrays(*zip(*rows, strict=True))
    monkeypatch.setattr(wyckoff_data, "read_table", lambda path, columns: (batch, {}))
    monkeypatch.setattr(wyckoff_data, "read_labels", lambda folder: None)
    monkeypatch.setattr(wyckoff_data, "evaluated_formulas", lambda folder, labels: held_back)
    real = real_crystals(Path("unused"), "unused.parquet")
    assert sorted(real.ids) == sorted(ids)
    parts = formulas_by_part(real)
    assert parts[Part.TEST] == held_back
    assert not parts[Part.TRAIN] & parts[Part.VAL] and len(parts[Part.TRAIN]) > 20
    again = real_crystals(Path("unused"), "unused.parquet")
    assert again.part == real.part
