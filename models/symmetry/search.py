"""The search for space groups: all crystals of a batch, at one or several tolerances.

The point group is taken from the Hall symbol through the conventional cell, never from the operations of the cell as
given: a supercell that breaks the symmetry lists only a subgroup. Groups and settings are those of moyopy (same answer
as spglib for 99.8 % of crystals at 0.01 angstrom), which searches itself only where `StandardSettings` is not sure;
spglib takes over where moyopy gives up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.crystals.canonical_order import atom_order, in_order
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.neighborhood import Neighborhood
from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.symmetry.operations import SymmetryError, conventional_rotations, space_group_type
from models.symmetry.projector import allows_piezoelectricity, orthogonal_operations, project
from models.symmetry.standard_setting import Settings, StandardSettings

SYMPRECS_ANGSTROM = (1e-3, 1e-2, 1e-1)
"""Tolerances whose space groups are compared: a crystal whose group changes between them is near-symmetric."""

SIGN_FREE_CLASSES = frozenset({"-43m", "23", "-42m", "-4", "-6m2", "-6"})
"""Classes that a rotation by 90 or 60 degrees leaves as they are while e changes sign: a label has no sign."""


@dataclass(frozen=True)
class SymmetryBatch:
    """Symmetry of every crystal of a batch at one tolerance.

    Attributes:
        number: space-group number 1 to 230, 0 where none was found, shape [n_crystals].
        hall_number: Hall number 1 to 530 (setting), 0 where none was found, shape [n_crystals].
        conventional: columns a, b, c of the conventional cell in angstrom, input frame, shape [n_crystals, 3, 3].
        origin: of the standard setting, in angstrom in the input frame, shape [n_crystals, 3].
        rotations: orthogonal point-group operations in the input frame, shape [n_ops, 3, 3].
        crystal_of_op: ascending, shape [n_ops].
        symprec: distance tolerance in angstrom.
    """

    number: Ints
    hall_number: Ints
    conventional: Floats
    origin: Floats
    rotations: Floats
    crystal_of_op: Ints
    symprec: float

    @cached_property
    def point_group(self) -> list[str]:
        """Hermann-Mauguin symbol of the crystal class, e.g. "6mm"; "" where none was found."""
        return [space_group_type(int(h))[1] if h else "" for h in self.hall_number]

    @cached_property
    def failed(self) -> Ints:
        """Crystals for which no space group was found."""
        return np.flatnonzero(self.number == 0)

    @cached_property
    def piezo_allowed(self) -> NDArray[np.bool_]:
        """Whether the class allows a piezoelectric tensor, shape [n_crystals]."""
        return allows_piezoelectricity(self.rotations, self.crystal_of_op, len(self.number))

    def project(self, quantity: Tensor, tensors: Floats) -> Floats:
        """The part of each tensor that its crystal's point group allows: exact, in float64.

        Args:
            quantity: which tensor.
            tensors: in the stored shape of the quantity, input frame, shape [n_crystals, ...], or of several networks,
                [n_networks, n_crystals, ...].

        Returns:
            P T of the same shape. A forbidden piezoelectric tensor is exactly 0, and entries that are zero up to
            rounding are set to 0.

        Raises:
            SymmetryError: some crystal has no space group.
        """
        if len(self.failed):
            rows = self.failed.tolist()
            raise SymmetryError(
                f"{len(rows)} of {len(self.number)} crystals have no space group, first is row {rows[0]}. "
                "Drop the rows in .rows.",
                rows,
            )
        projected = project(quantity, tensors, self.rotations, self.crystal_of_op)
        if TENSORS[quantity].index_symmetry is IndexSymmetry.PIEZOELECTRIC:
            projected[..., ~self.piezo_allowed, :, :, :] = 0.0
        return projected

    def select(self, crystals: Ints) -> "SymmetryBatch":
        """The symmetry of the given crystals, in ascending order of their indices."""
        keep = np.isin(self.crystal_of_op, crystals)
        position = np.searchsorted(crystals, self.crystal_of_op[keep])
        return SymmetryBatch(
            self.number[crystals],
            self.hall_number[crystals],
            self.conventional[crystals],
            self.origin[crystals],
            self.rotations[keep],
            position,
            self.symprec,
        )

    def with_rows(self, crystals: Ints, other: "SymmetryBatch") -> "SymmetryBatch":
        """The same with the symmetry of some crystals replaced by that in another batch, which has only these.

        Args:
            crystals: their indices here, ascending.
            other: their symmetry.
        """
        number, hall = self.number.copy(), self.hall_number.copy()
        conventional, origin = self.conventional.copy(), self.origin.copy()
        number[crystals], hall[crystals] = other.number, other.hall_number
        conventional[crystals], origin[crystals] = other.conventional, other.origin
        kept = ~np.isin(self.crystal_of_op, crystals)
        owner = np.concatenate([self.crystal_of_op[kept], crystals[other.crystal_of_op]])
        # operations stand in the order of their crystals
        order = np.argsort(owner, kind="stable")
        rotations = np.concatenate([self.rotations[kept], other.rotations])[order]
        return SymmetryBatch(number, hall, conventional, origin, rotations, owner[order], self.symprec)


def find_symmetry(batch: CrystalBatch, symprec: float = 1e-2) -> SymmetryBatch:
    """Space groups and exactly orthogonal point-group operations of all crystals of a batch.

    Args:
        batch: validated crystals.
        symprec: distance tolerance in angstrom.

    Returns:
        Rows with number 0 are crystals for which neither library finds a group.
    """
    return find_symmetries(batch, (symprec,))[0]


def find_symmetries(
    batch: CrystalBatch, symprecs: Sequence[float], neighbors: Neighborhood | None = None
) -> list[SymmetryBatch]:
    """The same at several tolerances in angstrom.

    All crystals are searched at the middle one. At the others the group is taken to be the same where the operations
    that hold are surely the same; the rest is searched there too.

    Args:
        batch: validated crystals.
        symprecs: distance tolerances in angstrom.
        neighbors: of the same crystals, see `canonical_order`; searched for if None.
    """
    # at the edge of the tolerance both libraries' answers depend on the order of the atoms and on the origin
    order = atom_order(batch, neighbors)
    first = batch.frac_coords[order[batch.first_atom[:-1]]]
    search = StandardSettings(in_order(batch, order), sorted(set(symprecs)))
    moved = np.einsum("ci,cij->cj", first, batch.lattice)
    middle, everyone = len(search.tolerances) // 2, np.arange(batch.n_crystals)
    settings = search.find(everyone, np.full(len(everyone), middle))
    base = _symmetry_of(batch.lattice, settings, moved, search.tolerances[middle])
    others = [
        np.flatnonzero(~search.same_at(index, middle, settings)) if index != middle else everyone[:0]
        for index in range(len(search.tolerances))
    ]
    rows, first_row = np.concatenate(others), np.cumsum([0, *map(len, others)])
    settings = search.find(rows, np.repeat(np.arange(len(others)), np.diff(first_row)))
    rest = _symmetry_of(batch.lattice[rows], settings, moved[rows], base.symprec)
    found = {}
    for index, symprec in enumerate(search.tolerances):
        own = rest.select(np.arange(first_row[index], first_row[index + 1]))
        found[symprec] = replace(base.with_rows(others[index], own) if len(own.number) else base, symprec=symprec)
    return [found[symprec] for symprec in symprecs]


def _symmetry_of(lattice: Floats, settings: Settings, moved: Floats, symprec: float) -> SymmetryBatch:
    """The symmetry of crystals whose origin was `moved` (angstrom, [n_crystals, 3]) before the search."""
    hall, columns = settings.hall_number, np.swapaxes(lattice, 1, 2)
    conventional = columns @ settings.linear
    conventional[hall == 0] = np.eye(3)
    origin = np.einsum("cij,cj->ci", columns, settings.shift) + moved
    numbers, row = np.unique(hall, return_inverse=True)
    number = np.array([space_group_type(int(h))[0] if h else 0 for h in numbers], dtype=np.int64)[row]
    tables = [conventional_rotations(h) for h in hall.tolist()]
    crystal_of_op = np.repeat(np.arange(len(hall)), [len(table) for table in tables])
    operations = np.concatenate([*tables, np.zeros((0, 3, 3))])
    rotations = orthogonal_operations(operations, conventional, crystal_of_op)
    return SymmetryBatch(number, hall, conventional, origin, rotations, crystal_of_op, symprec)
