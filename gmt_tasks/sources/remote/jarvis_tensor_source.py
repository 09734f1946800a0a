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
    return content_fingerprint(NamedFile(tensor_file, tensor_file.name, None) for tensor_file in paths)


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
        ids: list[str] = []
        parts = []
        for tensors in read_tensor_files(self._path).values():
            # A record with several tensors is one crystal: each id counts where it comes first.
            earlier = set(ids)
            first_row = {jid: row for row, jid in reversed(list(enumerate(tensors.ids))) if jid not in earlier}
            rows = sorted(first_row.values())
            ids += [tensors.ids[row] for row in rows]
            parts.append(tensors.crystals.select(rows))
        crystals = CrystalBatch.join(parts)
        for first in range(start, len(ids), CRYSTALS_PER_BLOCK):
            stop = min(first + CRYSTALS_PER_BLOCK, len(ids))
            positions = np.arange(first, stop, dtype=np.int64)
            metadata: list[str | None] = [None] * len(positions)
            yield SourceBlock(first, stop, positions, ids[first:stop], crystals.select(positions), metadata)
