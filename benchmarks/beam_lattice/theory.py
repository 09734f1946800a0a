"""Closed forms of cubic frames of Euler-Bernoulli beams with circular cross sections, derived apart from the code.

**One node of diamond.** Middles of struts are centres of inversion: under a homogeneous strain they move affinely and
bear no moment, and since rotation is an axial vector, even under inversion, all nodes rotate alike; the four-fold site
symmetry -43m leaves no rotation (T1) in a strain (A1 + E + T2). So a node with four half struts, clamped in it and
hinged at their middles, is the whole problem. A half strut has a stiffness k_a = 2 E A / L along itself and, as a
cantilever of length L / 2, k_b = 3 E I / (L / 2)^3 = 24 E I / L^3 across. Its far end moves by (L / 2) eps t relative
to the affine node, less the displacement w of the node; t = (1,1,1), (1,-1,-1), (-1,1,-1), (-1,-1,1) over sqrt(3), with
sum t = 0, sum tt = 4/3, sum t_i t_j t_k = 4 / (3 sqrt(3)) for i, j, k all different, and a volume 8 L^3 / (3 sqrt(3))
per node, which gives rho = 3 sqrt(3) A / (4 L^2).

- Pressure stretches only: K = E rho / 9.
- eps = diag(e, -e, 0): every t.eps t = 0, w = 0, energy per node 1/2 k_b L^2 (2/3) e^2 = V (C11 - C12) e^2, hence
  C11 - C12 = k_b L^2 / (3 V).
- eps_12 = g / 2: minimising over w gives w_3 = g L (k_a - k_b) / (2 sqrt(3) (k_a + 2 k_b)) and
  C44 = k_a k_b L^2 / (2 V (k_a + 2 k_b)).

In the slender limit C11 - C12 = 4 sqrt(3) / (9 pi) E rho^2 and C44 = 2 sqrt(3) / (3 pi) E rho^2, with
I = A^2 / (4 pi). The bulk modulus is that of W. E. Warren and A. M. Kraynik, J. Appl. Mech. 55, 341 (1988).

**Kelvin foam.** Young's modulus along the axes, E100 = 6 sqrt(2) E I / (L^4 (1 + 12 I / (A L^2))): H. X. Zhu,
J. F. Knott, N. J. Mills, J. Mech. Phys. Solids 45, 319 (1997).

**Simple cubic.** C11 = E A / L^2; under a shear g each strut bends as clamped at both ends, across by g L / 2:
C44 = 6 E I / L^4.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def diamond(length: float, radius: float) -> dict[str, float]:
    """Moduli of diamond over that of the solid."""
    area, inertia = math.pi * radius**2, math.pi * radius**4 / 4
    along, across = 2 * area / length, 24 * inertia / length**3
    volume = 8 * length**3 / (3 * math.sqrt(3))
    return {
        "bulk": 3 * math.sqrt(3) * area / (4 * length**2) / 9,
        "c11 - c12": across * length**2 / (3 * volume),
        "c44": along * across * length**2 / (2 * volume * (along + 2 * across)),
    }


def kelvin_young(length: float, radius: float) -> float:
    """Young's modulus of the Kelvin foam along its four-fold axes over that of the solid."""
    area, inertia = math.pi * radius**2, math.pi * radius**4 / 4
    return 6 * math.sqrt(2) * inertia / (length**4 * (1 + 12 * inertia / (area * length**2)))


SLENDER = {
    "octet": (1 / 6, 1 / 12, 1 / 12),
    "simple-cubic": (1 / 3, 0.0, 0.0),
    "bcc": (1 / 9, 1 / 9, 1 / 9),
}
"""C11, C12, C44 over E rho in the slender limit; octet: V. S. Deshpande, N. A. Fleck, M. F. Ashby, J. Mech. Phys.
Solids 49, 1747 (2001); the others follow from the same sum over directions, 1/3 sum t t t t for each of the struts."""


def cubic_stiffness(name: str, length: float, radius: float, density: float) -> Floats:
    """C_IJ over the modulus of the solid, [6, 6], of octet, simple cubic, bcc (slender limit) or diamond.

    Args:
        name: of the reference net.
        length: of a strut.
        radius: of a strut.
        density: relative density.
    """
    if name == "diamond":
        moduli = diamond(length, radius)
        c12 = moduli["bulk"] - moduli["c11 - c12"] / 3
        c11, c44 = c12 + moduli["c11 - c12"], moduli["c44"]
    else:
        c11, c12, c44 = (density * value for value in SLENDER[name])
    if name == "simple-cubic":
        c44 = 6 * math.pi * radius**4 / 4 / length**4
    stiffness = np.diag([c11 - c12] * 3 + [c44] * 3)
    stiffness[:3, :3] += c12
    return stiffness


def cubic_young(stiffness: Floats, directions: Floats) -> Floats:
    """Young's modulus of a cubic stiffness along unit vectors [n, 3], by Nye's formula of three compliances.

    Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII, eq. 14.
    """
    c11, c12, c44 = stiffness[0, 0], stiffness[0, 1], stiffness[3, 3]
    s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
    s12 = -c12 / ((c11 - c12) * (c11 + 2 * c12))
    x, y, z = (directions**2).T
    young: Floats = 1 / (s11 - 2 * (s11 - s12 - 1 / (2 * c44)) * (x * y + y * z + z * x))
    return young
