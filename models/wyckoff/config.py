"""The size of a network that writes crystals."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WyckoffConfig:
    """Size of the network.

    Attributes:
        width: channels.
        n_heads: of attention.
        n_layers: of attention and of the perceptron after it.
        widening: channels within a perceptron over `width`.
        dropout: share of channels that are left out in training.
    """

    width: int = 128
    n_heads: int = 4
    n_layers: int = 6
    widening: int = 4
    dropout: float = 0.2
