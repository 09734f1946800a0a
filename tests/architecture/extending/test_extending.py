"""What docs/extending.md lists for an addition is enough: made-up additions work in a copy of the program."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.architecture.extending.extensions import EDITS, NEW_FILES, extended_copy
from tests.architecture.source_tree import ROOT

DOCUMENT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def listed(text: str) -> dict[str, dict[str, list[str]]]:
    """Per section the files before its first paragraph, each with the names that it is said to hold."""
    sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    lists = (part.strip().split("\n\n")[0] for part in sections[1::2])
    return {title: named_in(part) for title, part in zip(sections[::2], lists, strict=True)}


def named_in(text: str) -> dict[str, list[str]]:
    """Files and folders of the lists of a text, each with the names that stand in its line."""
    found: dict[str, list[str]] = {}
    for path, line in re.findall(r"^- `([\w./]+)`: (.+)$", text, flags=re.MULTILINE):
        found.setdefault(path, []).extend(re.findall(r"`(\w+)`", line))
    return found


def untrue(path: str, names: list[str]) -> list[str]:
    """Names that a file does not hold; all of them where there is no such file."""
    place = ROOT / path
    if place.is_dir():
        return []
    text = place.read_text(encoding="utf-8") if place.exists() else ""
    return [name for name in names if not re.search(rf"\b{name}\b", text)] if text else [path, *names]


def test_every_listed_file_exists_and_holds_what_the_document_names() -> None:
    files = named_in(DOCUMENT)
    assert len(files) > 10
    assert {path: wrong for path, names in files.items() if (wrong := untrue(path, names))} == {}


def test_a_wrong_file_or_name_would_be_noticed() -> None:
    assert untrue("models/nowhere.py", []) == ["models/nowhere.py"]
    assert untrue("models/quantities.py", ["TENSORS", "TENSOR_TABLE"]) == ["TENSOR_TABLE"]


@pytest.mark.parametrize("section", sorted({*EDITS, *NEW_FILES}))
def test_a_made_up_addition_touches_the_listed_files_and_no_others(section: str) -> None:
    new = {f"{Path(name).parent}/" for name in NEW_FILES.get(section, {})}
    edited = {*EDITS.get(section, {})}
    if section == "A network of another kind":
        new = {"models/"}
    assert {path for path in listed(DOCUMENT)[section] if path != "README.md"} == edited | new


def test_a_tensor_takes_at_most_four_files_and_a_derived_number_two() -> None:
    files = listed(DOCUMENT)
    assert len(files["A tensor"]) <= 4
    assert len(files["A derived number"]) == 2


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program in the copy answers."""
    copy = extended_copy(tmp_path_factory.mktemp("copy"))
    out = tmp_path_factory.mktemp("out")
    # the copy stands before this checkout, which the tests' own modules come from
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    program = ROOT / "tests" / "architecture" / "extending" / "extended_program.py"
    run = subprocess.run(
        [sys.executable, str(program), str(out)], env=environment, cwd=out, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    assert found["modules"] == str(copy)
    return found


@pytest.mark.slow
def test_a_made_up_tensor_is_read_trained_predicted_and_scored(answer: dict[str, Any]) -> None:
    assert answer["labels"] == answer["crystals"] > 10
    assert answer["refusal"] == "out_of_range"
    assert "thermal_expansion" in answer["heads"]
    assert 0 < answer["loss"] < 10
    scored = {(split, predictor) for split, predictor, *_ in answer["scores"]}
    assert scored == {(split, predictor) for split in ("val", "test") for predictor in ("model", "train mean")}
    for _, _, n, error, success in answer["scores"]:
        assert n > 5
        assert error > 0
        assert success == 100.0


@pytest.mark.slow
def test_a_made_up_tensor_is_symmetrized(answer: dict[str, Any]) -> None:
    assert answer["largest_entry"] > 0
    assert answer["change_on_second_projection"] < 1e-10 * answer["largest_entry"]
    cubic = answer["database"]["cubic"]
    assert cubic == [[cubic[0][0], 0, 0], [0, cubic[0][0], 0], [0, 0, cubic[0][0]]]


@pytest.mark.slow
def test_a_made_up_tensor_derived_number_and_source_are_stored_and_found(answer: dict[str, Any]) -> None:
    database = answer["database"]
    assert database["inputs"] == 10
    assert database["hits"] == database["done"] > 0
    assert database["columns"] == ["formula", "symprec_spread_thermal_expansion", "ionic_share"]
    assert database["radius"] is None, "a column of its own, empty without a calibration"


@pytest.mark.slow
def test_a_made_up_backbone_is_trained_and_obeys_the_contract(answer: dict[str, Any]) -> None:
    assert answer["backbone"] == "FewerProducts"
    assert 0 < answer["loss_of_backbone"] < 10
    assert answer["broken_laws"] == []


@pytest.mark.slow
def test_a_made_up_network_of_another_kind_screens(answer: dict[str, Any]) -> None:
    np.testing.assert_allclose(answer["constant"], 100 / 3**0.5 * np.eye(3))
    assert answer["unit"] == "1e-6/K"


@pytest.mark.slow
def test_a_made_up_command_answers(answer: dict[str, Any]) -> None:
    assert answer["command"] == "hello\n"
