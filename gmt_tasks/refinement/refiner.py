"""What a worker does to a block of crystals: ask the potential, predict the relaxed cells, combine both."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from db.records import ModelVersion, ResultBlock
from gmt_tasks.refinement.combination import combined_prediction, corrected, disagreement, moduli
from gmt_tasks.refinement.estimate import standard_cells
from gmt_tasks.refinement.opinions import refinement_of, warnings_of
from gmt_tasks.refinement.recipe import Recipe, load_recipe
from gmt_tasks.screening.refusals import Refusals, unsupported
from gmt_tasks.screening.screener import Screener, result_block
from models.crystals.crystal import CrystalBatch, Floats
from models.errors import Reason
from models.potential.interface import Potential
from models.potential.second_opinion import Relaxation, SecondOpinion
from models.quantities import Tensor

Opinions = tuple[dict[int, SecondOpinion], dict[int, str]]
Energies = tuple[dict[int, float], dict[int, str]]

ENERGY_ONLY = "energy of "
"""Before the id of a crystal of which nothing but its relaxed energy is wanted, for a convex hull."""


class AskOpinions(Protocol):
    """As `models.potential.opinion.second_opinions`."""

    def __call__(
        self, potential: Potential, crystals: CrystalBatch, *, symprec: float, stiffness_guess_gpa: Floats | None
    ) -> Opinions:
        """Second opinions by row, and why other rows have none."""


@dataclass
class Refiner:
    """A network and a potential with what combines them: what a worker of a refine run holds.

    Attributes:
        screener: the network.
        potential: the second opinion.
        ask: `second_opinions`.
        energies: `relaxed_energies`.
        max_atoms: of a primitive cell; larger ones are refused.
        recipe: weights and widths.
    """

    screener: Screener
    potential: Potential
    ask: AskOpinions
    energies: Callable[[Potential, CrystalBatch], Energies]
    max_atoms: int
    recipe: Recipe

    @classmethod
    def load(cls, model: str, *, device: str, symprec: float, max_atoms: int) -> "Refiner":
        """Loads a network by name or path, and the potential that comes with the program.

        Raises:
            ModelError: there is no such network.
            PotentialError: the potential cannot be loaded; says what to install.
        """
        from models.gmtnet.device import resolve_device
        from models.potential.opinion import second_opinions
        from models.potential.relaxed_energies import relaxed_energies
        from models.potential.sevennet import SevenNet

        screener = Screener.load(model, device=device, symprec=symprec)
        potential = SevenNet(device=resolve_device(device))
        return cls(screener, potential, second_opinions, relaxed_energies, max_atoms, load_recipe())

    @property
    def potential_version(self) -> ModelVersion:
        """The identity of the potential."""
        return ModelVersion(self.potential.name, self.potential.version, self.potential.sha256)

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """The rows that go to the database for a shard of crystals, or energies of competing ones.

        Raises:
            ValueError: the block mixes both.
        """
        marked = [name.startswith(ENERGY_ONLY) for name in crystal_ids]
        if any(marked):
            if not all(marked):
                raise ValueError("a block holds crystals to refine and crystals of which the energy is wanted")
            return self._evaluate(crystal_ids, crystals)
        return self.refine(crystal_ids, crystals)

    def refine(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """Combined results and second opinions; refused crystals are named with their reason."""
        refused = self._refusals(crystals, self.potential.elements & self.screener.model.elements)
        kept = [row for row in range(crystals.n_crystals) if row not in refused]
        # The network's stiffness saves steps of the relaxation; a crystal that it refuses has none.
        guess = np.full((len(kept), 6, 6), np.nan)
        first = self.screener.predict(crystals.select(kept))
        if Tensor.ELASTIC in first.derived.prediction.tensors:
            guess[first.rows] = first.derived.prediction.tensors[Tensor.ELASTIC]
        opinions, failures = self.ask(
            self.potential, crystals.select(kept), symprec=self.screener.symprec, stiffness_guess_gpa=guess
        )
        refused |= {kept[k]: (Reason.RELAXATION_FAILED, why) for k, why in failures.items()}
        for k, opinion in opinions.items():
            if opinion.relaxation is Relaxation.COLLAPSED:
                ratio = f"volume {opinion.volume_ratio:.2f} times that of the cell as given"
                refused[kept[k]] = (Reason.RELAXATION_FAILED, f"the relaxation ran out of bounds, last at {ratio}")
        rows = [kept[k] for k in sorted(opinions) if kept[k] not in refused]
        by_row = {kept[k]: opinion for k, opinion in opinions.items()}
        block = self._combined([crystal_ids[row] for row in rows], [by_row[row] for row in rows])
        return replace(
            block,
            quarantined=[*block.quarantined, *((crystal_ids[row], *why) for row, why in sorted(refused.items()))],
        )

    def _refusals(self, crystals: CrystalBatch, elements: frozenset[int]) -> Refusals:
        """Crystals with elements that network or potential do not know, and those with too large primitive cells."""
        refused = unsupported(crystals, elements)
        for row in np.flatnonzero(crystals.atoms_per_crystal > self.max_atoms).tolist():
            cells = standard_cells(crystals.select([row]), self.screener.symprec)
            n_atoms = len(cells[0].crystal.numbers) if cells else int(crystals.atoms_per_crystal[row])
            if n_atoms > self.max_atoms:
                refused.setdefault(row, (Reason.TOO_LARGE, f"{n_atoms} atoms, more than --max-atoms {self.max_atoms}"))
        return refused

    def _combined(self, crystal_ids: list[str], opinions: list[SecondOpinion]) -> ResultBlock:
        """Results of relaxed cells, network and potential combined."""
        if not opinions:
            return ResultBlock([], {}, {}, {}, [], [])
        relaxed = CrystalBatch.join(opinion.relaxed for opinion in opinions)
        network = self.screener.predict(relaxed)
        kept = [opinions[row] for row in network.rows]
        stiffness = np.array([opinion.stiffness_gpa for opinion in kept]).reshape(-1, 6, 6)
        alone = moduli(stiffness)
        of_network = network.derived.prediction.crystals
        without_softening = moduli(corrected(stiffness, of_network, self.recipe))
        disagrees = disagreement(network.derived.columns, without_softening, self.recipe)
        combined = combined_prediction(network, stiffness, self.recipe, self.screener.calibration)
        ids = [crystal_ids[row] for row in network.rows]
        refinements = []
        for k, (crystal_id, opinion) in enumerate(zip(ids, kept, strict=True)):
            facts: dict[str, float | bool] = {f"potential_{name}": float(values[k]) for name, values in alone.items()}
            facts["second_opinion_disagrees"] = bool(disagrees[k])
            refinements.append(refinement_of(crystal_id, str(self.potential_version), opinion, facts))
        block = result_block(crystal_ids, combined)
        texts = zip(block.warnings, map(warnings_of, refinements), strict=True)
        warnings = [json.dumps([*json.loads(text), *more]) for text, more in texts]
        return replace(block, warnings=warnings, refinements=refinements)

    def _evaluate(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """Relaxed energies of crystals."""
        refused = self._refusals(crystals, self.potential.elements)
        kept = [row for row in range(crystals.n_crystals) if row not in refused]
        energies, failures = self.energies(self.potential, crystals.select(kept))
        refused |= {kept[k]: (Reason.RELAXATION_FAILED, why) for k, why in failures.items()}
        rows = sorted(energies)
        failed = [(crystal_ids[row], *why) for row, why in sorted(refused.items())]
        known = [crystal_ids[kept[k]] for k in rows]
        return ResultBlock(known, {}, {}, {}, ["[]"] * len(rows), failed, energies=[energies[k] for k in rows])


def load_refiner(model: str, device: str, symprec: float, max_atoms: int) -> Refiner:
    """Loads the worker of a refine run; torch is imported here, in the worker process."""
    return Refiner.load(model, device=device, symprec=symprec, max_atoms=max_atoms)
