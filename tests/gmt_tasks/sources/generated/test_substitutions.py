"""Ionic substitutions: balanced, fitting, the most probable first, and the same for everyone."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS
from models.errors import Reason, SourceError


@pytest.fixture(scope="module")
def block() -> SourceBlock:
    """The first 400 near BaTiO3, made without any database."""
    (made,) = open_source("substitutions:near=BaTiO3,n=400").blocks()
    return made


def test_hundreds_of_candidates_pass_ingest_and_are_different_crystals(block: SourceBlock) -> None:
    ingested = ingest_block("substitutions", block)
    n_accepted = len(ingested.crystal_ids)
    assert n_accepted + len(ingested.rejected) == 400
    assert n_accepted > 380
    # Fe4+ and the like: states that the probabilities know and the gate does not
    assert {refused.reason for refused in ingested.rejected} <= {Reason.CHARGE_UNBALANCED}
    assert len(set(ingested.crystal_ids)) == len(set(ingested.source_ids)) == n_accepted


def test_every_candidate_is_charge_balanced(block: SourceBlock) -> None:
    for k, text in enumerate(block.metadata):
        states = json.loads(text or "")["oxidation_states"]
        atoms = slice(*block.crystals.first_atom[k : k + 2])
        assert sum(states[SYMBOLS[number]] for number in block.crystals.numbers[atoms]) == 0
        assert states.keys() == {SYMBOLS[number] for number in block.crystals.numbers[atoms]}


def test_the_most_probable_come_first_and_the_lineage_says_what_changed(block: SourceBlock) -> None:
    made = [lineage for lineage in block.lineage if lineage is not None]
    logs = [lineage.log_probability or 0 for lineage in made]
    assert len(made) == 400
    assert logs == sorted(logs, reverse=True)
    n_changes = Counter(len(json.loads(lineage.detail)) for lineage in made)
    assert n_changes[1] > 50
    assert n_changes[2] > 50
    for lineage, source_id in zip(made, block.source_ids, strict=True):
        changes = ",".join(f"{old}>{new}" for old, new in json.loads(lineage.detail).items())
        assert source_id == f"substitutions:{lineage.parent}:{changes}"


def test_chemically_obvious_neighbors_of_batio3_are_among_the_first(block: SourceBlock) -> None:
    formulas = block.crystals.formulas()
    assert {"BaO3Zr", "BaO3Sn", "O3SrTi", "O3PbTi"} <= set(formulas[:150])
    assert "BaO3Ti" not in formulas


def test_positions_are_those_of_the_parent_and_the_cell_is_scaled_alike(block: SourceBlock) -> None:
    cubic = block.source_ids.index("substitutions:reference:batio3-cubic:Ba>Sr")
    atoms = slice(*block.crystals.first_atom[cubic : cubic + 2])
    (parent,) = open_source("reference:batio3-cubic").blocks()
    assert np.array_equal(block.crystals.frac_coords[atoms], parent.crystals.frac_coords)
    ratio = block.crystals.lattice[cubic] / np.where(parent.crystals.lattice[0] == 0, 1, parent.crystals.lattice[0])
    assert np.diag(ratio) == pytest.approx(ratio[0, 0])
    # measured: 3.905 angstrom
    assert block.crystals.lattice[cubic, 0, 0] == pytest.approx(3.905, rel=0.02)


def test_reading_continues_anywhere_and_a_smaller_n_is_the_beginning_of_a_larger_one(block: SourceBlock) -> None:
    (rest,) = open_source("substitutions:near=BaTiO3,n=400").blocks(391)
    assert (rest.start, rest.stop, rest.source_ids) == (391, 400, block.source_ids[391:])
    (first,) = open_source("substitutions:near=BaTiO3,n=30").blocks()
    assert first.source_ids == block.source_ids[:30]


def test_another_process_makes_the_same_crystals_under_another_hash_seed() -> None:
    text = "substitutions:near=reference:quartz,n=40"
    code = (
        "from gmt_tasks.sources.open import open_source as o;"
        "from gmt_tasks.ingest.deduplicate import content_ids as c;"
        f"s = o({text!r}); b = next(s.blocks()); print(s.fingerprint(), b.source_ids, c(b.crystals), b.lineage)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[4],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    source = open_source(text)
    here = next(source.blocks())
    assert there.strip() == f"{source.fingerprint()} {here.source_ids} {content_ids(here.crystals)} {here.lineage}"


def test_elements_threshold_and_changes_restrict_the_candidates() -> None:
    (few,) = open_source("substitutions:near=BaTiO3,elements=Sr+Zr,n=1000,max_changes=2").blocks()
    assert set(few.crystals.formulas()) == {"O3SrTi", "BaO3Zr", "O3SrZr"}
    (single,) = open_source("substitutions:near=BaTiO3,elements=Sr+Zr,max_changes=1").blocks()
    assert set(single.crystals.formulas()) == {"O3SrTi", "BaO3Zr"}
    (probable,) = open_source("substitutions:near=BaTiO3,threshold=0.01").blocks()
    assert all((lineage.log_probability or 0) >= np.log(0.01) for lineage in probable.lineage if lineage)


def test_a_crystal_without_oxidation_states_is_replaced_element_by_element() -> None:
    (block,) = open_source("substitutions:near=reference:si,n=5").blocks()
    assert "Ge" in block.crystals.formulas()
    assert all(json.loads(text or "")["oxidation_states"] == {} for text in block.metadata)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("substitutions", "near=BaTiO3"),
        ("substitutions:near=BaTiO3,of=2", "'of=2' is no parameter of substitutions. Allowed are near=..., n=..."),
        ("substitutions:near=BaTiO3,n=0", "a whole number of at least 1"),
        ("substitutions:near=BaTiO3,n=5,n=6", "twice"),
        ("substitutions:near=BaTiO3,threshold=nan", "a number above 0, at most 1"),
        ("substitutions:near=BaTiO3,max_changes=4", "at most 3 elements"),
        ("substitutions:near=BaTiO3,elements=Ba+Xx", "'Xx' is no element symbol"),
        ("substitutions:near=Xe2Kr", "No crystal is meant by 'Xe2Kr'"),
        ("substitutions:near=mp-149", "No crystal is meant by 'mp-149'"),
        ("substitutions:near=reference:unobtainium", "No crystal is meant"),
        ("substitutions:near=prototypes:AX-rocksalt:MgF7", "No crystal is meant"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(text: str, problem: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(text)
    assert problem in str(error.value)


def test_where_nothing_is_left_the_source_says_so() -> None:
    with pytest.raises(SourceError, match="No substitution of"):
        next(open_source("substitutions:near=reference:mgo,elements=Al,max_changes=1").blocks())


def test_every_parameter_changes_the_fingerprint() -> None:
    texts = [f"substitutions:near=reference:mgo{more}" for more in ("", ",n=5", ",threshold=0.1", ",elements=Ca")]
    texts.append("substitutions:near=reference:cao")
    assert len({open_source(text).fingerprint() for text in texts}) == len(texts)
    assert open_source(f"{texts[0]},n=1000").fingerprint() == open_source(texts[0]).fingerprint()
