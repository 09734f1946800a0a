"""Gather, tensor product with spherical harmonics and scatter in one, with its derivative.

An edge from atom j to atom i adds to channel u of i's features  w[path, u] * sum_m1 T[path, m1, m3] * x[j, m1, u], with
T[path, m1, m3] = sum_m2 c[m1, m2, m3] * Y[m2] the coupling coefficients contracted with the spherical harmonics of the
edge. T is the same for all channels and layers, so that per channel only d1 x d3 products are left, and no message of
an edge is ever written to memory. Both directions of an edge share w and T, but for the sign (-1)^l2 of the latter.

Features are flat arrays: those of all atoms with l = 0, then all with l = 1, ..., each [n_atoms, 2 l + 1, channels].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from models.potential.fused.kernels import VECTOR_BYTES, PathTable, add_gradients, add_products
from models.potential.fused.pairs import Pairs
from models.potential.interface import PotentialError


class Path(NamedTuple):
    """One path of a tensor product with spherical harmonics: l1 x l2 -> l3, channel by channel.

    Attributes:
        l1: of the features.
        l2: of the spherical harmonic.
        l3: of the result.
        t: where in T its [2 l1 + 1, 2 l3 + 1] numbers begin.
        w: where among the weights of a pair its channels begin.
        channel: where among the result's channels of l3 its own begin.
    """

    l1: int
    l2: int
    l3: int
    t: int
    w: int
    channel: int


@dataclass(frozen=True)
class TensorProduct:
    """The convolution of one layer.

    Attributes:
        table: its paths.
        x_size, result_size: numbers per atom of the features and of the result.
    """

    table: PathTable
    x_size: int
    result_size: int

    @staticmethod
    def of(paths: Sequence[Path], channels: Sequence[int], results: Sequence[int], t_size: int) -> "TensorProduct":
        """The convolution with the given paths.

        Args:
            paths: sorted by l1.
            channels: of the features with l = 0, 1, ...
            results: channels of the result, likewise.
            t_size: numbers of T per pair.

        Raises:
            PotentialError: channels do not come in full vectors of single precision.
        """
        l1, l2, l3, t, w, channel = np.array(paths, dtype=np.int64).T
        mul = np.array(channels, dtype=np.int64)[l1]
        if (mul % (VECTOR_BYTES // 4)).any():
            raise PotentialError(f"Channels must be multiples of {VECTOR_BYTES // 4}, not {tuple(channels)}.")
        # numbers per atom before those of each l
        x_base, result_base = (
            np.concatenate([[0], np.cumsum((2 * np.arange(len(n)) + 1) * n)]).astype(np.int64)
            for n in (channels, results)
        )
        groups = np.flatnonzero(np.diff(l1, prepend=-1, append=-1)).astype(np.int64)
        stride = np.array(results, dtype=np.int64)[l3]
        bases = x_base[l1], result_base[l3]
        # copied, so that each column is contiguous: numba compiles one version for such arrays
        places = stride, channel.copy(), t.copy(), w.copy()
        table = PathTable(groups, 2 * l1 + 1, 2 * l3 + 1, mul, l2 % 2, *bases, *places, t_size, int(mul.sum()))
        return TensorProduct(table, int(x_base[-1]), int(result_base[-1]))

    def __call__(self, x: torch.Tensor, t: torch.Tensor, w: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """The sum over the edges that end at each atom.

        Args:
            x: features, flat, shape [n_atoms * x_size].
            t: T of the pairs, shape [n_pairs, t_size].
            w: weights of the pairs, shape [n_pairs, w_size].
            pairs: of atoms.

        Returns:
            Flat, shape [n_atoms * result_size].
        """
        result: torch.Tensor = _Convolution.apply(x, t, w, self, pairs)  # type: ignore[no-untyped-call]
        return result


class _Convolution(torch.autograd.Function):
    """`TensorProduct.__call__` and its derivative."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, t: torch.Tensor, w: torch.Tensor, product: TensorProduct, pairs: Pairs
    ) -> torch.Tensor:
        ctx.save_for_backward(x, t, w)
        ctx.product, ctx.pairs = product, pairs
        result = torch.zeros(product.result_size * (len(pairs.starts) - 1), dtype=x.dtype)
        add_products(pairs, product.table, *(_flat(each) for each in (x, t, w, result)))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, t, w = ctx.saved_tensors
        gradients = torch.zeros_like(x), torch.zeros(t.numel() + VECTOR_BYTES, dtype=t.dtype), torch.zeros_like(w)
        inputs, sums = tuple(map(_flat, (x, t, w))), tuple(map(_flat, gradients))
        add_gradients(ctx.pairs, ctx.product.table, inputs, _flat(gradient), sums)
        return gradients[0], gradients[1][: t.numel()].view(t.shape), gradients[2], None, None


def _flat(tensor: torch.Tensor) -> Any:
    """The numbers of a tensor as one contiguous array, shared where they are contiguous."""
    return tensor.detach().reshape(-1).numpy()
