"""What the documents say can be done: the commands exist, the filters parse, the files are there."""

import re
import shlex

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from db.query.filter_language import parse_filter
from db.query.pages import field_names
from flows.cli.app import COMMANDS, app
from tests.architecture.source_tree import ROOT, project

MEASURED = ("docs/accuracy.md", "docs/uncertainty.md", "docs/well-known-crystals.md", "docs/active-learning.md")
"""Written by `gmtscreen evaluate MODEL --data FOLDER --write docs`, the last by benchmarks/active_learning.py."""

WRITTEN = (
    "docs/deploy.md",
    "docs/extending.md",
    "docs/identity.md",
    "docs/labels.md",
    "docs/retraining.md",
    "docs/security.md",
    "docs/sources.md",
)
"""Written by hand."""

DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", *MEASURED, *WRITTEN)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(text: str) -> list[list[str]]:
    """The `gmtscreen` commands in blocks of shell code, as words."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("gmtscreen ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def paths_in(text: str) -> set[str]:
    """Files and folders of the repository that a document names: with a slash and a known top folder."""
    tops = "models|db|gmt_tasks|flows|tests|docs|deploy"
    return set(re.findall(rf"(?<![\w/.])(?:{tops})/[\w./-]*\w", text))


def test_every_command_is_in_the_readme() -> None:
    names = [name if parent is app else f"{parent.info.name} {name}" for parent, name, _, _ in COMMANDS]
    assert [name for name in names if f"`{name}`" not in README and f"gmtscreen {name}" not in README] == []
    assert "models list" in names


def test_every_example_of_the_readme_is_a_command_with_options_that_exist() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    examples = shell_lines(README)
    assert len(examples) > 5
    for name, *words in examples:
        options = {option for parameter in group.commands[name].params for option in parameter.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, f"gmtscreen {name} has no {used - options}"


def test_every_filter_and_field_of_the_readme_is_understood() -> None:
    queries = [words for words in shell_lines(README) if words[0] == "query"]
    assert queries
    for words in queries:
        parse_filter(words[1])
        if "--fields" in words:
            field_names(words[words.index("--fields") + 1].split(","))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    named = paths_in((ROOT / document).read_text(encoding="utf-8"))
    assert {path for path in named if not (ROOT / path).exists()} == set()


def pictures_in(text: str) -> set[str]:
    """Files that a document shows or links to beside itself; addresses with a scheme are left out."""
    return {link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_of_a_document_leads_to_a_file(document: str) -> None:
    path = ROOT / document
    linked = pictures_in(path.read_text(encoding="utf-8"))
    assert {link for link in linked if not (path.parent / link).exists()} == set()


def test_only_known_documents_and_their_pictures_stand_in_docs() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*") if path.is_file()}
    shown = {f"docs/{link}" for name in MEASURED for link in pictures_in((ROOT / name).read_text(encoding="utf-8"))}
    assert found == {*MEASURED, *WRITTEN, *shown}
    assert {name for name in shown if (ROOT / name).stat().st_size > 600_000} == set()


def test_links_are_found_and_addresses_are_not() -> None:
    assert pictures_in("![a](figures/a.png) [b](c.md#d) [e](https" + "://x.org/f)") == {"figures/a.png", "c.md"}


def test_a_file_that_does_not_exist_would_be_noticed() -> None:
    assert paths_in("see `models/nowhere.py` and models/gmtnet/ (not https://x.org/db/y)") == {
        "models/nowhere.py",
        "models/gmtnet",
    }


def test_every_library_with_a_door_stands_in_the_architecture_document() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").replace("-", "_")
    contracts = project()["tool"]["importlinter"]["contracts"]
    libraries = {library for each in contracts if each["type"] == "protected" for library in each["protected_modules"]}
    assert {library for library in libraries if library not in text} == set()
