"""The reference of the distance score on disk: NAME.novelty.safetensors beside the weights, pinned by sha256."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.applicability.descriptor import feature_names
from models.applicability.distance import TrainingReference
from models.errors import ModelError
from models.gmtnet.card import ModelCard

_ARRAYS = ("center", "scale", "element_counts", "quantiles", "tail", "points")


def training_reference_path(card_path: Path) -> Path:
    """Where the reference of a model lies: NAME.novelty.safetensors beside NAME.json."""
    return card_path.with_suffix(".novelty.safetensors")


def save_training_reference(reference: TrainingReference, card_path: Path, card: ModelCard) -> ModelCard:
    """Writes a reference beside a card's weights.

    Args:
        reference: calibrated; its points are written in half precision, which moves no distance by more than 1e-3.
        card_path: NAME.json of the model.
        card: the model's card.

    Returns:
        The card with the sha256 of the file; write it with `write_card`.
    """
    path = training_reference_path(card_path)
    arrays = {name: np.asarray(getattr(reference, name), dtype=np.float64).reshape(-1) for name in _ARRAYS[:-1]}
    save_file(arrays | {"points": np.ascontiguousarray(reference.points, dtype=np.float16)}, path)
    path.chmod(0o644)  # safetensors writes for the owner only
    return replace(card, training_reference_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def load_training_reference(card_path: Path, card: ModelCard) -> TrainingReference | None:
    """The reference of a model, None for a model that came without one.

    Raises:
        ModelError: the file is missing, is not the one the card describes, or measures other features.
    """
    if not card.training_reference_sha256:
        return None
    path = training_reference_path(card_path)
    if not path.exists():
        raise ModelError(
            f"{path.name} is missing beside {card_path}. Restore it; its sha256 is {card.training_reference_sha256}."
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != card.training_reference_sha256:
        raise ModelError(
            f"{path} is not the file its card describes: sha256 {sha256[:12]}, not "
            f"{card.training_reference_sha256[:12]}. Restore it."
        )
    try:
        arrays = load_file(path)
        tail, points = float(arrays["tail"][0]), arrays["points"].astype(np.float32)
        reference = TrainingReference(
            arrays["center"], arrays["scale"], points, arrays["element_counts"], arrays["quantiles"], tail
        )
    except (KeyError, SafetensorError) as error:
        raise ModelError(
            f"{path} holds no distance score: {error}. Make it again with `gmtscreen calibrate`."
        ) from error
    # distances between features of two versions mean nothing
    if points.ndim != 2 or points.shape[1] != len(feature_names()):
        raise ModelError(
            f"{path} measures {points.shape[-1]} features, this version {len(feature_names())}. Make it again with "
            "`gmtscreen calibrate`."
        )
    return reference
