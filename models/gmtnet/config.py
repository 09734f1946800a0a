"""Configuration of a GMTNet. Configuration and weights are a model; both travel together (checkpoint.py)."""

from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from models.crystals.graph import PUBLISHED_GRAPH, GraphSpec
from models.errors import ModelError
from models.quantities import TENSORS, Scalar, Tensor


class RadialKind(StrEnum):
    """The argument of the radial Gaussians."""

    DISTANCE = "distance"  # r in angstrom
    INVERSE = "inverse"  # -0.75 / r, as published


class ProductKind(StrEnum):
    """How an equivariant convolution multiplies features: the name of its file in backbones/."""

    FULL = "full"  # every input channel with every output channel, as published
    SPARSE = "sparse"  # paths through a scalar only; tensors are coupled on the atoms, where there are fewer rows
    FUSION = "fusion"  # as sparse, with products of up to four of an atom's tensors (fusion/)
    DIRECTED = "directed"  # as sparse, with products of the neighbours' tensors with the directions of their edges
    LONG_RANGE = "long_range"  # as sparse, with attention between all atoms of a crystal and their images


class DiagramShape(StrEnum):
    """In which order a fusion block multiplies its factors (fusion/diagrams.py)."""

    CHAIN = "chain"  # ((1 2) 3) 4: one factor more at each vertex, whose products are those of lower order
    BALANCED = "balanced"  # (1 2) (3 4): the fewest products in a row


@dataclass(frozen=True)
class GMTNetConfig:
    """Sizes and switches of the network.

    Attributes:
        graph: cutoff and neighbours of the crystal graph.
        channels: width of the invariant (ComFormer) features.
        n_comformer: number of ComFormer layers.
        radial: argument of the radial Gaussians.
        radial_range: first and last centre of the Gaussians, in angstrom for `distance`, in 1/angstrom x 0.75 else.
        n_radial: number of Gaussians.
        n_relative: number of Gaussians of the distance over the sum of both covalent radii, 0 for none: one per cent
            more volume changes a bond by a third of a per cent, which the wide Gaussians of all distances hardly see.
        edge_channels: width of the hidden layer that makes tensor-product weights from edge features.
        message_irreps: irreps gathered by each equivariant convolution; in the published network these are the
            node irreps, and the last convolution (the tensors' own irreps) is added.
        hidden_irreps: node irreps between coupled convolutions.
        coupling_channels: channels of the products of an atom's own tensors.
        l_max: highest degree of the spherical harmonics of the edges.
        product: how the convolutions multiply, and with it the backbone (backbones/interface.py).
        fusion_order: number of an atom's tensors that a fusion block multiplies at most, 1 to 4.
        fusion_diagram: in which order it multiplies them.
        fusion_degree: highest degree of its intermediate products.
        attention_heads: of the attention between all atoms of a crystal (backbones/long_range.py).
        envelope: weigh edges by a smooth cutoff envelope (False only for the published graph).
        magnitude: heads that learn sizes as exponents, so that 2 GPa and 900 GPa are equally easy (heads.py); False for
            the published linear ones.
        tensors: the heads.
        scalars: further heads, for what is known of many more crystals.
        n_edge_scalars: further numbers that each edge brings, such as the radius of a strut.
        spreads: columns of which a distilled network predicts how far the networks of its ensemble are apart; empty for
            a network that is no ensemble in one.
    """

    graph: GraphSpec = field(default_factory=GraphSpec)
    channels: int = 64
    n_comformer: int = 2
    radial: RadialKind = RadialKind.DISTANCE
    radial_range: tuple[float, float] = (0.8, 6.5)
    n_radial: int = 32
    n_relative: int = 0
    edge_channels: int = 64
    message_irreps: tuple[str, ...] = (
        "32x0e+16x1o+16x2e+8x3o+8x4e",
        "32x0e+16x1o+16x2e+8x3o+8x4e",
    )
    hidden_irreps: str = "48x0e+16x1o+16x2e+8x2o+8x3o+8x4e"
    coupling_channels: int = 8
    l_max: int = 4
    product: ProductKind = ProductKind.SPARSE
    fusion_order: int = 3
    fusion_diagram: DiagramShape = DiagramShape.CHAIN
    fusion_degree: int = 3
    attention_heads: int = 4
    envelope: bool = True
    magnitude: bool = True
    tensors: tuple[Tensor, ...] = tuple(TENSORS)
    scalars: tuple[Scalar, ...] = tuple(Scalar)
    n_edge_scalars: int = 0
    spreads: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        plain = asdict(self)
        if self.graph.radius_angstrom is None:
            del plain["graph"]["radius_angstrom"]
        # cards of networks without them say nothing of them
        unsaid = {name for name in ("spreads", "n_edge_scalars") if not plain[name]}
        unsaid |= set() if self.product is ProductKind.FUSION else {"fusion_order", "fusion_diagram", "fusion_degree"}
        unsaid |= set() if self.product is ProductKind.LONG_RANGE else {"attention_heads"}
        if not self.graph.kernel_widths_angstrom:
            del plain["graph"]["kernel_widths_angstrom"]
        return {name: value for name, value in plain.items() if name not in unsaid}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "GMTNetConfig":
        """Reads plain data; unknown keys are refused, so that a newer file is never half understood.

        Raises:
            ModelError: unknown key or value.
        """
        names = {f.name for f in fields(GMTNetConfig)}
        unknown = sorted(set(data) - names)
        if unknown:
            raise ModelError(
                f"The model configuration has unknown keys {unknown}; known are {sorted(names)}. "
                "It may be from a newer version."
            )
        values = dict(data)
        try:
            if "graph" in values:
                values["graph"] = GraphSpec(**values["graph"])
            for name, convert in _CONVERT.items():
                if name in values:
                    values[name] = convert(values[name])
            return GMTNetConfig(**values)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"The model configuration is not valid: {error}. Compare with models/gmtnet/config.py."
            ) from error


_CONVERT: dict[str, Any] = {
    "radial": RadialKind,
    "product": ProductKind,
    "fusion_diagram": DiagramShape,
    "radial_range": tuple,
    "message_irreps": tuple,
    "tensors": lambda names: tuple(Tensor(name) for name in names),
    "scalars": lambda names: tuple(Scalar(name) for name in names),
    "spreads": tuple,
}

GMTNET = GMTNetConfig(n_relative=32)
"""The default network."""

GMTNET_WIDE = replace(GMTNET, channels=128, edge_channels=128)
"""Twice the invariant channels, for a network that answers as several do."""

GMTNET_FUSION = replace(GMTNET, product=ProductKind.FUSION)
"""Products of up to three of an atom's tensors."""

GMTNET_DIRECTED = replace(GMTNET, product=ProductKind.DIRECTED)
"""Tensors of neighbours times the directions from which they come."""

GMTNET_LONG_RANGE = replace(
    GMTNET, product=ProductKind.LONG_RANGE, graph=GraphSpec(kernel_widths_angstrom=(1.5, 3.0, 6.0))
)
"""Attention between all atoms of a crystal and their images."""

GMTNET_PAPER = GMTNetConfig(
    graph=GraphSpec(n_neighbors=16, reach=1.001, undirected=True),
    channels=128,
    n_comformer=2,
    radial=RadialKind.INVERSE,
    radial_range=(-4.0, 0.0),
    n_radial=512,
    edge_channels=128,
    message_irreps=("16x0e+2x1o+2x2e", "16x0e+2x1o+2x1e+2x2e+2x2o"),
    l_max=2,
    product=ProductKind.FULL,
    envelope=False,
    magnitude=False,
    scalars=(),
)
"""The published layers and sizes: two ComFormer layers of 128 channels, three equivariant convolutions (Yan 2024).

Named corrections: the neighbour graph keeps whole shells (within 0.1 %) and counts no image twice; the exact projector
replaces the mask; one backbone with four heads replaces three networks.
"""

CONFIGS: dict[str, GMTNetConfig] = {
    "gmtnet": GMTNET,
    "gmtnet-wide": GMTNET_WIDE,
    "gmtnet-fusion": GMTNET_FUSION,
    "gmtnet-directed": GMTNET_DIRECTED,
    "gmtnet-long-range": GMTNET_LONG_RANGE,
    "gmtnet-paper": GMTNET_PAPER,
    "gmtnet-paper-as-published": replace(GMTNET_PAPER, graph=PUBLISHED_GRAPH),
}
