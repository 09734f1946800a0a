"""Writes SevenNet-l3i5 as safetensors and JSON from the pickled checkpoint in the `sevenn` package.

`python -m benchmarks.potential.convert_sevennet FOLDER`: what stands in models/weights/ was written by this.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

NAME = "sevennet-l3i5"
_CONSTANTS = ("_w3j_", "output_mask")  # coupling coefficients and masks: a fresh network has them, and more exactly


def converted() -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights that inference needs, by their names in sevenn's network, and the configuration that builds it."""
    from sevenn import _const, _keys
    from sevenn.checkpoint import SevenNetCheckpoint

    checkpoint = SevenNetCheckpoint(_const.SEVENNET_l3i5)
    state = checkpoint.build_model().state_dict()
    weights = {
        name: value.detach().clone().contiguous()
        for name, value in state.items()
        if value.numel() and not any(part in name for part in _CONSTANTS)
    }
    config = checkpoint.config
    wanted = _const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG.keys() | {_keys.TYPE_MAP, _keys.NUM_SPECIES}
    return weights, {key: config[key] for key in sorted(wanted) if key in config}


def write(folder: Path) -> None:
    """Writes NAME.safetensors and NAME.json, which pins the sha256 of the weights."""
    weights, config = converted()
    path = folder / f"{NAME}.safetensors"
    save_file(weights, path)
    path.chmod(0o644)  # safetensors writes for the owner only
    config["_type_map"] = {str(z): row for z, row in sorted(config["_type_map"].items())}
    card = {
        "name": NAME,
        "version": "12Dec2024",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "MIT, Copyright (c) 2024 Yutack Park; see SEVENNET.md",
        "config": config,
    }
    (folder / f"{NAME}.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
