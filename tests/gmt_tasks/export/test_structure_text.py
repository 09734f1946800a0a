"""Crystals as text: what ASE and pymatgen read is the crystal that was written, and its tensors in its frame."""

import io
from typing import Any

import ase.io
import numpy as np
import pytest
from pymatgen.core import Structure

from db.query.pages import Request
from db.store import ResultStore
from gmt_tasks.export.structure_text import ExportError, StructureFormat, facts_of_hit, file_name, structure_text
from models.crystals.crystal import SYMBOLS
from models.quantities import Tensor
from models.tensors.voigt import to_printed


@pytest.fixture(scope="module")
def facts(store: ResultStore) -> dict[str, Any]:
    """A crystal of five atoms as `show` has it."""
    (hit,) = store.query("n_atoms = 5", limit=1)["id"]
    return store.show(hit)


def read(text: str, format: str) -> Any:
    return ase.io.read(io.StringIO(text), format=format)


def test_extended_xyz_holds_the_lattice_rows_and_the_tensors_in_their_frame(facts: dict[str, Any]) -> None:
    atoms = read(structure_text(facts, "extxyz"), "extxyz")
    assert np.array_equal(atoms.cell.array, facts["lattice"])
    assert atoms.pbc.all()
    assert atoms.get_chemical_symbols() == [SYMBOLS[z] for z in facts["numbers"].tolist()]
    assert np.allclose(atoms.get_scaled_positions(wrap=False), facts["frac_coords"], atol=1e-10)
    result = facts["results"][0]
    assert np.array_equal(atoms.info["elastic_voigt"], result["tensors"]["elastic_voigt"])
    assert np.array_equal(atoms.info["dielectric_total"], result["tensors"]["dielectric_total"])
    piezo = to_printed(Tensor.PIEZOELECTRIC, result["tensors"]["piezoelectric"])
    assert np.array_equal(atoms.info["piezoelectric_voigt"], piezo)
    assert float(atoms.info["k_vrh_gpa"]) == result["derived"]["k_vrh_gpa"]
    assert atoms.info["id"] == facts["id"]
    assert atoms.info["model"] == result["model"]


def test_poscar_keeps_the_frame_also_of_a_left_handed_lattice(facts: dict[str, Any]) -> None:
    for lattice in (facts["lattice"], facts["lattice"][[1, 0, 2]]):
        given = facts | {"lattice": lattice}
        structure = Structure.from_str(structure_text(given, "poscar"), fmt="poscar")
        rows = lattice if np.linalg.det(lattice) > 0 else lattice[[1, 0, 2]]
        assert np.allclose(structure.lattice.matrix, rows, atol=1e-12)
        positions = given["frac_coords"] @ lattice
        for z, position in zip(given["numbers"].tolist(), positions, strict=True):
            distances = np.linalg.norm(structure.cart_coords - position, axis=1)
            assert z == structure[int(distances.argmin())].specie.Z
            assert distances.min() < 1e-9


def test_a_cif_lists_every_atom_of_the_cell(facts: dict[str, Any]) -> None:
    atoms = read(structure_text(facts, "cif"), "cif")
    assert sorted(atoms.numbers.tolist()) == sorted(facts["numbers"].tolist())
    rows = facts["lattice"]
    assert np.allclose(atoms.cell.array @ atoms.cell.array.T, rows @ rows.T, atol=1e-6)
    frac = atoms.get_scaled_positions(wrap=False)
    assert np.allclose(frac, facts["frac_coords"], atol=1e-9)


def test_what_is_unknown_is_left_out_and_foreign_text_stays_text(facts: dict[str, Any]) -> None:
    derived = {"k_vrh_gpa": None, "optical_class": 'a" b\\\nLattice="0"'}
    result = facts["results"][0] | {"derived": derived, "tensors": {"elastic_voigt": None}}
    atoms = read(structure_text(facts | {"results": [result]}, "extxyz"), "extxyz")
    assert "k_vrh_gpa" not in atoms.info
    assert "elastic_voigt" not in atoms.info
    assert np.array_equal(atoms.cell.array, facts["lattice"])
    without = structure_text(facts | {"results": []}, "extxyz")
    assert "model" not in read(without, "extxyz").info


def test_a_hit_is_written_as_show_writes_it(store: ResultStore, facts: dict[str, Any]) -> None:
    fields = ("n_atoms", "spacegroup", "point_group", "symprec", "k_vrh_gpa")
    (hits,) = store.hits(Request(f'id = "{facts["id"]}"', fields=fields))
    written = facts_of_hit(hits, 0)
    assert structure_text(written, "poscar") == structure_text(facts, "poscar")
    info = read(structure_text(written, "extxyz"), "extxyz").info
    assert np.array_equal(info["elastic_voigt"], facts["results"][0]["tensors"]["elastic_voigt"])
    assert file_name(written, StructureFormat.CIF) == f"{facts['formula']}_{facts['id']}.cif"


def test_an_unknown_format_is_refused_with_the_known_ones(facts: dict[str, Any]) -> None:
    with pytest.raises(ExportError, match="Choose cif, poscar, extxyz"):
        structure_text(facts, "pdb")
