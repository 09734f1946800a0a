"""SevenNet-l3i5 with fused convolutions: the numbers of the `sevenn` package, and the laws of a potential."""

import json
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.crystals.crystal import CrystalBatch
from models.crystals.neighbors import Neighbors, find_neighbors
from models.potential import sevennet
from models.potential.card import CARD
from models.potential.interface import EV_PER_A3_IN_GPA, Evaluation, Potential, PotentialError
from models.potential.mirrored import Mirrored
from models.potential.sevennet import SevenNet
from models.reference.crystals import textbook_crystals, transformed
from models.testing.potential import PotentialContract, PotentialContractError

pytest.importorskip("sevenn", reason="sevenn is not installed: pip install gmtscreen[refine]")
MIRROR = np.diag([1.0, 1.0, -1.0])


@cache
def network(dtype: str = "float32", *, fused: bool = True) -> SevenNet:
    return SevenNet(dtype=dtype, fused=fused)


def crystals(*names: str) -> CrystalBatch:
    books = textbook_crystals()
    return books.crystals.select([next(k for k, known in enumerate(books.names) if name in known) for name in names])


def differences(first: Evaluation, second: Evaluation) -> tuple[float, ...]:
    """Largest ones of energies in eV, forces in eV/Å and stresses in GPa."""
    fields = ("energy_ev", "forces_ev_per_angstrom", "stress_gpa")
    return tuple(float(np.abs(getattr(first, name) - getattr(second, name)).max()) for name in fields)


def test_two_crystals_have_the_energies_forces_and_stresses_of_the_package() -> None:
    """MgO and displaced silicon by `sevenn.calculator.SevenNetCalculator("7net-l3i5")`, sevenn 0.13.0."""
    batch = CrystalBatch.from_arrays(
        [2.105 * (1 - np.eye(3)), 2.7 * (1 - np.eye(3))],
        [np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([[0.02, 0, 0], [0.25, 0.25, 0.25]])],
        [np.array([12, 8]), np.array([14, 14])],
    )
    found = network().evaluate(batch)
    assert found.energy_ev == pytest.approx([-11.950823, -10.801683], abs=2e-5)
    pull = np.array([-0.114049, -0.580569, -0.580569])
    assert found.forces_ev_per_angstrom == pytest.approx(np.array([0 * pull, 0 * pull, pull, -pull]), abs=2e-5)
    stress = [[-4.589402, 0, 0], [0, -4.589402, 0], [0, 0, -4.589402]]
    assert found.stress_gpa[0] == pytest.approx(np.array(stress), abs=2e-3)
    stress = [[-3.930096, -2.271537, -2.271537], [-2.271537, -3.844653, -0.353567], [-2.271537, -0.353567, -3.844653]]
    assert found.stress_gpa[1] == pytest.approx(np.array(stress), abs=2e-3)


def test_a_batch_in_many_passes_is_the_same_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = crystals("quartz", "MgO", "copper")
    at_once = network().evaluate(batch)
    monkeypatch.setattr(network(), "_edges_per_pass", 100)
    assert max(differences(network().evaluate(batch), at_once)) < 1e-3
    with torch.no_grad():  # as a caller that trains nothing may have set it
        assert max(differences(network().evaluate(batch), at_once)) < 1e-3


def test_the_two_hands_of_quartz_have_one_energy_in_the_mean_only() -> None:
    quartz = crystals("quartz")
    pair = CrystalBatch.join([quartz, transformed(quartz, MIRROR)])
    seen, mean = network().evaluate(pair).energy_ev, Mirrored(network()).evaluate(pair).energy_ev
    assert abs(seen[0] - seen[1]) > 2e-4
    assert abs(mean[0] - mean[1]) < 5e-5
    assert mean[0] == pytest.approx(seen.mean(), abs=5e-5)


def test_an_element_that_was_not_trained_on_is_named() -> None:
    radon = CrystalBatch.from_arrays([5.0 * np.eye(3)], [np.zeros((1, 3))], [np.array([86])])
    with pytest.raises(PotentialError, match=r"sevennet-l3i5 was not trained on Rn\. Leave"):
        network().evaluate(radon)
    assert len(network().elements) == 89 and {1, 8, 94} <= network().elements


@pytest.mark.parametrize("fused", [True, False])
def test_without_the_package_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, fused: bool) -> None:
    monkeypatch.setitem(sys.modules, "sevenn.model_build", None)
    with pytest.raises(PotentialError, match=r"missing: sevenn.*pip install 'gmtscreen\[refine\]'\.$"):
        SevenNet(fused=fused)


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = tmp_path / CARD.name
    monkeypatch.setattr(sevennet, "CARD", card)
    with pytest.raises(PotentialError, match="cannot be read"):
        SevenNet()
    shutil.copy(CARD, card)
    content = bytearray(CARD.with_suffix(".safetensors").read_bytes())
    content[-1] ^= 1
    card.with_suffix(".safetensors").write_bytes(content)
    with pytest.raises(PotentialError, match="is not the file its card describes"):
        SevenNet()


@pytest.mark.slow
class TestInDoublePrecision(PotentialContract):
    step = 1e-3
    difference_tolerance = 1e-6
    sees_handedness = True

    def make_potential(self) -> Potential:
        return network("float64")


@pytest.mark.slow
class TestInSinglePrecision(PotentialContract):
    energy_tolerance_ev = 1e-5
    force_tolerance_ev_per_angstrom = 1e-4
    stress_tolerance_gpa = 1e-2
    step = 2e-2
    difference_tolerance = 0.05
    sees_handedness = True

    def make_potential(self) -> Potential:
        return network()


@pytest.mark.slow
class TestBothHands(PotentialContract):
    step = 1e-3
    difference_tolerance = 1e-6

    def make_potential(self) -> Potential:
        return Mirrored(network("float64"))


@pytest.mark.slow
def test_the_network_sees_handedness() -> None:
    """Without the mean over both hands the contract is broken: it is no empty law."""

    class Blind(TestInDoublePrecision):
        sees_handedness = False

    with pytest.raises(PotentialContractError, match="improper rotation"):
        Blind().test_reflecting_the_crystal_reflects_forces_and_stress()


@pytest.mark.slow
def test_a_pair_that_is_left_out_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_the_first(*arguments: Any) -> Neighbors:
        every = find_neighbors(*arguments)
        return every.take(np.arange(1, len(every.center)))

    laws = TestInDoublePrecision()
    assert laws.expected is not None  # of all pairs
    monkeypatch.setattr(sevennet, "find_neighbors", without_the_first)
    for law in (
        laws.test_the_order_of_the_atoms_does_not_matter,
        laws.test_the_other_crystals_of_a_batch_do_not_matter,
    ):
        with pytest.raises(PotentialContractError):
            law()


@pytest.mark.slow
def test_fused_convolutions_give_the_numbers_of_the_plain_network() -> None:
    batch = TestInDoublePrecision().crystals
    both = network("float64").evaluate(batch), network("float64", fused=False).evaluate(batch)
    assert max(differences(*both)) < 1e-9


@pytest.mark.slow
def test_varied_crystals_agree_with_the_calculator_of_the_package() -> None:
    """Elements from all over the table, 1 to 16 atoms, strained by 3 % and rattled by 0.1 Å; also a lone atom."""
    from ase.build import bulk
    from sevenn.calculator import SevenNetCalculator

    rng = np.random.default_rng(0)
    rocksalt, fcc, bcc, hcp = ("MgO", "NaCl", "PbTe", "UC"), ("Cu", "Al", "Pt", "Ar"), ("Fe", "W", "Cs"), ("Ti", "Gd")
    cells = [bulk(name, "rocksalt", a=a) for name, a in zip(rocksalt, (4.21, 5.64, 6.46, 4.96), strict=True)]
    cells += [bulk(name, "fcc") for name in fcc] + [bulk(name, "bcc") for name in bcc] + [bulk(name) for name in hcp]
    cells += [bulk("ZnO", "wurtzite", a=3.25, c=5.2), bulk("GaAs", "zincblende", a=5.65), bulk("Si") * (2, 2, 2)]
    cells += [bulk("CaF2", "fluorite", a=5.46), bulk("CsCl", "cesiumchloride", a=4.12), bulk("C") * (2, 1, 1)]
    cells += [bulk("MgO", "rocksalt", a=4.21, cubic=True), bulk("Ar", "fcc", a=30.0), bulk("Bi", "bcc", a=3.8)]
    for seed, cell in enumerate(cells):
        cell.set_cell(cell.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        cell.rattle(0.1, seed=seed)
    batch = CrystalBatch.from_arrays(
        [cell.cell.array for cell in cells],
        [cell.get_scaled_positions() for cell in cells],
        [cell.numbers for cell in cells],
    )
    found, calculator = network().evaluate(batch), SevenNetCalculator("7net-l3i5", device="cpu")
    assert len(cells) > 20
    for row, cell in enumerate(cells):
        cell.calc = calculator
        expected, forces = cell.get_potential_energy(), cell.get_forces()
        stress = cell.get_stress(voigt=False) * EV_PER_A3_IN_GPA
        assert abs(found.energy_ev[row] - expected) / len(cell) < 2e-6
        atoms = slice(batch.first_atom[row], batch.first_atom[row + 1])
        assert np.abs(found.forces_ev_per_angstrom[atoms] - forces).max() < 1e-5 * max(1.0, np.abs(forces).max())
        assert np.abs(found.stress_gpa[row] - stress).max() < 1e-5 * max(100.0, np.abs(stress).max())


@pytest.mark.slow
def test_the_shipped_weights_are_those_of_the_package() -> None:
    from benchmarks.potential.convert_sevennet import converted

    weights, config = converted()
    shipped = load_file(CARD.with_suffix(".safetensors"))
    assert shipped.keys() == weights.keys()
    assert all(torch.equal(shipped[name], value) for name, value in weights.items())
    card = json.loads(CARD.read_text(encoding="utf-8"))["config"]
    assert {int(z): row for z, row in card.pop("_type_map").items()} == config.pop("_type_map")
    assert card == config
