"""The structures that other programs write: over three hundred, made without a file and without a network."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.core.surface import SlabGenerator
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from gmt_tasks.sources.generated.prototypes import PrototypesSource
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.reference.crystals import crystals_of_all_classes
from tests.gmt_tasks.sources.files.cif.generated import N_SETTINGS, random_crystal

_N_PROTOTYPES = 78
_PROTOTYPE_ELEMENTS = ("Al", "B", "Ba", "Cl", "F", "Ga", "Mg", "N", "Na", "O", "S", "Si", "Ti", "Tl", "Zn")
_MOST_ATOMS = 60  # of a random crystal: longer ones only take longer
_CHARGES = {"O": -2, "F": -1, "Cl": -1, "S": -2, "N": -3, "Na": 1, "K": 1, "Mg": 2, "Al": 3, "Ti": 4, "Zn": 2}

Floats = NDArray[np.float64]


@lru_cache(1)
def all_structures() -> tuple[tuple[str, Structure], ...]:
    """Name and structure of each; always the same ones."""
    return tuple(
        (name, structure)
        for kind in (_references, _prototypes, _classes, _settings, _other_cells, _unusual)
        for name, structure in kind()
    )


def structure_of(lattice: Floats, frac_coords: Floats, numbers: NDArray[np.int64]) -> Structure:
    """Arrays as a structure of pymatgen's."""
    return Structure(Lattice(lattice), [SYMBOLS[number] for number in numbers.tolist()], frac_coords)


def _of_batch(batch: CrystalBatch) -> Iterator[Structure]:
    for row in range(batch.n_crystals):
        one = batch.select([row])
        yield structure_of(one.lattice[0], one.frac_coords, one.numbers)


def _references() -> Iterator[tuple[str, Structure]]:
    for name, crystal in reference_crystals().items():
        yield name, structure_of(crystal.lattice, crystal.frac_coords, crystal.numbers)


def _prototypes() -> Iterator[tuple[str, Structure]]:
    for block in PrototypesSource(n=_N_PROTOTYPES, elements=_PROTOTYPE_ELEMENTS).blocks():
        yield from zip(block.source_ids, _of_batch(block.crystals), strict=True)


def _classes() -> Iterator[tuple[str, Structure]]:
    classified = crystals_of_all_classes(seed=5)
    yield from zip([f"class {name}" for name in classified.classes], _of_batch(classified.crystals), strict=True)


def _settings() -> Iterator[tuple[str, Structure]]:
    """A random crystal in every sixth setting of the space groups, in the axes of the setting."""
    rng = np.random.default_rng(29)
    for hall_number in range(1, N_SETTINGS + 1, 6):
        crystal = None
        while crystal is None or len(crystal.numbers) > _MOST_ATOMS:
            crystal = random_crystal(hall_number, rng)
            if crystal is None and hall_number > 480:
                break  # general positions of the largest groups rarely keep apart
        if crystal is not None:
            cell = Lattice.from_parameters(*crystal.cell)
            yield f"setting {hall_number}", structure_of(cell.matrix, crystal.frac_coords, crystal.numbers)


def _other_cells() -> Iterator[tuple[str, Structure]]:
    """The same crystals in conventional, Niggli-reduced, enlarged and skewed cells, and as slabs."""
    skew = [[1, 1, 0], [0, 1, 2], [0, 0, 1]]
    for number, (name, structure) in enumerate(_references()):
        conventional = SpacegroupAnalyzer(structure).get_conventional_standard_structure()
        yield f"{name}, conventional", conventional
        if number % 4 == 0:
            yield f"{name}, Niggli cell", structure.get_reduced_structure()
        if number % 4 == 1:
            yield f"{name}, skewed", structure * skew
        if number % 8 == 2:
            yield f"{name}, supercell", conventional * (3, 2, 2)
        if number % 8 == 3:
            slabs = SlabGenerator(conventional.copy(), (1, 0, 0), 6.0, 8.0, primitive=False).get_slabs()
            yield f"{name}, slab", Structure(slabs[0].lattice, slabs[0].species, slabs[0].frac_coords)


def _unusual() -> Iterator[tuple[str, Structure]]:
    """Left-handed, triclinic without symmetry, displaced, far outside of the cell, hydrides, oxidation states."""
    rng = np.random.default_rng(31)
    for number, (name, structure) in enumerate(_references()):
        if number % 6 == 0:
            left = Structure(Lattice(structure.lattice.matrix[::-1]), structure.species, structure.frac_coords[:, ::-1])
            yield f"{name}, left-handed", left
        elif number % 6 == 1:
            displaced = structure * (2, 2, 1)
            displaced.perturb(0.08)
            yield f"{name}, displaced", displaced
        elif number % 6 == 2:
            strained = Lattice(structure.lattice.matrix @ (np.eye(3) + rng.uniform(-0.06, 0.06, (3, 3))))
            yield f"{name}, strained", Structure(strained, structure.species, structure.frac_coords)
        elif number % 6 == 3:
            outside = structure.frac_coords + rng.integers(-2, 3, structure.frac_coords.shape)
            yield f"{name}, outside", Structure(structure.lattice, structure.species, outside)
        if set(structure.symbol_set) <= set(_CHARGES):
            charged = structure.copy()
            charged.add_oxidation_state_by_element({symbol: _CHARGES[symbol] for symbol in structure.symbol_set})
            yield f"{name}, charged", charged
        if {"F", "Cl"} & set(structure.symbol_set):
            hydride = structure.copy()
            hydride.replace_species({symbol: "H" for symbol in ("F", "Cl") if symbol in structure.symbol_set})
            yield f"{name}, hydride", hydride
