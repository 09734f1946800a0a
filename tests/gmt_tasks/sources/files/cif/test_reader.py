"""CIF blocks: crystals as they should be, and a reason with its line for each thing pymatgen would swallow."""

import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from gmt_tasks.sources.files.cif.reader import read_cif_block
from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal
from gmt_tasks.sources.source import MissingSymmetry
from models.crystals.crystal import SYMBOLS
from models.errors import Reason

HEAD = """data_test
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c 6.0
_cell_angle_alpha {alpha}
_cell_angle_beta 90
_cell_angle_gamma 90
{symmetry}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""
P1 = "_symmetry_space_group_name_H-M 'P 1'"
SITES = "Sr1 Sr 0 0 0 1\nTi1 Ti 0.5 0.5 0.5 1"


def cif(sites: str = SITES, symmetry: str = P1, a: str = "4.0", b: str = "5.0", alpha: str = "90") -> str:
    return HEAD.format(sites=sites, symmetry=symmetry, a=a, b=b, alpha=alpha)


def read(text: str, missing: MissingSymmetry = MissingSymmetry.REFUSE, max_sites: int = 10_000) -> ParsedCrystal:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_cif_block(TextJob("cif", text, 1, max_sites, missing))


def refusal(text: str, **options: int) -> Refusal:
    """The refusal of a text, through the function that the child runs."""
    result = parse_text(TextJob("cif", text, 1, options.get("max_sites", 10_000), MissingSymmetry.REFUSE))
    if not isinstance(result, Refusal):
        pytest.fail(f"accepted with {len(result.numbers)} atoms")
    return result


def test_a_sound_block_is_read_without_notes() -> None:
    crystal = read(cif())
    assert np.allclose(np.linalg.norm(crystal.lattice, axis=1), [4, 5, 6])
    assert sorted(crystal.numbers.tolist()) == [22, 38]
    assert crystal.notes == ()


@pytest.mark.parametrize(("symbol", "n_atoms"), [("F m -3 m", 8), ("Fm-3m", 8), ("P m -3 m", 2)])
def test_operations_are_looked_up_by_name(symbol: str, n_atoms: int) -> None:
    cube = cif("Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1", f"_symmetry_space_group_name_H-M '{symbol}'", b="4.0")
    assert len(read(cube.replace("6.0", "4.0")).numbers) == n_atoms


def test_pymatgen_agrees_on_a_structure_it_wrote_itself() -> None:
    lattice = Lattice.from_parameters(4.1, 5.2, 6.3, 80, 95, 105)
    frac_coords = [[0, 0, 0], [0.3, 0.4, 0.5], [0.7, 0.1, 0.2], [0.2, 0.8, 0.9]]
    structure = Structure(lattice, ["Li", "Ga", "O", "O"], frac_coords)
    crystal = read(structure.to(fmt="cif"))
    order = np.argsort(crystal.frac_coords[:, 0])
    assert np.allclose(crystal.lattice @ crystal.lattice.T, lattice.matrix @ lattice.matrix.T, atol=1e-6)
    expected = np.argsort(structure.frac_coords[:, 0])
    assert np.allclose(crystal.frac_coords[order], structure.frac_coords[expected], atol=1e-7)
    assert crystal.numbers[order].tolist() == [structure[int(i)].specie.Z for i in expected]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        (cif("Sr1 Sr ? ? ? 1"), Reason.PARSE, "line 16"),
        (cif("Sr1 Sr . . . 1"), Reason.PARSE, "line 16"),
        (cif("Sr1 Sr 0 0 abc 1"), Reason.PARSE, "line 16"),
        (cif("Sr1 Sr 0 0 0 1\nTi1 Ti 0 nan 0 1"), Reason.NONFINITE, "line 17"),
        (cif("Sr1 Sr 0 0 1e400 1"), Reason.NONFINITE, "line 16"),
        (cif(a="1e400"), Reason.NONFINITE, "line 2"),
        (cif(a="?"), Reason.PARSE, "line 2"),
        (cif("Q1 Qq 0 0 0 1"), Reason.UNKNOWN_SPECIES, "line 16"),
        (cif("X1 X 0 0 0 1"), Reason.UNKNOWN_SPECIES, "line 16"),
        (cif("Va1 Va 0 0 0 1"), Reason.UNKNOWN_SPECIES, "line 16"),
        (cif("O1 OH 0 0 0 1\nSr1 Sr 0.5 0.5 0.5 1"), Reason.UNKNOWN_SPECIES, "line 16"),
        (cif("Sr1 Sr 0 0 0 0.5\nCa1 Ca 0 0 0 0.5"), Reason.DISORDERED, "site"),
        (cif("Sr1 Sr 0 0 0 0.8"), Reason.DISORDERED, "site"),
        (cif("M1 '0.967(4)Mg + 0.033(4)Fe' 0 0 0 1"), Reason.DISORDERED, "line 16"),
        (cif("Sr1 Sr 0 0 0 1.3"), Reason.OCCUPANCY, "1.3"),
        (cif("Sr1 Sr 0 0 0 0"), Reason.EMPTY, "occupancy 0"),
        (cif("? ? ? ? ? ?"), Reason.EMPTY, "line"),
        (cif(alpha="0"), Reason.DEGENERATE_CELL, "line 5"),
        (cif(alpha="180"), Reason.DEGENERATE_CELL, "line 5"),
        (cif(a="0"), Reason.DEGENERATE_CELL, "line 2"),
        (cif(symmetry="_symmetry_space_group_name_H-M 'Q 9 9 9'"), Reason.SYMMETRY_UNRESOLVED, "Q 9 9 9"),
        (cif(symmetry="loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'x,x,z'"), Reason.SYMMETRY_UNRESOLVED, "volume"),
        (cif().replace("_atom_site_fract_z\n", ""), Reason.PARSE, ""),
        (cif().replace("_cell_length_a", "_cell_length_q"), Reason.PARSE, "_cell_length_a missing"),
    ],
)
def test_each_fault_has_its_reason_and_its_place(text: str, reason: Reason, line: str) -> None:
    found = refusal(text)
    assert (found.reason, line in found.detail) == (reason, True), found


def test_an_unknown_space_group_can_be_read_as_p1_on_request_with_a_note() -> None:
    crystal = read(cif(symmetry="_symmetry_space_group_name_H-M 'Q 9 9 9'"), MissingSymmetry.ASSUME_P1)
    assert len(crystal.numbers) == 2
    assert crystal.notes[0].startswith("symmetry_doubt: the space group is unknown, read as P 1 as asked")


def test_a_file_that_names_no_symmetry_at_all_is_p1_with_a_note() -> None:
    assert read(cif(symmetry="")).notes[0].startswith("symmetry_doubt: no space group and no operations")


def test_expansion_is_bounded_before_it_happens() -> None:
    sites = "\n".join(f"O{k} O 0.{k + 11} 0.{k + 23} 0.{k + 37} 1" for k in range(60))
    text = cif(sites, "_symmetry_space_group_name_H-M 'F m -3 m'", b="4.0").replace("6.0", "4.0")
    found = refusal(text)
    assert found.reason is Reason.TOO_LARGE
    assert "60 sites times 192 operations" in found.detail


def test_occupancies_within_a_per_cent_are_rounded_with_a_note_and_unset_ones_are_full() -> None:
    assert any("occupancy_rounded" in note for note in read(cif("Sr1 Sr 0 0 0 1.005")).notes)
    assert any("occupancy_rounded" in note for note in read(cif("Sr1 Sr 0 0 0 0.995")).notes)
    assert read(cif("Sr1 Sr 0 0 0 .\nTi1 Ti 0.5 0.5 0.5 ?")).notes == ()


def test_deuterium_is_hydrogen_with_a_note() -> None:
    crystal = read(cif("D1 D 0 0 0 1\nO1 O 0.5 0.5 0.5 1"))
    assert sorted(crystal.numbers.tolist()) == [1, 8]
    assert any(note.startswith("isotope_merged") for note in crystal.notes)


def test_oxidation_states_are_stripped() -> None:
    charged = "loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nSr2+ 2\nTi4+ 4\n" + P1
    assert sorted(read(cif("Sr1 Sr2+ 0 0 0 1\nTi1 Ti4+ 0.5 0.5 0.5 1", charged)).numbers.tolist()) == [22, 38]


def test_one_atom_outside_a_loop_is_an_atom() -> None:
    text = cif("").split("loop_")[0] + (
        "_atom_site_label Po1\n_atom_site_type_symbol Po\n"
        "_atom_site_fract_x 0\n_atom_site_fract_y 0\n_atom_site_fract_z 0\n"
    )
    assert read(text).numbers.tolist() == [84]


def test_a_negative_length_is_the_left_handed_representation_of_the_same_cell() -> None:
    right, left = read(cif()), read(cif(a="-4.0"))
    assert np.allclose(abs(np.linalg.det(right.lattice)), abs(np.linalg.det(left.lattice)))


def test_attached_hydrogens_without_positions_are_noted() -> None:
    text = cif("O1 O 0 0 0 1").replace("_atom_site_occupancy", "_atom_site_attached_hydrogens").replace(" 0 1", " 0 2")
    assert any(note.startswith("composition_doubt: 2 attached hydrogens") for note in read(text).notes)


def test_a_bare_label_t_is_not_taken_for_tritium() -> None:
    text = cif("T1 0 0 0 1").replace("_atom_site_type_symbol\n", "")
    assert refusal(text).reason is Reason.UNKNOWN_SPECIES
    assert read(text.replace("T1 ", "Si1 ")).numbers.tolist() == [14]


@pytest.mark.parametrize("symbol", [symbol for symbol in SYMBOLS[1:97] if symbol != "Po"])
def test_a_type_symbol_in_capitals_is_the_same_element(symbol: str) -> None:
    """Of PO, nobody knows whether it is a group of atoms; beyond curium, groups (NO, CF, BH) are what is written."""
    number = SYMBOLS.index(symbol)
    for text in (symbol, symbol.upper(), f"{symbol.upper()}3+"):
        assert read(cif(f"{symbol.upper()}1 {text} 0 0 0 1")).numbers.tolist() == [number]


def test_words_behind_the_name_of_a_block_are_part_of_its_title() -> None:
    titled = cif().replace("data_test", "data_test cluster, phase II")
    assert read(titled).numbers.tolist() == read(cif()).numbers.tolist()
    for more in ("data_y", "_cell_length_q", "loop_"):
        assert refusal(cif().replace("data_test", f"data_test cluster {more}")).reason is Reason.PARSE


def test_multiplicities_and_formula_units_that_agree_on_another_cell_are_believed() -> None:
    """As where a program lists operations of another cell: a site that they double is none that the file states."""
    said = P1 + "\n_chemical_formula_sum 'Sr1 Ti1'\n_cell_formula_units_Z 1"
    text = cif(symmetry=said).replace("_atom_site_occupancy", "_atom_site_symmetry_multiplicity")
    assert len(read(text).numbers) == 2
    doubled = text.replace(P1, "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'x+1/2,y+1/2,z'")
    assert refusal(doubled).reason is Reason.COMPOSITION_MISMATCH
    assert "say 2 atoms in the cell, the operations make 4" in refusal(doubled).detail
    # Z alone is a doubt: it is often wrong.
    alone = doubled.replace("_atom_site_symmetry_multiplicity", "_atom_site_occupancy")
    assert any(note.startswith("composition_doubt: Z = 1") for note in read(alone).notes)


@pytest.mark.parametrize("digits", ["0.2335", "0.23351"])
def test_a_site_is_on_a_symmetry_element_within_its_own_digits(digits: str) -> None:
    """Whether another site has more digits says nothing of it: x, 2x of four digits is a mirror plane."""
    text = cif(
        f"Si1 Si 0.0002 {digits} 0.10446 1\nO1 O 0.0935 0.1871 0.25 1", "_symmetry_space_group_name_H-M 'P 63/m m c'"
    )
    text = text.replace("_gamma 90", "_gamma 120").replace("_b 5.0", "_b 13.3").replace("_a 4.0", "_a 13.3")
    assert np.bincount(read(text).numbers)[[8, 14]].tolist() == [6, 24]


def test_quotes_that_do_not_end_are_forgiven_where_no_crystal_is() -> None:
    """A comma behind the closing quote of the authors, as one program writes it; not so in the crystal itself."""
    authors = "_citation_author_name 'A. Doe, B. O'Neill, and C. Doe',\n_cell_length_a"
    assert read(cif().replace("_cell_length_a", authors)).numbers.tolist() == read(cif()).numbers.tolist()
    for item in ("_chemical_name_common 'x',", "_chemical_formula_sum 'Sr Ti',"):
        found = refusal(cif().replace("_cell_length_a", f"{item}\n_cell_length_a"))
        assert (found.reason, "line 2: not the grammar" in found.detail) == (Reason.PARSE, True)
