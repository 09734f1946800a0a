"""What must not stand in any file: paths of somebody's machine, addresses of package registries, private words.

The patterns are put together from pieces, so that this file does not contain what it forbids.
"""

import re

import pytest

from tests.architecture.source_tree import ROOT
from tests.architecture.words import WORDS, private_words, repository_files, words_by_file

FOLDERS = ("work", "root", "tmp", "home", "Users")
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:" + "|".join(FOLDERS) + r")/\w")
REGISTRIES = (
    ("pypi", "org"),
    ("pythonho" + "sted", "org"),
    ("download.pytorch", "org"),
    ("anaconda", "org"),
    ("npmjs", "org"),
)
REGISTRY = re.compile("|".join(re.escape(".".join(parts)) for parts in REGISTRIES), re.IGNORECASE)


def offences(text: str) -> list[str]:
    """Every forbidden text with the number of its line."""
    return [
        f"{number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for pattern in (MACHINE_PATH, REGISTRY)
        for match in pattern.finditer(line)
    ]


def test_no_file_names_a_path_of_a_machine_or_a_package_registry() -> None:
    found = {
        str(path.relative_to(ROOT)): offences(path.read_text(encoding="utf-8", errors="replace"))
        for path in repository_files()
    }
    assert {path: each for path, each in found.items() if each} == {}


def test_the_files_that_are_searched_include_code_documents_and_settings() -> None:
    names = {str(path.relative_to(ROOT)) for path in repository_files()}
    assert {"README.md", "Makefile", "pyproject.toml", "models/errors.py", "tests/architecture/test_words.py"} <= names


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_path_of_a_machine_is_found(folder: str) -> None:
    path = f"/{folder}/someone/crystals.cif"
    assert offences(f"read {path}") and offences(f'"{path}"') and offences(f"x\nfile:{path}")


@pytest.mark.parametrize("parts", REGISTRIES)
def test_the_address_of_a_registry_is_found(parts: tuple[str, str]) -> None:
    assert offences("see https" + "://www." + ".".join(parts) + "/simple")


@pytest.mark.parametrize(
    "text", ["framework/base", "../shared/data/x", "work/units", "a homework/task", "rooted/tmpfile"]
)
def test_ordinary_words_and_relative_paths_are_no_offence(text: str) -> None:
    assert offences(text) == []


def test_private_words_stand_nowhere() -> None:
    assert {path: list(map(str, words)) for path, words in words_by_file().items()} == {}, "use the field's terms"


@pytest.mark.parametrize(
    ("path", "text", "term"),
    [
        ("gmt_tasks/x.py", "def told_block():", "given; encode and decode"),
        ("docs/x.md", "The crystal's Twin is stored.", "enantiomorph"),
        ("models/fingerprint/x.py", "families = find()", "bucket"),
        ("models/x.py", "class RetellingReport:", "equivalent representation"),
        ("flows/x.py", "TRUST_COLUMNS = ()", "reliability"),
        ("gmt_tasks/x.py", "read_turn = 1", "rotation"),
        ("docs/x.md", "see gmt_tasks/learning/labels.py", "the file's present name"),
    ],
)
def test_a_private_word_is_found_in_names_and_in_sentences(path: str, text: str, term: str) -> None:
    assert [found.term for found in private_words(path, text)] == [term]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("db/tables.py", 'Column("twin_id", KEY), Column("family", KEY), Index("ix_crystals_twin_id")'),
        ("models/gmtnet/card.py", "NAME.novelty.safetensors, novelty_sha256"),
        ("models/tensors/frames.py", "the crystal family of the class, in turn; the periodic table; return the origin"),
        ("gmt_tasks/sources/files/archives.py", "for member in archive:"),
        ("docs/security.md", "## Trust boundaries: whom to trust"),
        ("tests/flows/cli/test_cli.py", "runner = CliRunner()"),
        ("models/x.py", "intrusted kinetic inertia sketchy"),
    ],
)
def test_promised_names_and_plain_english_are_no_private_words(path: str, text: str) -> None:
    assert private_words(path, text) == []


def test_every_private_word_has_a_term_that_is_not_private_itself() -> None:
    assert [word.term for word in WORDS if private_words("README.md", word.term)] == []
