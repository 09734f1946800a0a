"""What a worker answers: every crystal once, results of the relaxed cell, refusals by name with a reason."""

import json
from dataclasses import replace

import numpy as np
import pytest

from db.records import ModelVersion
from gmt_tasks.refinement.recipe import load_recipe
from gmt_tasks.refinement.refiner import ENERGY_ONLY, Energies, Opinions, Refiner
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch, Floats
from models.errors import Reason
from models.potential.interface import Potential
from models.potential.second_opinion import ModeGroup, Relaxation, SecondOpinion
from models.quantities import Tensor
from models.testing.model import ToyTensorModel
from models.testing.pair_potential import PairPotential

CUBIC = np.diag([200.0, 200, 200, 90, 90, 90]) + 80 * (np.pad(np.ones((3, 3)) - np.eye(3), (0, 3)))
IDS = ["rocksalt", "cesium chloride", "large", "unknown", "collapses", "fails"]


def opinion(crystal: CrystalBatch, relaxation: Relaxation = Relaxation.CONVERGED) -> SecondOpinion:
    """A made-up second opinion that widens a cell by 1 %, and finds it unstable where its first atom is caesium."""
    n = 3 * len(crystal.numbers)
    unstable = int(crystal.numbers[0]) == 55
    return SecondOpinion(
        relaxed=replace(crystal, lattice=1.01 * crystal.lattice),
        relaxation=relaxation,
        spacegroup=225,
        energy_ev_per_atom=-3.0,
        relaxation_energy_ev_per_atom=-0.01,
        volume_ratio=1.01**3,
        strain=np.array([0.01, 0.01, 0.01, 0, 0, 0]),
        displacement_angstrom=0.0,
        stress_gpa=-6.0 * np.eye(3),
        max_force_ev_per_angstrom=0.0,
        stiffness_gpa=CUBIC,
        stiffness_clamped_gpa=CUBIC,
        force_constants=np.zeros((n, n)),
        internal_strain=np.zeros((n, 6)),
        modes=(ModeGroup(-1.5 if unstable else 5.0, 3, "T1u", polar=True),),
        lowest_mode_thz=-1.5 if unstable else 5.0,
        gamma_stable=not unstable,
        broken_spacegroup=225,
        broken_energy_ev_per_atom=0.0,
        n_evaluations=9,
        seconds=1.5,
    )


def ask(_: Potential, crystals: CrystalBatch, *, symprec: float, stiffness_guess_gpa: Floats | None) -> Opinions:
    """Answers for all crystals but those of lithium, which fail, and of sodium, which collapse."""
    assert symprec == 1e-2
    assert stiffness_guess_gpa is not None and np.isfinite(stiffness_guess_gpa).all()
    first = [int(crystals.numbers[atom]) for atom in crystals.first_atom[:-1]]
    failed = {row: "no space group was found" for row, z in enumerate(first) if z == 3}
    how = {11: Relaxation.COLLAPSED}
    given = {row: opinion(crystals.select([row]), how.get(z, Relaxation.CONVERGED)) for row, z in enumerate(first)}
    return {row: one for row, one in given.items() if row not in failed}, failed


def energies(_: Potential, crystals: CrystalBatch) -> Energies:
    """-1 eV per atom of all but the first crystal."""
    return dict.fromkeys(range(1, crystals.n_crystals), -1.0), {0: "the relaxation collapsed"}


@pytest.fixture
def refiner() -> Refiner:
    """A toy network with a potential whose opinions are made up."""
    screener = Screener(ToyTensorModel(), ModelVersion("toy", "1", "a" * 64))
    return Refiner(screener, PairPotential(elements=frozenset(range(1, 80))), ask, energies, 3, load_recipe())


@pytest.fixture
def crystals() -> CrystalBatch:
    """Rocksalt MgO, CsCl, four atoms without symmetry, an element that the potential lacks, NaF, LiF."""
    fcc = 2.1 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    pair = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    loose = np.array([[0, 0, 0], [0.4, 0.1, 0.2], [0.3, 0.7, 0.5], [0.8, 0.45, 0.65]])
    large = np.array([[6.0, 0, 0], [1, 6.5, 0], [0.5, 1.5, 7]])
    return CrystalBatch.from_arrays(
        [fcc, 4.1 * np.eye(3), large, fcc, fcc, fcc],
        [pair, pair, loose, pair, pair, pair],
        [np.array(z) for z in ([12, 8], [55, 17], [14, 8, 13, 7], [90, 8], [11, 9], [3, 9])],
    )


def test_every_crystal_is_answered_once_with_a_result_or_a_reason(refiner: Refiner, crystals: CrystalBatch) -> None:
    block = refiner.screen(IDS, crystals)
    assert block.crystal_ids == ["rocksalt", "cesium chloride"]
    assert {name: reason for name, reason, _ in block.quarantined} == {
        "large": Reason.TOO_LARGE,
        "unknown": Reason.UNSUPPORTED_ELEMENT,
        "collapses": Reason.RELAXATION_FAILED,
        "fails": Reason.RELAXATION_FAILED,
    }
    assert all(detail for _, _, detail in block.quarantined)
    assert [one.crystal_id for one in block.refinements] == block.crystal_ids


def test_results_are_of_the_relaxed_cell_with_the_potential_in_the_stiffness_alone(
    refiner: Refiner, crystals: CrystalBatch
) -> None:
    block = refiner.screen(IDS[:1], crystals.select([0]))
    (one,) = block.refinements
    network = refiner.screener.predict(one.relaxed).derived.prediction.tensors
    assert np.array_equal(block.tensors[Tensor.DIELECTRIC_ELECTRONIC], network[Tensor.DIELECTRIC_ELECTRONIC])
    stiffness, given = block.tensors[Tensor.ELASTIC][0], network[Tensor.ELASTIC][0]
    assert not np.allclose(stiffness, given)
    low, high = np.minimum(given, CUBIC), np.maximum(given, CUBIC)
    # the potential's softening is corrected by at most a few tens of per cent
    assert (stiffness >= low - 0.3 * np.abs(low) - 1e-6).all() and (stiffness <= high + 0.3 * np.abs(high) + 1e-6).all()
    assert one.columns["potential_k_vrh_gpa"] == pytest.approx((200 + 2 * 80) / 3)
    assert one.columns["given_pressure_gpa"] == pytest.approx(6.0)
    assert one.columns["refinement_seconds"] == 1.5


def test_an_unstable_polar_mode_is_said_in_words(refiner: Refiner, crystals: CrystalBatch) -> None:
    stable, unstable = refiner.screen(IDS[:2], crystals.select([0, 1])).refinements
    assert (stable.columns["gamma_stable"], stable.columns["polar_instability"]) == (True, False)
    assert (unstable.columns["gamma_stable"], unstable.columns["polar_instability"]) == (False, True)
    texts = json.loads(refiner.screen(IDS[1:2], crystals.select([1])).warnings[0])
    assert any("T1u" in text and "polar" in text for text in texts)


def test_a_block_of_refused_crystals_alone_is_an_answer_too(refiner: Refiner, crystals: CrystalBatch) -> None:
    block = refiner.screen(IDS[3:], crystals.select([3, 4, 5]))
    assert (block.crystal_ids, len(block.quarantined), block.refinements) == ([], 3, [])


def test_energies_of_competing_crystals_come_without_results(refiner: Refiner, crystals: CrystalBatch) -> None:
    ids = [ENERGY_ONLY + name for name in IDS[:2]]
    block = refiner.screen(ids, crystals.select([0, 1]))
    assert (block.crystal_ids, block.energies, block.refinements) == (ids[1:], [-1.0], [])
    assert block.quarantined == [(ids[0], Reason.RELAXATION_FAILED, "the relaxation collapsed")]
    with pytest.raises(ValueError, match="holds crystals to refine"):
        refiner.screen([IDS[0], ids[1]], crystals.select([0, 1]))
