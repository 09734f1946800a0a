"""docs/security.md: the pins are at or above what mends each known hole, and what the document names exists."""

import re

from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.architecture.source_tree import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (CVE-\d{4}-\d{4,}) \| ([\w-]+) \| ([\w.–]+) \| .+ \| (.+) \|$", re.MULTILINE)
NOT_MENDED = "–"


def pins() -> dict[str, Version]:
    """Pinned versions of constraints.txt by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, _, version in parts}


def open_holes(document: str, pinned: dict[str, Version]) -> list[str]:
    """Holes whose package is pinned below the version that mends it, or is not pinned at all."""
    found = []
    for hole, package, mended, _ in ROW.findall(document):
        pin = pinned.get(canonicalize_name(package))
        if pin is None or (mended != NOT_MENDED and pin < Version(mended)):
            found.append(f"{hole}: {package} {pin}, mended in {mended}")
    return found


def test_every_known_hole_is_mended_by_the_pins_or_met_otherwise() -> None:
    assert open_holes(DOCUMENT, pins()) == []
    for hole, _, mended, met_by in ROW.findall(DOCUMENT):
        assert mended != NOT_MENDED or met_by.replace("pin", "").strip("; "), f"{hole} is met by nothing"


def test_no_row_of_the_table_is_overlooked() -> None:
    assert len(ROW.findall(DOCUMENT)) == DOCUMENT.count("\n| CVE-") >= 14
    assert len({hole for hole, *_ in ROW.findall(DOCUMENT)}) == DOCUMENT.count("\n| CVE-")


def test_a_pin_that_is_too_old_is_noticed() -> None:
    row = "| CVE-2099-0001 | torch | 99.0 | x | pin |\n"
    assert open_holes(row, {"torch": Version("98.9")}) == ["CVE-2099-0001: torch 98.9, mended in 99.0"]
    assert open_holes(row, {"torch": Version("99.0")}) == []
    assert open_holes(row, {}) != []


def test_the_bounds_that_the_document_states_are_those_of_the_code() -> None:
    from db.query.filter_bounds import MAX_BYTES, MAX_DEPTH, MAX_PARENTHESES, MAX_TERMS

    stated = f"{MAX_BYTES:,} bytes, {MAX_TERMS} terms, depth {MAX_DEPTH} or {MAX_PARENTHESES} parentheses"
    assert stated in DOCUMENT
