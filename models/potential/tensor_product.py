"""The convolution of equivariant potentials on CPUs: gather, tensor product with spherical harmonics, scatter, in one.

An edge from atom j to atom i adds to channel u of i's features  w[path, u] * sum_m1 T[path, m1, m3] * x[j, m1, u], with
T[path, m1, m3] = sum_m2 c[m1, m2, m3] * Y[m2] the coupling coefficients contracted with the spherical harmonics of the
edge. T is the same for all channels and layers, so that per channel only d1 x d3 products are left, and no message of
an edge is ever written to memory. Both directions of an edge share T (but for its sign, (-1)^l2) and w.

Features are flat arrays: those of all atoms with l = 0, then all with l = 1, ..., each [n_atoms, 2 l + 1, channels].
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from models.potential.vector_code import VECTOR_BYTES, add_gradients, add_product

Ints = NDArray[np.int64]

# columns of the table of paths
_D1, _D3, _MUL, _STRIDE, _ODD, _X, _T, _W, _OUT, _CHANNEL = range(10)


class Path(NamedTuple):
    """One path of a tensor product with spherical harmonics: l1 x l2 -> l3, channel by channel.

    Attributes:
        l1: of the features.
        l2: of the spherical harmonic.
        l3: of the result.
        t: where in T its [2 l1 + 1, 2 l3 + 1] numbers begin.
        w: where among the weights of an edge its channels begin.
        channel: where among the result's channels of l3 its own begin.
    """

    l1: int
    l2: int
    l3: int
    t: int
    w: int
    channel: int


class Edges(NamedTuple):
    """Directed edges, sorted by the atom they end at; each pair of them shares weights and T.

    Attributes:
        starts: where the edges that end at an atom begin, and last the number of edges, shape [n_atoms + 1].
        source: atom they come from, shape [n_edges].
        pair: row of weights and T, shape [n_edges].
        reversed: whether T is of the opposite direction, shape [n_edges].
    """

    starts: Ints
    source: Ints
    pair: Ints
    reversed: NDArray[np.bool_]


@dataclass(frozen=True)
class TensorProduct:
    """Paths of one layer.

    Attributes:
        paths: shape [n_paths, 10].
        groups: where in them those of the next l1 begin, and last their number.
        sizes: numbers per atom of x and result; per pair of T and weights.
    """

    paths: Ints
    groups: Ints
    sizes: tuple[int, int, int, int]

    @staticmethod
    def of(paths: list[Path], channels: tuple[int, ...], result_channels: tuple[int, ...], t_size: int) -> "TensorProduct":
        """The product with the given paths.

        Args:
            paths: in any order.
            channels: of the features with l = 0, 1, ...
            result_channels: of the result, likewise.
            t_size: numbers of T per pair.
        """
        x_base = _bases(channels)
        out_base = _bases(result_channels)
        rows = []
        for path in sorted(paths, key=lambda p: (p.l1, p.w)):
            d1, d3 = 2 * path.l1 + 1, 2 * path.l3 + 1
            rows.append((d1, d3, channels[path.l1], result_channels[path.l3], path.l2 % 2, x_base[path.l1], path.t,
                         path.w, out_base[path.l3], path.channel))  # fmt: skip
        table = np.array(rows, dtype=np.int64)
        groups = np.flatnonzero(np.diff(table[:, _D1], prepend=0, append=0))
        n_weights = int(table[:, _MUL].sum())
        return TensorProduct(table, groups, (x_base[-1], out_base[-1], t_size, n_weights))

    def fits(self, dtype: torch.dtype) -> bool:
        """Whether all channels come in full vectors."""
        return not (self.paths[:, _MUL] % (VECTOR_BYTES // dtype.itemsize)).any()

    def __call__(self, x: torch.Tensor, t: torch.Tensor, w: torch.Tensor, edges: Edges) -> torch.Tensor:
        """The sum over the edges that end at each atom, flat.

        Args:
            x: features, flat, [n_atoms * size].
            t: of pairs, [n_pairs, t_size].
            w: of pairs, [n_pairs, n_weights].
            edges: which atoms and pairs.
        """
        return _Convolution.apply(x, t, w, self, edges)  # type: ignore[no-any-return, no-untyped-call]


def _bases(channels: tuple[int, ...]) -> list[int]:
    return [0, *np.cumsum([(2 * l + 1) * n for l, n in enumerate(channels)]).tolist()]


class _Convolution(torch.autograd.Function):
    """`TensorProduct.__call__` and its derivative, each one pass over the edges."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, t: torch.Tensor, w: torch.Tensor, product: TensorProduct, edges: Edges) -> torch.Tensor:
        ctx.save_for_backward(x, t, w)
        ctx.product, ctx.edges = product, edges
        out = torch.zeros(product.sizes[1] * (len(edges.starts) - 1), dtype=x.dtype)
        arrays = (a.detach().reshape(-1).numpy() for a in (x, t, w, out))
        _forward(out.numpy().dtype.type(1), *edges, product.groups, product.paths, np.array(product.sizes[2:]), *arrays)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, t, w = ctx.saved_tensors
        product, edges = ctx.product, ctx.edges
        gx, gw = torch.zeros_like(x), torch.zeros_like(w)
        # the kernel reads and writes a little beyond the last block
        gt = torch.zeros(t.numel() + VECTOR_BYTES, dtype=t.dtype)
        arrays = (a.detach().reshape(-1).numpy() for a in (x, t, w, gradient.contiguous(), gx, gt, gw))
        one = gx.numpy().dtype.type(1)
        _backward(one, *edges, product.groups, product.paths, np.array(product.sizes[2:]), *arrays)
        return gx, gt[: t.numel()].view(t.shape), gw, None, None


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _forward(
    one: Any, starts: Ints, source: Ints, pair: Ints, reverse: Any, groups: Ints, paths: Ints, sizes: Ints,
    x: Any, t: Any, w: Any, out: Any
) -> None:  # fmt: skip
    n_atoms = len(starts) - 1
    for group in range(len(groups) - 1):
        for i in range(n_atoms):
            for e in range(starts[i], starts[i + 1]):
                for k in range(groups[group], groups[group + 1]):
                    d1, d3, mul, stride = paths[k, _D1], paths[k, _D3], paths[k, _MUL], paths[k, _STRIDE]
                    sign = -one if reverse[e] and paths[k, _ODD] else one
                    x_at = n_atoms * paths[k, _X] + source[e] * d1 * mul
                    out_at = n_atoms * paths[k, _OUT] + i * d3 * stride + paths[k, _CHANNEL]
                    t_at, w_at = pair[e] * sizes[0] + paths[k, _T], pair[e] * sizes[1] + paths[k, _W]
                    add_product(d1, d3, mul, sign, x, x_at, t, t_at, w, w_at, out, out_at, stride)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _backward(
    one: Any, starts: Ints, source: Ints, pair: Ints, reverse: Any, groups: Ints, paths: Ints, sizes: Ints,
    x: Any, t: Any, w: Any, g: Any, gx: Any, gt: Any, gw: Any
) -> None:  # fmt: skip
    n_atoms = len(starts) - 1
    for group in range(len(groups) - 1):
        for i in range(n_atoms):
            for e in range(starts[i], starts[i + 1]):
                for k in range(groups[group], groups[group + 1]):
                    d1, d3, mul, stride = paths[k, _D1], paths[k, _D3], paths[k, _MUL], paths[k, _STRIDE]
                    sign = -one if reverse[e] and paths[k, _ODD] else one
                    x_at = n_atoms * paths[k, _X] + source[e] * d1 * mul
                    g_at = n_atoms * paths[k, _OUT] + i * d3 * stride + paths[k, _CHANNEL]
                    t_at, w_at = pair[e] * sizes[0] + paths[k, _T], pair[e] * sizes[1] + paths[k, _W]
                    add_gradients(d1, d3, mul, sign, x, x_at, t, t_at, w, w_at, g, g_at, stride, gx, gt, gw)
