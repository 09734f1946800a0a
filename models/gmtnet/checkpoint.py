"""A model on disk: weights as safetensors, its card as JSON beside them, pinned to each other by sha256.

The weights of an ensemble are one file: `0.<weight>` of the first member, `1.<weight>` of the second, ... A single
network is an ensemble of one; in files of before there were ensembles its weights have no number.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.errors import ModelError
from models.gmtnet.card import ModelCard, read_card, write_card
from models.gmtnet.network import GMTNet, build_network

_COUPLING = "_w3j_"  # e3nn stores its coupling constants with the weights, rounded to their precision: not for float64


def save_checkpoint(network: GMTNet, folder: Path, card: ModelCard) -> ModelCard:
    """Writes weights and card of a single network into a folder and returns the card with the sha256 of the weights."""
    return save_members([network], folder, card)


def save_members(networks: Sequence[GMTNet], folder: Path, card: ModelCard) -> ModelCard:
    """Writes weights and card of an ensemble into a folder.

    Args:
        networks: its members, all of the card's configuration.
        folder: made when missing; an older model of the same name in it is replaced.
        card: its number of members, sha256 and calibration are set here: other weights need another calibration.

    Returns:
        The card as written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{card.name}.safetensors"
    members = {f"{m}.{name}": value for m, network in enumerate(networks) for name, value in _weights(network).items()}
    save_file(members, weights)
    weights.chmod(0o644)  # safetensors writes for the owner only
    found = _sha256(weights)
    calibration = card.calibration if found == card.sha256 else {}
    pinned = replace(card, sha256=found, members=len(networks), calibration=calibration)
    write_card(pinned, folder)
    return pinned


def load_checkpoint(
    path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[list[GMTNet], ModelCard]:
    """The members of an ensemble in inference mode (one for a single network), and their card.

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
    found = _sha256(weights)
    if found != card.sha256:
        raise ModelError(
            f"{weights} is not the file its card describes: sha256 {found[:12]}, not {card.sha256[:12]}. Restore it."
        )
    try:
        # Read first: a file that is no weights is refused before seconds are spent on networks for it.
        states = _by_member(load_file(weights), card.members)
        networks = [build_network(card.config, dtype) for _ in range(card.members)]
        for network, state in zip(networks, states, strict=True):
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
        paths: cards; an ensemble among them brings all its members.
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
                    f"{path} has another {_WHAT[what]} than {paths[0]}: {card.name} cannot be a member. "
                    "Join checkpoints of one configuration, trained on the same elements."
                )
    networks = [network for path in paths for network in load_checkpoint(path)[0]]
    twins = _twins(networks)
    if twins or len(networks) < 2:
        what = f"members {twins[0]} and {twins[1]} are the same network" if twins else "there is one network"
        raise ModelError(f"Nothing to join: {what} among {len(networks)}. Train with another seed for each member.")
    training = _joined_facts([card.training for card in cards])
    return save_members(
        networks, folder, ModelCard(name, version, "", cards[0].config, cards[0].elements, {}, training)
    )


_WHAT = {"config": "network configuration", "elements": "set of elements"}


def _weights(network: GMTNet) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}


def _by_member(tensors: dict[str, torch.Tensor], members: int) -> list[dict[str, torch.Tensor]]:
    """The weights of each member under their own names; what belongs to nobody is given to the first, to be refused."""
    if members == 1 and not all(name.startswith("0.") for name in tensors):
        return [tensors]
    states: list[dict[str, torch.Tensor]] = [{} for _ in range(members)]
    for name, value in tensors.items():
        number, _, own = name.partition(".")
        known = number.isdecimal() and int(number) < members
        states[int(number) if known else 0][own if known else name] = value
    return states


def _twins(networks: Sequence[GMTNet]) -> tuple[int, int] | None:
    """The first two members with the same weights."""
    states = [_weights(network) for network in networks]
    for second in range(len(states)):
        for first in range(second):
            if all(torch.equal(value, states[second][name]) for name, value in states[first].items()):
                return first, second
    return None


def _joined_facts(facts: Sequence[dict[str, object]]) -> dict[str, object]:
    """How the members were trained: what they share once, what differs as a list."""
    names = list(dict.fromkeys(name for each in facts for name in each))
    values = {name: [each.get(name) for each in facts] for name in names}
    return {name: found[0] if all(v == found[0] for v in found) else found for name, found in values.items()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
