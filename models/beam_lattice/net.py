"""Periodic nets of straight struts as flat arrays, validated once.

A net is a lattice, nodes in its cell, and struts from a node to an image of a node. Many nets travel together as one
set of flat arrays, as crystals do. Lengths have one unit per net, whichever it is: the stiffness of a net is the same
at every size, so angstrom of a crystal and millimetre of a print are alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.beam_lattice.overlaps import coincident_nodes, overlapping_struts
from models.errors import GmtError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAX_NODES = 400
"""Nodes of one net: its matrix has six rows for each."""

_SMALLEST_LENGTH = 1e-6  # of the mean distance of nodes: a strut that is shorter joins a node with itself
_MATRIX_ENTRIES = 4_000_000  # of all nets that are solved at a time, 32 MB


class NetProblem(StrEnum):
    """Why a net is refused.

    Attributes:
        sentence: what is wrong, and what a person can do about it.
    """

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> Self:
        """A problem by its value; the sentence is for people."""
        problem = str.__new__(cls, value)
        problem._value_ = value
        problem.sentence = sentence
        return problem

    EMPTY = ("empty", "The net has no nodes or no struts; list both.")
    TOO_LARGE = ("too_large", f"The net has more than {MAX_NODES} nodes; give its primitive cell.")
    NONFINITE = ("nonfinite", "A lattice vector, a position or a radius is no usable number; write finite ones.")
    CELL = ("cell", "The cell has no volume; check that its three vectors do not lie in a plane.")
    RADIUS = ("radius", "A radius is not positive; give every strut one above 0.")
    ENDS = ("ends", "A strut ends at a node that is not there; nodes are counted from 0.")
    ZERO_LENGTH = ("zero_length", "A strut has no length; remove it, or give the image of the cell it leads to.")
    DUPLICATE = ("duplicate", "Two struts join the same nodes; list each strut once, from either end.")
    COINCIDENT = ("coincident", "Two nodes lie at the same place; make them one, with the struts of both.")
    OVERLAP = ("overlap", "A strut runs along another one from the same node; let it end where the shorter one ends.")
    PIECES = ("pieces", "The net is not connected; leave out loose pieces, or homogenize each by itself.")
    NOT_PERIODIC = ("not_periodic", "The net does not go on along all three directions; add struts across the cell.")


class InvalidNetError(GmtError):
    """A net is refused.

    Attributes:
        problem: from the closed list.
        net: which net of the batch.
    """

    def __init__(self, problem: NetProblem, net: int, detail: str) -> None:
        super().__init__(f"Net {net}: {detail}. {problem.sentence}")
        self.problem, self.net = problem, net


@dataclass(frozen=True)
class NetArrays:
    """Many nets that nobody has looked at.

    Attributes:
        lattice: rows a, b, c, shape [n_nets, 3, 3].
        frac_coords: fractional coordinates of nodes, shape [n_nodes, 3].
        net_of_node: ascending, shape [n_nodes].
        ends: node at which each strut starts, and node of whose image it ends, shape [n_struts, 2].
        image: cell in which that image lies, integers, shape [n_struts, 3].
        radius: of the circular cross sections, in the unit of the lattice, shape [n_struts].
    """

    lattice: Floats
    frac_coords: Floats
    net_of_node: Ints
    ends: Ints
    image: Ints
    radius: Floats

    @property
    def n_nets(self) -> int:
        """Number of nets."""
        return len(self.lattice)

    @cached_property
    def nodes_per_net(self) -> Ints:
        """Number of nodes of each net, shape [n_nets]."""
        return np.bincount(self.net_of_node, minlength=self.n_nets).astype(np.int64)

    @cached_property
    def net_of_strut(self) -> Ints:
        """Net of each strut, shape [n_struts]."""
        return self.net_of_node[self.ends[:, 0]]

    @cached_property
    def vector(self) -> Floats:
        """From start to end of each strut, shape [n_struts, 3]."""
        return np.asarray(np.einsum("ni,nij->nj", self.fractional_vector, self.lattice[self.net_of_strut]))

    @property
    def fractional_vector(self) -> Floats:
        """The same in units of the lattice rows, shape [n_struts, 3]."""
        return self.frac_coords[self.ends[:, 1]] + self.image - self.frac_coords[self.ends[:, 0]]

    def rows(self, chosen: Sequence[int] | Ints) -> tuple[Ints, Ints]:
        """Nodes and struts of the nets of the given indices, each ascending."""
        wanted = np.zeros(self.n_nets, dtype=np.bool_)
        wanted[np.asarray(chosen, dtype=np.int64)] = True
        return np.flatnonzero(wanted[self.net_of_node]), np.flatnonzero(wanted[self.net_of_strut])

    def part(self, chosen: Sequence[int] | Ints) -> "NetArrays":
        """The nets of the given indices, each at most once, in ascending order."""
        nets = np.unique(np.asarray(chosen, dtype=np.int64))
        nodes, struts = self.rows(nets)
        return NetArrays(
            self.lattice[nets],
            self.frac_coords[nodes],
            np.searchsorted(nets, self.net_of_node[nodes]),
            np.searchsorted(nodes, self.ends[struts]),
            self.image[struts],
            self.radius[struts],
        )

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All arrays, in the order of the attributes."""
        return tuple(getattr(self, name) for name in _ARRAYS)


@dataclass(frozen=True)
class BeamNets(NetArrays):
    """Many nets that can be homogenized: the constructor refuses all others.

    Raises:
        InvalidNetError: with the first problem that `find_problems` gives.
    """

    def __post_init__(self) -> None:
        for name, (kind, shape) in _ARRAYS.items():
            array: NDArray[Any] = np.array(getattr(self, name), dtype=kind).reshape(shape)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        problems = find_problems(self)
        if problems:
            net, (problem, detail) = min(problems.items())
            raise InvalidNetError(problem, net, detail)

    @cached_property
    def length(self) -> Floats:
        """Of each strut, between the centres of its nodes, shape [n_struts]."""
        return np.asarray(np.linalg.norm(self.vector, axis=1))

    @cached_property
    def volume(self) -> Floats:
        """Of each cell, shape [n_nets]."""
        return np.asarray(np.abs(np.linalg.det(self.lattice)))

    @property
    def relative_density(self) -> Floats:
        """Sum of pi r^2 L over the volume of the cell, shape [n_nets]; where struts overlap at nodes both count."""
        solid = np.bincount(self.net_of_strut, np.pi * self.radius**2 * self.length, self.n_nets)
        return np.asarray(solid / self.volume)

    @property
    def slenderness(self) -> Floats:
        """Largest radius over length of the struts of each net, shape [n_nets]."""
        largest = np.zeros(self.n_nets)
        np.maximum.at(largest, self.net_of_strut, self.radius / self.length)
        return largest

    def select(self, chosen: Sequence[int] | Ints) -> "BeamNets":
        """The nets of the given indices, each at most once, in ascending order."""
        return BeamNets(*self.part(chosen).arrays())

    def with_radius(self, radius: Floats) -> "BeamNets":
        """The same nets with other radii, shape [n_struts]."""
        return replace(self, radius=radius)

    def at_density(self, relative_density: Floats | float) -> "BeamNets":
        """The same nets with all radii of a net scaled so that they have these relative densities, [n_nets]."""
        factor = np.sqrt(np.broadcast_to(relative_density, self.n_nets) / self.relative_density)
        return self.with_radius(self.radius * factor[self.net_of_strut])

    @staticmethod
    def join(parts: Iterable["BeamNets"]) -> "BeamNets":
        """All nets of several batches, in order."""
        batches = list(parts)
        if not batches:
            floats, ints = np.zeros(0), np.zeros(0, np.int64)
            return BeamNets(floats, floats, ints, ints, ints, floats)
        first_net = np.cumsum([0, *(b.n_nets for b in batches)])
        first_node = np.cumsum([0, *(len(b.frac_coords) for b in batches)])
        return BeamNets(
            np.concatenate([b.lattice for b in batches]),
            np.concatenate([b.frac_coords for b in batches]),
            np.concatenate([b.net_of_node + first for b, first in zip(batches, first_net[:-1], strict=True)]),
            np.concatenate([b.ends + first for b, first in zip(batches, first_node[:-1], strict=True)]),
            np.concatenate([b.image for b in batches]),
            np.concatenate([b.radius for b in batches]),
        )


_ARRAYS: dict[str, tuple[type, tuple[int, ...]]] = {
    "lattice": (np.float64, (-1, 3, 3)),
    "frac_coords": (np.float64, (-1, 3)),
    "net_of_node": (np.int64, (-1,)),
    "ends": (np.int64, (-1, 2)),
    "image": (np.int64, (-1, 3)),
    "radius": (np.float64, (-1,)),
}


def sound_nets(arrays: NetArrays) -> tuple[BeamNets, Ints, dict[int, tuple[NetProblem, str]]]:
    """The nets that can be homogenized, their indices, and the problem of every other one."""
    sound, problems = np.arange(arrays.n_nets), dict[int, tuple[NetProblem, str]]()
    # a net is looked at again where another had a problem that ends the checks early
    while found := find_problems(part := arrays.part(sound)):
        problems |= {int(sound[net]): problem for net, problem in found.items()}
        sound = np.delete(sound, list(found))
    return BeamNets(*part.arrays()), sound, problems


def find_problems(nets: NetArrays) -> dict[int, tuple[NetProblem, str]]:
    """Nets that cannot be homogenized, with what is wrong and where; every check is one pass over arrays.

    Args:
        nets: arrays of the right kinds.

    Returns:
        For each such net its index, the problem and a detail.
    """
    problems: dict[int, tuple[NetProblem, str]] = {}

    # the first problem stays: what comes later may be only its consequence
    def refuse(bad: Ints, problem: NetProblem, detail: str) -> None:
        for net in np.unique(bad).tolist():
            problems.setdefault(net, (problem, detail))

    n_nodes = len(nets.frac_coords)
    outside = ((nets.ends < 0) | (nets.ends >= n_nodes)).any(axis=1)
    if outside.any() or len(nets.ends) != len(nets.radius) or len(nets.ends) != len(nets.image):
        return {0: (NetProblem.ENDS, f"{int(outside.sum())} of {len(nets.ends)} struts have no end, image or radius")}
    net_of_strut = nets.net_of_node[nets.ends[:, 0]]
    refuse(net_of_strut[net_of_strut != nets.net_of_node[nets.ends[:, 1]]], NetProblem.ENDS, "a strut joins two nets")
    counts = [np.bincount(owner, minlength=nets.n_nets) for owner in (nets.net_of_node, net_of_strut)]
    refuse(np.flatnonzero((counts[0] == 0) | (counts[1] == 0)), NetProblem.EMPTY, "nothing to homogenize")
    refuse(np.flatnonzero(counts[0] > MAX_NODES), NetProblem.TOO_LARGE, "the cell is large")
    finite = np.asarray(np.isfinite(nets.lattice).all(axis=(1, 2)))
    refuse(np.flatnonzero(~finite), NetProblem.NONFINITE, "the lattice is not finite")
    refuse(nets.net_of_node[~(np.abs(nets.frac_coords) < 1e6).all(axis=1)], NetProblem.NONFINITE, "a position is lost")
    refuse(net_of_strut[~np.isfinite(nets.radius)], NetProblem.NONFINITE, "a radius is not finite")
    refuse(net_of_strut[nets.radius <= 0], NetProblem.RADIUS, "a radius is zero or less")
    usable = finite & (np.abs(np.where(finite[:, None, None], nets.lattice, 0.0)).max(axis=(1, 2)) < 1e30)
    lattice = np.where(usable[:, None, None], nets.lattice, 0.0)
    volume = np.asarray(np.abs(np.linalg.det(lattice)))
    flat = volume <= 1e-6 * np.prod(np.linalg.norm(lattice, axis=2), axis=1)
    refuse(np.flatnonzero(flat), NetProblem.CELL, "the cell is flat")
    if problems:
        return problems
    spacing = np.cbrt(volume / counts[0])[net_of_strut]
    short = np.linalg.norm(nets.vector, axis=1) < _SMALLEST_LENGTH * spacing
    refuse(net_of_strut[short], NetProblem.ZERO_LENGTH, "a strut ends where it starts")
    nodes, image = canonical_struts(nets.ends, nets.image)
    first = np.unique(np.hstack([nodes, image]), axis=0, return_index=True)[1]
    refuse(np.delete(net_of_strut, first), NetProblem.DUPLICATE, "a strut is listed twice")
    if problems:
        return problems
    apart = _SMALLEST_LENGTH * np.cbrt(volume / counts[0])
    same = coincident_nodes(nets.lattice, nets.frac_coords, nets.net_of_node, apart)
    refuse(same, NetProblem.COINCIDENT, "two nodes are one")
    over = overlapping_struts(nets.ends, nets.vector)
    refuse(net_of_strut[over], NetProblem.OVERLAP, f"{len(over)} struts lie on shorter ones")
    return problems or _not_held_together(nets)


def canonical_struts(ends: Ints, image: Ints) -> tuple[Ints, Ints]:
    """Struts from the end with the lower node; of those from a node to its own image the later image stays."""
    leading = np.sign(image[np.arange(len(image)), (image != 0).argmax(axis=1)])
    backward = (ends[:, 0] > ends[:, 1]) | ((ends[:, 0] == ends[:, 1]) & (leading < 0))
    return np.where(backward[:, None], ends[:, ::-1], ends), np.where(backward[:, None], -image, image)


def _not_held_together(nets: NetArrays) -> dict[int, tuple[NetProblem, str]]:
    """Nets in pieces, or that do not go on along three directions.

    A net of unit conductors says both: a loose piece is a further potential without current, and a direction along
    which the net ends is one without conductance. All nets of a size are looked at together.
    """
    problems: dict[int, tuple[NetProblem, str]] = {}
    for chosen, size in equal_sizes(nets.nodes_per_net, rows_per_node=1):
        struts, net, ends = local_struts(nets, chosen)
        step = nets.fractional_vector[struts]
        laplacian = np.zeros((len(chosen), size, size))
        for row, column, sign in ((0, 0, 1.0), (1, 1, 1.0), (0, 1, -1.0), (1, 0, -1.0)):
            np.add.at(laplacian, (net, ends[:, row], ends[:, column]), sign)
        drive = np.zeros((len(chosen), size, 3))
        np.add.at(drive, (net, ends[:, 1]), step)
        np.add.at(drive, (net, ends[:, 0]), -step)
        squared = np.zeros((len(chosen), 3, 3))
        np.add.at(squared, net, step[:, :, None] * step[:, None, :])
        values, vectors = np.linalg.eigh(laplacian)
        held = values > 1e-9
        along = np.swapaxes(vectors, 1, 2) @ drive
        along *= np.sqrt(np.where(held, 1.0 / np.where(held, values, 1.0), 0.0))[:, :, None]
        conductance = np.linalg.eigvalsh(squared - np.swapaxes(along, 1, 2) @ along)
        pieces = size - held.sum(axis=1)
        for row in np.flatnonzero(pieces > 1).tolist():
            problems[int(chosen[row])] = NetProblem.PIECES, f"its nodes form {pieces[row]} pieces"
        # beside the conductance of struts that had no nodes between them
        directions = (conductance > 1e-9 * np.trace(squared, axis1=1, axis2=2)[:, None]).sum(axis=1)
        for row in np.flatnonzero((pieces == 1) & (directions < 3)).tolist():
            problems[int(chosen[row])] = NetProblem.NOT_PERIODIC, f"it goes on along {directions[row]} directions only"
    return problems


def local_struts(nets: NetArrays, chosen: Ints) -> tuple[Ints, Ints, Ints]:
    """Struts of the chosen nets, their net among the chosen, and their ends counted within the net, [n, 2]."""
    place = np.full(nets.n_nets, -1)
    place[chosen] = np.arange(len(chosen))
    struts = np.flatnonzero(place[nets.net_of_strut] >= 0)
    first_node = np.searchsorted(nets.net_of_node, np.arange(nets.n_nets))
    owner = nets.net_of_strut[struts]
    return struts, place[owner], nets.ends[struts] - first_node[owner, None]


def equal_sizes(n_nodes: Ints, rows_per_node: int) -> Iterator[tuple[Ints, int]]:
    """Nets with as many nodes each, as many at a time as memory is meant to hold, and that number of nodes."""
    for size in np.unique(n_nodes).tolist():
        chosen = np.flatnonzero(n_nodes == size)
        at_a_time = max(1, _MATRIX_ENTRIES // (rows_per_node * size) ** 2)
        for start in range(0, len(chosen), at_a_time):
            yield chosen[start : start + at_a_time], size
