"""Intervals of a prediction: 90 % intervals of the derived numbers and error radii of the tensors.

What crystal symmetry fixes is exact: a forbidden piezoelectric tensor is 0 within [0, 0], whatever a network is worth.
What no label calibrates, or the model does not predict, has no interval: NaN here, null in a line, NULL in the
database.
"""

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.derive import DerivedProperties
from models.applicability.equilibrium import width_factor
from models.applicability.error_features import NARROW_GAP_EV
from models.crystals.crystal_systems import crystal_systems
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.voigt import to_components
from models.uncertainty.conformal import Calibration, Groups
from models.uncertainty.scales import by_transform, interval_around

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

POLAR_CLASSES = frozenset({"1", "2", "m", "mm2", "4", "4mm", "3", "3m", "6", "6mm"})
"""Classes that leave a vector unchanged: only there hydrostatic pressure can polarise. Nye (1985), ch. IV."""


NARROW_GAP = "narrow gap"
"""Group of crystals with a narrow predicted gap, in the place of a crystal system."""

NO_LONGITUDINAL_CLASSES = frozenset({"422", "622"})
"""Piezoelectric classes whose only coefficients are e_14 = -e_25: no direction polarises along itself. Nye, app. E."""


def zero_by_symmetry(name: str, symmetry: SymmetryBatch) -> Bools:
    """Whether symmetry alone makes a derived number 0, or the tensor of an error column, [n_crystals]."""
    if name == "d_hydrostatic_pc_per_n":
        return ~_in_classes(symmetry, POLAR_CLASSES)
    if name == "birefringence":
        return np.asarray(crystal_systems(symmetry.number) == "cubic")
    if name in ("e_longitudinal_max_c_per_m2", "d_longitudinal_max_pc_per_n"):
        return ~symmetry.piezo_allowed | _in_classes(symmetry, NO_LONGITUDINAL_CLASSES)
    if name == TENSORS[Tensor.PIEZOELECTRIC].error_column:
        return np.asarray(~symmetry.piezo_allowed)
    if name in DERIVED and Tensor.PIEZOELECTRIC in DERIVED[name].from_tensors:
        return np.asarray(~symmetry.piezo_allowed)
    return np.zeros(len(symmetry.number), dtype=np.bool_)


def _in_classes(symmetry: SymmetryBatch, classes: frozenset[str]) -> Bools:
    return np.array([group in classes for group in symmetry.point_group], dtype=np.bool_)


def size_of(quantity: Tensor, tensors: Floats) -> Floats:
    """What an error of a tensor is relative to: its Frobenius norm, and a constant for small ones, [n_crystals]."""
    return np.asarray(np.linalg.norm(to_components(quantity, tensors), axis=-1) + TENSORS[quantity].absolute_below)


def is_electronic(from_tensors: tuple[Tensor, ...]) -> bool:
    """Whether a number comes from the electronic dielectric tensor alone."""
    return from_tensors == (Tensor.DIELECTRIC_ELECTRONIC,)


def width_groups(from_tensors: tuple[Tensor, ...], system: NDArray[np.str_], band_gap_ev: Floats) -> NDArray[np.str_]:
    """Which crystals share a factor of their width: those of a crystal system; for ε∞ those of a narrow gap apart.

    Args:
        from_tensors: what the number is made of.
        system: crystal systems, [n_crystals].
        band_gap_ev: predicted gaps, NaN where unknown, [n_crystals].
    """
    if not is_electronic(from_tensors):
        return system
    return np.where(band_gap_ev < NARROW_GAP_EV, NARROW_GAP, system)


def interval_columns(
    derived: DerivedProperties,
    calibration: Calibration,
    band_gap_ev: Floats | None = None,
    expansion: Floats | None = None,
) -> dict[str, Floats]:
    """Both ends of every interval and every error radius.

    Args:
        derived: predictions with the spread of the networks.
        calibration: widths of the model that made them.
        band_gap_ev: predicted gaps, [n_crystals]; None for a model without.
        expansion: predicted ln V / V0, [n_crystals]; None for relaxed crystals.

    Returns:
        Every name of `models.quantities.UNCERTAINTY_COLUMNS` -> [n_crystals], in the unit of what it bounds; NaN where
        nothing is known.
    """
    prediction = derived.prediction
    symmetry = prediction.analysis.symmetry
    system = crystal_systems(symmetry.number)
    gap = np.full(len(system), np.nan) if band_gap_ev is None else band_gap_ev
    strain = np.full(len(system), np.nan) if expansion is None else expansion
    usual, electronic = (Groups.of(width_groups(of, system, gap)) for of in ((), (Tensor.DIELECTRIC_ELECTRONIC,)))
    columns = {end: np.full(len(system), np.nan) for ends in INTERVALS.values() for end in ends}
    calibrated = {name: DERIVED[name].scale for name in INTERVALS if name in calibration.widths}
    for names, scales in by_transform(calibrated):
        values = np.stack([np.asarray(derived.columns[name], dtype=np.float64) for name in names])
        widening = np.array([calibration.widening.get(name, 0.0) for name in names])
        reaches = [
            calibration.widths[name].reaches(
                derived.spread[name], electronic if is_electronic(DERIVED[name].from_tensors) else usual
            )
            for name in names
        ]
        below, above = width_factor(strain, widening[:, None]) * np.array(reaches).swapaxes(0, 1)
        for name, *interval in zip(names, *interval_around(scales, values, below, above), strict=True):
            columns |= zip(INTERVALS[name], interval, strict=True)
    for name, ends in INTERVALS.items():
        exact = zero_by_symmetry(name, symmetry)
        if exact.any():
            values = np.asarray(derived.columns[name], dtype=np.float64)
            exact &= np.isfinite(values)
            # not simply 0: a number that symmetry makes 0 may carry its arithmetic's last bit
            for end, extreme in zip(ends, (np.minimum(values, 0.0), np.maximum(values, 0.0)), strict=True):
                columns[end] = np.where(exact, extreme, columns[end])
    for quantity, row in TENSORS.items():
        columns[row.error_column] = radius = np.full(len(system), np.nan)
        if quantity not in prediction.tensors:
            continue
        if (width := calibration.widths.get(row.error_column)) is not None:
            # errors grow with the tensor: widths are calibrated relative to its size
            size = size_of(quantity, prediction.tensors[quantity])
            groups = electronic if is_electronic((quantity,)) else usual
            radius = size * width.half_width(derived.spread[row.error_column] / size, groups)
            radius = radius * width_factor(strain, calibration.widening.get(row.error_column, 0.0))
        exact = zero_by_symmetry(row.error_column, symmetry)
        columns[row.error_column] = np.where(exact, 0.0, np.where(np.isfinite(radius), radius, np.nan))
    return columns
