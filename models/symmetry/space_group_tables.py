"""Space groups by Hall number, in the basis of a primitive cell of the standard setting, as arrays for many crystals.

Operations are W x + w on columns of fractional coordinates. There is one per rotation: modulo the translations of the
primitive cell a space group has at most 48.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import spglib

from models.crystals.crystal import Floats, Ints
from models.symmetry.operations import conventional_rotations

MAX_OPS = 48

_THIRD = 1.0 / 3.0
# Columns: a primitive basis in the conventional one, for each kind of centring (International Tables A, table 5.1.3.1).
_CENTRINGS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 0.5, -0.5], [0, 0.5, 0.5]],
        [[0.5, 0, -0.5], [0, 1, 0], [0.5, 0, 0.5]],
        [[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 1]],
        [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
        [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
        [[2 * _THIRD, _THIRD, _THIRD], [-_THIRD, _THIRD, _THIRD], [-_THIRD, -2 * _THIRD, _THIRD]],
    ],
    dtype=np.float64,
).swapaxes(1, 2)
_N_CENTRINGS = np.rint(1.0 / np.linalg.det(_CENTRINGS))


@dataclass(frozen=True)
class SpaceGroupTable:
    """A space group in a primitive basis, or several stacked along a first axis and padded to 48 operations.

    Attributes:
        n_ops: order of the point group, shape [].
        basis: columns: the primitive basis in the conventional one, shape [3, 3].
        average: takes a metric of the conventional cell, flat, to its mean over the group, shape [9, 9].
        rotations: W in the primitive basis, in the order of `conventional_rotations`, [n_ops, 3, 3].
        translations: w in [0, 1), in the primitive basis, [n_ops, 3].
        sequence: operations in an order in which every one is the product of two earlier ones or a generator, [n_ops].
        left: the generator on the left of each product, [n_ops]; of a generator the operation itself.
        right: the operation on its right, [n_ops]; of a generator the identity.
    """

    n_ops: Ints
    basis: Floats
    average: Floats
    rotations: Floats
    translations: Floats
    sequence: Ints
    left: Ints
    right: Ints

    @property
    def generators(self) -> Ints:
        """The operations of one table of which all others are products; at most four."""
        is_identity = (self.rotations == np.eye(3)).all(axis=(1, 2))
        return np.flatnonzero((self.left == np.arange(len(self.left))) & ~is_identity)


@lru_cache(maxsize=531)
def space_group_table(hall_number: int) -> SpaceGroupTable:
    """The space group of one Hall number.

    Args:
        hall_number: 1 to 530; 0 gives a table without operations.

    Raises:
        SymmetryError: there is no such number.
    """
    rotations = conventional_rotations(hall_number)
    if not len(rotations):
        none = np.zeros(0, dtype=np.int64)
        return SpaceGroupTable(np.array(0), np.eye(3), np.eye(9), rotations, np.zeros((0, 3)), none, none, none)
    database: Any = spglib.get_symmetry_from_database(hall_number)
    # with every rotation the table lists all centrings; modulo the primitive cell the first will do
    first = {key.tobytes(): row for row, key in reversed(list(enumerate(database["rotations"].astype(np.float64))))}
    translations = database["translations"][[first[rotation.tobytes()] for rotation in rotations]]
    centrings = database["translations"][(database["rotations"] == np.eye(3)).all(axis=(1, 2))]
    steps = np.linalg.solve(_CENTRINGS, centrings.T)
    fits = (np.abs(steps - np.rint(steps)).max(axis=(1, 2)) < 1e-3) & (len(centrings) == _N_CENTRINGS)
    basis = _CENTRINGS[fits.argmax()]
    inverse = np.linalg.inv(basis)
    in_primitive = np.rint(inverse @ rotations @ basis)
    # decimals of tables are thirds and twelfths: exact again after rounding to 1/24 of an axis
    shifts = np.rint(translations @ inverse.T * 24) / 24 % 1.0
    average = np.einsum("oki,olj->ijkl", rotations, rotations).reshape(9, 9) / len(rotations)
    return SpaceGroupTable(np.array(len(rotations)), basis, average, in_primitive, shifts, *_words(in_primitive))


def _words(rotations: Floats) -> tuple[Ints, Ints, Ints]:
    """How products of few generators lead to all operations: `sequence`, `left` and `right` of SpaceGroupTable."""
    index = {rotation.astype(np.int64).tobytes(): op for op, rotation in enumerate(rotations)}
    identity = index[np.eye(3, dtype=np.int64).tobytes()]
    left, right = np.full(len(rotations), -1), np.full(len(rotations), identity)
    left[identity] = identity
    sequence, generators = [identity], list[int]()
    while len(sequence) < len(rotations):
        new = int(np.flatnonzero(left < 0)[0])
        generators.append(new)
        left[new] = new
        sequence.append(new)
        # the list grows while it is walked: until no generator leads from any of its operations to a new one
        for op in sequence:
            for generator in generators:
                product = index[(rotations[generator] @ rotations[op]).astype(np.int64).tobytes()]
                if left[product] < 0:
                    left[product], right[product] = generator, op
                    sequence.append(product)
    return np.array(sequence), left, right


def stacked_tables(hall_numbers: Sequence[int] | Ints) -> SpaceGroupTable:
    """The tables of several Hall numbers, one row per number, padded with zeros to 48 operations."""
    tables = [space_group_table(int(number)) for number in hall_numbers]

    def padded(name: str) -> Any:
        arrays = [getattr(table, name) for table in tables]
        example = getattr(space_group_table(1), name)
        stacked = np.zeros((len(arrays), MAX_OPS, *example.shape[1:]), dtype=example.dtype)
        for row, array in zip(stacked, arrays, strict=True):
            row[: len(array)] = array
        return stacked

    return SpaceGroupTable(
        np.array([table.n_ops for table in tables], dtype=np.int64),
        np.array([table.basis for table in tables]).reshape(-1, 3, 3),
        np.array([table.average for table in tables]).reshape(-1, 9, 9),
        padded("rotations"),
        padded("translations"),
        padded("sequence"),
        padded("left"),
        padded("right"),
    )
