"""Sizes that read well, docstrings, and words that product code must not use."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import PACKAGES, ROOT, module_name, product_files, syntax_tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Every function, method and class with its dotted name; functions inside functions too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            yield f"{prefix}{node.name}", node
            yield from definitions(node, f"{prefix}{node.name}.")
        else:
            yield from definitions(node, prefix)


def lines_of(node: Definition) -> int:
    """Lines from the definition to its end, decorators left out."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(tree: ast.AST, module: str) -> list[str]:
    """Functions above the limit, with their length."""
    return [
        f"{module}.{name} has {lines_of(node)} lines"
        for name, node in definitions(tree)
        if not isinstance(node, ast.ClassDef) and lines_of(node) > MAX_FUNCTION_LINES
    ]


def is_public(name: str) -> bool:
    """True when no part of a dotted name starts with an underscore; dunder methods are not public names either."""
    return not any(part.startswith("_") for part in name.split("."))


def undocumented(tree: ast.Module, module: str) -> list[str]:
    """Public functions, methods and classes without a docstring, and the module itself if it has code but none."""
    inside_functions = {
        id(inner)
        for _, node in definitions(tree)
        if not isinstance(node, ast.ClassDef)
        for _, inner in definitions(node)
    }
    found = [
        f"{module}.{name}"
        for name, node in definitions(tree)
        if is_public(name) and id(node) not in inside_functions and not ast.get_docstring(node)
    ]
    return ([module] if tree.body and not ast.get_docstring(tree) else []) + found


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {module_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in product_files()}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    assert [each for path in product_files() for each in too_long(syntax_tree(path), module_name(path))] == []


def test_everything_public_says_what_it_is() -> None:
    assert [each for path in product_files() for each in undocumented(syntax_tree(path), module_name(path))] == []


def test_product_code_raises_errors_and_asserts_nothing() -> None:
    asserts = [
        f"{module_name(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert asserts == [], "python -O drops asserts: raise an error that says what to do"


def test_no_module_is_called_utils() -> None:
    shelves = {"util", "utils", "helpers", "misc", "common"}
    assert [str(path) for path in product_files() if shelves & set(module_name(path).split("."))] == []


def test_every_package_folder_is_a_package() -> None:
    # Without __init__.py a folder is left out of the wheel and of mypy's sight.
    folders = {path.parent for path in product_files()}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
    assert {package for package in PACKAGES if (ROOT / package / "__init__.py").exists()} == set(PACKAGES)


def test_a_long_function_is_found_wherever_it_stands() -> None:
    body = "\n".join(f"        x = {i}" for i in range(MAX_FUNCTION_LINES))
    code = f"class A:\n    def short(self): ...\n    def long(self):\n{body}\n"
    assert too_long(ast.parse(code), "m") == [f"m.A.long has {MAX_FUNCTION_LINES + 1} lines"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('"""M."""\ndef f(): ...', ["m.f"]),
        ('"""M."""\nclass A:\n    """A."""\n    def f(self): ...', ["m.A.f"]),
        ('"""M."""\ndef _f(): ...', []),
        ('"""M."""\ndef f():\n    """F."""\n    def g(): ...', []),
        ("x = 1", ["m"]),
        ("", []),
    ],
)
def test_a_missing_docstring_is_found(code: str, expected: list[str]) -> None:
    assert undocumented(ast.parse(code), "m") == expected
