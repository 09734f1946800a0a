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
    """How an equivariant convolution multiplies features with spherical harmonics."""

    FULL = "full"  # every input channel with every output channel, as published
    SPARSE = "sparse"  # paths through a scalar only; tensors are coupled on the atoms, where there are fewer rows


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
        product: how the convolutions multiply.
        envelope: weigh edges by a smooth cutoff envelope (False only for the published graph).
        magnitude: heads that learn sizes as exponents, so that 2 GPa and 900 GPa are equally easy (heads.py); False for
            the published linear ones.
        tensors: the heads.
        scalars: further heads, for what is known of many more crystals.
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
    envelope: bool = True
    magnitude: bool = True
    tensors: tuple[Tensor, ...] = tuple(TENSORS)
    scalars: tuple[Scalar, ...] = tuple(Scalar)
    spreads: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        plain = asdict(self)
        # cards of networks without them say nothing of them
        return plain if self.spreads else {name: value for name, value in plain.items() if name != "spreads"}

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
    "gmtnet-paper": GMTNET_PAPER,
    "gmtnet-paper-as-published": replace(GMTNET_PAPER, graph=PUBLISHED_GRAPH),
}
