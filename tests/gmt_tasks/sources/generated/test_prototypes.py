"""Decorated prototypes: balanced, fitting, of the symmetry of their type, and the same for everyone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spglib

from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.generated.decoration import MAX_MISFIT
from gmt_tasks.sources.generated.prototype_table import DEFAULT_ELEMENTS, PIEZO_SPACEGROUPS, PROTOTYPES
from gmt_tasks.sources.generated.prototypes import PrototypesSource
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS
from models.errors import SourceError

N = 1500


@pytest.fixture(scope="module")
def blocks() -> list[SourceBlock]:
    return list(PrototypesSource(n=N, seed=1).blocks())


def test_the_number_asked_for_comes_with_unique_ids_and_passes_ingest(blocks: list[SourceBlock]) -> None:
    assert [(block.start, block.stop) for block in blocks] == [(0, 1000), (1000, N)]
    ids = [source_id for block in blocks for source_id in block.source_ids]
    assert len(set(ids)) == N
    assert all(source_id.startswith("prototypes:") and source_id.count(":") == 2 for source_id in ids)
    results = [ingest_block("prototypes", block) for block in blocks]
    assert not [item for result in results for item in result.rejected]
    assert len({crystal_id for result in results for crystal_id in result.crystal_ids}) == N


def test_every_crystal_is_charge_balanced(blocks: list[SourceBlock]) -> None:
    for block in blocks:
        first = block.crystals.first_atom
        for k, text in enumerate(block.metadata):
            states = json.loads(text or "")["oxidation_states"]
            numbers = block.crystals.numbers[first[k] : first[k + 1]]
            assert sum(states[SYMBOLS[z]] for z in numbers) == 0
            assert json.loads(text or "")["misfit"] <= MAX_MISFIT


def test_spglib_finds_the_space_group_of_the_type(blocks: list[SourceBlock]) -> None:
    block = blocks[0]
    first = block.crystals.first_atom
    seen = set()
    for k, text in enumerate(block.metadata):
        metadata = json.loads(text or "")
        if metadata["prototype"] in seen:
            continue
        seen.add(metadata["prototype"])
        atoms = slice(first[k], first[k + 1])
        cell = (block.crystals.lattice[k], block.crystals.frac_coords[atoms], block.crystals.numbers[atoms])
        found = spglib.get_symmetry_dataset(cell, symprec=1e-3).number
        assert found == metadata["prototype_spacegroup"], block.source_ids[k]
    assert len(seen) > 60


def test_first_crystals_are_various_and_mostly_piezoelectric(blocks: list[SourceBlock]) -> None:
    metadata = [json.loads(text or "") for text in blocks[0].metadata]
    for n in (50, 500, 1000):
        share = np.mean([entry["prototype_spacegroup"] in PIEZO_SPACEGROUPS for entry in metadata[:n]])
        assert 0.5 < share < 0.7
    assert len({entry["prototype"] for entry in metadata[:60]}) > 40
    elements = {element for entry in metadata for element in entry["oxidation_states"]}
    assert len(elements) > 50


def volume(source_id: str, elements: str) -> float:
    """Volume per formula unit in cubic angstrom of one decoration, found among all of its elements."""
    n = available(elements)
    for block in PrototypesSource(n=n, elements=elements.split("+")).blocks():
        if source_id in block.source_ids:
            k = block.source_ids.index(source_id)
            numbers = block.crystals.numbers[slice(*block.crystals.first_atom[k : k + 2])]
            units = int(np.gcd.reduce(np.unique(numbers, return_counts=True)[1]))
            return abs(float(np.linalg.det(block.crystals.lattice[k]))) / units
    raise LookupError(source_id)


def available(elements: str) -> int:
    """How many decorations there are, taken from the error that asking for too many gives."""
    greedy = PrototypesSource(n=10**9, elements=elements.split("+"))
    with pytest.raises(SourceError, match="decorations fit") as error:
        next(greedy.blocks())
    return int(str(error.value).split()[0])


@pytest.mark.parametrize(
    ("source_id", "elements", "measured"),
    [
        ("prototypes:ABX3-perovskite:BaTiO3", "Ba+Ti+O", 64.4),
        ("prototypes:ABX3-perovskite:SrTiO3", "Sr+Ti+O", 59.5),
        ("prototypes:AX-rocksalt:MgO", "Mg+O", 18.67),
        ("prototypes:AX-rocksalt:NaCl", "Na+Cl", 44.9),
        ("prototypes:AX-wurtzite:ZnO", "Zn+O", 23.8),
        ("prototypes:AX-wurtzite:GaN", "Ga+N", 22.9),
        ("prototypes:AX-zincblende:GaAs", "Ga+As", 45.2),
        ("prototypes:AX2-rutile:TiO2", "Ti+O", 31.2),
        ("prototypes:AX2-fluorite:CaF2", "Ca+F", 40.8),
        ("prototypes:ABX3-linbo3:LiNbO3", "Li+Nb+O", 53.1),
        ("prototypes:A2X3-corundum:Al2O3", "Al+O", 42.5),
        ("prototypes:ABX2-chalcopyrite:AgGaS2", "Ag+Ga+S", 85.4),
        ("prototypes:AB2X4-spinel:MgAl2O4", "Mg+Al+O", 66.0),
    ],
)
def test_volumes_of_known_crystals_are_met(source_id: str, elements: str, measured: float) -> None:
    """Measured volumes per formula unit are from the lattice constants of the reference literature."""
    assert volume(source_id, elements) == pytest.approx(measured, rel=0.15)


def test_the_wrong_cation_does_not_fit() -> None:
    """The negative control of the fit: magnesium on the twelvefold site, barium on a fourfold one."""
    with pytest.raises(LookupError):
        volume("prototypes:ABX3-perovskite:MgTiO3", "Mg+Ti+O")
    with pytest.raises(LookupError):
        volume("prototypes:AX-wurtzite:BaO", "Ba+O")


def test_a_seed_gives_the_same_crystals_in_another_process_and_another_seed_others() -> None:
    root = Path(__file__).parents[4]
    code = (
        "from gmt_tasks.sources.generated.prototypes import PrototypesSource as P;"
        "from gmt_tasks.ingest.deduplicate import content_ids;"
        "b = next(P(n=60, seed=5, elements=['Ba', 'Ti', 'Zn', 'Li', 'O', 'S', 'Ga', 'Na']).blocks());"
        "print(b.source_ids, content_ids(b.crystals))"
    )
    # A hash seed of its own: the order of a set is another one there.
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    ).stdout
    elements = ["S", "O", "Ba", "Ti", "Zn", "Li", "Ga", "Na"]  # their order must not matter either
    here = next(PrototypesSource(n=60, seed=5, elements=elements).blocks())
    assert there.strip() == f"{here.source_ids} {content_ids(here.crystals)}"
    assert next(PrototypesSource(n=60, seed=6, elements=elements).blocks()).source_ids != here.source_ids


def test_a_smaller_n_is_the_beginning_of_a_larger_one_and_reading_continues_anywhere() -> None:
    oxides = ("Ba", "Sr", "Ti", "Zr", "Zn", "Al", "Li", "Nb", "Na", "Si", "Mg", "Ca", "O", "F", "S")
    source = PrototypesSource(n=800, elements=oxides)
    all_ids = [i for block in source.blocks() for i in block.source_ids]
    assert next(PrototypesSource(n=100, elements=oxides).blocks()).source_ids == all_ids[:100]
    assert [i for block in source.blocks(750) for i in block.source_ids] == all_ids[750:]


def test_elements_are_restricted_on_request() -> None:
    source = open_source("prototypes:n=20,elements=Ba+Sr+Ti+Zr+O")
    (block,) = source.blocks()
    assert {SYMBOLS[z] for z in block.crystals.numbers} <= {"Ba", "Sr", "Ti", "Zr", "O"}


def test_asking_for_more_than_there_are_says_how_many_there_are() -> None:
    with pytest.raises(SourceError, match=r"^\d+ decorations fit, 100000 were asked for"):
        next(open_source("prototypes:n=100000,elements=Ba+O").blocks())


def test_the_fingerprint_follows_the_parameters() -> None:
    texts = ["prototypes", "prototypes:seed=1", "prototypes:n=5", "prototypes:elements=Ba+O"]
    assert len({open_source(text).fingerprint() for text in texts}) == len(texts)
    assert open_source("prototypes:n=1000,seed=0").fingerprint() == open_source("prototypes").fingerprint()


def test_the_elements_exclude_noble_gases_and_radioactive_ones() -> None:
    numbers = [SYMBOLS.index(symbol) for symbol in DEFAULT_ELEMENTS]
    assert max(numbers) <= 83
    assert not {2, 10, 18, 36, 43, 54, 61} & set(numbers)


def test_the_piezoelectric_groups_are_those_spglib_finds_without_inversion_and_not_432() -> None:
    found = set()
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        rotations = spglib.get_symmetry_from_database(hall)["rotations"]
        has_inversion = any(np.array_equal(rotation, -np.eye(3)) for rotation in rotations)
        if not has_inversion and kind.pointgroup_international != "432":
            found.add(kind.number)
    assert found == set(PIEZO_SPACEGROUPS)
    assert sum(prototype.piezo_allowed for prototype in PROTOTYPES) >= 25
