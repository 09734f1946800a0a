"""Files made to mislead: each is the crystal that it means, with a doubt where one is due, or refused for its fault."""

import gemmi
import numpy as np
import pytest

from gmt_tasks.sources.files.cif.blocks import blocks_with_crystals
from gmt_tasks.sources.files.cif.items import parse_number
from gmt_tasks.sources.files.cif.species import element_of_type
from gmt_tasks.sources.parsed import Refusal
from models.crystals.crystal import SYMBOLS
from models.errors import Doubt, Reason
from models.symmetry.fractional_operations import IDENTITY, Operations
from tests.gmt_tasks.sources.files.cif.test_contradictions import (
    CUBE,
    FULL_LIST,
    ROCK_SALT,
    cif,
    facts,
    name_of,
    operations_of,
    read,
)

ORTHORHOMBIC = (5.0, 6.0, 7.0, 90, 90, 90)
GENERAL = "Na1 Na .11 .22 .33\nCl1 Cl .4 .2 .1"
FCC = name_of("F m -3 m")
FCC_OPERATIONS = ";".join(operation.triplet() for operation in gemmi.SpaceGroup("F m -3 m").operations())
PRIMITIVE_OPERATIONS = ";".join(operation.triplet() for operation in gemmi.SpaceGroup("P m -3 m").operations())
WRONG_NUMBER = "_space_group_IT_number 221\n"


def refused(text: str) -> tuple[Reason, str]:
    refusal = read(text)
    assert isinstance(refusal, Refusal), refusal
    return refusal.reason, refusal.detail


@pytest.mark.parametrize(
    "name", ["P 4 2 21", "P 1 2", "P m m a 2", "P 21 21 2 2", "P -1 2", "C 2/m 2", "P" + " (" * 9999]
)
def test_a_mistyped_symbol_is_not_read_as_the_rest_of_it(name: str) -> None:
    assert refused(cif(name_of(name), ORTHORHOMBIC, GENERAL))[0] is Reason.SYMMETRY_UNRESOLVED


@pytest.mark.parametrize(
    "head",
    [
        "_space_group_name_H-M_alt 'F m -3 m'\n" + name_of("P m -3 m") + "_cell_formula_units_Z 4\n",
        FCC + "_space_group_IT_number 225\n_symmetry_Int_Tables_number 221\n",
        FCC + WRONG_NUMBER + "_space_group_name_Hall '-F 4 2 3'\n",
        FCC + WRONG_NUMBER + operations_of(FCC_OPERATIONS),
        name_of("P m -3 m") + "_space_group_IT_number 225\n" + operations_of(FCC_OPERATIONS),
        FCC + "_space_group_name_Hall '-P 4 2 3'\n" + operations_of(FCC_OPERATIONS),
    ],
)
def test_names_that_contradict_each_other_are_a_doubt_also_where_operations_decide(head: str) -> None:
    text = cif("_chemical_formula_sum 'Na Cl'\n" + head, CUBE, ROCK_SALT)
    assert facts(text) == ("ClNa", 8, 225, {Doubt.SYMMETRY.value})


def test_two_spellings_of_one_symbol_are_no_contradiction() -> None:
    head = "_space_group_name_H-M_alt 'F 4/m -3 2/m'\n" + name_of("Fm3m")
    assert facts(cif(head, CUBE, ROCK_SALT)) == ("ClNa", 8, 225, set())


@pytest.mark.parametrize(
    "head",
    [
        operations_of("x,y,z;-x,-y,z;-x,y"),
        operations_of("x,y,z;-x,-y,z;junk"),
        operations_of("x,y,z;" + "a" * 100_000),
        "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,-y,\u00bd+z\n",
        operations_of(FCC_OPERATIONS)
        + operations_of(PRIMITIVE_OPERATIONS).replace("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"),
        "_space_group_name_Schoenflies 'Oh.5'",
        "_space_group_magn.name_BNS 'F m -3 m'",
    ],
)
def test_symmetry_that_is_stated_but_cannot_be_read_is_refused(head: str) -> None:
    assert refused(cif(head, ORTHORHOMBIC, GENERAL))[0] is Reason.SYMMETRY_UNRESOLVED


@pytest.mark.parametrize(
    "item", ["_space_group_ssg_name_ieee X", "_cell_wave_vector_x .3", "_space_group_magn.ssg_name X"]
)
def test_a_modulated_structure_is_refused_by_whatever_tells_it(item: str) -> None:
    assert "modulated" in refused(cif(item + "\n" + FCC, CUBE, ROCK_SALT))[1]


def test_more_centrings_than_any_supercell_has_are_refused_before_they_are_multiplied() -> None:
    shifts = [f"x+{a}/8,y+{b}/12,z+{c}/16" for a in range(8) for b in range(12) for c in range(16)]
    assert refused(cif(operations_of(";".join(shifts)), ORTHORHOMBIC, GENERAL))[0] is Reason.TOO_LARGE
    loops = "loop_\n_space_group_symop_magn_centering.xyz\n" + "x,y,z,1\n" * 1000
    loops += "loop_\n_space_group_symop_magn_operation.xyz\n" + "x,y,z,1\n" * 1000
    assert refused(cif(loops, ORTHORHOMBIC, GENERAL))[0] is Reason.TOO_LARGE


def test_operations_are_a_group_or_not_however_many_are_multiplied_at_a_time() -> None:
    shifts = np.stack(np.meshgrid(*[np.arange(5) / 5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    rotations = np.repeat(IDENTITY.rotations, 125, axis=0)
    assert Operations(rotations, shifts).is_group
    assert not Operations(rotations[:-1], shifts[:-1]).is_group


@pytest.mark.parametrize("symbol", "H3O D2O NH4+ NO3- PO43- CN- BH4 BH4- CF3 HO- ND4 CO32- CO3-2 H3O+ HDO OH-".split())
def test_a_group_of_atoms_is_no_element(symbol: str) -> None:
    assert element_of_type(symbol) is None


@pytest.mark.parametrize(
    ("symbol", "element"), [pair.split("=") for pair in "CO3+=Co CO=Co NB5+=Nb O2-=O 57Fe=Fe D=H Po=Po HO=Ho".split()]
)
def test_an_element_is_one_with_charge_capitals_or_isotope(symbol: str, element: str) -> None:
    assert element_of_type(symbol) == SYMBOLS.index(element)


def test_a_type_symbol_is_not_overruled_by_a_formula() -> None:
    sites = "CO1 Co 0 0 0\nCO2 ? .5 .5 .5\nO3 O .25 .25 .25"
    assert refused(cif("_chemical_formula_sum 'C2 O'\n" + name_of("P 1"), ORTHORHOMBIC, sites))[0] in (
        Reason.AMBIGUOUS_SPECIES,
        Reason.COMPOSITION_MISMATCH,
    )
    assert facts(cif("_chemical_formula_sum 'C Co O'\n" + name_of("P 1"), ORTHORHOMBIC, sites))[0] == "CCoO"


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (cif(FCC, CUBE, "Na1 Cl 0 0 0\nCl1 Na .5 .5 .5"), Doubt.SPECIES),
        (cif(FCC, CUBE, "Na1 0 0 0\nOw1 .5 .5 .5", types=False), Doubt.COMPOSITION),
        (cif(FCC, CUBE, "Na1 Na 0 0 0 8\nCl1 Cl .5 .5 .5 4", "_atom_site_symmetry_multiplicity"), Doubt.SYMMETRY),
        (cif("_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 8\n" + FCC, CUBE, ROCK_SALT), Doubt.COMPOSITION),
        (cif(name_of("P 1"), (-5.0, 6.0, 7.0, 80, 95, 105), GENERAL), Doubt.CELL),
        (cif(FCC, CUBE, FULL_LIST), Doubt.SYMMETRY),
        (cif(name_of("P 1"), ORTHORHOMBIC, "Na1 Na 0 0 0\nCl1 Cl .11 0 0"), Doubt.CELL),
    ],
)
def test_what_a_file_says_against_itself_is_a_doubt(text: str, doubt: Doubt) -> None:
    assert facts(text)[3] == {doubt.value}


@pytest.mark.parametrize("stated", ["4 4", "48 48"])
def test_multiplicities_and_orders_of_site_symmetry_are_no_doubt(stated: str) -> None:
    first, second = stated.split()
    sites = f"Na1 Na 0 0 0 {first}\nCl1 Cl .5 .5 .5 {second}"
    assert facts(cif(FCC, CUBE, sites, "_atom_site_symmetry_multiplicity"))[3] == set()


def test_one_formula_unit_in_a_cell_of_four_is_a_doubt() -> None:
    text = cif("_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 4\n" + name_of("P 1"), CUBE, ROCK_SALT)
    assert facts(text)[3] == {Doubt.COMPOSITION.value}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (cif(FCC + "loop_\n_atom_site_occupancy\n.5\n", CUBE, ROCK_SALT), Reason.PARSE),
        (
            cif(FCC, CUBE, "Na1 Na 0 0 0 1\nCl1 Cl .5 .5 .5 1\nCl2 Cl .5 .3 .5 2", "_atom_site_disorder_group"),
            Reason.DISORDERED,
        ),
        *(
            (cif(name_of("P 1"), (5, 6, 7, angle, 90, 90), GENERAL), Reason.DEGENERATE_CELL)
            for angle in (-80, 190, 280, 450)
        ),
        (cif(FCC, (1e160, 1e160, 1e160, 90, 90, 90), ROCK_SALT), Reason.DEGENERATE_CELL),
        (cif(name_of("P 1"), ORTHORHOMBIC, "Na1 Na 9e307 0 0"), Reason.NONFINITE),
    ],
)
def test_a_file_that_cannot_mean_one_crystal_is_refused(text: str, reason: Reason) -> None:
    assert refused(text)[0] is reason


def test_a_refusal_names_the_line_of_the_site_not_that_of_another_loop() -> None:
    head = FCC + "loop_\n_atom_site_aniso_label\n_atom_site_aniso_U_11\nQ1 .1\n"
    text = cif(head, CUBE, "Na1 Na 0 0 0\nQ1 Qq .5 .5 .5")
    line = text.split("\n").index("Q1 Qq .5 .5 .5") + 1
    assert refused(text)[1].startswith(f"line {line}: ")


def test_a_block_after_a_byte_order_mark_or_a_long_field_is_found_with_its_line() -> None:
    text = cif(FCC, CUBE, ROCK_SALT)
    field = "_t\n" + ";\n_cell_length_a 9\n;\n" + "_u\n;\n;\n" * 1000
    _, second = blocks_with_crystals(text + field + "\ufeff" + text)
    assert second.first_line == (text + field).count("\n") + 1
    assert facts(second.text) == ("ClNa", 8, 225, set())
    with pytest.raises(Exception, match="none with a cell"):
        blocks_with_crystals("data_\n" * 100_000)


def test_a_number_of_many_digits_is_looked_at_once() -> None:
    assert parse_number("1" * 200_000 + "x") is None
