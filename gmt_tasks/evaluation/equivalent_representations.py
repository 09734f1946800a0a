"""Retellings: the same crystals told in another way, which no physical property may notice.

Rotated, reflected, shifted, listed in another order or in another cell, left-handed, in other units' rounding, in other
company. Every crystal is retold in its own random way, from a seed.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.reference.crystals import in_cell, random_orthogonal, transformed

CRYSTALS_PER_CALL = 256
"""Crystals that are predicted together where a retelling does not say otherwise."""

SUPERCELLS = {"2x1x1": (2, 1, 1), "1x2x1": (1, 2, 1), "2x2x1": (2, 2, 1), "2x2x2": (2, 2, 2)}
_N_CELLS = 12  # different unimodular cells per batch
_LARGEST_ENTRY = 3  # of a unimodular cell
_COMPANY = 7  # crystals per call where the company changes
_STRAIN = 1e-9
_STRAIN_EFFECT = 1e-7  # tensors change by at most some ten times the strain


@dataclass(frozen=True)
class Representation:
    """Crystals told in another way.

    Attributes:
        name: what was done to them.
        rows: which of the original crystals these are, each at most once, [n].
        crystals: n of them.
        turn: orthogonal matrices by which their tensors must have turned, [n, 3, 3].
        per_call: how many are predicted together.
        shuffles_neighbors: the edges of every atom are handed to the network in another order.
        moves: relative change of the tensors that is real.
    """

    name: str
    rows: Ints
    crystals: CrystalBatch
    turn: Floats
    per_call: int = CRYSTALS_PER_CALL
    shuffles_neighbors: bool = False
    moves: float = 0.0


def equivalent_representations(crystals: CrystalBatch, *, seed: int = 0, max_atoms: int = 200) -> list[Representation]:
    """Every way of telling crystals again.

    Args:
        crystals: n_crystals of them.
        seed: of all random choices.
        max_atoms: larger supercells are left out.

    Returns:
        In a fixed order; those of supercells hold fewer crystals.
    """
    rng = np.random.default_rng(seed)
    n = crystals.n_crystals
    turns = np.stack([random_orthogonal(rng) for _ in range(n)]) if n else np.zeros((0, 3, 3))
    order = rng.permutation(n)
    return [
        _turned("rotation", crystals, turns),
        _turned("improper rotation", crystals, -np.roll(turns, 1, axis=0)),
        _turned("inversion", crystals, np.broadcast_to(-np.eye(3), turns.shape)),
        _same("origin shift", _shifted(crystals, rng)),
        _same("order of atoms", _reordered(crystals, rng)),
        _in_cells("unimodular cell", crystals, [_unimodular(rng) for _ in range(_N_CELLS)]),
        _in_cells("left-handed listing", crystals, [_SWAPPED, _MIRRORED]),
        *(_supercell(name, crystals, size, max_atoms) for name, size in SUPERCELLS.items()),
        replace(_same("lengths x (1 + 1e-9)", _scaled(crystals)), moves=_STRAIN_EFFECT),
        _same("alone", crystals, per_call=1),
        Representation("other company", order, crystals.select(order), _unturned(n), _COMPANY),
        _same("order of neighbours", crystals, shuffles_neighbors=True),
    ]


_SWAPPED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
_MIRRORED = np.diag([1, 1, -1])


def _unturned(n: int) -> Floats:
    return np.broadcast_to(np.eye(3), (n, 3, 3))


def _same(
    name: str, crystals: CrystalBatch, *, per_call: int = CRYSTALS_PER_CALL, shuffles_neighbors: bool = False
) -> Representation:
    """All crystals in their order and their frame."""
    n = crystals.n_crystals
    return Representation(name, np.arange(n), crystals, _unturned(n), per_call, shuffles_neighbors)


def _turned(name: str, crystals: CrystalBatch, turn: Floats) -> Representation:
    return Representation(name, np.arange(crystals.n_crystals), transformed(crystals, turn), turn)


def _shifted(crystals: CrystalBatch, rng: np.random.Generator) -> CrystalBatch:
    """Another origin, and whole cells added to single atoms."""
    shift = rng.random((crystals.n_crystals, 3))[crystals.crystal_of_atom]
    frac = crystals.frac_coords + shift + rng.integers(-2, 3, size=crystals.frac_coords.shape)
    return CrystalBatch(crystals.lattice, frac, crystals.numbers, crystals.crystal_of_atom)


def _reordered(crystals: CrystalBatch, rng: np.random.Generator) -> CrystalBatch:
    order = np.lexsort((rng.random(len(crystals.numbers)), crystals.crystal_of_atom))
    frac, numbers = crystals.frac_coords[order], crystals.numbers[order]
    return CrystalBatch(crystals.lattice, frac, numbers, crystals.crystal_of_atom)


def _scaled(crystals: CrystalBatch) -> CrystalBatch:
    """As after a conversion of units."""
    lattice = crystals.lattice * (1 + _STRAIN)
    return CrystalBatch(lattice, crystals.frac_coords, crystals.numbers, crystals.crystal_of_atom)


def _unimodular(rng: np.random.Generator) -> Ints:
    """An integer matrix of determinant 1 with small entries, a product of shears, shape [3, 3]."""
    cell = np.eye(3, dtype=np.int64)
    for _ in range(8):
        i, j = rng.choice(3, size=2, replace=False)
        sheared = cell.copy()
        sheared[i] += rng.choice([-1, 1]) * cell[j]
        if np.abs(sheared).max() <= _LARGEST_ENTRY:
            cell = sheared
    return cell


def _in_cells(name: str, crystals: CrystalBatch, cells: list[Ints]) -> Representation:
    """Every crystal in one of the given cells; those of one cell stand together."""
    groups = [np.arange(k, crystals.n_crystals, len(cells)) for k in range(len(cells))]
    listed = [in_cell(crystals.select(rows), cell) for rows, cell in zip(groups, cells, strict=True)]
    return Representation(name, np.concatenate(groups), CrystalBatch.join(listed), _unturned(crystals.n_crystals))


def _supercell(name: str, crystals: CrystalBatch, size: tuple[int, int, int], max_atoms: int) -> Representation:
    rows = np.flatnonzero(crystals.atoms_per_crystal * int(np.prod(size)) <= max_atoms)
    listed = in_cell(crystals.select(rows), np.diag(size))
    return Representation(f"{name} supercell", rows, listed, _unturned(len(rows)), _fewer(size))


def _fewer(size: tuple[int, int, int]) -> int:
    """As many atoms per call as without the supercell."""
    return CRYSTALS_PER_CALL // int(np.prod(size))
