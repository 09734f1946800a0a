"""Documents become labels in the frame of their structure: what the builders did is undone, exactly."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pymatgen.core.structure import Structure

from gmt_tasks.labels.readers.materials_project import label_rows
from gmt_tasks.labels.readers.pymatgen_frame import ieee_rotation
from gmt_tasks.labels.readers.source import LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.json_records import parse_record
from gmt_tasks.sources.parsed import as_batch
from gmt_tasks.sources.remote.materials_project import licence_of
from gmt_tasks.sources.remote.materials_project_query import Route
from models.quantities import Tensor
from models.symmetry.search import find_symmetry
from models.tensors.rotate import rotate
from tests.architecture.source_tree import ROOT
from tests.gmt_tasks.sources.remote.materials_project_server import Material, materials, turned

IEEE_DATA = ROOT.parent / "shared" / "data" / "ieee_conversion_data.json"
QUANTITY = {"tensor": Tensor.DIELECTRIC_TOTAL, "tensor_electronic": Tensor.DIELECTRIC_ELECTRONIC}


@pytest.fixture(scope="module")
def aluminium_nitride() -> Material:
    return materials()[0]


def document(material: Material, route: Route, **changes: Any) -> dict[str, Any]:
    """As the mirror holds it: with the id, and with the summary's structure where there is none."""
    found = {"id": material.name, "structure": material.structure.as_dict()} | material.document(route.value)
    return {key: value for key, value in (found | changes).items() if value is not None}


def labels(route: Route, documents: Sequence[Mapping[str, Any]]) -> list[LabelRow | RefusedLabel]:
    return list(label_rows(route, documents))


def row_of(route: Route, found: Mapping[str, Any]) -> dict[str, Any]:
    first = labels(route, [found])[0]
    assert isinstance(first, LabelRow), first
    return first.row


def removed(quantity: Tensor, row: Mapping[str, Any], tensor: Any) -> float:
    """Share of a tensor that the symmetry of the row's own structure forbids."""
    symmetry = find_symmetry(as_batch([parse_record({key: row[key] for key in ("lattice", "species", "frac_coords")})]))
    values = np.array([tensor])
    return float(np.linalg.norm(values - symmetry.project(quantity, values)) / np.linalg.norm(values))


def test_the_rotation_into_the_ieee_frame_is_undone(aluminium_nitride: Material) -> None:
    dielectric = row_of(Route.DIELECTRIC, document(aluminium_nitride, Route.DIELECTRIC))
    assert np.allclose(dielectric["tensor"], aluminium_nitride.total, atol=1e-6)
    assert np.allclose(dielectric["tensor_electronic"], aluminium_nitride.electronic, atol=1e-6)
    piezo = row_of(Route.PIEZOELECTRIC, document(aluminium_nitride, Route.PIEZOELECTRIC))
    assert np.allclose(piezo["tensor"], aluminium_nitride.piezo, atol=1e-4)
    assert (piezo["unit"], piezo["frame"], piezo["point_group"]) == ("C/m^2", "ieee_pymatgen", "6mm")
    assert np.linalg.norm(aluminium_nitride.piezo) > 0.5


def test_a_document_taken_as_it_is_contradicts_its_structure(aluminium_nitride: Material) -> None:
    """The control: without undoing the rotation the label would be wrong, and its symmetry shows it."""
    found = document(aluminium_nitride, Route.DIELECTRIC)
    right = row_of(Route.DIELECTRIC, found)
    assert removed(Tensor.DIELECTRIC_TOTAL, right, found["total"]) > 0.01
    assert removed(Tensor.DIELECTRIC_TOTAL, right, right["tensor"]) < 1e-6


def test_with_the_structure_of_another_calculation_the_label_is_in_that_ones_frame(aluminium_nitride: Material) -> None:
    other, rotation = turned(aluminium_nitride.structure, 1.9)
    found = document(aluminium_nitride, Route.PIEZOELECTRIC, structure=other.as_dict(), structure_of="summary")
    row = row_of(Route.PIEZOELECTRIC, found)
    expected = rotate(Tensor.PIEZOELECTRIC, aluminium_nitride.piezo, rotation)
    assert np.allclose(row["tensor"], expected, atol=1e-4)
    assert not np.allclose(expected, aluminium_nitride.piezo, atol=0.1)
    assert row["structure_of"] == "summary"


def test_raw_is_taken_and_the_rounded_tensor_is_not(aluminium_nitride: Material) -> None:
    stiffness, moduli = labels(Route.ELASTICITY, [document(aluminium_nitride, Route.ELASTICITY)])
    assert isinstance(stiffness, LabelRow) and isinstance(moduli, LabelRow)
    assert np.array_equal(stiffness.row["tensor_voigt"], aluminium_nitride.stiffness)
    rounded = document(aluminium_nitride, Route.ELASTICITY)["elastic_tensor"]["ieee_format"]
    assert np.array_equal(rounded, np.round(rounded)) and not np.allclose(rounded, aluminium_nitride.stiffness, atol=1)
    assert moduli.row["kind"] == "moduli_vrh"
    assert moduli.row["K_vrh"] == aluminium_nitride.moduli["bulk_modulus"]["vrh"]


def test_without_raw_only_the_moduli_become_labels(aluminium_nitride: Material) -> None:
    found = document(aluminium_nitride, Route.ELASTICITY)
    found["elastic_tensor"] = {"raw": None, "ieee_format": found["elastic_tensor"]["ieee_format"]}
    refused, moduli = labels(Route.ELASTICITY, [found])
    assert isinstance(refused, RefusedLabel) and "ieee_format is rounded" in refused.detail
    assert isinstance(moduli, LabelRow) and moduli.row["kind"] == "moduli_vrh"


@pytest.mark.parametrize(
    ("route", "changes", "reason"),
    [
        (Route.DIELECTRIC, {"structure": None}, LabelReason.NO_STRUCTURE),
        (Route.DIELECTRIC, {"structure": {"lattice": {"matrix": [[1] * 3] * 3}, "sites": []}}, LabelReason.STRUCTURE),
        (Route.DIELECTRIC, {"total": [[1, 2], [3, 4]]}, LabelReason.PARSE),
        (Route.DIELECTRIC, {"electronic": [[float("nan")] * 3] * 3}, LabelReason.PARSE),
        (Route.PIEZOELECTRIC, {"total": None}, LabelReason.PARSE),
        (Route.PIEZOELECTRIC, {"total": [["a"] * 6] * 3}, LabelReason.PARSE),
        (Route.PIEZOELECTRIC, {"deprecated": True}, LabelReason.OUT_OF_RANGE),
        (Route.ELASTICITY, {"state": "failed"}, LabelReason.OUT_OF_RANGE),
        (Route.ELASTICITY, {"elastic_tensor": {"raw": [[1.0] * 6] * 5}}, LabelReason.PARSE),
    ],
)
def test_what_is_no_label_is_refused_and_the_others_are_not(
    aluminium_nitride: Material, route: Route, changes: dict[str, Any], reason: LabelReason
) -> None:
    good, bad = document(aluminium_nitride, route), document(aluminium_nitride, route, **changes)
    bad["id"] = "bad"
    if changes.get("structure", 0) is None:
        bad.pop("structure", None)
    if changes.get("total", 0) is None:
        bad.pop("total", None)
    found = labels(route, [bad, good])
    refused = [each for each in found if isinstance(each, RefusedLabel)]
    assert [(each.source_id, each.reason) for each in refused] == [("bad", reason)]
    assert {each.source_id for each in found if isinstance(each, LabelRow)} >= {aluminium_nitride.name}


def test_a_label_says_where_it_comes_from_and_under_which_licence(aluminium_nitride: Material) -> None:
    row = row_of(Route.ELASTICITY, document(aluminium_nitride, Route.ELASTICITY, licence="CC-BY-NC-4.0"))
    assert (row["id"], row["formula"], row["licence"]) == ("mp-661", "AlN", "CC-BY-NC-4.0")
    assert row["doi"] == "10.1038/sdata.2015.9" and "VASP" in row["method"] and row["source"].endswith("elasticity")
    assert json.loads(json.dumps(row)) == row
    assert licence_of({"builder_meta": {"license": "BY-NC"}}) == "CC-BY-NC-4.0"
    assert licence_of({"builder_meta": {"license": "BY-C"}}) == licence_of({}) == "CC-BY-4.0"


def array_of(value: Any) -> Any:
    return np.array(value["data"] if isinstance(value, dict) else value, dtype=np.float64)


@pytest.mark.skipif(not IEEE_DATA.exists(), reason=f"{IEEE_DATA.name} is not beside the checkout")
def test_tensors_that_pymatgen_published_in_both_frames_come_back() -> None:
    """pymatgen's own test data, stiffness with four indices; its trigonal cases differ by 9 % themselves."""
    errors = {}
    for number, case in enumerate(json.loads(IEEE_DATA.read_text(encoding="utf-8"))):
        before, after = array_of(case["original_tensor"]), array_of(case["ieee_tensor"])
        if before.shape == (3, 3, 3, 3):
            back = ieee_rotation(parse_record(case["structure"])).T
            turned_back = np.einsum("ia,jb,kc,ld,abcd->ijkl", back, back, back, back, after)
            errors[number, case["xtal"]] = float(np.linalg.norm(turned_back - before) / np.linalg.norm(before))
    assert len(errors) == 5
    assert all(
        error < (0.1 if system in ("trigonal", "rhombohedral") else 0.02) for (_, system), error in errors.items()
    )


def test_the_rotation_is_pymatgens(aluminium_nitride: Material) -> None:
    rotation = ieee_rotation(parse_record(aluminium_nitride.structure.as_dict()))
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-10)
    assert isinstance(aluminium_nitride.structure, Structure)
    axis = rotation @ aluminium_nitride.structure.lattice.matrix[2]
    assert np.allclose(axis[:2], 0, atol=1e-6) and axis[2] > 0, "c comes to lie along x3"
