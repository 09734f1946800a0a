"""Force constants, internal strain and stiffness of a relaxed crystal by finite differences, as few as symmetry allows.

All second derivatives of the energy are one symmetric matrix H of the deformation space. Each measured direction v
gives H v, and every operation of the space group then gives H on the image of v: a few directions whose images span
the space determine H. The rest is linear algebra.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.crystals.crystal import Floats, Ints
from models.potential.deformations import DeformationSpace
from models.potential.interface import EV_PER_A3_IN_GPA
from models.potential.steps import Steps, require_finite
from models.tensors.rotate import mandel_rotation
from models.tensors.voigt import mandel_to_stiffness_voigt

DISPLACEMENT_ANGSTROM = 0.015
STRAIN = 0.005
_NEW_DIRECTION = 0.2  # singular value from which an image counts as a direction of its own
_SAME_CURVATURE = 1e-3  # relative, at least of 1 eV/Å²
_SOFTEST = 1e-3  # eV/Å²: softer modes are left out of inverses


@dataclass(frozen=True)
class SecondDerivatives:
    """Second derivatives of the energy by the coordinates of a deformation space.

    Attributes:
        space: the coordinates.
        matrix: H in eV/Å², symmetric, translations in its kernel, shape [3 n + 6, 3 n + 6].
    """

    space: DeformationSpace
    matrix: Floats

    @property
    def force_constants(self) -> Floats:
        """Φ = d²E/du du in eV/Å², [3 n, 3 n]."""
        return self.matrix[:-6, :-6]

    @property
    def internal_strain_mandel(self) -> Floats:
        """Λ = -d²E/du dη in eV/Å, columns Mandel strains, [3 n, 6]."""
        return -self.matrix[:-6, -6:] * self.space.length

    @property
    def internal_strain(self) -> Floats:
        """Λ = -d²E/du dη in eV/Å, columns Voigt with engineering shears as of e_iJ, [3 n, 6]."""
        return self.internal_strain_mandel / np.array([1, 1, 1, 2, 2, 2]) ** 0.5

    @cached_property
    def response(self) -> Floats:
        """du/dη = Φ⁻¹ Λ in Å: how atoms follow a strain, without translations and the softest modes, [3 n, 6]."""
        values, vectors = np.linalg.eigh(self.force_constants)
        firm = np.abs(values) > _SOFTEST
        inverse = (vectors[:, firm] / values[firm]) @ vectors[:, firm].T
        response: Floats = inverse @ self.internal_strain_mandel
        return response

    @property
    def stiffness_clamped_mandel(self) -> Floats:
        """Stiffness at fixed fractional coordinates in GPa, Mandel, [6, 6]."""
        return self.matrix[-6:, -6:] * self.space.length**2 / self.space.volume * EV_PER_A3_IN_GPA

    @property
    def stiffness_mandel(self) -> Floats:
        """Stiffness with relaxed ions, C - Λᵀ Φ⁻¹ Λ / V, in GPa, Mandel, [6, 6].

        Source: X. Wu, D. Vanderbilt and D. R. Hamann, Phys. Rev. B 72, 035105 (2005), eq. 22.
        """
        softening = self.internal_strain_mandel.T @ self.response
        return self.stiffness_clamped_mandel - softening / self.space.volume * EV_PER_A3_IN_GPA

    def stiffness_voigt(self) -> tuple[Floats, Floats]:
        """Stiffness with relaxed and with clamped ions as C_IJ in GPa, [6, 6] each."""
        return (
            mandel_to_stiffness_voigt(self.stiffness_mandel),
            mandel_to_stiffness_voigt(self.stiffness_clamped_mandel),
        )

    def softest(self) -> tuple[float, Floats]:
        """Lowest curvature in eV/Å² of any deformation but translations, and a direction [3 n + 6] that has it.

        Of several with one curvature it is a general one: which of them a solver names first depends on the machine,
        and along a special one, as [110] of a cubic perovskite, a relaxation ends at a saddle.
        """
        shift = self.space.translations
        # translations, whose curvature is 0, go far up
        values, vectors = np.linalg.eigh(self.matrix + 1e3 * shift.T @ shift)
        softest = vectors[:, values - values[0] < _SAME_CURVATURE * max(abs(values[0]), 1.0)]
        general = np.random.default_rng(0).normal(size=len(values)) @ softest
        return float(values[0]), softest @ (general / np.linalg.norm(general))


def second_derivative_steps(space: DeformationSpace) -> Steps[SecondDerivatives]:
    """Measures the second derivatives at the origin of a space, where the crystal is relaxed."""
    directions, steps = independent_deformations(space)
    opposite = opposite_operations(space, directions)
    points = directions * steps[:, None]
    without = np.flatnonzero(opposite < 0)
    asked = np.concatenate([points, -points[without]])
    evaluation = require_finite((yield space.crystals(asked)))
    gradients = space.gradients(asked, evaluation)
    positive, negative = gradients[: len(points)], np.empty_like(points)
    negative[without] = gradients[len(points) :]
    # where an operation turns a deformation into its opposite, it turns the gradient into that of the opposite
    for k in np.flatnonzero(opposite >= 0):
        negative[k] = space.images(positive[k][None])[opposite[k], 0]
    change = (positive - negative) / (2 * steps[:, None])
    return SecondDerivatives(space, _solve(space, directions, change))


def _solve(space: DeformationSpace, directions: Floats, change: Floats) -> Floats:
    """H from H v on all images of the measured directions, translations costing nothing, [3 n + 6, 3 n + 6]."""
    images = space.images(directions).reshape(-1, space.dimension)
    changes = space.images(change).reshape(-1, space.dimension)
    rows = np.concatenate([images, len(images) * space.translations])
    values = np.concatenate([changes, np.zeros_like(space.translations)])
    matrix = np.linalg.solve(rows.T @ rows, rows.T @ values)
    matrix = 0.5 * (matrix + matrix.T)
    internal = np.eye(space.dimension) - space.translations.T @ space.translations
    kept: Floats = internal @ matrix @ internal
    return kept


def independent_deformations(space: DeformationSpace) -> tuple[Floats, Floats]:
    """Displacements and strains whose images under the space group span all deformations.

    Returns:
        Directions, shape [k, 3 n + 6], each a displacement of one atom of 1 Å or a strain of `space.length`, and the
        step to take along each in Å, [k].
    """
    operations = space.cell.operations
    lattice = space.cell.crystal.lattice[0]
    axes = np.linalg.qr(lattice.T)[0].T
    # rows that turn with the crystal: a, b without its part along a, and the normal of both
    axes *= np.sign((axes * lattice).sum(axis=1))[:, None]
    rows, steps = [], []
    for atom in np.unique(operations.permutations.min(axis=0)):
        keeping = operations.permutations[:, atom] == atom
        for direction in _spanning(_directions() @ axes, operations.rotations[keeping]):
            row = np.zeros(space.dimension)
            row[3 * atom : 3 * atom + 3] = direction
            rows.append(row)
            steps.append(DISPLACEMENT_ANGSTROM)
    for strain in _spanning(_strain_directions() @ mandel_rotation(axes.T).T, mandel_rotation(operations.rotations)):
        row = np.zeros(space.dimension)
        row[-6:] = strain
        rows.append(row)
        steps.append(STRAIN * space.length)
    return np.array(rows), np.array(steps)


def _directions() -> Floats:
    """Candidates for the displacement of one atom, unit vectors, [n, 3]: axes first, general directions last."""
    grid = np.array([(i, j, k) for i in range(3) for j in range(-2, 3) for k in range(-2, 3)], dtype=np.float64)
    lengths = np.linalg.norm(grid, axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    directions: Floats = grid[order] / lengths[order, None]
    return directions


def _strain_directions() -> Floats:
    """Candidates for a strain, Mandel unit vectors, [n, 6]: single components first, then sums of several."""
    single = np.eye(6)
    pairs = [single[i] + single[j] for i in range(6) for j in range(i + 1, 6)]
    rows = np.array([*single, *pairs, single[0] + single[3] + single[5], np.array([3.0, 2, 1, 1, 2, 3])])
    directions: Floats = rows / np.linalg.norm(rows, axis=1)[:, None]
    return directions


def _spanning(candidates: Floats, operations: Floats) -> Floats:
    """Few of the candidates [n, d] whose images under operations [n_ops, d, d] span the space, [k, d].

    Greedy: always the candidate whose images add the most directions; of equal ones the one that adds them best.
    """
    images = np.einsum("gab,nb->nga", operations, candidates) / np.sqrt(len(operations))
    dimension = candidates.shape[1]
    missing = np.eye(dimension)
    chosen: list[Floats] = []
    while missing.size:
        values = np.linalg.svd(images @ missing.T, compute_uv=False)
        values = values[:, : len(missing)] * np.sqrt(dimension)
        gain = (values > _NEW_DIRECTION).sum(axis=1)
        smallest = np.where(values > _NEW_DIRECTION, values, np.inf).min(axis=1)
        best = np.lexsort((-np.round(smallest, 6), -gain))[0]
        chosen.append(candidates[best])
        covered = np.linalg.svd(images[best] @ missing.T, full_matrices=True)
        rank = int((covered[1] * np.sqrt(dimension) > _NEW_DIRECTION).sum())
        missing = covered[2][rank:] @ missing
    return np.array(chosen)


def opposite_operations(space: DeformationSpace, directions: Floats) -> Ints:
    """For each direction an operation that turns it into its opposite, -1 where there is none, [k]."""
    miss = np.abs(space.images(directions) + directions).max(axis=-1)
    best = np.argmin(miss, axis=0)
    return np.where(miss[best, np.arange(len(directions))] < 1e-6, best, -1)
