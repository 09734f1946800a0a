"""Diagrams of an order span the same couplings, which characters count; a bound on intermediate irreps loses some."""

import numpy as np
import pytest
import torch

from models.gmtnet.config import DiagramShape
from models.gmtnet.fusion.diagrams import Diagram, Leaf, Vertex, couplings, make_diagram, order_of

FOUR = {
    "chain": make_diagram(4, DiagramShape.CHAIN),
    "balanced": make_diagram(4, DiagramShape.BALANCED),
    "chain from the right": Vertex(Leaf(0), Vertex(Leaf(1), Vertex(Leaf(2), Leaf(3)))),
    "other pairs": Vertex(Vertex(Leaf(0), Leaf(2)), Vertex(Leaf(3), Leaf(1))),
}
IRREPS = "1o", "2e"


def factors(order: int, n: int = 150) -> dict[int, dict[str, torch.Tensor]]:
    """Random factors, different ones on every leg."""
    generator = torch.Generator().manual_seed(order)
    return {
        leg: {ir: torch.randn(n, 2 * int(ir[0]) + 1, generator=generator, dtype=torch.float64) for ir in IRREPS}
        for leg in range(order)
    }


def rank(*products: torch.Tensor) -> int:
    """Dimension of the span of couplings, seen as functions of the factors."""
    rows = torch.cat([p.flatten(1) for p in products])
    return int(torch.linalg.matrix_rank(rows / rows.norm(dim=1, keepdim=True), rtol=1e-9)) if len(rows) else 0


def multiplicity(order: int, target: str) -> int:
    """Copies of an irrep in the product of `order` factors, by characters: integrals over O(3)."""
    angles = (np.arange(4000) + 0.5) * np.pi / 4000
    weight = 2.0 * np.sin(angles / 2) ** 2 / 4000

    def character(ir: str) -> np.ndarray:  # type: ignore[type-arg]
        degree = int(ir[0])
        return np.asarray(np.sin((degree + 0.5) * angles) / np.sin(angles / 2))

    total = 0.0
    for improper in (1, -1):  # with inversion odd irreps change sign
        sign = {"e": 1, "o": improper}
        of_factor = sum(sign[ir[1]] * character(ir) for ir in IRREPS)
        total += 0.5 * float((weight * of_factor**order * sign[target[1]] * character(target)).sum())
    return round(total)


def test_orders_and_shapes() -> None:
    assert [order_of(make_diagram(n, shape)) for shape in DiagramShape for n in (1, 2, 3, 4)] == [1, 2, 3, 4] * 2
    assert make_diagram(3) == Vertex(Vertex(Leaf(0), Leaf(1)), Leaf(2))
    assert make_diagram(4, DiagramShape.BALANCED) == Vertex(Vertex(Leaf(0), Leaf(1)), Vertex(Leaf(2), Leaf(3)))
    for order in (0, 5):
        with pytest.raises(ValueError, match="order 1 to 4"):
            make_diagram(order)


@pytest.mark.parametrize("target", ["0e", "0o", "1o", "2o"])
def test_full_diagrams_of_order_four_span_the_same_space_as_large_as_characters_say(target: str) -> None:
    values = factors(4)
    products = {name: couplings(diagram, values, target) for name, diagram in FOUR.items()}
    expected = multiplicity(4, target)
    for of_diagram in products.values():
        assert rank(of_diagram) == len(of_diagram) == expected  # no two paths are the same
    assert rank(*products.values()) == expected


@pytest.mark.parametrize("target", ["0o", "1o", "3e"])
def test_full_diagrams_of_order_three_span_the_same_space(target: str) -> None:
    values = factors(3)
    chain = couplings(make_diagram(3), values, target)
    other = couplings(Vertex(Leaf(1), Vertex(Leaf(0), Leaf(2))), values, target)
    assert rank(chain) == rank(other) == rank(chain, other) == multiplicity(3, target) > 0


@pytest.mark.parametrize("name", FOUR)
def test_a_bound_on_intermediate_irreps_loses_couplings(name: str) -> None:
    """Negative control: what makes diagrams equal is that nothing is left out."""
    values, diagram = factors(4), FOUR[name]
    ranks = [rank(couplings(diagram, values, "1o", highest_degree=degree)) for degree in (0, 1, 2, 3, 4)]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[1] < ranks[2] < multiplicity(4, "1o")


def test_bounded_diagrams_span_different_spaces() -> None:
    values = factors(4)
    chain, balanced = (couplings(FOUR[name], values, "1o", highest_degree=1) for name in ("chain", "balanced"))
    assert rank(chain, balanced) > max(rank(chain), rank(balanced))


@pytest.mark.parametrize("diagram", [make_diagram(2), make_diagram(1)], ids=["2", "1"])
def test_two_factors_without_pseudotensors_have_no_pseudoscalar(diagram: Diagram) -> None:
    """The reason why pair products cannot tell left from right."""
    assert len(couplings(diagram, factors(2), "0o")) == 0
