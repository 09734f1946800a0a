"""Loops over edges, compiled: radial features and the attention of a ComFormer layer.

What an edge leads to is an atom, whose features are those of its orbit. Arrays are contiguous, features float32.

Elementary functions are arithmetic alone, so that the compiler makes vector instructions of the loops they stand in: a
call of the C library costs ten times as much. Absolute errors: sigmoid 2e-7, softplus 3e-7. Sources: the rational
approximation of tanh in Eigen (Eigen/src/Core/MathFunctionsImpl.h); a polynomial of exp(-x) on [0, 1.25]; log(1 + y) =
2 artanh(y / (2 + y)).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import vectorized
from models.crystals.crystal import Ints

Floats32 = NDArray[np.float32]


class Edges(NamedTuple):
    """Edges by ascending center.

    Attributes:
        starts: where those of each center begin, and their number, [n_orbits + 1].
        neighbor: atom at the other end, [n_edges].
        orbit_of_neighbor: its orbit, [n_edges].
        lengths: distance in angstrom, and over the sum of both covalent radii, [n_edges, 2].
        weight: of the cutoff envelope, [n_edges].
        share: weight over the sum of its center's, [n_edges].
        harmonics: spherical harmonics to l = 4 times share, [n_edges, 25].
    """

    starts: Ints
    neighbor: Ints
    orbit_of_neighbor: Ints
    lengths: Floats32
    weight: Floats32
    share: Floats32
    harmonics: Floats32


_P0, _P1, _P2, _P3, _P4, _P5, _P6 = map(
    np.float32,
    (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
     1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
)  # fmt: skip
_Q0, _Q1, _Q2, _Q3 = map(
    np.float32, (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)
_HALF, _TWO, _SATURATED = np.float32(0.5), np.float32(2.0), np.float32(7.9)
_CHEBYSHEV = np.polynomial.chebyshev.Chebyshev.interpolate(lambda x: np.exp(-x), 7, [0.0, 1.25])
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7 = map(np.float32, _CHEBYSHEV.convert(kind=np.polynomial.Polynomial).coef)
_SIXTEENTH, _FARTHEST = np.float32(1 / 16), np.float32(20.0)
_L3, _L5, _L7, _L9, _L11 = map(np.float32, (2 / 3, 2 / 5, 2 / 7, 2 / 9, 2 / 11))


@vectorized
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x))."""
    t = _HALF * x
    t = _SATURATED if t > _SATURATED else t
    t = -_SATURATED if t < -_SATURATED else t
    s = t * t
    p = (((((_P0 * s + _P1) * s + _P2) * s + _P3) * s + _P4) * s + _P5) * s + _P6
    q = ((_Q0 * s + _Q1) * s + _Q2) * s + _Q3
    return _HALF + _HALF * (t * p / q)


@vectorized
def softplus(x: np.float32) -> np.float32:
    """log(1 + exp(x))."""
    positive = x if x > 0 else np.float32(0.0)
    t = _TWO * positive - x  # |x|
    u = _SIXTEENTH * (_FARTHEST if t > _FARTHEST else t)
    e = ((((((_E7 * u + _E6) * u + _E5) * u + _E4) * u + _E3) * u + _E2) * u + _E1) * u + _E0
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    z = e / (_TWO + e)
    s = z * z
    return positive + z * (_TWO + s * (_L3 + s * (_L5 + s * (_L7 + s * (_L9 + s * _L11)))))


@vectorized
def radial_features(
    edges: Edges, table: tuple[Floats32, Floats32], steps: tuple[float, float], features: Floats32
) -> None:
    """softplus of a sum of two tabulated functions of the lengths, by cubic Hermite interpolation.

    Args:
        edges: of a batch.
        table: values and derivatives times the step of both functions, [n_rows, 2, channels] each.
        steps: of both tables.
        features: out, [n_edges, channels].
    """
    first, second = table
    channels = features.shape[1]
    for e in range(features.shape[0]):
        a = edges.lengths[e, 0] / steps[0]
        b = edges.lengths[e, 1] / steps[1]
        i = min(int(a), first.shape[0] - 2)
        j = min(int(b), second.shape[0] - 2)
        # beyond a table the last row holds
        s, t = np.float32(min(a - i, 1.0)), np.float32(min(b - j, 1.0))
        a2, a3 = s * s, s * s * s
        b2, b3 = t * t, t * t * t
        c0, c1, c2, c3 = 2 * a3 - 3 * a2 + 1, a3 - 2 * a2 + s, 3 * a2 - 2 * a3, a3 - a2
        d0, d1, d2, d3 = 2 * b3 - 3 * b2 + 1, b3 - 2 * b2 + t, 3 * b2 - 2 * b3, b3 - b2
        for c in range(channels):
            value = c0 * first[i, 0, c] + c1 * first[i, 1, c] + c2 * first[i + 1, 0, c] + c3 * first[i + 1, 1, c]
            value += d0 * second[j, 0, c] + d1 * second[j, 1, c] + d2 * second[j + 1, 0, c] + d3 * second[j + 1, 1, c]
            features[e, c] = softplus(value)


@vectorized
def attention_inputs(
    of_edges: Floats32, of_centers: Floats32, of_neighbors: Floats32, edges: Edges, result: Floats32
) -> None:
    """SiLU of the first map of key and value, whose three parts are summed, [n_edges, 2 channels].

    Args:
        of_edges: part of the edge features, [n_edges, 2 channels].
        of_centers: part of the center, [n_orbits, 2 channels].
        of_neighbors: part of all orbits, [n_all_orbits, 2 channels].
        edges: of these centers.
        result: out.
    """
    for r in range(len(edges.starts) - 1):
        for e in range(edges.starts[r], edges.starts[r + 1]):
            o = edges.orbit_of_neighbor[e]
            for c in range(result.shape[1]):
                value = of_edges[e, c] + of_centers[r, c] + of_neighbors[o, c]
                result[e, c] = value * sigmoid(value)


@vectorized
def attend(
    keys: Floats32, values: Floats32, query: Floats32, constants: Floats32, edges: Edges, gathered: Floats32
) -> None:
    """Messages of a ComFormer layer, summed over the edges of each center.

    Args:
        keys: second map of the keys without its constant, [n_edges, channels].
        values: second map of the values without its constant, [n_edges, channels].
        query: scaled by the slope of the batch norm, [n_orbits, channels].
        constants: of key, of the batch norm, of value, slope and constant of the layer norm, [5, channels].
        edges: of these centers.
        gathered: out, [n_orbits, channels].
    """
    n_channels = gathered.shape[1]
    share = np.float32(1.0 / n_channels)
    shifted = np.empty(n_channels, np.float32)
    for r in range(len(edges.starts) - 1):
        for c in range(n_channels):
            gathered[r, c] = 0.0
        for e in range(edges.starts[r], edges.starts[r + 1]):
            total = np.float32(0.0)
            for c in range(n_channels):
                shifted[c] = values[e, c] + constants[2, c]
                total += shifted[c]
            mean = total * share
            squares = np.float32(0.0)
            for c in range(n_channels):
                shifted[c] -= mean
                squares += shifted[c] * shifted[c]
            inverse = np.float32(1.0) / np.sqrt(squares * share + np.float32(1e-5))
            w = edges.weight[e]
            for c in range(n_channels):
                gate = sigmoid(query[r, c] * (keys[e, c] + constants[0, c]) + constants[1, c])
                gathered[r, c] += w * gate * (shifted[c] * inverse * constants[3, c] + constants[4, c])


@vectorized
def silu_of(values: Floats32, constants: Floats32, result: Floats32) -> None:
    """SiLU of values [n_edges, channels] plus constants [channels]."""
    for e in range(values.shape[0]):
        for c in range(result.shape[1]):
            value = values[e, c] + constants[c]
            result[e, c] = value * sigmoid(value)
