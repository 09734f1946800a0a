"""Calibration on made-up labels of the toy model: the promise is kept on crystals of the same kind, and only there."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from db.records import ModelVersion
from gmt_tasks.evaluation import calibration as calibration_module
from gmt_tasks.evaluation.calibration import (
    calibrate,
    chance_of_coverage,
    held_out_errors,
    measure_uncertainty,
    reliability_curve,
    selective_curve,
)
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.evaluation.reliability.held_out_widths import HeldOutErrors
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.search import find_symmetry
from models.testing.contract import ToyTensorModel, textbook_crystals
from models.testing.model import ToyEnsemble
from models.uncertainty.conformal import Calibration

VERSION = ModelVersion("toy", "1", "0" * 64)
N_COPIES = 40


def write_noisy_labels(folder: Path, *, noise: float, test_noise: float) -> Path:
    """Toy tensors of 400 crystals, each times a random factor: half of them val, half test."""
    rng = np.random.default_rng(0)
    books = textbook_crystals().crystals
    batch = CrystalBatch.join(replace(books, lattice=books.lattice * f) for f in rng.uniform(0.96, 1.05, N_COPIES))
    symmetry = find_symmetry(batch)
    tensors = {q: symmetry.project(q, t[0]) for q, t in ToyTensorModel().predict(batch).items()}
    lines: dict[str, list[str]] = {"dielectric.jsonl": [], "piezoelectric.jsonl": [], "elastic.jsonl": []}
    for k in range(batch.n_crystals):
        one, split = batch.select([k]), ("val", "test")[(k // books.n_crystals) % 2]
        size = noise if split == "val" else test_noise
        found = {q: (t[k] * np.exp(size * rng.normal())).tolist() for q, t in tensors.items()}
        shape = {"lattice": one.lattice[0].tolist(), "frac_coords": one.frac_coords.tolist()}
        row = {"id": f"toy-{k}", "species": one.numbers.tolist(), "split": split} | shape
        both = {"tensor": found[Tensor.DIELECTRIC_TOTAL], "tensor_electronic": found[Tensor.DIELECTRIC_ELECTRONIC]}
        lines["dielectric.jsonl"].append(json.dumps(row | {"kind": "dielectric_total"} | both))
        lines["elastic.jsonl"].append(
            json.dumps(row | {"kind": "elastic_stiffness", "tensor_voigt": found[Tensor.ELASTIC]})
        )
        if symmetry.piezo_allowed[k]:
            facts = {"kind": "piezo_e_total", "frame": "ieee_pymatgen", "point_group": symmetry.point_group[k]}
            lines["piezoelectric.jsonl"].append(json.dumps(row | facts | {"tensor": found[Tensor.PIEZOELECTRIC]}))
    for name, texts in lines.items():
        (folder / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


@cache
def screener() -> Screener:
    return Screener(ToyEnsemble([0.95, 1.0, 1.05]), VERSION)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelledCrystals:
    return read_labels(write_noisy_labels(tmp_path_factory.mktemp("same"), noise=0.2, test_noise=0.2))


@pytest.fixture(scope="module")
def calibrated(labels: LabelledCrystals) -> Calibration:
    return calibrate(screener(), labels)


def coverage_on_test(data: LabelledCrystals, widths: Calibration) -> dict[str, float]:
    """Coverage over all systems by quantity, in per cent."""
    rows = data.rows(Split.TEST)
    found = replace(screener(), calibration=widths).predict(data.crystals.select(rows))
    metrics = measure_uncertainty(data, rows[found.rows], found, Split.TEST, widths)
    return {each.quantity: each.coverage for each in metrics.coverage if each.system == "all"}


def test_intervals_cover_test_crystals_of_the_same_kind(labels: LabelledCrystals, calibrated: Calibration) -> None:
    """200 crystals calibrate, 200 are covered: 90 % give or take 3 % for each part; three sigma of both are 9 %."""
    found = coverage_on_test(labels, calibrated)
    assert {"k_vrh_gpa", "g_vrh_gpa", "eps_total_mean", "elastic_error_gpa", "dielectric_total_error"} <= set(found)
    of_many = {name: share for name, share in found.items() if calibrated.widths[name].n >= 150}
    assert len(of_many) > 15
    assert all(81.0 <= share <= 99.0 for share in of_many.values()), of_many
    assert 87.0 <= np.mean(list(of_many.values())) <= 93.5


def test_intervals_do_not_cover_crystals_that_are_harder(calibrated: Calibration, tmp_path: Path) -> None:
    """Negative control: four times the noise, the same widths."""
    harder = read_labels(write_noisy_labels(tmp_path, noise=0.2, test_noise=0.8))
    found = coverage_on_test(harder, calibrated)
    assert found["k_vrh_gpa"] < 65.0
    assert found["elastic_error_gpa"] < 65.0


def test_numbers_of_labels_are_those_of_their_tensors(labels: LabelledCrystals) -> None:
    rows = labels.rows(Split.VAL)
    truth = label_properties(labels, rows)
    mean = labels.components[Tensor.DIELECTRIC_TOTAL][rows, :3].mean(axis=1)
    assert np.allclose(truth["eps_total_mean"], mean, equal_nan=True)
    norm = np.linalg.norm(labels.components[Tensor.PIEZOELECTRIC][rows], axis=1)
    known = np.isfinite(truth["e_norm_c_per_m2"])
    assert known.any() and np.allclose(truth["e_norm_c_per_m2"][known], norm[known])


def test_numbers_of_labels_do_not_depend_on_the_sign_of_e(labels: LabelledCrystals) -> None:
    rows = labels.rows(Split.VAL)
    turned = replace(
        labels, components=labels.components | {Tensor.PIEZOELECTRIC: -labels.components[Tensor.PIEZOELECTRIC]}
    )
    before, after = label_properties(labels, rows), label_properties(turned, rows)
    for name, values in before.items():
        assert np.allclose(values, after[name], equal_nan=True), name


def test_forbidden_tensors_and_labels_of_unproven_sign_take_no_part(labels: LabelledCrystals) -> None:
    rows = labels.rows(Split.VAL)
    found = screener().predict(labels.crystals.select(rows))
    errors = held_out_errors(labels, rows[found.rows], found)
    allowed = found.derived.prediction.analysis.symmetry.piezo_allowed
    assert not np.isfinite(errors["e_norm_c_per_m2"].error[~allowed]).any()
    scored = np.isfinite(errors["piezoelectric_error_c_per_m2"].error)
    assert scored.any() and not scored[labels.sign_unproven[rows[found.rows]]].any()


def test_only_the_val_part_is_looked_at(labels: LabelledCrystals, calibrated: Calibration) -> None:
    test = labels.rows(Split.TEST)
    spoiled = {q: values.copy() for q, values in labels.components.items()}
    for values in spoiled.values():
        values[test] *= 7.0
    assert calibrate(screener(), replace(labels, components=spoiled)) == calibrated


def test_a_selective_curve_lies_between_oracle_and_worst_order() -> None:
    rng = np.random.default_rng(1)
    error = rng.exponential(size=300)
    informed = selective_curve("k_vrh_gpa", Split.VAL, error, error * rng.lognormal(0, 0.5, 300))
    blind = selective_curve("k_vrh_gpa", Split.VAL, error, np.ones(300))
    perfect = selective_curve("k_vrh_gpa", Split.VAL, error, error)
    worst = selective_curve("k_vrh_gpa", Split.VAL, error, -error)
    assert perfect.aurc == pytest.approx(perfect.aurc_oracle)
    assert perfect.aurc < informed.aurc < 0.8 * blind.aurc_random < 1.2 * worst.aurc
    assert blind.aurc == pytest.approx(blind.aurc_random, rel=0.3)
    for curve in (informed, blind, perfect, worst):
        assert curve.kept[-1] == 1.0 and curve.error[-1] == pytest.approx(error.mean())


def test_a_reliability_curve_follows_its_promise() -> None:
    rng = np.random.default_rng(2)
    made = [HeldOutErrors(rng.exponential(size=2000), np.zeros(2000), np.full(2000, "cubic")) for _ in range(2)]
    curve = reliability_curve("k_vrh_gpa", *made)
    assert curve.promised == list(map(float, calibration_module.LEVELS_PERCENT))
    assert np.abs(np.array(curve.found) - np.array(curve.promised)).max() < 4.5
    harder = reliability_curve("k_vrh_gpa", made[0], replace(made[1], error=3 * made[1].error))
    assert harder.found[4] < 30.0  # negative control


def test_the_chance_of_a_coverage_counts_whatever_is_no_more_probable() -> None:
    assert chance_of_coverage(20.0, 10, 50.0) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert chance_of_coverage(90.0, 10, 90.0) == pytest.approx(1.0)
    assert chance_of_coverage(50.0, 100, 90.0) < 1e-12
