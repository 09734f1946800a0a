"""A model on disk: weights as safetensors, configuration and provenance as JSON, pinned to each other by sha256.

NAME.safetensors   weights, nothing else (no code, no pickle)
NAME.json          {"format": 1, "name", "version", "sha256", "config", "elements", "metrics", "training"}
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.errors import ModelError
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.network import GMTNet, build_network

FORMAT = 1
_COUPLING = "_w3j_"  # e3nn stores its coupling constants with the weights, rounded to their precision: not for float64
WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says of itself.

    Attributes:
        name, version: together the model's identity, `name@version`.
        sha256: of the weights file.
        config: of the network.
        elements: atomic numbers seen in training; others are refused.
        metrics: by split and quantity, as `gmtscreen evaluate` prints them.
        training: data, split, seed, epochs, date: how to make it again.
    """

    name: str
    version: str
    sha256: str
    config: GMTNetConfig
    elements: tuple[int, ...]
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(network: GMTNet, folder: Path, card: ModelCard) -> ModelCard:
    """Writes both files into a folder and returns the card with the sha256 of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{card.name}.safetensors"
    save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, weights)
    data = {
        "format": FORMAT,
        "name": card.name,
        "version": card.version,
        "sha256": _sha256(weights),
        "config": card.config.to_json(),
        "elements": list(card.elements),
        "metrics": card.metrics,
        "training": card.training,
    }
    (folder / f"{card.name}.json").write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return _card(data)


def read_card(path: Path) -> ModelCard:
    """Reads the JSON beside the weights.

    Raises:
        ModelError: missing, not JSON, or of another format version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(p.stem for p in path.parent.glob("*.json"))
        raise ModelError(
            f"There is no model {path.stem} in {path.parent}. There are: {', '.join(known) or 'none'}."
        ) from None
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} is not JSON: {error}. Restore the file from where the model came from.") from error
    if data.get("format") != FORMAT:
        raise ModelError(
            f"{path} has format {data.get('format')}, this version reads {FORMAT}. Use the gmtscreen it was made with."
        )
    return _card(data)


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


def find_checkpoint(model: str) -> Path:
    """The card's path of a model given as a shipped name, `name@version`, or a path to NAME.json or its folder.

    Raises:
        ModelError: there is none, or its version is another.
    """
    path = Path(model)
    if path.suffix == ".json" or path.is_dir():
        cards = [path] if path.suffix == ".json" else sorted(path.glob("*.json"))
        if len(cards) != 1:
            raise ModelError(f"{path} holds {len(cards)} model cards (*.json), expected one. Name the file.")
        return cards[0]
    name, _, version = model.partition("@")
    card_path = WEIGHTS_FOLDER / f"{name}.json"
    found = read_card(card_path).version
    if version and version != found:
        raise ModelError(f"Model {name} is shipped as version {found}, not {version}. Use {name}@{found}.")
    return card_path


def _card(data: dict[str, Any]) -> ModelCard:
    return ModelCard(
        data["name"],
        data["version"],
        data["sha256"],
        GMTNetConfig.from_json(data["config"]),
        tuple(data["elements"]),
        data.get("metrics", {}),
        data.get("training", {}),
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
