"""Crystals with noise, strained, with an atom moved; stackings and chiral crystals whose identity is known."""

import numpy as np

from models.crystals.crystal import Crystal, CrystalBatch, Floats
from models.reference.crystals import cell_from_parameters


def noisy(batch: CrystalBatch, sigma_angstrom: float, seed: int) -> CrystalBatch:
    """Every atom displaced at random, by `sigma_angstrom` along each axis."""
    moves = np.random.default_rng(seed).normal(size=batch.frac_coords.shape) * sigma_angstrom
    return displaced(batch, moves)


def displaced(batch: CrystalBatch, moves: Floats) -> CrystalBatch:
    """The atoms moved by Cartesian vectors in angstrom, shape [n_atoms, 3]."""
    inverse = np.linalg.inv(batch.lattice)[batch.crystal_of_atom]
    frac = batch.frac_coords + np.einsum("ni,nij->nj", moves, inverse)
    return CrystalBatch(batch.lattice, frac, batch.numbers, batch.crystal_of_atom)


def first_atom_moved(batch: CrystalBatch, distance_angstrom: float, seed: int) -> CrystalBatch:
    """In every crystal the first atom moved in a random direction."""
    direction = np.random.default_rng(seed).normal(size=(batch.n_crystals, 3))
    moves = np.zeros_like(batch.frac_coords)
    moves[batch.first_atom[:-1]] = distance_angstrom * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return displaced(batch, moves)


def strained(batch: CrystalBatch, strain: Floats) -> CrystalBatch:
    """The crystals after a homogeneous strain, shape [3, 3]."""
    return CrystalBatch(batch.lattice @ (np.eye(3) + strain), batch.frac_coords, batch.numbers, batch.crystal_of_atom)


def silicon_carbide(stacking: str) -> CrystalBatch:
    """A polytype of SiC by its sequence of close-packed double layers, e.g. "ABC" for 3C and "ABCB" for 4H."""
    n, a, layer = len(stacking), 3.0806, 2.518
    sites = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    frac = [(*sites[s], (k + z) / n) for z in (0.0, 0.75) for k, s in enumerate(stacking)]
    lattice = cell_from_parameters(a, a, n * layer, 90, 90, 120)
    return Crystal(lattice, np.array(frac), np.repeat([14, 6], n)).as_batch()


def tellurium() -> CrystalBatch:
    """Trigonal tellurium, P3_1 2 1: three atoms on two-fold axes along a screw axis."""
    u = 0.2636
    frac = np.array([[u, 0, 1 / 3], [0, u, 2 / 3], [-u, -u, 0]])
    return Crystal(cell_from_parameters(4.456, 4.456, 5.921, 90, 90, 120), frac, np.array([52] * 3)).as_batch()


def iron_silicide() -> CrystalBatch:
    """FeSi, P2_1 3: every atom on a three-fold axis, where no quadrupole but an axial one is allowed."""
    frac = []
    for x in (0.137, 0.842):
        frac += [[x, x, x], [0.5 - x, -x, 0.5 + x], [-x, 0.5 + x, 0.5 - x], [0.5 + x, 0.5 - x, -x]]
    return Crystal(4.489 * np.eye(3), np.array(frac), np.repeat([26, 14], 4)).as_batch()


def cristobalite(kind: str) -> CrystalBatch:
    """Alpha (P4_1 2_1 2) or idealised beta (Fd-3m) cristobalite, SiO2."""
    if kind == "beta":
        half = 7.16 * np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
        silicon = [[0, 0, 0], [0.25, 0.25, 0.25]]
        oxygen = [[0.125, 0.125, 0.125], [0.625, 0.125, 0.125], [0.125, 0.625, 0.125], [0.125, 0.125, 0.625]]
        return Crystal(half, np.array(silicon + oxygen), np.array([14, 14, 8, 8, 8, 8])).as_batch()
    u, (x, y, z) = 0.3003, (0.2392, 0.1044, 0.1787)
    silicon = [[u, u, 0], [-u, -u, 0.5], [0.5 - u, 0.5 + u, 0.25], [0.5 + u, 0.5 - u, 0.75]]
    oxygen = [[x, y, z], [-x, -y, z + 0.5], [0.5 - y, 0.5 + x, z + 0.25], [0.5 + y, 0.5 - x, z + 0.75]]
    oxygen += [[0.5 - x, 0.5 + y, 0.25 - z], [0.5 + x, 0.5 - y, 0.75 - z], [y, x, -z], [-y, -x, 0.5 - z]]
    return Crystal(np.diag([4.971, 4.971, 6.928]), np.array(silicon + oxygen), np.repeat([14, 8], [4, 8])).as_batch()


def delafossite(kind: str) -> CrystalBatch:
    """CuGaO2, Cu in straight O-Cu-O bridges between octahedral layers: 2H (P6_3/mmc) or 3R (R-3m), of equal bonds."""
    a, layer, copper, oxygen = 2.977, 5.719, 0.5, 0.5 - 1.848 / 5.719
    a_site, b_site, c_site = (0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)
    # per octahedral layer: site of Ga, then of the O below and above it; each O bridges over Cu to an O of its own site
    layers = {
        "2H": [(a_site, b_site, c_site), (a_site, c_site, b_site)],
        "3R": [(a_site, b_site, c_site), (b_site, c_site, a_site), (c_site, a_site, b_site)],
    }[kind]
    n = len(layers)
    rows: list[tuple[int, tuple[float, float], float]] = []
    for k, (metal, below, above) in enumerate(layers):
        rows += [(31, metal, k), (8, below, k - oxygen), (8, above, k + oxygen), (29, above, k + copper)]
    frac = np.array([[x, y, z / n] for _, (x, y), z in rows])
    lattice = cell_from_parameters(a, a, n * layer, 90, 90, 120)
    return Crystal(lattice, frac, np.array([number for number, _, _ in rows])).as_batch()
