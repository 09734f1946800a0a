"""What a refiner refuses, by name and with a reason, beside crystals whose calculation fails."""

from typing import Any

import numpy as np
import pytest

from gmt_tasks.refinement.recipe import load_recipe
from gmt_tasks.refinement.refiner import ENERGY_ONLY, Refiner
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch
from models.errors import Reason
from models.testing.contract import ToyTensorModel
from models.testing.pair_potential import PairPotential
from tests.gmt_tasks.workers.fake_screener import VERSION

FCC = 2.8 * (np.ones((3, 3)) - np.eye(3))
PAIR = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])


def crystals() -> CrystalBatch:
    """Rock salt: NaCl, MgO, NaCl in a cubic cell of eight atoms, and NaCl with a broken symmetry in that cell."""
    corners = np.array([[0.0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    cubic = np.concatenate([corners, corners + 0.5])
    rough = cubic + np.random.default_rng(0).normal(scale=0.02, size=(8, 3))
    eight = np.repeat([11, 17], 4)
    return CrystalBatch.from_arrays(
        [FCC, FCC, 5.6 * np.eye(3), 5.6 * np.eye(3)],
        [PAIR, PAIR, cubic, rough],
        [np.array([11, 17]), np.array([12, 8]), eight, eight],
    )


def refiner() -> Refiner:
    """A refiner of cells of four atoms whose potential knows Na and Cl and finds no minimum."""

    def nothing(potential: Any, asked: CrystalBatch, **_: Any) -> Any:
        return {}, dict.fromkeys(range(asked.n_crystals), "no minimum was found")

    def energies(potential: Any, asked: CrystalBatch) -> Any:
        return dict(enumerate(potential.evaluate(asked).energy_ev / asked.atoms_per_crystal)), {}

    potential = PairPotential(elements=frozenset({11, 17}))
    return Refiner(Screener(ToyTensorModel(), VERSION), potential, nothing, energies, 4, load_recipe())


def test_each_crystal_without_a_second_opinion_is_named_with_its_reason() -> None:
    block = refiner().screen(["nacl", "mgo", "cubic", "rough"], crystals())
    assert block.crystal_ids == []
    whys = {name: (reason, detail) for name, reason, detail in block.quarantined}
    assert {name: reason for name, (reason, _) in whys.items()} == {
        "nacl": Reason.RELAXATION_FAILED,
        "mgo": Reason.UNSUPPORTED_ELEMENT,
        "cubic": Reason.RELAXATION_FAILED,  # eight atoms, two in its primitive cell
        "rough": Reason.TOO_LARGE,
    }
    assert whys["nacl"][1] == "no minimum was found"
    assert "Mg" in whys["mgo"][1] and whys["rough"][1] == "8 atoms, more than --max-atoms 4"


def test_energies_of_competitors_are_asked_for_by_their_ids_and_never_mixed_with_second_opinions() -> None:
    names = [ENERGY_ONLY + name for name in ("nacl", "mgo", "cubic", "rough")]
    block = refiner().screen(names, crystals())
    assert block.crystal_ids == [names[0], names[2]]
    assert block.energies[0] == pytest.approx(block.energies[1]) and block.energies[0] < 0
    assert [name for name, _, _ in block.quarantined] == [names[1], names[3]]
    with pytest.raises(ValueError, match="mixes|holds"):
        refiner().screen(["nacl", *names[1:]], crystals())
