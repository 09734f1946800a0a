"""A checkpoint as a value: on a cluster a model of the user's own travels to workers that cannot see its folder."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmt_tasks.workers.worker import Worker
from models.errors import ModelError

_SUFFIXES = frozenset({".json", ".safetensors"})


@dataclass(frozen=True)
class PackedModel:
    """The files of a checkpoint.

    Attributes:
        card: name of the card's file.
        files: content by file name.
        sha256: of each file, by its name, where they were packed.
    """

    card: str
    files: dict[str, bytes]
    sha256: dict[str, str]

    @staticmethod
    def of(card: Path) -> "PackedModel":
        """Packs a card and the files of the same name beside it."""
        paths = [path for path in card.parent.glob(f"{card.stem}.*") if path.suffix in _SUFFIXES]
        files = {path.name: path.read_bytes() for path in paths}
        return PackedModel(card.name, files, {name: _sha256(content) for name, content in files.items()})

    def unpack(self, folder: Path) -> Path:
        """Writes the files and returns the card's path.

        Raises:
            ModelError: a file did not arrive as it was sent.
        """
        # A damaged weight would not fail: it would predict other numbers.
        damaged = [name for name, content in self.files.items() if _sha256(content) != self.sha256[name]]
        if damaged:
            raise ModelError(
                f"{len(damaged)} of {len(self.files)} files of the model {self.card} arrived damaged, first "
                f"{damaged[0]}. Run the same command again; if it stays, check the network and memory of the nodes."
            )
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / self.card


def load_packed(load: Callable[..., Worker], packed: PackedModel, *arguments: Any) -> Worker:
    """Loads a worker with a packed model.

    Args:
        load: takes the path of a model's card and the arguments, such as `load_worker`.
        packed: the model.
        arguments: what else `load` takes.
    """
    with tempfile.TemporaryDirectory(prefix="gmtscreen-model-") as folder:
        return load(str(packed.unpack(Path(folder))), *arguments)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
