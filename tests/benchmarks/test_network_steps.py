"""Every form of the network that is timed computes the same; a patch that did not take hold would time nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import network_steps
from benchmarks.network_steps import differences, forms, measured, table
from models.gmtnet.compiled import network as compiled_network
from models.quantities import Tensor
from models.symmetry.idealize import idealize
from models.symmetry.search import find_symmetry
from models.tensors.voigt import to_components
from models.testing.contract import textbook_crystals

CRYSTALS = textbook_crystals().crystals
IDEAL = idealize(CRYSTALS, find_symmetry(CRYSTALS))
FORMS = list(forms("gmtnet", CRYSTALS, IDEAL))
PLAIN = [form for form in FORMS if form.name.startswith("plain")]
ONE = [form for form in FORMS if form not in PLAIN and not form.name.startswith("all 4")]


@pytest.fixture(scope="module")
def wanted() -> dict[Tensor, np.ndarray]:
    return FORMS[0].run()


@pytest.mark.parametrize("form", ONE[1:], ids=lambda form: form.name)
def test_steps_do_not_change_the_answers(form: network_steps.Form, wanted: dict[Tensor, np.ndarray]) -> None:
    # cells as given are textbook cells, symmetric to seven digits
    for quantity, given in form.run().items():
        np.testing.assert_allclose(given, wanted[quantity], rtol=0, atol=2e-4 * np.abs(wanted[quantity]).max())


@pytest.mark.parametrize("form", PLAIN, ids=lambda form: form.name)
def test_the_plain_network_says_the_same(form: network_steps.Form, wanted: dict[Tensor, np.ndarray]) -> None:
    for quantity, components in form.run().items():
        expected = to_components(quantity, wanted[quantity])
        np.testing.assert_allclose(components, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


def test_patches_take_hold_and_are_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled_network.radial_features
    (form,) = (form for form in FORMS if form.name == "radial functions computed")
    monkeypatch.setattr(compiled_network, "radial_features", _refuse)
    form.run()  # the function in its place is not called
    with pytest.raises(AssertionError, match="called"):
        FORMS[0].run()
    monkeypatch.undo()
    assert compiled_network.radial_features is before


def _refuse(*_: object) -> None:
    raise AssertionError("called")


def test_the_table_has_a_line_per_form_and_differences_are_small(tmp_path: Path) -> None:
    rows = measured(FORMS[:2], CRYSTALS.n_crystals, rounds=1)
    assert rows[0]["ratio"]["of_minima"] == 1.0
    assert len(table(rows).splitlines()) == 2 + len(rows)
    assert json.loads(json.dumps(rows)) == rows
    apart = differences("gmtnet", IDEAL)
    assert set(apart) == {q.value for q in Tensor}
    assert max(values["largest"] for values in apart.values()) < 3e-5
