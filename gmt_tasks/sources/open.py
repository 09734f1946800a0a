"""From what the user wrote to a source: a path, a named source, or one in the network."""

import re
from pathlib import Path

from gmt_tasks.sources.source import ReadOptions, Source

_NAMED = re.compile(r"^(reference|prototypes)(?::(.*))?$")
_REMOTE = re.compile(r"^(mp|jarvis|optimade):")


def open_source(text: str, options: ReadOptions | None = None) -> Source:
    """Opens a source by what the user wrote.

    Args:
        text: a file (CIF, POSCAR/CONTCAR, extended XYZ, structure JSON, JSONL, all also as .gz; Parquet, ASE database),
            a directory, glob, .zip, .tar, .tar.gz or .tgz of these, `reference[:name,...]`,
            `prototypes[:n=...,seed=...,elements=Ba+Ti+O]`, `mp:chemsys=Al-N`, `jarvis:dft_3d`, or
            `optimade:URL?filter=...` (docs/sources.md).
        options: limits for reading foreign files; the defaults suit files of unknown origin.

    Returns:
        The source; nothing but its existence and, for Parquet, its columns has been checked. From the network nothing
        has been fetched yet.

    Raises:
        SourceError: no such file, an unknown name or parameter, or a key that is missing.
    """
    # Each source is imported when it is named: pymatgen's tables alone cost a second.
    if match := _NAMED.match(text):
        if match[1] == "reference":
            from gmt_tasks.sources.generated.reference_crystals import ReferenceSource

            return ReferenceSource.from_text(text)
        from gmt_tasks.sources.generated.prototypes import PrototypesSource

        return PrototypesSource.from_text(text)
    if (match := _REMOTE.match(text)) and not Path(text).exists():
        return _open_remote(match[1], text)
    from gmt_tasks.sources.files.source import FilesSource

    return FilesSource.from_text(text, options or ReadOptions())


def _open_remote(name: str, text: str) -> Source:
    """A source from the network; requests, pymatgen and mp-api are imported by those who use them only."""
    if name == "mp":
        from gmt_tasks.sources.remote.materials_project import open_candidates

        return open_candidates(text)
    if name == "jarvis":
        from gmt_tasks.sources.remote.jarvis import open_crystals

        return open_crystals(text)
    from gmt_tasks.sources.remote.optimade import open_optimade

    return open_optimade(text)
