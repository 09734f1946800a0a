"""Crystals of the JARVIS tensor files released with GMTNet, as a source for screening."""

from collections.abc import Iterator
from pathlib import Path

from gmt_tasks.sources.files.find import NamedFile, content_fingerprint
from gmt_tasks.sources.parsed import ParsedCrystal, Reading, block_of_readings
from gmt_tasks.sources.remote.jarvis_tensors import (
    FILES,
    SUFFIXES,
    JarvisTensors,
    read_jarvis_file,
    read_jarvis_folder,
)
from gmt_tasks.sources.source import SourceBlock
from models.quantities import Tensor

CRYSTALS_PER_BLOCK = 1024


def read_tensor_files(path: Path) -> dict[Tensor, JarvisTensors]:
    """The tensors of one file, or of the released files in a folder."""
    return read_jarvis_folder(path) if path.is_dir() else read_jarvis_file(path)


def tensor_file_fingerprint(path: Path) -> str:
    """Changes with the content of the file, or of the released files in the folder."""
    names = [f"{stem}{suffix}" for stem in FILES for suffix in SUFFIXES]
    paths = [path / name for name in names if (path / name).exists()] if path.is_dir() else [path]
    return content_fingerprint(NamedFile(tensor_file, tensor_file.name, None) for tensor_file in paths)


class TensorFileSource:
    """The crystals of a file or folder, each record once; an id of both files once.

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
        readings: dict[tuple[str, int], Reading] = {}
        ids: list[str] = []
        file_of_id: dict[str, str] = {}
        for tensors in read_tensor_files(self._path).values():
            for record in tensors.records:
                # A record with several tensors is one crystal, and so is one that both files have under one id.
                known = file_of_id.get(record.id, record.file) != record.file
                if known or (record.file, record.row) in readings:
                    continue
                readings[record.file, record.row] = record.crystal
                ids.append(record.id)
                if isinstance(record.crystal, ParsedCrystal):
                    file_of_id.setdefault(record.id, record.file)
        ordered = list(readings.values())
        for first in range(start, len(ids), CRYSTALS_PER_BLOCK):
            stop = first + CRYSTALS_PER_BLOCK
            yield block_of_readings(first, ordered[first:stop], ids[first:stop])
