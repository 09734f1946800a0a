"""A model on disk: weights as safetensors, its card as JSON beside them, pinned to each other by sha256.

The weights of an ensemble are one file: `0.<weight>` of the first network, `1.<weight>` of the second, ... A single
network is an ensemble of one; in files of before there were ensembles its weights have no number.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.errors import ModelError
from models.gmtnet.card import ModelCard, read_card, write_card
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.training_data.split_table import SplitTable, load_split_table, save_split_table

_COUPLING = "_w3j_"  # e3nn stores its coupling constants with the weights, rounded to their precision: not for float64


def save_checkpoint(network: GMTNet, folder: Path, card: ModelCard) -> ModelCard:
    """Writes weights and card of a single network into a folder and returns the card with the sha256 of the weights."""
    return save_ensemble([network], folder, card)


def save_ensemble(networks: Sequence[GMTNet], folder: Path, card: ModelCard) -> ModelCard:
    """Writes weights and card of an ensemble into a folder.

    Args:
        networks: all of the card's configuration.
        folder: made when missing; an older model of the same name in it is replaced.
        card: its number of networks, sha256 and calibration are set here: other weights need another calibration.

    Returns:
        The card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{card.name}.safetensors"
    save_file({f"{k}.{name}": value for k, n in enumerate(networks) for name, value in _weights(n).items()}, weights)
    weights.chmod(0o644)  # safetensors writes for the owner only
    sha256 = _sha256(weights)
    # intervals are calibrated for the errors of these very weights
    calibration = card.calibration if sha256 == card.sha256 else {}
    pinned = replace(card, sha256=sha256, n_networks=len(networks), calibration=calibration)
    write_card(pinned, folder)
    return pinned


def load_checkpoint(
    path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[list[GMTNet], ModelCard]:
    """The networks of an ensemble in inference mode (one for a single network), and their card.

    Args:
        path: NAME.json, with NAME.safetensors beside it.
        device: where to put them.
        dtype: float32 or float64.

    Raises:
        ModelError: files missing, damaged (sha256) or of another shape than the configuration says.
    """
    card = read_card(path)
    weights = path.with_suffix(".safetensors")
    if not weights.exists():
        raise ModelError(f"{weights.name} is missing beside {path}. Restore it; its sha256 is {card.sha256}.")
    sha256 = _sha256(weights)
    if sha256 != card.sha256:
        raise ModelError(
            f"{weights} is not the file its card describes: sha256 {sha256[:12]}, not {card.sha256[:12]}. Restore it."
        )
    try:
        # Read first: a file that is no weights is refused before seconds are spent on networks for it.
        states = _by_network(load_file(weights), card.n_networks)
        networks = [build_network(card.config, dtype) for _ in range(card.n_networks)]
        for network, state in zip(networks, states, strict=True):
            # the constants of a fresh network are exact in its own precision
            exact = {name: value for name, value in network.state_dict().items() if _COUPLING in name}
            network.load_state_dict(state | exact)
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{weights} does not fit its configuration: {str(error).splitlines()[0]} Retrain or restore it."
        ) from error
    return [n.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False) for n in networks], card


def join_checkpoints(paths: Sequence[Path], folder: Path, name: str, version: str) -> ModelCard:
    """Makes one ensemble of checkpoints that were trained alike, say with other seeds.

    Args:
        paths: cards; an ensemble among them brings all its networks.
        folder: where the new model goes.
        name: of the new model.
        version: of the new model.

    Returns:
        The card of the ensemble. It has no metrics and no calibration: those belong to other weights.

    Raises:
        ModelError: configurations or elements differ, two checkpoints are the same network, or there is only one.
    """
    cards = [read_card(path) for path in paths]
    for path, card in zip(paths, cards, strict=True):
        for what in ("config", "elements"):
            if getattr(card, what) != getattr(cards[0], what):
                raise ModelError(
                    f"{path} has another {_WHAT[what]} than {paths[0]}: {card.name} cannot be joined. "
                    "Join checkpoints of one configuration, trained on the same elements."
                )
    networks = [network for path in paths for network in load_checkpoint(path)[0]]
    equal = _equal_networks(networks)
    if equal or len(networks) < 2:
        what = f"networks {equal[0]} and {equal[1]} are the same" if equal else "there is one network"
        raise ModelError(f"Nothing to join: {what} among {len(networks)}. Train each network with another seed.")
    # facts of training that all cards share stand once, others as a list
    training: dict[str, object] = {}
    for fact in dict.fromkeys(fact for card in cards for fact in card.training):
        values = [card.training.get(fact) for card in cards]
        training[fact] = values[0] if values.count(values[0]) == len(values) else values
    card = ModelCard(name, version, "", cards[0].config, cards[0].elements, {}, training)
    card = save_ensemble(networks, folder, card)
    tables = [table for path in paths if (table := load_split_table(path)) is not None]
    if len(tables) == len(paths):
        card = save_split_table(reduce(SplitTable.joined, tables), folder / f"{name}.json", card)
        write_card(card, folder)
    return card


_WHAT = {"config": "network configuration", "elements": "set of elements"}


def _weights(network: GMTNet) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}


def _by_network(tensors: dict[str, torch.Tensor], n_networks: int) -> list[dict[str, torch.Tensor]]:
    """The weights of each network under their own names."""
    if n_networks == 1 and not all(name.startswith("0.") for name in tensors):
        return [tensors]
    states: list[dict[str, torch.Tensor]] = [{} for _ in range(n_networks)]
    for name, value in tensors.items():
        number, _, own = name.partition(".")
        # weights of no network go to the first under their full name: loading refuses them there
        belongs = number.isdecimal() and int(number) < n_networks
        states[int(number) if belongs else 0][own if belongs else name] = value
    return states


def _equal_networks(networks: Sequence[GMTNet]) -> tuple[int, int] | None:
    """The first two networks with the same weights: an ensemble of copies has no spread."""
    states = [_weights(network) for network in networks]
    for second in range(len(states)):
        for first in range(second):
            if all(torch.equal(value, states[second][name]) for name, value in states[first].items()):
                return first, second
    return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
