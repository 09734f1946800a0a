"""What speaks against a result: slabs, metals and strangers are flagged, and the flags reach whoever reads."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from db.records import ModelVersion
from gmt_tasks.screening.reliability import (
    gather_evidence,
    reliability_columns,
    reliability_warnings,
)
from gmt_tasks.screening.screener import Screener
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.applicability.defects import is_defect_supercell
from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.distance import TrainingReference, reference_of
from models.applicability.equilibrium import FAR_DISTORTION, FAR_EXPANSION
from models.applicability.metals import METAL_LOGIT, has_only_metals
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import build_graph
from models.quantities import ColumnKind, Scalar, Tensor
from models.reference.crystals import in_cell
from models.reliability_columns import RELIABILITY
from models.testing.contract import ToyTensorModel, crystals_of_all_classes, textbook_crystals
from tests.models.applicability.known_networks import known_networks

KNOWN = known_networks()
CRYSTALS = CrystalBatch.join(known.crystal for known in KNOWN)
PLACE = {known.name: k for k, known in enumerate(KNOWN)}
FIELDS = "lattice", "frac_coords", "numbers"
TEXTBOOK = textbook_crystals().crystals


@cache
def reference() -> TrainingReference:
    train = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in range(4))
    held = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in (11, 12))
    raw = reference_of(describe(train, build_graph(train, DESCRIPTOR_GRAPH)), train)
    return raw.calibrated(raw.distance(describe(held, build_graph(held, DESCRIPTOR_GRAPH)), held))


def test_every_column_of_the_registry_is_filled_for_every_crystal() -> None:
    scalars = {scalar: np.zeros(len(KNOWN)) for scalar in Scalar}
    evidence = gather_evidence(CRYSTALS, reference(), scalars=scalars)
    columns = reliability_columns(evidence, stability=np.ones(len(KNOWN)))
    assert list(columns) == list(RELIABILITY)
    for name, quantity in RELIABILITY.items():
        if quantity.from_tensors:  # of a tensor that was not predicted nothing is known
            assert np.isnan(columns[name]).all()
            continue
        values = np.asarray(columns[name], dtype=np.float64)
        assert values.shape == (len(KNOWN),)
        if name in ("off_equilibrium", "equilibrium_volume_ratio"):  # the volume of a cell with vacuum means nothing
            assert np.isnan(values).tolist() == [known.in_vacuum for known in KNOWN]
            values = values[np.isfinite(values)]
        assert np.isfinite(values).all()
        assert quantity.kind is not ColumnKind.FLAG or set(values) <= {0.0, 1.0}


def test_slabs_are_low_dimensional_and_layered_crystals_are_layered() -> None:
    columns = reliability_columns(gather_evidence(CRYSTALS, None))
    assert columns["low_dimensional"].tolist() == [known.in_vacuum for known in KNOWN]
    assert {KNOWN[k].name for k in np.flatnonzero(columns["layered"])} == {"graphite", "boron nitride", "molybdenite"}


def test_what_is_not_known_is_unknown_and_not_false() -> None:
    evidence = gather_evidence(CRYSTALS, None)
    columns = reliability_columns(evidence)
    assert all(
        np.isnan(columns[name]).all()
        for name in ("ood", "ood_score", "band_gap_ev", "off_equilibrium", "equilibrium_volume_ratio")
    )
    assert np.isnan(columns["metal"][PLACE["diamond"]])
    assert columns["metal"][PLACE["copper"]] == 1  # by its elements
    assert reliability_warnings(columns, evidence)[PLACE["diamond"]] == []


def test_warnings_say_which_crystal_and_why() -> None:
    n = len(KNOWN)
    logit = np.where(np.arange(n) == PLACE["diamond"], METAL_LOGIT + 1, -3.0)
    evidence = gather_evidence(CRYSTALS, reference(), scalars={Scalar.BAND_GAP: np.full(n, 3.0), Scalar.METAL: logit})
    texts = reliability_warnings(reliability_columns(evidence), evidence)
    assert any("a slab in" not in text and "chains in" in text for text in texts[PLACE["selenium chain"]])
    assert any("a layer in 11.5 angstrom" in text for text in texts[PLACE["graphene"]])
    assert any("a metal (log odds 3.5 by the network)" in text for text in texts[PLACE["diamond"]])
    metals = [k for k in range(n) if any("a metal (" in text for text in texts[k])]
    assert metals == sorted({*np.flatnonzero(has_only_metals(CRYSTALS)), PLACE["diamond"]})
    assert any("unlike the training data" in text for text in texts[PLACE["water molecule"]])


def test_a_crystal_away_from_its_equilibrium_is_flagged_by_volume_or_by_energy() -> None:
    n = len(KNOWN)
    expansion, distortion = np.zeros(n), np.zeros(n)
    expansion[0], expansion[1], distortion[2] = FAR_EXPANSION + 0.01, -FAR_EXPANSION - 0.01, FAR_DISTORTION + 0.01
    evidence = gather_evidence(CRYSTALS, None, scalars={Scalar.EXPANSION: expansion, Scalar.DISTORTION: distortion})
    columns = reliability_columns(evidence)
    assert np.flatnonzero(columns["off_equilibrium"] == 1).tolist() == [0, 1, 2]
    # an expanded crystal shrinks when it is relaxed
    assert columns["equilibrium_volume_ratio"][0] < 1 < columns["equilibrium_volume_ratio"][1]
    texts = reliability_warnings(columns, evidence)
    assert [any("off equilibrium" in text for text in texts[k]) for k in range(4)] == [True, True, True, False]
    assert any("its volume would change by about -8 %" in text for text in texts[0])


@pytest.mark.parametrize("volume_factor", [1.0, 1.6])
def test_silica_is_an_open_framework_only_when_it_has_pores(volume_factor: float) -> None:
    quartz = reference_crystals()["quartz"]
    lattice = np.asarray(quartz.lattice) * volume_factor ** (1 / 3)
    crystals = CrystalBatch.from_arrays([lattice], [quartz.frac_coords], [quartz.numbers])
    evidence = gather_evidence(crystals, None)
    columns = reliability_columns(evidence)
    assert columns["open_framework"].tolist() == [volume_factor > 1.0]
    assert any("open framework" in text for text in reliability_warnings(columns, evidence)[0]) is (volume_factor > 1.0)


def test_a_defect_in_a_supercell_is_flagged_with_what_the_numbers_are() -> None:
    host = in_cell(KNOWN[PLACE["rock salt"]].crystal, np.diag([2, 2, 2]))
    vacancy = CrystalBatch.from_arrays(host.lattice, [host.frac_coords[1:]], [host.numbers[1:]])
    evidence = gather_evidence(CrystalBatch.join([host, vacancy, CRYSTALS]), None)
    columns = reliability_columns(evidence)
    assert np.flatnonzero(columns["defect_supercell"]).tolist() == [1]
    texts = reliability_warnings(columns, evidence)
    assert [any("defect supercell" in text and "(vacancy)" in text for text in texts[k]) for k in (0, 1)] == [
        False,
        True,
    ]


def test_a_thick_slab_is_a_slab_and_no_defect() -> None:
    """Layer upon layer its translations map it on itself but for its surfaces."""
    layers, gap = 24, 15.0
    height = 2.0 * layers + gap
    frac = np.stack([np.zeros(layers), np.zeros(layers), 2.0 * np.arange(layers) / height], axis=1)
    slab = CrystalBatch.from_arrays([np.diag([2.0, 2.0, height])], [frac], [np.full(layers, 42)])
    assert is_defect_supercell(slab).tolist() == [True]
    columns = reliability_columns(gather_evidence(slab, None))
    assert columns["low_dimensional"].tolist() == [True]
    assert columns["defect_supercell"].tolist() == [False]


def test_well_known_crystals_have_no_defects() -> None:
    known = reference_crystals().values()
    batch = CrystalBatch.from_arrays(*([getattr(each, name) for each in known] for name in FIELDS))
    assert not is_defect_supercell(CrystalBatch.join([batch, in_cell(batch, np.diag([2, 1, 2]))])).any()


def test_a_graph_that_is_there_already_gives_the_same_columns() -> None:
    graph = build_graph(CRYSTALS, DESCRIPTOR_GRAPH)
    given = reliability_columns(gather_evidence(CRYSTALS, reference(), graph=graph))
    for name, values in reliability_columns(gather_evidence(CRYSTALS, reference())).items():
        assert np.array_equal(given[name], values, equal_nan=True)


def test_no_crystals_have_no_columns_to_fill() -> None:
    evidence = gather_evidence(CRYSTALS.select([]), reference())
    columns = reliability_columns(evidence)
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(RELIABILITY, 0)
    assert reliability_warnings(columns, evidence) == []


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


@pytest.mark.parametrize("known", [True, False], ids=["with reference", "without"])
def test_a_crystal_of_which_one_network_says_what_no_material_has_is_out_of_distribution(known: bool) -> None:
    class WithWildNetwork(ToyTensorModel):
        """The second network misreads the first crystal."""

        def predict(self, batch: CrystalBatch) -> dict[Tensor, NDArray[np.float64]]:
            predicted = {q: np.concatenate([t, t]) for q, t in super().predict(batch).items()}
            predicted[Tensor.ELASTIC][1, 0] *= 1e4
            return predicted

    screener = Screener(WithWildNetwork(), ModelVersion("toy", "1", "0" * 64))
    screener = replace(screener, applicability=reference()) if known else screener
    wild, *others = screener.predict_lines([str(k) for k in range(TEXTBOOK.n_crystals)], TEXTBOOK)
    assert wild["trust"]["ood"] is True
    assert any("unlike any material" in text for text in wild["warnings"])
    assert not any("unlike any material" in text for line in others for text in line["warnings"])
    assert known or {line["trust"]["ood"] for line in others} == {None}
