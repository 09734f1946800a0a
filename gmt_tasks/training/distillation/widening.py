"""A network of twice the channels that says exactly what a narrower one says, as the start of a training.

Every channel of the invariant features stands twice; maps that read them share their weights among both copies, in
unequal parts, so that the copies learn different things from the first step on. Means and variances over channels stay
what they were when all channels stand twice, so normalisations change nothing.

Source: T. Chen, I. Goodfellow, J. Shlens, "Net2Net", ICLR (2016), arXiv:1511.05641.
"""

from dataclasses import replace

import torch

from models.gmtnet.config import GMTNetConfig
from models.gmtnet.network import GMTNet

_UNEQUAL = 0.5
"""Standard deviation of the part of a weight that one copy has more and the other less than half."""

_MADE_FROM_ELEMENTS = "embedding.learned.weight"  # rows are elements: its columns are channels that come out


def doubled_config(config: GMTNetConfig) -> GMTNetConfig:
    """The configuration with twice the channels of invariant features."""
    return replace(config, channels=2 * config.channels, edge_channels=2 * config.edge_channels)


@torch.no_grad()
def doubled(network: GMTNet, seed: int) -> GMTNet:
    """A network of `doubled_config` with the same outputs.

    Args:
        network: with as many edge channels as channels.
        seed: of the unequal parts.
    """
    generator, channels = torch.Generator().manual_seed(seed), network.config.channels
    wide = GMTNet(doubled_config(network.config)).to(next(network.parameters()).dtype)
    weights, target = network.state_dict(), wide.state_dict()
    for name, wanted in target.items():
        values = weights[name]
        if values.ndim == 2 and wanted.shape[1] != values.shape[1]:
            once = 2 * values.shape[1] - wanted.shape[1]
            if name == _MADE_FROM_ELEMENTS:
                values = _twice(values, 1, channels)
            else:
                values = _read_twice(values, once, channels, generator)
        if values.ndim and wanted.shape[0] != values.shape[0]:
            values = _twice(values, 0, channels)
        if ".key." in name:
            # attention is divided by the square root of the number of channels
            values = values * 2**0.5
        wanted.copy_(values)
    wide.load_state_dict(target)
    return wide.train(network.training)


def _twice(values: torch.Tensor, axis: int, channels: int) -> torch.Tensor:
    """Each block of `channels` along an axis twice."""
    blocks = torch.split(values, channels, dim=axis)
    return torch.cat([block for block in blocks for _ in range(2)], dim=axis)


def _read_twice(values: torch.Tensor, once: int, channels: int, generator: torch.Generator) -> torch.Tensor:
    """Weights [n_out, n_in] with two for each channel that is read, whose sum is the one of before.

    The first `once` inputs are no channels of invariants and are read once.
    """
    kept, read = torch.split(values, [once, values.shape[1] - once], dim=1)
    blocks = read.reshape(len(read), -1, channels)
    more = _UNEQUAL * torch.randn(blocks.shape, generator=generator, dtype=values.dtype)
    first, second = blocks * (0.5 + more), blocks * (0.5 - more)
    shared = torch.stack([first, second], dim=2).flatten(1)
    return torch.cat([kept, shared], dim=1)
