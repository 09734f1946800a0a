"""The standardized primitive cell of a crystal with its operations, in the Cartesian frame of the crystal as given.

The cell is idealised: its metric and positions obey the space group to rounding. Listings of one crystal (rotated,
permuted, other cells, supercells) lead to the same cell up to rounding and, where the group's normalizer allows several
standard settings, up to an operation of that normalizer.
"""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.symmetry.operations import CellOperations, cell_operations, moyo_dataset, space_group_type
from models.tensors.rotate import nearest_rotation

_TIGHT_ANGSTROM = 1e-4  # the idealised cell has its group to rounding; tighter fails in large cells


@dataclass(frozen=True)
class StandardCell:
    """One crystal as an idealised primitive cell.

    Attributes:
        crystal: batch of one, its lattice in the frame of the crystal as given.
        spacegroup: number 1 to 230.
        point_group: Hermann-Mauguin symbol of the class.
        rotations: Cartesian orthogonal matrices of the operations, shape [n_ops, 3, 3].
        image: operation k takes atom i to the place of atom image[k, i] (modulo lattice), shape [n_ops, n_atoms].
    """

    crystal: CrystalBatch
    spacegroup: int
    point_group: str
    rotations: Floats
    image: Ints

    @property
    def is_chiral(self) -> bool:
        """Whether no operation turns a left hand into a right one: its mirror image is another crystal."""
        return bool((np.linalg.det(self.rotations) > 0).all())


def standard_cell(crystals: CrystalBatch, crystal: int, symprec: float = 1e-2) -> StandardCell | None:
    """The standardized primitive cell of one crystal of a batch; None where no space group is found.

    Args:
        crystals: validated crystals.
        crystal: which of them.
        symprec: distance tolerance in angstrom.
    """
    dataset = moyo_dataset(crystals, crystal, symprec)
    if dataset is None:
        return None
    cell = dataset.prim_std_cell
    primitive = CrystalBatch.from_arrays([np.array(cell.basis)], [np.array(cell.positions)], [np.array(cell.numbers)])
    operations = cell_operations(primitive, 0, _TIGHT_ANGSTROM)
    if operations is None:
        return None
    columns = primitive.lattice[0].T
    rotations = nearest_rotation(columns @ operations.rotations @ np.linalg.inv(columns))
    number, point_group = space_group_type(dataset.hall_number)
    return StandardCell(primitive, number, point_group, rotations, _images(primitive, operations))


def _images(crystal: CrystalBatch, operations: CellOperations) -> Ints:
    """Where each operation takes each atom, [n_ops, n_atoms]."""
    frac = crystal.frac_coords
    moved = frac @ np.swapaxes(operations.rotations, -1, -2) + operations.translations[:, None]
    offset = moved[:, :, None] - frac
    distance = np.linalg.norm((offset - np.round(offset)) @ crystal.lattice[0], axis=-1)
    # atoms of other elements are no images, however near
    distance[:, crystal.numbers[:, None] != crystal.numbers] = np.inf
    images: Ints = np.argmin(distance, axis=-1).astype(np.int64)
    return images
