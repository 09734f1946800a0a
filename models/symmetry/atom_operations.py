"""Operations of a primitive cell as they act on its atoms: Cartesian rotations, permutations, and the standard axes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.symmetry.operations import SymmetryError, conventional_rotations, moyo_dataset, spglib_dataset
from models.symmetry.point_group_irreps import PointGroupIrreps, point_group_irreps
from models.symmetry.projector import orthogonal_operations

_MAX_MISS = 10.0  # times the tolerance of the search: operations are found from a part of the atoms

# Orthorhombic groups whose standard setting stays what it is (with another origin) when any axes, a and b, or all three
# in a ring change places: there the lengths decide.
_ANY_ORDER = frozenset({16, 19, 22, 23, 24, 47, 48, 69, 70, 71, 73})
_A_AND_B = frozenset(
    {17, 18, 20, 21, 25, 27, 32, 34, 35, 37, 42, 43, 44, 45, 49, 50, 55, 56, 58, 59, 65, 66, 67, 68, 72, 74}
)
_RING = frozenset({61})


@dataclass(frozen=True)
class AtomOperations:
    """The space group of a crystal modulo lattice translations, as it acts on the atoms of a primitive cell.

    Attributes:
        rotations: orthogonal, in the frame of the lattice rows, shape [n_ops, 3, 3].
        permutations: operation o takes atom i to the place of atom permutations[o, i], shape [n_ops, n_atoms].
        conventional: columns a, b, c of the conventional cell in the standard setting in angstrom, in the same frame,
            shape [3, 3]. Where an orthorhombic group leaves open which axis is which, a is shorter than b (and b than
            c, or a is the shortest), so that B1, B2, B3 do not depend on how the cell was given.
        spacegroup: 1 to 230.
    """

    rotations: Floats
    permutations: Ints
    conventional: Floats
    spacegroup: int

    @cached_property
    def irreps(self) -> PointGroupIrreps:
        """Irreps of the point group with the characters of these operations."""
        return point_group_irreps(self.rotations, self.conventional)


def atom_operations(batch: CrystalBatch, crystal: int, symprec: float = 1e-2) -> AtomOperations:
    """The operations of one crystal, given in a primitive cell.

    Args:
        batch: validated crystals.
        crystal: which of them.
        symprec: distance tolerance in angstrom.

    Returns:
        Rotations are orthogonal and a group to rounding, also where the cell has the symmetry only within the
        tolerance.

    Raises:
        SymmetryError: no space group was found, the cell is not primitive, or an operation misses atoms by more than
            ten times the tolerance.
    """
    columns = batch.lattice[crystal].T
    first = moyo_dataset(batch, crystal, symprec)
    second = spglib_dataset(batch, crystal, symprec) if first is None else None
    if first is not None:
        listed, translations = first.operations.rotations, first.operations.translations
        spacegroup, hall_number = first.number, first.hall_number
        conventional = columns @ np.asarray(first.std_linear, dtype=np.float64)
    elif second is not None:
        listed, translations = second.rotations.tolist(), second.translations.tolist()
        spacegroup, hall_number = int(second.number), int(second.hall_number)
        conventional = columns @ np.linalg.inv(second.transformation_matrix)
    else:
        raise SymmetryError(f"No space group was found for row {crystal} at {symprec} angstrom.", [crystal])
    rotations = np.array(listed, dtype=np.float64)
    if len(rotations) != len(conventional_rotations(hall_number)):
        raise SymmetryError(f"The cell of row {crystal} is not primitive; reduce it first.", [crystal])
    atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
    permutations = atom_permutations(
        batch.lattice[crystal],
        batch.frac_coords[atoms],
        batch.numbers[atoms],
        rotations,
        np.array(translations, dtype=np.float64),
        tolerance_angstrom=_MAX_MISS * symprec,
    )
    cartesian = orthogonal_operations(rotations, columns[None], np.zeros(len(rotations), dtype=np.int64))
    axes = axes_by_length(spacegroup, conventional)
    return AtomOperations(cartesian, permutations, conventional[:, axes], spacegroup)


def atom_permutations(
    lattice: Floats,
    frac_coords: Floats,
    numbers: Ints,
    rotations: Floats,
    translations: Floats,
    *,
    tolerance_angstrom: float = 0.1,
) -> Ints:
    """Where space-group operations take the atoms of a cell.

    Args:
        lattice: rows a, b, c in angstrom, shape [3, 3].
        frac_coords: shape [n_atoms, 3].
        numbers: atomic numbers, shape [n_atoms].
        rotations: W, whole numbers acting on columns of fractional coordinates, shape [n_ops, 3, 3].
        translations: w, fractional, shape [n_ops, 3].
        tolerance_angstrom: how far an image may be from the atom whose place it takes.

    Returns:
        Operation o takes atom i to the place of atom permutations[o, i], modulo lattice translations; shape
        [n_ops, n_atoms].

    Raises:
        SymmetryError: an operation does not map the crystal onto itself within the tolerance.
    """
    permutations = np.empty((len(rotations), len(numbers)), dtype=np.int64)
    is_other = numbers[:, None] != numbers[None, :]
    for op, (rotation, translation) in enumerate(zip(rotations, translations, strict=True)):
        images = frac_coords @ rotation.T + translation
        apart = images[:, None] - frac_coords[None]
        distances = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=2)
        distances[is_other] = np.inf
        permutations[op] = distances.argmin(axis=1)
        worst = float(distances.min(axis=1).max())
        if worst > tolerance_angstrom or len(np.unique(permutations[op])) != len(numbers):
            raise SymmetryError(
                f"Operation {op} of {len(rotations)} does not map the crystal onto itself: an atom lands {worst:.3g} "
                f"angstrom from the next place of its element, the tolerance is {tolerance_angstrom:g}.",
                [],
            )
    return permutations


def axes_by_length(spacegroup: int, conventional: Floats) -> list[int]:
    """Which column of a conventional cell in a standard setting to call a, b and c.

    Args:
        spacegroup: 1 to 230.
        conventional: columns a, b, c, shape [3, 3].

    Returns:
        The order as it is, but for orthorhombic groups that leave it open: there by length, as `AtomOperations` says.
    """
    lengths = np.linalg.norm(conventional, axis=0)
    by_length: list[int] = np.argsort(lengths, kind="stable").tolist()
    if spacegroup in _ANY_ORDER:
        return by_length
    if spacegroup in _A_AND_B:
        return [axis for axis in by_length if axis != 2] + [2]
    if spacegroup in _RING:
        return [(by_length[0] + step) % 3 for step in range(3)]
    return [0, 1, 2]
