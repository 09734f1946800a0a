"""What a crystal becomes as a polycrystal of grains in all directions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from db.records import Floats
from models.derived.elastic import Unstable
from models.derived.polycrystal import derive_polycrystal
from models.quantities import DERIVED, Tensor

STARTS = ("k_", "g_", "young_vrh", "poisson_vrh", "pugh", "universal", "log_euclidean")
"""How the names of derived numbers begin that belong to an isotropic polycrystal."""


def polycrystal_groups(derived: Mapping[str, Any], tensors: Mapping[Tensor, Floats]) -> dict[str, dict[str, Any]]:
    """Bounds and estimates of a polycrystal without texture, in groups.

    Args:
        derived: the derived numbers of a result, None where unknown.
        tensors: in their stored shape.

    Returns:
        `elastic`: averages and bounds of the moduli, names carry units. `dielectric_electronic` and
        `dielectric_total`: Wiener's bounds of the relative dielectric constant.

    Source: O. Wiener, Abh. Math.-Phys. Kl. Königl. Sächs. Ges. Wiss. 32, 509 (1912): whatever the arrangement of the
        grains, the constant lies between the harmonic and the arithmetic mean of the principal ones.
    """
    of_stiffness = [name for name, each in DERIVED.items() if each.from_tensors == (Tensor.ELASTIC,)]
    elastic = {name: derived.get(name) for name in of_stiffness if name.startswith(STARTS)}
    # Results that are older than a bound have none stored.
    if Tensor.ELASTIC in tensors and None in elastic.values():
        bounds = derive_polycrystal(tensors[Tensor.ELASTIC][None], Unstable.FLAG)
        elastic |= {name: float(values[0]) for name, values in bounds.items() if elastic.get(name) is None}
    groups: dict[str, dict[str, Any]] = {"elastic": elastic}
    for tensor in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL):
        if tensor in tensors:
            principal = np.linalg.eigvalsh(tensors[tensor])
            if (principal > 0).all():
                lower, upper = float(3 / np.sum(1 / principal)), float(principal.mean())
                groups[tensor.value] = {"wiener_lower": lower, "wiener_upper": upper}
    return groups
