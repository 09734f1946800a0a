"""What speaks against a result: slabs, metals and strangers are flagged, and the flags reach whoever reads."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from db.records import ModelVersion
from gmt_tasks.screening.reliability import METAL_GAP_EV, metal_flag, reliability_columns, reliability_warnings
from gmt_tasks.screening.screener import Screener
from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.distance import TrainingReference, reference_of
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import build_graph
from models.quantities import ColumnKind
from models.reliability_columns import RELIABILITY
from models.testing.contract import ToyTensorModel, crystals_of_all_classes, textbook_crystals
from tests.models.applicability.known_networks import known_networks

KNOWN = known_networks()
CRYSTALS = CrystalBatch.join(known.crystal for known in KNOWN)
PLACE = {known.name: k for k, known in enumerate(KNOWN)}
TEXTBOOK = textbook_crystals().crystals


@cache
def reference() -> TrainingReference:
    train = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in range(4))
    held = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in (11, 12))
    raw = reference_of(describe(train, build_graph(train, DESCRIPTOR_GRAPH)), train)
    return raw.calibrated(raw.distance(describe(held, build_graph(held, DESCRIPTOR_GRAPH)), held))


def test_every_column_of_the_registry_is_filled_for_every_crystal() -> None:
    columns = reliability_columns(CRYSTALS, reference(), band_gap_ev=np.ones(len(KNOWN)))
    assert list(columns) == list(RELIABILITY)
    for name, quantity in RELIABILITY.items():
        values = np.asarray(columns[name], dtype=np.float64)
        assert values.shape == (len(KNOWN),)
        assert np.isfinite(values).all()
        assert quantity.kind is not ColumnKind.FLAG or set(values) <= {0.0, 1.0}


def test_slabs_are_low_dimensional_and_layered_crystals_are_layered() -> None:
    columns = reliability_columns(CRYSTALS, None)
    assert columns["low_dimensional"].tolist() == [known.in_vacuum for known in KNOWN]
    assert {KNOWN[k].name for k in np.flatnonzero(columns["layered"])} == {"graphite", "boron nitride", "molybdenite"}


def test_what_is_not_known_is_unknown_and_not_false() -> None:
    columns = reliability_columns(CRYSTALS, None)
    assert all(np.isnan(columns[name]).all() for name in ("ood", "ood_score", "metal", "band_gap_ev"))
    assert reliability_warnings(columns)[PLACE["diamond"]] == []


def test_a_gap_below_the_limit_is_a_metal() -> None:
    gaps = np.array([-0.3, 0.0, METAL_GAP_EV - 1e-6, METAL_GAP_EV, 5.0, np.nan])
    flags = metal_flag(gaps)
    assert flags[:5].tolist() == [1, 1, 1, 0, 0]
    assert np.isnan(flags[5])


def test_warnings_say_which_crystal_and_why() -> None:
    gaps = np.where(np.arange(len(KNOWN)) == PLACE["copper"], -0.2, 3.0)
    texts = reliability_warnings(reliability_columns(CRYSTALS, reference(), band_gap_ev=gaps))
    assert any("a slab in" not in text and "chains in" in text for text in texts[PLACE["selenium chain"]])
    assert any("a layer in 11.5 angstrom" in text for text in texts[PLACE["graphene"]])
    assert any("metal (predicted band gap 0.00 eV)" in text for text in texts[PLACE["copper"]])
    assert sum("metal" in text for found in texts for text in found) == 1
    assert any("unlike the training data" in text for text in texts[PLACE["water molecule"]])


def test_a_graph_that_is_there_already_gives_the_same_columns() -> None:
    given = reliability_columns(CRYSTALS, reference(), graph=build_graph(CRYSTALS, DESCRIPTOR_GRAPH))
    for name, values in reliability_columns(CRYSTALS, reference()).items():
        assert np.array_equal(given[name], values, equal_nan=True)


def test_no_crystals_have_no_columns_to_fill() -> None:
    columns = reliability_columns(CRYSTALS.select([]), reference())
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(RELIABILITY, 0)
    assert reliability_warnings(columns) == []


@pytest.mark.parametrize("known", [True, False], ids=["with reference", "without"])
def test_lines_and_blocks_carry_score_flags_and_warnings(known: bool) -> None:
    screener = Screener(ToyTensorModel(), ModelVersion("toy", "1", "0" * 64))
    screener = replace(screener, applicability=reference()) if known else screener
    crystals = CrystalBatch.join([TEXTBOOK, KNOWN[PLACE["graphene"]].crystal])
    names = [f"c{k}" for k in range(crystals.n_crystals)]
    lines = json.loads(json.dumps(list(screener.predict_lines(names, crystals)), allow_nan=False))
    slab = lines[-1]
    assert set(slab["trust"]) == set(RELIABILITY)
    assert slab["trust"]["low_dimensional"] is True
    assert slab["trust"]["metal"] is None
    assert isinstance(slab["ood"], float) if known else slab["ood"] is None
    assert slab["trust"]["ood"] is (True if known else None)
    assert any("low-dimensional" in text for text in slab["warnings"])
    assert not any("low-dimensional" in text for line in lines[:-1] for text in line["warnings"])
    block = screener.screen(names, crystals)
    assert set(RELIABILITY) <= set(block.columns)
    assert json.loads(block.warnings[-1]) == slab["warnings"]
