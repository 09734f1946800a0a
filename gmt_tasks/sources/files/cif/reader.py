"""One crystal from one CIF data block: the crystal that the file means, or a refusal that says why it is unclear.

What a file leaves open (origin, axes, unique axis, elements of labels) is decided by what else it says: its cell must
be left as it is by the operations, its formula, formula units, density and multiplicities must hold, its atoms must
have room. Where two crystals remain, the file is refused and both are named.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.cell import read_cell, refuse_bad_cell
from gmt_tasks.sources.files.cif.expansion import Expansion, expand
from gmt_tasks.sources.files.cif.items import Items, parse_number
from gmt_tasks.sources.files.cif.sites import Sites, read_sites
from gmt_tasks.sources.files.cif.statement import Statement, counts_of, is_plausible_volume
from gmt_tasks.sources.files.cif.symmetry import Candidate, find_candidates, is_magnetic, refuse_modulated
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError, isotope_notes, require_finite
from models.crystals.formula import formula_text
from models.crystals.neighbors import closest_pairs
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Doubt, Reason
from models.symmetry.crystal_systems import crystal_systems
from models.symmetry.listed_operations import metric_deviation, wrapped

_SAME_CELL, _NEARLY_SAME_CELL = 1e-3, 1e-2
"""Deviation of the metric under the operations: rounding of the cell's numbers, and a cell that only nearly fits."""

_SHORTEST_BOND_ANGSTROM = 0.7
"""Candidates with closer atoms are no crystals; the shortest bond there is, that of H2, has 0.74."""

_SAME_POSITION_ANGSTROM = 0.01
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
        notes += (
            f"coordinates_idealised: {n_idealised} put onto the thirds or symmetry elements they are rounded from",
        )
    n_stated = float(sites.multiplicities @ sites.occupancies) if sites.multiplicities.all() else 0.0
    notes += statement.check(expansion.numbers, volume, n_stated) + _remarks(items)
    return ParsedCrystal(lattice, expansion.frac_coords, expansion.numbers, notes, None, _provenance(items))


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
        # Its refusal says what is wrong with the likeliest one.
        return readings[0]
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
    note = (
        f"{Doubt.SYMMETRY}: read as {chosen.candidate.name}, {basis}; not as {' or '.join(others) or 'another setting'}"
    )
    return replace(chosen, candidate=replace(chosen.candidate, note=chosen.candidate.note or note))


def _is_crystal(reading: _Reading, statement: Statement) -> bool:
    """Whether a reading has the composition that the file states, and room for its atoms."""
    numbers, lattice = reading.expansion.numbers, reading.lattice
    if not statement.fits_formula(counts_of(numbers)):
        return False
    if not is_plausible_volume(numbers, abs(float(np.linalg.det(lattice)))):
        return False
    owner = np.zeros(len(numbers), dtype=np.int64)
    return not closest_pairs(lattice[None], reading.expansion.frac_coords, owner, _SHORTEST_BOND_ANGSTROM)


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
    differences = wrapped(first.frac_coords[:, None] - second.frac_coords[None]) @ one.lattice
    distances = np.linalg.norm(differences, axis=2)
    partner = distances.argmin(axis=1)
    is_near = distances.min(axis=1) < _SAME_POSITION_ANGSTROM
    is_same_element = first.numbers == second.numbers[partner]
    return bool((is_near & is_same_element).all()) and len(set(partner.tolist())) == len(partner)


def _remarks(items: Items) -> tuple[str, ...]:
    """What the file says that is not read."""
    hydrogens = [number for text in items.column("_atom_site_attached_hydrogens") if (number := parse_number(text))]
    remarks: tuple[str, ...] = ()
    if hydrogens:
        remarks += (f"{Doubt.COMPOSITION}: {sum(hydrogens):g} attached hydrogens have no positions and are missing",)
    if is_magnetic(items):
        remarks += ("magnetic_moments_dropped: magnetic operations read without time reversal",)
    return remarks


def _provenance(items: Items) -> dict[str, Any]:
    """What a block says of where it comes from."""
    values = {key.lstrip("_"): items.text(key.lower()) for key in _PROVENANCE}
    return {key: value for key, value in values.items() if value}
