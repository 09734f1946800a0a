"""A model on disk: weights as safetensors, its card as JSON beside them, pinned to each other by sha256."""

import hashlib
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
    """Writes weights and card into a folder and returns the card with the sha256 of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{card.name}.safetensors"
    save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, weights)
    weights.chmod(0o644)  # safetensors writes for the owner only
    pinned = replace(card, sha256=_sha256(weights))
    write_card(pinned, folder)
    return pinned


def load_checkpoint(path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[GMTNet, ModelCard]:
    """The network in inference mode, and its card.

    Args:
        path: NAME.json, with NAME.safetensors beside it.
        device: where to put it.
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
    network = build_network(card.config, dtype)
    exact = {name: value for name, value in network.state_dict().items() if _COUPLING in name}
    try:
        network.load_state_dict(load_file(weights) | exact)
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{weights} does not fit its configuration: {str(error).splitlines()[0]} Retrain or restore it."
        ) from error
    return network.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False), card


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
