"""Random crystals in all settings, stated in every way: the crystal that was written comes back, or a refusal."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal
from gmt_tasks.sources.source import MissingSymmetry
from models.errors import Reason
from tests.gmt_tasks.sources.files.cif.generated import (
    N_SETTINGS,
    Generated,
    Statement,
    generated_files,
    is_same_crystal,
    random_crystal,
    write_cif,
)

PLAIN = (Statement.OPERATIONS, Statement.OPERATIONS_AND_NAME, Statement.HALL)
"""Statements that leave nothing open."""


def read(text: str) -> ParsedCrystal | Refusal:
    result = parse_text(TextJob("cif", text, 1, 10_000, MissingSymmetry.REFUSE))
    assert not isinstance(result, list)
    return result


def outcomes(seed: int, n_files: int, step: int = 1) -> Counter[tuple[Statement, str]]:
    """How files of each statement ended: right, refused with which reason, or read as another crystal."""
    counts: Counter[tuple[Statement, str]] = Counter()
    for crystal, statement, _, text in generated_files(seed, n_files, step):
        result = read(text)
        if isinstance(result, Refusal):
            counts[statement, result.reason.value] += 1
        else:
            counts[statement, "right" if is_same_crystal(result, crystal) else "another crystal"] += 1
    return counts


def check(counts: Counter[tuple[Statement, str]]) -> None:
    endings = {ending for _, ending in counts}
    assert endings <= {"right", Reason.SYMMETRY_UNRESOLVED.value}, counts
    assert not any(statement in PLAIN and ending != "right" for statement, ending in counts), counts
    n_right = sum(number for (_, ending), number in counts.items() if ending == "right")
    assert n_right > 0.85 * sum(counts.values()), counts


def test_a_file_in_any_setting_is_the_crystal_that_was_written_or_refused() -> None:
    check(outcomes(seed=11, n_files=N_SETTINGS // 8, step=8))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_files_hold_no_other_crystal() -> None:
    check(outcomes(seed=0, n_files=10_000))


def crystal_of_setting(hall_number: int) -> Generated:
    rng = np.random.default_rng(hall_number)
    while (crystal := random_crystal(hall_number, rng)) is None:
        pass
    return crystal


def test_negative_control_a_moved_or_exchanged_atom_is_another_crystal() -> None:
    crystal = crystal_of_setting(81)
    result = read(write_cif(crystal, Statement.OPERATIONS, formula=False))
    assert isinstance(result, ParsedCrystal) and is_same_crystal(result, crystal)
    moved = result.frac_coords.copy()
    moved[0, 0] += 0.01
    assert not is_same_crystal(replace(result, frac_coords=moved), crystal)
    exchanged = result.numbers.copy()
    exchanged[0] += 1
    assert not is_same_crystal(replace(result, numbers=exchanged), crystal)


def test_negative_control_the_operations_of_another_setting_are_refused_or_another_crystal() -> None:
    """That the judge would see it: the sites of P 1 21/c 1 under the operations of P 1 21/n 1."""
    crystal = crystal_of_setting(81)
    result = read(write_cif(replace(crystal, hall_number=82), Statement.OPERATIONS, formula=False))
    assert isinstance(result, Refusal) or not is_same_crystal(result, crystal)
