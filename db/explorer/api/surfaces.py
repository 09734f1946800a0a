"""A directional property on a grid of angles, as plots need it."""

from collections.abc import Mapping
from typing import Any

from db.records import Floats
from models.derived.surfaces import SURFACES, Surface, directional_values, extremes, sphere
from models.quantities import Tensor


def surface_grid(
    surface: Surface, tensors: Mapping[Tensor, Floats], density_kg_per_m3: float | None, n_theta: int
) -> dict[str, Any]:
    """Values of a surface on a grid of polar and azimuthal angles, and its extremes.

    Args:
        surface: which.
        tensors: in their stored shape.
        density_kg_per_m3: mass density, which sound velocities need.
        n_theta: number of polar angles from 0 to pi; there are twice as many azimuths, less one, from 0 to 2 pi.

    Returns:
        property, label, unit, signed; theta [n_theta] and phi [2 n_theta - 1] in radians; values [n_theta][n_phi];
        min and max with value, direction and, where there is one, transverse direction.

    Raises:
        MissingTensorError: a tensor is missing.
        UnphysicalTensorError: the stiffness is needed and not positive definite.
    """
    quantity = SURFACES[surface]
    theta, phi, directions = sphere(n_theta, 2 * n_theta - 1)
    values = directional_values(surface, tensors, directions, density_kg_per_m3)
    ends = extremes(surface, tensors, density_kg_per_m3)
    return {
        "property": surface.value,
        "label": quantity.label,
        "unit": quantity.unit,
        "signed": quantity.signed,
        "theta": theta,
        "phi": phi,
        "values": values.reshape(n_theta, -1),
        "min": {"value": ends.min, "direction": ends.min_direction, "transverse": ends.min_transverse},
        "max": {"value": ends.max, "direction": ends.max_direction, "transverse": ends.max_transverse},
    }
