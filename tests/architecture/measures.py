"""Sizes and habits of the code as one table: `python -m tests.architecture.measures [REVISION...]`.

With revisions of git the same is measured on them, side by side with the working tree.
"""

import ast
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.architecture.import_graph import circles, import_graph
from tests.architecture.source_tree import ROOT, module_name, product_files, product_imports

SMALL = 6
"""Code lines from which on a private helper that is used once is worth its name."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

DIRECTIVE = re.compile(r"#\s*(?:noqa|type: ignore|fmt:|ruff:|pragma)")
"""Comments for tools, which explain nothing."""


@dataclass(frozen=True)
class FileMeasures:
    """What is counted in one file."""

    code_lines: int
    """Lines that hold code: neither blank, nor a docstring, nor a comment alone."""
    comments: int
    function_lines: list[int]
    """Code lines of every function, its signature included."""
    nested_comprehensions: list[str]
    small_helpers: list[str]


@dataclass(frozen=True)
class TreeMeasures:
    """What is counted in a whole tree."""

    circles: list[list[str]]
    largest_folder: tuple[str, int]
    n_files: int
    lines: int
    test_lines: int
    document_words: int
    product: FileMeasures

    @property
    def median_function_lines(self) -> float:
        """Median number of code lines of the product's functions."""
        return median(self.product.function_lines)

    @property
    def comments_per_100(self) -> float:
        """Comments for every hundred code lines of the product."""
        return 100 * self.product.comments / self.product.code_lines

    def rows(self) -> dict[str, str]:
        """The table: what is counted, and the count as text."""
        return {
            "files in circles of imports": str(sum(map(len, self.circles))),
            "largest folder": f"{self.largest_folder[1]} ({self.largest_folder[0]})",
            "files": str(self.n_files),
            "lines of the product": f"{self.lines:,}",
            "  of these code": f"{self.product.code_lines:,}",
            "lines of tests": f"{self.test_lines:,}",
            "words of documents": f"{self.document_words:,}",
            "functions": f"{len(self.product.function_lines):,}",
            "  median code lines": f"{self.median_function_lines:g}",
            "comments per 100 code lines": f"{self.comments_per_100:.1f}",
            "comprehensions inside comprehensions": str(len(self.product.nested_comprehensions)),
            f"private helpers used once, below {SMALL} lines": str(len(self.product.small_helpers)),
        }


def measure_source(source: str, name: str) -> FileMeasures:
    """Counts in the text of one Python file."""
    tree = ast.parse(source)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    without_code = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    without_code.add(tokenize.ENDMARKER)
    spans = [range(token.start[0], token.end[0] + 1) for token in tokens if token.type not in without_code]
    nodes = list(ast.walk(tree))
    code = {line for span in spans for line in span} - set(_docstring_lines(nodes))
    functions = [node for node in nodes if isinstance(node, Function)]
    return FileMeasures(
        code_lines=len(code),
        comments=sum(token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string) for token in tokens),
        function_lines=[_lines_within(code, node.lineno, node) for node in functions],
        nested_comprehensions=[f"{name}:{node.lineno}" for node in nodes if _holds_a_comprehension(node)],
        small_helpers=[f"{name}:{node.lineno} {node.name}" for node in _small_helpers(nodes, functions, code)],
    )


def _docstring_lines(nodes: list[ast.AST]) -> Iterator[int]:
    """Lines of every text that stands as a statement: docstrings, and those of attributes."""
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _lines_within(code: set[int], first: int, node: Function) -> int:
    return sum(line in code for line in range(first, (node.end_lineno or first) + 1))


def _holds_a_comprehension(node: ast.AST) -> bool:
    if not isinstance(node, COMPREHENSIONS):
        return False
    return any(isinstance(inner, COMPREHENSIONS) for inner in ast.walk(node) if inner is not node)


def _small_helpers(nodes: list[ast.AST], functions: list[Function], code: set[int]) -> Iterator[Function]:
    """Short private functions called once in the file; not properties, fixtures, and what is passed on."""
    read = Counter(node.id for node in nodes if isinstance(node, ast.Name))
    read.update(node.attr for node in nodes if isinstance(node, ast.Attribute))
    callees = [node.func for node in nodes if isinstance(node, ast.Call)]
    called = {node.id for node in callees if isinstance(node, ast.Name)}
    called |= {node.attr for node in callees if isinstance(node, ast.Attribute)}
    for node in functions:
        is_private = node.name.startswith("_") and not node.name.startswith("__") and not node.decorator_list
        is_called_once = read[node.name] == 1 and node.name in called
        if is_private and is_called_once and _lines_within(code, node.body[0].lineno, node) < SMALL:
            yield node


def measure_tree(root: Path) -> TreeMeasures:
    """Counts in a checkout: its four packages, its tests, its documents."""
    files = product_files(root)
    parts = [measure_source(path.read_text(encoding="utf-8"), str(path.relative_to(root))) for path in files]
    folders = Counter(str(path.parent.relative_to(root)) for path in files if path.name != "__init__.py")
    modules = [module_name(path, root) for path in files]
    documents = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return TreeMeasures(
        circles=circles(import_graph(modules, product_imports(root))),
        largest_folder=max(folders.items(), key=lambda entry: entry[1]),
        n_files=len(files),
        lines=sum(_lines(path) for path in files),
        test_lines=sum(_lines(path) for path in (root / "tests").rglob("*.py")),
        document_words=sum(len(path.read_text(encoding="utf-8").split()) for path in documents),
        product=FileMeasures(
            code_lines=sum(part.code_lines for part in parts),
            comments=sum(part.comments for part in parts),
            function_lines=[lines for part in parts for lines in part.function_lines],
            nested_comprehensions=[place for part in parts for place in part.nested_comprehensions],
            small_helpers=[place for part in parts for place in part.small_helpers],
        ),
    )


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def measure_revision(revision: str) -> TreeMeasures:
    """Counts in a revision of git."""
    command = ["git", "archive", "--format=tar", revision]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
        return measure_tree(Path(folder))


def table(columns: dict[str, TreeMeasures]) -> str:
    """One row per measure, one column per tree."""
    rows = {head: tree.rows() for head, tree in columns.items()}
    names = next(iter(rows.values()))
    width = max(map(len, names))
    cells = {head: [head, *values.values()] for head, values in rows.items()}
    widths = [max(map(len, column)) for column in cells.values()]
    lines = zip(["", *names], *cells.values(), strict=True)
    return "\n".join(
        f"{line[0]:<{width}}  " + "  ".join(f"{cell:>{n}}" for cell, n in zip(line[1:], widths, strict=True))
        for line in lines
    )


def main(arguments: list[str]) -> None:
    """Prints the table of the revisions that are named, in their order, and of the working tree."""
    now = measure_tree(ROOT)
    before = {revision: measure_revision(revision) for revision in arguments}
    sys.stdout.write(table({**before, "now": now}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
