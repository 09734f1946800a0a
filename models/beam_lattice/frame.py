"""Frames of beams as matrices: struts as springs between the six degrees of freedom of their ends.

Struts are Euler-Bernoulli beams with a circular cross section, joined rigidly. With d from start to end, t = d / L,
displacements u and rotations theta of the ends, and a homogeneous strain eps over them, a strut stores

    E = 1/2 q.[EA/L tt + 12 EI/L^3 (1 - tt)].q + 1/2 p.[GJ/L tt + EI/L (1 - tt)].p
    q = u_2 - u_1 + eps d - (theta_1 + theta_2) x d / 2,    p = theta_2 - theta_1

which is the 12 x 12 stiffness of the textbooks, written without an axis of the cross section.

Source: M. Géradin and D. Rixen, Mechanical Vibrations (1997), sec. 5.5 for the element.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.beam_lattice.net import BeamNets, Floats, Ints, equal_sizes, local_struts
from models.tensors.voigt import mandel_to_symmetric

SOLID_POISSON_RATIO = 0.3
"""Poisson's ratio of the solid where none is given; it enters through torsion alone."""

_STRAINS: Floats = mandel_to_symmetric(np.eye(6))
"""Six strains of unit norm, orthogonal, [6, 3, 3]."""

_LEVI_CIVITA = np.zeros((3, 3, 3))
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _LEVI_CIVITA[_i, _j, _k], _LEVI_CIVITA[_i, _k, _j] = 1.0, -1.0


class Joints(StrEnum):
    """How struts meet."""

    RIGID = "rigid"  # nodes carry moments
    PINNED = "pinned"  # struts carry axial forces only; mechanisms cost nothing


@dataclass(frozen=True)
class Struts:
    """Struts as springs on what their ends do to them; E_s = 1.

    Attributes:
        shift: from u_1, theta_1, u_2, theta_2 and the six strains to q and p, [n, 6, 18].
        spring: stiffness of q and p, [n, 6, 6].
        stretch: its part of stretching, [n, 6, 6].
    """

    shift: Floats
    spring: Floats
    stretch: Floats

    def select(self, rows: Ints) -> "Struts":
        """The struts of some rows."""
        return Struts(self.shift[rows], self.spring[rows], self.stretch[rows])

    @property
    def matrices(self) -> Floats:
        """Stiffness of the ends and the strains, [n, 18, 18]."""
        return np.asarray(np.swapaxes(self.shift, 1, 2) @ self.spring @ self.shift)


@dataclass(frozen=True)
class Frames:
    """Nets with as many nodes each, assembled; lengths in units of the cube root of the volume per node.

    Attributes:
        chosen: which nets of the batch, [n].
        size: nodes of each; the volume of its cell, too.
        struts: theirs.
        net: of each strut, counted among the chosen.
        rows: of the twelve degrees of freedom of each strut in all nets, [n_struts, 12].
        stiffness: [n, 6 size, 6 size].
        drive: forces under the six strains, [n, 6 size, 6].
        own: stiffness of each node while all others are fixed, [n, size, 6, 6].
    """

    chosen: Ints
    size: int
    struts: Struts
    net: Ints
    rows: Ints
    stiffness: Floats
    drive: Floats
    own: Floats

    def strain_sums(self, of_struts: Floats) -> Floats:
        """Sums over the struts of each net over the volume, [n_struts, 6, 6] -> [n, 6, 6]."""
        places = 36 * self.net[:, None, None] + np.arange(36).reshape(6, 6)
        return sums(places, of_struts, (len(self.chosen), 6, 6)) / self.size


def sums(places: Ints, values: Floats, shape: tuple[int, ...]) -> Floats:
    """Sums of values by flat place, in an array of this shape; several times as fast as np.add.at."""
    total = np.bincount(places.ravel(), values.ravel(), minlength=math.prod(shape))
    return np.asarray(total, dtype=np.float64).reshape(shape)


def assembled(nets: BeamNets, joints: Joints, poisson_ratio: Floats | float) -> Iterator[Frames]:
    """All nets as frames, those with as many nodes together.

    Args:
        nets: validated.
        joints: rigid or pinned.
        poisson_ratio: of the solid, one or one per net, [n_nets].
    """
    # the stiffness does not depend on the size of a net: lengths of about one keep the matrices in range
    unit = np.cbrt(nets.volume / nets.nodes_per_net)[nets.net_of_strut]
    ratio = np.broadcast_to(poisson_ratio, nets.n_nets)[nets.net_of_strut]
    springs = _springs(nets.vector / unit[:, None], nets.radius / unit, joints, ratio)
    for chosen, size in equal_sizes(nets.nodes_per_net, rows_per_node=6):
        rows_of_struts, net, ends = local_struts(nets, chosen)
        struts = springs.select(rows_of_struts)
        matrices, width = struts.matrices, 6 * size
        rows = (6 * ends[:, :, None] + np.arange(6)).reshape(len(ends), 12) + width * net[:, None]
        places = rows[:, :, None] * width + rows[:, None, :] % width
        blocks = rows[:, :, None] * 6 + np.arange(6)
        # a strut from a node to its own image pulls nowhere and yet has its share here
        at_ends = np.concatenate([matrices[:, :6, :6], matrices[:, 6:12, 6:12]], axis=1)
        n = len(chosen)
        yield Frames(
            chosen,
            size,
            struts,
            net,
            rows,
            sums(places, matrices[:, :12, :12], (n, width, width)),
            sums(blocks, matrices[:, :12, 12:], (n, width, 6)),
            sums(blocks, at_ends, (n, size, 6, 6)),
        )


def _springs(vector: Floats, radius: Floats, joints: Joints, poisson_ratio: Floats) -> Struts:
    """Struts with vectors [n, 3] and radii [n] of a solid with Poisson's ratios [n]."""
    n = len(vector)
    length = np.linalg.norm(vector, axis=1)
    direction = vector / length[:, None]
    along = direction[:, :, None] * direction[:, None, :]
    across = np.eye(3) - along
    area, inertia = np.pi * radius**2, np.pi * radius**4 / 4
    axial, bending = area / length, inertia / length
    # J = 2 I of a circle and G = E / (2 + 2 nu)
    torsion = bending / (1 + poisson_ratio)
    spring, stretch = np.zeros((n, 6, 6)), np.zeros((n, 6, 6))
    stretch[:, :3, :3] = axial[:, None, None] * along
    spring[:, :3, :3] = stretch[:, :3, :3]
    if joints is Joints.RIGID:
        spring[:, :3, :3] += (12 * bending / length**2)[:, None, None] * across
        spring[:, 3:, 3:] = torsion[:, None, None] * along + bending[:, None, None] * across
    shift = np.zeros((n, 6, 18))
    # theta x d / 2 as a matrix on theta
    half_cross = np.einsum("abc,nc->nab", _LEVI_CIVITA, vector) / 2
    shift[:, :3, 0:3], shift[:, :3, 6:9] = -np.eye(3), np.eye(3)
    shift[:, :3, 3:6] = shift[:, :3, 9:12] = -half_cross
    shift[:, 3:, 3:6], shift[:, 3:, 9:12] = -np.eye(3), np.eye(3)
    shift[:, :3, 12:] = np.einsum("sab,nb->nas", _STRAINS, vector)
    return Struts(shift, spring, stretch)
