"""Equations for the origin: solved about any origin, and blind to nothing but shifts of it."""

import numpy as np
import pytest

from models.crystals.crystal import Floats
from models.symmetry.settings.shift_equations import (
    N_ROWS,
    OriginEquations,
    origin_equations,
    solve_origins,
    stack_of_one,
)
from models.symmetry.space_group_tables import space_group_table

ALL = range(1, 531)


def equations_of(hall_number: int) -> OriginEquations:
    table = space_group_table(hall_number)
    return stack_of_one(origin_equations(table.rotations.astype(np.int64), table.generators))


def rows_of(equations: OriginEquations, translations: Floats) -> Floats:
    return np.asarray(translations[equations.generators[0]].reshape(1, N_ROWS) * equations.is_row)


def test_an_origin_is_found_up_to_shifts_that_keep_the_operations() -> None:
    rng = np.random.default_rng(1)
    for hall in ALL:
        table, equations, origin = space_group_table(hall), equations_of(hall), rng.random(3)
        complements = np.eye(3) - table.rotations
        steps = complements @ origin + rng.integers(-3, 4, size=3)
        found, misfit = solve_origins(equations, rows_of(equations, steps))
        assert misfit[0] < 1e-12
        apart = complements @ (found[0] - origin)
        assert np.abs(apart - np.rint(apart)).max() < 1e-9, hall


def test_sums_do_not_change_with_the_origin_nor_with_whole_translations() -> None:
    rng = np.random.default_rng(2)
    n_changed = 0
    for hall in ALL:
        table, equations = space_group_table(hall), equations_of(hall)
        moved = table.translations + (np.eye(3) - table.rotations) @ rng.random(3) + rng.integers(-3, 4, size=3)
        sums = [equations.invariants[0] @ rows_of(equations, t)[0] for t in (table.translations, moved)]
        assert np.abs(sums[1] - sums[0] - np.rint(sums[1] - sums[0])).max() < 1e-9
        other = moved + 1 / 3 * rng.permutation([1.0, 0.0, 0.0])
        off = equations.invariants[0] @ rows_of(equations, other)[0] - sums[0]
        n_changed += bool(np.abs(off - np.rint(off)).max() > 1e-9)
    assert n_changed > 400


@pytest.mark.parametrize("hall", [18, 125, 227, 349, 419, 525])
def test_translations_that_belong_to_no_origin_leave_a_misfit(hall: int) -> None:
    table, equations = space_group_table(hall), equations_of(hall)
    rng, worst = np.random.default_rng(hall), 0.0
    for _ in range(10):
        steps = rng.random((len(table.rotations), 3))
        worst = max(worst, float(solve_origins(equations, rows_of(equations, steps))[1][0]))
    assert worst > 1e-2
