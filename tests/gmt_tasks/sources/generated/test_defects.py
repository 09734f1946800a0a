"""Point defects: each that symmetry tells apart, once, with its multiplicity."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import spglib

from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.sources.generated.defects import compact_supercell
from gmt_tasks.sources.generated.parents import Parent
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import SourceError


def made(text: str) -> tuple[SourceBlock, list[dict[str, Any]]]:
    (block,) = open_source(text).blocks()
    return block, [json.loads(lineage.detail) for lineage in block.lineage if lineage is not None]


@pytest.mark.parametrize("name", ["quartz", "spinel", "batio3-tetragonal", "baddeleyite", "si3n4-beta"])
def test_vacancies_are_the_orbits_that_spglib_finds_and_their_multiplicities_sum_to_all_atoms(name: str) -> None:
    block, details = made(f"defects:of=reference:{name},kinds=vacancy,supercell=1x1x2")
    crystal = reference_crystals()[name]
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    orbits = spglib.get_symmetry_dataset(cell, symprec=0.01).crystallographic_orbits
    assert sorted(detail["multiplicity"] for detail in details) == sorted(2 * n for n in Counter(orbits).values())
    assert sum(detail["multiplicity"] for detail in details) == 2 * len(crystal.numbers)
    assert set(block.crystals.atoms_per_crystal) == {2 * len(crystal.numbers) - 1}


def test_equivalent_vacancies_are_the_same_crystal_and_inequivalent_ones_are_not() -> None:
    """All vacancies of quartz, made by hand, are as many crystals as there are orbits."""
    crystal = reference_crystals()["quartz"]
    n_atoms = len(crystal.numbers)
    by_hand = CrystalBatch.from_arrays(
        [crystal.lattice] * n_atoms,
        [np.delete(crystal.frac_coords, site, axis=0) for site in range(n_atoms)],
        [np.delete(crystal.numbers, site) for site in range(n_atoms)],
    )
    block, details = made("defects:of=reference:quartz,kinds=vacancy,supercell=1x1x1")
    assert Counter(content_ids(by_hand)) == {
        own: detail["multiplicity"] for own, detail in zip(content_ids(block.crystals), details, strict=True)
    }


def test_antisites_put_every_other_element_on_every_site() -> None:
    block, details = made("defects:of=reference:spinel,kinds=antisite,supercell=1x1x1")
    pairs = {(detail["placed"], detail["removed"]) for detail in details}
    assert pairs == {(one, other) for one in ("Mg", "Al", "O") for other in ("Mg", "Al", "O") if one != other}
    for k, detail in enumerate(details):
        atoms = slice(*block.crystals.first_atom[k : k + 2])
        counts = Counter(SYMBOLS[number] for number in block.crystals.numbers[atoms])
        expected = Counter(Mg=2, Al=4, O=8)
        expected.update({detail["placed"]: 1, detail["removed"]: -1})
        assert counts == +expected
    assert {lineage.operation for lineage in block.lineage if lineage} == {"antisite"}


def test_a_supercell_without_its_defect_is_the_parent_repeated() -> None:
    block, details = made("defects:of=reference:mgo,kinds=vacancy,supercell=2x2x1")
    parent = reference_crystals()["mgo"]
    corners = np.array([(a, b, 0) for a in range(2) for b in range(2)])
    expected = ((corners[:, None] + parent.frac_coords).reshape(-1, 3) / [2, 2, 1]).tolist()
    removed = expected.pop(details[0]["site"])
    atoms = slice(*block.crystals.first_atom[:2])
    assert np.allclose(sorted(block.crystals.frac_coords[atoms].tolist()), sorted(expected))
    assert removed not in expected
    assert np.allclose(block.crystals.lattice[0], parent.lattice * np.array([[2], [2], [1]]))


def test_the_compact_supercell_keeps_images_apart_within_its_atoms() -> None:
    flat = Parent("flat", np.diag([3.0, 3.0, 9.0]), np.zeros((1, 3)), np.array([29]))
    assert compact_supercell(flat, 9) == (3, 3, 1)
    assert compact_supercell(flat, 8) == (2, 2, 1)
    large = Parent("large", 9 * np.eye(3), np.zeros((80, 3)), np.full(80, 29))
    assert compact_supercell(large, 64) == (1, 1, 1)


def test_reading_continues_anywhere() -> None:
    source = open_source("defects:of=BaTiO3")
    (block,) = source.blocks()
    (rest,) = source.blocks(11)
    assert rest.source_ids == block.source_ids[11:]
    assert len(set(block.source_ids)) == block.stop


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("defects", "of=BaTiO3"),
        ("defects:of=BaTiO3,kinds=interstitial", "'interstitial' is none of vacancy, antisite"),
        ("defects:of=BaTiO3,supercell=2x2", "e.g. 2x2x2"),
        ("defects:of=BaTiO3,supercell=0x1x1", "from 1 to 20"),
        ("defects:of=BaTiO3,supercell=1x1x1,max_atoms=9", "not both"),
        ("defects:of=BaTiO3,n=4", "'n=4' is no parameter of defects"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(text: str, problem: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(text)
    assert problem in str(error.value)


def test_an_element_has_no_antisites() -> None:
    with pytest.raises(SourceError, match="have no antisite"):
        next(open_source("defects:of=reference:si,kinds=antisite").blocks())
