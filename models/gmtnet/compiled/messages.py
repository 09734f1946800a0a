"""Loops over messages and atoms, compiled: eight channels of a tensor's component at a time.

Features of orbits are rows of components times channels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import vectorized
from models.crystals.crystal import Ints
from models.gmtnet.compiled.edges import Edges

Floats32 = NDArray[np.float32]
Unsigned = NDArray[np.uint64]


class Atoms(NamedTuple):
    """The atoms of a batch, each of which has the features of its orbit's first atom, rotated.

    Attributes:
        orbit: [n_atoms].
        crystal: [n_atoms].
        share: in the mean of its crystal, [n_atoms].
        matrices: flat matrices of l = 1 to 4 of the rotations, [n_atoms, 164].
        signs: 1 for kinds of natural parity, for others determinants of the rotations, [n_atoms].
    """

    orbit: Ints
    crystal: Ints
    share: Floats32
    matrices: Floats32
    signs: Floats32


_0, _1, _2, _3, _4, _5, _6, _7, _8 = (np.uint64(k) for k in range(9))
"""Unsigned, or every index would be asked whether it counts from the end."""


@vectorized
def add_eight(
    target: Floats32,
    place: np.uint64,
    factor: np.float32,
    source: Floats32,
    first: np.uint64,
) -> None:
    """target[place : place + 8] += factor * source[first : first + 8]; all is loaded before anything is stored."""
    t0 = target[place] + factor * source[first]
    t1 = target[place + _1] + factor * source[first + _1]
    t2 = target[place + _2] + factor * source[first + _2]
    t3 = target[place + _3] + factor * source[first + _3]
    t4 = target[place + _4] + factor * source[first + _4]
    t5 = target[place + _5] + factor * source[first + _5]
    t6 = target[place + _6] + factor * source[first + _6]
    t7 = target[place + _7] + factor * source[first + _7]
    target[place] = t0
    target[place + _1] = t1
    target[place + _2] = t2
    target[place + _3] = t3
    target[place + _4] = t4
    target[place + _5] = t5
    target[place + _6] = t6
    target[place + _7] = t7


@vectorized
def add_eight_products(
    target: Floats32,
    place: np.uint64,
    factors: Floats32,
    column: np.uint64,
    source: Floats32,
) -> None:
    """target[place : place + 8] += factors[column : column + 8] * source[place : place + 8]."""
    t0 = target[place] + factors[column] * source[place]
    t1 = target[place + _1] + factors[column + _1] * source[place + _1]
    t2 = target[place + _2] + factors[column + _2] * source[place + _2]
    t3 = target[place + _3] + factors[column + _3] * source[place + _3]
    t4 = target[place + _4] + factors[column + _4] * source[place + _4]
    t5 = target[place + _5] + factors[column + _5] * source[place + _5]
    t6 = target[place + _6] + factors[column + _6] * source[place + _6]
    t7 = target[place + _7] + factors[column + _7] * source[place + _7]
    target[place] = t0
    target[place + _1] = t1
    target[place + _2] = t2
    target[place + _3] = t3
    target[place + _4] = t4
    target[place + _5] = t5
    target[place + _6] = t6
    target[place + _7] = t7


@vectorized
def scalar_messages(
    weights: Floats32, constants: Floats32, sources: Floats32, edges: Edges, blocks: Unsigned, gathered: Floats32
) -> None:
    """Sum over edges of weight times neighbour scalars times harmonics, each kind with those of its degree.

    Args:
        weights: of edges, without their constants, [n_edges, at least n_channels].
        constants: [n_channels].
        sources: scalars of all orbits, [n_all_orbits, n_channels].
        edges: of these centers.
        blocks: harmonic, first channel and first place in a row of the result of eight channels, [n_blocks, 3].
        gathered: out, rows of components times channels of all kinds, [n_orbits, n_places].
    """
    n_channels = sources.shape[1]
    message = np.empty(n_channels, np.float32)
    for r in range(len(edges.starts) - 1):
        row = gathered[r]
        row[:] = 0.0
        for e in range(edges.starts[r], edges.starts[r + 1]):
            o = edges.orbit_of_neighbor[e]
            for c in range(n_channels):
                message[c] = sources[o, c] * (weights[e, c] + constants[c])
            for k in range(len(blocks)):
                add_eight(row, blocks[k, 2], edges.harmonics[e, blocks[k, 0]], message, blocks[k, 1])


@vectorized
def tensor_messages(
    weights: Floats32, column: int, constants: Floats32, tensors: Floats32, edges: Edges, gathered: Floats32
) -> None:
    """Adds the sum over edges of weight times share times the neighbour's tensor.

    Args:
        weights: of edges, without their constants, [n_edges, ...].
        column: where those of this kind begin.
        constants: [channels], a multiple of eight.
        tensors: of all atoms, [n_atoms, (2l + 1) channels].
        edges: of these centers.
        gathered: added to, [n_orbits, (2l + 1) channels].
    """
    n_channels = len(constants)
    weight = np.empty(n_channels, np.float32)
    for r in range(len(edges.starts) - 1):
        row = gathered[r]
        for e in range(edges.starts[r], edges.starts[r + 1]):
            tensor, of_edge = tensors[edges.neighbor[e]], weights[e, column:]
            for c in range(n_channels):
                weight[c] = edges.share[e] * (of_edge[c] + constants[c])
            for place in range(0, len(row), 8):
                add_eight_products(row, np.uint64(place), weight, np.uint64(place % n_channels), tensor)


@vectorized
def couple(
    mixed: Floats32,
    products: Unsigned,
    terms: tuple[Unsigned, Floats32],
    coupled: Floats32,
) -> None:
    """Products of an atom's own tensors, eight channels of each component.

    Args:
        mixed: components of all kinds, [n_orbits, 8 n_components].
        products: components of the first and of the second factor, first of its terms and the first of the next,
            unsigned, [n_products, 4].
        terms: place in the result, unsigned, and coupling coefficient of each term, ([n_terms], [n_terms]).
        coupled: out, [n_orbits, n_places].
    """
    places, coefficients = terms
    product = np.empty(8, np.float32)
    for r in range(len(mixed)):
        row, result = mixed[r], coupled[r]
        result[:] = 0.0
        for k in range(len(products)):
            first, second = products[k, 0] * _8, products[k, 1] * _8
            for c in range(8):
                product[c] = row[first + np.uint64(c)] * row[second + np.uint64(c)]
            for n in range(products[k, 2], products[k, 3]):
                add_eight(result, places[n], coefficients[n], product, _0)


@vectorized
def rotate_rows(tensors: Floats32, size: int, atoms: Atoms, first: int, result: Floats32) -> None:
    """Tensors of each atom: those of its orbit's first atom, rotated.

    Args:
        tensors: of the orbits, [n_orbits, (2l + 1) channels].
        size: 2l + 1.
        atoms: of a batch, with the signs of this parity.
        first: column in which the matrices of this degree begin.
        result: out, [n_atoms, (2l + 1) channels].
    """
    n_channels = tensors.shape[1] // size
    for a in range(len(atoms.orbit)):
        row, tensor = result[a], tensors[atoms.orbit[a]]
        row[:] = 0.0
        for i in range(size):
            for j in range(size):
                factor = atoms.signs[a] * atoms.matrices[a, first + i * size + j]
                for c in range(0, n_channels, 8):
                    add_eight(row, np.uint64(i * n_channels + c), factor, tensor, np.uint64(j * n_channels + c))


@vectorized
def mean_of_atoms(tensors: Floats32, size: int, atoms: Atoms, first: int, result: Floats32) -> None:
    """Mean of rotated tensors over the atoms of each crystal.

    Args:
        tensors: of the orbits, [n_orbits, (2l + 1) channels].
        size: 2l + 1.
        atoms: of a batch, with the signs of this parity.
        first: column in which the matrices of this degree begin.
        result: out, [n_crystals, (2l + 1) channels], zero before.
    """
    n_channels = tensors.shape[1] // size
    for a in range(len(atoms.orbit)):
        row, tensor = result[atoms.crystal[a]], tensors[atoms.orbit[a]]
        weight = atoms.share[a] * atoms.signs[a]
        for i in range(size):
            for j in range(size):
                factor = weight * atoms.matrices[a, first + i * size + j]
                for c in range(0, n_channels, 8):
                    add_eight(row, np.uint64(i * n_channels + c), factor, tensor, np.uint64(j * n_channels + c))
