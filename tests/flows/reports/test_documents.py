"""Documents say what was measured on what, link only to files that exist, and mark what others measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from flows.reports.documents import write_documents
from flows.reports.well_known_document import MISSES
from tests.flows.reports.fake_evaluation import fake_evaluation

NAMES = ("accuracy.md", "uncertainty.md", "well-known-crystals.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs")
    written = write_documents(fake_evaluation(), out)
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(written)
    return out


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


@pytest.mark.parametrize("name", NAMES)
def test_every_document_names_model_data_split_and_seeds(folder: Path, name: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    for fact in ("toy@1", "0123456789ab", "`elastic.jsonl.gz`", "train 100, val 20, test 40", "seeds 7, 8"):
        assert fact in text, fact


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_there_and_every_table_is_rectangular(folder: Path, name: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert links(text)
    assert [link for link in links(text) if not (folder / link).exists()] == []
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
    assert "nan" not in re.sub(r"[A-Za-z]*nan[a-z]+", "", text)


def test_figures_of_others_are_marked_wherever_they_stand(folder: Path) -> None:
    text = (folder / "accuracy.md").read_text(encoding="utf-8")
    assert "Measured elsewhere, not by this repository" in text
    rows = [line for line in text.splitlines() if "reference network" in line and line.startswith("|")]
    assert len(rows) == 5  # three tensors, two properties
    assert all("*reference network* ¹" in row for row in rows)
    assert "| C, GPa | primary | *reference network* ¹ |  | 105.9 | 87.3 | 42.2 / 4.6 / - | 0.278 | - |" in rows
    assert not [line for line in text.split("## Val")[1].splitlines() if "¹" in line], "test figures only beside test"


def test_the_spread_over_seeds_stands_beside_the_mean_of_the_networks(folder: Path) -> None:
    text = (folder / "accuracy.md").read_text(encoding="utf-8")
    assert "| ε0 | all | one network ± seeds | 40 | 1.50 ± 1.50 |" in text
    assert "± of members" not in text


def test_coverage_outside_the_band_is_flagged_and_inside_it_is_not(folder: Path) -> None:
    text = (folder / "uncertainty.md").read_text(encoding="utf-8")
    assert "| `k_vrh_gpa` | GPa | 400 | **80.0**\\* |" in text
    assert "| tensor C | GPa | 400 | 91.0 |" in text
    assert "| `d_max_pc_per_n` | pC/N | 12 | - | - | 100.0 |" in text
    assert "1 of 2 quantities" in text
    assert "**0.71**" in text and "| 0.93 |" in text


def test_crystals_are_compared_with_sign_part_and_interval(folder: Path) -> None:
    text = (folder / "well-known-crystals.md").read_text(encoding="utf-8")
    assert "| wurtzite AlN | test | e33, C/m² | 1.46 | 0.600 | 0.200 to 1.00 | 0.41 | **no** | [1] |" in text
    assert "|  |  | e31, C/m² | −0.600 | 0.100 | −0.900 to 1.00 | −0.17 | yes | [1] |" in text
    assert "Signs are right for 1 of 2 values" in text
    assert "| alpha quartz (metal) | train | C13, GPa | 12.0 | 11.0 | - | 0.92 | - | [2] |" in text
    assert MISSES.read_text(encoding="utf-8").strip() in text


@pytest.mark.slow  # test_plots.py looks at the pictures one by one
def test_the_same_figures_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    for path in write_documents(fake_evaluation(), tmp_path):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_a_model_without_intervals_and_distance_score_says_so(tmp_path: Path) -> None:
    bare = replace(fake_evaluation(), coverage=[], curves=[], reliability=[], families=[], applicability=[])
    write_documents(bare, tmp_path)
    text = (tmp_path / "uncertainty.md").read_text(encoding="utf-8")
    assert "not calibrated" in text and "no distance score" in text
    assert links(text) == []
