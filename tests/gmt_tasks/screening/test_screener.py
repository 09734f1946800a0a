"""The whole path from crystals to tensors: covariant, symmetric, and nothing lost on the way."""

import json
from functools import cache
from typing import Any

import moyopy
import numpy as np
import pytest
import spglib

from db.records import ModelVersion
from gmt_tasks.screening.average import average
from gmt_tasks.screening.infer import RawPrediction
from gmt_tasks.screening.metals import WITHHELD
from gmt_tasks.screening.refusals import not_finite, unsupported
from gmt_tasks.screening.screener import Screener, TensorPrediction, warnings_of
from gmt_tasks.screening.symmetrize import symmetrize
from gmt_tasks.screening.symmetry_analysis import analyse_symmetry
from models.applicability.metals import has_only_metals
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.errors import Reason
from models.gmtnet.config import GMTNET
from models.quantities import DERIVED, TENSORS, ColumnKind, Tensor
from models.reference.crystals import CRYSTAL_CLASSES, class_operations, in_cell, random_orthogonal, transformed
from models.symmetry import standard_setting
from models.tensor_model import TensorModel
from models.tensors.rotate import rotate
from models.testing.contract import ToyTensorModel, crystals_of_all_classes, disagreement, textbook_crystals
from tests.models.gmtnet.untrained import untrained

VERSION = ModelVersion("toy", "1", "0" * 64)
CLASSIFIED = crystals_of_all_classes(seed=9)
TEXTBOOK = textbook_crystals().crystals
FORBIDDEN = {"-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m", "432"}


@cache
def screener(kind: str) -> Screener:
    model: TensorModel = ToyTensorModel() if kind == "toy" else untrained(GMTNET)
    return Screener(model, VERSION)


@cache
def all_classes(kind: str) -> TensorPrediction:
    return screener(kind).predict(CLASSIFIED.crystals)


def tensors_of(prediction: TensorPrediction) -> dict[Tensor, Floats]:
    return prediction.derived.prediction.tensors


MODELS = pytest.mark.parametrize(("kind", "tolerance"), [("toy", 1e-9), ("network", 1e-4)])


@MODELS
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_tensors_turn_with_crystals_of_all_classes(kind: str, tolerance: float, sign: int) -> None:
    turn = sign * random_orthogonal(np.random.default_rng(3))
    turned = screener(kind).predict(transformed(CLASSIFIED.crystals, turn))
    assert turned.refused == {}
    for quantity, tensors in tensors_of(all_classes(kind)).items():
        found = tensors_of(turned)[quantity]
        assert disagreement(found, rotate(quantity, tensors, turn)).max() < tolerance
        assert disagreement(found, tensors).max() > 100 * tolerance  # negative control: the frame matters


@MODELS
def test_ranked_columns_do_not_depend_on_the_frame(kind: str, tolerance: float) -> None:
    turned = screener(kind).predict(transformed(CLASSIFIED.crystals, -random_orthogonal(np.random.default_rng(4))))
    before, after = all_classes(kind).derived.columns, turned.derived.columns
    typical = {"k_voigt_gpa", "g_voigt_gpa", "e_norm_c_per_m2", "eps_electronic_mean", "eps_total_max"}
    for name in typical:
        assert np.allclose(
            after[name],
            before[name],
            rtol=30 * tolerance,
            atol=tolerance * np.nanmax(np.abs(before[name])),
            equal_nan=True,  # a metal has no static response
        )
        assert np.isfinite(before[name]).sum() > 20


@MODELS
@pytest.mark.parametrize(
    "cell",
    [np.diag([2, 1, 1]), np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])],
)
def test_tensors_do_not_depend_on_the_cell(kind: str, tolerance: float, cell: Ints) -> None:
    expected = tensors_of(screener(kind).predict(TEXTBOOK))
    found = tensors_of(screener(kind).predict(in_cell(TEXTBOOK, cell)))
    for quantity, tensors in expected.items():
        assert disagreement(found[quantity], tensors).max() < tolerance


@MODELS
def test_tensors_obey_the_crystal_class_to_rounding(kind: str, tolerance: float) -> None:
    """The operations are made from generators here, not by the code under test."""
    for k, symbol in enumerate(CRYSTAL_CLASSES):
        basis = CLASSIFIED.crystals.lattice[k].T
        operations = basis @ class_operations(symbol) @ np.linalg.inv(basis)
        for quantity, tensors in tensors_of(all_classes(kind)).items():
            residual = rotate(quantity, tensors[k], operations) - tensors[k]
            assert np.abs(residual).max() <= 1e-6 * max(np.abs(tensors[k]).max(), 1e-12), (symbol, quantity)


@MODELS
def test_forbidden_piezoelectric_tensors_are_exactly_zero(kind: str, tolerance: float) -> None:
    forbidden = np.isin(CRYSTAL_CLASSES, list(FORBIDDEN))
    piezo = tensors_of(all_classes(kind))[Tensor.PIEZOELECTRIC]
    assert (piezo[forbidden] == 0.0).all()
    assert (np.abs(piezo[~forbidden]).reshape(20, -1).max(axis=1) > 0).all()
    columns = all_classes(kind).derived.columns
    assert np.array_equal(columns["piezo_allowed"].astype(bool), ~forbidden)
    assert (columns["e_norm_c_per_m2"][forbidden & ~has_only_metals(CLASSIFIED.crystals)] == 0.0).all()
    assert all_classes(kind).derived.prediction.removed_fraction[Tensor.PIEZOELECTRIC].max() < 1.5


def test_an_equivariant_model_leaves_little_to_remove() -> None:
    removed = all_classes("toy").derived.prediction.removed_fraction
    for quantity in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.ELASTIC):
        assert removed[quantity].max() < 1e-9


def test_what_a_biased_model_gets_wrong_is_removed_and_reported() -> None:
    """Negative control of the test above: 3 % of the tensor point along the laboratory's x axis."""

    class Biased(ToyTensorModel):
        def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
            tensors = super().predict(crystals)
            tensors[Tensor.DIELECTRIC_TOTAL][..., 0, 0] *= 1.1
            return tensors

    result = Screener(Biased(), VERSION).predict(CLASSIFIED.crystals).derived.prediction
    removed = result.removed_fraction[Tensor.DIELECTRIC_TOTAL]
    cubic = np.isin(CRYSTAL_CLASSES, ["23", "m-3", "432", "-43m", "m-3m"])
    assert (removed[cubic] > 0.01).all()
    assert (removed[:2] < 1e-9).all()  # triclinic classes allow it
    assert np.ptp(np.linalg.eigvalsh(result.tensors[Tensor.DIELECTRIC_TOTAL][cubic]), axis=1).max() < 1e-9


def with_element(z: int, crystal: int) -> CrystalBatch:
    numbers = TEXTBOOK.numbers.copy()
    numbers[TEXTBOOK.first_atom[crystal]] = z
    return CrystalBatch(TEXTBOOK.lattice, TEXTBOOK.frac_coords, numbers, TEXTBOOK.crystal_of_atom)


class Choosy(ToyTensorModel):
    """Knows the elements of the textbook crystals only."""

    elements = frozenset(int(z) for z in np.unique(TEXTBOOK.numbers))


def test_a_crystal_with_an_unknown_element_is_refused_alone() -> None:
    prediction = Screener(Choosy(), VERSION).predict(with_element(92, 3))
    assert prediction.refused == {3: (Reason.UNSUPPORTED_ELEMENT, "U")}
    assert prediction.rows.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    alone = Screener(Choosy(), VERSION).predict(TEXTBOOK)
    rest = np.delete(tensors_of(alone)[Tensor.ELASTIC], 3, axis=0)
    assert np.allclose(tensors_of(prediction)[Tensor.ELASTIC], rest)


def test_every_unknown_element_of_a_crystal_is_named() -> None:
    problems = unsupported(TEXTBOOK, frozenset({14, 8}))
    assert problems[3] == (Reason.UNSUPPORTED_ELEMENT, "Ti Ba")
    assert 0 not in problems
    assert unsupported(TEXTBOOK, Choosy.elements) == {}


class Overflowing(ToyTensorModel):
    """Gives no finite piezoelectric tensor for crystals with gallium and no finite stiffness for copper."""

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        tensors = super().predict(crystals)
        first = crystals.numbers[crystals.first_atom[:-1]]
        tensors[Tensor.PIEZOELECTRIC][:, first == 31, 0, 0, 0] = np.nan
        tensors[Tensor.ELASTIC][:, first == 29, 5, 5] = np.inf
        return tensors


def test_a_crystal_with_a_non_finite_tensor_is_refused_alone() -> None:
    prediction = Screener(Overflowing(), VERSION).predict(TEXTBOOK)
    assert prediction.refused == {
        2: (Reason.MODEL_FAILED, "piezoelectric is not finite"),
        8: (Reason.MODEL_FAILED, "piezoelectric is not finite"),
        9: (Reason.MODEL_FAILED, "elastic_voigt is not finite"),
    }
    expected = tensors_of(screener("toy").predict(TEXTBOOK))
    for quantity, tensors in tensors_of(prediction).items():
        assert np.allclose(tensors, expected[quantity][prediction.rows])
    groups = prediction.derived.prediction.analysis.symmetry.point_group
    assert groups == [textbook_crystals().classes[k] for k in prediction.rows]


def test_finite_tensors_are_not_refused() -> None:
    assert not_finite(RawPrediction(TEXTBOOK, ToyTensorModel().predict(TEXTBOOK))) == {}


@pytest.mark.parametrize("model", [Choosy(), untrained(GMTNET)], ids=["toy", "network"])
def test_a_batch_in_which_all_are_refused_gives_no_rows_and_all_reasons(
    model: TensorModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model), "elements", frozenset({2}), raising=False)
    monkeypatch.setitem(model.__dict__, "elements", frozenset({2}))
    prediction = Screener(model, VERSION).predict(TEXTBOOK)
    assert len(prediction.rows) == 0
    assert sorted(prediction.refused) == list(range(10))
    assert all(len(column) == 0 for column in prediction.derived.columns.values())


def nothing_is_sure(*_: object) -> None:
    """In place of the search for operations: every crystal is left to the libraries."""


def give_up(*_: object, **__: object) -> None:
    raise ValueError("no space group")


def test_a_crystal_without_a_space_group_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = spglib.get_symmetry_dataset
    monkeypatch.setattr(standard_setting, "find_accepted", nothing_is_sure)
    monkeypatch.setattr(moyopy, "MoyoDataset", give_up)

    def second(cell: tuple[Floats, Floats, Ints], symprec: float) -> object:
        return None if len(cell[2]) == 9 else real(cell, symprec=symprec)

    monkeypatch.setattr(spglib, "get_symmetry_dataset", second)
    prediction = screener("toy").predict(TEXTBOOK)
    assert list(prediction.refused) == [0]
    assert prediction.refused[0][0] is Reason.SYMMETRY_FAILED
    assert prediction.rows.tolist() == list(range(1, 10))


def test_a_crystal_without_a_space_group_at_the_tolerance_gets_one_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = spglib.get_symmetry_dataset
    monkeypatch.setattr(standard_setting, "find_accepted", nothing_is_sure)
    monkeypatch.setattr(moyopy, "MoyoDataset", give_up)

    def picky(cell: tuple[Floats, Floats, Ints], symprec: float) -> object:
        return None if len(cell[2]) in {9, 6} and symprec < 0.02 else real(cell, symprec=symprec)

    monkeypatch.setattr(spglib, "get_symmetry_dataset", picky)
    prediction = screener("toy").predict(TEXTBOOK)
    assert prediction.refused == {}
    numbers = prediction.derived.prediction.analysis.symmetry.number
    assert numbers.tolist() == [154, 186, 216, 99, 225, 227, 136, 6, 1, 225]
    monkeypatch.undo()
    for quantity, tensors in tensors_of(screener("toy").predict(TEXTBOOK)).items():
        assert np.allclose(tensors_of(prediction)[quantity], tensors, atol=1e-6)


def test_a_near_symmetric_crystal_is_flagged_and_said_so() -> None:
    """Barium titanate, titanium 0.03 angstrom off the polar axis: tetragonal or not, as the tolerance has it."""
    frac = TEXTBOOK.frac_coords.copy()
    frac[TEXTBOOK.first_atom[3] + 1, 0] += 0.03 / 3.994
    moved = CrystalBatch(TEXTBOOK.lattice, frac, TEXTBOOK.numbers, TEXTBOOK.crystal_of_atom)
    prediction = screener("toy").predict(moved)
    flags = prediction.derived.prediction.analysis.ambiguous
    assert np.flatnonzero(flags).tolist() == [3]
    texts = warnings_of(prediction.derived)
    assert "near-symmetric" in texts[3][0]
    assert "99 at 0.1" in texts[3][0]
    assert not any("near-symmetric" in text for k, found in enumerate(texts) if k != 3 for text in found)


def test_unphysical_tensors_are_said_to_be_so() -> None:
    class Unstable(ToyTensorModel):
        def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
            tensors = super().predict(crystals)
            tensors[Tensor.ELASTIC][:, 4] -= 500.0 * np.eye(6)
            tensors[Tensor.DIELECTRIC_ELECTRONIC][:, 5] = 0.5 * np.eye(3)
            tensors[Tensor.DIELECTRIC_TOTAL][:, 6] = 0.9 * np.eye(3)
            return tensors

    texts = warnings_of(Screener(Unstable(), VERSION).predict(TEXTBOOK).derived)
    assert any("not positive definite" in text for text in texts[4])
    assert any("below 1" in text for text in texts[5])
    assert any("below the electronic one" in text for text in texts[6])
    assert warnings_of(screener("toy").predict(TEXTBOOK).derived) == [[]] * 10


def test_a_result_block_accounts_for_every_crystal_and_every_column() -> None:
    names = [f"crystal-{k}" for k in range(10)]
    block = Screener(Overflowing(), VERSION).screen(names, TEXTBOOK)
    assert block.crystal_ids == [names[k] for k in (0, 1, 3, 4, 5, 6, 7)]
    assert [row[0] for row in block.quarantined] == [names[k] for k in (2, 8, 9)]
    assert sorted(block.crystal_ids + [row[0] for row in block.quarantined]) == sorted(names)
    assert set(DERIVED) | {"spacegroup", "point_group", "symmetry_ambiguous"} <= set(block.columns)
    assert all(len(column) == 7 for column in block.columns.values())
    assert {q: t.shape for q, t in block.tensors.items()} == {q: (7, *t.shape) for q, t in TENSORS.items()}
    assert {q: f.shape for q, f in block.removed_fraction.items()} == dict.fromkeys(TENSORS, (7,))
    assert [json.loads(text) for text in block.warnings] == [[]] * 7
    assert block.columns["spacegroup"].tolist() == [154, 186, 99, 225, 227, 136, 6]


def test_derived_columns_are_numbers_for_stable_crystals() -> None:
    columns = screener("toy").predict(TEXTBOOK).derived.columns
    is_metal = has_only_metals(TEXTBOOK)
    assert is_metal.sum() == 1  # copper
    for name, facts in DERIVED.items():
        if facts.kind is ColumnKind.NUMBER:
            known = np.isfinite(np.asarray(columns[name], dtype=np.float64))
            expected = ~is_metal if name in WITHHELD else np.ones(TEXTBOOK.n_crystals, dtype=np.bool_)
            assert known.any() if name == "zener_anisotropy" else np.array_equal(known, expected), name
    assert set(columns["optical_class"]) <= {"isotropic", "uniaxial", "biaxial"}


def test_lines_come_in_order_with_results_and_refusals_alike() -> None:
    names = [f"crystal-{k}" for k in range(10)]
    lines = list(Screener(Overflowing(), VERSION).predict_lines(names, TEXTBOOK))
    assert [line["id"] for line in lines] == names
    assert [line["status"] for line in lines] == ["ok", "ok", "rejected"] + ["ok"] * 5 + ["rejected"] * 2
    assert [line["formula"] for line in lines] == TEXTBOOK.formulas()
    assert all(line["model"] == "toy@1" for line in lines)
    again = json.loads(json.dumps(lines, allow_nan=False))
    assert again[2]["reason"] == "model_failed"
    quartz = again[0]
    assert (quartz["spacegroup"], quartz["point_group"], quartz["frame"]) == (154, "32", "input")
    for k, line in enumerate(again):
        if line["status"] == "ok":
            assert line["lattice"] == TEXTBOOK.lattice[k].tolist()
            assert line["n_atoms"] == TEXTBOOK.atoms_per_crystal[k]
            assert line["axes"].startswith("Cartesian x, y, z of the lattice rows")
    for quantity, facts in TENSORS.items():
        assert np.array(quartz[quantity.value]).shape == facts.shape
        assert quartz["units"][quantity.value] == facts.unit
    assert set(quartz["derived"]) == set(DERIVED)


def test_the_removed_fraction_is_the_part_that_the_point_group_forbids() -> None:
    analysis = analyse_symmetry(TEXTBOOK, 1e-2)
    raw = ToyTensorModel().predict(TEXTBOOK)
    allowed = {q: t.copy() for q, t in raw.items()}
    raw[Tensor.DIELECTRIC_TOTAL][:, 4] += np.diag([0.3, 0.0, -0.3])  # magnesia: cubic
    result = symmetrize(average(RawPrediction(TEXTBOOK, raw), analysis.symmetry), analysis)
    size = np.linalg.norm(raw[Tensor.DIELECTRIC_TOTAL][0, 4])
    assert result.removed_fraction[Tensor.DIELECTRIC_TOTAL][4] == pytest.approx(0.3 * np.sqrt(2) / size)
    assert np.allclose(result.tensors[Tensor.DIELECTRIC_TOTAL][4], allowed[Tensor.DIELECTRIC_TOTAL][0, 4])
