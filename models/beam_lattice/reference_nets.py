"""Nets that the literature of metamaterials and of reticular chemistry knows by name.

Each is given by a cell and nodes; its struts join all nodes at the shortest distance.
Source: M. O'Keeffe et al., Acc. Chem. Res. 41, 1782 (2008) for nets and their three-letter symbols (RCSR).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from models.beam_lattice.net import BeamNets, Floats, canonical_struts
from models.errors import GmtError

_FACE_CENTRED = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_BODY_CENTRED = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
_SHELL = 1e-6  # distances that differ by less are one


class UnknownNetError(GmtError):
    """A reference net was asked for by a name that none has."""


@dataclass(frozen=True)
class ReferenceNet:
    """A net by its cell and nodes.

    Attributes:
        title: what the literature calls it.
        rcsr: its three-letter symbol.
        coordination: struts at a node, each value that occurs.
        lattice: rows a, b, c in units of the cubic cell, [3, 3].
        positions: nodes in Cartesian coordinates, in the same unit, [n_nodes, 3].
    """

    title: str
    rcsr: str
    coordination: tuple[int, ...]
    lattice: Floats
    positions: Floats


_KELVIN = np.array([[0.25, 0.0, 0.5], [0.5, 0.25, 0.0], [0.0, 0.5, 0.25], [0.75, 0.0, 0.5], [0.5, 0.75, 0.0],
                    [0.0, 0.5, 0.75]])  # fmt: skip
_GYROID = np.array([[1, 1, 1], [7, 3, 5], [5, 7, 3], [3, 5, 7]]) / 8

REFERENCE_NETS: dict[str, ReferenceNet] = {
    "simple-cubic": ReferenceNet("simple cubic", "pcu", (6,), np.eye(3), np.zeros((1, 3))),
    "bcc": ReferenceNet("body-centred cubic", "bcu", (8,), _BODY_CENTRED, np.zeros((1, 3))),
    "octet": ReferenceNet("octet truss", "fcu", (12,), _FACE_CENTRED, np.zeros((1, 3))),
    "diamond": ReferenceNet("diamond", "dia", (4,), _FACE_CENTRED, np.array([[0.0] * 3, [0.25] * 3])),
    "kelvin": ReferenceNet("Kelvin foam (truncated octahedra)", "sod", (4,), _BODY_CENTRED, _KELVIN),
    "gyroid": ReferenceNet("K4 crystal (gyroid)", "srs", (3,), _BODY_CENTRED, _GYROID),
    "rhombic-dodecahedra": ReferenceNet(
        "rhombic dodecahedra", "flu", (4, 8), _FACE_CENTRED, np.array([[0.0] * 3, [0.25] * 3, [0.75] * 3])
    ),
}
"""By the name that people type; the RCSR symbol is understood, too."""


def reference_net(name: str, relative_density: float = 0.01) -> BeamNets:
    """A reference net with equal struts in a cubic cell of length 1.

    Args:
        name: of `REFERENCE_NETS`, or an RCSR symbol.
        relative_density: sum of pi r^2 L over the volume.

    Raises:
        UnknownNetError: there is no such net.
    """
    symbols = {net.rcsr: net for net in REFERENCE_NETS.values()}
    net = REFERENCE_NETS.get(name.lower()) or symbols.get(name.lower())
    if net is None:
        raise UnknownNetError(f"There is no reference net {name}; choose {', '.join(REFERENCE_NETS)}.")
    return nearest_struts(net.lattice, net.positions @ np.linalg.inv(net.lattice)).at_density(relative_density)


def nearest_struts(lattice: Floats, frac_coords: Floats) -> BeamNets:
    """One net whose struts join all nodes at the shortest distance, all with a radius of a hundredth of it.

    Args:
        lattice: rows a, b, c of a cell that is not much skewed, [3, 3].
        frac_coords: [n_nodes, 3].
    """
    n = len(frac_coords)
    images = np.array(list(product(range(-2, 3), repeat=3)))
    fractional = frac_coords[None, :, None] + images - frac_coords[:, None, None]
    distance = np.linalg.norm(fractional @ lattice, axis=-1)
    distance[np.arange(n), np.arange(n), len(images) // 2] = np.inf
    first, second, image = np.nonzero(distance < distance.min() * (1 + _SHELL))
    ends, shifts = canonical_struts(np.stack([first, second], axis=1), images[image])
    struts = np.unique(np.hstack([ends, shifts]), axis=0)
    radius = np.full(len(struts), 0.01 * distance.min())
    return BeamNets(lattice[None], frac_coords, np.zeros(n, np.int64), struts[:, :2], struts[:, 2:], radius)
