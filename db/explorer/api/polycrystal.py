"""What a crystal becomes as a polycrystal of grains in all directions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from db.records import Floats
from models.derived.composite import dielectric_polycrystal
from models.derived.elastic import Unstable, mechanically_stable
from models.derived.piezoelectric import strain_mandel
from models.derived.poled import polar_axes, poled_average
from models.derived.polycrystal import POLYCRYSTAL_MODULI, derive_polycrystal
from models.quantities import Tensor
from models.tensors.voigt import mandel_to_piezo

POLED_CONES_DEG = (45, 90)
"""Half angles of the cone of polar axes in a well and in a poorly poled ceramic."""


def polycrystal_groups(derived: Mapping[str, Any], tensors: Mapping[Tensor, Floats]) -> dict[str, dict[str, Any]]:
    """Bounds and estimates of a polycrystal without texture and of a poled one, in groups.

    Args:
        derived: the derived numbers of a result, None where unknown.
        tensors: in their stored shape.

    Returns:
        `elastic`: averages and bounds of the moduli, names carry units. `dielectric_electronic` and
        `dielectric_total`: Wiener's and Hashin-Shtrikman's bounds and the self-consistent value of the relative
        dielectric constant. `poled_ceramic`: d of a poled ceramic, for crystals with a polar axis.
    """
    elastic = {name: derived.get(name) for name in POLYCRYSTAL_MODULI}
    # Results that are older than a bound have none stored.
    if Tensor.ELASTIC in tensors and None in elastic.values():
        bounds = derive_polycrystal(tensors[Tensor.ELASTIC][None], Unstable.FLAG)
        elastic |= {name: float(values[0]) for name, values in bounds.items() if elastic.get(name) is None}
    groups: dict[str, dict[str, Any]] = {"elastic": elastic}
    for tensor in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL):
        if tensor in tensors:
            bounds = dielectric_polycrystal(tensors[tensor][None])._asdict()
            if np.isfinite(bounds["self_consistent"][0]):
                groups[tensor.value] = {name: float(values[0]) for name, values in bounds.items()}
    poled = _poled_ceramic(tensors)
    return groups | {"poled_ceramic": poled} if poled else groups


def _poled_ceramic(tensors: Mapping[Tensor, Floats]) -> dict[str, float]:
    """Strain constants of a poled ceramic in pC/N, by the half angle of its cone; nothing without a polar axis."""
    if not {Tensor.PIEZOELECTRIC, Tensor.ELASTIC} <= tensors.keys():
        return {}
    e, c = tensors[Tensor.PIEZOELECTRIC][None], tensors[Tensor.ELASTIC][None]
    if not (np.isfinite(e).all() and mechanically_stable(c)[0]):
        return {}
    crystal = mandel_to_piezo(strain_mandel(e, c))
    axes = polar_axes(crystal)
    constants: dict[str, float] = {}
    for cone in POLED_CONES_DEG if np.isfinite(axes).all() else ():
        d = poled_average(crystal, axes, float(cone))[0]
        values = {"d33": d[2, 2, 2], "d31": d[2, 0, 0], "d15": 2 * d[0, 0, 2]}
        constants |= {f"{name}_cone_{cone}_deg_pc_per_n": float(value) for name, value in values.items()}
    return constants
