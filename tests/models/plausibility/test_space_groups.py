"""Space groups intended and found: textbook crystals, distorted ones, and laws of group and subgroup."""

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch
from models.plausibility import space_groups
from models.plausibility.space_groups import SymmetryAnswer, is_supergroup, symmetry_round_trip
from models.symmetry.space_group_tables import space_group_table

PEROVSKITE = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
BATIO3 = np.array([56, 22, 8, 8, 8])


def shifted(angstrom: float) -> CrystalBatch:
    """Cubic BaTiO3 with titanium moved along z."""
    frac = PEROVSKITE.copy()
    frac[1, 2] += angstrom / 4.0
    return CrystalBatch.from_arrays([4.0 * np.eye(3)], [frac], [BATIO3])


@pytest.mark.parametrize(
    ("moved", "intended", "answer"),
    [
        (0.0, 221, SymmetryAnswer.SAME),
        (0.2, 99, SymmetryAnswer.SAME),
        (0.04, 221, SymmetryAnswer.NEARLY),  # P4mm within 0.01 angstrom, cubic within 0.1
        (0.0, 99, SymmetryAnswer.SUPERGROUP),
        (0.2, 221, SymmetryAnswer.DIFFERENT),
        (0.0, 194, SymmetryAnswer.DIFFERENT),
        (0.2, 0, SymmetryAnswer.NOT_INTENDED),
    ],
)
def test_the_group_that_was_intended_is_compared_with_the_one_found(
    moved: float, intended: int, answer: SymmetryAnswer
) -> None:
    assert symmetry_round_trip(shifted(moved), np.array([intended])).answers.tolist() == [answer]


def test_crystals_are_compared_one_by_one_and_their_numbers_named() -> None:
    batch = CrystalBatch.join([shifted(0.2), shifted(0.0), shifted(0.2)])
    trip = symmetry_round_trip(batch, np.array([0, 221, 221]))
    assert trip.answers.tolist() == ["not_intended", "same", "different"]
    assert trip.tight.tolist() == [0, 221, 99]
    assert trip.sentence(2) == "space group 221 was intended, 99 at 0.01 angstrom, 99 at 0.1 angstrom"


def test_supergroups_are_transitive_contain_p1_and_have_orders_that_divide() -> None:
    numbers = np.arange(1, 231)
    table = is_supergroup(numbers[:, None], numbers)
    assert table[1:, 0].all() and not table[0].any()
    assert not table.diagonal().any()
    reached = table | np.eye(230, dtype=bool)
    assert ((reached.astype(int) @ reached.astype(int) > 0) == reached).all()
    first_hall = [next(h for h in range(1, 531) if _number(h) == number) for number in numbers.tolist()]
    orders = np.array([int(space_group_table(hall).n_ops) for hall in first_hall])
    assert (orders[:, None] % orders == 0)[table].all()


def test_known_chains_are_found_and_their_reverse_is_not() -> None:
    # P4mm in Pm-3m, F-43m in Fd-3m, R3c in R-3c, P63mc in P63/mmc; F-43m is in no tetragonal group
    assert is_supergroup(np.array([221, 227, 167, 194]), np.array([99, 216, 161, 186])).all()
    assert not is_supergroup(np.array([99, 216, 161, 186, 123]), np.array([221, 227, 167, 194, 216])).any()
    assert not is_supergroup(np.array([0, 221]), np.array([1, 0])).any()


def _number(hall: int) -> int:
    from models.symmetry.operations import space_group_type

    return space_group_type(hall)[0]


def test_the_table_is_what_the_installed_pymatgen_says() -> None:
    from gmt_tasks.sources.subgroup_table import subgroup_rows

    assert space_groups._TABLE.read_text(encoding="utf-8").splitlines() == subgroup_rows()
