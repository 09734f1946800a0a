"""The shipped model knows volume: moduli fall as a crystal expands, as steeply as in nature, and it says so."""

from dataclasses import replace

import numpy as np
import pytest

from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import CrystalBatch

NAMES = ("si", "nacl", "alsb", "tellurium")
REFERENCE = reference_crystals()
CRYSTALS = CrystalBatch.from_arrays(
    [np.asarray(REFERENCE[name].lattice) for name in NAMES],
    [np.asarray(REFERENCE[name].frac_coords) for name in NAMES],
    [np.asarray(REFERENCE[name].numbers) for name in NAMES],
)
LOG_VOLUMES = np.array([-0.2, -0.03, 0.0, 0.03, 0.2])


@pytest.fixture(scope="module")
def predictions() -> list[TensorPrediction]:
    screener = Screener.load("gmtnet")
    return [screener.predict(strained(log_volume)) for log_volume in LOG_VOLUMES]


def strained(log_volume: float) -> CrystalBatch:
    return replace(CRYSTALS, lattice=CRYSTALS.lattice * np.exp(log_volume / 3))


def columns(predictions: list[TensorPrediction], name: str) -> np.ndarray:
    """[n_volumes, n_crystals]."""
    return np.array([(p.derived.columns | p.intervals | p.reliability)[name] for p in predictions], dtype=np.float64)


def test_bulk_moduli_fall_with_volume_much_faster_than_between_compounds(predictions: list[TensorPrediction]) -> None:
    """dK/dp at 0 is 4 to 5 of most crystals, minus the slope of ln K over ln V; between compounds it is near 1."""
    bulk = np.log(columns(predictions, "k_vrh_gpa"))
    assert (np.diff(bulk, axis=0) < 0).all()
    slopes = (bulk[3] - bulk[1]) / (LOG_VOLUMES[3] - LOG_VOLUMES[1])
    assert ((slopes > -7) & (slopes < -2)).all()


def test_strained_crystals_are_flagged_with_the_right_sign_and_relaxed_ones_are_not(
    predictions: list[TensorPrediction],
) -> None:
    ratio, flag = columns(predictions, "equilibrium_volume_ratio"), columns(predictions, "off_equilibrium")
    assert (np.diff(ratio, axis=0) < 0).all()
    assert (ratio[0] > 1.03).all() and (ratio[-1] < 0.97).all()
    assert (np.abs(ratio[2] - 1) < 0.05).all()  # measured cells; semilocal DFT has slightly larger ones
    assert flag[0].all() and flag[-1].all() and not flag[2].any()


def test_intervals_are_wider_relative_to_the_modulus_away_from_equilibrium(
    predictions: list[TensorPrediction],
) -> None:
    bulk = columns(predictions, "k_vrh_gpa")
    width = (columns(predictions, "k_vrh_gpa_hi") - columns(predictions, "k_vrh_gpa_lo")) / bulk
    assert (width[[0, -1]] > 1.2 * width[2]).all()
    texts = predictions[-1].warnings()
    assert all(
        any("stiffness of low reliability (0." in t and "not relaxed" in t for t in of_crystal) for of_crystal in texts
    )
    assert all(
        any("off equilibrium: relaxed, its volume would change by about -" in t for t in texts[k]) for k in range(3)
    )
