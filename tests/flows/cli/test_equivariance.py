"""`gmtscreen equivariance`: exit codes and what is printed, with models that need no weights."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from db.records import ModelVersion
from flows.cli.app import app
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch, Floats
from models.quantities import Tensor
from models.reference.crystals import ClassifiedCrystals
from models.testing.contract import ToyTensorModel, textbook_crystals

VERSION = ModelVersion("toy", "1", "0" * 64)


class Extensive(ToyTensorModel):
    """Tensors that grow with the number of atoms of the listing."""

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        grown = crystals.atoms_per_crystal.astype(np.float64)
        return {q: t * grown.reshape(-1, *[1] * (t.ndim - 2)) for q, t in super().predict(crystals).items()}


def few_crystals(seed: int) -> ClassifiedCrystals:
    known = textbook_crystals()
    return ClassifiedCrystals(known.names[4:6], known.classes[4:6], known.crystals.select([4, 5]))


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[ToyTensorModel], None]:
    """Puts a model in the place of the shipped one, and two crystals in the place of all classes."""

    def put(model: ToyTensorModel) -> None:
        monkeypatch.setattr(Screener, "load", lambda *_, **__: Screener(model, VERSION))
        monkeypatch.setattr("models.reference.crystals.crystals_of_all_classes", few_crystals)

    return put


def test_an_exact_model_ends_with_zero_and_prints_a_table_per_set(use: Callable[[ToyTensorModel], None]) -> None:
    use(ToyTensorModel())
    result = CliRunner().invoke(app, ["equivariance", "reference", "--candidates", "3"])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("2x2x2 supercell") == 2
    assert result.stdout.count("obeys its point group") == 2


@pytest.mark.parametrize("command", ["equivariance", "exactness"])
def test_a_model_that_depends_on_the_cell_ends_with_one_and_names_crystals(
    command: str, use: Callable[[ToyTensorModel], None]
) -> None:
    use(Extensive())
    result = CliRunner().invoke(app, [command, "reference", "--candidates", "3", "--json"])
    assert result.exit_code == 1
    assert "predictions depend on the representation" in result.stderr
    found = json.loads(result.stdout)
    assert [each["holds"] for each in found] == [False, False]
    assert {each["retelling"] for each in found[1]["deviations"]} == {
        "2x1x1 supercell",
        "1x2x1 supercell",
        "2x2x1 supercell",
        "2x2x2 supercell",
    }
    assert {each["crystal"] for each in found[1]["deviations"]} == {"rocksalt MgO", "diamond"}
