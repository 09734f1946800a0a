"""Equivalent representations: the same crystals described in another way, which no physical property may depend on.

Rotated, reflected, shifted, with another order of atoms or in another cell, left-handed, rounded as in other units, in
another batch. Every crystal gets its own random change, from a seed.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.reference.crystals import in_cell, random_orthogonal, transformed

CRYSTALS_PER_CALL = 256
"""Crystals that are predicted together where a representation does not say otherwise."""

SUPERCELLS = {"2x1x1": (2, 1, 1), "1x2x1": (1, 2, 1), "2x2x1": (2, 2, 1), "2x2x2": (2, 2, 2)}
_N_CELLS = 12  # different unimodular cells per batch
_LARGEST_ENTRY = 3  # of a unimodular cell
_PER_BATCH = 7  # crystals per call where the batches change
_STRAIN = 1e-9
_STRAIN_EFFECT = 1e-7  # tensors change by at most some ten times the strain


@dataclass(frozen=True)
class Representation:
    """Crystals in an equivalent representation.

    Attributes:
        name: what was done to them.
        rows: which of the original crystals these are, each at most once, [n].
        crystals: n of them.
        rotation: orthogonal matrices that rotate the tensors like the crystals, [n, 3, 3].
        per_call: how many are predicted together.
        shuffles_neighbors: the edges of every atom are handed to the network in another order.
        moves: relative change of the tensors that is real.
    """

    name: str
    rows: Ints
    crystals: CrystalBatch
    rotation: Floats
    per_call: int = CRYSTALS_PER_CALL
    shuffles_neighbors: bool = False
    moves: float = 0.0


def equivalent_representations(crystals: CrystalBatch, *, seed: int = 0, max_atoms: int = 200) -> list[Representation]:
    """Every way of describing crystals again.

    Args:
        crystals: n_crystals of them.
        seed: of all random choices.
        max_atoms: larger supercells are left out.

    Returns:
        In a fixed order; those of supercells hold fewer crystals.
    """
    rng = np.random.default_rng(seed)
    n, frac = crystals.n_crystals, crystals.frac_coords
    rotations = np.stack([random_orthogonal(rng) for _ in range(n)]) if n else np.zeros((0, 3, 3))
    batch_order = rng.permutation(n)
    # Another origin, and whole cells added to single atoms.
    shifted = frac + rng.random((n, 3))[crystals.crystal_of_atom] + rng.integers(-2, 3, size=frac.shape)
    # Random within each crystal, whose atoms stay together.
    atom_order = np.lexsort((rng.random(len(frac)), crystals.crystal_of_atom))
    reordered = replace(crystals, frac_coords=frac[atom_order], numbers=crystals.numbers[atom_order])
    # As after a conversion of units.
    scaled = replace(crystals, lattice=crystals.lattice * (1 + _STRAIN))
    return [
        _rotated("rotation", crystals, rotations),
        _rotated("improper rotation", crystals, -np.roll(rotations, 1, axis=0)),
        _rotated("inversion", crystals, np.broadcast_to(-np.eye(3), rotations.shape)),
        _unrotated("origin shift", replace(crystals, frac_coords=shifted)),
        _unrotated("order of atoms", reordered),
        _in_cells("unimodular cell", crystals, [_unimodular(rng) for _ in range(_N_CELLS)]),
        _in_cells("left-handed cell", crystals, [_SWAPPED, _MIRRORED]),
        *(_supercell(name, crystals, size, max_atoms) for name, size in SUPERCELLS.items()),
        replace(_unrotated("lengths x (1 + 1e-9)", scaled), moves=_STRAIN_EFFECT),
        replace(_unrotated("alone", crystals), per_call=1),
        Representation("other batch", batch_order, crystals.select(batch_order), _identities(n), _PER_BATCH),
        replace(_unrotated("order of neighbours", crystals), shuffles_neighbors=True),
    ]


_SWAPPED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
_MIRRORED = np.diag([1, 1, -1])


def _identities(n: int) -> Floats:
    return np.broadcast_to(np.eye(3), (n, 3, 3))


def _unrotated(name: str, crystals: CrystalBatch) -> Representation:
    """All crystals in their order and their frame."""
    n = crystals.n_crystals
    return Representation(name, np.arange(n), crystals, _identities(n))


def _rotated(name: str, crystals: CrystalBatch, rotation: Floats) -> Representation:
    """Every lattice rotated by its own matrix; fractional coordinates do not change."""
    return Representation(name, np.arange(crystals.n_crystals), transformed(crystals, rotation), rotation)


def _unimodular(rng: np.random.Generator) -> Ints:
    """An integer matrix of determinant 1 with small entries, a product of shears, shape [3, 3]."""
    cell = np.eye(3, dtype=np.int64)
    for _ in range(8):
        i, j = rng.choice(3, size=2, replace=False)
        sheared = cell.copy()
        sheared[i] += rng.choice([-1, 1]) * cell[j]
        # Nobody writes crystals in needle-like cells, and they would test rounding more than the cell.
        if np.abs(sheared).max() <= _LARGEST_ENTRY:
            cell = sheared
    return cell


def _in_cells(name: str, crystals: CrystalBatch, cells: list[Ints]) -> Representation:
    """Every crystal in one of the given cells; those of one cell stand together."""
    groups = [np.arange(k, crystals.n_crystals, len(cells)) for k in range(len(cells))]
    parts = [in_cell(crystals.select(rows), cell) for rows, cell in zip(groups, cells, strict=True)]
    return Representation(name, np.concatenate(groups), CrystalBatch.join(parts), _identities(crystals.n_crystals))


def _supercell(name: str, crystals: CrystalBatch, size: tuple[int, int, int], max_atoms: int) -> Representation:
    """Those crystals whose supercell is not too large."""
    n_cells = int(np.prod(size))
    rows = np.flatnonzero(crystals.atoms_per_crystal * n_cells <= max_atoms)
    cells = in_cell(crystals.select(rows), np.diag(size))
    # As many atoms per call as without the supercell.
    return Representation(f"{name} supercell", rows, cells, _identities(len(rows)), CRYSTALS_PER_CALL // n_cells)
