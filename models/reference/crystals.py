"""Reference crystals: ten textbook structures, random crystals of all 32 crystal classes, and their transformations.

Nothing here uses a symmetry library: the classes come from their generators, so that these crystals are an independent
check of whatever finds symmetry.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Crystal, CrystalBatch, Floats, Ints
from models.crystals.neighbors import closest_pairs
from models.errors import GmtError

VOLUME_PER_ATOM_A3 = 20.0
CLEARANCE_ANGSTROM = 1.2
_MAX_TRIES = 2000

_E = np.eye(3)
_Y2 = np.diag([-1.0, 1.0, -1.0])
_Z2 = np.diag([-1.0, -1.0, 1.0])
_X2 = np.diag([1.0, -1.0, -1.0])
_Z4 = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
_Z3 = np.array([[0.0, -1, 0], [1, -1, 0], [0, 0, 1]])
_Z6 = np.array([[1.0, -1, 0], [1, 0, 0], [0, 0, 1]])
_D2 = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])  # two-fold axis along [110] of a hexagonal cell
_C3 = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])

_GENERATORS: dict[str, tuple[NDArray[np.float64], ...]] = {
    "1": (),
    "-1": (-_E,),
    "2": (_Y2,),
    "m": (-_Y2,),
    "2/m": (_Y2, -_E),
    "222": (_Z2, _Y2),
    "mm2": (_Z2, -_Y2),
    "mmm": (_Z2, _Y2, -_E),
    "4": (_Z4,),
    "-4": (-_Z4,),
    "4/m": (_Z4, -_E),
    "422": (_Z4, _X2),
    "4mm": (_Z4, -_X2),
    "-42m": (-_Z4, _X2),
    "4/mmm": (_Z4, _X2, -_E),
    "3": (_Z3,),
    "-3": (_Z3, -_E),
    "32": (_Z3, _D2),
    "3m": (_Z3, -_D2),
    "-3m": (_Z3, _D2, -_E),
    "6": (_Z6,),
    "-6": (-_Z6,),
    "6/m": (_Z6, -_E),
    "622": (_Z6, _D2),
    "6mm": (_Z6, -_D2),
    "-6m2": (-_Z6, -_D2),
    "6/mmm": (_Z6, _D2, -_E),
    "23": (_Z2, _C3),
    "m-3": (_Z2, _C3, -_E),
    "432": (_Z4, _C3),
    "-43m": (-_Z4, _C3),
    "m-3m": (_Z4, _C3, -_E),
}

CRYSTAL_CLASSES: tuple[str, ...] = tuple(_GENERATORS)
"""The 32 crystal classes, Hermann-Mauguin symbols, from triclinic to cubic."""

_TRICLINIC = ("1", "-1")
_MONOCLINIC = ("2", "m", "2/m")
_ORTHORHOMBIC = ("222", "mm2", "mmm")


@dataclass(frozen=True)
class ClassifiedCrystals:
    """Crystals whose class is known by construction.

    Attributes:
        names: one per crystal.
        classes: Hermann-Mauguin symbol of each crystal's class.
        crystals: n_crystals of them.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    crystals: CrystalBatch


def class_operations(crystal_class: str) -> Floats:
    """All operations of a crystal class in its conventional basis, by closing the set of its generators.

    Args:
        crystal_class: symbol from `CRYSTAL_CLASSES`; monoclinic classes have b as their unique axis.

    Returns:
        Integer matrices that act on columns of fractional coordinates, shape [n_ops, 3, 3].

    Raises:
        GmtError: there is no such class.
    """
    if crystal_class not in _GENERATORS:
        raise GmtError(f"There is no crystal class {crystal_class!r}; there are {', '.join(CRYSTAL_CLASSES)}.")
    operations = {_E.astype(int).tobytes(): _E}
    new = [_E]
    while new:
        # products of what the last round added suffice: all others were formed before
        products = [a @ g for a in new for g in _GENERATORS[crystal_class]]
        new = []
        for product in products:
            key = np.rint(product).astype(int).tobytes()
            if key not in operations:
                operations[key] = product
                new.append(product)
    return np.stack(list(operations.values()))


def random_orthogonal(rng: np.random.Generator) -> Floats:
    """A rotation matrix drawn evenly from SO(3), shape [3, 3]; its negative is an improper one."""
    # the signs of R make the Q of a Gaussian matrix evenly distributed
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    rotation: Floats = q * np.linalg.det(q)
    return rotation


def random_crystal(crystal_class: str, rng: np.random.Generator) -> Crystal:
    """A random crystal of a given class: general positions in a primitive cell of random shape and orientation.

    Two orbits of different elements leave no symmetry but the class (one orbit of a polar class would). The large
    classes need no second orbit, they get an atom at the origin instead.

    Args:
        crystal_class: symbol from `CRYSTAL_CLASSES`.
        rng: source of randomness.

    Raises:
        GmtError: there is no such class, or no orbit with enough clearance was found.
    """
    operations = class_operations(crystal_class)
    n_ops = len(operations)
    species = rng.choice([5, 7, 8, 13, 14, 16, 22, 31, 33, 38, 40, 56], size=2, replace=False)
    numbers = np.repeat(species, [n_ops, n_ops if n_ops <= 12 else 1])
    lattice = _random_cell(crystal_class, len(numbers) * VOLUME_PER_ATOM_A3, rng) @ random_orthogonal(rng).T
    first = _spaced_orbit(operations, lattice, np.zeros((0, 3)), rng)
    second = _spaced_orbit(operations, lattice, first, rng) if n_ops <= 12 else np.zeros((1, 3))
    return Crystal(lattice, np.concatenate([first, second]), numbers)


def _spaced_orbit(operations: Floats, lattice: Floats, others: Floats, rng: np.random.Generator) -> Floats:
    """Images of a random position that stay clear of one another, of other atoms [n, 3] and of the origin."""
    taken = others if len(others) else np.zeros((1, 3))
    for _ in range(_MAX_TRIES):
        # a position near a symmetry element has images too close to it
        orbit = operations @ rng.random(3)
        frac_coords = np.concatenate([orbit, taken])
        owner = np.zeros(len(frac_coords), dtype=np.int64)
        if not closest_pairs(lattice[None], frac_coords, owner, CLEARANCE_ANGSTROM):
            return orbit
    raise GmtError(
        f"No orbit of {len(operations)} atoms with {CLEARANCE_ANGSTROM} angstrom between them was found; "
        "try another seed."
    )


@cache
def crystals_of_all_classes(seed: int = 0) -> ClassifiedCrystals:
    """One random crystal of each of the 32 classes (2 to 49 atoms), in the order of `CRYSTAL_CLASSES`.

    Made once per seed, for it takes a third of a second: nobody may write into its arrays.
    """
    rng = np.random.default_rng(seed)
    crystals = [random_crystal(symbol, rng) for symbol in CRYSTAL_CLASSES]
    return ClassifiedCrystals(CRYSTAL_CLASSES, CRYSTAL_CLASSES, CrystalBatch.join(c.as_batch() for c in crystals))


def _random_cell(crystal_class: str, volume: float, rng: np.random.Generator) -> Floats:
    """Conventional cell (rows, angstrom) of the class's lattice family with the given volume in angstrom^3."""
    a, b, c = rng.uniform(0.9, 1.2, size=3) * np.array([1.0, 1.25, 1.5])
    if crystal_class in _TRICLINIC:
        cell = cell_from_parameters(a, b, c, *rng.uniform(70, 85, size=3))
    elif crystal_class in _MONOCLINIC:
        cell = cell_from_parameters(a, b, c, 90, rng.uniform(98, 115), 90)
    elif crystal_class in _ORTHORHOMBIC:
        cell = np.diag([a, b, c])
    elif "3" in crystal_class[1:] and crystal_class not in {"-3", "-3m"}:  # the three of a cubic class is never first
        cell = np.eye(3)
    elif "4" in crystal_class:
        cell = np.diag([a, a, c])
    else:
        cell = cell_from_parameters(a, a, c, 90, 90, 120)
    scaled: Floats = cell * np.cbrt(volume / np.linalg.det(cell))
    return scaled


def cell_from_parameters(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> Floats:
    """Rows a, b, c of a cell with a along x and b in the x-y plane.

    Args:
        a: length in angstrom.
        b: length in angstrom.
        c: length in angstrom.
        alpha: angle between b and c in degrees.
        beta: angle between a and c in degrees.
        gamma: angle between a and b in degrees.

    Returns:
        Shape [3, 3] in angstrom.
    """
    cos = np.cos(np.radians([alpha, beta, gamma]))
    sin_gamma = np.sin(np.radians(gamma))
    y = (cos[0] - cos[1] * cos[2]) / sin_gamma
    z = np.sqrt(1.0 - cos[1] ** 2 - y**2)
    return np.array([[a, 0, 0], [b * cos[2], b * sin_gamma, 0], [c * cos[1], c * y, c * z]])


_FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def textbook_crystals() -> ClassifiedCrystals:
    """Ten well-known or instructive crystals of ten classes, in primitive cells.

    Structures: Wyckoff, Crystal Structures (1963), rounded; the monoclinic and the triclinic one are made up, because
    no simple real crystal has so few atoms and so little symmetry.
    """
    rows = [
        (name, crystal_class, Crystal(lattice, np.array(frac), np.array(z)))
        for name, crystal_class, lattice, frac, z in _table()
    ]
    names, classes, crystals = zip(*rows, strict=True)
    return ClassifiedCrystals(names, classes, CrystalBatch.join(c.as_batch() for c in crystals))


def _table() -> list[tuple[str, str, Floats, list[list[float]], list[int]]]:
    third = 1 / 3
    quartz = _orbit_quartz(0.4697, (0.4135, 0.2669, 0.7858))
    rutile: list[list[float]] = [
        [0, 0, 0],
        [0.5, 0.5, 0.5],
        [0.305, 0.305, 0],
        [-0.305, -0.305, 0],
        [0.195, 0.805, 0.5],
        [0.805, 0.195, 0.5],
    ]
    wurtzite = [[third, 2 * third, 0], [2 * third, third, 0.5], [third, 2 * third, 0.382], [2 * third, third, 0.882]]
    perovskite: list[list[float]] = [[0, 0, 0], [0.5, 0.5, 0.522]]
    perovskite += [[0.5, 0.5, 0.975], [0.5, 0, 0.488], [0, 0.5, 0.488]]
    monoclinic = [[0.1, 0, 0.2], [0.45, 0.3, 0.7], [0.45, -0.3, 0.7]]
    return [
        ("quartz", "32", cell_from_parameters(4.913, 4.913, 5.405, 90, 90, 120), quartz, [14] * 3 + [8] * 6),
        ("wurtzite AlN", "6mm", cell_from_parameters(3.111, 3.111, 4.978, 90, 90, 120), wurtzite, [13, 13, 7, 7]),
        ("zinc blende GaAs", "-43m", 5.653 * _FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [31, 33]),
        ("BaTiO3", "4mm", np.diag([3.994, 3.994, 4.038]), perovskite, [56, 22, 8, 8, 8]),
        ("rocksalt MgO", "m-3m", 4.212 * _FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8]),
        ("diamond", "m-3m", 3.567 * _FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [6, 6]),
        ("rutile", "4/mmm", np.diag([4.594, 4.594, 2.959]), rutile, [22, 22, 8, 8, 8, 8]),
        ("monoclinic SiO2", "m", cell_from_parameters(3.9, 5.1, 4.4, 90, 104, 90), monoclinic, [14, 8, 8]),
        (
            "triclinic GaNO",
            "1",
            cell_from_parameters(3.4, 3.9, 4.3, 78, 83, 74),
            [[0, 0, 0], [0.45, 0.5, 0.4], [0.8, 0.2, 0.7]],
            [31, 7, 8],
        ),
        ("copper", "m-3m", 3.615 * _FCC, [[0, 0, 0]], [29]),
    ]


def _orbit_quartz(u: float, oxygen: tuple[float, float, float]) -> list[list[float]]:
    """Sites 3a and 6c of P3_221."""
    x, y, z = oxygen
    silicon = [[u, 0, 2 / 3], [0, u, 1 / 3], [-u, -u, 0]]
    rows = [
        [x, y, z],
        [-y, x - y, z + 2 / 3],
        [y - x, -x, z + 1 / 3],
        [y, x, -z],
        [x - y, -y, 1 / 3 - z],
        [-x, y - x, 2 / 3 - z],
    ]
    return silicon + rows


def transformed(batch: CrystalBatch, rotation: Floats) -> CrystalBatch:
    """The crystals after a rotation or reflection of space; `rotation` is orthogonal, [3, 3] or [n_crystals, 3, 3]."""
    lattice = batch.lattice @ np.swapaxes(rotation, -1, -2)
    return CrystalBatch(lattice, batch.frac_coords, batch.numbers, batch.crystal_of_atom)


def in_cell(batch: CrystalBatch, cell: Ints) -> CrystalBatch:
    """The same crystals in another cell, whose rows are `cell` @ (a, b, c).

    Args:
        batch: crystals.
        cell: integer matrix, shape [3, 3]; |det| is the number of old cells in the new one, det < 0 changes its
            handedness.

    Returns:
        The same crystals in space, the same Cartesian frame; atoms stay grouped by crystal.
    """
    size = round(abs(np.linalg.det(cell)))
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ cell
    axes = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = grid @ np.linalg.inv(cell)
    shifts = grid[((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)]
    frac = (batch.frac_coords[:, None, :] + shifts[None]) @ np.linalg.inv(cell)
    return CrystalBatch(
        cell @ batch.lattice,
        frac.reshape(-1, 3),
        np.repeat(batch.numbers, size),
        np.repeat(batch.crystal_of_atom, size),
    )
