"""The fusion block: a diagram of products over one atom's features, with a linear map of its own on every leg.

AtomCoupling (equivariant.py) is the case of two factors that share one map. With own maps the factors of a product are
different features, so that antisymmetric products of a kind with itself are not zero, and with three factors the
product may be a pseudoscalar: the only numbers that tell a neighbourhood from its mirror image.

Source: Li, Pengmei, Zheng, Thiede, Liu and Kondor, arXiv:2211.07482, section 4 ("fusion block").
"""

from itertools import product
from typing import cast

from torch import nn

from models.gmtnet.equivariant import Channels, Couplings, TensorLinear
from models.gmtnet.fusion.diagrams import Diagram, Vertex
from models.gmtnet.spherical import degree_of, irreps_in_product
from models.gmtnet.torch_graph import Features


class Product(Couplings):
    """A vertex: all products of two sets of features with equally many channels of every kind, channel by channel."""

    def __init__(self, left: Channels, right: Channels, kinds: set[str]) -> None:
        super().__init__(next(iter(left.values())))
        for a, b in product(left, right):
            self.add_pair(a, b, [ir for ir in irreps_in_product(a, b) if ir in kinds])

    @property
    def multiplications(self) -> int:
        """Per row."""
        matrices = [self.get_buffer(f"coupling_{a}_{b}") for a, b, _ in self.pairs]
        return self.channels * sum(matrix.shape[1] + matrix.numel() for matrix in matrices)

    def forward(self, left: Features, right: Features) -> Features:
        """Products {kind: [2l + 1, n, paths x channels]} of features."""
        firsts = {ir: x.flatten(1) for ir, x in left.items()}
        seconds = {ir: x.flatten(1) for ir, x in right.items()}
        n_rows = next(iter(left.values())).shape[1]
        return self.couple(lambda a, b: (firsts[a][:, None] * seconds[b][None]).flatten(0, 1), n_rows)


class FusionVertex(nn.Module):
    """A vertex of a diagram with its two legs: products, and the linear maps that read them.

    Args:
        legs: what gives the factors, a linear map or another vertex each.
        product: of the factors.
        read: from products to what the block gives; None where they only go on to the vertex above.
        above: from products to the leg to the vertex above; None at the root.
    """

    def __init__(
        self, legs: "tuple[Leg, Leg]", product: Product, read: TensorLinear | None, above: TensorLinear | None
    ) -> None:
        super().__init__()
        self.left, self.right = legs
        self.product, self.read, self.above = product, read, above

    def forward(self, features: Features, total: Features) -> Features:
        """The features of the leg above; what is read is added to `total`."""
        factors = [
            part(features, total) if isinstance(part, FusionVertex) else part(features)
            for part in (self.left, self.right)
        ]
        products = self.product(*factors)
        if self.read is not None:
            for ir, values in self.read(products).items():
                total[ir] = total[ir] + values if ir in total else values
        above: Features = {} if self.above is None else self.above(products)
        return above


Leg = TensorLinear | FusionVertex


class FusionBlock(nn.Module):
    """Products of up to `order` features of the same atom, read at the vertices of a diagram.

    Args:
        channels_in: of the features.
        channels_out: of what comes out.
        channels: of every leg.
        diagram: which factors are multiplied with which; of order 1 it is a linear map.
        highest_degree: of irreps on legs between vertices.
        lower_orders: read every vertex, so that products of fewer factors are among the results; False reads the root.
    """

    def __init__(
        self,
        channels_in: Channels,
        channels_out: Channels,
        channels: int,
        diagram: Diagram,
        *,
        highest_degree: int = 4,
        lower_orders: bool = True,
    ) -> None:
        super().__init__()
        self._in, self._out, self._channels = channels_in, dict(channels_out), channels
        self._inner = {f"{degree}{parity}" for degree in range(highest_degree + 1) for parity in "eo"}
        self._lower_orders = lower_orders
        self.root: Leg = TensorLinear(channels_in, channels_out)
        if isinstance(diagram, Vertex):
            self.root = self._vertex(diagram, is_root=True)[0]

    def _vertex(self, vertex: Vertex, *, is_root: bool = False) -> tuple[FusionVertex, dict[str, int]]:
        """The module of a vertex, and the channels of the leg above it."""
        (left, of_left), (right, of_right) = (self._leg(part) for part in (vertex.left, vertex.right))
        is_read = is_root or self._lower_orders
        kinds = (set(self._out) if is_read else set()) | (set() if is_root else self._inner)
        products = Product(of_left, of_right, kinds)
        kept = {ir: self._channels for ir in products.n_paths if ir in self._inner}
        read = TensorLinear(products.n_paths, self._out) if is_read else None
        above = None if is_root else TensorLinear(products.n_paths, kept)
        return FusionVertex((left, right), products, read, above), kept

    def _leg(self, diagram: Diagram) -> tuple[Leg, dict[str, int]]:
        if isinstance(diagram, Vertex):
            return self._vertex(diagram)
        kinds = dict.fromkeys(self._in, self._channels)
        return TensorLinear(self._in, kinds), kinds

    def forward(self, features: Features) -> Features:
        """Features [2l + 1, n, channels_out]; kinds that no product gives are missing."""
        if isinstance(self.root, TensorLinear):
            linear: Features = self.root(features)
            return linear
        total: Features = {}
        self.root(features, total)
        return total

    @property
    def multiplications(self) -> int:
        """Multiplications per row: of all linear maps and products."""
        total = 0
        for module in self.modules():
            if isinstance(module, Product):
                total += module.multiplications
            if isinstance(module, TensorLinear):
                sizes = {ir: cast("nn.Linear", layer).weight.numel() for ir, layer in module.maps.items()}
                total += sum((2 * degree_of(ir) + 1) * size for ir, size in sizes.items())
        return total
