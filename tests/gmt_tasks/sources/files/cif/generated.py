"""Random crystals in all 530 settings of the space groups, written as CIF in the ways that files state a symmetry.

Operations, symbols and Hall symbols are spglib's, so nothing of the reader under test takes part in the writing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import spglib
from numpy.typing import NDArray

from gmt_tasks.sources.parsed import ParsedCrystal
from models.crystals.crystal import SYMBOLS

Floats = NDArray[np.float64]

N_SETTINGS = 530
_ELEMENTS = (3, 8, 9, 12, 13, 14, 16, 20, 22, 30, 38, 56)
_SHORTEST_ANGSTROM = 1.6
_VOLUME_PER_ATOM = 14.0


class Statement(StrEnum):
    """How a file states its symmetry."""

    OPERATIONS = "operations alone"
    OPERATIONS_AND_NAME = "operations and name"
    FULL_NAME = "full name with its choice"
    BARE_NAME = "name without its choice"
    SHORT_NAME = "short name, where it is that of the setting"
    HALL = "Hall symbol"
    NUMBER = "number alone"
    NAME_AND_NUMBER = "name without its choice, and number"


@dataclass(frozen=True)
class Generated:
    """A crystal with the sites and the cell from which it was made.

    Attributes:
        hall_number: its setting, 1 to 530 in spglib's table.
        cell: a, b, c in angstrom, alpha, beta, gamma in degrees.
        sites: element and fractional coordinates of one atom of each orbit.
        numbers, frac_coords: all atoms of the cell, shapes [n_atoms] and [n_atoms, 3].
    """

    hall_number: int
    cell: tuple[float, ...]
    sites: tuple[tuple[int, tuple[float, ...]], ...]
    numbers: NDArray[np.int64]
    frac_coords: Floats


@lru_cache(N_SETTINGS)
def operations_of(hall_number: int) -> tuple[NDArray[np.int64], Floats]:
    """Rotations [n_ops, 3, 3] and translations [n_ops, 3] of a setting."""
    operations = spglib.get_symmetry_from_database(hall_number)
    return operations["rotations"].astype(np.int64), operations["translations"] % 1.0


def random_crystal(hall_number: int, rng: np.random.Generator) -> Generated | None:
    """One to three orbits, general or on symmetry elements, in a cell of the setting; None if atoms came too close."""
    rotations, translations = operations_of(hall_number)
    sites, positions, numbers = [], [], []
    species = rng.choice(_ELEMENTS, size=int(rng.integers(1, 4)), replace=False)
    for element in species:
        position = rng.random(3)
        if rng.random() < 0.6:
            position = _onto_symmetry_element(position, rotations, translations, rng)
        position = np.round(position, 5) % 1.0
        exact = _onto_element_nearby(position, rotations, translations)
        images = _distinct(rotations @ exact + translations)
        sites.append((int(element), tuple(position.tolist())))
        positions.append(images)
        numbers += [int(element)] * len(images)
    frac_coords = np.concatenate(positions)
    lattice = _random_lattice(rotations, rng, _VOLUME_PER_ATOM * len(numbers))
    if _shortest(frac_coords, lattice) < _SHORTEST_ANGSTROM:
        return None
    return Generated(hall_number, _parameters(lattice), tuple(sites), np.array(numbers), frac_coords)


def _onto_symmetry_element(
    position: Floats, rotations: NDArray[np.int64], translations: Floats, rng: np.random.Generator
) -> Floats:
    """The position moved to a point that some operations leave in place, if one drawn has such points."""
    chosen = int(rng.integers(len(rotations)))
    point = position
    for _ in range(int(rng.integers(1, 3))):
        # The mean over the powers of an operation is a fixed point of it, if it has any.
        image, images = point, [point]
        for _ in range(11):
            image = rotations[chosen] @ image + translations[chosen]
            images.append(image)
        point = np.mean(images, axis=0)
        chosen = int(rng.integers(len(rotations)))
    return np.asarray(point % 1.0)


def _onto_element_nearby(position: Floats, rotations: NDArray[np.int64], translations: Floats) -> Floats:
    """The exact position of which the given one is the rounding to five digits."""
    moved = rotations @ position + translations - position
    moved -= np.rint(moved)
    in_place = np.abs(moved).max(axis=1) < 2.1e-5
    return np.asarray(position + moved[in_place].mean(axis=0))


def _distinct(points: Floats) -> Floats:
    """Points that differ by more than rounding, modulo the lattice."""
    kept: list[Floats] = []
    for point in points % 1.0:
        differences = np.array(kept).reshape(-1, 3) - point
        if not (np.abs(differences - np.rint(differences)).max(axis=1, initial=0) < 1e-6).any() or not kept:
            kept.append(point)
    return np.array(kept)


def _random_lattice(rotations: NDArray[np.int64], rng: np.random.Generator, volume: float) -> Floats:
    """A cell that all operations leave as it is: a random metric, averaged over them."""
    basis = np.diag(rng.uniform(0.8, 1.3, 3)) + rng.uniform(-0.25, 0.25, (3, 3))
    metric = np.einsum("oji,jk,okl->il", rotations, basis @ basis.T, rotations) / len(rotations)
    lattice = np.linalg.cholesky(metric)
    return np.asarray(lattice * (volume / abs(np.linalg.det(lattice))) ** (1 / 3))


def _parameters(lattice: Floats) -> tuple[float, ...]:
    lengths = np.linalg.norm(lattice, axis=1)
    cosines = [lattice[i] @ lattice[j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    return (*lengths.tolist(), *np.degrees(np.arccos(cosines)).tolist())


def _shortest(frac_coords: Floats, lattice: Floats) -> float:
    """Shortest distance between two atoms, or an atom and its image, in angstrom."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = (frac_coords[:, None, None] - frac_coords[None, :, None] + shifts) @ lattice
    distances = np.linalg.norm(vectors, axis=3)
    # No atom is near itself.
    distances[np.arange(len(frac_coords)), np.arange(len(frac_coords)), len(shifts) // 2] = np.inf
    return float(distances.min())


def write_cif(crystal: Generated, statement: Statement, *, formula: bool) -> str:
    """The crystal as CIF.

    Args:
        crystal: what to write.
        statement: how the symmetry is stated.
        formula: whether formula and formula units are given.
    """
    kind = spglib.get_spacegroup_type(crystal.hall_number)
    rotations, translations = operations_of(crystal.hall_number)
    lines = ["data_generated"]
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines += [f"_cell_{name} {value:.5f}" for name, value in zip(names, crystal.cell, strict=True)]
    bare = kind.international.split("=")[-1].strip().replace("_", "")
    is_short_enough = kind.choice in ("", "b", "b1")
    if statement in (Statement.FULL_NAME, Statement.OPERATIONS_AND_NAME):
        suffix = f" :{kind.choice}" if kind.choice in ("1", "2", "H", "R") else ""
        lines.append(f"_space_group_name_H-M_alt '{kind.international_full.replace('_', '')}{suffix}'")
    elif statement is Statement.SHORT_NAME and is_short_enough:
        lines.append(f"_symmetry_space_group_name_H-M '{kind.international_short.replace('_', '')}'")
    elif statement in (Statement.BARE_NAME, Statement.NAME_AND_NUMBER, Statement.SHORT_NAME):
        lines.append(f"_symmetry_space_group_name_H-M '{bare}'")
    if statement is Statement.HALL:
        lines.append(f"_space_group_name_Hall '{kind.hall_symbol}'")
    if statement in (Statement.NUMBER, Statement.NAME_AND_NUMBER):
        lines.append(f"_symmetry_Int_Tables_number {kind.number}")
    if formula:
        counts = {element: int((crystal.numbers == element).sum()) for element in sorted(set(crystal.numbers.tolist()))}
        units = int(np.gcd.reduce(list(counts.values())))
        text = " ".join(f"{SYMBOLS[element]}{count // units}" for element, count in counts.items())
        lines += [f"_chemical_formula_sum '{text}'", f"_cell_formula_units_Z {units}"]
    if statement in (Statement.OPERATIONS, Statement.OPERATIONS_AND_NAME):
        lines += ["loop_", "_space_group_symop_operation_xyz"]
        lines += [f"'{_triplet(*operation)}'" for operation in zip(rotations, translations, strict=True)]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
    for row, (element, position) in enumerate(crystal.sites):
        lines.append(f"{SYMBOLS[element]}{row + 1} {SYMBOLS[element]} " + " ".join(f"{x:.5f}" for x in position))
    return "\n".join(lines) + "\n"


def _triplet(rotation: NDArray[np.int64], translation: Floats) -> str:
    """An operation as "-y,x-y,z+1/3"."""
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        text = "".join(f"{'+' if sign > 0 else '-'}{axis}" for sign, axis in zip(row, "xyz", strict=True) if sign)
        numerator = round(float(shift) * 24)
        parts.append(text.lstrip("+") + (f"+{numerator}/24" if numerator else ""))
    return ",".join(parts)


def is_same_crystal(read: ParsedCrystal, written: Generated) -> bool:
    """Whether an atom of the same element stands in each place, in a cell of the same lengths and angles."""
    if len(read.numbers) != len(written.numbers):
        return False
    if not np.allclose(_parameters(read.lattice), written.cell, atol=1e-3):
        return False
    differences = read.frac_coords[:, None] - written.frac_coords[None]
    differences -= np.rint(differences)
    distances = np.linalg.norm(differences @ read.lattice, axis=2)
    partner = distances.argmin(axis=1)
    is_near = distances.min(axis=1) < 5e-3
    same_elements = read.numbers == written.numbers[partner]
    return bool((is_near & same_elements).all()) and len(set(partner.tolist())) == len(partner)


def generated_files(seed: int, n_files: int, step: int = 1) -> Iterator[tuple[Generated, Statement, bool, str]]:
    """Files over every `step`-th setting and all statements, with and without a formula, in turn."""
    rng = np.random.default_rng(seed)
    statements = list(Statement)
    for number in range(n_files):
        crystal = None
        while crystal is None:
            crystal = random_crystal(number * step % N_SETTINGS + 1, rng)
        statement = statements[(number // N_SETTINGS + number) % len(statements)]
        formula = bool(rng.random() < 0.5)
        yield crystal, statement, formula, write_cif(crystal, statement, formula=formula)
