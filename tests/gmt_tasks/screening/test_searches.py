"""How often neighbours and symmetry are searched for on the way of a crystal from its source to its results."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from db.records import ModelVersion
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.screening.screener import Screener
from gmt_tasks.sources.source import SourceBlock
from models.crystals import neighbors
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.errors import Reason
from models.gmtnet.config import GMTNET
from models.symmetry.search import SYMPRECS_ANGSTROM
from models.symmetry.standard_setting import Settings, StandardSettings
from models.tensor_model import GraphModel, TensorModel
from models.testing.contract import ToyTensorModel, textbook_crystals
from tests.models.gmtnet.untrained import untrained

VERSION = ModelVersion("model", "1", "0" * 64)
CRYSTALS = textbook_crystals().crystals
N = CRYSTALS.n_crystals


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Crystals searched for neighbours, and at each tolerance for symmetry, wherever the search was imported to."""
    counts: Counter[str] = Counter()

    def counted(search: Callable[..., Any]) -> Callable[..., Any]:
        def count(lattice: Floats, *args: Any, **options: Any) -> Any:
            counts["neighbors"] += len(lattice)
            return search(lattice, *args, **options)

        return count

    for name in ("find_shells", "closest_pairs"):  # find_neighbors asks for one shell
        search = getattr(neighbors, name)
        for module in list(sys.modules.values()):
            if getattr(module, name, None) is search:
                monkeypatch.setattr(module, name, counted(search))
    find = StandardSettings.find

    def settings(self: StandardSettings, crystals: Ints, indices: Ints) -> Settings:
        counts.update(f"symmetry at {self.tolerances[index]:g}" for index in indices)
        return find(self, crystals, indices)

    monkeypatch.setattr(StandardSettings, "find", settings)
    return counts


def source_block(crystals: CrystalBatch) -> SourceBlock:
    names = [str(k) for k in range(crystals.n_crystals)]
    return SourceBlock(0, len(names), np.arange(len(names)), names, crystals, [None] * len(names), [])


def test_neighbours_are_searched_once_in_the_driver_and_once_for_each_cell_in_the_worker(
    searches: Counter[str],
) -> None:
    """The cell as given, and the idealised one; symmetry is searched once, at the working tolerance."""
    screener = Screener(untrained(GMTNET), VERSION)
    assert isinstance(screener.model, GraphModel)
    block = ingest_block("textbook", source_block(CRYSTALS))
    assert searches == {"neighbors": N}
    results = screener.screen(block.crystal_ids, block.crystals)
    assert len(results.crystal_ids) == N
    assert searches["neighbors"] == 3 * N
    assert searches["symmetry at 0.01"] == N
    assert not any(searches[f"symmetry at {symprec:g}"] for symprec in SYMPRECS_ANGSTROM if symprec != 0.01)


def test_a_model_that_only_predicts_searches_for_itself(searches: Counter[str]) -> None:
    model: TensorModel = ToyTensorModel()
    Screener(model, VERSION).predict(CRYSTALS)
    assert searches["neighbors"] == 2 * N


def test_another_tolerance_costs_no_more_than_one_more_symmetry_search(searches: Counter[str]) -> None:
    Screener(untrained(GMTNET), VERSION, symprec=0.02).predict(CRYSTALS)
    assert 0 < sum(count for name, count in searches.items() if name.startswith("symmetry")) <= 2 * N


def test_overlapping_atoms_are_refused_from_the_same_search(searches: Counter[str]) -> None:
    """In the driver and, where crystals come past it, in the worker."""
    frac = CRYSTALS.frac_coords.copy()
    atoms = slice(CRYSTALS.first_atom[3], CRYSTALS.first_atom[4])
    frac[atoms] = frac[atoms.start]
    overlapping = CrystalBatch(CRYSTALS.lattice, frac, CRYSTALS.numbers, CRYSTALS.crystal_of_atom)
    block = ingest_block("textbook", source_block(overlapping))
    detail = "atoms 0 and 1 (0-based) are 0.000 angstrom apart"
    assert [(item.position, item.reason, item.detail) for item in block.rejected] == [(3, Reason.OVERLAP, detail)]
    assert block.crystal_ids == ingest_block("textbook", source_block(CRYSTALS.select(block.positions))).crystal_ids
    prediction = Screener(untrained(GMTNET), VERSION).predict(overlapping)
    assert prediction.refused == {3: (Reason.OVERLAP, detail)}
    assert prediction.rows.tolist() == [k for k in range(N) if k != 3]
    assert searches["neighbors"] == 4 * N - 2  # two blocks in the driver, given and idealised cells in the worker
