"""The default backbone with fusion blocks in place of pair products: up to four of an atom's tensors are multiplied."""

from models.gmtnet.backbones.sparse import CoupledConvolutions
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import Channels, ProductMaker
from models.gmtnet.fusion.block import FusionBlock
from models.gmtnet.fusion.diagrams import make_diagram


class FusionConvolutions(CoupledConvolutions):
    """Convolutions with residuals, fusion blocks on the atoms and gates between them.

    Source: the fusion block of Li et al., arXiv:2211.07482, in the place where the default network has pair products.
    """

    @staticmethod
    def product_maker(config: GMTNetConfig) -> ProductMaker:
        """Fusion blocks of the order and diagram of the configuration."""
        diagram = make_diagram(config.fusion_order, config.fusion_diagram)

        def make(channels_in: Channels, channels_out: Channels) -> FusionBlock:
            degree = config.fusion_degree
            return FusionBlock(channels_in, channels_out, config.coupling_channels, diagram, highest_degree=degree)

        return make


BACKBONE = FusionConvolutions
