"""The standardized primitive cell of a crystal with its operations, in the Cartesian frame of the crystal as given.

The cell is idealised: its metric and positions obey the space group to rounding. Equivalent representations of one
crystal (rotated, permuted, other cells, supercells) lead to the same cell up to rounding and, where the group's
normalizer allows several standard settings, up to an operation of that normalizer.
"""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import CrystalBatch
from models.symmetry.atom_operations import AtomOperations, atom_operations
from models.symmetry.operations import SymmetryError, moyo_dataset, space_group_type

_TIGHT_ANGSTROM = 1e-4  # the idealised cell has its group to rounding


@dataclass(frozen=True)
class StandardCell:
    """One crystal as an idealised primitive cell.

    Attributes:
        crystal: batch of one, its lattice in the frame of the crystal as given.
        point_group: Hermann-Mauguin symbol of the class.
        operations: of the space group, on the atoms of this cell.
    """

    crystal: CrystalBatch
    point_group: str
    operations: AtomOperations

    @property
    def spacegroup(self) -> int:
        """Number 1 to 230."""
        return self.operations.spacegroup

    @property
    def is_chiral(self) -> bool:
        """Whether no operation turns a left hand into a right one: its mirror image is another crystal."""
        return bool((np.linalg.det(self.operations.rotations) > 0).all())


def standard_cell(crystals: CrystalBatch, crystal: int, symprec: float = 1e-2) -> StandardCell:
    """The standardized primitive cell of one crystal of a batch.

    Args:
        crystals: validated crystals.
        crystal: which of them.
        symprec: distance tolerance in angstrom.

    Raises:
        SymmetryError: no space group is found, or the idealised cell does not have it.
    """
    dataset = moyo_dataset(crystals, crystal, symprec)
    if dataset is None:
        raise SymmetryError(f"no space group was found within {symprec:g} angstrom", [crystal])
    cell = dataset.prim_std_cell
    primitive = CrystalBatch.from_arrays([np.array(cell.basis)], [np.array(cell.positions)], [np.array(cell.numbers)])
    operations = atom_operations(primitive, 0, _TIGHT_ANGSTROM)
    return StandardCell(primitive, space_group_type(dataset.hall_number)[1], operations)
