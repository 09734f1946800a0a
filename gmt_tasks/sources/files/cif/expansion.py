"""From the sites of a CIF and a set of operations to all atoms of the cell."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.sites import Sites
from gmt_tasks.sources.files.cif.statement import Statement
from gmt_tasks.sources.files.cif.symmetry import Candidate
from gmt_tasks.sources.parsed import RefusedInputError, ordered_species
from models.crystals.crystal import SYMBOLS
from models.errors import Doubt, Reason
from models.symmetry.listed_operations import find_orbits, wrapped

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SMALLEST_TOLERANCE, _LARGEST_TOLERANCE = 1e-3, 0.1
"""In angstrom: images of a site this close are one atom; between the two, what rounding of the coordinates explains."""

_NOTED_SHIFT = 1e-5  # fractional
_MOST_READINGS_OF_LABELS = 256
_FEW_SITES = 1000


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
    tolerances = _tolerances(sites, lattice)
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
    elements, label_notes = _elements(sites, groups, multiplicities, statement)
    occupancies = []
    for group in groups:
        # With all atoms listed, each image of a site is a row of its own and stands for the same atoms.
        rows = group[:1] if candidate.lists_all_atoms and len({elements[row] for row in group}) == 1 else group
        occupancies.append([(SYMBOLS[elements[row]], float(sites.occupancies[row])) for row in rows])
    _, rounded = ordered_species(occupancies)
    first_rows = [group[0] for group in groups]
    counts = multiplicities[first_rows]
    moved = [orbit for orbit, position in zip(orbits, sites.frac_coords, strict=True) if _is_moved(orbit, position)]
    return Expansion(
        frac_coords=np.concatenate([orbits[row] for row in first_rows]),
        numbers=np.repeat(np.array([elements[row] for row in first_rows]), counts),
        multiplicities=multiplicities,
        n_moved=len(moved),
        notes=rounded + label_notes,
    )


def _tolerances(sites: Sites, lattice: Floats) -> Floats:
    """How far two images of a site may lie apart because its coordinates were rounded, in angstrom, [n_sites]."""
    lengths = np.linalg.norm(lattice, axis=1)
    by_rounding = 1.5 * sites.resolution * float(np.linalg.norm(lengths))
    return np.clip(by_rounding, _SMALLEST_TOLERANCE, _LARGEST_TOLERANCE)


def _is_moved(orbit: Floats, position: Floats) -> bool:
    """Whether a site was put elsewhere than where the file has it."""
    return bool(np.abs(wrapped(orbit - position)).max(axis=1).min() > _NOTED_SHIFT)


def _coinciding(sites: Sites, orbits: list[Floats], lattice: Floats, tolerance: float) -> list[list[int]]:
    """Rows that stand on the same atoms, in the order of the file."""
    if sites.n_sites > _FEW_SITES:
        boxes = np.rint(sites.frac_coords % 1.0 / 1e-4).astype(np.int64) % 10_000
        _, owners = np.unique(boxes, axis=0, return_inverse=True)
        by_box: dict[int, list[int]] = {}
        for row, owner in enumerate(owners.reshape(-1).tolist()):
            by_box.setdefault(owner, []).append(row)
        return sorted(by_box.values())
    firsts = np.array([orbit[0] for orbit in orbits])
    groups: list[list[int]] = []
    taken = np.zeros(sites.n_sites, dtype=bool)
    for row, orbit in enumerate(orbits):
        if taken[row]:
            continue
        later = np.flatnonzero(~taken)
        distances = np.linalg.norm(wrapped(firsts[later, None] - orbit[None]) @ lattice, axis=2).min(axis=1)
        group = later[(distances <= tolerance) | (later == row)]
        taken[group] = True
        groups.append(group.tolist())
    return groups


def _elements(
    sites: Sites, groups: list[list[int]], multiplicities: Ints, statement: Statement
) -> tuple[list[int], tuple[str, ...]]:
    """Atomic number of each row; labels that may mean two elements are decided by the formula."""
    choices = {options for options in sites.elements if len(options) > 1}
    if not choices:
        return [options[0] for options in sites.elements], ()
    unclear = sorted(
        {_letters(label) for label, options in zip(sites.labels, sites.elements, strict=True) if len(options) > 1}
    )
    options_of = {_letters(label): options for label, options in zip(sites.labels, sites.elements, strict=True)}
    n_readings = int(np.prod([float(len(options_of[letters])) for letters in unclear]))
    fitting = []
    if statement.formula is not None and n_readings <= _MOST_READINGS_OF_LABELS:
        for reading in product(*(options_of[letters] for letters in unclear)):
            meaning = dict(zip(unclear, reading, strict=True))
            elements = [
                meaning.get(_letters(label), options[0])
                for label, options in zip(sites.labels, sites.elements, strict=True)
            ]
            if statement.fits_formula(_counts(elements, sites, groups, multiplicities)):
                fitting.append(elements)
    shown = next(label for label, options in zip(sites.labels, sites.elements, strict=True) if len(options) > 1)
    if len(fitting) != 1:
        names = " or ".join(SYMBOLS[number] for number in options_of[_letters(shown)] if number)
        why = "the file has no formula" if statement.formula is None else f"its formula fits {len(fitting)} readings"
        raise RefusedInputError(Reason.AMBIGUOUS_SPECIES, f"label {shown!r} may be {names}, and {why}")
    element = SYMBOLS[fitting[0][sites.labels.index(shown)]]
    return fitting[0], (f"{Doubt.SPECIES}: label {shown!r} read as {element}, as the formula says",)


def _counts(elements: list[int], sites: Sites, groups: list[list[int]], multiplicities: Ints) -> dict[int, float]:
    """Atoms of each element in the cell."""
    counts: dict[int, float] = {}
    for row in (row for group in groups for row in group):
        counts[elements[row]] = counts.get(elements[row], 0.0) + float(multiplicities[row] * sites.occupancies[row])
    return counts


def _letters(label: str) -> str:
    """The letters that a label begins with: rows with the same ones are one element."""
    return label.lstrip("0123456789")[:2].rstrip("0123456789'*_()+- ")
