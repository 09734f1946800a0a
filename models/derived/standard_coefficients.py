"""The piezoelectric coefficients d_iJ that handbooks print: the largest independent one in the IEEE frame of a crystal.

A number of one frame, and all the same no rotation changes it: the frame is attached to the crystal. Coefficients that
follow from another one (d26 = -2 d11 in class 32) are not printed and not looked at. The senses of the axes change
signs only, so they need not be known.

Source: J. F. Nye, Physical Properties of Crystals (1985), appendix E, in the axes of IEEE Std 176-1987.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.derived.elastic import Columns, Stiffness
from models.derived.piezoelectric import same_length
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import Floats, mandel_to_piezo, piezo_strain_to_voigt, piezo_to_mandel

_ALL = tuple(f"d{i}{j}" for i in range(1, 4) for j in range(1, 7))

INDEPENDENT: dict[str, tuple[str, ...]] = {
    "1": _ALL,
    "2": ("d14", "d16", "d21", "d22", "d23", "d25", "d34", "d36"),
    "m": ("d11", "d12", "d13", "d15", "d24", "d26", "d31", "d32", "d33", "d35"),
    "222": ("d14", "d25", "d36"),
    "mm2": ("d15", "d24", "d31", "d32", "d33"),
    "4": ("d14", "d15", "d31", "d33"),
    "-4": ("d14", "d15", "d31", "d36"),
    "422": ("d14",),
    "4mm": ("d15", "d31", "d33"),
    "-42m": ("d14", "d36"),
    "3": ("d11", "d14", "d15", "d22", "d31", "d33"),
    "32": ("d11", "d14"),
    "3m": ("d15", "d22", "d31", "d33"),
    "6": ("d14", "d15", "d31", "d33"),
    "-6": ("d11", "d22"),
    "622": ("d14",),
    "6mm": ("d15", "d31", "d33"),
    "-6m2": ("d22",),
    "23": ("d14",),
    "-43m": ("d14",),
}
"""Of the twenty piezoelectric classes: 2 and m with the unique axis Y, 3m and -6m2 with a mirror normal to X."""

SMALLEST_LEAD = 1e-4
"""Of coefficients that are equal within this share the first in the list is named: rounding must not choose."""


class IeeeFrames(NamedTuple):
    """The IEEE frames of some crystals.

    Attributes:
        rotation: proper, rows X, Y, Z in the input frame, [n_crystals, 3, 3]; NaN where a crystal has none.
        point_group: class without setting, e.g. "32", [n_crystals].
    """

    rotation: Floats
    point_group: NDArray[np.str_]


def derive_standard_coefficients(
    piezo: ArrayLike, stiffness_voigt: Stiffness, piezo_allowed: NDArray[np.bool_], frames: IeeeFrames | None
) -> Columns:
    """The largest |d_iJ| that a handbook would print, and which one it is.

    Args:
        piezo: e_ijk in C/m^2 that obeys the class, shape [n_crystals, 3, 3, 3].
        stiffness_voigt: C_IJ in GPa that obeys the class, shape [n_crystals, 6, 6].
        piezo_allowed: whether the class allows the effect, shape [n_crystals].
        frames: of the crystals; None where they are not known.

    Returns:
        `d_coefficient_max_pc_per_n`, 0 where the class forbids piezoelectricity, NaN where e, C or the frame is unknown
        or C is not positive definite, and `d_coefficient_max_name` ("d33"), "" where there is none; each [n_crystals].

    Raises:
        ShapeError: the tensors are not of the same crystals.
    """
    e, c = same_length(piezo, stiffness_voigt)
    values = np.where(piezo_allowed, np.nan, 0.0)
    names = np.full(len(e), "", dtype="<U3")
    if frames is None:
        return {"d_coefficient_max_pc_per_n": values, "d_coefficient_max_name": names}
    usable = np.asarray(piezo_allowed) & np.isfinite(e).all(axis=(1, 2, 3)) & c.stable
    rows = np.flatnonzero(usable & np.isfinite(frames.rotation).all(axis=(1, 2)))
    # as a tensor without factors, which rotates; d_iJ carries 2 on the shear columns
    strain = mandel_to_piezo(piezo_to_mandel(e[rows]) @ c.compliance_mandel[rows])
    turned = rotate(Tensor.PIEZOELECTRIC, strain, frames.rotation[rows])
    coefficients = np.abs(piezo_strain_to_voigt(turned))
    for group in np.unique(frames.point_group[rows]):
        printed = INDEPENDENT.get(str(group), ())
        chosen = np.flatnonzero(frames.point_group[rows] == group)
        if printed and len(chosen):
            places = tuple(np.array([[int(name[1]) - 1, int(name[2]) - 1] for name in printed]).T)
            sizes = coefficients[chosen][:, *places]
            values[rows[chosen]] = largest = sizes.max(axis=1)
            first = np.argmax(sizes >= (1 - SMALLEST_LEAD) * largest[:, None], axis=1)
            names[rows[chosen]] = np.where(largest > 0, np.array(printed)[first], "")
    return {"d_coefficient_max_pc_per_n": values, "d_coefficient_max_name": names}
