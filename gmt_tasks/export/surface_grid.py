"""A property of one crystal over all directions, on the grid that a plot needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from db.records import Floats
from models.derived.surfaces import Extremes, Surface, directional_values, extremes, sphere
from models.quantities import Tensor

N_POLAR, N_AZIMUTH = 91, 181
N_SECTION = 361

PLANES: dict[str, tuple[int, int]] = {"xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}
"""Sections through the surface, each by its two axes."""

_KG_PER_M3 = 1000.0


@dataclass(frozen=True)
class SurfaceGrid:
    """A surface ready to be drawn.

    Attributes:
        surface: which property.
        directions: unit vectors, shape [n_polar, n_azimuth, 3].
        values: along them, in the property's unit, shape [n_polar, n_azimuth].
        extremes: least and largest value, refined beyond the grid.
        angles: of the sections, in radians from the first axis of the plane to the second, shape [n].
        sections: values along the directions of each plane, each shape [n].
        lattice: rows a, b, c in angstrom in the frame of the surface, shape [3, 3].
        frame: the Cartesian frame.
    """

    surface: Surface
    directions: Floats
    values: Floats
    extremes: Extremes
    angles: Floats
    sections: dict[str, Floats]
    lattice: Floats
    frame: str


def surface_grid(facts: Mapping[str, Any], result: Mapping[str, Any], surface: Surface) -> SurfaceGrid:
    """A surface of one result of a crystal.

    Args:
        facts: of `ResultStore.show`, or of `facts_in_ieee_frame`.
        result: one of its results.
        surface: which property.

    Raises:
        MissingTensorError: the result lacks a tensor, or the density, that the property needs.
        UnphysicalTensorError: the stiffness is needed and not positive definite.
    """
    tensors = {Tensor(name): np.asarray(value) for name, value in result["tensors"].items() if value is not None}
    density = result["derived"].get("density_g_per_cm3")
    density = None if density is None else density * _KG_PER_M3
    _, _, directions = sphere(N_POLAR, N_AZIMUTH)
    angles = np.linspace(0, 2 * np.pi, N_SECTION)
    sections = {}
    for plane, (first, second) in PLANES.items():
        circle = np.zeros((N_SECTION, 3))
        circle[:, first], circle[:, second] = np.cos(angles), np.sin(angles)
        sections[plane] = directional_values(surface, tensors, circle, density)
    return SurfaceGrid(
        surface=surface,
        directions=directions.reshape(N_POLAR, N_AZIMUTH, 3),
        values=directional_values(surface, tensors, directions, density).reshape(N_POLAR, N_AZIMUTH),
        extremes=extremes(surface, tensors, density),
        angles=angles,
        sections=sections,
        lattice=np.asarray(result.get("lattice", facts["lattice"])),
        frame=result.get("frame", "input"),
    )
