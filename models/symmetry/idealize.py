"""Crystals made exactly symmetric in their primitive cells, and which of their atoms are equivalent.

The metric is averaged over the point group and the cell strained to it without rotation; positions are averaged over
the operations of the space group. What the group says within a tolerance holds to rounding afterwards, so that one atom
of each orbit stands for all. Operations act modulo the translations of the primitive cell: atoms of a supercell that
are equal modulo these are averaged too, also where the supercell breaks its crystal's symmetry.
"""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import MIN_DISTANCE_ANGSTROM, CrystalBatch, Floats, Ints, rows_of
from models.symmetry.position_average import AveragedAtoms, GivenAtoms, Groups, average_positions
from models.symmetry.projector import strained_cells
from models.symmetry.search import SymmetryBatch
from models.symmetry.space_group_tables import SpaceGroupTable, stacked_tables

ROUNDING_ANGSTROM = 1e-7
"""Displacements below it are the rounding of coordinates that were written with eight digits."""

_ROUNDING = 1e-9
_MAX_MISS = 10.0  # times the tolerance of the search: operations are found from a part of the atoms
_MAX_SKEW = 1e-3  # of a primitive translation: the cell given is not made of primitive cells


@dataclass(frozen=True)
class IdealizedCrystals:
    """Crystals that obey their space groups to rounding, and the orbits of their atoms.

    Attributes:
        crystals: primitive cells in the orientation of the crystals given, the origin that of the space group's
            standard setting. A crystal in `failed` is as it was given.
        first: for each atom the first atom of its orbit, shape [n_atoms].
        operation: row of the symmetry's `rotations` that takes the first atom's surroundings to the atom's, -1 in
            crystals in `failed`, shape [n_atoms].
        rotations: these matrices, the identity for first atoms, orthogonal, input frame, shape [n_atoms, 3, 3].
        atom_of_given: the atom that each atom given became, shape [n_atoms_given].
        displacement_angstrom: largest distance that an atom was moved, a common shift aside, shape [n_crystals].
        strain: largest relative change of a length, shape [n_crystals].
        failed: crystals without a group, and those that it does not map onto themselves within ten tolerances; each of
            their atoms is an orbit of its own.
    """

    crystals: CrystalBatch
    first: Ints
    operation: Ints
    rotations: Floats
    atom_of_given: Ints
    displacement_angstrom: Floats
    strain: Floats
    failed: Ints

    def select(self, chosen: Ints) -> "IdealizedCrystals":
        """The given crystals, in ascending order of their indices, without the atoms that were given."""
        own = self.crystals
        crystals = own.select(chosen)
        atoms, crystal_of_atom = rows_of(own.atoms_per_crystal, chosen)
        shift = crystals.first_atom[:-1] - own.first_atom[:-1][chosen]
        return IdealizedCrystals(
            crystals,
            self.first[atoms] + shift[crystal_of_atom],
            self.operation[atoms],
            self.rotations[atoms],
            np.zeros(0, dtype=np.int64),
            self.displacement_angstrom[chosen],
            self.strain[chosen],
            np.flatnonzero(np.isin(chosen, self.failed)),
        )


def as_given(batch: CrystalBatch) -> IdealizedCrystals:
    """The crystals as they are, each atom an orbit of its own."""
    n_atoms, n_crystals = len(batch.numbers), batch.n_crystals
    return IdealizedCrystals(
        batch,
        np.arange(n_atoms),
        np.full(n_atoms, -1, dtype=np.int64),
        np.broadcast_to(np.eye(3), (n_atoms, 3, 3)).copy(),
        np.arange(n_atoms),
        np.zeros(n_crystals),
        np.zeros(n_crystals),
        np.arange(n_crystals),
    )


def idealize(batch: CrystalBatch, symmetry: SymmetryBatch) -> IdealizedCrystals:
    """Primitive cells that obey the space groups found, with one orbit for each set of equivalent atoms.

    Args:
        batch: validated crystals.
        symmetry: of the same crystals.
    """
    halls, row = np.unique(symmetry.hall_number, return_inverse=True)
    tables = stacked_tables(halls)
    cells = _primitive_cells(batch, symmetry, tables, row)
    averaged = _averaged(batch, symmetry, cells, tables, row)
    failed = averaged.n_atoms == 0
    counts = np.where(failed, batch.atoms_per_crystal, averaged.n_atoms)
    # the kernel writes the atoms of a primitive cell to the first of the rows that its crystal had
    owner = np.repeat(np.arange(batch.n_crystals), counts)
    start = np.cumsum(counts) - counts
    within = np.arange(len(owner)) - start[owner]
    rows = batch.first_atom[:-1][owner] + within
    as_given = failed[owner]
    crystals = CrystalBatch(
        np.where(failed[:, None, None], batch.lattice, np.swapaxes(cells.basis, 1, 2)),
        np.where(as_given[:, None], batch.frac_coords[rows], averaged.frac_coords[rows]),
        batch.numbers[rows] * as_given + averaged.numbers[rows] * ~as_given,
        owner,
    )
    first_op = np.searchsorted(symmetry.crystal_of_op, np.arange(batch.n_crystals))
    operation = np.where(as_given, -1, first_op[owner] + averaged.operation[rows])
    rotations = np.broadcast_to(np.eye(3), (len(owner), 3, 3)).copy()
    rotations[~as_given] = symmetry.rotations[operation[~as_given]]
    first = start[owner] + np.where(as_given, within, averaged.first[rows])
    rotations[first == np.arange(len(first))] = np.eye(3)
    given = np.arange(len(batch.numbers)) - batch.first_atom[:-1][batch.crystal_of_atom]
    kept = np.where(failed[batch.crystal_of_atom], given, averaged.atom_of_given)
    return IdealizedCrystals(
        crystals,
        first,
        operation,
        rotations,
        start[batch.crystal_of_atom] + kept,
        # of a crystal that obeys its group nothing is left but rounding
        np.where(averaged.displacement > ROUNDING_ANGSTROM, averaged.displacement, 0.0),
        np.where(failed | (cells.strain < _ROUNDING), 0.0, cells.strain),
        np.flatnonzero(failed),
    )


@dataclass(frozen=True)
class _PrimitiveCells:
    """Primitive cells in a standard setting.

    Attributes:
        basis: columns in angstrom after the metric was averaged, [n_crystals, 3, 3].
        inverse: of the columns before, [n_crystals, 3, 3].
        strain: largest relative change of a length between both, [n_crystals].
        n_copies: primitive cells in the cell given, 0 where it is not made of such, [n_crystals].
    """

    basis: Floats
    inverse: Floats
    strain: Floats
    n_copies: Ints


def _primitive_cells(
    batch: CrystalBatch, symmetry: SymmetryBatch, tables: SpaceGroupTable, row: Ints
) -> _PrimitiveCells:
    """The primitive cells of a batch, with the metric averaged over the groups."""
    before = symmetry.conventional
    metric = np.swapaxes(before, 1, 2) @ before
    mean = np.einsum("cij,cj->ci", tables.average[row], metric.reshape(-1, 9)).reshape(-1, 3, 3)
    after = strained_cells(before, mean)
    stretch = np.linalg.eigvalsh(after @ np.linalg.inv(before))
    inverse = np.linalg.inv((before @ tables.basis[row]).astype(np.float64))
    steps = inverse @ np.swapaxes(batch.lattice, 1, 2)
    whole = np.abs(steps - np.rint(steps)).max(axis=(1, 2), initial=0.0) < _MAX_SKEW
    n_copies = np.rint(np.abs(np.linalg.det(steps))).astype(np.int64)
    strain = np.abs(stretch - 1.0).max(axis=1, initial=0.0)
    return _PrimitiveCells(
        after @ tables.basis[row], inverse, strain, np.where(whole & (tables.n_ops[row] > 0), n_copies, 0)
    )


def _averaged(
    batch: CrystalBatch, symmetry: SymmetryBatch, cells: _PrimitiveCells, tables: SpaceGroupTable, row: Ints
) -> AveragedAtoms:
    """Positions averaged over the groups, in the primitive bases."""
    owner, n_given = batch.crystal_of_atom, len(batch.numbers)
    cartesian = np.einsum("ni,nij->nj", batch.frac_coords, batch.lattice[owner]) - symmetry.origin[owner]
    frac_coords = np.einsum("nij,nj->ni", cells.inverse[owner], cartesian)
    # two atoms never lie within reach of one point
    reach = min(_MAX_MISS * symmetry.symprec, MIN_DISTANCE_ANGSTROM / 2)
    given = GivenAtoms(frac_coords, batch.numbers, batch.first_atom, cells.n_copies, cells.basis, reach)
    groups = Groups(
        row, tables.n_ops, tables.rotations, tables.translations, tables.sequence, tables.left, tables.right
    )
    first, operation, atom_of_given, numbers = np.zeros((4, n_given), dtype=np.int64)
    n_atoms, moved = np.zeros(batch.n_crystals, dtype=np.int64), np.zeros(batch.n_crystals)
    averaged = AveragedAtoms(n_atoms, np.zeros((n_given, 3)), numbers, first, operation, atom_of_given, moved)
    average_positions(given, groups, averaged)
    return averaged
