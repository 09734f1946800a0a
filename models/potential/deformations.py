"""Small deformations of one crystal: displacements of its atoms and homogeneous strain as one space of coordinates.

A point x of the space holds the displacements u of the n atoms in angstrom and then the strain η as a Mandel vector
times a length, so that all coordinates are lengths and the space is Euclidean: an atom of the deformed crystal lies at
(1 + η)(r + u). Derivatives of the energy by x hold forces and stress together, second derivatives the force constants,
the internal strain and the stiffness. Every operation of the space group acts on the space as an orthogonal matrix, so
that symmetry needs no cases: what the group allows is a projection, what it relates are images.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.potential.interface import EV_PER_A3_IN_GPA, Evaluation
from models.symmetry.standard_cell import StandardCell
from models.tensors.rotate import mandel_rotation
from models.tensors.voigt import mandel_to_symmetric, symmetric_to_mandel

_INVARIANT = 1e-8  # a projector's eigenvalues are 0 or 1 to rounding


@dataclass(frozen=True)
class DeformationSpace:
    """Coordinates [3 n + 6] of the deformations of one crystal.

    Attributes:
        cell: the crystal at the origin, with its operations.
    """

    cell: StandardCell

    @property
    def n_atoms(self) -> int:
        """Atoms per cell."""
        return len(self.cell.crystal.numbers)

    @property
    def dimension(self) -> int:
        """3 n + 6."""
        return 3 * self.n_atoms + 6

    @cached_property
    def volume(self) -> float:
        """Of the cell in Å³."""
        return float(np.abs(np.linalg.det(self.cell.crystal.lattice[0])))

    @property
    def length(self) -> float:
        """What strain is multiplied with in Å: strains and displacements of a like energy are of a like length."""
        return float(np.cbrt(self.volume))

    def displacements(self, points: Floats) -> Floats:
        """u in Å of points [..., 3 n + 6], shape [..., n, 3]."""
        return points[..., :-6].reshape(*points.shape[:-1], self.n_atoms, 3)

    def strains(self, points: Floats) -> Floats:
        """η of points [..., 3 n + 6], shape [..., 3, 3]."""
        return mandel_to_symmetric(points[..., -6:] / self.length)

    def join(self, displacements: Floats, strains: Floats) -> Floats:
        """The points of displacements [..., n, 3] in Å and strains [..., 3, 3]."""
        flat = displacements.reshape(*displacements.shape[:-2], 3 * self.n_atoms)
        return np.concatenate([flat, symmetric_to_mandel(strains) * self.length], axis=-1)

    def crystals(self, points: Floats) -> CrystalBatch:
        """The deformed crystals of points [k, 3 n + 6]."""
        origin = self.cell.crystal
        lattice = origin.lattice[0] @ (np.eye(3) + self.strains(points))
        # strain acts on displaced positions: fractional coordinates know the displacements alone
        frac_coords = origin.frac_coords + self.displacements(points) @ np.linalg.inv(origin.lattice[0])
        return CrystalBatch.from_arrays(lattice, list(frac_coords), [origin.numbers] * len(points))

    def gradients(self, points: Floats, evaluation: Evaluation) -> Floats:
        """Derivatives of the energy per cell by the coordinates at points [k, 3 n + 6], in eV/Å, [k, 3 n + 6]."""
        deformation = np.eye(3) + self.strains(points)
        forces = evaluation.forces_ev_per_angstrom.reshape(len(points), self.n_atoms, 3)
        volume = self.volume * np.linalg.det(deformation)
        # dE = V σ : sym(dη (1 + η)⁻¹)
        by_strain = (evaluation.stress_gpa / EV_PER_A3_IN_GPA) @ np.linalg.inv(deformation)
        by_strain = 0.5 * volume[:, None, None] * (by_strain + np.swapaxes(by_strain, -1, -2))
        flat = -(forces @ deformation).reshape(len(points), -1)
        return np.concatenate([flat, symmetric_to_mandel(by_strain) / self.length], axis=-1)

    @cached_property
    def _strain_rotations(self) -> Floats:
        """Operations on Mandel strains, [n_ops, 6, 6]."""
        return mandel_rotation(self.cell.operations.rotations)

    def images(self, points: Floats) -> Floats:
        """Points [k, 3 n + 6] (or derivatives) under every operation, shape [n_ops, k, 3 n + 6]."""
        rotations, image = self.cell.operations.rotations, self.cell.operations.permutations
        turned = np.einsum("gab,kib->gkia", rotations, self.displacements(points))
        moved = np.empty_like(turned)
        operation = np.arange(len(rotations))[:, None]
        # the displacement of atom i becomes that of its image
        np.swapaxes(moved, 1, 2)[operation, image] = np.swapaxes(turned, 1, 2)
        strain = np.einsum("gab,kb->gka", self._strain_rotations, points[:, -6:])
        return np.concatenate([moved.reshape(*moved.shape[:2], -1), strain], axis=-1)

    def symmetrize(self, points: Floats) -> Floats:
        """Mean of points [k, 3 n + 6] over the space group: what of them keeps the symmetry."""
        mean: Floats = self.images(points).mean(axis=0)
        return mean

    @cached_property
    def translations(self) -> Floats:
        """Orthonormal displacements of the crystal as a whole, shape [3, 3 n + 6]."""
        rows = np.zeros((3, self.dimension))
        for axis in range(3):
            rows[axis, axis:-6:3] = 1 / np.sqrt(self.n_atoms)
        return rows

    def reach(self, point: Floats) -> tuple[float, float]:
        """Length of the largest displacement in Å and Frobenius norm of the strain at a point [3 n + 6].

        Lengths, not components: a rotated deformation reaches as far.
        """
        farthest = np.linalg.norm(self.displacements(point), axis=-1).max()
        return float(farthest), float(np.linalg.norm(point[-6:])) / self.length

    @cached_property
    def invariants(self) -> Floats:
        """Orthonormal basis of the deformations that keep the space group, without translations, [n_free, 3 n + 6]."""
        internal = np.eye(self.dimension) - self.translations.T @ self.translations
        projector = internal @ self.symmetrize(np.eye(self.dimension)) @ internal
        values, vectors = np.linalg.eigh(0.5 * (projector + projector.T))
        return vectors[:, values > 1 - _INVARIANT**0.5].T
