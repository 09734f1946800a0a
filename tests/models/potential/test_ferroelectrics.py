"""Second opinions by SevenNet about crystals whose instabilities are known."""

import numpy as np
import pytest

from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.potential.opinion import second_opinions
from models.potential.second_opinion import SecondOpinion

# Ground states within the five-atom cell in DFT: Ph. Ghosez et al., Phys. Rev. B 60, 836 (1999); rhombohedral BaTiO3
# and KNbO3, tetragonal PbTiO3.
GROUND_STATES = {"BaTiO3": ("Ba", "Ti", 4.0, 160), "PbTiO3": ("Pb", "Ti", 3.97, 99), "KNbO3": ("K", "Nb", 4.0, 160)}


def opinion_of(crystal: CrystalBatch) -> SecondOpinion:
    sevennet = pytest.importorskip("models.potential.sevennet")
    pytest.importorskip("sevenn", reason="the extra refine is not installed")
    opinions, failures = second_opinions(sevennet.SevenNet(), crystal)
    assert not failures
    return opinions[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUND_STATES)
def test_cubic_ferroelectrics_have_a_polar_unstable_mode_and_end_in_their_ground_state(name: str) -> None:
    first, second, a, spacegroup = GROUND_STATES[name]
    frac_coords = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    numbers = np.array([SYMBOLS.index(symbol) for symbol in (first, second, "O", "O", "O")])
    found = opinion_of(CrystalBatch.from_arrays([a * np.eye(3)], [frac_coords], [numbers]))
    assert not found.gamma_stable
    assert (found.modes[0].irrep, found.modes[0].polar) == ("T1u", True)
    assert found.broken_spacegroup == spacegroup
    assert -0.1 < found.broken_energy_ev_per_atom < -0.005


@pytest.mark.slow
def test_silicon_is_stable_with_its_published_mode_and_moduli() -> None:
    """PBE: a = 5.47 Å, Raman mode 15.2 THz, K = 89 GPa; the potential is known to be softer."""
    lattice = 5.43 / 2 * (np.ones((3, 3)) - np.eye(3))
    found = opinion_of(CrystalBatch.from_arrays([lattice], [np.array([[0, 0, 0], [0.25] * 3])], [np.array([14, 14])]))
    assert found.gamma_stable
    assert [(mode.irrep, mode.degeneracy) for mode in found.modes] == [("T2g", 3)]
    assert 11 < found.lowest_mode_thz < 16
    assert found.stiffness_gpa[:3, :3].sum() / 9 == pytest.approx(89, rel=0.1)
