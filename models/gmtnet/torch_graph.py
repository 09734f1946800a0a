"""Graphs on a device, in the network's precision: of all atoms, or of one atom per orbit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from models.crystals.graph import CrystalGraph
from models.crystals.image_kernels import pairs_of
from models.gmtnet.spherical import rotation_matrices
from models.symmetry.orbits import DEGREES, IdealizedGraph, OrbitGraph

Features = dict[str, TorchTensor]
"""Tensors of n rows per kind of irrep, {"1o": [3, n, channels], "2e": [5, n, channels]}: see equivariant.py."""

INDICES = "numbers", "crystal_of_orbit", "orbit_of_atom", "center", "neighbor"
NUMBERS = "share", "rotations", "vector", "scaled_distance"
"""Arrays of an IdealizedGraph, by what they hold."""


@dataclass(frozen=True)
class Orbits:
    """The other atoms of a graph of one atom per orbit; matrices act on components of irreps.

    Attributes:
        neighbor: neighbour atom of each edge, [n_edges].
        orbit_of_atom: [n_atoms].
        rotations: {kind: from the orbit's first atom to the atom, [n_atoms, 2l + 1, 2l + 1]}.
        averages: {kind: mean over the atoms of the orbit, or over the point group, [n_orbits, 2l + 1, 2l + 1]}.
    """

    neighbor: TorchTensor
    orbit_of_atom: TorchTensor
    rotations: Features
    averages: Features


@dataclass(frozen=True)
class Pairs:
    """All pairs of "atoms" of the same crystal, each with itself too.

    Attributes:
        center: ascending, [n_pairs].
        neighbor: [n_pairs].
        kernels: how much of the neighbour and its images the center sees, [n_pairs, n_widths].
    """

    center: TorchTensor
    neighbor: TorchTensor
    kernels: TorchTensor


@dataclass(frozen=True)
class TorchGraph:
    """Edges of a batch. "Atoms" are all atoms, or the first atom of each orbit if `orbits` is given.

    Attributes:
        n_crystals: number of crystals.
        numbers: atomic numbers, [n_atoms].
        crystal_of_atom: [n_atoms].
        share_of_atom: weights of the atoms in the mean of their crystal, [n_atoms].
        ends: center (ascending) and neighbour of each edge, [2, n_edges].
        vector: from center to neighbour in angstrom, [n_edges, 3].
        scaled_distance: see CrystalGraph, [n_edges].
        n_slots: at least as many as any atom has edges; known before they are on the device, which must not be waited
            for.
        orbits: None for a graph of all atoms.
        pairs: None for a network of edges only.
        edge_scalars: further numbers of each edge, for a network that reads them, [n_edges, n_edge_scalars].
    """

    n_crystals: int
    numbers: TorchTensor
    crystal_of_atom: TorchTensor
    share_of_atom: TorchTensor
    ends: TorchTensor
    vector: TorchTensor
    scaled_distance: TorchTensor
    n_slots: int
    orbits: Orbits | None = None
    pairs: Pairs | None = None
    edge_scalars: TorchTensor | None = None

    @staticmethod
    def from_graph(
        graph: CrystalGraph | OrbitGraph | IdealizedGraph, device: torch.device | str, dtype: torch.dtype
    ) -> "TorchGraph":
        """Copies a graph's arrays to a device."""

        def move(array: Any, kind: torch.dtype = torch.int64) -> TorchTensor:
            return torch.as_tensor(array).to(device=device, dtype=kind)

        pairs = None
        if graph.kernels is not None:
            center, neighbor = map(move, pairs_of(graph.kernels.sizes))
            pairs = Pairs(center, neighbor, move(graph.kernels.values, dtype))
        n_slots = int(np.bincount(graph.center).max(initial=0))
        if isinstance(graph, IdealizedGraph):
            tensors = {name: move(getattr(graph, name)) for name in INDICES}
            tensors |= {name: move(getattr(graph, name), dtype) for name in NUMBERS}
            return replace(TorchGraph.of_orbits(tensors, graph.n_crystals, n_slots), pairs=pairs)
        center, neighbor = move(graph.center), move(graph.neighbor)
        if isinstance(graph, OrbitGraph):
            crystal_of_atom, share = move(graph.crystal_of_orbit), move(graph.share, dtype)
            averages = move(graph.averages, dtype)[crystal_of_atom]
            orbits = _orbits(neighbor, move(graph.orbit_of_atom), move(graph.turns, dtype), averages)
            neighbor = orbits.orbit_of_atom[neighbor]
        else:
            crystal_of_atom, orbits = move(graph.crystal_of_atom), None
            # every atom counts alike; of an orbit graph the share says how many atoms an orbit stands for
            counts = np.bincount(graph.crystal_of_atom, minlength=graph.n_crystals)
            share = move((1.0 / counts)[graph.crystal_of_atom], dtype)
        ends = torch.stack([center, neighbor])
        vector, scaled_distance = move(graph.vector, dtype), move(graph.scaled_distance, dtype)
        return TorchGraph(
            graph.n_crystals,
            move(graph.numbers),
            crystal_of_atom,
            share,
            ends,
            vector,
            scaled_distance,
            n_slots,
            orbits,
            pairs,
        )

    @staticmethod
    def of_orbits(tensors: Mapping[str, TorchTensor], n_crystals: int, n_slots: int) -> "TorchGraph":
        """A graph of one atom per orbit from the arrays of an IdealizedGraph on a device; nothing waits for the device.

        Args:
            tensors: by the names INDICES and NUMBERS.
            n_crystals: number of crystals.
            n_slots: see above.
        """
        orbit_of_atom, neighbor, orbits = tensors["orbit_of_atom"], tensors["neighbor"], None
        n_atoms, n_orbits = len(orbit_of_atom), len(tensors["numbers"])
        if n_orbits < n_atoms:
            turns = rotation_matrices(tensors["rotations"])
            # odd and even tensors of each degree: an improper operation counts them with opposite signs
            of_parities = torch.cat([turns[:, :-1], turns[:, :-1] * turns[:, -1:]], dim=1)
            sizes = turns.new_zeros(n_orbits).index_add(0, orbit_of_atom, turns.new_ones(n_atoms))
            total = turns.new_zeros(n_orbits, of_parities.shape[1]).index_add(0, orbit_of_atom, of_parities)
            orbits = _orbits(neighbor, orbit_of_atom, turns, total / sizes.clamp(min=1.0)[:, None])
        return TorchGraph(
            n_crystals,
            tensors["numbers"],
            tensors["crystal_of_orbit"],
            tensors["share"],
            torch.stack([tensors["center"], orbit_of_atom[neighbor]]),
            tensors["vector"],
            tensors["scaled_distance"],
            n_slots,
            orbits,
        )

    def at_neighbors(self, kind: str, values: TorchTensor) -> TorchTensor:
        """A tensor feature [2l + 1, n_atoms, channels] at each edge's neighbour, [n_edges, 2l + 1, channels]."""
        rows = values.transpose(0, 1)
        if self.orbits is None:
            return rows.flatten(1).index_select(0, self.ends[1]).view(-1, *rows.shape[1:])
        # the other atoms of an orbit have the features of its first one, rotated
        rotated = rows.index_select(0, self.orbits.orbit_of_atom)
        if kind != "0e":
            rotated = torch.bmm(self.orbits.rotations[kind], rotated)
        return rotated.flatten(1).index_select(0, self.orbits.neighbor).view(-1, *rows.shape[1:])

    def mean(self, kind: str, values: TorchTensor) -> TorchTensor:
        """Mean over the atoms of each crystal, [2l + 1, n_atoms, channels] -> [2l + 1, n_crystals, channels]."""
        rows = values.transpose(0, 1)
        if self.orbits is not None and kind in self.orbits.averages:
            # first atoms alone lean towards where they stand
            rows = torch.bmm(self.orbits.averages[kind], rows)
        weighted = rows * self.share_of_atom[:, None, None]
        total = weighted.new_zeros(self.n_crystals, *weighted.shape[1:])
        return total.index_add(0, self.crystal_of_atom, weighted).transpose(0, 1)


def _orbits(neighbor: TorchTensor, orbit_of_atom: TorchTensor, rotations: TorchTensor, averages: TorchTensor) -> Orbits:
    """Splits the flat matrices of an OrbitGraph by kind of irrep."""
    sizes = [(2 * degree + 1) ** 2 for degree in DEGREES]
    natural = [f"{degree}{'eo'[degree % 2]}" for degree in DEGREES]
    other = [f"{degree}{'oe'[degree % 2]}" for degree in DEGREES]
    # kinds of the other parity rotate alike, up to the sign of the determinant
    *parts, sign = rotations.split([*sizes, 1], dim=1)
    by_kind = dict(zip([*natural, *other], [*parts, *(part * sign for part in parts)], strict=True))
    means = dict(zip([*natural, *other], averages.split([*sizes, *sizes], dim=1), strict=True))
    return Orbits(neighbor, orbit_of_atom, _square(by_kind), _square(means))


def _square(flat: Features) -> Features:
    """Flat matrices [n, (2l + 1)²] as matrices [n, 2l + 1, 2l + 1]."""
    return {kind: rows.reshape(-1, 2 * int(kind[:-1]) + 1, 2 * int(kind[:-1]) + 1) for kind, rows in flat.items()}
