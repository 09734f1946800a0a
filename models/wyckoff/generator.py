"""A trained generator: weights as safetensors, its card as JSON beside them, and crystals written by request."""

import hashlib
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

from models.errors import ModelError
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
    weights = path.with_suffix(".safetensors")
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
        card = GeneratorCard(**{**text, "config": WyckoffConfig(**text["config"])})
        sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"The generator {path} cannot be read: {error}. Restore it, or train it again.") from error
    if sha256 != card.sha256:
        raise ModelError(f"{weights} is not the file its card describes: sha256 {sha256[:12]}. Restore it.")
    network = WyckoffNetwork(card.config)
    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        problem = str(error).splitlines()[0]
        raise ModelError(f"{weights} does not fit its configuration: {problem} Restore it.") from error
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
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.json"
    weights = path.with_suffix(".safetensors")
    # the card comes last and as a whole: where one lies, its weights do too
    path.unlink(missing_ok=True)
    load_generator.cache_clear()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, weights)
    weights.chmod(0o644)  # safetensors writes for the owner only
    pinned = {**asdict(card), "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(pinned, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return GeneratorCard(**{**pinned, "config": card.config})


def without_gradients(network: WyckoffNetwork) -> WyckoffNetwork:
    """A copy of a network that is not trained."""
    copy = WyckoffNetwork(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.eval().requires_grad_(requires_grad=False)


def count_parameters(network: torch.nn.Module) -> int:
    """Number of trained weights."""
    return sum(weights.numel() for weights in network.parameters())
