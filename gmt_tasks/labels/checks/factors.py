"""What a factor between labels and everything else known about their crystals may come from, in the words of the field.

A factor is named by the unit of its quantity: nobody writes a dielectric constant in kbar. Where another quantity given
for this one explains the values as well, the better explanation is named and the other one mentioned.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gmt_tasks.labels.label_kind import Floats

_ANY = ((2.0, "doubled"), (0.5, "halved"))
_OF_ANY_UNIT = (*_ANY, *((10.0**k, f"{10.0**k:g} times") for k in (-3, -2, -1, 1, 2, 3)))

UNIT_FACTORS: dict[str, tuple[tuple[float, str], ...]] = {
    "relative": (
        *_ANY,
        (10.0, "10 times: a decimal point"),
        (0.1, "a tenth: a decimal point"),
        (100.0, "100 times: per cent"),
        (0.01, "a hundredth: per cent"),
        (4 * np.pi, "4 pi times: a polarizability in Gaussian units"),
        (1 / (4 * np.pi), "1/4 pi: a polarizability in Gaussian units"),
        (8.8541878e-12, "in F/m"),
    ),
    "GPa": (
        *_ANY,
        (10.0, "10 times: kbar for GPa"),
        (0.1, "a tenth: kbar divided twice"),
        (0.01, "a hundredth: Mbar for GPa"),
        (1000.0, "1000 times: MPa for GPa"),
        (0.001, "a thousandth: TPa for GPa"),
        (1 / 160.21766, "1/160: eV/A^3 for GPa"),
        (1 / 29421.0, "1/29421: Ha/bohr^3 for GPa"),
        (1 / 14710.5, "1/14711: Ry/bohr^3 for GPa"),
        (1e9, "in Pa"),
        (145.038, "145 times: ksi for GPa"),
    ),
    "C/m^2": (
        *_ANY,
        (10.0, "10 times"),
        (0.1, "a tenth"),
        (100.0, "100 times: uC/cm^2 for C/m^2"),
        (0.01, "a hundredth: uC/cm^2 divided twice"),
        (1000.0, "1000 times: mC/m^2 for C/m^2"),
        (1 / 16.021766, "1/16: e/A^2 for C/m^2"),
        (1 / 57.214, "1/57: e/bohr^2 for C/m^2"),
    ),
}
"""Slips of units, as label over truth, by the unit of the quantity."""

NEAR_SLIP = 1.25
"""A factor this far from every known slip is none of them."""

STRAIN_COEFFICIENTS = (4.0, 60.0)
"""d in pC/N over e in C/m^2: 1000 over a stiffness of 250 to 17 GPa."""

SMALLEST_PUGH = 0.3
"""K/G of a stiffness: 0.7 and more. Of a compliance that is read as one it is (1 - 2 nu) 5 / (21 (1 + nu)), 0.1."""

MIN_COMPLIANCES = 3

Sizes = Mapping[str, float]


@dataclass(frozen=True)
class OtherQuantity:
    """A quantity that is given for another one.

    Attributes:
        size: that it is given for.
        name: what it is, for people.
        value: what a label would be if it were that quantity, of its sizes; NaN where it cannot be.
        target: the size of the prediction that it then should be.
    """

    size: str
    name: str
    value: Callable[[Sizes], float]
    target: str


_OTHER_QUANTITIES = (
    OtherQuantity("eps_electronic", "refractive indices", lambda s: s["eps_electronic"] ** 2, "eps_electronic"),
    OtherQuantity("eps_electronic", "susceptibilities", lambda s: s["eps_electronic"] + 1, "eps_electronic"),
    OtherQuantity("eps_electronic", "total constants", lambda s: s["eps_electronic"], "eps_total"),
    OtherQuantity("eps_total", "electronic constants", lambda s: s["eps_total"], "eps_electronic"),
    OtherQuantity(
        "eps_total", "the ionic part alone", lambda s: s["eps_total"] + s.get("eps_electronic", np.nan), "eps_total"
    ),
    OtherQuantity("eps_total", "square roots", lambda s: s["eps_total"] ** 2, "eps_total"),
    OtherQuantity("eps_total", "susceptibilities", lambda s: s["eps_total"] + 1, "eps_total"),
    OtherQuantity("k_gpa", "shear moduli", lambda s: s["k_gpa"], "g_gpa"),
    OtherQuantity("k_gpa", "compressibilities in 1/TPa", lambda s: 1000 / s["k_gpa"], "k_gpa"),
    OtherQuantity("k_gpa", "compressibilities in 1/GPa", lambda s: 1 / s["k_gpa"], "k_gpa"),
    OtherQuantity("g_gpa", "bulk moduli", lambda s: s["g_gpa"], "k_gpa"),
)

GOOD_FIT, BETTER_BY, CONSTANT = 0.2, 0.7, 0.01
"""Another quantity is named where its values are within this of the predictions (median of |ln|), and clearly nearer
than those of the best factor; the last is the spread of |ln| of a common factor."""


def factor_name(ratio: float, unit: str) -> str:
    """The slip of units that a ratio of label over truth is, or that it is none."""
    factor, name = min(UNIT_FACTORS.get(unit, _OF_ANY_UNIT), key=lambda slip: abs(np.log(ratio / slip[0])))
    is_near = abs(np.log(ratio / factor)) < np.log(NEAR_SLIP)
    if unit == "C/m^2" and STRAIN_COEFFICIENTS[0] < ratio < STRAIN_COEFFICIENTS[1]:
        return "strain coefficients d in pC/N for e" + (f", or {name}" if is_near else "")
    return name if is_near else "no slip of units is near: a factor of the calculation or of its conversion"


def other_quantity(
    labels: Sequence[Sizes], expected: Sequence[Sizes], size: str, unit: str, least: int
) -> tuple[str, str]:
    """The quantity that labels rather are, and how well that fits; two empty texts where their own fits better.

    Args:
        labels: sizes of labels.
        expected: sizes that a model expects of the same crystals.
        size: which size to look at.
        unit: of it.
        least: number of labels below which nothing is said.
    """
    own = _logs(
        [(label.get(size, np.nan), model.get(size, np.nan)) for label, model in zip(labels, expected, strict=True)]
    )
    # what is one factor to within rounding is a factor
    if len(own) < least or np.median(np.abs(own - np.median(own))) < CONSTANT:
        return "", ""
    factor = float(np.exp(np.median(own)))
    slip = min(
        (known for known, _ in UNIT_FACTORS.get(unit, _OF_ANY_UNIT)), key=lambda known: abs(np.log(factor / known))
    )
    # what remains after the best explanation as a factor, none included
    best = min(float(np.median(np.abs(own - np.log(known)))) for known in (1.0, slip))
    fits: list[tuple[float, OtherQuantity]] = []
    for other in _OTHER_QUANTITIES:
        if other.size == size:
            # a label without the size is compared as NaN
            values = [other.value(label) if label.get(size, 0) > 0 else np.nan for label in labels]
            pairs = [(value, model.get(other.target, np.nan)) for value, model in zip(values, expected, strict=True)]
            logs = _logs(pairs)
            if len(logs) >= least:
                fits.append((float(np.median(np.abs(logs))), other))
    misfit, other = min(fits, key=lambda fit: fit[0], default=(np.inf, _OTHER_QUANTITIES[0]))
    if misfit > GOOD_FIT or misfit > BETTER_BY * best:
        return "", ""
    text = f"read as {other.name} they are within {100 * np.expm1(misfit):.0f} % of the predictions in the median"
    also = "" if abs(np.log(factor / slip)) > np.log(NEAR_SLIP) else f"; or {factor_name(factor, unit)}"
    return other.name, text + also


def compliance_for_stiffness(labels: Sequence[Sizes]) -> str:
    """What shows that stiffnesses are compliances: K far below G in the median; empty where it is not."""
    pugh = [
        label["k_gpa"] / label["g_gpa"] for label in labels if label.get("k_gpa", 0) > 0 and label.get("g_gpa", 0) > 0
    ]
    if len(pugh) < MIN_COMPLIANCES or np.median(pugh) > SMALLEST_PUGH:
        return ""
    bulk = float(np.median([label["k_gpa"] for label in labels if label.get("k_gpa", 0) > 0]))
    # read as a compliance K is (1 - 2 nu) / 3E, a sixth of 1 / E
    unit = "1/TPa" if bulk > 0.05 else "1/GPa"
    return f"compliances S in {unit} for stiffnesses C: K/G is {np.median(pugh):.2f} in the median of {len(pugh)}"


def _logs(pairs: Sequence[tuple[float, float]]) -> Floats:
    """ln(value / expectation) of the pairs of which both are positive."""
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    usable = (values > 0).all(axis=1)
    logs: Floats = np.log(values[usable, 0] / values[usable, 1])
    return logs
