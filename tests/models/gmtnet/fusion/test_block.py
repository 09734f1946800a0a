"""Fusion blocks commute with O(3), span what their diagram spans, and from order 3 on tell left from right."""

import numpy as np
import pytest
import torch

from models.crystals.crystal import Floats
from models.gmtnet.config import DiagramShape
from models.gmtnet.fusion.block import FusionBlock
from models.gmtnet.fusion.diagrams import make_diagram
from models.gmtnet.spherical import spherical_harmonics
from models.gmtnet.torch_graph import Features
from models.reference.crystals import random_orthogonal
from tests.models.gmtnet.test_equivariant import double_precision, largest_difference, random_features, rotated

__all__ = ["double_precision"]  # a fixture of every test here

POLAR = {"0e": 4, "1o": 3, "2e": 3, "3o": 2}
WANTED = {"0e": 3, "0o": 2, "1o": 3, "1e": 2, "2e": 3, "2o": 2, "3o": 2}
KINDS = pytest.mark.parametrize(
    ("order", "shape"),
    [*((order, DiagramShape.CHAIN) for order in (1, 2, 3, 4)), (4, DiagramShape.BALANCED)],
    ids=["1", "2", "3", "chain of 4", "pairs of pairs"],
)


def orthogonal_matrices(n: int) -> list[Floats]:
    """Random ones, every other one improper, the first of those the inversion."""
    rng = np.random.default_rng(12)
    matrices = [(-1) ** k * random_orthogonal(rng) for k in range(n)]
    matrices[1] = -np.eye(3)
    return matrices


@KINDS
def test_blocks_commute_with_rotations_and_reflections(order: int, shape: DiagramShape) -> None:
    block, x = FusionBlock(POLAR, WANTED, 3, make_diagram(order, shape)), random_features(POLAR, 5)
    made = block(x)
    for matrix in orthogonal_matrices(32):
        assert largest_difference(block(rotated(x, matrix)), rotated(made, matrix)) < 1e-11


def test_a_product_of_components_would_not_commute() -> None:
    """Negative control: only Clebsch-Gordan products of components do."""
    x = random_features({"1o": 3}, 5)
    matrix = orthogonal_matrices(2)[0]
    assert largest_difference({"1o": rotated(x, matrix)["1o"] ** 3}, rotated({"1o": x["1o"] ** 3}, matrix)) > 0.1


def without_constants(block: FusionBlock) -> FusionBlock:
    """Constants of scalar legs multiply products of fewer factors."""
    with torch.no_grad():
        for name, weight in block.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    return block


@KINDS
def test_the_root_is_homogeneous_of_its_order(order: int, shape: DiagramShape) -> None:
    """f(2x) = 2^n f(x): each leg comes in once; constants of scalars aside."""
    odd = {"1o": 3, "2e": 3, "3o": 2}
    block = without_constants(FusionBlock(odd, {"1o": 2, "2e": 2}, 3, make_diagram(order, shape), lower_orders=False))
    x = random_features(odd, 5)
    twice = block({ir: 2.0 * values for ir, values in x.items()})
    assert largest_difference(twice, {ir: 2.0**order * values for ir, values in block(x).items()}) < 1e-12


def test_lower_orders_are_among_the_results_unless_only_the_root_is_read() -> None:
    x = {"1o": torch.randn(3, 5, 2)}
    negative = {"1o": -x["1o"]}
    cubic = FusionBlock({"1o": 2}, {"1o": 1, "2e": 1}, 2, make_diagram(3), lower_orders=False)
    assert set(cubic(x)) == {"1o"}  # an odd product of odd tensors is odd
    both = FusionBlock({"1o": 2}, {"1o": 1, "2e": 1}, 2, make_diagram(3))(x)
    assert set(both) == {"1o", "2e"}
    assert torch.allclose(cubic(negative)["1o"], -cubic(x)["1o"])


def span(shape: DiagramShape, x: Features, highest_degree: int, n: int = 60) -> torch.Tensor:
    """What blocks with random weights make of features, [n, values]."""
    diagram, wanted = make_diagram(4, shape), {"2e": 1}
    rows = []
    for _ in range(n):
        block = FusionBlock({"1o": 2}, wanted, 2, diagram, highest_degree=highest_degree, lower_orders=False)
        rows.append(without_constants(block)(x)["2e"].flatten().detach())
    return torch.stack(rows)


def rank(*rows: torch.Tensor) -> int:
    matrix = torch.cat(rows)
    return int(torch.linalg.matrix_rank(matrix / matrix.norm(dim=1, keepdim=True), rtol=1e-9))


def test_blocks_of_full_diagrams_reach_the_same_functions_and_truncated_ones_fewer() -> None:
    """Of two vectors a and b, fourth powers that are tensors of degree 2."""
    x = random_features({"1o": 2}, 40)
    chain, balanced = span(DiagramShape.CHAIN, x, 3), span(DiagramShape.BALANCED, x, 3)
    assert rank(chain) == rank(balanced) == rank(chain, balanced)
    assert rank(span(DiagramShape.BALANCED, x, 1)) < rank(chain)
    # Cauchy: fourth powers of a and b are pairs of Young diagrams (4), (3, 1), (2, 2) of 5, 3, 1 functions of the
    # channels; each has degree 2 once
    assert rank(chain) == 5 + 3 + 1


def neighborhoods(n: int, seed: int) -> tuple[Floats, Floats]:
    """Positions of ten neighbours of n atoms, [n, 10, 3], and three weights of each, [n, 10, 3]."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(n, 10, 3))
    length = np.linalg.norm(positions, axis=2, keepdims=True)
    return positions, np.exp(-((length - np.array([0.8, 1.6, 2.4])) ** 2))


def chirality(positions: Floats, weights: Floats) -> Floats:
    """A pseudoscalar by its definition: over triples of neighbours r_j . (r_k x r_l) (1 + r_j . r_k), weighted.

    The second term is ε_abc Q_ad Q'_bd v_c with Q = Σ w r r and v = Σ w r: two tensors of degree 2 and a vector.
    """
    r = positions / np.linalg.norm(positions, axis=2, keepdims=True)
    epsilon = np.zeros((3, 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[a, b, c], epsilon[b, a, c] = 1.0, -1.0
    u, v, w = (np.einsum("nj,nja->na", weights[..., k], r) for k in range(3))
    q, p = (np.einsum("nj,nja,njb->nab", weights[..., k], r, r) for k in range(2))
    triple = np.einsum("abc,na,nb,nc->n", epsilon, u, v, w)
    mixed = np.einsum("abc,nad,nbd,nc->n", epsilon, q, p, w)
    values: Floats = triple / triple.std() + mixed / mixed.std()
    return values


def densities(positions: Floats, weights: Floats) -> Features:
    """What a convolution gathers: Σ_j w_c(r_j) Y(r_j), three channels of degrees 0, 1 and 2."""
    r, w = torch.tensor(positions), torch.tensor(weights)
    harmonics = spherical_harmonics(2, r.flatten(0, 1)).view(*r.shape[:2], 9)
    gathered = torch.einsum("njm,njc->mnc", harmonics, w)
    return {"0e": gathered[:1], "1o": gathered[1:4], "2e": gathered[4:9]}


def explained(order: int) -> float:
    """R² of a fitted fusion block and perceptron on neighbourhoods that they were not fitted to."""
    torch.manual_seed(0)
    block = FusionBlock({"0e": 3, "1o": 3, "2e": 3}, {"0e": 8, "0o": 8}, 4, make_diagram(order))
    of_even = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    of_odd = torch.nn.Linear(8, 1, bias=False)
    train, test = (neighborhoods(n, seed) for n, seed in ((400, 1), (200, 2)))
    (x, y), (held_out, truth) = ((densities(*part), torch.tensor(chirality(*part))) for part in (train, test))

    def predict(features: Features) -> torch.Tensor:
        made = block(features)
        total = of_even(torch.tanh(made["0e"][0]))[:, 0]
        if "0o" in made:
            total = total + of_odd(made["0o"][0])[:, 0]
        values: torch.Tensor = total
        return values

    parameters = [*block.parameters(), *of_even.parameters(), *of_odd.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-2)
    for _ in range(150):
        optimizer.zero_grad()
        (predict(x) - y).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    error = (predict(held_out) - truth).square().mean() / truth.var()
    return 1.0 - float(error.detach())


def test_three_factors_learn_a_pseudoscalar_and_two_cannot() -> None:
    """The mirror image of a neighbourhood has the other sign, which no product of two densities sees."""
    positions, weights = neighborhoods(50, 3)
    assert np.allclose(chirality(-positions, weights), -chirality(positions, weights))
    assert explained(3) > 0.95
    assert explained(2) < 0.05


def test_cost_grows_with_the_order_and_shrinks_with_the_bound() -> None:
    costs = [FusionBlock(POLAR, WANTED, 4, make_diagram(order)).multiplications for order in (1, 2, 3, 4)]
    assert costs == sorted(costs)
    assert costs[0] == sum((2 * int(ir[0]) + 1) * POLAR[ir] * WANTED[ir] for ir in set(POLAR) & set(WANTED))
    bounded = FusionBlock(POLAR, WANTED, 4, make_diagram(4), highest_degree=2).multiplications
    assert bounded < costs[-1]
