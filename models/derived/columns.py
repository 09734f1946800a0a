"""All derived columns of tensors, and of the stiffness alone: one place for predictions, labels and stored results."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.derived.coupling import derive_coupling
from models.derived.dielectric import derive_dielectric, optical_columns
from models.derived.elastic import Columns, Stiffness, StiffnessBatch, Unstable, derive_elastic
from models.derived.extremes.directional import derive_directional
from models.derived.mechanical import derive_mechanical
from models.derived.piezoelectric import derive_piezoelectric
from models.derived.polycrystal import derive_polycrystal
from models.derived.standard_coefficients import IeeeFrames, derive_standard_coefficients
from models.derived.thermal import Densities, derive_thermal
from models.quantities import DERIVED, TENSORS, ColumnKind, Tensor
from models.tensors.voigt import Floats

OF_SYMMETRY_ALONE = frozenset({"piezo_allowed"})
"""Columns that are known whatever a model predicts."""


def derive_columns(
    tensors: dict[Tensor, Floats],
    crystal_system: NDArray[np.str_],
    piezo_allowed: NDArray[np.bool_],
    density: Densities,
    frames: IeeeFrames | None = None,
) -> Columns:
    """The columns of tensors that obey a symmetry, in the order of `DERIVED`.

    Args:
        tensors: shape [n_crystals, ...].
        crystal_system: of the point group that the tensors obey, [n_crystals].
        piezo_allowed: whether this point group allows a piezoelectric tensor, [n_crystals].
        density: of the crystals.
        frames: IEEE frames of the crystals; without them what is printed in that frame is unknown.

    Returns:
        One entry per name, [n_crystals]; unknown where a tensor is missing.
    """
    n = len(crystal_system)
    given = {q: tensors.get(q, np.full((n, *TENSORS[q].shape), np.nan)) for q in Tensor}
    columns: dict[str, NDArray[Any]] = {}
    stiffness, piezo = StiffnessBatch(given[Tensor.ELASTIC]), given[Tensor.PIEZOELECTRIC]
    columns |= derive_from_stiffness(stiffness, crystal_system, density)
    columns |= derive_piezoelectric(piezo, stiffness, piezo_allowed)
    columns |= derive_standard_coefficients(piezo, stiffness, piezo_allowed, frames)
    columns |= derive_coupling(piezo, stiffness, given[Tensor.DIELECTRIC_TOTAL], piezo_allowed)
    columns |= derive_dielectric(given[Tensor.DIELECTRIC_ELECTRONIC], given[Tensor.DIELECTRIC_TOTAL])
    columns |= optical_columns(given[Tensor.DIELECTRIC_ELECTRONIC], crystal_system)
    for name, row in DERIVED.items():
        # also what symmetry alone would fix: nobody predicted it
        if not tensors.keys() >= set(row.from_tensors) and name not in OF_SYMMETRY_ALONE:
            columns[name] = np.full(n, "" if row.kind is ColumnKind.TEXT else np.nan)
    return {name: np.asarray(columns[name]) for name in DERIVED}


def derive_from_stiffness(
    stiffness_voigt: Stiffness, crystal_system: NDArray[np.str_], densities: Densities
) -> Columns:
    """All columns of crystals that need no other tensor; what needs a compliance is NaN for unstable crystals.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        crystal_system: of the point group that the tensors obey, [n_crystals].
        densities: of the crystals.

    Returns:
        Column name of `DERIVED` -> values in its unit, each [n_crystals].
    """
    stiffness = StiffnessBatch.of(stiffness_voigt)
    columns = derive_elastic(stiffness, Unstable.FLAG)
    columns |= derive_directional(stiffness, Unstable.FLAG)
    columns |= derive_polycrystal(stiffness, Unstable.FLAG)
    columns |= derive_mechanical(columns, stiffness, crystal_system, Unstable.FLAG)
    return columns | derive_thermal(columns["k_vrh_gpa"], columns["g_vrh_gpa"], densities)
