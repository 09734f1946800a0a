"""From the sites of a CIF and a set of operations to all atoms of the cell."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.sites import Sites
from gmt_tasks.sources.files.cif.species import is_likely_pair
from gmt_tasks.sources.files.cif.statement import Statement
from gmt_tasks.sources.files.cif.symmetry import Candidate
from gmt_tasks.sources.parsed import OCCUPANCY_TOLERANCE, RefusedInputError, ordered_species
from models.crystals.crystal import SYMBOLS
from models.errors import Doubt, Reason
from models.symmetry.fractional_operations import find_orbits, wrapped

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SMALLEST_TOLERANCE, _LARGEST_TOLERANCE = 1e-3, 0.1
"""In angstrom: images of a site this close are one atom; between the two, what rounding of the coordinates explains."""

_NOTED_SHIFT = 1e-5  # fractional
_MOST_READINGS_OF_LABELS = 256
_FEW_SITES = 1000
_PAIRS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class Expansion:
    """All atoms of a cell under one set of operations.

    Attributes:
        frac_coords: shape [n_atoms, 3], in [0, 1).
        numbers: atomic numbers, shape [n_atoms].
        multiplicities: number of images of each site, shape [n_sites].
        n_moved: sites that were put onto a symmetry element.
        notes: what was rounded or concluded.
    """

    frac_coords: Floats
    numbers: Ints
    multiplicities: Ints
    n_moved: int = 0
    notes: tuple[str, ...] = field(default=())


def expand(sites: Sites, candidate: Candidate, lattice: Floats, statement: Statement) -> Expansion:
    """The atoms of the cell.

    Args:
        sites: the rows of the file.
        candidate: operations.
        lattice: rows a, b, c in angstrom, shape [3, 3].
        statement: decides between elements that a label may mean.

    Raises:
        RefusedInputError: `occupancy`, `disordered`, `ambiguous_species`, or `parse` for a site whose number of images
            is unclear.
    """
    # How far two images of a site may lie apart because its coordinates were rounded.
    by_rounding = 1.5 * sites.resolution * float(np.linalg.norm(lattice))
    tolerances = np.clip(by_rounding, _SMALLEST_TOLERANCE, _LARGEST_TOLERANCE)
    tolerance = float(tolerances.min())
    orbits = find_orbits(candidate.operations, sites.frac_coords, lattice, tolerances)
    for smaller in (tolerance, _SMALLEST_TOLERANCE):
        # It separates what a larger tolerance joins only in part.
        if isinstance(orbits, int):
            orbits = find_orbits(candidate.operations, sites.frac_coords, lattice, smaller)
    if isinstance(orbits, int):
        detail = f"site {sites.labels[orbits]} nearly lies on a symmetry element: give its coordinates to more digits"
        raise RefusedInputError(Reason.PARSE, detail)
    multiplicities = np.array([len(orbit) for orbit in orbits])
    groups = _coinciding(sites, orbits, lattice, tolerance)
    is_full_list = _lists_all_atoms(sites, groups, multiplicities)
    lists_all_atoms = candidate.lists_all_atoms or is_full_list
    weights = sites.occupancies if lists_all_atoms else multiplicities * sites.occupancies
    elements, label_notes = _elements(sites, weights, statement)
    if is_full_list and not candidate.lists_all_atoms:
        label_notes += (f"{Doubt.SYMMETRY}: every atom is listed, also those that {candidate.name} makes of others",)
    occupancies = []
    for group in groups:
        # With all atoms listed, each image of a site is a row of its own and stands for the same atoms.
        rows = group[:1] if lists_all_atoms and len({elements[row] for row in group}) == 1 else group
        occupancies.append([(SYMBOLS[elements[row]], float(sites.occupancies[row])) for row in rows])
    _, rounded = ordered_species(occupancies)
    first_rows = [group[0] for group in groups]
    counts = multiplicities[first_rows]
    shifts = [wrapped(orbit - place) for orbit, place in zip(orbits, sites.frac_coords, strict=True) if len(orbit) > 1]
    return Expansion(
        frac_coords=np.concatenate([orbits[row] for row in first_rows]),
        numbers=np.repeat(np.array([elements[row] for row in first_rows]), counts),
        multiplicities=multiplicities,
        n_moved=sum(bool(np.abs(shift).max(axis=1).min() > _NOTED_SHIFT) for shift in shifts),
        notes=rounded + label_notes,
    )


def _coinciding(sites: Sites, orbits: list[Floats], lattice: Floats, tolerance: float) -> list[list[int]]:
    """Rows that stand on the same atoms, in the order of the file."""
    if sites.n_sites > _FEW_SITES:
        boxes = np.rint(sites.frac_coords % 1.0 / 1e-4).astype(np.int64) % 10_000
        _, owners = np.unique(boxes, axis=0, return_inverse=True)
        by_box: dict[int, list[int]] = {}
        for row, owner in enumerate(owners.reshape(-1).tolist()):
            by_box.setdefault(owner, []).append(row)
        return sorted(by_box.values())
    firsts, images = np.array([orbit[0] for orbit in orbits]), np.concatenate(orbits)
    starts = np.cumsum([0, *(len(orbit) for orbit in orbits[:-1])])
    is_near = np.zeros((sites.n_sites, sites.n_sites), dtype=bool)
    # Some rows at a time, so that the distances of all images fit into memory.
    n_rows = max(1, _PAIRS_AT_A_TIME // len(images))
    for start in range(0, sites.n_sites, n_rows):
        rows = slice(start, start + n_rows)
        distances = np.linalg.norm(wrapped(firsts[rows, None] - images[None]) @ lattice, axis=2)
        is_near[rows] = np.minimum.reduceat(distances, starts, axis=1) <= tolerance
    np.fill_diagonal(is_near, val=True)
    groups: list[list[int]] = []
    is_taken = np.zeros(sites.n_sites, dtype=bool)
    for row in range(sites.n_sites):
        if not is_taken[row]:
            group = is_near[:, row] & ~is_taken
            is_taken |= group
            groups.append(np.flatnonzero(group).tolist())
    return groups


def _lists_all_atoms(sites: Sites, groups: list[list[int]], multiplicities: Ints) -> bool:
    """Whether each image of each site is a row of its own, each at another place and full."""
    if multiplicities.max() == 1 or (sites.occupancies < 1 - OCCUPANCY_TOLERANCE).any():
        return False
    for group in groups:
        if len(group) != multiplicities[group[0]] or len({sites.elements[row] for row in group}) > 1:
            return False
    places = np.rint(sites.frac_coords % 1.0 / 1e-4).astype(np.int64) % 10_000
    return len(np.unique(places, axis=0)) == sites.n_sites


def _elements(sites: Sites, weights: Floats, statement: Statement) -> tuple[list[int], tuple[str, ...]]:
    """Atomic number of each row; labels that may mean two elements are decided by the formula.

    Args:
        sites: the rows.
        weights: atoms in the cell that each row stands for, shape [n_sites].
        statement: what the file says of its composition.
    """
    options_of: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    elements = [options[0] for options in sites.elements]
    clear: defaultdict[int, float] = defaultdict(float)
    for row, (label, options) in enumerate(zip(sites.labels, sites.elements, strict=True)):
        if len(options) > 1:
            options_of.setdefault((_letters(label), options), []).append(row)
        else:
            clear[options[0]] += float(weights[row])
    if not options_of:
        return elements, ()
    unclear = [float(weights[rows].sum()) for rows in options_of.values()]
    n_readings = math.prod(len(options) for _, options in options_of)
    fitting = []
    if statement.formula is not None and n_readings <= _MOST_READINGS_OF_LABELS:
        for reading in product(*(options for _, options in options_of)):
            counts = clear.copy()
            for element, amount in zip(reading, unclear, strict=True):
                counts[element] += amount
            if statement.fits_formula(counts):
                fitting.append(reading)
    (_, options), (shown, *_) = next(iter(options_of.items()))
    label = sites.labels[shown]
    # What "NA1" means is hardly in doubt where no formula says otherwise.
    if statement.formula is None and all(is_likely_pair(letters) for letters, _ in options_of):
        return elements, (f"{Doubt.SPECIES}: label {label!r} read as {SYMBOLS[elements[shown]]}",)
    if len(fitting) != 1:
        names = " or ".join(SYMBOLS[number] for number in options if number)
        why = "the file has no formula" if statement.formula is None else f"its formula fits {len(fitting)} readings"
        raise RefusedInputError(Reason.AMBIGUOUS_SPECIES, f"label {label!r} may be {names}, and {why}")
    for element, rows in zip(fitting[0], options_of.values(), strict=True):
        for row in rows:
            elements[row] = element
    return elements, (f"{Doubt.SPECIES}: label {label!r} read as {SYMBOLS[elements[shown]]}, as the formula says",)


def _letters(label: str) -> str:
    """The letters that a label begins with: rows with the same ones are one element."""
    return label.lstrip("0123456789")[:2].rstrip("0123456789'*_()+- ")
