"""Intervals of a prediction: around the value, exact where symmetry is, unknown where nothing is known."""

from functools import cache

import numpy as np

from db.records import ModelVersion
from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.applicability.metals import has_only_metals
from models.quantities import INTERVALS, TENSORS, UNCERTAINTY_COLUMNS, Tensor
from models.reference.crystals import CRYSTAL_CLASSES
from models.testing.contract import ToyTensorModel, crystals_of_all_classes
from models.testing.model import ToyEnsemble
from models.uncertainty.conformal import Calibration, ConformalWidth, SystemWidth

VERSION = ModelVersion("toy", "1", "0" * 64)
CRYSTALS = crystals_of_all_classes(seed=9).crystals
WIDTH = ConformalWidth(100, 0.1, 2.0, {"cubic": SystemWidth(50, 0.5)})
CALIBRATION = Calibration(0.1, 1, dict.fromkeys((*INTERVALS, *(row.error_column for row in TENSORS.values())), WIDTH))
CLASSES = np.array(CRYSTAL_CLASSES)
IS_METAL = has_only_metals(CRYSTALS)
"""These have no static response, so no interval of it."""

PIEZO = TENSORS[Tensor.PIEZOELECTRIC].error_column


@cache
def predicted(*factors: float, calibrated: bool = True) -> TensorPrediction:
    screener = Screener(ToyEnsemble(factors), VERSION)
    screener.calibration = CALIBRATION if calibrated else Calibration.from_json({})
    return screener.predict(CRYSTALS)


def column(prediction: TensorPrediction, name: str) -> np.ndarray:
    return np.asarray(prediction.derived.columns[name], dtype=np.float64)


def test_every_interval_holds_its_value_in_order() -> None:
    found = predicted(0.9, 1.0, 1.2)
    assert set(found.intervals) == set(UNCERTAINTY_COLUMNS)
    for name, (lower, upper) in INTERVALS.items():
        low, high, value = found.intervals[lower], found.intervals[upper], column(found, name)
        known = np.isfinite(low)
        least = 5 if name == "zener_anisotropy" else 31 - IS_METAL.sum()  # of cubic crystals alone
        assert known.sum() >= least, name
        assert np.array_equal(known, np.isfinite(high))
        assert (low[known] <= value[known]).all() and (value[known] <= high[known]).all()
        assert (low[known] < high[known]).sum() >= min(5, known.sum()), name
    for row in TENSORS.values():
        radius = found.intervals[row.error_column]
        assert (radius[~IS_METAL] >= 0).all()
        assert bool(np.isnan(radius[IS_METAL]).all()) is (row is not TENSORS[Tensor.ELASTIC])


def test_what_symmetry_forbids_is_exact() -> None:
    found = predicted(0.9, 1.0, 1.2)
    is_allowed = found.derived.prediction.analysis.symmetry.piezo_allowed
    assert (~is_allowed).sum() == 12
    forbidden, allowed = ~is_allowed & ~IS_METAL, is_allowed & ~IS_METAL
    for name in ("e_norm_c_per_m2", "e_max_c_per_m2", "d_max_pc_per_n"):
        ends = np.stack([found.intervals[end] for end in INTERVALS[name]])
        assert not ends[:, forbidden].any()
        assert (ends[1, allowed] > 0).all()  # negative control
    assert not found.intervals[PIEZO][forbidden].any()
    assert (found.intervals[PIEZO][allowed] > 0).all()
    polar = np.isin(CLASSES, ["1", "2", "m", "mm2", "4", "4mm", "3", "3m", "6", "6mm"])
    assert np.array_equal(found.intervals[INTERVALS["d_hydrostatic_pc_per_n"][1]] > 0, polar & ~IS_METAL)
    cubic = np.isin(CLASSES, ["23", "m-3", "432", "-43m", "m-3m"])
    assert np.array_equal(found.intervals[INTERVALS["birefringence"][1]] < 1e-9, cubic & ~IS_METAL)


def test_without_calibration_only_what_symmetry_fixes_has_an_interval() -> None:
    found = predicted(0.9, 1.0, 1.2, calibrated=False)
    assert np.isnan(found.intervals["k_vrh_gpa_lo"]).all()
    assert np.isnan(found.intervals["elastic_error_gpa"]).all()
    forbidden = ~found.derived.prediction.analysis.symmetry.piezo_allowed
    assert np.array_equal(found.intervals["e_norm_c_per_m2_hi"] == 0, forbidden & ~IS_METAL)
    assert np.isnan(found.intervals["e_norm_c_per_m2_hi"][~forbidden]).all()


def test_a_single_network_has_the_width_of_the_floor_alone() -> None:
    found = predicted(1.0)
    assert not any(spread.any() for spread in found.derived.spread.values())
    size = np.arcsinh(column(found, "k_vrh_gpa") / 80.0)
    half = np.where(np.isin(CLASSES, ["23", "m-3", "432", "-43m", "m-3m"]), 0.5, 1.0) * 2.0 * 0.1
    assert np.allclose(found.intervals["k_vrh_gpa_hi"], 80.0 * np.sinh(size + half))
    assert np.allclose(found.intervals["k_vrh_gpa_lo"], 80.0 * np.sinh(size - half))


def test_identical_networks_are_the_single_network() -> None:
    one, three = predicted(1.0), predicted(1.0, 1.0, 1.0)
    for name in INTERVALS:
        assert np.allclose(column(three, name), column(one, name), rtol=1e-9, atol=1e-12, equal_nan=True)
    for name, values in one.intervals.items():
        assert np.allclose(three.intervals[name], values, rtol=1e-8, atol=1e-9, equal_nan=True), name


def test_the_order_of_the_networks_does_not_matter_and_their_disagreement_does() -> None:
    found, reordered = predicted(0.9, 1.0, 1.2), predicted(1.2, 0.9, 1.0)
    for name, values in found.intervals.items():
        assert np.allclose(reordered.intervals[name], values, rtol=1e-8, atol=1e-9, equal_nan=True), name
    assert (found.intervals["elastic_error_gpa"] > predicted(1.0).intervals["elastic_error_gpa"]).all()


def test_the_ensemble_is_the_mean_of_its_networks() -> None:
    found, one = predicted(0.9, 1.0, 1.2), predicted(1.0)
    for quantity, tensors in one.derived.prediction.tensors.items():
        mean = found.derived.prediction.tensors[quantity]
        assert np.allclose(mean, tensors * (0.9 + 1.0 + 1.2) / 3, rtol=1e-12, atol=1e-12)
    spread = found.derived.spread["elastic_error_gpa"]
    size = np.std([0.9, 1.0, 1.2])
    matrices = ToyTensorModel().predict(CRYSTALS)[Tensor.ELASTIC][0]
    assert (spread > 0.5 * size * np.linalg.norm(matrices[:, :3, :3], axis=(1, 2))).all()


def test_lines_carry_intervals_and_radii() -> None:
    screener = Screener(ToyEnsemble([0.9, 1.1]), VERSION)
    screener.calibration = CALIBRATION
    lines = list(screener.predict_lines([str(k) for k in range(CRYSTALS.n_crystals)], CRYSTALS))
    for line in lines:
        lower, upper = line["uncertainty"]["k_vrh_gpa"]
        assert lower <= line["derived"]["k_vrh_gpa"] <= upper
        assert set(line["error_radius"]) == {tensor.value for tensor in Tensor}
    bare = Screener(ToyEnsemble([0.9, 1.1]), VERSION)
    unknown = next(iter(bare.predict_lines(["a"], CRYSTALS.select([0]))))
    assert "k_vrh_gpa" not in unknown["uncertainty"] and unknown["error_radius"]["elastic_voigt"] is None
