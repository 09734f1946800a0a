"""One crystal from one CIF data block: the crystal that the file means, or a refusal that says why it is unclear.

What a file leaves open (origin, axes, unique axis, elements of labels) is decided by what else it says: its cell must
be left as it is by the operations, its formula, formula units, density and multiplicities must hold, its atoms must
have room. Where two crystals remain, the file is refused and both are named.
"""

import math
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.cell import doubts_of_lengths, read_cell, refuse_bad_cell
from gmt_tasks.sources.files.cif.expansion import Expansion, expand
from gmt_tasks.sources.files.cif.items import Items, parse_number
from gmt_tasks.sources.files.cif.sites import Sites, read_sites
from gmt_tasks.sources.files.cif.statement import Statement, counts_of, is_plausible_volume
from gmt_tasks.sources.files.cif.symmetry import Candidate, find_candidates, is_magnetic, refuse_modulated
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError, isotope_notes, require_finite
from models.crystals.crystal_systems import crystal_systems
from models.crystals.formula import formula_text
from models.crystals.neighbors import closest_pairs
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Doubt, Reason
from models.symmetry.fractional_operations import metric_deviation, wrapped

_SAME_CELL, _NEARLY_SAME_CELL = 1e-3, 1e-2
"""Deviation of the metric under the operations: rounding of the cell's numbers, and a cell that only nearly fits."""

_SHORTEST_BOND_ANGSTROM = 0.7
"""Candidates with closer atoms are no crystals; the shortest bond there is, that of H2, has 0.74."""

_SAME_POSITION_ANGSTROM = 0.01
_ROWS_AT_A_TIME = 64
_WITH_HYDROGEN = re.compile(r"(?:ow|oh|wat)(?![a-z])", re.IGNORECASE)
_PROVENANCE = (
    "_database_code_ICSD",
    "_cod_database_code",
    "_database_code_depnum_ccdc_archive",
    "_chemical_name_mineral",
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Reading:
    """One candidate with its cell and, where it can be expanded, its atoms."""

    candidate: Candidate
    lattice: Floats
    expansion: Expansion
    notes: tuple[str, ...]

    def describe(self) -> str:
        """For the message that names two candidates."""
        counts = formula_text(counts_of(self.expansion.numbers))
        return f"{self.candidate.name} ({counts} in the cell)"


def read_cif_block(job: TextJob) -> ParsedCrystal:
    """Reads one data block.

    Args:
        job: the block, from its `data_` line on; refused if its sites times operations exceed `max_sites`, before
            anything is expanded.

    Raises:
        RefusedInputError: with a reason from the closed list and, where known, the line.
    """
    items = Items(job.text, job.first_line)
    refuse_modulated(items)
    refuse_bad_cell(items)
    sites = read_sites(items)
    statement = Statement.of(items)
    tiers = find_candidates(items, job.missing_symmetry)
    readings, refusals = _readings(items, sites, statement, tiers, job.max_sites)
    reading = _chosen(readings, refusals, sites, statement)
    expansion, lattice = reading.expansion, reading.lattice
    require_finite(lattice, expansion.frac_coords)
    volume = abs(float(np.linalg.det(lattice)))
    notes: tuple[str, ...] = (reading.candidate.note,) if reading.candidate.note else ()
    notes += sites.notes + reading.notes + expansion.notes + isotope_notes(sites.symbols)
    if n_idealised := sites.n_idealised + expansion.n_moved:
        rounded = "put onto the thirds or symmetry elements they are rounded from"
        notes += (f"coordinates_idealised: {n_idealised} {rounded}",)
    n_stated = float(sites.multiplicities @ sites.occupancies) if sites.multiplicities.all() else 0.0
    notes += statement.check(expansion.numbers, volume, n_stated) + doubts_of_lengths(items) + _remarks(items)
    notes += _doubts_of_sites(sites, reading, statement)
    provenance = {name.lstrip("_"): value for name in _PROVENANCE if (value := items.text(name.lower()))}
    return ParsedCrystal(lattice, expansion.frac_coords, expansion.numbers, notes, None, provenance)


def _crystal_system(items: Items, number: int = 0) -> str:
    """The crystal system that a number means, or the block states."""
    if number:
        return str(crystal_systems(np.array([number]))[0])
    return items.text("_space_group_crystal_system", "_symmetry_cell_setting").lower()


def _readings(
    items: Items, sites: Sites, statement: Statement, tiers: list[list[Candidate]], max_sites: int
) -> tuple[list[_Reading], list[RefusedInputError]]:
    """What the candidates of the first tier with a fitting cell make of the sites, and why others make nothing."""
    worst: tuple[float, str] = (math.inf, "")
    cells: dict[str, tuple[Floats, tuple[str, ...]]] = {}
    for tier in tiers:
        fitting = []
        for candidate in tier:
            is_rhombohedral = candidate.name.endswith(":R")
            system = "rhombohedral" if is_rhombohedral else _crystal_system(items, candidate.number)
            if system not in cells:
                cells[system] = read_cell(items, system)
            lattice, concluded = cells[system]
            deviation = metric_deviation(candidate.operations.rotations, lattice)
            if deviation > _NEARLY_SAME_CELL:
                worst = min(worst, (deviation, candidate.name))
                continue
            notes: tuple[str, ...] = ()
            if concluded:
                notes += (f"{Doubt.CELL}: {', '.join(concluded)} concluded from the crystal system",)
            if deviation > _SAME_CELL:
                notes += (f"{Doubt.CELL}: {candidate.name} changes the cell by up to {deviation:.1%}",)
            fitting.append((candidate, lattice, notes))
        if fitting:
            return _expanded(sites, statement, fitting, max_sites)
    detail = f"{items.line('_cell_length_a')}{worst[1]} would change lengths or angles of the cell by {worst[0]:.1%}"
    raise RefusedInputError(Reason.SYMMETRY_CONTRADICTS_CELL, detail)


def _expanded(
    sites: Sites, statement: Statement, fitting: list[tuple[Candidate, Floats, tuple[str, ...]]], max_sites: int
) -> tuple[list[_Reading], list[RefusedInputError]]:
    """The readings of candidates whose cell fits."""
    readings, refusals = [], []
    for candidate, lattice, notes in fitting:
        n_ops = candidate.operations.n_ops
        limit = max_sites if n_ops > 1 else max(max_sites, MAX_LISTED_ATOMS)
        try:
            if sites.n_sites * n_ops > limit:
                detail = f"{sites.n_sites} sites times {n_ops} operations, limit {limit}"
                raise RefusedInputError(Reason.TOO_LARGE, detail)
            readings.append(_Reading(candidate, lattice, expand(sites, candidate, lattice, statement), notes))
        except RefusedInputError as refused:
            refusals.append(refused)
    return readings, refusals


def _chosen(
    readings: list[_Reading], refusals: list[RefusedInputError], sites: Sites, statement: Statement
) -> _Reading:
    """The one crystal that the file can mean.

    Raises:
        RefusedInputError: no reading is a crystal, or several different ones are.
    """
    if not readings:
        raise refusals[0]
    if len(readings) == 1 and not refusals:
        return readings[0]
    possible = [reading for reading in readings if _is_crystal(reading, statement)]
    if not possible:
        # Its refusal says what is wrong with the likeliest one; where none follows, the choice is a guess.
        candidate = readings[0].candidate
        note = f"{Doubt.SYMMETRY}: read as {candidate.name}, though neither it nor another reading fits well"
        return replace(readings[0], candidate=replace(candidate, note=candidate.note or note))
    scores = [_n_fitting(reading, sites, statement) for reading in possible]
    best = [reading for reading, score in zip(possible, scores, strict=True) if score == max(scores)]
    distinct: list[_Reading] = []
    for reading in best:
        if not any(_is_same(reading, other) for other in distinct):
            distinct.append(reading)
    if len(distinct) > 1:
        detail = f"it may be {distinct[0].describe()} or {distinct[1].describe()}, and nothing in the file tells which"
        raise RefusedInputError(Reason.SYMMETRY_UNRESOLVED, detail)
    chosen = distinct[0]
    agreeing = [reading for reading in best if _is_same(chosen, reading)]
    if len(agreeing) == len(readings) and len(readings) > 1 and not refusals:
        # However the file is read it is this crystal: nothing is left to doubt.
        return replace(chosen, candidate=replace(chosen.candidate, note=""))
    others = [reading.candidate.name for reading in readings if not _is_same(chosen, reading)][:2]
    basis = "by formula, Z, density, multiplicities or distances"
    instead = " or ".join(others) or "another setting"
    note = f"{Doubt.SYMMETRY}: read as {chosen.candidate.name}, {basis}; not as {instead}"
    return replace(chosen, candidate=replace(chosen.candidate, note=chosen.candidate.note or note))


def _is_crystal(reading: _Reading, statement: Statement) -> bool:
    """Whether a reading has the composition that the file states, and room for its atoms."""
    numbers, lattice = reading.expansion.numbers, reading.lattice
    if not statement.fits_formula(counts_of(numbers)):
        return False
    if not is_plausible_volume(numbers, abs(float(np.linalg.det(lattice)))):
        return False
    return _has_room(reading)


def _has_room(reading: _Reading) -> bool:
    """Whether no two atoms are closer than in any molecule."""
    owner = np.zeros(len(reading.expansion.numbers), dtype=np.int64)
    return not closest_pairs(reading.lattice[None], reading.expansion.frac_coords, owner, _SHORTEST_BOND_ANGSTROM)


def _n_fitting(reading: _Reading, sites: Sites, statement: Statement) -> int:
    """How many of formula units, density and multiplicities are as the file states them."""
    numbers = reading.expansion.numbers
    volume = abs(float(np.linalg.det(reading.lattice)))
    stated = sites.multiplicities > 0
    fits_multiplicities = stated.any() and bool(
        (reading.expansion.multiplicities[stated] == sites.multiplicities[stated]).all()
    )
    facts = (
        statement.fits_formula_units(len(numbers)),
        statement.fits_density(counts_of(numbers), volume),
        fits_multiplicities,
    )
    return sum(fact is True for fact in facts)


def _is_same(one: _Reading, other: _Reading) -> bool:
    """Whether two readings have the same atoms in the same places of the same cell."""
    first, second = one.expansion, other.expansion
    if len(first.numbers) != len(second.numbers) or not np.allclose(one.lattice, other.lattice, atol=1e-6):
        return False
    partners: list[int] = []
    # Some rows at a time: all distances of ten thousand atoms would not fit into memory.
    for start in range(0, len(first.numbers), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        differences = wrapped(first.frac_coords[rows, None] - second.frac_coords[None]) @ one.lattice
        distances = np.linalg.norm(differences, axis=2)
        partner = distances.argmin(axis=1)
        is_near = distances.min(axis=1) < _SAME_POSITION_ANGSTROM
        if not (is_near & (first.numbers[rows] == second.numbers[partner])).all():
            return False
        partners += partner.tolist()
    return len(set(partners)) == len(partners)


def _doubts_of_sites(sites: Sites, reading: _Reading, statement: Statement) -> tuple[str, ...]:
    """Doubts about what labels and multiplicities say; a formula that holds settles what labels leave open."""
    doubts: tuple[str, ...] = ()
    read, stated = reading.expansion.multiplicities, sites.multiplicities
    given = stated > 0
    # Some programs state the order of the site symmetry instead, and some list all atoms with a multiplicity of 1.
    orders = reading.candidate.operations.n_ops // read
    if not any((stated[given] == expected[given]).all() for expected in (read, orders)):
        row = int(np.flatnonzero(given & (stated != read))[0])
        label = sites.labels[row]
        doubts += (f"{Doubt.SYMMETRY}: {label} has the multiplicity {stated[row]} in the file, {read[row]} as read",)
    if not _has_room(reading):
        doubts += (f"{Doubt.CELL}: two atoms are closer than {_SHORTEST_BOND_ANGSTROM} angstrom",)
    if statement.formula is not None:
        return doubts
    if sites.contradictory_label:
        doubts += (f"{Doubt.SPECIES}: {sites.contradictory_label}",)
    with_hydrogen = [label for label in sites.labels if _WITH_HYDROGEN.match(label)]
    if with_hydrogen and 1 not in reading.expansion.numbers:
        doubts += (f"{Doubt.COMPOSITION}: {with_hydrogen[0]} names water or hydroxyl, and no hydrogen is listed",)
    return doubts


def _remarks(items: Items) -> tuple[str, ...]:
    """What the file says that is not read."""
    hydrogens = [number for text in items.column("_atom_site_attached_hydrogens") if (number := parse_number(text))]
    remarks: tuple[str, ...] = ()
    if hydrogens:
        remarks += (f"{Doubt.COMPOSITION}: {sum(hydrogens):g} attached hydrogens have no positions and are missing",)
    if is_magnetic(items):
        remarks += ("magnetic_moments_dropped: magnetic operations read without time reversal",)
    return remarks
