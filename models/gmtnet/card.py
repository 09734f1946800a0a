"""The model card: the JSON beside the weights. Read without torch, by drivers, command line and database.

NAME.json          {"format": 1, "name", "version", "sha256", "members", "config", "elements", "metrics", "training",
                    "calibration", "stability", "reliability", "novelty_sha256", "split_sha256"}
NAME.safetensors   the weights, see checkpoint.py
NAME.novelty.safetensors   training data of the distance score, see training_data/reference_file.py
NAME.split.safetensors   which formulas were trained, calibrated and tested on, see training_data/split_table.py
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.gmtnet.config import GMTNetConfig

FORMAT = 1
MAX_NETWORKS = 64
MAX_ATOMIC_NUMBER = 118
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class ModelCard:
    """Identity, configuration, metrics and calibration of a checkpoint.

    Attributes:
        name, version: together the model's identity, `name@version`.
        sha256: of the weights file.
        config: of the network.
        elements: atomic numbers of the training crystals; others are refused.
        metrics: by split and quantity, as `gmtscreen evaluate` prints them.
        training: data, split, seed, epochs, date: how to make it again.
        n_networks: how many networks of this configuration the weights hold (an ensemble).
        calibration: how wide the intervals are, see models/uncertainty/conformal.py; empty when it was not calibrated.
        reliability: how likely large errors are, by tensor, see models/applicability/error_model.py; empty if unknown.
        stability: how likely crystals are stable, see models/uncertainty/stability.py; empty if unknown.
        training_reference_sha256: of the training data of the distance score; empty when there is none.
        split_sha256: of the table of formulas and their parts; empty for a model of before there were tables.
    """

    name: str
    version: str
    sha256: str
    config: GMTNetConfig
    elements: tuple[int, ...]
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    n_networks: int = 1
    calibration: dict[str, Any] = field(default_factory=dict)
    training_reference_sha256: str = ""
    split_sha256: str = ""
    reliability: dict[str, Any] = field(default_factory=dict)
    stability: dict[str, Any] = field(default_factory=dict)


def write_card(card: ModelCard, folder: Path) -> Path:
    """Writes NAME.json into a folder and returns its path."""
    data = {
        "format": FORMAT,
        "name": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "config": card.config.to_json(),
        "elements": list(card.elements),
        "metrics": card.metrics,
        "training": card.training,
        "members": card.n_networks,
        "calibration": card.calibration,
        "reliability": card.reliability,
        "stability": card.stability,
        "novelty_sha256": card.training_reference_sha256,
        "split_sha256": card.split_sha256,
    }
    path = folder / f"{card.name}.json"
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def read_card(path: Path) -> ModelCard:
    """Reads the JSON beside the weights.

    Raises:
        ModelError: missing, not JSON, or of another format version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = sorted(p.stem for p in path.parent.glob("*.json"))
        raise ModelError(
            f"There is no model {path.stem} in {path.parent}. There are: {', '.join(names) or 'none'}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}. Restore the file from where the model came from.") from error
    written = data.get("format") if isinstance(data, dict) else None
    if written != FORMAT:
        raise ModelError(
            f"{path} has format {written}, this version reads {FORMAT}. Use the gmtscreen it was made with."
        )
    try:
        return _from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is not a complete model card: {error}. Restore it from where the model came from."
        ) from error


def find_checkpoint(model: str) -> Path:
    """The card's path of a model given as a shipped name, `name@version`, or a path to NAME.json or its folder.

    Raises:
        ModelError: there is none, or its version is another.
    """
    path = Path(model)
    # a path is taken at its word, so that a checkpoint may have the name of a shipped model
    if path.suffix == ".json" or path.is_dir():
        cards = [path] if path.suffix == ".json" else sorted(path.glob("*.json"))
        if len(cards) != 1:
            raise ModelError(f"{path} holds {len(cards)} model cards (*.json), expected one. Name the file.")
        return cards[0]
    name, _, version = model.partition("@")
    card_path = WEIGHTS_FOLDER / f"{name}.json"
    shipped = read_card(card_path).version
    if version and version != shipped:
        raise ModelError(f"Model {name} is shipped as version {shipped}, not {version}. Use {name}@{shipped}.")
    return card_path


def _from_json(data: dict[str, Any]) -> ModelCard:
    """A card from its JSON; a card comes from anybody, so what is read of it is checked."""
    # the name becomes a file name, and the number of networks decides how much is built
    if not all(isinstance(data[key], str) for key in ("name", "version", "sha256")):
        raise ValueError("name, version and sha256 must be texts")
    if not _NAME.fullmatch(data["name"]):
        raise ValueError(f"the name {data['name'][:40]!r} is not made of letters, digits and . _ + -")
    # cards of before there were ensembles lack the number
    n_networks = int(data.get("members", 1))
    if not 1 <= n_networks <= MAX_NETWORKS:
        raise ValueError(f"it promises {n_networks} networks; 1 to {MAX_NETWORKS} are read")
    if not all(isinstance(z, int) and 1 <= z <= MAX_ATOMIC_NUMBER for z in data["elements"]):
        raise ValueError(f"its elements are not atomic numbers from 1 to {MAX_ATOMIC_NUMBER}")
    return ModelCard(
        data["name"],
        data["version"],
        data["sha256"],
        GMTNetConfig.from_json(data["config"]),
        tuple(data["elements"]),
        data.get("metrics", {}),
        data.get("training", {}),
        n_networks,
        data.get("calibration", {}),
        data.get("novelty_sha256", ""),
        data.get("split_sha256", ""),
        data.get("reliability", {}),
        data.get("stability", {}),
    )
