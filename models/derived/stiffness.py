"""Everything that is derived from the stiffness tensor alone, with the crystal's system and density."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.directional import derive_directional
from models.derived.elastic import Columns, Unstable, derive_elastic
from models.derived.mechanical import derive_mechanical
from models.derived.polycrystal import derive_polycrystal
from models.derived.thermal import Densities, derive_thermal


def derive_from_stiffness(
    stiffness_voigt: ArrayLike, crystal_system: NDArray[np.str_], densities: Densities
) -> Columns:
    """All columns of crystals that need no other tensor; what needs a compliance is NaN for unstable crystals.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        crystal_system: of the point group that the tensors obey, [n_crystals].
        densities: of the crystals.

    Returns:
        Column name of `DERIVED` -> values in its unit, each [n_crystals].
    """
    columns = derive_elastic(stiffness_voigt, Unstable.FLAG)
    columns |= derive_directional(stiffness_voigt, Unstable.FLAG)
    columns |= derive_polycrystal(stiffness_voigt, Unstable.FLAG)
    columns |= derive_mechanical(columns, stiffness_voigt, crystal_system, Unstable.FLAG)
    return columns | derive_thermal(columns["k_vrh_gpa"], columns["g_vrh_gpa"], densities)
