"""A refiner without torch: arithmetic on the cell, the elements of the fake screener that make it fail, and no wait."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from db.records import ResultBlock
from gmt_tasks.refinement.refiner import ENERGY_ONLY
from models.crystals.crystal import CrystalBatch
from models.potential.card import PotentialCard
from tests.db.refinements.opinions import POTENTIAL, refinement
from tests.gmt_tasks.workers.fake_screener import VERSION, make_fake

CARD = PotentialCard(*POTENTIAL.split("@"), "e" * 64, frozenset(range(1, 119)))


@dataclass
class FakeRefiner:
    """The contract of a refiner.

    Attributes:
        delay_s: time that a block takes, asleep.
    """

    delay_s: float = 0.0

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """Results with second opinions whose energy is minus the atomic number, or such energies alone."""
        block = make_fake().screen(crystal_ids, crystals)
        time.sleep(self.delay_s)
        energies = -crystals.numbers[crystals.first_atom[:-1]].astype(np.float64)
        if crystal_ids[0].startswith(ENERGY_ONLY):
            return ResultBlock(crystal_ids, {}, {}, {}, ["[]"] * len(crystal_ids), [], energies=energies.tolist())
        opinions = [
            refinement(crystal_id, 1, gamma_stable=True, energy_ev_per_atom=energy, refinement_seconds=0.5)
            for crystal_id, energy in zip(crystal_ids, energies.tolist(), strict=True)
        ]
        return replace(block, refinements=opinions)


def fake_refiner(model: str, device: str, symprec: float, max_atoms: int) -> FakeRefiner:
    """Stands in for `load_refiner` inside worker processes."""
    return FakeRefiner()


def slow_refiner(model: str, device: str, symprec: float, max_atoms: int) -> FakeRefiner:
    """As `fake_refiner`, so slow that a run can be caught in the middle."""
    return FakeRefiner(delay_s=0.3)


def replaced(load: Any = fake_refiner) -> dict[str, Any]:
    """What stands in for parts of `gmt_tasks.refinement.session`, by name."""
    return {
        "describe_model": lambda model: (VERSION, {}),
        "read_potential_card": lambda: CARD,
        "load_refiner": load,
    }
