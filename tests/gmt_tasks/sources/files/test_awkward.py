"""Forty-five real files that break software: each ends as crystals or as a rejection that says why."""

from typing import Any

import numpy as np
import pytest
import spglib
from pymatgen.core import Composition

from db.records import IngestedBlock
from models.crystals.crystal import SYMBOLS, reduced_formula
from models.errors import Reason
from tests.gmt_tasks.sources.awkward_table import FOLDER, came_out, index, ingest_folder, of_file

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of awkward files is not here (../shared/data)")

REASONS = {
    "pymatgen-core__bad_occu.cif": {Reason.OCCUPANCY},
    "pymatgen-core__bad_superflat_inf_loop.cif.gz": {Reason.DEGENERATE_CELL},
    "pymatgen-core__magnetic.disordered.example.CuMnO2.mcif": {Reason.DISORDERED},
    "citable-data__FAU.cif": {Reason.PARSE},
    "mlip-arena__MIL-96(Al).cif": {Reason.OVERLAP},  # two atoms 0.015 angstrom apart, says the index
    "pymatgen-core__PF_sd_1601634.cif": {Reason.UNKNOWN_SPECIES, Reason.EMPTY},  # water as "OH2"; blocks of "?"
    # Water without its hydrogens; solvent that the formula counts in part: not the crystals that the files state.
    "pymatgen-core__Senegalite_implicit_hydrogen.cif": {Reason.UNKNOWN_SPECIES},
    "pymatgen-core__P24Ru4H252C296S24N16.cif": {Reason.COMPOSITION_MISMATCH},
    "pymatgen-core__PF_sd_1615854.cif": {Reason.DISORDERED, Reason.EMPTY},
}
"""What the index leaves open, or a reason for what it only calls a failure."""


@pytest.fixture(scope="module")
def ingested() -> IngestedBlock:
    """All files in one go, as a user would give them."""
    return ingest_folder()


def test_no_input_vanishes(ingested: IngestedBlock) -> None:
    seen = sorted([*ingested.positions.tolist(), *(item.position for item in ingested.rejected)])
    assert seen == list(range(ingested.start, ingested.stop))
    assert all(item.detail for item in ingested.rejected)


@pytest.mark.parametrize("entry", index(), ids=lambda entry: str(entry["file"]))
def test_a_file_ends_as_its_index_entry_says(ingested: IngestedBlock, entry: dict[str, Any]) -> None:
    crystals, rejected = of_file(ingested, entry["file"])
    reasons = {ingested.rejected[row].reason for row in rejected}
    if expected := expected_reasons(entry):
        assert (crystals, reasons) == ([], expected)
        return
    assert len(crystals) == 1 and not reasons
    batch = ingested.crystals.select(crystals)
    assert len(batch.numbers) == entry["nsites"]
    if "formula" in entry:
        assert reduced_formula(batch.numbers) == formula_of(entry["formula"])
    if "sg_1e2" in entry or "sg_0.01" in entry:
        cell = (batch.lattice[0], batch.frac_coords, batch.numbers)
        found = spglib.get_symmetry_dataset(cell, symprec=1e-2).number
        assert found == entry.get("sg_1e2", entry.get("sg_0.01"))


def expected_reasons(entry: dict[str, Any]) -> set[Reason]:
    """The reasons a file must be refused for; empty if it must give its crystal."""
    if entry["file"] in REASONS:
        return REASONS[entry["file"]]
    if entry["file"].startswith("spglib__POSCAR"):
        # VASP 4 files without elements; the index holds the H, He, Li that pymatgen invents for them.
        return {Reason.UNKNOWN_SPECIES}
    return {Reason.DISORDERED} if entry.get("ordered") is False else set()


def formula_of(text: str) -> str:
    """Our reduced formula of a formula that pymatgen wrote."""
    counts = Composition(text).get_el_amt_dict()
    return reduced_formula(np.array([SYMBOLS.index(symbol) for symbol in counts for _ in range(round(counts[symbol]))]))


def test_negative_control_a_disordered_file_is_not_among_the_crystals(ingested: IngestedBlock) -> None:
    assert "pymatgen-core__Li10GeP2S12.cif" not in ingested.source_ids
    assert "pymatgen-core__La4Fe4O12.cif" in ingested.source_ids


def test_the_table_has_an_ending_for_every_file(ingested: IngestedBlock) -> None:
    endings = {entry["file"]: came_out(ingested, entry["file"]) for entry in index()}
    assert len(endings) == 45 and all(endings.values())
    assert endings["pymatgen-core__Li10GeP2S12.cif"].startswith("disordered: ")
    assert endings["pymatgen-core__La4Fe4O12.cif"].startswith("crystal FeLaO3, 20 atoms")
