"""The rooms: no circle of imports, no hall of many files, a sentence over every door, tests beside what they test."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.architecture.import_graph import Graph, circles, import_graph, merged
from tests.architecture.source_tree import (
    PACKAGES,
    ROOT,
    imports_of,
    module_name,
    product_files,
    product_imports,
    syntax_tree,
)

MAX_FILES = 15
"""Source files that lie side by side in one folder, `__init__.py` not counted."""

SENTENCE = re.compile(r"[^.!?]+(?:[.!?]\S+[^.!?]*)*\.")
"""One sentence in one line; a dot inside of a word (`upgrade.py`) ends none."""

MIRRORED = (*PACKAGES, "deploy")


def product_graph() -> Graph:
    """Imports between the files of the product."""
    return import_graph(map(module_name, product_files()), product_imports())


def room_of(module: str) -> str:
    """The room in which a module lies: the folder or file directly in a package."""
    return ".".join(module.split(".")[:2])


def folder_sizes(files: tuple[Path, ...]) -> dict[str, int]:
    """Number of source files of each folder."""
    return Counter(str(path.parent.relative_to(ROOT)) for path in files if path.name != "__init__.py")


def badly_introduced(tree: ast.Module) -> str | None:
    """What is wrong with a package's `__init__.py`, which holds one sentence that says what lives there."""
    text = ast.get_docstring(tree) or ""
    if len(tree.body) > 1 or (tree.body and not text):
        return "holds code"
    return None if SENTENCE.fullmatch(text) else f"is introduced by {text!r}, which is not one sentence"


def test_no_circle_of_imports_lazy_ones_included() -> None:
    assert circles(product_graph()) == []


@pytest.mark.parametrize("package", ["models", "db", "gmt_tasks", "flows"])
def test_no_circle_between_the_rooms_of_a_package(package: str) -> None:
    rooms = merged(product_graph(), room_of)
    inside = {
        room: frozenset(other for other in imported if other.startswith(f"{package}."))
        for room, imported in rooms.items()
        if room.startswith(f"{package}.")
    }
    assert len(inside) > 5
    assert circles(inside) == []


def graph_of(**files: str) -> Graph:
    """The graph of made-up files."""
    statements = [each for name, code in files.items() for each in imports_of(name, ast.parse(code))]
    return import_graph(files, statements)


@pytest.mark.parametrize(
    "back", ["import a", "from a import f", "def f():\n    import a", "class B:\n    def f(self):\n        import a"]
)
def test_a_circle_is_found_however_deep_its_imports_stand(back: str) -> None:
    assert circles(graph_of(a="import b", b="from c import f", c=back)) == [["a", "b", "c"]]
    assert circles(graph_of(a="import b", b="from c import f", c="import d", d="")) == []


def test_an_import_for_the_type_checker_alone_closes_no_circle() -> None:
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a"
    assert circles(graph_of(a="import b", b=for_types)) == []


def test_a_circle_between_rooms_is_found_where_the_files_have_none() -> None:
    files = {"p.x.one": "import p.y.one", "p.y.two": "from p.x import two", "p.x.two": "", "p.y.one": ""}
    graph = graph_of(**files)
    assert circles(graph) == []
    assert circles(merged(graph, room_of)) == [["p.x", "p.y"]]


def test_no_folder_has_more_files_than_one_sees_at_a_glance() -> None:
    sizes = folder_sizes((*product_files(), *(ROOT / "tests").rglob("*.py")))
    assert {folder: n for folder, n in sizes.items() if n > MAX_FILES} == {}
    assert max(folder_sizes(product_files()).values()) > 3, "the files are counted at all"


def test_every_package_says_in_one_sentence_what_lives_there_and_holds_no_code() -> None:
    wrong = {str(path): badly_introduced(syntax_tree(path)) for path in product_files() if path.name == "__init__.py"}
    assert {path: reason for path, reason in wrong.items() if reason} == {}


@pytest.mark.parametrize(
    "code",
    ["", '"""No full stop"""', '"""Two. Sentences."""', '"""One."""\nimport os', "x = 1", '"""One.\n\nMore."""', "f()"],
)
def test_an_introduction_that_is_not_one_sentence_is_noticed(code: str) -> None:
    assert badly_introduced(ast.parse(code))
    assert not badly_introduced(ast.parse('"""Revisions; `upgrade.py` runs them, as numpy 2.4 does."""'))


def without_counterpart(tests: list[Path]) -> list[str]:
    """Files of tests in a folder that the product does not have, by their paths below tests/."""
    return [
        str(path)
        for path in tests
        if path.parts[0] not in {"architecture", "browser", "conftest.py"} and not (ROOT / path.parent).is_dir()
    ]


def test_the_tests_mirror_the_tree() -> None:
    tests = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    assert {path.parts[0] for path in tests} == {*MIRRORED, "architecture", "benchmarks", "browser"}
    assert without_counterpart(tests) == []
    moved = Path("db", "drawers", "test_store.py")
    assert without_counterpart([*tests, moved]) == [str(moved)]
