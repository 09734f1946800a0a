"""The reference crystals: the stored cells are the published ones, and the literature is consistent with itself."""

import json
from functools import cache

import numpy as np
import pytest
import spglib
from pymatgen.core import Lattice, Structure

from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.generated.reference_crystals import ReferenceCrystal, literature_of, reference_crystals
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import SYMBOLS
from models.crystals.neighbors import find_neighbors

CRYSTALS = reference_crystals()

DENSITY_G_PER_CM3 = {
    "quartz": 2.65, "aln": 3.26, "gan": 6.1, "zno": 5.61, "si": 2.33, "ge": 5.32, "diamond": 3.51, "mgo": 3.58,
    "nacl": 2.16, "lif": 2.64, "caf2": 3.18, "rutile": 4.25, "anatase": 3.88, "corundum": 3.99, "srtio3": 5.12,
    "batio3-tetragonal": 6.02, "pbtio3": 7.96, "linbo3": 4.64, "litao3": 7.46, "spinel": 3.58, "baddeleyite": 5.82,
    "calcite": 2.71, "graphite": 2.26, "mos2": 5.0, "bi2te3": 7.86, "gaas": 5.32, "inp": 4.81, "cdte": 5.85,
    "sic-3c": 3.21, "bn-cubic": 3.49, "si3n4-beta": 3.2, "cds": 4.82, "kcl": 1.98, "cscl": 3.99, "tellurium": 6.24,
    "paratellurite": 6.0, "ligao2": 4.19, "aggas2": 4.7, "zngep2": 4.16, "hafnia": 10.1, "knbo3": 4.62,
}  # fmt: skip
"""Handbook densities, from mineralogy and product sheets: independent of the structures in the table."""


@cache
def first_hall_numbers() -> dict[int, int]:
    """The first setting of each space group in spglib's database: origin choice 1, unique axis b, hexagonal axes."""
    halls: dict[int, int] = {}
    for hall in range(1, 531):
        halls.setdefault(spglib.get_spacegroup_type(hall).number, hall)
    return halls


def expanded(crystal: ReferenceCrystal) -> Structure:
    """The conventional cell, expanded from the published parameters with the operations of spglib's database."""
    a = crystal.cell["a"]
    lattice = Lattice.from_parameters(
        a,
        crystal.cell.get("b", a),
        crystal.cell.get("c", a),
        90,
        crystal.cell.get("beta", 90),
        120 if 143 <= crystal.spacegroup <= 194 else 90,
    )
    operations = spglib.get_symmetry_from_database(first_hall_numbers()[crystal.spacegroup])
    elements, positions = [], []
    for element, position in crystal.sites:
        orbit: list[np.ndarray] = []
        for image in operations["rotations"] @ np.array(position) + operations["translations"]:
            offsets = np.array(orbit).reshape(-1, 3) - image
            if not (np.abs(offsets - np.round(offsets)).max(axis=1, initial=0) < 1e-4).any():
                orbit.append(image)
        elements += [element] * len(orbit)
        positions += orbit
    return Structure(lattice, elements, positions)


def test_there_are_at_least_forty_and_each_passes_ingest_as_its_own_crystal() -> None:
    (block,) = open_source("reference").blocks()
    result = ingest_block("reference", block)
    assert len(result.crystal_ids) == len(CRYSTALS) >= 40
    assert not result.rejected
    assert len(set(result.crystal_ids)) == len(set(result.source_ids)) == len(CRYSTALS)


@pytest.mark.parametrize("name", CRYSTALS)
def test_the_stored_cell_is_the_published_one(name: str) -> None:
    """Every atom of the expansion sits on an atom of the stored crystal, in the same axes, and none is left."""
    crystal, cell = CRYSTALS[name], expanded(CRYSTALS[name])
    volume_per_atom = abs(np.linalg.det(crystal.lattice)) / len(crystal.numbers)
    assert cell.volume / len(cell) == pytest.approx(volume_per_atom, rel=1e-5)
    fractional = cell.cart_coords @ np.linalg.inv(crystal.lattice)
    for position, site in zip(fractional, cell, strict=True):
        same = crystal.numbers == site.specie.Z
        offset = crystal.frac_coords[same] - position
        distance = np.linalg.norm((offset - np.round(offset)) @ crystal.lattice, axis=1)
        assert distance.min() < 1e-4, f"{site} has no counterpart"


@pytest.mark.parametrize("name", CRYSTALS)
def test_spglib_finds_the_published_space_group_in_a_primitive_cell(name: str) -> None:
    crystal = CRYSTALS[name]
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    assert spglib.get_symmetry_dataset(cell, symprec=1e-3).number == crystal.spacegroup
    assert len(spglib.find_primitive(cell, symprec=1e-3)[2]) == len(crystal.numbers)


@pytest.mark.parametrize(("name", "density"), DENSITY_G_PER_CM3.items())
def test_the_density_is_that_of_the_handbooks(name: str, density: float) -> None:
    crystal = CRYSTALS[name]
    structure = Structure(crystal.lattice, [SYMBOLS[z] for z in crystal.numbers], crystal.frac_coords)
    assert float(structure.density) == pytest.approx(density, rel=0.015)


def nearest(crystal: ReferenceCrystal) -> float:
    """Shortest distance between two atoms in angstrom."""
    images = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])
    delta = crystal.frac_coords[None, :, None] + images - crystal.frac_coords[:, None, None]
    distances = np.linalg.norm(delta @ crystal.lattice, axis=-1)
    return float(distances[distances > 1e-6].min())


@pytest.mark.parametrize(
    ("name", "bond"),
    [("quartz", 1.605), ("si", 2.352), ("diamond", 1.545), ("aln", 1.889), ("batio3-cubic", 2.005), ("calcite", 1.281),
     ("rutile", 1.949), ("corundum", 1.855), ("linbo3", 1.889), ("paratellurite", 1.879), ("si3n4-beta", 1.731)],
)  # fmt: skip
def test_the_shortest_bond_is_the_published_one(name: str, bond: float) -> None:
    assert nearest(CRYSTALS[name]) == pytest.approx(bond, abs=0.012)


@pytest.mark.parametrize("name", [name for name, crystal in CRYSTALS.items() if crystal.spacegroup == 186])
def test_wurtzites_have_the_bond_along_c_pointing_from_cation_to_anion(name: str) -> None:
    crystal = CRYSTALS[name]
    assert crystal.lattice[2, 2] == pytest.approx(crystal.cell["c"]) and np.allclose(crystal.lattice[2, :2], 0)
    cation, anion = crystal.numbers[0], crystal.numbers[-1]
    position = crystal.frac_coords @ crystal.lattice
    bonds = []
    for start in position[crystal.numbers == cation]:
        offset = (position[crystal.numbers == anion] - start) @ np.linalg.inv(crystal.lattice)
        vectors = (offset - np.round(offset)) @ crystal.lattice
        bonds += [v for v in vectors if np.linalg.norm(v[:2]) < 0.1 and np.linalg.norm(v) < 3]
    assert len(bonds) == 2 and all(v[2] > 0 for v in bonds)


@pytest.mark.parametrize(
    "name", ["batio3-tetragonal", "batio3-orthorhombic", "batio3-rhombohedral", "pbtio3", "knbo3", "linbo3", "litao3"]
)
def test_ferroelectrics_have_their_cations_shifted_along_plus_z(name: str) -> None:
    crystal = CRYSTALS[name]
    z = (crystal.frac_coords @ crystal.lattice)[:, 2]
    octahedral = next(symbol for symbol in ("Ti", "Nb", "Ta") if SYMBOLS.index(symbol) in crystal.numbers)
    position = crystal.frac_coords @ crystal.lattice
    centre = position[crystal.numbers == SYMBOLS.index(octahedral)][0]
    oxygens = position[crystal.numbers == 8]
    images = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)]) @ crystal.lattice
    around = (oxygens[:, None] + images - centre).reshape(-1, 3)
    shell = around[np.argsort(np.linalg.norm(around, axis=1))[:6]]
    assert shell[:, 2].mean() < -0.02, f"oxygens of {octahedral} at {z}"


def test_literature_values_are_sane_and_carry_a_source() -> None:
    for crystal in CRYSTALS.values():
        assert len(crystal.structure_source) > 10
        for name, (value, source) in crystal.literature.items():
            assert np.isfinite(value) and len(source) > 10
            assert name.endswith(("_gpa", "_c_per_m2")) or name.startswith("eps_")
            if name.endswith("_abs_c_per_m2"):
                assert value > 0


def test_electronic_screening_never_exceeds_the_total() -> None:
    for crystal in CRYSTALS.values():
        for name, (value, _) in crystal.literature.items():
            if name.startswith("eps_electronic") and name.replace("electronic", "total") in crystal.literature:
                assert value < crystal.literature[name.replace("electronic", "total")][0]


def test_cubic_and_hexagonal_elastic_constants_are_stable_and_match_their_bulk_modulus() -> None:
    for crystal in CRYSTALS.values():
        values = {name: value for name, (value, _) in crystal.literature.items()}
        if {"c11_gpa", "c12_gpa", "c44_gpa"} <= set(values):
            assert values["c11_gpa"] > abs(values["c12_gpa"]) and values["c44_gpa"] > 0
        if crystal.spacegroup >= 195 and "c11_gpa" in values:
            assert values["k_vrh_gpa"] == pytest.approx((values["c11_gpa"] + 2 * values["c12_gpa"]) / 3, abs=0.01)


def test_a_chosen_part_comes_in_the_order_asked_for_with_its_literature() -> None:
    source = open_source("reference:gan,quartz")
    (block,) = source.blocks()
    assert block.source_ids == ["reference:gan", "reference:quartz"]
    assert json.loads(block.metadata[0] or "")["literature"]["e33_c_per_m2"][0] == 0.73
    (rest,) = source.blocks(1)
    assert (rest.start, rest.stop, rest.source_ids) == (1, 2, ["reference:quartz"])
    assert list(source.blocks(2)) == []
    assert source.fingerprint() != open_source("reference:quartz,gan").fingerprint()


def test_literature_is_found_by_source_id_only() -> None:
    assert literature_of("reference:mgo")["c11_gpa"][0] == 297.9
    assert literature_of("mgo") == literature_of("mp:mgo") == literature_of("reference:nothing") == {}


@pytest.mark.parametrize(
    ("name", "number", "neighbours"),
    [
        *(("quartz", 14, 4), ("quartz", 8, 2), ("berlinite", 15, 4), ("berlinite", 13, 4), ("rutile", 22, 6)),
        *(("corundum", 13, 6), ("spinel", 13, 6), ("spinel", 12, 4), ("calcite", 6, 3), ("linbo3", 41, 6)),
        *(("tellurium", 52, 2), ("zno", 30, 4), ("caf2", 20, 8), ("anatase", 22, 6), ("aggas2", 31, 4)),
    ],
)
def test_every_atom_has_its_textbook_coordination(name: str, number: int, neighbours: int) -> None:
    """A shortest bond alone is right even when half of a tetrahedron is missing, as for quartz of mixed hands."""
    batch = next(open_source(f"reference:{name}").blocks()).crystals
    found = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.array([3.5]))
    for atom in np.flatnonzero(batch.numbers == number):
        lengths = np.sort(found.distance[found.center == atom])
        assert (lengths < 1.18 * lengths[0]).sum() == neighbours
