"""What labels say of the derived numbers and tensors: the truth that calibration and coverage compare with.

A number is derived from the full tensor label where there is one, else taken from the invariants that are known of the
crystal (eigenvalues, means, moduli). What no label says is NaN, and is neither scored nor calibrated.
"""

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals
from models.derived.dielectric import derive_dielectric
from models.derived.elastic import Unstable, derive_elastic, poisson_ratio, young_modulus
from models.derived.piezoelectric import derive_piezoelectric
from models.quantities import ELASTIC_INVARIANTS, INTERVALS, Tensor
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

SMALLEST_PIEZO_C_PER_M2 = 1e-3
"""A label below this norm is a zero of the calculation, not a measurement of a small response."""


def label_properties(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    """Derived numbers of the labels.

    Piezoelectric numbers are those that neither the overall sign of e nor a rotation of the crystal changes, so that
    labels of unproven sign count too. The strain tensor d = e C^-1 needs both tensors in one frame: it is known only
    where the frame of e is proven.

    Args:
        labels: labelled crystals.
        rows: the crystals asked for.

    Returns:
        Every name of `models.quantities.INTERVALS` -> [n_rows] in its unit, NaN where no label says it.
    """
    found = {name: np.full(len(rows), np.nan) for name in INTERVALS}
    found |= _elastic(labels, rows) | _piezoelectric(labels, rows) | _dielectric(labels, rows)
    for name, values in _invariants(labels, rows).items():
        found[name] = np.where(np.isnan(found[name]), values, found[name])
    return found


def label_tensors(labels: LabelledCrystals, rows: Rows, quantity: Tensor) -> Floats:
    """Orthonormal components of the tensor labels whose frame and sign are proven, NaN elsewhere.

    Returns:
        [n_rows, n_components] in the tensor's unit.
    """
    components = labels.components[quantity][rows].copy()
    if quantity is Tensor.PIEZOELECTRIC:
        components[labels.sign_unproven[rows] | ~labels.proven_frame[rows]] = np.nan
    return components


def _full(labels: LabelledCrystals, rows: Rows, quantity: Tensor) -> tuple[Floats, NDArray[np.bool_]]:
    """Tensors in stored shape with NaN where there is no label, and where there is one."""
    components = labels.components[quantity][rows]
    return from_components(quantity, components), ~np.isnan(components[:, 0])


def _on_rows(known: NDArray[np.bool_], values: Floats) -> Floats:
    column = np.full(len(known), np.nan)
    column[known] = values
    return column


def _elastic(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    tensors, known = _full(labels, rows, Tensor.ELASTIC)
    columns = derive_elastic(tensors[known], Unstable.FLAG)
    return {name: _on_rows(known, values) for name, values in columns.items() if name in INTERVALS}


def _piezoelectric(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    piezo, known = _full(labels, rows, Tensor.PIEZOELECTRIC)
    stiffness, elastic = _full(labels, rows, Tensor.ELASTIC)
    both = elastic & labels.proven_frame[rows]
    usable = np.where(both[:, None, None], stiffness, np.nan)
    columns = derive_piezoelectric(piezo[known], usable[known], np.ones(int(known.sum()), dtype=np.bool_))
    nonzero = columns["e_norm_c_per_m2"] > SMALLEST_PIEZO_C_PER_M2
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items() if name in INTERVALS}
    return {name: _on_rows(known, np.where(nonzero, values, np.nan)) for name, values in numbers.items()}


def _dielectric(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    electronic, _ = _full(labels, rows, Tensor.DIELECTRIC_ELECTRONIC)
    total, _ = _full(labels, rows, Tensor.DIELECTRIC_TOTAL)
    columns = derive_dielectric(electronic, total)
    return {name: np.asarray(values) for name, values in columns.items() if name in INTERVALS}


def _invariants(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    """Numbers of crystals of which no tensor is known."""
    principal = labels.eps_principal[rows]
    as_tensors = principal[:, :, None] * np.eye(3)
    columns = derive_dielectric(as_tensors, np.full_like(as_tensors, np.nan))
    found = {name: np.asarray(columns[name]) for name in INTERVALS if name in columns and "total" not in name}
    mean = found["eps_electronic_mean"]
    found["eps_electronic_mean"] = np.where(np.isnan(mean), labels.eps_mean[rows, 0], mean)
    found["eps_total_mean"] = labels.eps_mean[rows, 1]
    return found | _moduli(labels, rows)


def _moduli(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    """Bounds and averages of the moduli, and what follows from them alone."""
    known = dict(zip(ELASTIC_INVARIANTS, labels.elastic[rows].T, strict=True))
    found = {f"{name}_gpa": known[name] for name in known if f"{name}_gpa" in INTERVALS}
    bulk, shear = (np.where(known[name] > 0, known[name], np.nan) for name in ("k_vrh", "g_vrh"))
    found |= {"young_vrh_gpa": young_modulus(bulk, shear), "poisson_vrh": poisson_ratio(bulk, shear)}
    softest = [np.where(known[name] > 0, known[name], np.nan) for name in ("k_reuss", "g_reuss")]
    anisotropy = 5 * known["g_voigt"] / softest[1] + known["k_voigt"] / softest[0] - 6
    return found | {"pugh_ratio": bulk / shear, "universal_anisotropy": np.maximum(anisotropy, 0.0)}
