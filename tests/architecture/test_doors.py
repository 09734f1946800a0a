"""One library, one door: each library is imported behind its door only.

The doors are the contracts of type `protected` in pyproject.toml; import-linter checks them on its import graph. Here
the same table is checked on the syntax trees, which also shows imports that are named at run time, and for gaps.
"""

import ast
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source_tree import PACKAGES, Import, imports_of, product_imports, project

EVERYWHERE = {"numpy"}
"""Arrays are the language of the house."""


def doors() -> dict[str, list[str]]:
    """Modules or packages that may import a library, by library."""
    contracts = project()["tool"]["importlinter"]["contracts"]
    protected = [contract for contract in contracts if contract["type"] == "protected"]
    return {library: each["allowed_importers"] for each in protected for library in each["protected_modules"]}


def library_of(each: Import) -> str | None:
    """The top-level package of a third-party import, else None."""
    top = each.imported.partition(".")[0]  # "" for a relative import
    return None if not top or top in sys.stdlib_module_names or top in PACKAGES else top


def is_inside(module: str, package: str) -> bool:
    """True when a module is the package or lies in it."""
    return f"{module}.".startswith(f"{package}.")


def wrong_doors(imports: tuple[Import, ...]) -> list[str]:
    """Imports of a library from outside its door."""
    table = doors()
    return [
        str(each)
        for each in imports
        if (library := library_of(each)) in table and not any(is_inside(each.importer, door) for door in table[library])
    ]


def test_every_library_is_imported_behind_its_door_only() -> None:
    assert not wrong_doors(product_imports())


def test_every_library_that_is_imported_has_a_door() -> None:
    without = [str(each) for each in product_imports() if (library_of(each) or "numpy") not in {*doors(), *EVERYWHERE}]
    assert not without, "add a contract of type `protected` to pyproject.toml for these"


def test_every_library_that_is_imported_is_a_declared_dependency() -> None:
    # what only the second opinion needs is an extra: without it one sentence says what to install
    requirements = [*project()["project"]["dependencies"], *project()["project"]["optional-dependencies"]["refine"]]
    declared: set[str] = {canonicalize_name(Requirement(text).name) for text in requirements}
    declared |= {"llvmlite"} if "numba" in declared else set()  # numba's own compiler
    # pydantic comes with pydantic-settings, of which it is the base.
    declared |= {"pydantic"} if "pydantic-settings" in declared else set()
    providers = packages_distributions()
    undeclared = [
        str(each)
        for each in product_imports()
        if (library := library_of(each))
        and declared.isdisjoint(canonicalize_name(name) for name in providers.get(library, []))
    ]
    assert not undeclared


def relative_imports(imports: tuple[Import, ...]) -> list[str]:
    """Imports that begin with a dot."""
    return [str(each) for each in imports if each.imported.startswith(".")]


def test_imports_between_our_packages_are_absolute() -> None:
    assert not relative_imports(product_imports())
    assert relative_imports(tuple(imports_of("db.store", ast.parse("from . import tables"))))
    assert relative_imports(tuple(imports_of("db.store", ast.parse("from ..models import crystal"))))


@pytest.mark.parametrize(
    "code",
    [
        "import ray",
        "import ray.util as r",
        "from ray.exceptions import RayError",
        "def f():\n    import ray",
        "import importlib\nray = importlib.import_module('ray')",
        "ray = __import__('ray')",
        "if True:\n    from ray import init",
    ],
)
def test_an_import_through_the_wrong_door_is_seen_however_it_is_written(code: str) -> None:
    assert wrong_doors(tuple(imports_of("db.store", ast.parse(code))))
    assert not wrong_doors(tuple(imports_of("gmt_tasks.workers.pool", ast.parse(code))))


def test_an_import_for_the_type_checker_alone_needs_no_door() -> None:
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ray\nelse:\n    import prefect\n"
    assert [each.imported for each in imports_of("db.store", ast.parse(code))] == ["typing", "prefect"]
