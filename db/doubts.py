"""Doubts of the readers: from the notes of an input to the column that filters look at, and back."""

import json
from collections.abc import Iterable

from models.errors import Doubt

FORMER_NAMES: dict[str, Doubt] = {
    "symmetry_missing": Doubt.SYMMETRY,
    "symmetry_assumed": Doubt.SYMMETRY,
    "composition_mismatch": Doubt.COMPOSITION,
    "implicit_hydrogens": Doubt.COMPOSITION,
    "pbc": Doubt.PERIODICITY,
    "species_from_comment": Doubt.SPECIES,
}
"""Notes of databases that are older than the closed list of doubts, by their names."""

_BY_NAME = {doubt.value: doubt for doubt in Doubt} | FORMER_NAMES


def notes_of(metadata: str | None) -> list[str]:
    """The notes in the metadata (JSON text) of an input: what its reader changed or doubts."""
    # looked at before it is read: of a million inputs hardly any has notes
    if metadata is None or '"notes"' not in metadata:
        return []
    content = json.loads(metadata)
    notes = content.get("notes") if isinstance(content, dict) else None
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


def doubt_of(note: str) -> Doubt | None:
    """The doubt that a note is about; None for a remark."""
    name, colon, _ = note.partition(":")
    return _BY_NAME.get(name) if colon else None


def doubts_of(notes: Iterable[str]) -> list[Doubt]:
    """The doubts that notes are about, each once, in the order of `Doubt`."""
    present = {doubt_of(note) for note in notes}
    return [doubt for doubt in Doubt if doubt in present]


def doubts_column(doubts: Iterable[Doubt]) -> str | None:
    """The text of the column `inputs.doubts`: ",cell_doubt,symmetry_doubt,", so that one substring test is one HAS."""
    names = [doubt.value for doubt in doubts]
    return f",{','.join(names)}," if names else None


def split_column(text: str | None) -> list[str]:
    """The values in a text of the column `inputs.doubts`."""
    return text.strip(",").split(",") if text else []
