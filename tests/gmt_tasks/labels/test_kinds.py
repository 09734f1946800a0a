"""Schema of label rows: what is read, and the name of what is wrong with a row that is not."""

import copy
from typing import Any

import numpy as np
import pytest

from gmt_tasks.labels.kinds import KINDS, read_label
from gmt_tasks.labels.label_kind import RefusedRowError
from gmt_tasks.labels.reasons import LabelReason
from models.quantities import Tensor
from tests.gmt_tasks.labels.planted_faults import good_rows

GOOD = good_rows(1)[0]
PIEZO = good_rows(1, kind="piezo_e_total")[0]
EPS = good_rows(1, kind="dielectric_total")[0]
ELATE = {
    "K_Voigt": 50.0, "K_Reuss": 48.0, "K_VRH": 49.0, "G_Voigt": 30.0, "G_Reuss": 26.0, "G_VRH": 28.0, "Emin": 60.0,
    "Emax": 90.0, "Gmin": 20.0, "Gmax": 40.0, "minLC": 5.0, "maxLC": 8.0,
}  # fmt: skip


def base(kind: str, **values: Any) -> dict[str, Any]:
    kept = {key: GOOD[key] for key in ("id", "lattice", "species", "frac_coords")}
    return kept | {"kind": kind, "unit": KINDS[kind].units[0]} | values


def entry(row: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(row)
    place = changed[key]
    while isinstance(place[0], list):
        place = place[0]
    place[0] = value
    return changed


def test_every_reason_has_a_sentence_and_an_advice() -> None:
    assert all(reason.sentence.endswith(".") and reason.advice.endswith(".") for reason in LabelReason)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD | {"kind": "tea"}, LabelReason.UNKNOWN_KIND),
        (GOOD | {"kind": ["elastic_stiffness"]}, LabelReason.UNKNOWN_KIND),
        (GOOD | {"unit": "kbar"}, LabelReason.UNIT),
        ({k: v for k, v in GOOD.items() if k != "unit"}, LabelReason.UNIT),
        ({k: v for k, v in GOOD.items() if k != "lattice"}, LabelReason.NO_STRUCTURE),
        (GOOD | {"species": ["Si", "O"]}, LabelReason.STRUCTURE),
        (GOOD | {"species": [0] * len(GOOD["species"])}, LabelReason.STRUCTURE),
        (GOOD | {"frac_coords": GOOD["frac_coords"][:-1]}, LabelReason.STRUCTURE),
        ({k: v for k, v in GOOD.items() if k != "tensor_voigt"}, LabelReason.PARSE),
        (GOOD | {"tensor_voigt": GOOD["tensor_voigt"][:5]}, LabelReason.PARSE),
        (entry(GOOD, "tensor_voigt", "12"), LabelReason.PARSE),
        (entry(GOOD, "tensor_voigt", True), LabelReason.PARSE),
        (entry(GOOD, "tensor_voigt", float("nan")), LabelReason.NONFINITE),
        (entry(GOOD, "tensor_voigt", float("inf")), LabelReason.NONFINITE),
        (entry(GOOD, "tensor_voigt", None), LabelReason.NONFINITE),
        (entry(GOOD, "tensor_voigt", 1e5), LabelReason.OUT_OF_RANGE),
        (GOOD | {"tensor_voigt": np.triu(np.array(GOOD["tensor_voigt"])).tolist()}, LabelReason.INDEX_SYMMETRY),
        (base("dielectric_scalar_mean", eps_electronic=2.9e6, eps_total=3.2e6), LabelReason.OUT_OF_RANGE),
        (base("dielectric_scalar_mean", eps_electronic=None, eps_total=None), LabelReason.PARSE),
        (base("dielectric_electronic", eps_principal=[3.0, 3.0]), LabelReason.PARSE),
    ],
    ids=str,
)
def test_a_wrong_row_is_refused_for_what_is_wrong(row: dict[str, Any], reason: LabelReason) -> None:
    with pytest.raises(RefusedRowError) as refused:
        read_label(row)
    assert refused.value.reason is reason


def test_a_piezoelectric_tensor_with_its_first_index_last_is_called_transposed() -> None:
    transposed = np.transpose(np.array(PIEZO["tensor"]), (1, 2, 0))
    with pytest.raises(RefusedRowError, match="transposed") as refused:
        read_label(PIEZO | {"tensor": transposed.tolist()})
    assert refused.value.reason is LabelReason.INDEX_SYMMETRY


def test_missing_optional_values_are_no_fault() -> None:
    assert set(read_label(EPS | {"tensor_electronic": None}).tensors) == {Tensor.DIELECTRIC_TOTAL}
    assert read_label(base("dielectric_scalar_mean", eps_electronic=3.0, eps_total=None)).sizes() == {
        "eps_electronic": 3.0
    }


def law(row: dict[str, Any]) -> LabelReason | None:
    label = read_label(row)
    fault = label.kind.law(label)
    return fault and fault[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD, None),
        (EPS, None),
        (PIEZO, None),
        (base("elastic_invariants", **ELATE), None),
        (base("elastic_invariants", **(ELATE | {"K_Reuss": 80.0})), LabelReason.INCONSISTENT),
        (base("elastic_invariants", **(ELATE | {"Gmin": 45.0})), LabelReason.INCONSISTENT),
        (base("elastic_invariants", **(ELATE | {"G_Reuss": -1.0})), LabelReason.INDEFINITE),
        (base("moduli_vrh", K_vrh=30.0, G_vrh=-2.0), LabelReason.INDEFINITE),
        (base("dielectric_scalar_mean", eps_electronic=0.7, eps_total=3.0), LabelReason.INDEFINITE),
        (base("dielectric_scalar_mean", eps_electronic=5.0, eps_total=3.0), LabelReason.BELOW_ELECTRONIC),
        (base("dielectric_scalar_mean", eps_electronic=2.7e-11, eps_total=8e-11), LabelReason.UNIT_FACTOR),
        (EPS | {"tensor": EPS["tensor_electronic"], "tensor_electronic": EPS["tensor"]}, LabelReason.BELOW_ELECTRONIC),
        (GOOD | {"K_voigt": 7.0}, LabelReason.INCONSISTENT),
        (
            base("dielectric_electronic", eps_principal=[3, 3, 3], tensor_electronic=EPS["tensor_electronic"]),
            LabelReason.INCONSISTENT,
        ),
    ],
    ids=str,
)
def test_the_laws_of_one_label(row: dict[str, Any], reason: LabelReason | None) -> None:
    assert law(row) is reason


def test_an_indefinite_stiffness_is_refused_with_its_eigenvalue() -> None:
    soft = np.array(GOOD["tensor_voigt"]) - 400.0 * np.eye(6)
    label = read_label(GOOD | {"tensor_voigt": soft.tolist()})
    fault = label.kind.law(label)
    assert fault is not None
    assert fault[0] is LabelReason.INDEFINITE
    assert "lowest eigenvalue of C is -" in fault[1]
