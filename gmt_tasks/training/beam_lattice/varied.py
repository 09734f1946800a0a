"""Nets made of others for training: bonds of a kind left out, cells strained, nodes moved."""

from dataclasses import dataclass

import numpy as np

from models.beam_lattice.net import BeamNets, Floats, Ints, NetArrays, sound_nets
from models.beam_lattice.topology import net_signatures


@dataclass(frozen=True)
class Variation:
    """How nets are changed.

    Attributes:
        thinned: share of nets, of those with several classes of bonds, that lose one class.
        moved: share of nets whose cell is strained and whose nodes are moved.
        strain: standard deviation of the entries of the strain.
        shift: of the coordinates of nodes, in units of the cube root of the volume per node.
    """

    thinned: float = 0.5
    moved: float = 0.5
    strain: float = 0.05
    shift: float = 0.05


def varied_nets(
    nets: BeamNets, classes: Ints, variation: Variation, rng: np.random.Generator
) -> tuple[BeamNets, Ints, list[str]]:
    """Nets that are like given ones.

    Args:
        nets: to change.
        classes: of their bonds, 0 to n_classes - 1, each in one net, [n_struts].
        variation: how.
        rng: of the changes.

    Returns:
        Those that still hold together, the classes of their struts, and signatures of their topologies.
    """
    n_classes = int(classes.max(initial=-1)) + 1
    net_of_class = np.zeros(n_classes, dtype=np.int64)
    net_of_class[classes] = nets.net_of_strut
    order = np.lexsort((rng.random(n_classes), net_of_class))
    several = np.bincount(net_of_class, minlength=nets.n_nets) > 1
    # the first class of each net in a random order
    candidate = order[np.searchsorted(net_of_class[order], np.arange(nets.n_nets))]
    left_out = candidate[several & (rng.random(nets.n_nets) < variation.thinned)]
    kept = ~np.isin(classes, left_out)
    lattice, frac_coords = _moved(nets, variation, rng)
    arrays = NetArrays(lattice, frac_coords, nets.net_of_node, nets.ends[kept], nets.image[kept], nets.radius[kept])
    sound, rows, _ = sound_nets(arrays)
    return sound, classes[kept][arrays.rows(rows)[1]], net_signatures(sound)


def _moved(nets: BeamNets, variation: Variation, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Lattices and positions of nets, some of them strained and moved."""
    is_moved = rng.random(nets.n_nets) < variation.moved
    strain = variation.strain * rng.normal(size=(nets.n_nets, 3, 3)) * is_moved[:, None, None]
    lattice = nets.lattice @ (np.eye(3) + (strain + np.swapaxes(strain, 1, 2)) / 2)
    unit = np.cbrt(nets.volume / nets.nodes_per_net) * is_moved
    shift = variation.shift * rng.normal(size=nets.frac_coords.shape) * unit[nets.net_of_node, None]
    inverse = np.linalg.inv(lattice)[nets.net_of_node]
    return lattice, nets.frac_coords + np.einsum("ni,nij->nj", shift, inverse)
