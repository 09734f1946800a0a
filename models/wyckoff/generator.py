"""A trained generator: weights as safetensors, its card as JSON beside them, and crystals written by request."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.pinned_weights import misfit, read_pinned, unreadable, write_pinned
from models.wyckoff.conditions import first_choices
from models.wyckoff.config import WyckoffConfig
from models.wyckoff.known import Hashes, load_known, occupation_hashes
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.sampler import Wanted, Written, write

SHIPPED = Path(__file__).parents[1] / "weights" / "wyckoff.json"
"""The generator that comes with the program."""

BATCH = 128
"""Crystals that are begun together; each batch has random numbers of its own, so that any of them can be made again."""


@dataclass(frozen=True)
class GeneratorCard:
    """Identity of a generator, and how it came about.

    Attributes:
        name, version: together its identity, `name@version`.
        sha256: of the weights.
        config: of the network.
        training: data, split, seed, epochs.
        metrics: likelihoods on held-out crystals, shares of sound samples.
    """

    name: str
    version: str
    sha256: str
    config: WyckoffConfig
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


class Generator:
    """A network that writes crystals.

    Args:
        network: its network; taken into inference mode.
        card: its identity.
        known: hashes of the crystals that it was trained on, ascending, see `known`.
    """

    def __init__(self, network: WyckoffNetwork, card: GeneratorCard, known: Hashes | None = None) -> None:
        self.network, self.card = network.eval(), card
        self._known = np.zeros(0, dtype=np.uint64) if known is None else known

    @property
    def identity(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.card.name}@{self.card.version}"

    def is_known(self, crystals: WyckoffCrystals) -> NDArray[np.bool_]:
        """Whether crystals are like one that it was trained on, see `known`, [n_crystals]."""
        return np.isin(occupation_hashes(crystals), self._known)

    def write_batch(self, wanted: Wanted, seed: int, batch: int, n: int = BATCH) -> Written:
        """Begins the crystals of one batch; the same ones whenever it is asked with the same arguments.

        Args:
            wanted: what they are to be.
            seed: of the request.
            batch: which batch of the request, 0 for the first.
            n: crystals in it.

        Raises:
            ModelError: no crystal can be as wanted.
        """
        rng = np.random.default_rng([seed, batch])
        with one_thread():
            return write(self.network, wanted, first_choices(self.network, wanted, n, rng), rng)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch: matrices are small, beside a run the cores belong to its workers, sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def load_generator(path: Path = SHIPPED) -> Generator:
    """Reads a generator.

    Args:
        path: NAME.json with NAME.safetensors beside it.

    Raises:
        ModelError: files are missing, damaged, or do not fit each other.
    """
    text = read_pinned(path, "generator")
    try:
        card = GeneratorCard(**{**text, "config": WyckoffConfig(**text["config"])})
    except (TypeError, KeyError) as error:
        raise unreadable(path, "generator", error) from error
    network = WyckoffNetwork(card.config)
    try:
        network.load_state_dict(load_file(path.with_suffix(".safetensors")))
    except (RuntimeError, SafetensorError) as error:
        raise misfit(path, error) from error
    # a generator that was shifted knows what the one that came with the program knows
    known = load_known(known_file(path if known_file(path).exists() else SHIPPED))
    return Generator(network.requires_grad_(requires_grad=False), card, known)


def has_version(path: Path, ending: str) -> bool:
    """Whether a card is there and its version ends so."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"]).endswith(ending)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def known_file(path: Path) -> Path:
    """The table of known crystals beside a card."""
    return path.with_suffix(".known.safetensors")


def save_generator(network: WyckoffNetwork, card: GeneratorCard, folder: Path) -> GeneratorCard:
    """Writes weights and card of a generator; returns the card with the sha256 of the weights."""
    load_generator.cache_clear()
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    pinned = write_pinned(folder / f"{card.name}.json", asdict(card), lambda weights: save_file(state, weights))
    return GeneratorCard(**{**pinned, "config": card.config})


def without_gradients(network: WyckoffNetwork) -> WyckoffNetwork:
    """A copy of a network that is not trained."""
    copy = WyckoffNetwork(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.eval().requires_grad_(requires_grad=False)


def count_parameters(network: torch.nn.Module) -> int:
    """Number of trained weights."""
    return sum(weights.numel() for weights in network.parameters())
