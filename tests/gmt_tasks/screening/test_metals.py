"""What a metal does not have is not said, and nothing else is left out."""

import numpy as np

from db.records import ModelVersion
from gmt_tasks.screening.metals import WITHHELD
from gmt_tasks.screening.screener import Screener
from models.applicability.metals import METAL_LOGIT, has_only_metals, metal_flags
from models.quantities import DERIVED, TENSORS, Tensor
from models.testing.contract import ToyTensorModel, textbook_crystals

TEXTBOOK = textbook_crystals().crystals
COPPER = np.array(TEXTBOOK.formulas()) == "Cu"


def test_numbers_of_a_metal_that_come_of_its_static_response_are_unknown() -> None:
    screener = Screener(ToyTensorModel(), ModelVersion("toy", "1", "0" * 64))
    lines = list(screener.predict_lines([str(k) for k in range(TEXTBOOK.n_crystals)], TEXTBOOK))
    for line, is_copper in zip(lines, COPPER, strict=True):
        for name, value in line["derived"].items():
            if name in WITHHELD and is_copper:
                assert value is None, name
            elif DERIVED[name].from_tensors == (Tensor.ELASTIC,) and name != "zener_anisotropy":
                assert value is not None, name
    assert all(
        line["derived"]["eps_total_mean"] for line, is_copper in zip(lines, COPPER, strict=True) if not is_copper
    )
    copper = lines[int(np.flatnonzero(COPPER)[0])]
    assert copper["trust"]["metal"] is True
    assert copper["dielectric_total"] is not None  # the tensor can be looked at
    assert copper["error_radius"]["dielectric_total"] is None
    assert any("a metal (all elements are metals)" in text for text in copper["warnings"])


def test_a_withheld_number_needs_a_tensor_of_the_static_response() -> None:
    for name, row in DERIVED.items():
        static = {tensor for tensor in row.from_tensors if TENSORS[tensor].symbol != "C"}
        assert (name in WITHHELD) == (bool(static) and name not in {"piezo_allowed", "optical_class"})


def test_elements_decide_first_and_what_nobody_says_is_unknown() -> None:
    logit = np.where(np.arange(TEXTBOOK.n_crystals) % 2, METAL_LOGIT + 0.1, METAL_LOGIT - 0.1)
    flags = metal_flags(TEXTBOOK, logit)
    only_metals = has_only_metals(TEXTBOOK)
    assert only_metals.tolist() == COPPER.tolist()
    assert (flags[only_metals] == 1).all()
    assert np.array_equal(flags[~only_metals], (logit > METAL_LOGIT)[~only_metals])
    assert np.isnan(metal_flags(TEXTBOOK, np.full(TEXTBOOK.n_crystals, np.nan))[~only_metals]).all()
