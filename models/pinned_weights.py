"""Weights and the card that names their sha256, for small networks beside the tensor models.

The tensor models have cards of their own (models/gmtnet/card.py), which travel with calibrations and upgrades.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.errors import ModelError


def read_pinned(path: Path, what: str) -> dict[str, Any]:
    """The card of weights that are the ones it names.

    Args:
        path: NAME.json with NAME.safetensors beside it.
        what: it is, for messages: "generator".

    Raises:
        ModelError: files are missing or damaged.
    """
    weights = path.with_suffix(".safetensors")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        sha256, expected = hashlib.sha256(weights.read_bytes()).hexdigest(), card["sha256"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable(path, what, error) from error
    if sha256 != expected:
        raise ModelError(f"{weights} is not the file its card describes: sha256 {sha256[:12]}. Restore it.")
    return dict(card)


def unreadable(path: Path, what: str, error: Exception) -> ModelError:
    """What to say of a card that cannot be understood."""
    return ModelError(f"The {what} {path} cannot be read: {error}. Restore it, or train it again.")


def misfit(path: Path, error: Exception) -> ModelError:
    """What to say of weights that are those of another configuration."""
    problem = str(error).splitlines()[0]
    return ModelError(f"{path.with_suffix('.safetensors')} does not fit its configuration: {problem} Restore it.")


def write_pinned(path: Path, card: dict[str, Any], save: Callable[[Path], None]) -> dict[str, Any]:
    """Writes weights, then their card; where a card lies, its weights do too.

    Args:
        path: NAME.json.
        card: plain data; its sha256 is filled in.
        save: writes the weights to a file.

    Returns:
        The card with the sha256 of the weights.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = path.with_suffix(".safetensors")
    path.unlink(missing_ok=True)
    save(weights)
    weights.chmod(0o644)  # safetensors writes for the owner only
    pinned = {**card, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(pinned, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return pinned
