"""Derived numbers that the values of labels give: of full tensors, else of what is known without them.

Each function takes the arrays of some labelled crystals by name (tensors in stored shape), NaN where no label says it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.derived.columns import derive_from_stiffness
from models.derived.dielectric import derive_dielectric
from models.derived.elastic import poisson_ratio, young_modulus
from models.derived.mechanical import hardness_chen, hardness_tian, has_cubic_form
from models.derived.piezoelectric import derive_piezoelectric
from models.derived.thermal import Densities, derive_thermal
from models.quantities import ELASTIC_INVARIANTS, Tensor

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
Columns = dict[str, NDArray[Any]]

DENSITIES = "densities"
"""Name of the array of mass and number density, [n_crystals, 2] as `models.crystals.masses.Densities`."""

SMALLEST_PIEZO_C_PER_M2 = 1e-3
"""A label below this norm is a zero of the calculation, not a measurement of a small response."""


def dielectric_properties(arrays: Arrays) -> Columns:
    """Of both dielectric tensors."""
    return derive_dielectric(arrays[Tensor.DIELECTRIC_ELECTRONIC], arrays[Tensor.DIELECTRIC_TOTAL])


def principal_properties(arrays: Arrays) -> Columns:
    """Of the eigenvalues of the electronic dielectric tensor, which stand on the diagonal of one in its own axes."""
    electronic = arrays["eps_principal"][:, :, None] * np.eye(3)
    return derive_dielectric(electronic, np.full_like(electronic, np.nan))


def mean_properties(arrays: Arrays) -> Columns:
    """Mean dielectric constants."""
    electronic, total = arrays["eps_mean"].T
    return {"eps_electronic_mean": electronic, "eps_total_mean": total}


def stiffness_properties(arrays: Arrays) -> Columns:
    """Of full stiffness tensors, and of the density of their crystals."""
    labelled = ~np.isnan(arrays[Tensor.ELASTIC][:, 0, 0])
    stiffness = arrays[Tensor.ELASTIC][labelled]
    # labels obey the symmetry of their crystal exactly: the form of the tensor says whether it is cubic
    system = np.where(has_cubic_form(stiffness), "cubic", "")
    density = Densities(*arrays[DENSITIES][labelled].T)
    return _scattered(derive_from_stiffness(stiffness, system, density), labelled)


def piezo_properties(arrays: Arrays) -> Columns:
    """Of full piezoelectric tensors; the strain tensor d = e C^-1 only where e and C are proven to share a frame."""
    piezo, stiffness = arrays[Tensor.PIEZOELECTRIC], arrays[Tensor.ELASTIC]
    labelled = ~np.isnan(piezo[:, 0, 0, 0])
    stiffness = np.where(arrays["proven_frame"][:, None, None], stiffness, np.nan)
    columns = derive_piezoelectric(piezo[labelled], stiffness[labelled], np.ones(int(labelled.sum()), dtype=np.bool_))
    nonzero = columns["e_norm_c_per_m2"] > SMALLEST_PIEZO_C_PER_M2
    return _scattered({name: np.where(nonzero, values, np.nan) for name, values in columns.items()}, labelled)


def moduli_properties(arrays: Arrays) -> Columns:
    """Bounds and averages of the moduli, and what follows from them alone."""
    moduli = dict(zip(ELASTIC_INVARIANTS, arrays["elastic"].T, strict=True))
    # ratios of moduli that are not positive mean nothing
    positive = {name: np.where(values > 0, values, np.nan) for name, values in moduli.items()}
    bulk, shear = positive["k_vrh"], positive["g_vrh"]
    anisotropy = 5 * moduli["g_voigt"] / positive["g_reuss"] + moduli["k_voigt"] / positive["k_reuss"] - 6
    units = {name: "per_tpa" if name.startswith("linear") else "gpa" for name in moduli}
    columns = {f"{name}_{units[name]}": values for name, values in moduli.items()}
    return (
        columns
        | derive_thermal(bulk, shear, Densities(*arrays[DENSITIES].T))
        | {
            "hardness_chen_gpa": hardness_chen(bulk, shear),
            "hardness_tian_gpa": hardness_tian(bulk, shear),
            "young_vrh_gpa": young_modulus(bulk, shear),
            "poisson_vrh": poisson_ratio(bulk, shear),
            "pugh_ratio": bulk / shear,
            "universal_anisotropy": np.maximum(anisotropy, 0.0),
        }
    )


def _scattered(columns: Mapping[str, NDArray[Any]], labelled: NDArray[np.bool_]) -> Columns:
    """Columns of the labelled crystals among all of them, NaN elsewhere."""
    scattered = {}
    for name, values in columns.items():
        scattered[name] = np.full(len(labelled), np.nan)
        scattered[name][labelled] = values
    return scattered
