"""Nets of beams as graphs of the network: two directed edges per strut, what it is made of as edge features.

All lengths are in units of the cube root of the volume per node, all stiffnesses in units of Young's modulus of the
solid times the relative density: what the network has to learn is the same for every size, solid and, but for bending,
for every density.
"""

import numpy as np
import torch

from models.beam_lattice.net import BeamNets, Floats, Ints
from models.gmtnet.torch_graph import TorchGraph

EDGE_SCALARS = ("ln radius", "ln slenderness", "bending", "share of solid")
"""ln(r / l), ln(r / L), 12 I / (A L^2) = 3 r^2 / L^2, and the solid of the strut in terms of that of an average node,
times the struts at the start over two: the mean of this over all edges is what a node has of the mean solid."""

NODE_NUMBER = 6
"""Nodes have no element; all are given this one."""

_MIDDLE = np.array([-2.3, -2.3, 0.05, 1.0])
_WIDTH = np.array([0.7, 0.7, 0.05, 0.5])


def graph_of_nets(nets: BeamNets, dtype: torch.dtype = torch.float32) -> TorchGraph:
    """The graph of nets for a network with `n_edge_scalars` of len(EDGE_SCALARS)."""
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
        edge_scalars=move(edge_scalars(nets, degree)[order]),
    )


def edge_scalars(nets: BeamNets, degree: Ints) -> Floats:
    """EDGE_SCALARS of each strut from its first and from its second end, scaled, [2 n_struts, 4].

    Args:
        nets: validated.
        degree: struts at each node, [n_nodes].
    """
    unit = np.cbrt(nets.volume / nets.nodes_per_net)[nets.net_of_strut]
    radius, slender = nets.radius / unit, nets.radius / nets.length
    solid = np.pi * nets.radius**2 * nets.length
    per_node = (nets.relative_density * nets.volume / nets.nodes_per_net)[nets.net_of_strut]
    columns = []
    for end in range(2):
        share = solid / per_node * degree[nets.ends[:, end]] / 2
        columns.append(np.stack([np.log(radius), np.log(slender), 3 * slender**2, share], axis=1))
    scaled: Floats = (np.concatenate(columns) - _MIDDLE) / _WIDTH
    return scaled
