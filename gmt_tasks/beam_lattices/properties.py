"""What is known of one net: its stiffness, homogenized and predicted, and what follows from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gmt_tasks.beam_lattices.net_file import NetInput
from gmt_tasks.export.surface_grid import SurfaceGrid, surface_grid
from models.beam_lattice.homogenize import homogenize
from models.beam_lattice.net import Floats
from models.derived.elastic import Unstable, derive_elastic
from models.derived.extremes.directional import derive_directional
from models.derived.mechanical import zener_anisotropy
from models.derived.surfaces import Surface
from models.quantities import Tensor
from models.tensors.voigt import stiffness_voigt_to_mandel

SLENDER_LIMIT = 0.1
"""Radius over length up to which struts are beams: beyond it nodes take up much of them, and they shear."""

SOFT_SHARE = 0.5
"""A net stretches where more than this share of the energy of its softest strain is stretching."""

COLUMNS = (
    "k_vrh_gpa", "g_vrh_gpa", "young_vrh_gpa", "poisson_vrh", "young_min_gpa", "young_max_gpa", "universal_anisotropy",
    "elastic_min_eigenvalue_gpa",
)  # fmt: skip
"""Derived columns that are of use for a metamaterial."""

_CUBIC = 1e-6  # a stiffness has cubic symmetry where its Kelvin moduli are one, two and three equal ones


@dataclass(frozen=True)
class NetProperties:
    """What is known of one net.

    Attributes:
        net: with its solid.
        relative_density: sum of pi r^2 L over the volume.
        slenderness: largest radius over length of its struts.
        stretching_share: see `EffectiveStiffness`.
        stiffness: C_IJ in GPa by how it was found, "homogenized" and "predicted", each [6, 6].
        derived: columns and `zener` for cubic nets, by how the stiffness was found.
        model: identity of the network; None where none was asked.
    """

    net: NetInput
    relative_density: float
    slenderness: float
    stretching_share: float
    stiffness: dict[str, Floats]
    derived: dict[str, dict[str, float]]
    model: str | None = None

    @property
    def warnings(self) -> list[str]:
        """What to bear in mind, a sentence each."""
        lines = []
        if self.slenderness > SLENDER_LIMIT:
            lines.append(
                f"the thickest strut has a radius of {self.slenderness:.2f} of its length: above {SLENDER_LIMIT} nodes "
                "stiffen a net and struts shear, which beams of Euler and Bernoulli leave out"
            )
        if self.stretching_share < SOFT_SHARE:
            lines.append(
                f"bending-dominated: {100 * (1 - self.stretching_share):.0f} % of the energy of its softest strain is "
                "bending and torsion, so that strain stiffens with the square of the density"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        net = self.net
        return {
            "name": net.name,
            "nodes": len(net.nets.frac_coords),
            "struts": len(net.nets.radius),
            "relative_density": self.relative_density,
            "radius_over_length": self.slenderness,
            "stretching_share": self.stretching_share,
            "solid": {"young_gpa": net.young_gpa, "poisson_ratio": net.poisson_ratio},
            "elastic_voigt_gpa": {name: values.tolist() for name, values in self.stiffness.items()},
            "derived": self.derived,
            "model": self.model,
            "warnings": self.warnings,
        }

    def surface(self, surface: Surface) -> SurfaceGrid:
        """The homogenized stiffness over all directions, for the plots that crystals have."""
        tensors = {Tensor.ELASTIC.value: self.stiffness["homogenized"]}
        facts = {"lattice": self.net.nets.lattice[0]}
        return surface_grid(facts, {"tensors": tensors, "derived": {}}, surface)


def net_properties(net: NetInput, *, predict: bool = True) -> NetProperties:
    """Homogenizes one net, and asks the network that comes with the program.

    Args:
        net: with its solid.
        predict: whether to ask the network, which takes a few seconds to load.
    """
    effective = homogenize(net.nets, poisson_ratio=net.poisson_ratio)
    stiffness = {"homogenized": effective.stiffness_voigt[0] * net.young_gpa}
    model = None
    if predict:
        # torch is loaded by those only who ask
        from models.gmtnet.beam_lattice.predictor import load_lattice_predictor

        predictor = load_lattice_predictor()
        stiffness["predicted"] = predictor.predict(net.nets)[0] * net.young_gpa
        model = predictor.identity
    return NetProperties(
        net,
        float(net.nets.relative_density[0]),
        float(net.nets.slenderness[0]),
        float(effective.stretching_share[0]),
        stiffness,
        {name: _derived(values) for name, values in stiffness.items()},
        model,
    )


def _derived(stiffness_voigt: Floats) -> dict[str, float]:
    """Columns of one stiffness, NaN where a net is as good as a mechanism."""
    one = stiffness_voigt[None]
    columns = derive_elastic(one, Unstable.FLAG) | derive_directional(one, Unstable.FLAG)
    values = {name: float(columns[name][0]) for name in COLUMNS}
    kelvin = np.linalg.eigvalsh(stiffness_voigt_to_mandel(stiffness_voigt))
    repeated = np.abs(np.diff(kelvin)) < _CUBIC * kelvin[-1]
    if repeated.sum() == 3:
        values["zener"] = float(zener_anisotropy(one)[0])
    return values
