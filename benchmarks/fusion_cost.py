"""What a fusion block costs per atom, by order and diagram, as a ratio to the pair products of the default network.

    python -m benchmarks.fusion_cost

Blocks are those of the first update of the default network: multiplications are counted, times are medians over rounds
taken by all blocks one after the other, one thread, without gradients.
"""

import statistics
import sys
import time

import torch

from models.gmtnet.config import GMTNET, DiagramShape
from models.gmtnet.equivariant import AtomCoupling
from models.gmtnet.fusion.block import FusionBlock
from models.gmtnet.fusion.diagrams import make_diagram
from models.gmtnet.spherical import degree_of, read_irreps

N_ATOMS, N_ROUNDS = 512, 15


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    message, wanted = read_irreps(GMTNET.message_irreps[0]), read_irreps(GMTNET.hidden_irreps)
    wanted["0e"] = sum(wanted.values())  # with the gates
    width = GMTNET.coupling_channels
    blocks: dict[str, AtomCoupling | FusionBlock] = {"pair products": AtomCoupling(message, wanted, width)}
    for order in (1, 2, 3, 4):
        for shape in DiagramShape if order == 4 else (DiagramShape.CHAIN,):
            for degree in (2, 3, 4) if order > 2 else (4,):
                diagram = make_diagram(order, shape)
                name = f"order {order}, {shape.value}, inner l <= {degree}"
                blocks[name] = FusionBlock(message, wanted, width, diagram, highest_degree=degree)
    features = {ir: torch.randn(2 * degree_of(ir) + 1, N_ATOMS, n) for ir, n in message.items()}
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    with torch.inference_mode():
        for _ in range(N_ROUNDS):
            for name, block in blocks.items():
                start = time.perf_counter()
                block(features)
                seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["pair products"])
    sys.stdout.write(f"{'block':36s}{'weights':>10s}{'multiplications':>17s}{'us per atom':>13s}{'ratio':>8s}\n")
    for name, block in blocks.items():
        median, weights = statistics.median(seconds[name]), sum(p.numel() for p in block.parameters())
        products = f"{block.multiplications:,}" if isinstance(block, FusionBlock) else "-"
        per_atom = 1e6 * median / N_ATOMS
        sys.stdout.write(f"{name:36s}{weights:10,d}{products:>17s}{per_atom:13.1f}{median / base:8.2f}\n")


if __name__ == "__main__":
    main()
