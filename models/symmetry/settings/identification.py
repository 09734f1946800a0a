"""Space groups of lists of operations: moyopy names the first list of each kind, others differ from it by an origin.

moyopy goes through the tables of Hall numbers and through changes of axes, and takes the first pair for which some
origin fits. Whether one fits does not depend on where the origin of the crystal is: two lists with the same rotations
in the same order, whose translations differ by a shift of the origin alone, get the same answer. What does not change
with the origin are sums of the generators' translations with whole factors. Modulo 1 they are multiples of 1/24; lists
with the same rotations and the same sums are of one kind, and moyopy is asked once for each. The origin is solved for,
from (E - R) o = t - t_table (mod 1) of the generators.
"""

from functools import cache
from threading import Lock
from typing import NamedTuple

import moyopy
import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.symmetry.operation_search import rotations_of
from models.symmetry.settings.axes import centring
from models.symmetry.settings.origin_equations import N_ROWS, OriginEquations, origin_equations, solve_origins
from models.symmetry.space_group_tables import space_group_table

_GRID = 24  # translations of tables are multiples of 1/24 of a primitive axis
_MAX_OFF_GRID = 0.25
_MAX_MISFIT = 0.1  # of the tolerance that moyopy takes for translations, so that it finds an origin too


class OperationLists(NamedTuple):
    """Operations of many crystals in right-handed reduced bases.

    Attributes:
        codes: of the rotations, see `rotations_of`, n_ops of each crystal.
        translations: [n_crystals, n_ops at most, 3].
        epsilon: tolerance of translations, as a fraction of an axis, [n_crystals].
    """

    codes: list[Ints]
    translations: Floats
    epsilon: Floats


class Identified(NamedTuple):
    """Space groups of many crystals.

    Attributes:
        hall_number: 0 where it is not sure, [n_crystals].
        linear: columns, whole numbers: the primitive standard basis of moyopy in the reduced basis, [n_crystals, 3, 3].
        origin: of the standard setting in the reduced basis, [n_crystals, 3].
    """

    hall_number: Ints
    linear: Floats
    origin: Floats


class _Kind(NamedTuple):
    """A group with its axes: `translations` [N_ROWS] are those of the generators in the table, in the reduced basis."""

    hall_number: Ints
    linear: Floats
    translations: Floats


class KnownGroups:
    """The kinds of lists that were met, each with moyopy's answer."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._system_of: dict[bytes, int] = {}
        self._kind_of: dict[tuple[int, bytes], int] = {}
        self._systems: list[OriginEquations] = []
        self._kinds: list[_Kind] = []
        self._stacked: tuple[OriginEquations, _Kind] | None = None

    def identify(self, lists: OperationLists) -> Identified:
        """The space groups of many lists; the answers do not depend on what was met before."""
        n = len(lists.codes)
        found = Identified(np.zeros(n, np.int64), np.zeros((n, 3, 3)), np.zeros((n, 3)))
        with self._lock:
            system = np.array([self._system(lists, k) for k in range(n)], dtype=np.int64)
            rows = np.flatnonzero(system >= 0)
            if not len(rows):
                return found
            system = system[rows]
            shifts = self._shifts(lists, rows, system)
            sums, is_sure = _sums(self._arrays()[0].invariants[system], shifts)
            kind = np.array([self._kind(lists, *each) for each in zip(rows, system, sums, is_sure, strict=True)])
            systems, kinds = self._arrays()
        rows, system, shifts, kind = rows[kind >= 0], system[kind >= 0], shifts[kind >= 0], kind[kind >= 0]
        equations = OriginEquations(*(part[system] for part in systems))
        origin, misfit = solve_origins(equations, shifts - kinds.translations[kind])
        fits = misfit <= _MAX_MISFIT * lists.epsilon[rows]
        found.hall_number[rows[fits]] = kinds.hall_number[kind[fits]]
        found.linear[rows[fits]] = kinds.linear[kind[fits]]
        found.origin[rows[fits]] = origin[fits]
        return found

    def _system(self, lists: OperationLists, k: int) -> int:
        """The index of the equations for one list's rotations; -1 where moyopy cannot name its group."""
        key = lists.codes[k].tobytes()
        index = self._system_of.get(key)
        if index is None:
            named = _named_by_moyopy(lists, k)
            if named is None:
                return -1
            rotations = rotations_of(lists.codes[k])
            index = self._system_of[key] = len(self._systems)
            self._systems.append(origin_equations(rotations, _generators(rotations, *named)))
            self._add_kind(index, rotations, *named)
        return index

    def _kind(self, lists: OperationLists, row: int, system: int, sums: Ints, is_sure: bool) -> int:
        """The index of the kind of one list; -1 where it is not sure."""
        if not is_sure:
            return -1
        key = (int(system), sums.tobytes())
        if key not in self._kind_of:
            named = _named_by_moyopy(lists, row)
            if named is not None:
                self._add_kind(int(system), rotations_of(lists.codes[row]), *named)
        return self._kind_of.get(key, -1)

    def _add_kind(self, system: int, rotations: Ints, hall_number: int, linear: Floats) -> None:
        each = self._systems[system]
        translations = _table_translations(rotations[each.generators], hall_number, linear) * each.is_row
        sums, _ = _sums(each.invariants[None], translations[None])
        self._kind_of[system, sums[0].tobytes()] = len(self._kinds)
        self._kinds.append(_Kind(np.array(hall_number), linear, translations))
        self._stacked = None

    def _arrays(self) -> tuple[OriginEquations, _Kind]:
        """All systems and all kinds, stacked."""
        if self._stacked is None:
            systems = OriginEquations(*(np.stack(parts) for parts in zip(*self._systems, strict=True)))
            self._stacked = systems, _Kind(*(np.stack(parts) for parts in zip(*self._kinds, strict=True)))
        return self._stacked

    def _shifts(self, lists: OperationLists, rows: Ints, system: Ints) -> Floats:
        """Translations of the generators, [n_rows, N_ROWS]."""
        systems, _ = self._arrays()
        shifts = lists.translations[rows[:, None], systems.generators[system]].reshape(-1, N_ROWS)
        return np.asarray(shifts * systems.is_row[system])


@cache
def known_groups() -> KnownGroups:
    """Those of this process."""
    return KnownGroups()


def _named_by_moyopy(lists: OperationLists, k: int) -> tuple[int, Floats] | None:
    """Hall number and primitive standard basis (columns, in the reduced one) of one list; None where it has none."""
    codes = lists.codes[k]
    translations = lists.translations[k, : len(codes)].tolist()
    try:
        group = moyopy.SpaceGroup(rotations_of(codes).tolist(), translations, epsilon=float(lists.epsilon[k]))
    except ValueError:
        return None
    return group.hall_number, np.array(group.linear, dtype=np.float64)


def _in_table(rotations: Ints, hall_number: int, linear: Floats) -> tuple[Floats, Ints]:
    """The primitive basis of the table in the reduced one, [3, 3], and the row of each rotation in it, [n].

    Raises:
        LookupError: moyopy and the table do not mean the same group.
    """
    table = space_group_table(hall_number)
    basis = np.rint(linear @ centring(hall_number) @ table.basis)
    in_table = np.rint(np.linalg.inv(basis) @ rotations @ basis)
    same = (in_table[:, None] == table.rotations[None]).all(axis=(2, 3))
    if not same.any(axis=1).all():
        raise LookupError(f"the operations that moyopy calls Hall number {hall_number} are not those of the table")
    return basis, same.argmax(axis=1)


def _generators(rotations: Ints, hall_number: int, linear: Floats) -> Ints:
    """Indices of operations of which all others are products."""
    table = space_group_table(hall_number)
    _, row = _in_table(rotations, hall_number, linear)
    is_generator = (table.left == np.arange(len(table.left))) & ~(table.rotations == np.eye(3)).all(axis=(1, 2))
    return np.flatnonzero(is_generator[row])


def _table_translations(rotations: Ints, hall_number: int, linear: Floats) -> Floats:
    """Translations that belong to rotations in the table, in the reduced basis, flat."""
    basis, row = _in_table(rotations, hall_number, linear)
    return np.asarray(space_group_table(hall_number).translations[row] @ basis.T).reshape(-1)


def _sums(invariants: Floats, shifts: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """What no origin changes, in steps of the grid modulo 1, [n, N_ROWS]; whether it is near the grid, [n]."""
    sums = _GRID * np.einsum("nij,nj->ni", invariants, shifts)
    on_grid = np.rint(sums)
    return np.asarray(on_grid % _GRID, dtype=np.int64), np.abs(sums - on_grid).max(axis=1) < _MAX_OFF_GRID
