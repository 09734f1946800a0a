"""Other quantities that explain labels better than a factor, and compliances by their K and G alone."""

import numpy as np
import pytest

from gmt_tasks.labels.checks.factors import compliance_for_stiffness, other_quantity
from gmt_tasks.labels.checks.physics import moduli_sizes
from tests.gmt_tasks.labels.planted_faults import good_rows

N = 40


def expected(seed: int = 0) -> list[dict[str, float]]:
    """Dielectric constants and moduli as a model may predict them."""
    rng = np.random.default_rng(seed)
    electronic, bulk = np.exp(rng.normal(1.6, 0.5, N)) + 1, np.exp(rng.normal(4.5, 0.6, N))
    total = electronic * np.exp(np.abs(rng.normal(0.7, 0.4, N)))
    shear = bulk / np.exp(np.abs(rng.normal(0.7, 0.3, N)))
    names = ("eps_electronic", "eps_total", "k_gpa", "g_gpa")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(electronic, total, bulk, shear, strict=True)]


def labels(seed: int = 1, spread: float = 0.09) -> list[dict[str, float]]:
    """Right labels of the same crystals, as far from the predictions as real ones are."""
    rng = np.random.default_rng(seed)
    return [{name: value * np.exp(rng.normal(0, spread)) for name, value in row.items()} for row in expected()]


@pytest.mark.parametrize(
    ("size", "unit", "change", "name"),
    [
        ("eps_electronic", "relative", lambda s: s["eps_electronic"] ** 0.5, "refractive indices"),
        ("eps_total", "relative", lambda s: s["eps_electronic"], "electronic constants"),
        ("eps_total", "relative", lambda s: s["eps_total"] - 0.9 * s["eps_electronic"], "the ionic part alone"),
        ("k_gpa", "GPa", lambda s: s["g_gpa"], "shear moduli"),
        ("k_gpa", "GPa", lambda s: 1000 / s["k_gpa"], "compressibilities in 1/TPa"),
        ("k_gpa", "GPa", lambda s: 1 / s["k_gpa"], "compressibilities in 1/GPa"),
    ],
)
def test_another_quantity_is_named(size: str, unit: str, change: object, name: str) -> None:
    faulty = [row | {size: change(row)} for row in labels()]  # type: ignore[operator]
    assert other_quantity(faulty, expected(), size, unit, 8)[0] == name


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.5, 10.0, 0.1])
def test_right_labels_and_plain_factors_are_no_other_quantity(factor: float) -> None:
    for size, unit in (("eps_electronic", "relative"), ("k_gpa", "GPa"), ("g_gpa", "GPa")):
        faulty = [row | {size: factor * row[size]} for row in labels()]
        assert other_quantity(faulty, expected(), size, unit, 8) == ("", "")
    assert other_quantity(labels()[:3], expected()[:3], "k_gpa", "GPa", 8) == ("", "")


def test_compliances_are_known_by_their_k_and_g_in_either_unit_and_stiffnesses_are_not() -> None:
    stiffnesses = [np.array(row["tensor_voigt"]) for row in good_rows(12)]
    assert compliance_for_stiffness([moduli_sizes(c) for c in stiffnesses]) == ""
    for scale, unit in ((1.0, "1/GPa"), (1000.0, "1/TPa")):
        detail = compliance_for_stiffness([moduli_sizes(scale * np.linalg.inv(c)) for c in stiffnesses])
        assert f"compliances S in {unit}" in detail
    assert compliance_for_stiffness([moduli_sizes(np.linalg.inv(c)) for c in stiffnesses[:2]]) == ""
