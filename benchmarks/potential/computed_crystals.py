"""Makes the crystals that the network learns volume and distortion from: states computed by the potential.

    python -m benchmarks.potential.computed_crystals --data FOLDER --out computed.ndjson [--part 0/2]
    cat computed-*.ndjson | gzip > FOLDER/computed.ndjson.gz

Two kinds of crystals are computed, of the train part and of candidates without a label (chosen to cover what has none;
no formula that models are judged by). Of each come states: the cell held at other volumes, once sheared too, atoms
relaxed, with a stiffness; a cell far from equilibrium and one with displaced atoms, with their energy alone. What the
potential says enters as a change where there is a label, and without its softening where there is none. One line per
crystal with the rows of `gmt_tasks.training.computed`; a killed run goes on where it stopped.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.potential.lines import SYMPREC_ANGSTROM, Named, append_lines
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.refinement.recipe import load_recipe
from gmt_tasks.training.candidate_columns import read_table
from gmt_tasks.training.evaluated_formulas import evaluated_formulas
from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.crystals.crystal import CrystalBatch, Floats, Ints, find_invalid
from models.crystals.graph import build_graph
from models.potential.deformations import DeformationSpace
from models.potential.interface import EV_PER_A3_IN_GPA
from models.potential.relax import Limits, relaxation_steps
from models.potential.second_opinion import Relaxation
from models.potential.sevennet import SevenNet
from models.potential.softening import carried, stiffened
from models.potential.steps import CalculationFailedError, Steps, require_finite
from models.potential.strained import HeldCrystal, atoms_only, held_crystal_steps
from models.quantities import Tensor
from models.symmetry.operations import SymmetryError
from models.symmetry.standard_cell import StandardCell, standard_cell
from models.tensors.voigt import from_components, stiffness_voigt_to_mandel

POOL = 6_000
"""Candidates, drawn at random, among which those that cover the most are looked for."""

CARRIED_NOISE = 0.05
"""Relative standard deviation of a label that is carried to another volume, beside a tenth of ln V / V0 per unit."""

UNLABELLED_NOISE = 0.18
"""Likewise of the potential without its softening: median of its relative Frobenius error on train labels."""

LEAST_GPA = 1.0
"""Stiffnesses with a lower eigenvalue below this are left out: their logarithm is noise."""

SHEAR = 0.03
NEAR_LOG_VOLUME, FAR_LOG_VOLUME = 0.12, 0.35
DISPLACEMENTS_ANGSTROM = 0.05, 0.25


@dataclass(frozen=True)
class State:
    """One state of a crystal.

    Attributes:
        crystal: primitive cell, batch of one.
        log_volume: ln V / V0 of it, V0 that of the crystal at rest.
        energy_ev_per_atom: above the crystal at rest, without the part that is linear in the strain: what the crystal
            at rest is, is said by the label and not by the potential.
        stiffness_gpa: C_IJ by the potential, [6, 6]; None where it was not asked.
    """

    crystal: CrystalBatch
    log_volume: float
    energy_ev_per_atom: float
    stiffness_gpa: Floats | None


@dataclass(frozen=True)
class Computed:
    """A crystal at rest and its other states."""

    rest: HeldCrystal
    states: list[State]


def main() -> None:
    """Chooses crystals and appends a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labelled", type=int, default=2_000, help="crystals of the train part")
    parser.add_argument("--candidates", type=int, default=1_600, help="crystals without a label")
    parser.add_argument("--max-atoms", type=int, default=12)
    parser.add_argument("--part", default="0/1", help="which part of how many")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    everything = [*labelled_crystals(labels, asked), *candidate_crystals(labels, asked)]
    facts: Callable[[Chosen, Computed], dict[str, Any]] = lambda one, computed: {"rows": rows_of(one, computed)}  # noqa: E731
    append_lines(SevenNet(), everything, asked.out, asked.part, begin, facts)


@dataclass(frozen=True)
class Chosen(Named):
    """A crystal that is computed.

    Attributes:
        label_gpa: its stiffness, [6, 6]; None for a candidate.
    """

    label_gpa: Floats | None


def labelled_crystals(labels: LabelledCrystals, asked: argparse.Namespace) -> list[Chosen]:
    """Train crystals with a stiffness that a logarithm can be taken of, drawn at random."""
    stiffness = from_components(Tensor.ELASTIC, labels.components[Tensor.ELASTIC])
    known = np.isfinite(labels.components[Tensor.ELASTIC]).all(axis=1) & (labels.split == Split.TRAIN)
    known &= labels.crystals.atoms_per_crystal <= asked.max_atoms
    rows = np.flatnonzero(known)
    rows = rows[np.linalg.eigvalsh(stiffness_voigt_to_mandel(stiffness[rows]))[:, 0] > LEAST_GPA]
    rows = np.random.default_rng(0).permutation(rows)[: asked.labelled]
    return [Chosen(labels.ids[row], labels.crystals.select([row]), stiffness[row]) for row in rows.tolist()]


def candidate_crystals(labels: LabelledCrystals, asked: argparse.Namespace) -> list[Chosen]:
    """Candidates, half of them those farthest from what has a label and from one another, half drawn at random."""
    if not asked.candidates:
        return []
    batch, _ = read_table(asked.data / "candidates.parquet", ())
    formulas = batch.formulas()
    taken = evaluated_formulas(asked.data, labels) | set(labels.crystals.formulas())
    usable = (batch.atoms_per_crystal <= asked.max_atoms) & ~np.isin(formulas, sorted(taken))
    usable[list(find_invalid(batch))] = False
    pool = np.random.default_rng(0).permutation(np.flatnonzero(usable))[:POOL]
    n_far = min(asked.candidates // 2, len(pool))
    train = labels.crystals.select(labels.rows(Split.TRAIN))
    far = farthest_first(_descriptors(batch.select(pool)), _descriptors(train), n_far)
    rows = list(dict.fromkeys([*pool[far].tolist(), *pool.tolist()]))[: asked.candidates]
    return [Chosen(f"candidate-{row}", batch.select([row]), None) for row in rows]


def farthest_first(points: Floats, known: Floats, n: int) -> Ints:
    """Greedy cover: n of the points [n_points, d], each the farthest from the known ones and those taken before."""
    distance = np.full(len(points), np.inf)
    for start in range(0, len(known), 64):
        block = np.linalg.norm(points[:, None] - known[None, start : start + 64], axis=2)
        distance = np.minimum(distance, block.min(axis=1))
    taken = np.empty(n, dtype=np.int64)
    for k in range(n):
        taken[k] = np.argmax(distance)
        distance = np.minimum(distance, np.linalg.norm(points - points[taken[k]], axis=1))
    return taken


def _descriptors(crystals: CrystalBatch) -> Floats:
    return describe(crystals, build_graph(crystals, DESCRIPTOR_GRAPH))


def begin(one: Chosen, cell: StandardCell) -> Steps[Computed]:
    """The calculation of a crystal; what is drawn depends on its id alone."""
    rng = np.random.default_rng([7, *one.name.encode()])
    return computed_steps(cell, rng, is_relaxed=one.label_gpa is None)


def computed_steps(cell: StandardCell, rng: np.random.Generator, *, is_relaxed: bool) -> Steps[Computed]:
    """A crystal at rest and its states.

    Args:
        cell: the crystal.
        rng: what is drawn depends on the crystal alone.
        is_relaxed: rest is where the potential says, not in the cell as given.

    Raises:
        CalculationFailedError: the crystal finds no rest.
    """
    crystal = cell.crystal
    if is_relaxed:
        space = DeformationSpace(cell)
        relaxed = yield from relaxation_steps(space, space.invariants, Limits())
        if relaxed.how is not Relaxation.CONVERGED:
            raise CalculationFailedError(f"the relaxation ended as {relaxed.how}")
        crystal = space.crystals(space.symmetrize(relaxed.point[None]))
    try:
        rest = yield from held_crystal_steps(crystal)
        at_rest = standard_cell(rest.crystal, 0, SYMPREC_ANGSTROM)
    except SymmetryError as error:
        raise CalculationFailedError(str(error)) from error
    states = yield from _held_states(rest, rng)
    for moved, strain in _distorted(at_rest, rng):
        if not find_invalid(moved):
            energy = require_finite((yield moved)).energy_ev[0] / len(moved.numbers)
            states.append(_state(rest, moved, strain, float(energy), None))
    return Computed(rest, states)


def _held_states(rest: HeldCrystal, rng: np.random.Generator) -> Steps[list[State]]:
    """An expanded and a compressed state near rest, one of them sheared, atoms relaxed, with their stiffness."""
    states = []
    sheared = int(rng.integers(2))
    for k in range(2):
        log_volume = float(rng.uniform(0.02, NEAR_LOG_VOLUME)) * (-1.0 if k else 1.0)
        strain = np.expm1(log_volume / 3) * np.eye(3) + (k == sheared) * _shear(rng)
        try:
            held = yield from held_crystal_steps(_strained(rest.crystal, strain))
        except (CalculationFailedError, SymmetryError):
            continue
        states.append(_state(rest, held.crystal, strain, held.energy_ev_per_atom, held.stiffness_gpa))
    return states


def _distorted(at_rest: StandardCell, rng: np.random.Generator) -> list[tuple[CrystalBatch, Floats]]:
    """A cell far from rest, and where symmetry lets atoms move one with atoms moved; with the strain [3, 3] of each."""
    far = np.expm1(rng.uniform(-0.6 * FAR_LOG_VOLUME, FAR_LOG_VOLUME) / 3) * np.eye(3)
    states = [(_strained(at_rest.crystal, far), far)]
    space = DeformationSpace(at_rest)
    basis = atoms_only(space)
    if len(basis):
        direction = rng.standard_normal(len(basis)) @ basis
        point = direction * rng.uniform(*DISPLACEMENTS_ANGSTROM) / space.reach(direction)[0]
        states.append((space.crystals(point[None]), np.zeros((3, 3))))
    return states


def _shear(rng: np.random.Generator) -> Floats:
    """A strain without volume of SHEAR (Frobenius norm) in a random direction, [3, 3]."""
    strain = rng.standard_normal((3, 3))
    strain = strain + strain.T
    strain -= np.trace(strain) / 3 * np.eye(3)
    sheared: Floats = strain * (SHEAR / np.linalg.norm(strain))
    return sheared


def _strained(crystal: CrystalBatch, strain: Floats) -> CrystalBatch:
    return replace(crystal, lattice=crystal.lattice @ (np.eye(3) + strain))


def _state(
    rest: HeldCrystal, crystal: CrystalBatch, strain: Floats, energy_ev_per_atom: float, stiffness: Floats | None
) -> State:
    volume = np.abs(np.linalg.det(rest.crystal.lattice[0])) / len(rest.crystal.numbers)
    linear = volume * np.sum(rest.stress_gpa * strain) / EV_PER_A3_IN_GPA
    log_volume = float(np.log(np.linalg.det(np.eye(3) + strain)))
    return State(crystal, log_volume, float(energy_ev_per_atom - rest.energy_ev_per_atom - linear), stiffness)


def rows_of(chosen: Chosen, computed: Computed) -> list[dict[str, Any]]:
    """Rows of training: the states, and of a candidate the crystal at rest too."""
    at_rest = chosen.label_gpa
    if at_rest is None:
        volumetric, deviatoric, _ = load_recipe().of_crystals(computed.rest.crystal)
        at_rest = stiffened(computed.rest.stiffness_gpa[None], volumetric, deviatoric)[0]
    rows = []
    if chosen.label_gpa is None and _is_firm(computed.rest.stiffness_gpa):
        rows.append(_row(State(computed.rest.crystal, 0.0, 0.0, None), at_rest, UNLABELLED_NOISE))
    for state in computed.states:
        stiffness, noise = (
            None,
            np.hypot(
                CARRIED_NOISE + abs(state.log_volume) / 10, 0.0 if chosen.label_gpa is not None else UNLABELLED_NOISE
            ),
        )
        if state.stiffness_gpa is not None and _is_firm(state.stiffness_gpa) and _is_firm(computed.rest.stiffness_gpa):
            parts = (at_rest, computed.rest.stiffness_gpa, state.stiffness_gpa)
            stiffness = carried(*(values[None] for values in parts))[0]
        rows.append(_row(state, stiffness, float(noise)))
    return rows


def _is_firm(stiffness_gpa: Floats) -> bool:
    return bool(np.linalg.eigvalsh(stiffness_voigt_to_mandel(stiffness_gpa[None]))[0, 0] > LEAST_GPA)


def _row(state: State, stiffness_gpa: Floats | None, noise: float) -> dict[str, Any]:
    crystal = state.crystal
    return {
        "lattice": np.round(crystal.lattice[0], 6).tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": np.round(crystal.frac_coords, 7).tolist(),
        "stiffness_gpa": None if stiffness_gpa is None else np.round(stiffness_gpa, 2).tolist(),
        "relative_noise": round(noise, 3),
        "expansion": round(state.log_volume, 5),
        "distortion": round(float(np.sqrt(max(0.0, state.energy_ev_per_atom))), 5),
    }


if __name__ == "__main__":
    main()
