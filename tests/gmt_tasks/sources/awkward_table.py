"""The awkward set file by file: what its index says of each file, and what came out. A command that prints a table.

python -m tests.gmt_tasks.sources.awkward_table
"""

import json
import sys
from pathlib import Path
from typing import Any

from db.records import IngestedBlock
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.open import open_source

FOLDER = Path(__file__).parents[3] / ".." / "shared" / "data" / "awkward"


def index() -> list[dict[str, Any]]:
    """The entries of the index, one per file; none where the folder is not here."""
    return json.loads((FOLDER / "index.json").read_text()) if FOLDER.is_dir() else []


def ingest_folder() -> IngestedBlock:
    """All files in one go, as a user would give them."""
    (block,) = open_source(str(FOLDER)).blocks()
    return ingest_block("awkward", block)


def of_file(result: IngestedBlock, name: str) -> tuple[list[int], list[int]]:
    """Rows of the crystals and of the rejections that a file gave."""
    crystals = [row for row, source_id in enumerate(result.source_ids) if source_id.split("#")[0] == name]
    rejected = [row for row, item in enumerate(result.rejected) if item.source_id.split("#")[0] == name]
    return crystals, rejected


def said(entry: dict[str, Any]) -> str:
    """What the index says of a file: why it is there, and what pymatgen made of it."""
    sites = f", {entry['nsites']} sites" if "nsites" in entry else ""
    order = ", disordered" if entry.get("ordered") is False else ""
    return f"{entry.get('why', '')}; {entry.get('parse', '')}{sites}{order}"


def came_out(result: IngestedBlock, name: str) -> str:
    """How the inputs of a file ended."""
    crystals, rejected = of_file(result, name)
    parts = []
    for row in crystals:
        batch = result.crystals.select([row])
        notes = json.loads(result.metadata[row] or "{}").get("notes", [])
        shown = f" ({'; '.join(notes)})" if notes else ""
        parts.append(f"crystal {batch.formulas()[0]}, {len(batch.numbers)} atoms{shown}")
    parts += [f"{result.rejected[row].reason}: {result.rejected[row].detail}" for row in rejected]
    return " / ".join(parts)


def main() -> None:
    """Prints one row per file."""
    result = ingest_folder()
    sys.stdout.write("| file | what the index says | what came out |\n|---|---|---|\n")
    for entry in index():
        cells = (entry["file"], said(entry), came_out(result, entry["file"]))
        sys.stdout.write("| " + " | ".join(cell.replace("|", "\\|")[:220] for cell in cells) + " |\n")


if __name__ == "__main__":
    main()
