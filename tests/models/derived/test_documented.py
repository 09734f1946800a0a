"""Every derived column has its formula in the document."""

import re
from pathlib import Path

from models.quantities import DERIVED


def test_every_column_is_documented_and_every_documented_column_exists() -> None:
    text = (Path(__file__).parents[3] / "docs" / "derived.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == set(DERIVED)
