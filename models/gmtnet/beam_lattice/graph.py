"""Nets of beams as graphs of the network: two directed edges per strut, what it is made of as edge features.

All lengths are in units of the cube root of the volume per node, all stiffnesses in units of Young's modulus of the
solid times the relative density: what the network has to learn is the same for every size, solid and, but for bending,
for every density.
"""

import numpy as np
import torch

from models.beam_lattice.net import BeamNets, Floats, Ints
from models.gmtnet.torch_graph import TorchGraph

EDGE_SCALARS = ("ln radius", "ln slenderness", "bending", "share of solid", "unbalanced here", "unbalanced there")
"""ln(r / l), ln(r / L), 12 I / (A L^2) = 3 r^2 / L^2; the solid of the strut in terms of that of an average node, times
the struts at the start over two: the mean of this over all edges is what a node has of the mean solid; and how far both
ends are from equilibrium after one step of relaxation, as logarithms (`OneStep.unbalanced`)."""

NODE_NUMBER = 6
"""Nodes have no element; all are given this one."""

_MIDDLE = np.array([-2.3, -2.3, 0.05, 1.0, -6.0, -6.0])
_WIDTH = np.array([0.7, 0.7, 0.05, 0.5, 2.0, 2.0])
_IN_BALANCE = 1e-4  # below this share of the energy what is released does not matter


def graph_of_nets(nets: BeamNets, unbalanced: Floats, dtype: torch.dtype = torch.float32) -> TorchGraph:
    """The graph of nets for a network with `n_edge_scalars` of len(EDGE_SCALARS).

    Args:
        nets: validated.
        unbalanced: see `OneStep`, [n_nodes].
        dtype: of the numbers.
    """
    start = nets.ends.T.ravel()
    order = np.argsort(start, kind="stable")
    unit = np.cbrt(nets.volume / nets.nodes_per_net)[nets.net_of_strut]
    vector = nets.vector / unit[:, None]
    vectors = np.concatenate([vector, -vector])[order]
    degree = np.bincount(start, minlength=len(nets.frac_coords)).astype(np.int64)
    of_nodes = 1.0 / nets.nodes_per_net[nets.net_of_node]

    def move(array: Floats, kind: torch.dtype = dtype) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array)).to(kind)

    return TorchGraph(
        nets.n_nets,
        torch.full((len(nets.frac_coords),), NODE_NUMBER),
        torch.as_tensor(nets.net_of_node.copy()),
        move(of_nodes),
        torch.as_tensor(np.stack([start[order], nets.ends[:, ::-1].T.ravel()[order]])),
        move(vectors),
        # no strut is far: the envelope weighs all alike
        torch.zeros(len(order), dtype=dtype),
        int(degree.max(initial=0)),
        edge_scalars=move(edge_scalars(nets, degree, unbalanced)[order]),
    )


def edge_scalars(nets: BeamNets, degree: Ints, unbalanced: Floats) -> Floats:
    """EDGE_SCALARS of each strut from its first and from its second end, scaled, [2 n_struts, 6].

    Args:
        nets: validated.
        degree: struts at each node, [n_nodes].
        unbalanced: see `OneStep`, [n_nodes].
    """
    unit = np.cbrt(nets.volume / nets.nodes_per_net)[nets.net_of_strut]
    radius, slender = nets.radius / unit, nets.radius / nets.length
    solid = np.pi * nets.radius**2 * nets.length
    per_node = (nets.relative_density * nets.volume / nets.nodes_per_net)[nets.net_of_strut]
    left = np.log(unbalanced + _IN_BALANCE)
    columns = []
    for end in range(2):
        here, there = nets.ends[:, end], nets.ends[:, 1 - end]
        share = solid / per_node * degree[here] / 2
        columns.append(
            np.stack([np.log(radius), np.log(slender), 3 * slender**2, share, left[here], left[there]], axis=1)
        )
    scaled: Floats = (np.concatenate(columns) - _MIDDLE) / _WIDTH
    return scaled
