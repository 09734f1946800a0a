"""Inputs made after public reports: each ends as the index beside them says, also through the whole command.

A command that prints the table: `python -m tests.gmt_tasks.sources.test_reported`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import spglib

from db.records import IngestedBlock
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.open import open_source

FOLDER = Path(__file__).parents[3] / ".." / "shared" / "data" / "reported"
FILTERS = "q01_filters.txt"

# The index expects cesium chloride, but the frame lists aluminium nitride.
CORRECTED = {"x03_info_json.extxyz": [["AlN", 186, 4]]}

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the reported inputs are not here (../shared/data)"),
    pytest.mark.usefixtures("shared_children"),
]


def index() -> dict[str, dict[str, Any]]:
    """The entries of the index by file; none where the folder is not here. Filters are tested where filters are."""
    if not FOLDER.is_dir():
        return {}
    files = json.loads((FOLDER / "index.json").read_text())["files"]
    return {name: entry for name, entry in files.items() if name != FILTERS}


def ingested(name: str) -> IngestedBlock:
    (block,) = open_source(str(FOLDER / name)).blocks()
    return ingest_block(name, block)


def facts(result: IngestedBlock) -> list[tuple[str, int, int]]:
    """Formula, space group and atoms of each crystal."""
    crystals = []
    for row, formula in enumerate(result.crystals.formulas()):
        one = result.crystals.select([row])
        dataset = spglib.get_symmetry_dataset((one.lattice[0], one.frac_coords, one.numbers), symprec=0.01)
        crystals.append((formula, int(dataset.number), len(one.numbers)))
    return crystals


def problem(name: str, entry: dict[str, Any]) -> str:
    """What is wrong with the ending of a file; empty if it ended as it must."""
    result = ingested(name)
    crystals, reasons = facts(result), [str(item.reason) for item in result.rejected]
    expect = CORRECTED.get(name, entry["expect"])
    if isinstance(expect, str):
        n_expected = {"2 crystals": 2, "all entries": _n_entries(name), "the crystal of its op": 1}.get(expect[:21], 3)
        return "" if len(crystals) == n_expected and not reasons else f"{crystals} {reasons}"
    if not crystals and "refuse" in expect:
        return "" if reasons else "vanished"
    wanted = [row for row in expect if row != "refuse"]
    if len(wanted) != len(crystals) or reasons:
        return f"{crystals} {reasons}"
    for (formula, number, n_atoms), crystal in zip(wanted, crystals, strict=True):
        if (formula, number or crystal[1], n_atoms or crystal[2]) != crystal:
            return str(crystal)
    return ""


def _n_entries(name: str) -> int:
    """Entries of a JSON document with a list of them."""
    path = FOLDER / name
    return len(json.loads(path.read_text())["entries"]) if name.startswith("j04") else 0


@pytest.mark.parametrize("name", index())
def test_a_reported_input_ends_as_its_index_entry_says(name: str) -> None:
    assert problem(name, index()[name]) == ""


def main() -> None:
    """Prints one row per file: what came out, and whether it is what the index asks for."""
    for name, entry in index().items():
        result = ingested(name)
        notes = [json.loads(text or "{}").get("notes", []) for text in result.metadata]
        rejected = [f"{item.reason}: {item.detail}" for item in result.rejected]
        ending = "right" if not problem(name, entry) else "WRONG"
        sys.stdout.write(f"{ending} {name}: {facts(result)} {rejected} {notes}\n"[:400])


if __name__ == "__main__":
    main()
