"""From what the user wrote to a source: a path, a named source, or one in the network."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gmt_tasks.sandbox.target import load
from gmt_tasks.sources.source import ReadOptions, Source

# Each source is imported when it is named: pymatgen's tables alone cost a second, mp-api five.
GENERATED = {
    "reference": "gmt_tasks.sources.generated.reference_crystals:ReferenceSource.from_text",
    "prototypes": "gmt_tasks.sources.generated.prototypes:PrototypesSource.from_text",
    "generated": "gmt_tasks.sources.generated.generated:GeneratedSource.from_text",
}
"""Sources that are made here: name, alone or before a colon, and who opens it."""

FROM_PARENTS = {
    "substitutions": "gmt_tasks.sources.generated.substitutions:SubstitutionsSource.from_text",
    "strained": "gmt_tasks.sources.generated.strained:StrainedSource.from_text",
    "defects": "gmt_tasks.sources.generated.defects:DefectsSource.from_text",
}
"""Sources that are made here of other crystals: who opens them takes the database too, for stored parents."""

REMOTE = {
    "mp": "gmt_tasks.sources.remote.materials_project:open_candidates",
    "jarvis": "gmt_tasks.sources.remote.jarvis:open_crystals",
    "optimade": "gmt_tasks.sources.remote.optimade:open_optimade",
}
"""Sources from the network: name before a colon, and who opens it."""


def remote_name(text: str) -> str:
    """The row of `REMOTE` that a text means; empty for anything else, also for a file of such a name."""
    name, colon, _ = text.partition(":")
    return name if colon and name in REMOTE and not Path(text).exists() else ""


def open_source(text: str, options: ReadOptions | None = None, database: str | Path | None = None) -> Source:
    """Opens a source by what the user wrote.

    Args:
        text: a file (CIF, POSCAR/CONTCAR, extended XYZ, structure JSON, JSONL, all also as .gz, .bz2, .xz, .zst;
            Parquet, ASE database), a directory, glob, .zip, .tar or packed .tar of these, `reference[:name,...]`,
            `prototypes[:n=...,seed=...,elements=Ba+Ti+O]`, `substitutions:near=...`, `strained:of=...`,
            `defects:of=...`, `generated[:space_group=...,elements=...]`, `mp:chemsys=Al-N`, `jarvis:dft_3d`, or
            `optimade:URL?filter=...` (docs/sources.md).
        options: limits for reading foreign files; the defaults suit files of unknown origin.
        database: path or URL of the one that the command writes to, in which parents of made crystals are looked up;
            it need not exist.

    Returns:
        The source; nothing but its existence and, for Parquet, its columns has been checked. From the network nothing
        has been fetched yet.

    Raises:
        SourceError: no such file, an unknown name or parameter, or a key that is missing.
    """
    if maker := FROM_PARENTS.get(text.partition(":")[0]):
        made: Source = load(maker)(text, database)
        return made
    target = GENERATED.get(text.partition(":")[0]) or REMOTE.get(remote_name(text))
    if target is not None:
        source: Source = load(target)(text)
        return source
    from gmt_tasks.sources.files.source import FilesSource

    return FilesSource.from_text(text, options or ReadOptions())


def ignored_files(sources: Iterable[Source]) -> Counter[str]:
    """How many files in directories, globs and archives are no inputs of the sources, by the ending of their names."""
    from gmt_tasks.sources.files.source import FilesSource

    counts = [source.ignored_files() for source in sources if isinstance(source, FilesSource)]
    return sum(counts, Counter())
