"""What the pages are made of: every file that one names exists, nothing comes from elsewhere, no script in the text."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from pymatgen.symmetry.groups import sg_symbol_from_int_number

from db.explorer.context import FOLDER
from db.explorer.pages.filter_help import filter_help
from db.explorer.pages.modules import imported_modules
from db.query.properties import DESCRIPTIONS
from models.crystals.crystal_systems import crystal_systems

STATIC, TEMPLATES = FOLDER / "static", FOLDER / "templates"
OWN = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".css"} and "vendor" not in path.parts]
MODULES = [path for path in OWN if path.suffix == ".js"]
NAMESPACE = "http://www.w3.org/2000/svg"
IMPORT = re.compile(r'^\s*import .*?from "([^"]+)";$', re.MULTILINE)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)|\son\w+\s*=\s*[\"']|\sstyle\s*=\s*[\"']|javascript:")


def broken_imports(modules: list[Path]) -> list[str]:
    """Imports of modules that do not exist."""
    named = [(module, name) for module in modules for name in IMPORT.findall(module.read_text(encoding="utf-8"))]
    return [f"{module.name}: {name}" for module, name in named if not (module.parent / name).is_file()]


def unknown_names(modules: list[Path]) -> list[str]:
    """Names that a module imports and the other one does not export."""
    pattern = re.compile(r'^import \{ ([^}]+) \} from "([^"]+)";$', re.MULTILINE)
    missing = []
    for module in modules:
        for names, other in pattern.findall(module.read_text(encoding="utf-8")):
            text = (module.parent / other).read_text(encoding="utf-8")
            exported = set(re.findall(r"^export (?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE))
            missing += [f"{module.name}: {name} of {other}" for name in names.split(", ") if name not in exported]
    return missing


def test_every_module_that_is_imported_exists_and_exports_what_is_asked() -> None:
    assert MODULES
    assert broken_imports(MODULES) == []
    assert unknown_names(MODULES) == []


def test_a_broken_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { x } from "./b.js";\n', encoding="utf-8")
    assert broken_imports([tmp_path / "a.js"]) == ["a.js: ./b.js"]
    (tmp_path / "b.js").write_text("export function y() {}\n", encoding="utf-8")
    assert unknown_names([tmp_path / "a.js"]) == ["a.js: x of ./b.js"]


def test_symbols_of_space_groups_are_those_of_the_international_tables() -> None:
    text = (STATIC / "js/core/spacegroups.js").read_text(encoding="utf-8")
    symbols = text.split("`")[1].split()
    # pymatgen writes monoclinic groups in full (P12_1/c1), the tables short (P2_1/c).
    full = [f"{symbol[0]}1{symbol[1:]}1" if 3 <= n <= 15 else symbol for n, symbol in enumerate(symbols, 1)]
    assert full == [sg_symbol_from_int_number(n) for n in range(1, 231)]
    system = dict(enumerate(crystal_systems(np.arange(1, 231)).tolist(), 1))
    last = {name: int(n) for name, n in re.findall(r'\["(\w+)", (\d+)\]', text)}
    assert last == {name: max(n for n in system if system[n] == name) for name in dict.fromkeys(system.values())}


def test_every_file_that_a_page_names_exists() -> None:
    pages = [page.read_text(encoding="utf-8") for page in TEMPLATES.glob("*.html")]
    names = {name for page in pages for name in re.findall(r"/static/([\w./-]+\.\w+)", page)}
    scripts = {name for page in pages for name in re.findall(r'set script = "([\w./-]+)"', page)}
    assert names and len(scripts) == 7
    names |= {f"js/{name}" for name in scripts}
    assert [name for name in sorted(names) if not (STATIC / name).is_file()] == []


def test_a_page_names_all_modules_of_its_script_at_once() -> None:
    named = {f"js/{name}" for name in imported_modules("search/main.js")}
    assert {"js/search/plot.js", "js/structure/structure_view.js", "js/core/api.js"} <= named
    assert "js/search/main.js" not in named
    files = [STATIC / name for name in {*named, "js/search/main.js"}]
    imports = {(path.parent / name).resolve() for path in files for name in IMPORT.findall(path.read_text("utf-8"))}
    assert imports == {(STATIC / name).resolve() for name in named}


def test_nothing_is_fetched_from_elsewhere() -> None:
    addresses = {
        f"{path.name}: {address}"
        for path in [*OWN, *TEMPLATES.glob("*.html")]
        for address in re.findall(r"(?:https?:)?//[\w-]+\.[\w./-]+", path.read_text(encoding="utf-8"))
        if address != NAMESPACE
    }
    assert addresses == set()


def test_no_page_holds_a_script_or_a_style_in_its_text() -> None:
    # The content security policy would refuse it, silently for whoever looks at the page.
    assert {page.name: INLINE.findall(page.read_text(encoding="utf-8")) for page in TEMPLATES.glob("*.html")} == {
        page.name: [] for page in TEMPLATES.glob("*.html")
    }


@pytest.mark.parametrize(
    "text", ["<script>x()</script>", '<a onclick="x()">', "<p style='x'>", '<a href="javascript:x">']
)
def test_a_script_in_the_text_of_a_page_is_found(text: str) -> None:
    assert INLINE.search(text)


def test_the_structure_viewer_is_the_file_that_was_published() -> None:
    folder = STATIC / "vendor" / "3dmol"
    recorded = re.search(r"sha256 ([0-9a-f]{64})", (folder / "SOURCE").read_text(encoding="utf-8"))
    assert recorded
    assert hashlib.sha256((folder / "3Dmol-min.js").read_bytes()).hexdigest() == recorded[1]
    assert "BSD-3-Clause" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_help_names_every_property_once_but_the_ends_of_intervals() -> None:
    names = [name for _, rows in filter_help() for name, _ in rows]
    ends = {end for row in DESCRIPTIONS.values() for end in row.interval or ()}
    assert len(names) == len(set(names))
    assert set(names) == set(DESCRIPTIONS) - ends
