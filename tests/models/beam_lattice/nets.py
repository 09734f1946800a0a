"""Nets for tests: without symmetry, and other descriptions of the same net."""

import numpy as np

from models.beam_lattice.net import BeamNets, Floats, Ints


def crooked(seed: int = 0, radius: float = 0.05) -> BeamNets:
    """A net of three nodes in a triclinic cell, its struts of different thickness, without any symmetry."""
    rng = np.random.default_rng(seed)
    lattice = np.eye(3) + 0.2 * rng.normal(size=(3, 3))
    ends = np.array([[0, 1], [1, 2], [2, 0], [0, 0], [1, 0], [2, 1], [1, 1]])
    image = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [1, -1, 0], [0, 1, 1]])
    radii = radius * rng.uniform(0.7, 1.3, len(ends))
    return BeamNets(lattice[None], rng.uniform(0, 1, (3, 3)), np.zeros(3, int), ends, image, radii)


def in_frame(nets: BeamNets, matrix: Floats) -> BeamNets:
    """The nets with every vector v replaced by matrix @ v."""
    return BeamNets(nets.lattice @ matrix.T, nets.frac_coords, nets.net_of_node, nets.ends, nets.image, nets.radius)


def doubled(nets: BeamNets) -> BeamNets:
    """One net in a cell twice as long along a."""
    n = len(nets.frac_coords)
    frac = np.concatenate([nets.frac_coords, nets.frac_coords + np.eye(3)[0]]) / [2, 1, 1]
    ends, image = [], []
    for copy in (0, 1):
        cell = nets.image[:, 0] + copy
        ends.append(np.stack([nets.ends[:, 0] + copy * n, nets.ends[:, 1] + cell % 2 * n], axis=1))
        image.append(np.column_stack([cell // 2, nets.image[:, 1:]]))
    lattice = nets.lattice * np.array([2, 1, 1])[:, None]
    return BeamNets(lattice, frac, np.zeros(2 * n, int), *map(np.concatenate, (ends, image)), np.tile(nets.radius, 2))


def split(nets: BeamNets, strut: int, share: float = 0.3) -> BeamNets:
    """One net with a node more, on a strut, a share of its length from its start."""
    n = len(nets.frac_coords)
    start = nets.frac_coords[nets.ends[strut, 0]]
    middle = start + share * nets.fractional_vector[strut]
    first, second = nets.ends[strut]
    ends = np.concatenate([np.delete(nets.ends, strut, axis=0), [[first, n], [n, second]]])
    image = np.concatenate([np.delete(nets.image, strut, axis=0), [[0, 0, 0], nets.image[strut]]])
    radius = np.concatenate([np.delete(nets.radius, strut), [nets.radius[strut]] * 2])
    return BeamNets(nets.lattice, np.vstack([nets.frac_coords, middle]), np.zeros(n + 1, int), ends, image, radius)


def relabelled(nets: BeamNets, order: Ints) -> BeamNets:
    """One net whose nodes come in another order and whose struts are listed from their other ends."""
    place = np.argsort(order)
    return BeamNets(
        nets.lattice, nets.frac_coords[order], nets.net_of_node, place[nets.ends[:, ::-1]], -nets.image, nets.radius
    )
