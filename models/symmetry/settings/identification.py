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
from models.symmetry.space_group_tables import MAX_OPS, space_group_table

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


class _Known(NamedTuple):
    """What is known of lists of rotations and of kinds, stacked; `complements` are E - R, [n_lists, MAX_OPS, 3, 3]."""

    equations: OriginEquations
    complements: Floats
    kinds: _Kind


class _Named(NamedTuple):
    """moyopy's answer for one list; the primitive basis of the table in the reduced one and the rows of operations."""

    hall_number: int
    linear: Floats
    basis: Floats
    row: Ints


class KnownGroups:
    """The kinds of lists that were met, each with moyopy's answer."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._list_of: dict[bytes, int] = {}
        self._kind_of: dict[tuple[int, bytes], int] = {}
        self._equations: list[OriginEquations] = []
        self._complements: list[Floats] = []
        self._kinds: list[_Kind] = []
        self._stacked: _Known | None = None

    def identify(self, lists: OperationLists) -> Identified:
        """The space groups of many lists; the answers do not depend on what was met before."""
        n = len(lists.codes)
        found = Identified(np.zeros(n, np.int64), np.zeros((n, 3, 3)), np.zeros((n, 3)))
        with self._lock:
            each = list(zip(lists.codes, lists.translations, strict=True))
            index = np.array([self._list(*one) for one in each], dtype=np.int64)
            rows = np.flatnonzero(index >= 0)
            if not len(rows):
                return found
            equations = OriginEquations(*(part[index[rows]] for part in self._known().equations))
            sums, on_grid = _sums(equations, lists.translations[rows])
            kind = np.full(n, -1)
            for k, row_sums in zip(rows[on_grid].tolist(), sums[on_grid], strict=True):
                kind[k] = self._kind(int(index[k]), row_sums.tobytes(), *each[k])
            known = self._known()
        rows = np.flatnonzero(kind >= 0)
        equations = OriginEquations(*(part[index[rows]] for part in known.equations))
        steps = lists.translations[rows] - known.kinds.translations[kind[rows]]
        origin, _ = solve_origins(equations, _of_generators(equations, steps))
        left = steps - np.einsum("nkij,nj->nki", known.complements[index[rows]], origin)
        left[np.arange(MAX_OPS) >= np.array([len(codes) for codes in lists.codes])[rows, None]] = 0.0
        fits = np.abs(left - np.rint(left)).max(axis=(1, 2), initial=0.0) < _ROUNDING
        found.hall_number[rows[fits]] = known.kinds.hall_number[kind[rows[fits]]]
        found.linear[rows[fits]] = known.kinds.linear[kind[rows[fits]]]
        found.origin[rows[fits]] = origin[fits]
        return found

    def _list(self, codes: Ints, translations: Floats) -> int:
        """The index of a list of rotations; -1 where moyopy cannot name its group."""
        key = codes.tobytes()
        index = self._list_of.get(key)
        if index is not None:
            return index
        named = _named_by_moyopy(codes, translations)
        if named is None:
            return -1
        index = self._list_of[key] = len(self._equations)
        rotations = rotations_of(codes)
        generators = np.flatnonzero(np.isin(named.row, space_group_table(named.hall_number).generators))
        self._equations.append(origin_equations(rotations, generators))
        self._complements.append(_padded(np.eye(3) - rotations))
        self._add_kind(index, named)
        return index

    def _kind(self, index: int, sums: bytes, codes: Ints, translations: Floats) -> int:
        """The index of a kind of the list of rotations with that index; -1 where it is not sure."""
        if (index, sums) not in self._kind_of:
            named = _named_by_moyopy(codes, translations)
            if named is not None:
                self._add_kind(index, named)
        return self._kind_of.get((index, sums), -1)

    def _add_kind(self, index: int, named: _Named) -> None:
        table = space_group_table(named.hall_number)
        translations = _padded(table.translations[named.row] @ named.basis.T)
        equations = OriginEquations(*(part[None] for part in self._equations[index]))
        sums, _ = _sums(equations, translations[None])
        self._kind_of[index, sums[0].tobytes()] = len(self._kinds)
        self._kinds.append(_Kind(np.array(named.hall_number), named.linear, translations))
        self._stacked = None

    def _known(self) -> _Known:
        if self._stacked is None:
            equations = OriginEquations(*(np.stack(parts) for parts in zip(*self._equations, strict=True)))
            kinds = _Kind(*(np.stack(parts) for parts in zip(*self._kinds, strict=True)))
            self._stacked = _Known(equations, np.stack(self._complements), kinds)
        return self._stacked


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


def _padded(values: Floats) -> Floats:
    """The same for MAX_OPS operations, zeros added."""
    padded = np.zeros((MAX_OPS, *values.shape[1:]))
    padded[: len(values)] = values
    return padded


def _of_generators(equations: OriginEquations, translations: Floats) -> Floats:
    """Translations [n, MAX_OPS, 3] of the generators alone, flat, zeros where there are fewer, [n, N_ROWS]."""
    chosen = np.take_along_axis(translations, equations.generators[:, :, None], axis=1)
    return np.asarray(chosen.reshape(-1, N_ROWS) * equations.is_row)


def _sums(equations: OriginEquations, translations: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """What no origin changes, in steps of the grid modulo 1, [n, N_ROWS]; whether it is on the grid, [n]."""
    sums = _GRID * np.einsum("nij,nj->ni", equations.invariants, _of_generators(equations, translations))
    on_grid = np.rint(sums)
    return np.asarray(on_grid % _GRID, dtype=np.int64), np.abs(sums - on_grid).max(axis=1) < _GRID * _ROUNDING
