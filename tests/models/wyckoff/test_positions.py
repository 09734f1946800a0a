"""The 1731 Wyckoff positions: found anew on a grid, compared with moyopy, and closed under their groups."""

import itertools
from collections import Counter
from functools import lru_cache

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.neighbors import closest_pairs
from models.symmetry.operations import moyo_dataset
from models.wyckoff.positions import LETTERS, N_SPACE_GROUPS, SpaceGroup, first_position_id, space_group
from tests.models.symmetry.space_groups import random_conventional_cell

GRID = 24
"""Points per axis: fixed points of all groups lie at multiples of 1/24, as their translations do."""

ALL_GROUPS = range(1, N_SPACE_GROUPS + 1)

POSITIONS = [(number, index) for number in ALL_GROUPS for index in range(len(space_group(number).positions))]

SYSTEMS = [(1, 16), (16, 75), (75, 143), (143, 195), (195, 231)]


def random_parameters(group: SpaceGroup, position: int, rng: np.random.Generator) -> Floats:
    free = group.positions[position].free
    return np.where(np.isin(np.arange(3), free), rng.random(3), 0.0)


def farthest(first: Floats, second: Floats) -> float:
    """Distance of the site of the first orbit that is farthest from all of the second, in fractions of the cell."""
    apart = first[:, None] - second[None]
    return float(np.abs(apart - np.rint(apart)).max(axis=2).min(axis=1).max(initial=0.0))


@lru_cache(maxsize=1)
def grid_images(number: int) -> Ints:
    """Indices of the images of all grid points under all operations, [n_ops, n_points]."""
    group = space_group(number)
    points = np.stack(np.unravel_index(np.arange(GRID**3), (GRID,) * 3)).astype(np.int64)
    shifts = np.rint(group.translations * GRID).astype(np.int64)
    images = (group.rotations.astype(np.int64) @ points + shifts[:, :, None]) % GRID
    return images[:, 0] * GRID**2 + images[:, 1] * GRID + images[:, 2]


def kept_directions(rotation: Floats) -> Ints:
    """A primitive basis of the lattice vectors that a rotation keeps, [n_free, 3]."""
    vectors = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    kept = vectors[(vectors @ rotation.T == vectors).all(axis=1)]
    rank = int(np.linalg.matrix_rank(kept))
    for chosen in itertools.combinations(sorted(kept.tolist(), key=lambda v: sum(map(abs, v))), rank):
        basis = np.array(chosen)
        minors = [np.linalg.det(basis[:, list(c)]) for c in itertools.combinations(range(3), rank)]
        if np.gcd.reduce(np.rint(minors).astype(np.int64)) == 1:
            return basis
    raise LookupError("no basis")


def fixed_flats(number: int, dimension: int) -> dict[bytes, Ints]:
    """Lines or planes that some operation fixes point by point, as sets of grid points."""
    group, images = space_group(number), grid_images(number)
    steps = np.array(list(itertools.product(range(GRID), repeat=dimension)))
    flats: dict[bytes, Ints] = {}
    for rotation, moved in zip(group.rotations, images, strict=True):
        if 3 - np.linalg.matrix_rank(rotation - np.eye(3)) != dimension:
            continue
        inside = steps @ kept_directions(rotation)
        left = set(np.flatnonzero(moved == np.arange(GRID**3)).tolist())
        while left:
            start = np.array(np.unravel_index(min(left), (GRID,) * 3))
            flat = np.sort(np.ravel_multi_index(tuple(((start + inside) % GRID).T), (GRID,) * 3))
            flats[flat.tobytes()] = flat
            left -= set(flat.tolist())
    return flats


def classes_of_flats(number: int, dimension: int) -> Counter[tuple[int, int]]:
    """Dimension and multiplicity of the flats of one dimension, one of all that operations take to each other."""
    images = grid_images(number)
    flats, found = fixed_flats(number, dimension), Counter[tuple[int, int]]()
    while flats:
        flat = next(iter(flats.values()))
        n_fixing = int((images[:, flat] == flat).all(axis=1).sum())
        found[dimension, len(images) // n_fixing] += 1
        for image in np.sort(images[:, flat], axis=1):
            flats.pop(image.tobytes(), None)
    return found


def classes_of_points(number: int) -> Counter[tuple[int, int]]:
    """Multiplicity of the orbits of points whose site symmetry fixes nothing else."""
    group, images = space_group(number), grid_images(number)
    fixes = images == np.arange(GRID**3)
    traces = np.tensordot(fixes.T.astype(np.float64), np.trace(group.rotations, axis1=1, axis2=2), axes=1)
    # the mean trace over a point group is the number of directions that it keeps
    lonely = np.flatnonzero(np.abs(traces) < 1e-9)
    orbits = {tuple(sorted(set(images[:, point].tolist()))) for point in lonely.tolist()}
    return Counter((0, len(orbit)) for orbit in orbits)


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_fixed_spaces_of_the_operations_and_their_intersections_are_the_positions(system: tuple[int, int]) -> None:
    """A line is fixed by a rotation, a plane by a reflection, and a point by a group whose mean trace is zero."""
    for number in range(*system):
        found = classes_of_flats(number, 1) + classes_of_flats(number, 2) + classes_of_points(number)
        found[3, len(space_group(number).rotations)] += 1
        positions = space_group(number).positions
        assert found == Counter((len(position.free), position.multiplicity) for position in positions), number


def test_there_are_1731_positions_in_the_order_of_their_letters_and_ids() -> None:
    groups = [space_group(number) for number in ALL_GROUPS]
    assert sum(len(group.positions) for group in groups) == 1731
    for group in groups:
        assert "".join(position.letter for position in group.positions) == LETTERS[: len(group.positions)]
        assert group.positions[-1].free == (0, 1, 2)
        assert group.positions[-1].multiplicity == len(group.rotations)
    assert first_position_id(1) == 1
    assert first_position_id(230) + len(groups[-1].positions) == 1732


@pytest.mark.parametrize("system", SYSTEMS, ids=str)
def test_an_orbit_has_its_multiplicity_and_is_closed_and_its_parameters_describe_it(system: tuple[int, int]) -> None:
    rng = np.random.default_rng(system[0])
    for number in range(*system):
        group = space_group(number)
        for index, position in enumerate(group.positions):
            orbit = group.orbit(index, random_parameters(group, index, rng))
            assert len(orbit) == position.multiplicity
            assert farthest(group.images(orbit[-1]), orbit) < 1e-9
            listed = rng.permutation(orbit) + rng.integers(-3, 4, orbit.shape)
            found = group.parameters(index, listed, 1e-6)
            assert found is not None and ((found >= 0) & (found < 1)).all()
            assert farthest(group.orbit(index, found), orbit) < 1e-9


def test_parameters_are_the_same_whatever_site_stands_first_and_none_off_the_position() -> None:
    group, rng = space_group(225), np.random.default_rng(3)
    for index, position in enumerate(group.positions):
        orbit = group.orbit(index, random_parameters(group, index, rng))
        once, again = group.parameters(index, orbit, 1e-6), group.parameters(index, orbit[::-1], 1e-6)
        assert once is not None and again is not None and np.allclose(once, again)
        if len(position.free) < 3:
            assert group.parameters(index, orbit + np.array([0.0213, 0.0401, 0.0077]), 1e-6) is None


def test_sites_of_the_primitive_cell_are_those_of_the_conventional_one() -> None:
    rng = np.random.default_rng(4)
    for number in (5, 22, 79, 146, 160, 166, 197, 216, 228):
        group = space_group(number)
        for index, position in enumerate(group.positions):
            parameters = random_parameters(group, index, rng)
            sites = group.primitive_orbit(index, parameters)
            assert len(sites) == round(position.multiplicity * np.linalg.det(group.basis))
            assert farthest(sites @ group.basis.T, group.orbit(index, parameters)) < 1e-9


def occupying_crystal(group: SpaceGroup, position: int, rng: np.random.Generator) -> CrystalBatch:
    """One orbit of the position and two general ones of other elements, in a primitive cell."""
    general = len(group.positions) - 1
    for _ in range(200):
        orbits = [group.primitive_orbit(k, random_parameters(group, k, rng)) for k in (position, general, general)]
        columns = random_conventional_cell(group.number, rng)
        sites = np.concatenate(orbits)
        columns *= np.cbrt(30.0 * len(sites) / np.linalg.det(columns @ group.basis))
        lattice = (columns @ group.basis).T
        if not closest_pairs(lattice[None], sites, np.zeros(len(sites), np.int64), 0.5):
            numbers = np.repeat([26, 14, 8], [len(orbit) for orbit in orbits])
            return CrystalBatch.from_arrays([lattice], [sites], [numbers])
    raise LookupError("no room for the atoms")


def test_moyopy_sees_the_multiplicity_site_symmetry_and_letter_of_crystals_that_occupy_one_position() -> None:
    """It may put the origin elsewhere: the orbit, brought there, has the form of the letter that moyopy says."""
    rng = np.random.default_rng(11)
    n_same_setting = 0
    for number, index in POSITIONS:
        group = space_group(number)
        batch = occupying_crystal(group, index, rng)
        dataset = moyo_dataset(batch, 0, 1e-4)
        assert dataset is not None
        assert (dataset.number, dataset.hall_number) == (number, group.hall_number)
        found = LETTERS.index(dataset.wyckoffs[0])
        assert group.positions[found].multiplicity == group.positions[index].multiplicity
        assert group.positions[found].site_symmetry == dataset.site_symmetry_symbols[0]
        to_standard = np.linalg.inv(np.array(dataset.std_linear))
        points = (batch.frac_coords[:1] - dataset.std_origin_shift) @ to_standard.T
        assert group.parameters(found, group.images(points[0]), 1e-4) is not None
        origin = to_standard @ dataset.std_origin_shift
        if np.allclose(to_standard, group.basis) and np.allclose(origin, np.rint(origin), atol=1e-6):
            n_same_setting += 1
            assert found == index
    assert n_same_setting > 0.1 * len(POSITIONS), n_same_setting
