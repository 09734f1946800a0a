"""Strained crystals: symmetric, of the asked size, seeded, and each with its strain."""

import json

import numpy as np
import pytest

from db.records import Lineage, LineageOperation
from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.sources.generated.strained import nth_strain, strain_matrix
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import SourceBlock
from models.errors import SourceError

TEXT = "strained:of=reference:quartz,strain=0.01,n=40,seed=3"


def made(text: str) -> tuple[SourceBlock, list[Lineage]]:
    (block,) = open_source(text).blocks()
    return block, [lineage for lineage in block.lineage if lineage is not None]


def test_every_cell_is_the_parent_under_the_symmetric_strain_of_its_lineage() -> None:
    block, lineages = made(TEXT)
    (parent,) = open_source("reference:quartz").blocks()
    rows = np.linalg.inv(parent.crystals.lattice[0])
    for lattice, lineage in zip(block.crystals.lattice, lineages, strict=True):
        eta = rows @ lattice - np.eye(3)
        assert np.allclose(eta, eta.T, atol=1e-12)
        assert np.allclose(eta, strain_matrix(json.loads(lineage.detail)["strain_voigt"]), atol=1e-10)
        assert np.abs(eta).max() <= 0.01 + 1e-12
        assert (lineage.parent, lineage.operation) == ("reference:quartz", LineageOperation.STRAIN)
    assert np.array_equal(block.crystals.frac_coords, np.tile(parent.crystals.frac_coords, (40, 1)))


def test_systematic_strains_come_first_in_both_signs_and_only_random_ones_have_a_seed() -> None:
    _, lineages = made(TEXT)
    kinds = [json.loads(lineage.detail)["kind"] for lineage in lineages]
    assert kinds[0:4] == ["volumetric", "volumetric", "uniaxial x", "uniaxial x"]
    assert kinds[14:] == ["random"] * 26
    assert [lineage.seed for lineage in lineages] == [None] * 14 + [3] * 26
    first, second = (json.loads(lineage.detail)["strain_voigt"] for lineage in lineages[2:4])
    assert first == [-component for component in second] == [0.01, 0, 0, 0, 0, 0]


def test_shears_are_doubled_in_voigt_form() -> None:
    kind, shear = nth_strain(8, 0.02, 0)
    assert (kind, shear) == ("shear yz", (0, 0, 0, 0.04, 0, 0))
    assert strain_matrix(shear)[1, 2] == strain_matrix(shear)[2, 1] == 0.02


def test_a_seed_gives_the_same_strains_and_another_seed_others() -> None:
    block, _ = made(TEXT)
    again, _ = made(TEXT)
    other, _ = made(TEXT.replace("seed=3", "seed=4"))
    assert np.array_equal(block.crystals.lattice, again.crystals.lattice)
    assert np.array_equal(block.crystals.lattice[:14], other.crystals.lattice[:14])
    assert not np.isclose(block.crystals.lattice[14:], other.crystals.lattice[14:]).all(axis=(1, 2)).any()


def test_reading_continues_anywhere_across_parents() -> None:
    source = open_source("strained:of=BaTiO3,n=20")
    (block,) = source.blocks()
    assert block.stop == 80
    (rest,) = source.blocks(35)
    assert rest.source_ids == block.source_ids[35:]
    assert np.array_equal(rest.crystals.lattice, block.crystals.lattice[35:])


def test_strains_that_symmetry_maps_onto_each_other_are_one_crystal_and_others_are_not() -> None:
    cubic, _ = made("strained:of=reference:mgo,n=8")
    ids = content_ids(cubic.crystals)
    # along x, y and z
    assert ids[2] == ids[4] == ids[6]
    assert len(set(ids)) == 4
    polar, _ = made("strained:of=reference:batio3-tetragonal,n=8")
    ids = content_ids(polar.crystals)
    assert ids[2] == ids[4] != ids[6]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("strained", "of=BaTiO3"),
        ("strained:of=BaTiO3,strain=0", "a number above 0, at most 0.2"),
        ("strained:of=BaTiO3,strain=0.5", "at most 0.2"),
        ("strained:of=BaTiO3,seed=-1", "a whole number"),
        ("strained:of=BaTiO3,size=2", "'size=2' is no parameter of strained"),
        ("strained:of=", "an id or a formula"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(text: str, problem: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(text)
    assert problem in str(error.value)
