"""What a crystal becomes as a polycrystal of grains in all directions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from db.records import Floats
from models.quantities import DERIVED, Tensor

ELASTIC_STARTS = ("k_", "g_", "young_vrh", "poisson_vrh", "pugh", "universal", "log_euclidean", "sound_", "debye_")
"""How the names of derived numbers begin that are a polycrystal's."""


def polycrystal_groups(derived: Mapping[str, Any], tensors: Mapping[Tensor, Floats]) -> dict[str, dict[str, float]]:
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
    elastic = {
        name: derived[name]
        for name in DERIVED
        if name.startswith(ELASTIC_STARTS) and not name.startswith("k_coupling") and derived.get(name) is not None
    }
    groups = {"elastic": elastic}
    for tensor in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL):
        if tensor in tensors:
            principal = np.linalg.eigvalsh(tensors[tensor])
            if (principal > 0).all():
                lower, upper = float(3 / np.sum(1 / principal)), float(principal.mean())
                groups[tensor.value] = {"wiener_lower": lower, "wiener_upper": upper}
    return groups
