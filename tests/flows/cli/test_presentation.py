"""Tables, matrices, Markdown, progress and the doctor's parts."""

import io
import math
import shlex
from contextlib import redirect_stderr
from importlib.metadata import PackageNotFoundError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from rich.console import Console

from db.query.analysis.evaluate import truth
from db.query.filter_language import parse_filter
from db.records import Balance
from flows.cli import doctor
from flows.cli.doctor import Check, Health
from flows.cli.screen import TOP_FIELDS, TOP_FILTER
from flows.reports.crystal_view import doubt_lines, lattice_text, literature_rows, matrix_text
from flows.reports.markdown import balance_as_markdown
from flows.reports.tables import cell, doubts_line, folded, frame_table, interval_text, with_intervals
from flows.terminal.console import duration, plain, printable, say_command
from flows.terminal.progress import PlainProgress
from gmt_tasks.evaluation.literature_names import predicted_value
from gmt_tasks.telemetry import Progress
from models.errors import Doubt
from models.quantities import INTERVALS, Tensor
from tests.architecture.source_tree import project


@given(st.lists(st.text("aé0-=:/ '\"$`\\!*?&|;<>()#~\n"), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_a_printed_command_is_the_same_words_to_a_shell(words: list[str]) -> None:
    with redirect_stderr(io.StringIO()) as said:
        say_command("compute them", *words)
    purpose, _, command = said.getvalue().removesuffix("\n").partition(": ")
    assert (purpose, shlex.split(command)) == ("compute them", ["gmtscreen", *words])


def test_a_balance_that_does_not_close_says_so() -> None:
    assert "Every input is accounted for" in balance_as_markdown(1, Balance(5, 2, 1, 1, 1, 0))
    assert "not finished" in balance_as_markdown(1, Balance(5, 2, 1, 1, 0, 1))
    assert "not finished" in balance_as_markdown(1, Balance(6, 2, 1, 1, 1, 0))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (math.nan, "-"), (True, "yes"), (np.False_, "no"), (np.float64(1234.5678), "1235"),
     (0.0123456, "0.01235"), (12.0, "12"), (["a", "b", "c"], "a +2"), ([], "-"),
     ("x\x1b[31m", "x?[31m")],
)  # fmt: skip
def test_cells_are_short_and_safe(value: object, text: str) -> None:
    assert cell("k", value) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [(None, "-"), ([None, 1.0], "-"), ([math.nan, math.nan], "-"), ([0.0, 0.0], "0"), ([118.36, 170.2], "118 to 170"),
     ([0.01234, 12.345], "0.0123 to 12.3"), ([-31.6, 4.0], "-31.6 to 4")],
)  # fmt: skip
def test_intervals_are_short(ends: list[float] | None, text: str) -> None:
    assert interval_text(ends) == text


def test_ends_of_intervals_are_folded_into_their_number() -> None:
    columns = ["id", "k_vrh_gpa", "d_max_pc_per_n", "k_vrh_gpa_lo", "k_vrh_gpa_hi"]
    rows = [["a", 142.0, 5.0, 118.0, 170.0], ["b", 90.0, 6.0, None, None]]
    ends = {name: (f"{name}_lo", f"{name}_hi") for name in ("k_vrh_gpa", "d_max_pc_per_n")}
    kept, folded_rows = with_intervals(columns, rows, ends)
    assert kept == ["id", "k_vrh_gpa", "d_max_pc_per_n"]
    assert folded_rows == [["a", "142 (118–170)", 5.0], ["b", 90.0, 6.0]]


def test_the_first_table_of_a_run_fits_100_columns_with_a_line_per_crystal() -> None:
    """Four numbers with wide intervals, the longest formulas and space groups that there are."""
    fields = [*TOP_FIELDS, *(end for name in TOP_FIELDS if name in INTERVALS for end in INTERVALS[name])]
    values = {"id": "0123456789abcdef", "formula": "Ba2CaCu3O10", "spacegroup": 227}
    numbers = dict.fromkeys(TOP_FIELDS[3:], 4.43123) | {"k_vrh_gpa": 142.123}
    ends = {
        end: number for name in TOP_FIELDS[3:] for end, number in zip(INTERVALS[name], (0.8334, 18.81), strict=True)
    }
    ends |= dict(zip(INTERVALS["k_vrh_gpa"], (118.4, 1170.2), strict=True))
    row = [(values | numbers | ends)[name] for name in fields]
    columns, rows = with_intervals(fields, [row] * 3, INTERVALS)
    out = io.StringIO()
    Console(file=out, width=100).print(frame_table(columns, rows))
    lines = out.getvalue().rstrip().splitlines()
    assert max(map(len, map(str.rstrip, lines))) <= 100
    assert len(lines) == 2 + 1 + 3, "two lines of heads, a rule, three crystals"
    assert "4.43 (0.83–19)" in lines[-1] and "142 (118–1170)" in lines[-1]
    Console(file=out, width=60).print(frame_table(columns, rows))
    assert len(out.getvalue().rstrip().splitlines()) > 2 * 6, (
        "control: where there is too little room, lines are folded"
    )


@pytest.mark.parametrize("flag", ["ood", "off_equilibrium"])
def test_the_first_table_of_a_run_is_of_relaxed_crystals_like_those_of_the_training(flag: str) -> None:
    """Three-valued logic: an older model knows of no crystal whether it is out of distribution or off equilibrium."""
    tree = parse_filter(TOP_FILTER)
    row = {"d_max_pc_per_n": 5.0, "elastic_min_eigenvalue_gpa": 30.0, "symmetry_ambiguous": False}
    row |= {"ood": False, "off_equilibrium": False}
    assert [truth(tree, row | {flag: value}) for value in (False, None, True)] == [True, True, False]
    assert truth(tree, row | {"elastic_min_eigenvalue_gpa": 10.0}) is False


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\nc é") == "a?[2Jb?\nc é"


def test_json_has_no_numbers_that_json_does_not_have() -> None:
    value = {"a": np.array([1.0, np.nan]), "b": (np.int64(3), float("inf")), 1: np.bool_(True)}
    assert plain(value) == {"a": [1.0, None], "b": [3, None], "1": True}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (4.21, "4.2 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (3599.9, "1 h 00 min")],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_folded_head_loses_no_character() -> None:
    for name in ("id", "spacegroup", "d_max_pc_per_n", "elastic_min_eigenvalue_gpa"):
        assert folded(name).replace("\n", "") == name
        assert max(map(len, folded(name).split("\n"))) <= max(10, len(name) * 2 // 3)


def test_exact_zeros_are_dots_and_columns_align() -> None:
    text = matrix_text(np.array([[1.5, 0.0], [-22.25, 1e-3]]), "  ")
    assert text == "    1.500       .\n  -22.250   0.001"
    assert matrix_text(np.zeros((1, 2))) == ". ."


def test_lattice_rows_are_named_and_rounding_is_a_zero() -> None:
    text = lattice_text(np.array([[5.0838, 0, -0.8234], [8e-16, 5.21, 0], [0, 0, 5.32]]), "  ")
    assert text.split("\n")[1] == "  b        .  5.2100       ."
    assert [line.split()[0] for line in text.split("\n")] == ["a", "b", "c"]


def arrival(source_id: str, *doubts: Doubt) -> dict[str, Any]:
    notes = [f"{doubt}: because" for doubt in doubts]
    return {"source_id": source_id, "doubts": [doubt.value for doubt in doubts], "doubt_notes": notes}


def test_doubts_are_shown_per_input_with_sentence_and_note() -> None:
    lines = list(doubt_lines([arrival("a.cif", Doubt.CELL, Doubt.SYMMETRY), arrival("b.cif"), arrival("a.cif")]))
    assert lines == [
        "  DOUBTFUL: 1 of the 2 inputs that it came as",
        f"    a.cif: {Doubt.CELL.sentence}",
        f"    a.cif: {Doubt.SYMMETRY.sentence}",
        "      cell_doubt: because",
        "      symmetry_doubt: because",
    ]
    assert list(doubt_lines([arrival("b.cif")])) == []
    assert list(doubt_lines([arrival(str(k), Doubt.CELL) for k in range(9)]))[-1] == "    and 4 more"


def test_a_balance_names_its_doubts() -> None:
    counts = {"symmetry_doubt": 1200, "composition_doubt": 1}
    assert doubts_line(counts) == "accepted with doubts: 1,200 symmetry, 1 composition"


def test_an_optic_sign_is_no_dash() -> None:
    assert [cell("optic_sign", sign) for sign in ("+", "-", None)] == ["positive", "negative", "-"]


def result_of_quartz() -> dict[str, object]:
    """A result with recognisable tensors: C_IJ = 10 I + J, e_1jk = 11, 22, ... by position."""
    stiffness = np.add.outer(10.0 * np.arange(1, 7), np.arange(1, 7))
    piezo = np.zeros((3, 3, 3))
    piezo[0, 0, 0], piezo[0, 1, 2], piezo[0, 2, 1], piezo[2, 2, 2] = -0.5, 0.25, 0.25, 1.0
    total = np.diag([4.0, 4.0, 5.0])
    tensors = {Tensor.ELASTIC.value: stiffness, Tensor.PIEZOELECTRIC.value: piezo, "dielectric_total": total}
    return {"tensors": tensors, "derived": {"eps_total_mean": 4.3}}


@pytest.mark.parametrize(
    ("name", "value"),
    [("c11_gpa", 11.0), ("c14_gpa", 14.0), ("e11_abs_c_per_m2", 0.5), ("e11_c_per_m2", -0.5), ("e14_c_per_m2", 0.25),
     ("e33_c_per_m2", 1.0), ("eps_total_33", 5.0), ("eps_total_mean", 4.3), ("eps_electronic_11", None),
     ("eps_total_44", None), ("e44_c_per_m2", None), ("unheard_of", None)],
)  # fmt: skip
def test_literature_names_find_their_component(name: str, value: float | None) -> None:
    assert predicted_value(name, result_of_quartz()) == value


def test_literature_is_beside_reference_crystals_only() -> None:
    rows = list(literature_rows(["reference:quartz"], result_of_quartz()))
    assert {"c11_gpa", "c33_gpa"} <= {name for name, *_ in rows}
    assert all(source for *_, source in rows)
    assert list(literature_rows(["quartz", "other:quartz"], result_of_quartz())) == []


def test_plain_progress_says_the_rate_and_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as display:
        display.show(Progress(10, 100, 5.0, 18.0))
        display.show(Progress(20, 100, 5.0, 16.0))  # too soon for another line
        display.show(Progress(100, 100, 5.0, 0.0))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "10 of 100 crystals 5.0 crystals/s, rest in 18.0 s"
    assert last.startswith("100 of 100 crystals")


def test_plain_progress_says_that_more_is_being_read(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as display:
        display.show(Progress(10, 10, 5.0, None, more_may_come=True))
        display.read(20)  # crystals say it from now on
    assert capsys.readouterr().err.splitlines() == ["10 of 10 crystals 5.0 crystals/s, reading on"]


def test_a_broken_check_is_a_bad_line_and_does_not_stop_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(doctor, "check_database", broken)
    checks = {check.name: check for check in doctor.run_checks(None, None, quick=True)}
    assert checks["database"].health is Health.BAD and checks["database"].found == "disk gone"
    assert checks["packages"].health is Health.GOOD and "ports" in checks
    assert not doctor.is_healthy(list(checks.values()))


def fake_environment(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> dict[str, Check]:
    """What the doctor says of packages when these are installed and gmtscreen's metadata is made of pyproject.toml."""

    def fake_version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor, "requires", lambda _: project()["project"]["dependencies"])
    monkeypatch.setattr(doctor, "version", fake_version)
    return {check.name: check for check in doctor.check_packages()}


def test_the_doctor_knows_each_bound_of_pyproject(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = [Requirement(text) for text in project()["project"]["dependencies"]]
    lows = {each.name: bound.version for each in declared for bound in each.specifier if bound.operator == ">="}
    highs = {each.name: bound.version for each in declared for bound in each.specifier if bound.operator == "<"}
    good = fake_environment(monkeypatch, lows)
    assert good.keys() == highs.keys() and {check.health for check in good.values()} == {Health.GOOD}
    for name, high in highs.items():
        for text in (high, f"{high}.1", "0.0.1"):
            check = fake_environment(monkeypatch, lows | {name: text})[name]
            assert check.health is Health.BAD and "pip install" in check.advice, f"{name} {text}"
    for name in lows:
        missing = fake_environment(monkeypatch, {other: low for other, low in lows.items() if other != name})[name]
        assert missing.health is Health.BAD and missing.found == "not installed"


def test_the_doctor_refuses_the_sqlalchemy_that_loses_scheduled_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "2.1.0" if name == "sqlalchemy" else real(name))
    checks = {check.name: check for check in doctor.check_packages()}
    assert checks["sqlalchemy"].health is Health.BAD
    assert checks["sqlalchemy"].found == "2.1.0, gmtscreen needs <2.1,>=2.0.40"
    assert checks["torch"].health is Health.GOOD  # a local version such as 2.13.0+cpu is within its bounds


def test_without_metadata_the_doctor_says_that_versions_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", missing)
    (check,) = doctor.check_packages()
    assert check.health is Health.NOTE and "not installed as a package" in check.found
