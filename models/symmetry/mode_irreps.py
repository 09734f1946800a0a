"""Modes at Γ by irreducible representation: which ones the point group takes into each other, and what they do.

The modes are not sorted by how close their frequencies are. The dynamical matrix is averaged over the group and
diagonalized within the space of each irrep, translations left out: so each set has one irrep by construction, sets of
different irreps that coincide stay apart, and modes of one irrep that noise has split are joined.
"""

from dataclasses import dataclass

import numpy as np

from models.crystals.crystal import Floats, Ints
from models.symmetry.atom_operations import AtomOperations
from models.symmetry.operations import SymmetryError

MAX_ASYMMETRY = 0.05
"""Part of a dynamical matrix (Frobenius norm) that may break the symmetry; noise of finite differences is far below."""


@dataclass(frozen=True, eq=False)
class IrrepModes:
    """Optic modes at Γ of one frequency that the point group takes into each other.

    Attributes:
        frequency: in the unit of the input; negative for imaginary ones.
        degeneracy: 1, 2 or 3.
        irrep: Mulliken symbol, see `models.symmetry.point_group_irreps` for the axes that subscripts refer to.
        polar: whether they carry a dipole by symmetry (infrared active).
        dipole_projector: projector on the Cartesian directions that the dipoles can have, in the frame of the
            rotations, shape [3, 3]; 0 where not polar.
        raman_active: whether symmetry lets them change the polarizability.
        totally_symmetric: whether they keep every symmetry of the crystal.
        eigenvectors: of the mass-weighted dynamical matrix averaged over the group, orthonormal, shape
            [3 n_atoms, degeneracy]. Where two sets of the same irrep coincide to rounding, any basis of both may be
            divided between them.
    """

    frequency: float
    degeneracy: int
    irrep: str
    polar: bool
    dipole_projector: Floats
    raman_active: bool
    totally_symmetric: bool
    eigenvectors: Floats


def mode_irreps(
    eigenvectors: Floats, frequencies: Floats, masses: Floats, operations: AtomOperations
) -> tuple[IrrepModes, ...]:
    """The optic modes at Γ with their irreps.

    Args:
        eigenvectors: of the mass-weighted dynamical matrix at Γ, columns, orthonormal, atom by atom x, y, z; shape
            [3 n_atoms, 3 n_atoms].
        frequencies: of the columns, of any unit, negative for imaginary ones; shape [3 n_atoms].
        masses: of the atoms, of any unit; shape [n_atoms].
        operations: of the same crystal in the same cell and frame.

    Returns:
        Sets of modes by ascending frequency, 3 n_atoms - 3 modes in all; empty for one atom.

    Raises:
        SymmetryError: the eigenvectors are not orthonormal, more than `MAX_ASYMMETRY` of the dynamical matrix breaks
            the symmetry, or the operations are no group that takes atoms to atoms of the same mass.
    """
    if not np.allclose(eigenvectors.T @ eigenvectors, np.eye(3 * len(masses)), atol=1e-6):
        raise SymmetryError("The eigenvectors are not orthonormal; give those of the mass-weighted matrix.", [])
    matrix = (eigenvectors * (frequencies * np.abs(frequencies))) @ eigenvectors.T
    symmetric = _group_average(matrix, operations)
    asymmetry, norm = np.linalg.norm(matrix - symmetric), np.linalg.norm(matrix)
    if not asymmetry <= MAX_ASYMMETRY * norm:
        raise SymmetryError(
            f"{100 * asymmetry / norm:.3g} % of the dynamical matrix breaks the symmetry of the crystal; it belongs to "
            "another cell, order of atoms or frame, or its forces were not converged.",
            [],
        )
    irreps = operations.irreps
    dipoles, is_raman, degeneracies = irreps.dipole_projectors, irreps.is_raman_active, irreps.degeneracies
    sets = []
    for irrep, basis in enumerate(_optic_subspaces(masses, operations)):
        values, coefficients = np.linalg.eigh(basis.T @ symmetric @ basis)
        degeneracy = int(degeneracies[irrep])
        # within the space of one irrep each eigenvalue comes as often as its dimension says
        for start in range(0, len(values), degeneracy):
            value = float(values[start : start + degeneracy].mean())
            modes = IrrepModes(
                frequency=float(np.sign(value) * np.sqrt(abs(value))),
                degeneracy=degeneracy,
                irrep=irreps.symbols[irrep],
                polar=bool(dipoles[irrep].any()),
                dipole_projector=dipoles[irrep],
                raman_active=bool(is_raman[irrep]),
                totally_symmetric=irrep == 0,
                eigenvectors=basis @ coefficients[:, start : start + degeneracy],
            )
            sets.append(modes)
    return tuple(sorted(sets, key=lambda modes: modes.frequency))


def optic_decomposition(operations: AtomOperations) -> dict[str, int]:
    """How many sets of optic modes at Γ transform as each irrep: the characters decide, no force constant is needed.

    Args:
        operations: of a crystal in a primitive cell.

    Returns:
        For the irreps that occur, in the order of the character table; {"T2g": 1} for diamond.
    """
    n_in_place = (operations.permutations == np.arange(operations.permutations.shape[1])).sum(axis=1)
    # an operation rotates the displacements of the atoms that stay in place; one set of three is the translations
    characters = (n_in_place - 1) * np.einsum("oii->o", operations.rotations)
    irreps = operations.irreps
    counts = irreps.multiplicities(characters).tolist()
    return {symbol: count for symbol, count in zip(irreps.symbols, counts, strict=True) if count}


def _group_average(matrix: Floats, operations: AtomOperations) -> Floats:
    """Mean of D(R) M D(R)^T over the group, symmetric, shape [3 n_atoms, 3 n_atoms]."""
    n_atoms = operations.permutations.shape[1]
    blocks = matrix.reshape(n_atoms, 3, n_atoms, 3).transpose(0, 2, 1, 3)
    total = np.zeros_like(blocks)
    for rotation, permutation in zip(operations.rotations, operations.permutations, strict=True):
        total[permutation[:, None], permutation[None, :]] += rotation @ blocks @ rotation.T
    mean = total.transpose(0, 2, 1, 3).reshape(3 * n_atoms, 3 * n_atoms) / len(operations.rotations)
    averaged: Floats = 0.5 * (mean + mean.T)
    return averaged


def _optic_subspaces(masses: Floats, operations: AtomOperations) -> list[Floats]:
    """Orthonormal bases of the displacements that transform as each irrep, [3 n_atoms, n_k]; without translations."""
    n_atoms, n_irreps = len(masses), len(operations.irreps.symbols)
    # Σ_k k P_k has the whole numbers k as eigenvalues: one diagonalization gives the spaces of all irreps
    weights = np.arange(1, n_irreps + 1) @ operations.irreps.projector_weights
    numbered = np.zeros((n_atoms, 3, n_atoms, 3))
    atoms: Ints = np.arange(n_atoms)
    for weight, rotation, permutation in zip(weights, operations.rotations, operations.permutations, strict=True):
        numbered[permutation, :, atoms, :] += weight * rotation
    translations = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    without = np.eye(3 * n_atoms) - translations @ translations.T
    values, vectors = np.linalg.eigh(without @ numbered.reshape(3 * n_atoms, 3 * n_atoms) @ without)
    irrep = np.rint(values).astype(np.int64)
    if np.abs(values - irrep).max() > 1e-6 or (irrep == 0).sum() != 3 or irrep.min() < 0 or irrep.max() > n_irreps:
        raise SymmetryError("The operations are no group that takes atoms to atoms of the same mass.", [])
    return [vectors[:, irrep == k] for k in range(1, n_irreps + 1)]
