"""What the architecture tests look at: the product's files, their syntax trees and their imports."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("models", "db", "gmt_tasks", "flows")


@cache
def product_files(root: Path = ROOT) -> tuple[Path, ...]:
    """Every Python file of the four packages."""
    return tuple(sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")))


@cache
def syntax_tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def project() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def module_name(path: Path, root: Path = ROOT) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True)
class Import:
    """One import of a module, wherever in a file it stands."""

    importer: str
    imported: str
    line: int
    names: tuple[str, ...] = ()
    """What `from ... import` takes of it: modules or names inside of one."""

    def targets(self) -> list[str]:
        """Every dotted name that the import may load, as long as it is written."""
        return [f"{self.imported}.{name}" for name in self.names] or [self.imported]

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def imports_of(name: str, tree: ast.AST) -> Iterator[Import]:
    """Imports of a syntax tree as written, except those that only a type checker executes.

    Also finds `import_module("x")` and `__import__("x")`, which no import graph shows.
    """
    if isinstance(tree, ast.Import):
        yield from (Import(name, alias.name, tree.lineno) for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        taken = tuple(alias.name for alias in tree.names)
        yield Import(name, "." * tree.level + (tree.module or ""), tree.lineno, taken)
    elif isinstance(tree, ast.Call) and (called := _named_at_run_time(tree)):
        yield Import(name, called, tree.lineno)
    for_types_only = isinstance(tree, ast.If) and ast.unparse(tree.test).endswith("TYPE_CHECKING")
    for node in tree.orelse if isinstance(tree, ast.If) and for_types_only else ast.iter_child_nodes(tree):
        yield from imports_of(name, node)


def _named_at_run_time(call: ast.Call) -> str | None:
    """The module that `import_module` or `__import__` is given as a literal text, else None."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
    if function not in ("import_module", "__import__") or not call.args:
        return None
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


@cache
def product_imports(root: Path = ROOT) -> tuple[Import, ...]:
    """Every import of the product."""
    return tuple(
        statement
        for path in product_files(root)
        for statement in imports_of(module_name(path, root), syntax_tree(path))
    )
