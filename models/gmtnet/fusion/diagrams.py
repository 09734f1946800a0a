"""Fusion diagrams: in which order the factors of a product of irreps are coupled.

A diagram of order n is a binary tree with n leaves, the factors, and n - 1 vertices, each a Clebsch-Gordan product of
what comes from below. Which intermediate irreps a diagram passes through labels its couplings. All diagrams of an order
give the same space of couplings, in bases that recoupling (6j symbols) takes to each other, as long as no intermediate
irrep is left out.

Source: Li, Pengmei, Zheng, Thiede, Liu and Kondor, arXiv:2211.07482, sections 2 and 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor as TorchTensor

from models.gmtnet.config import DiagramShape
from models.gmtnet.spherical import degree_of, irreps_in_product, wigner_3j

HIGHEST_ORDER = 4


@dataclass(frozen=True)
class Leaf:
    """A factor.

    Attributes:
        leg: which, from 0.
    """

    leg: int


@dataclass(frozen=True)
class Vertex:
    """A product of two diagrams."""

    left: "Diagram"
    right: "Diagram"


Diagram = Leaf | Vertex


def make_diagram(order: int, shape: DiagramShape = DiagramShape.CHAIN) -> Diagram:
    """The diagram of a shape with so many factors.

    Raises:
        ValueError: no order from 1 to 4.
    """
    if not 1 <= order <= HIGHEST_ORDER:
        raise ValueError(f"fusion diagrams have order 1 to {HIGHEST_ORDER}, not {order}")
    return _over(range(order), shape)


def _over(legs: range, shape: DiagramShape) -> Diagram:
    if len(legs) == 1:
        return Leaf(legs[0])
    middle = len(legs) - 1 if shape is DiagramShape.CHAIN else (len(legs) + 1) // 2
    return Vertex(_over(legs[:middle], shape), _over(legs[middle:], shape))


def order_of(diagram: Diagram) -> int:
    """Number of factors."""
    return 1 if isinstance(diagram, Leaf) else order_of(diagram.left) + order_of(diagram.right)


def couplings(
    diagram: Diagram, factors: Mapping[int, Mapping[str, TorchTensor]], target: str, highest_degree: int | None = None
) -> TorchTensor:
    """All products of the factors of an irrep that a diagram has, one for each choice of intermediate irreps.

    Args:
        diagram: order of the products.
        factors: of each leg the values of its irreps, {"1o": [n, 3], ...}.
        target: irrep of the products.
        highest_degree: of intermediate irreps; None for no bound.

    Returns:
        [n_paths, n, 2l + 1].
    """
    products = _products(diagram, factors, highest_degree, is_root=True)
    n = len(next(iter(factors[0].values())))
    return torch.stack(products[target]) if target in products else torch.zeros(0, n, 2 * degree_of(target) + 1)


def _products(
    diagram: Diagram, factors: Mapping[int, Mapping[str, TorchTensor]], highest_degree: int | None, *, is_root: bool
) -> dict[str, list[TorchTensor]]:
    """Values of all paths to each irrep."""
    if isinstance(diagram, Leaf):
        return {ir: [values] for ir, values in factors[diagram.leg].items()}
    left, right = (_products(part, factors, highest_degree, is_root=False) for part in (diagram.left, diagram.right))
    paths: dict[str, list[TorchTensor]] = {}
    for a, firsts in left.items():
        for b, seconds in right.items():
            for ir in irreps_in_product(a, b):
                if not is_root and highest_degree is not None and degree_of(ir) > highest_degree:
                    continue
                symbol = wigner_3j(degree_of(a), degree_of(b), degree_of(ir)).to(firsts[0].dtype)
                pairs = [(first, second) for first in firsts for second in seconds]
                paths.setdefault(ir, []).extend(torch.einsum("ni,nj,ijk->nk", *pair, symbol) for pair in pairs)
    return paths
