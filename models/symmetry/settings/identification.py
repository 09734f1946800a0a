"""Space groups of lists of operations: moyopy names the first list of each kind, others differ from it by an origin.

moyopy goes through the tables of Hall numbers and through changes of axes, and takes the first pair for which some
origin fits. Whether one fits does not depend on where the origin of the crystal is: two lists with the same rotations
in the same order, whose translations differ by a shift of the origin alone, get the same answer. What no shift changes
are whole sums of the generators' translations. Modulo 1 they are multiples of 1/24; lists with the same rotations and
the same sums are of one kind, and moyopy is asked once for each.

Translations that fit best obey the group's products to rounding, however far atoms are from where they belong: the mean
of what is left is zero, so it is for products. Those of a list are therefore those of the table about some origin to
rounding, or one of its operations takes atoms to others than the products of its generators do; then nothing is sure.
"""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

import moyopy
import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.symmetry.operation_search import rotations_of
from models.symmetry.settings.axes import centring
from models.symmetry.settings.shift_equations import (
    N_ROWS,
    OriginEquations,
    origin_equations,
    padded,
    solve_origins,
    stack_of_one,
)
from models.symmetry.space_group_tables import MAX_OPS, space_group_table

_Row = TypeVar("_Row", bound=tuple[Any, ...])

_GRID = 24  # translations of tables are multiples of 1/24 of a primitive axis
_ROUNDING = 1e-6  # of translations, as a fraction of an axis


class OperationLists(NamedTuple):
    """Operations of many crystals in right-handed reduced bases.

    Attributes:
        codes: of the rotations, see `rotations_of`, n_ops of each crystal.
        translations: [n_crystals, MAX_OPS, 3].
    """

    codes: list[Ints]
    translations: Floats


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
    """A group and its axes; the translations that its table has for the operations of the list, [MAX_OPS, 3]."""

    hall_number: Ints
    linear: Floats
    translations: Floats


class _Named(NamedTuple):
    """moyopy's answer for one list; the primitive basis of the table in the reduced one and the rows of operations."""

    hall_number: int
    linear: Floats
    basis: Floats
    row: Ints


class _Rows(Generic[_Row]):
    """Named tuples of arrays, added one by one and read as arrays stacked along a first axis."""

    def __init__(self, make: Callable[..., _Row]) -> None:
        self._make = make
        self._arrays: list[NDArray[Any]] = []
        self._new: list[_Row] = []
        self._size = 0

    def add(self, row: _Row) -> int:
        """The index of the row added."""
        self._new.append(row)
        self._size += 1
        return self._size - 1

    def take(self, indices: Ints) -> _Row:
        """Some rows, stacked."""
        if self._new:
            new = [np.stack(parts) for parts in zip(*self._new, strict=True)]
            before = self._arrays or [part[:0] for part in new]
            self._arrays = [np.concatenate(parts) for parts in zip(before, new, strict=True)]
            self._new = []
        return self._make(*(part[indices] for part in self._arrays))


class KnownGroups:
    """The kinds of lists that were met, each with moyopy's answer."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._list_of: dict[bytes, int] = {}
        self._kind_of: dict[tuple[int, bytes], int] = {}
        self._equations = _Rows(OriginEquations)
        self._kinds = _Rows(_Kind)

    def identify(self, lists: OperationLists) -> Identified:
        """The space groups of many lists; the answers do not depend on what was met before."""
        n = len(lists.codes)
        found = Identified(np.zeros(n, np.int64), np.zeros((n, 3, 3)), np.zeros((n, 3)))
        with self._lock:
            index = np.array([self._list(*one) for one in zip(*lists, strict=True)], dtype=np.int64)
            rows = np.flatnonzero(index >= 0)
            if not len(rows):
                return found
            equations = self._equations.take(index[rows])
            sums, on_grid = _sums(equations, lists.translations[rows])
            kind = np.full(len(rows), -1)
            for k in np.flatnonzero(on_grid).tolist():
                row = rows[k]
                kind[k] = self._kind(int(index[row]), sums[k], lists.codes[row], lists.translations[row])
            kinds = self._kinds.take(kind)
        steps = lists.translations[rows] - kinds.translations
        origin, _ = solve_origins(equations, _of_generators(equations, steps))
        left = steps - np.einsum("nkij,nj->nki", equations.complements, origin)
        left[np.arange(MAX_OPS) >= np.array([len(codes) for codes in lists.codes])[rows, None]] = 0.0
        fits = (np.abs(left - np.rint(left)).max(axis=(1, 2)) < _ROUNDING) & (kind >= 0)
        found.hall_number[rows[fits]] = kinds.hall_number[fits]
        found.linear[rows[fits]] = kinds.linear[fits]
        found.origin[rows[fits]] = origin[fits]
        return found

    def _list(self, codes: Ints, translations: Floats) -> int:
        """The index of a list of rotations; -1 where moyopy cannot name its group."""
        key = codes.tobytes()
        if key not in self._list_of:
            named = _named_by_moyopy(codes, translations)
            if named is None:
                return -1
            generators = np.flatnonzero(np.isin(named.row, space_group_table(named.hall_number).generators))
            equations = origin_equations(rotations_of(codes), generators)
            self._list_of[key] = self._equations.add(equations)
            self._add_kind(self._list_of[key], stack_of_one(equations), named)
        return self._list_of[key]

    def _kind(self, index: int, sums: Ints, codes: Ints, translations: Floats) -> int:
        """The index of a kind of the list of rotations with that index; -1 where it is not sure."""
        key = index, sums.tobytes()
        if key not in self._kind_of:
            named = _named_by_moyopy(codes, translations)
            if named is not None:
                self._add_kind(index, self._equations.take(np.array([index])), named)
        return self._kind_of.get(key, -1)

    def _add_kind(self, index: int, equations: OriginEquations, named: _Named) -> None:
        """Adds moyopy's answer for the list with that index; `equations` are a stack of one."""
        table = space_group_table(named.hall_number)
        translations = padded(table.translations[named.row] @ named.basis.T)
        sums, _ = _sums(equations, translations[None])
        kind = _Kind(np.array(named.hall_number), named.linear, translations)
        self._kind_of[index, sums[0].tobytes()] = self._kinds.add(kind)


@cache
def known_groups() -> KnownGroups:
    """Those of this process."""
    return KnownGroups()


def _named_by_moyopy(codes: Ints, translations: Floats) -> _Named | None:
    """What moyopy calls the group of one list; None where it finds none or the list is none of its operations alone."""
    rotations = rotations_of(codes)
    try:
        group = moyopy.SpaceGroup(rotations.tolist(), translations[: len(codes)].tolist())
    except ValueError:
        return None
    table, linear = space_group_table(group.hall_number), np.array(group.linear, dtype=np.float64)
    basis = np.rint(linear @ centring(group.hall_number) @ table.basis)
    in_table = np.rint(np.linalg.inv(basis) @ rotations @ basis)
    same = (in_table[:, None] == table.rotations[None]).all(axis=(2, 3))
    if len(rotations) != table.n_ops or not same.any(axis=0).all():
        return None
    return _Named(group.hall_number, linear, basis, same.argmax(axis=1))


def _of_generators(equations: OriginEquations, translations: Floats) -> Floats:
    """Translations [n, MAX_OPS, 3] of the generators alone, flat, zeros where there are fewer, [n, N_ROWS]."""
    chosen = np.take_along_axis(translations, equations.generators[:, :, None], axis=1)
    return np.asarray(chosen.reshape(-1, N_ROWS) * equations.is_row)


def _sums(equations: OriginEquations, translations: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """What no origin changes, in steps of the grid modulo 1, [n, N_ROWS]; whether it is on the grid, [n]."""
    sums = _GRID * np.einsum("nij,nj->ni", equations.invariants, _of_generators(equations, translations))
    on_grid = np.rint(sums)
    return np.asarray(on_grid % _GRID, dtype=np.int64), np.abs(sums - on_grid).max(axis=1) < _GRID * _ROUNDING
