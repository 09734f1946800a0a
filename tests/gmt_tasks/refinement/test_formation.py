"""Estimated energies: laws of the hull, unknown elements, and the shipped potential on well-known crystals."""

import numpy as np
import pytest

from gmt_tasks.gates.gates import Gates
from gmt_tasks.gates.report import Gate
from gmt_tasks.refinement.formation import EnergyEstimator, above_known_hull, energies_as_given
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats
from models.plausibility.formation_energy import energy_references, known_hull, reference_columns
from models.potential.interface import Evaluation, Potential


def named(*names: str) -> CrystalBatch:
    """Reference crystals."""
    known = [reference_crystals()[name] for name in names]
    return CrystalBatch.from_arrays(
        [c.lattice for c in known], [c.frac_coords for c in known], [c.numbers for c in known]
    )


class FakePotential:
    """Energies by which every crystal has a formation energy of -1 eV per atom, and a force of 0.5 on the last atom."""

    name, version, sha256 = "fake", "1", "0" * 64
    elements = frozenset(SYMBOLS.index(symbol) for symbol in "Ga N Zn O Si Ba Ti".split())

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        """See the class."""
        forces = np.zeros((len(crystals.numbers), 3))
        forces[-1] = 0.5
        per_atom = reference_columns(crystals) @ np.nan_to_num(energy_references().shifts_ev) - 1.0
        return Evaluation(per_atom * crystals.atoms_per_crystal, forces, np.zeros((crystals.n_crystals, 3, 3)))


def test_unknown_elements_have_no_energy_and_disturb_no_others() -> None:
    crystals = named("gan", "nacl", "zno")
    estimate = EnergyEstimator(FakePotential())(crystals)
    np.testing.assert_allclose(estimate.formation_ev_per_atom, [-1, np.nan, -1], atol=1e-9)
    assert np.isnan(estimate.above_hull_ev_per_atom).tolist() == [False, True, False]
    low, high = energy_references().half_width_ev_per_atom
    np.testing.assert_allclose(estimate.half_width_ev_per_atom, [low, np.nan, high])


def test_no_crystals_have_no_energies() -> None:
    estimate = EnergyEstimator(FakePotential())(CrystalBatch.from_arrays([], [], []))
    assert estimate.above_hull_ev_per_atom.shape == (0,)


def test_a_crystal_on_the_hull_is_on_it_and_one_with_more_energy_as_far_above() -> None:
    hull, rng = known_hull(), np.random.default_rng(0)
    rows = rng.choice(len(hull.fractions), 40, replace=False)
    energies: list[float] = hull.formation_ev_per_atom[rows].tolist()
    numbers = []
    for row in rows.tolist():
        elements = np.flatnonzero(hull.fractions[row])
        share = hull.fractions[row][elements]
        amounts = next(
            np.rint(share * n) for n in range(1, 200) if np.allclose(share * n, np.rint(share * n), atol=1e-6)
        )
        numbers.append(np.repeat(elements, amounts.astype(int)))
    crystals = CrystalBatch.from_arrays([9 * np.eye(3)] * 40, [np.zeros((len(z), 3)) for z in numbers], numbers)
    above = above_known_hull(crystals, np.array(energies))
    # published energies are rounded, and a few compounds lie a little above their neighbours
    assert (above > -1e-9).all() and np.median(above) < 1e-6 and np.quantile(above, 0.8) < 0.01
    np.testing.assert_allclose(above_known_hull(crystals, np.array(energies) + 0.1), above + 0.1)


def test_elements_themselves_are_at_zero_and_the_hull_is_never_above_them() -> None:
    crystals = CrystalBatch.join(
        [named("gan"), CrystalBatch.from_arrays([np.eye(3)], [np.zeros((1, 3))], [np.array([14])])]
    )
    above = above_known_hull(crystals, np.array([0.0, 0.25]))
    assert above[0] >= 0 and above[1] == pytest.approx(0.25)
    assert np.isnan(above_known_hull(crystals, np.full(2, np.nan))).all()


def as_given_without_forces(potential: Potential, crystals: CrystalBatch) -> tuple[Floats, Floats]:
    """Energies one eV per atom higher."""
    energy, force = energies_as_given(potential, crystals)
    return energy + 1, force


def test_the_gate_takes_any_way_to_get_energies() -> None:
    low, high = (
        Gates(energies=EnergyEstimator(FakePotential(), way), order=(Gate.ENERGY,), most_above_hull_ev_per_atom=1.2)
        for way in (energies_as_given, as_given_without_forces)
    )
    before, after = low.judge(named("gan", "zno")), high.judge(named("gan", "zno"))
    for name in ("formation_energy_ev_per_atom", "above_hull_ev_per_atom"):
        np.testing.assert_allclose(after.numbers[name] - before.numbers[name], 1.0)
    assert (before.numbers["above_hull_ev_per_atom"] < 1.2).all() and before.passed() == [0, 1]
    far = after.numbers["above_hull_ev_per_atom"] - after.numbers["formation_energy_half_width_ev_per_atom"] > 1.2
    assert far.any() and sorted(after.refused) == np.flatnonzero(far).tolist()


def test_the_shipped_potential_finds_published_formation_energies() -> None:
    from models.potential.sevennet import SevenNet

    # eV per atom by DFT with the same corrections (Materials Project)
    published = {"gan": -0.66, "zno": -1.81, "nacl": -2.10, "mgo": -3.05}
    estimate = EnergyEstimator(SevenNet())(named(*published))
    np.testing.assert_allclose(estimate.formation_ev_per_atom, list(published.values()), atol=0.12)
    assert (estimate.above_hull_ev_per_atom < 0.1).all()
