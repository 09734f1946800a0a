"""Crystals of the JARVIS tensor files released with GMTNet, as a source for screening."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gmt_tasks.sources.files.find import NamedFile, content_fingerprint
from gmt_tasks.sources.remote.jarvis_tensors import (
    FILES,
    SUFFIXES,
    JarvisTensors,
    read_jarvis_file,
    read_jarvis_tensors,
)
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor

CRYSTALS_PER_BLOCK = 1024


def read_tensor_files(path: Path) -> dict[Tensor, JarvisTensors]:
    """The tensors of one file, or of the released files in a folder."""
    return read_jarvis_tensors(path) if path.is_dir() else read_jarvis_file(path)


def tensor_file_fingerprint(path: Path) -> str:
    """Changes with the content of the file, or of the released files in the folder."""
    names = [f"{stem}{suffix}" for stem in FILES for suffix in SUFFIXES]
    paths = [path / name for name in names if (path / name).exists()] if path.is_dir() else [path]
    return content_fingerprint(NamedFile(each, each.name, None) for each in paths)


class TensorFileSource:
    """The crystals of a file or folder, each id once.

    Args:
        name: the source as the user wrote it.
        path: the file or folder.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def fingerprint(self) -> str:
        """Changes with the content of the files."""
        return tensor_file_fingerprint(self._path)

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The crystals from position `start` on, in blocks of 1,024, in the order of the files."""
        ids, crystals = _crystals(self._path)
        for first in range(start, len(ids), CRYSTALS_PER_BLOCK):
            stop = min(first + CRYSTALS_PER_BLOCK, len(ids))
            positions = np.arange(first, stop, dtype=np.int64)
            yield SourceBlock(
                first, stop, positions, ids[first:stop], crystals.select(positions), [None] * len(positions)
            )


def _crystals(path: Path) -> tuple[list[str], CrystalBatch]:
    """Ids and crystals; a record with several tensors is one crystal."""
    ids: dict[str, None] = {}
    parts = []
    for found in read_tensor_files(path).values():
        first = {jid: row for row, jid in reversed(list(enumerate(found.ids))) if jid not in ids}
        rows = sorted(first.values())
        ids |= dict.fromkeys(found.ids[row] for row in rows)
        parts.append(found.crystals.select(rows))
    return list(ids), CrystalBatch.join(parts)
