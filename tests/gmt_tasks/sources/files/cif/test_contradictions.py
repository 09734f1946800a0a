"""Files that leave something open or contradict themselves: the crystal that they can only mean, or a refusal."""

import pytest
import spglib

from gmt_tasks.sources.files.cif.blocks import blocks_with_crystals
from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal
from gmt_tasks.sources.source import MissingSymmetry
from models.crystals.crystal import reduced_formula
from models.errors import Doubt, Reason

NAMES = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
CUBE = (5.64, 5.64, 5.64, 90, 90, 90)
ROCK_SALT = "Na1 Na 0 0 0\nCl1 Cl .5 .5 .5"
ZIRCONIA = "Zr1 Zr 0.2754 0.0395 0.2083\nO1 O 0.0700 0.3317 0.3447\nO2 O 0.4496 0.7569 0.4792"
ZIRCONIA_UNIQUE_C = "Zr1 Zr 0.2083 0.2754 0.0395\nO1 O 0.3447 0.0700 0.3317\nO2 O 0.4792 0.4496 0.7569"
SPINEL = "Mg1 Mg 0.125 0.125 0.125\nAl1 Al 0.5 0.5 0.5\nO1 O 0.2624 0.2624 0.2624"
SPINEL_CUBE = (8.0831, 8.0831, 8.0831, 90, 90, 90)
RHOMBOHEDRAL = (3.005, 3.005, 3.005, 70.53, 70.53, 70.53)
DIAMOND_CUBE = (3.567, 3.567, 3.567, 90, 90, 90)
HEXAGONAL_OPERATIONS = (
    "x,y,z;-y,x-y,z;-x+y,-x,z;y,x,-z;x-y,-y,-z;-x,-x+y,-z;-x,-y,-z;y,-x+y,-z;x-y,x,-z;-y,-x,z;-x+y,y,z;x,x-y,z"
)


def name_of(symbol: str) -> str:
    return f"_symmetry_space_group_name_H-M '{symbol}'\n"


def operations_of(texts: str) -> str:
    return "loop_\n_symmetry_equiv_pos_as_xyz\n" + "".join(f"'{text}'\n" for text in texts.split(";"))


def cif(head: str, cell: tuple[float, ...], sites: str, columns: str = "", *, types: bool = True) -> str:
    lines = ["data_x"] + [f"_cell_{name} {value}" for name, value in zip(NAMES, cell, strict=True)]
    loop = ["loop_", "_atom_site_label", *(["_atom_site_type_symbol"] if types else [])]
    loop += [f"_atom_site_fract_{axis}" for axis in "xyz"] + columns.split()
    return "\n".join([*lines, head.rstrip("\n"), *loop, sites]) + "\n"


def read(text: str, missing: MissingSymmetry = MissingSymmetry.REFUSE) -> ParsedCrystal | Refusal:
    (block,) = blocks_with_crystals(text)
    result = parse_text(TextJob("cif", block.text, block.first_line, 10_000, missing))
    assert not isinstance(result, list)
    return result


def facts(text: str) -> tuple[str, int, int, set[str]]:
    """Formula, atoms, space group and doubts of the crystal that a text must hold."""
    crystal = read(text)
    assert isinstance(crystal, ParsedCrystal), crystal
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    number = spglib.get_symmetry_dataset(cell, symprec=0.01).number
    doubts = {note.partition(":")[0] for note in crystal.notes} & {doubt.value for doubt in Doubt}
    return reduced_formula(crystal.numbers), len(crystal.numbers), number, doubts


FULL_LIST = "\n".join(
    f"{symbol}{row} {symbol} {x} {y} {z}"
    for row, (symbol, x, y, z) in enumerate(
        (
            *(("Na", 0, 0, 0), ("Na", 0.5, 0.5, 0), ("Na", 0.5, 0, 0.5), ("Na", 0, 0.5, 0.5)),
            *(("Cl", 0.5, 0.5, 0.5), ("Cl", 0, 0, 0.5), ("Cl", 0, 0.5, 0), ("Cl", 0.5, 0, 0)),
        )
    )
)
MIND = {Doubt.SYMMETRY.value}
CLEAR: set[str] = set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Axes: the cell tells hexagonal from rhombohedral, and which axis is unique.
        (cif(name_of("R -3 m"), RHOMBOHEDRAL, "Hg1 Hg 0 0 0"), ("Hg", 1, 166, CLEAR)),
        (cif(name_of("R -3 m :H"), RHOMBOHEDRAL, "Hg1 Hg 0 0 0"), ("Hg", 1, 166, MIND)),
        (
            cif(name_of("R -3 m") + operations_of(HEXAGONAL_OPERATIONS), RHOMBOHEDRAL, "Hg1 Hg 0 0 0"),
            ("Hg", 1, 166, MIND),
        ),
        (cif(name_of("P 21/c"), (5.1505, 5.2116, 5.3173, 90, 99.23, 90), ZIRCONIA), ("O2Zr", 12, 14, CLEAR)),
        (cif(name_of("P 21/a"), (5.3173, 5.1505, 5.2116, 90, 90, 99.23), ZIRCONIA_UNIQUE_C), ("O2Zr", 12, 14, CLEAR)),
        # Origins: by the suffix, else by what fits.
        (cif(name_of("F d -3 m Z"), DIAMOND_CUBE, "C1 C .125 .125 .125"), ("C", 8, 227, CLEAR)),
        (cif(name_of("F d -3 m S"), DIAMOND_CUBE, "C1 C 0 0 0"), ("C", 8, 227, CLEAR)),
        (cif(name_of("F d -3 m"), DIAMOND_CUBE, "C1 C .125 .125 .125"), ("C", 8, 227, MIND)),
        (cif(name_of("F d -3 m :2"), SPINEL_CUBE, SPINEL), ("Al2MgO4", 56, 227, CLEAR)),
        (
            cif("_chemical_formula_sum 'Al2 Mg O4'\n" + name_of("F d -3 m"), SPINEL_CUBE, SPINEL),
            ("Al2MgO4", 56, 227, MIND),
        ),
        # Other ways to state a group.
        (cif("_symmetry_Int_Tables_number 225", CUBE, ROCK_SALT), ("ClNa", 8, 225, CLEAR)),
        (cif("_space_group_name_Hall '-F 4 2 3'", CUBE, ROCK_SALT), ("ClNa", 8, 225, CLEAR)),
        (cif("_space_group.name_H-M_alt 'Fm3m'", CUBE, ROCK_SALT), ("ClNa", 8, 225, CLEAR)),
        # Every atom listed, and the name of the group: no contradiction.
        (cif(name_of("F m -3 m") + operations_of("x,y,z"), CUBE, FULL_LIST), ("ClNa", 8, 225, CLEAR)),
        (cif(name_of("F m -3 m") + operations_of("x,y,z;-x,-y,z;-x,y,-z"), CUBE, ROCK_SALT), ("ClNa", 8, 225, MIND)),
        # One element on one site, in parts.
        (
            cif(
                name_of("F m -3 m"),
                CUBE,
                "Li1 Li 0 0 0 1\nD1 D .5 .5 .5 .97\nH1 H .5 .5 .5 .03",
                "_atom_site_occupancy",
            ),
            ("HLi", 8, 225, CLEAR),
        ),
        (
            cif(
                name_of("F m -3 m"),
                CUBE,
                "F1 Fe2+ 0 0 0 .3\nF2 Fe3+ 0 0 0 .7\nO1 O2- .5 .5 .5 1",
                "_atom_site_occupancy",
            ),
            ("FeO", 8, 225, CLEAR),
        ),
        # What the file calls a dummy is none of its atoms.
        (
            cif(name_of("F m -3 m"), CUBE, "Na1 Na 0 0 0 .\nCl1 Cl .5 .5 .5 d\nX1 X . . . dum", "_atom_site_calc_flag"),
            ("ClNa", 8, 225, {Doubt.SPECIES.value}),
        ),
        # Rounded thirds.
        (cif(name_of("P 63/m m c"), (3.2, 3.2, 5.2, 90, 90, 120), "Mg1 Mg .333 .667 .25"), ("Mg", 2, 194, CLEAR)),
        (cif(name_of("P 63/m m c"), (3.2, 3.2, 5.2, 90, 90, 120), "Mg1 Mg 1/3 2/3 .25"), ("Mg", 2, 194, CLEAR)),
        # Doubts.
        (
            cif("_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 2\n" + name_of("F m -3 m"), CUBE, ROCK_SALT),
            ("ClNa", 8, 225, {Doubt.COMPOSITION.value}),
        ),
        (cif("_cell_volume 190\n" + name_of("F m -3 m"), CUBE, ROCK_SALT), ("ClNa", 8, 225, {Doubt.CELL.value})),
        (cif(name_of("F m -3 m"), (5.64, 5.64, 5.66, 90, 90, 90), ROCK_SALT), ("ClNa", 8, 139, {Doubt.CELL.value})),
        (
            cif("_exptl_crystal_density_diffrn 3.1\n" + name_of("F m -3 m"), CUBE, ROCK_SALT),
            ("ClNa", 8, 225, {Doubt.COMPOSITION.value}),
        ),
    ],
)
def test_a_file_is_read_as_the_only_crystal_that_it_can_mean(
    text: str, expected: tuple[str, int, int, set[str]]
) -> None:
    assert facts(text) == expected


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        (
            cif(name_of("F m -3 m"), (5.64, 5.64, 5.64, 90, 90, 99), ROCK_SALT),
            Reason.SYMMETRY_CONTRADICTS_CELL,
            "F m -3 m",
        ),
        (
            cif(name_of("P 1 21/c 1"), (5.1505, 5.2116, 5.3173, 90, 90, 99.23), ZIRCONIA),
            Reason.SYMMETRY_CONTRADICTS_CELL,
            "P 1 21/c 1",
        ),
        (
            cif(operations_of(HEXAGONAL_OPERATIONS), RHOMBOHEDRAL, "Hg1 Hg 0 0 0"),
            Reason.SYMMETRY_CONTRADICTS_CELL,
            "listed",
        ),
        (
            cif("_symmetry_Int_Tables_number 62", (5, 6, 7, 90, 90, 90), "Na1 Na .11 .22 .33"),
            Reason.SYMMETRY_UNRESOLVED,
            "it may be P",
        ),
        (
            cif(name_of("F m -3 m") + operations_of("x,y,z"), CUBE, ROCK_SALT),
            Reason.SYMMETRY_UNRESOLVED,
            "F m -3 m (Cl4 Na4",
        ),
        (cif(operations_of("x,y,z;-x,-y,z;-x,y,-z"), CUBE, ROCK_SALT), Reason.SYMMETRY_UNRESOLVED, "no group"),
        (
            cif("_chemical_formula_sum 'K Cl'\n" + name_of("F m -3 m"), CUBE, ROCK_SALT),
            Reason.COMPOSITION_MISMATCH,
            "Cl K",
        ),
        (
            cif("_chemical_formula_sum 'Na Cl2'\n" + name_of("F m -3 m"), CUBE, ROCK_SALT),
            Reason.COMPOSITION_MISMATCH,
            "Cl2 Na",
        ),
        (
            cif(
                "_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 2\n_exptl_crystal_density_diffrn 1.08\n"
                + name_of("F m -3 m"),
                CUBE,
                ROCK_SALT,
            ),
            Reason.COMPOSITION_MISMATCH,
            "Z = 2",
        ),
        (cif(name_of("F m -3 m"), CUBE, "Na1 Na 0 0 0\nCl1 Cl .5 .5 ."), Reason.PARSE, "line 16"),
        (cif("_cell_modulation_dimension 1", CUBE, ROCK_SALT), Reason.PARSE, "modulated"),
        (cif("_cell_length_a 5.7\n" + name_of("F m -3 m"), CUBE, ROCK_SALT), Reason.PARSE, "twice"),
        (cif(name_of("F m -3 m"), CUBE, "N1 'Nb,Zr' 0 0 0"), Reason.DISORDERED, "several elements"),
        (
            cif("_exptl_special_details 'not closed\n" + name_of("F m -3 m"), CUBE, ROCK_SALT),
            Reason.PARSE,
            "line 8: not the grammar",
        ),
    ],
)
def test_a_file_that_can_mean_several_crystals_or_none_is_refused(text: str, reason: Reason, words: str) -> None:
    refusal = read(text)
    assert isinstance(refusal, Refusal), refusal
    assert (refusal.reason, words in refusal.detail) == (reason, True), refusal


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [
        ("HO1", "Na H", "H"),
        ("HO1", "Na Ho", "Ho"),
        ("CO1", "Na C", "C"),
        ("CO1", "Co Na", "Co"),
        ("NB1", "N Na", "N"),
        ("OS1", "Na O", "O"),
        ("CU1", "Cu Na", "Cu"),
        ("SI1", "Na S", "S"),
        ("OH1", "Na O", "O"),
    ],
)
def test_a_label_that_may_be_two_elements_is_decided_by_the_formula(label: str, formula: str, element: str) -> None:
    sites = f"Na1 0 0 0\n{label} .5 .5 .5"
    head = f"_chemical_formula_sum '{formula}'\n" + name_of("F m -3 m")
    found, _, _, doubts = facts(cif(head, CUBE, sites, types=False))
    assert found == "".join(sorted(["Na", element])) and doubts == {Doubt.SPECIES.value}
    for other in (name_of("F m -3 m"), "_chemical_formula_sum 'Na F'\n" + name_of("F m -3 m")):
        refusal = read(cif(other, CUBE, sites, types=False))
        assert isinstance(refusal, Refusal) and refusal.reason is Reason.AMBIGUOUS_SPECIES


@pytest.mark.parametrize(("label", "element"), [("NA1", "Na"), ("CL1", "Cl"), ("FE1", "Fe"), ("CA2", "Ca")])
def test_a_label_in_capitals_whose_second_letter_is_no_element_is_read_with_a_doubt(label: str, element: str) -> None:
    formula, _, _, doubts = facts(cif(name_of("F m -3 m"), CUBE, f"{label} 0 0 0", types=False))
    assert (formula, doubts) == (element, {Doubt.SPECIES.value})


@pytest.mark.parametrize("label", ["Si1", "O1", "Al2", "CaM2", "Ob1"])
def test_a_properly_written_label_needs_no_formula(label: str) -> None:
    assert facts(cif(name_of("F m -3 m"), CUBE, f"{label} 0 0 0", types=False))[3] == set()


@pytest.mark.parametrize("symbol", ["F q q q", "I 9 9 9", "R 9 :H"])
def test_no_file_of_a_centred_group_is_advised_to_be_read_as_p1(symbol: str) -> None:
    refusal = read(cif(name_of(symbol), CUBE, ROCK_SALT))
    assert isinstance(refusal, Refusal) and refusal.reason is Reason.SYMMETRY_UNRESOLVED
    assert "assume-p1" not in refusal.detail + refusal.reason.advice
    primitive = read(cif(name_of("P 9 9 9"), CUBE, ROCK_SALT))
    assert isinstance(primitive, Refusal) and "--assume-p1" in primitive.detail


TEXT_FIELD = "_refine_special_details\n;\ndata_refinement\nloop_\n_atom_site_label\n notes\n;\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("loop_\n_atom", TEXT_FIELD + "loop_\n_atom"),
        lambda text: text + TEXT_FIELD,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("_cell_", "_cell.").replace("_atom_site_", "_atom_site."),
        lambda text: text.replace("_cell_length_a", "_CELL_LENGTH_A"),
        lambda text: "# data_no\n" + text + "\x1a",
        lambda text: text.replace("data_x", "data_x\n_publ_author_name\n_publ_title 'K\u00f6nig \u2028 x'"),
        lambda text: text.replace("5.64", "5.640(3)"),
    ],
)
def test_the_same_file_in_another_dialect_is_the_same_crystal(change: object) -> None:
    text = change(cif(name_of("F m -3 m"), CUBE, ROCK_SALT))  # type: ignore[operator]
    assert facts(text) == ("ClNa", 8, 225, set())
