"""The fused convolution against the same sums by einsum, its derivative by autograd, and what it does without edges."""

import numpy as np
import pytest
import torch

from models.crystals.crystal import CrystalBatch
from models.crystals.neighbors import Neighbors, find_neighbors
from models.potential.fused import kernels
from models.potential.fused.pairs import Pairs
from models.potential.fused.tensor_product import Path, TensorProduct
from models.potential.interface import PotentialError
from models.reference.crystals import textbook_crystals

CHANNELS = (16, 8, 8, 24)


def all_paths() -> tuple[list[Path], tuple[int, ...], int]:
    """Paths up to l = 3 with the channels of the result and the size of T; the order of weights is not that of T."""
    paths: list[Path] = []
    results, t_size, w_size = [0, 0, 0, 0], 0, 0
    for l1, l3, l2 in np.ndindex(4, 4, 4):
        if abs(l1 - l2) <= l3 <= l1 + l2:
            paths.append(Path(l1, l2, l3, t_size, w_size, results[l3]))
            t_size += (2 * l1 + 1) * (2 * l3 + 1)
            w_size += CHANNELS[l1]
            results[l3] += CHANNELS[l1]
    return paths, tuple(results), t_size


PATHS, RESULTS, T_SIZE = all_paths()
PRODUCT = TensorProduct.of(PATHS, CHANNELS, RESULTS, T_SIZE)


def neighbors_of(crystals: CrystalBatch, cutoff: float) -> Neighbors:
    radius = np.full(crystals.n_crystals, cutoff)
    return find_neighbors(crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, radius)


def pairs_of(crystals: CrystalBatch, cutoff: float) -> Pairs:
    return Pairs.of(neighbors_of(crystals, cutoff), len(crystals.numbers))


def by_einsum(x: torch.Tensor, t: torch.Tensor, w: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """The definition, edge by edge and path by path."""
    n_atoms = len(pairs.starts) - 1
    sizes = [n_atoms * (2 * degree + 1) * n for degree, n in enumerate(CHANNELS)]
    features = [part.view(n_atoms, -1, n) for part, n in zip(x.split(sizes), CHANNELS, strict=True)]
    target = torch.as_tensor(np.repeat(np.arange(n_atoms), np.diff(pairs.starts)))
    source, pair = torch.as_tensor(pairs.source), torch.as_tensor(pairs.pair)
    parts = []
    for l3 in range(4):
        for path in (p for p in PATHS if p.l3 == l3):
            d1, d3 = 2 * path.l1 + 1, 2 * l3 + 1
            coupling = t[pair, path.t : path.t + d1 * d3].view(-1, d1, d3)
            sign = torch.as_tensor(np.where(pairs.reverse, (-1.0) ** path.l2, 1.0), dtype=x.dtype)
            weights = w[pair, path.w : path.w + CHANNELS[path.l1]] * sign[:, None]
            messages = torch.einsum("emk,emu,eu->eku", coupling, features[path.l1][source], weights)
            parts.append(x.new_zeros(n_atoms, d3, CHANNELS[path.l1]).index_add(0, target, messages))
    by_degree = [[part for part in parts if part.shape[1] == 2 * degree + 1] for degree in range(4)]
    return torch.cat([torch.cat(each, dim=2).reshape(-1) for each in by_degree])


def random_inputs(pairs: Pairs, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (
        ((len(pairs.starts) - 1) * PRODUCT.x_size,),
        (len(pairs.first), T_SIZE),
        (len(pairs.first), PRODUCT.table.w_size),
    )
    return [torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), pytest.param(torch.float64, 1e-13, marks=pytest.mark.slow)],
)
def test_the_convolution_and_its_derivative_are_those_of_the_definition(dtype: torch.dtype, tolerance: float) -> None:
    pairs = pairs_of(textbook_crystals().crystals.select([0, 4, 9]), 3.0)
    inputs = random_inputs(pairs, dtype)
    found, expected = PRODUCT(*inputs, pairs), by_einsum(*inputs, pairs)
    assert float((found - expected).detach().abs().max() / expected.detach().abs().max()) < tolerance
    weights = torch.randn(len(found), dtype=dtype, generator=torch.Generator().manual_seed(1))
    found_gradients, gradients = (torch.autograd.grad(each, inputs, weights) for each in (found, expected))
    for by_kernel, by_autograd in zip(found_gradients, gradients, strict=True):
        assert by_kernel.shape == by_autograd.shape
        assert float((by_kernel - by_autograd).abs().max() / by_autograd.abs().max()) < tolerance


def test_without_edges_nothing_is_added() -> None:
    pairs = pairs_of(textbook_crystals().crystals.select([0, 5]), 0.1)
    inputs = random_inputs(pairs, torch.float32)
    result = PRODUCT(*inputs, pairs)
    assert not len(pairs.first) and result.shape == (11 * PRODUCT.result_size,) and not result.any()
    assert not torch.autograd.grad(result.sum(), inputs)[0].any()


def test_channels_that_fill_no_vector_are_refused() -> None:
    with pytest.raises(PotentialError, match="multiples of 8"):
        TensorProduct.of([Path(0, 0, 0, 0, 0, 0)], (12,), (12,), 1)


def test_each_pair_stands_once_and_each_edge_in_both_directions() -> None:
    crystals = textbook_crystals().crystals
    neighbors = neighbors_of(crystals, 5.0)
    pairs = Pairs.of(neighbors, len(crystals.numbers))
    assert 2 * len(pairs.first) == len(pairs.pair) == len(neighbors.center)
    target = np.repeat(np.arange(len(crystals.numbers)), np.diff(pairs.starts))
    ends = np.stack([pairs.first, pairs.second])[:, pairs.pair]
    assert (np.where(pairs.reverse, ends[::-1], ends) == np.stack([target, pairs.source])).all()
    vectors = pairs.vector[pairs.pair] * np.where(pairs.reverse, -1, 1)[:, None]
    edges, expected = (
        sorted(zip(*ends, *np.round(v, 6).T.tolist(), strict=True))
        for *ends, v in ((target, pairs.source, vectors), (neighbors.center, neighbors.neighbor, neighbors.vector))
    )
    assert np.allclose(edges, expected, atol=1e-5)


def test_a_folder_that_cannot_be_written_costs_the_cache_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: ("compiled", function)

    monkeypatch.setattr(kernels, "njit", refusing)
    assert kernels._compiled(print) == ("compiled", print)
