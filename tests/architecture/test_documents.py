"""What the documents say is there: the files they name, the pages they link to, the commands, the doors."""

import re

import pytest

from flows.cli.app import COMMANDS, app
from tests.architecture.source_tree import ROOT, project

MEASURED = ("docs/accuracy.md", "docs/uncertainty.md", "docs/well-known-crystals.md", "docs/active-learning.md")
"""Written by `gmtscreen evaluate MODEL --data FOLDER --write docs`, the last by benchmarks/active_learning.py."""

DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "models/weights/MODEL_CARD.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)

MAX_WORDS = {"README.md": 900, "ARCHITECTURE.md": 900}
"""What is read first is read whole; the rest has a page of its own."""


def text_of(document: str) -> str:
    """The content of a document."""
    return (ROOT / document).read_text(encoding="utf-8")


def paths_in(text: str) -> set[str]:
    """Files and folders of the repository that a document names: with a slash and a known top folder."""
    tops = "models|db|gmt_tasks|flows|tests|docs|deploy"
    return set(re.findall(rf"(?<![\w/.])(?:{tops})/[\w./-]*\w", text))


def test_every_command_is_in_the_table_of_commands() -> None:
    names = [name if parent is app else f"{parent.info.name} {name}" for parent, name, _, _ in COMMANDS]
    table = text_of("docs/commands.md")
    assert [name for name in names if f"`{name}`" not in table and f"gmtscreen {name}" not in table] == []
    assert "models list" in names


@pytest.mark.parametrize(("document", "n_words"), MAX_WORDS.items())
def test_what_is_read_first_is_short(document: str, n_words: int) -> None:
    assert len(text_of(document).split()) <= n_words


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    named = paths_in(text_of(document))
    assert {path for path in named if not (ROOT / path).exists()} == set()


def links_in(text: str) -> set[str]:
    """Files that a document shows or links to, as it writes them; addresses with a scheme are left out."""
    return {link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link}


def reachable_from(start: str) -> set[str]:
    """Documents and pictures to which the links of a document lead, and the links of these, and so on."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in reached and (ROOT / name).is_file():
            reached.add(name)
            links = links_in(text_of(name)) if name.endswith(".md") else set()
            waiting += [str(((ROOT / name).parent / link).resolve().relative_to(ROOT)) for link in links]
    return reached


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_of_a_document_leads_to_a_file(document: str) -> None:
    folder = (ROOT / document).parent
    assert {link for link in links_in(text_of(document)) if not (folder / link).exists()} == set()


def headings_of(document: str) -> set[str]:
    """Anchors of a document's headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", text_of(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_heading_leads_to_one(document: str) -> None:
    folder = (ROOT / document).parent
    anchored = re.findall(r"\]\(([^)#:]+\.md)#([^)]+)\)", text_of(document))
    missing = [
        (page, anchor)
        for page, anchor in anchored
        if anchor not in headings_of(str((folder / page).resolve().relative_to(ROOT)))
    ]
    assert missing == []


@pytest.mark.parametrize("start", ["README.md", "docs/README.md"])
def test_every_page_and_picture_of_docs_is_reachable(start: str) -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*") if path.is_file()}
    assert pages - reachable_from(start) == set()


def test_pictures_stand_in_documents_and_are_small() -> None:
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix not in ("", ".md", ".ipynb")]
    shown = {
        (ROOT / "docs" / link).resolve()
        for name in (*MEASURED, "docs/explorer.md", "docs/design.md", "docs/lattices.md")
        for link in links_in(text_of(name))
    }
    assert set(pictures) <= shown
    assert [path.name for path in pictures if path.stat().st_size > 600_000] == []


def test_links_are_found_and_addresses_are_not() -> None:
    assert links_in("![a](figures/a.png) [b](c.md#d) [e](https" + "://x.org/f)") == {"figures/a.png", "c.md"}


def test_a_file_that_does_not_exist_would_be_noticed() -> None:
    assert paths_in("see `models/nowhere.py` and models/gmtnet/ (not https://x.org/db/y)") == {
        "models/nowhere.py",
        "models/gmtnet",
    }


def test_every_library_with_a_door_stands_in_the_architecture_document() -> None:
    text = text_of("ARCHITECTURE.md").replace("-", "_")
    contracts = project()["tool"]["importlinter"]["contracts"]
    protected = [contract["protected_modules"] for contract in contracts if contract["type"] == "protected"]
    libraries = {library for modules in protected for library in modules}
    assert {library for library in libraries if library not in text} == set()
