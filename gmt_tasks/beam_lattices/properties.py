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

_EQUAL = 1e-6  # relative difference of Kelvin moduli that are equal
_ROUNDING = 1e-12  # of the largest Kelvin modulus


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
        model: identity of the network; None where none was asked, or none answered.
        failure: why the network did not answer.
        learned: lowest and highest relative density of the nets that the network learned from.
    """

    net: NetInput
    relative_density: float
    slenderness: float
    stretching_share: float
    stiffness: dict[str, Floats]
    derived: dict[str, dict[str, float]]
    model: str | None = None
    failure: str | None = None
    learned: tuple[float, float] = (0.0, np.inf)

    @property
    def warnings(self) -> list[str]:
        """What to bear in mind, a sentence each."""
        lines = [] if self.failure is None else [self.failure]
        low, high = self.learned
        if not 0.99 * low < self.relative_density < 1.01 * high:
            lines.append(
                f"the network learned from nets of relative density {low:g} to {high:g}: what it predicts here is a "
                "guess, the homogenized stiffness is not"
            )
        if np.isnan(self.derived["homogenized"]["k_vrh_gpa"]):
            lines.append(
                "one strain costs as good as nothing: no moduli are derived; brace the net, or thicken its thin struts"
            )
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
    model, failure, learned = None, None, (0.0, np.inf)
    if predict:
        # torch is loaded by those only who ask
        from models.gmtnet.beam_lattice.predictor import load_lattice_predictor

        predictor = load_lattice_predictor()
        try:
            stiffness["predicted"] = predictor.predict(net.nets)[0] * net.young_gpa
            model, learned = predictor.identity, predictor.card.densities
        except np.linalg.LinAlgError:
            failure = "the network has no answer: stiff and soft struts of this net are too far apart for it"
    derived = {}
    for name, values in stiffness.items():
        # NaN where a net is as good as a mechanism
        columns = derive_elastic(values[None], Unstable.FLAG) | derive_directional(values[None], Unstable.FLAG)
        derived[name] = {column: float(columns[column][0]) for column in COLUMNS}
        ratio = _zener_of_cubic(stiffness_voigt_to_mandel(values))
        derived[name] |= {} if ratio is None else {"zener": ratio}
    return NetProperties(
        net,
        float(net.nets.relative_density[0]),
        float(net.nets.slenderness[0]),
        float(effective.stretching_share[0]),
        stiffness,
        derived,
        model,
        failure,
        learned,
    )


def _zener_of_cubic(mandel: Floats) -> float | None:
    """2 C44 / (C11 - C12) of a stiffness with cubic symmetry in whichever frame, None for any other.

    Cubic is what answers a pressure with a change of volume alone, and shears with two moduli, one of two and one of
    three strains.

    Source: C. Zener, Elasticity and Anelasticity of Metals (1948), p. 16; M. Mehrabadi, S. Cowin, Q. J. Mech. Appl.
    Math. 43, 15 (1990) for the moduli.
    """
    pressure = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / np.sqrt(3.0)
    answer = mandel @ pressure
    of_shears = np.eye(6) - np.outer(pressure, pressure)
    # the pressure itself comes out as zero, and is left out
    moduli = np.linalg.eigvalsh(of_shears @ mandel @ of_shears)[1:]
    largest = float(np.linalg.eigvalsh(mandel)[-1])
    if np.linalg.norm(of_shears @ answer) > _EQUAL * np.linalg.norm(answer) or moduli[0] <= 0:
        return None
    for two, three in ((moduli[:2], moduli[2:]), (moduli[3:], moduli[:3])):
        if all(np.ptp(group) <= _EQUAL * group[-1] + _ROUNDING * largest for group in (two, three)):
            return float(three.mean() / two.mean())
    return None
