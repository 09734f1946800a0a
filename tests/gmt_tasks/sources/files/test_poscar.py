"""POSCAR texts: VASP's rules, pymatgen as an oracle where it follows them, and above all what a file does not say."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.inputs import Poscar

from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.poscar import read_poscar
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal, RefusedInputError
from gmt_tasks.sources.source import MissingSymmetry
from models.crystals.crystal import SYMBOLS
from models.errors import Doubt, Reason
from tests.gmt_tasks.sources.mutations import mutated

GOOD = """{comment}
{scale}
4.0 0.0 0.0
0.0 4.0 0.0
0.0 0.0 {c}
{species}1 1
Direct
0 0 0
0.5 0.5 {z}
"""
SPECIES_DOUBT = f"{Doubt.SPECIES}: "


def poscar(comment: str = "cell", scale: str = "1.0", c: str = "4.0", species: str = "Na Cl\n", z: str = "0.5") -> str:
    return GOOD.format(comment=comment, scale=scale, c=c, species=species, z=z)


def job(text: str) -> TextJob:
    return TextJob("poscar", text, 1, 10_000, MissingSymmetry.REFUSE)


def read(text: str) -> ParsedCrystal:
    return read_poscar(job(text))


def refusal(text: str) -> RefusedInputError:
    with pytest.raises(RefusedInputError) as refused:
        read(text)
    return refused.value


def assert_same(crystal: ParsedCrystal, other: ParsedCrystal) -> None:
    assert np.allclose(crystal.lattice, other.lattice, atol=1e-12)
    assert np.allclose(crystal.frac_coords, other.frac_coords, atol=1e-12)
    assert crystal.numbers.tolist() == other.numbers.tolist()


def test_what_pymatgen_writes_is_read_back() -> None:
    lattice = Lattice.from_parameters(4.1, 5.2, 6.3, 80, 95, 105)
    frac_coords = [[0, 0, 0], [0.3, 0.4, 0.5], [0.7, 0.1, 0.2], [0.2, 0.8, 0.9]]
    structure = Structure(lattice, ["Li", "Ga", "O", "O"], frac_coords)
    crystal = read(str(Poscar(structure)))
    assert np.allclose(crystal.lattice, lattice.matrix, atol=1e-8)
    assert np.allclose(crystal.frac_coords, structure.frac_coords, atol=1e-8)
    assert crystal.numbers.tolist() == [3, 31, 8, 8]
    assert crystal.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        poscar(comment=""),
        poscar(scale="1.0   # scale"),
        poscar(scale="1.0 ! of 2 kinds"),
        poscar(scale="\t1.0 angstrom"),
        poscar(scale="0.1D+01"),
        poscar(scale="1 1 1"),
        poscar(scale="-64.0"),
        poscar(c="4.0 # a lattice vector"),
        poscar(species="Na Cl ! names\n"),
        poscar(species="Na_pv Cl/\n"),
        poscar(species="Na_sv_GW/8f2a55 Cl_h/3f2b1\n"),
        poscar(species="Na\nCl\n"),
        poscar(species="Na Cl\n1\n").replace("1 1\nD", "1\nD"),
        poscar(z="0.5 Cl"),
        poscar(z="0.5 # Cl1"),
        poscar(z="5.0d-1"),
        poscar().replace("\n", "\r\n"),
        poscar().replace("\n", "\r"),
        poscar().replace(" ", "\t"),
        poscar().replace("1 1\n", "1 1 ! numbers\n"),
        poscar().replace("Direct", "  fractional"),
        poscar().replace("Direct", "Selective dynamics\nDirect").replace("0.5\n", "0.5 T F .FALSE.\n"),
        poscar().replace("0.5\n", "0.5 T T F\n"),
        poscar() + "\n  0.1 0.2 0.3\n  0.1 0.2 0.3\n\n  1\n 0.5\n 0.1 0.2 0.3\n 0.1 0.2 0.3\n",
        poscar() + "Cartesian\n  0.1 0.2 0.3\n  0.1 0.2 0.3\n",
        poscar() + "Lattice velocities and vectors\n  1\n" + " 0.1 0.2 0.3\n" * 6 + "\n 0.1 0.2 0.3\n" * 2,
        poscar().rstrip("\n"),
    ],
)
def test_equivalent_texts_are_the_same_crystal(text: str) -> None:
    crystal = read(text)
    assert_same(crystal, read(poscar()))
    assert crystal.notes == ()


def test_negative_control_a_text_that_says_another_crystal_is_another() -> None:
    with pytest.raises(AssertionError):
        assert_same(read(poscar(z="0.501")), read(poscar()))
    with pytest.raises(AssertionError):
        assert_same(read(poscar(scale="1 1 1.001")), read(poscar()))


@pytest.mark.parametrize("mode", ["Cartesian", "c", "K", " kartesisch"])
@pytest.mark.parametrize("scale", ["2.0", "-512", "2 2 2"])
def test_the_scale_applies_to_the_cell_and_to_cartesian_positions(scale: str, mode: str) -> None:
    text = poscar(scale=scale).replace("Direct", mode).replace("0.5 0.5 0.5", "2 2 2")
    crystal = read(text)
    assert np.allclose(crystal.lattice, 8 * np.eye(3)) and np.allclose(crystal.frac_coords, [[0] * 3, [0.5] * 3])


def test_three_scales_are_of_the_cartesian_components() -> None:
    text = poscar(scale="2 3 5", c="4.0").replace("0.0 4.0 0.0", "1.0 4.0 2.0")
    assert read(text).lattice.tolist() == [[8, 0, 0], [2, 12, 10], [0, 0, 20]]
    # A position on the second lattice vector stays there.
    cartesian = read(text.replace("Direct", "Cartesian").replace("0.5 0.5 0.5", "0.5 2.0 1.0"))
    assert np.allclose(cartesian.frac_coords[1], [0, 0.5, 0])


def test_a_volume_of_a_left_handed_cell_keeps_its_hand() -> None:
    lattice = read(poscar(scale="-128.0", c="-4.0")).lattice
    assert np.linalg.det(lattice) == pytest.approx(-128.0) and lattice[0, 0] > 0


def test_repeated_and_wrapped_species_keep_their_order() -> None:
    sites = "\n".join(f"0.{k} 0 0" for k in range(1, 5))
    assert read(poscar(species="Mg O Mg\n").split("1 1\n")[0] + f"1 2 1\nDirect\n{sites}\n").numbers.tolist() == [
        12, 8, 8, 12,
    ]  # fmt: skip
    sites = "\n".join(f"0.{k} 0 0" for k in range(10, 34))
    names, counts = "Fe Cr " * 10 + "\nNi/12ab Fe_pv\n", "1 " * 20 + "\n2 2\n"
    numbers = read(poscar(species=names).split("1 1\n")[0] + f"{counts}Direct\n{sites}\n").numbers
    assert numbers.tolist() == [26, 24] * 10 + [28, 28, 26, 26]


def test_a_vasp_4_file_without_elements_is_refused_and_never_becomes_hydrogen_and_helium() -> None:
    refused = refusal(poscar(species=""))
    assert refused.reason is Reason.UNKNOWN_SPECIES and "VASP 4" in refused.detail


def test_elements_in_the_comment_of_a_vasp_4_file_are_used_with_a_doubt() -> None:
    crystal = read(poscar(comment="Na Cl", species=""))
    assert crystal.numbers.tolist() == [11, 17]
    assert crystal.notes == (f"{SPECIES_DOUBT}the file names its elements only in its first line",)


def test_elements_behind_the_positions_of_a_vasp_4_file_are_used_with_a_doubt() -> None:
    crystal = read(poscar(species="", z="0.5 F").replace("0 0 0\n", "0 0 0 Na\n"))
    assert crystal.numbers.tolist() == [11, 9]
    assert crystal.notes == (f"{SPECIES_DOUBT}the file names its elements only behind the positions",)
    flags = read(poscar(species="", z="0.5 T T F F").replace("0 0 0\n", "0 0 0 T T T Na\n"))
    assert flags.numbers.tolist() == [11, 9]
    # Labels that contradict the counts name nothing.
    mixed = poscar(species="", z="0.5 F").replace("0 0 0\n", "0 0 0 Na\n").replace("1 1\n", "2\n")
    assert refusal(mixed).reason is Reason.UNKNOWN_SPECIES


def test_labels_that_contradict_the_species_line_are_a_doubt() -> None:
    crystal = read(poscar(z="0.5 Na").replace("0 0 0\n", "0 0 0 Cl\n"))
    assert crystal.numbers.tolist() == [11, 17]
    assert crystal.notes[0].startswith(SPECIES_DOUBT) and "(2 sites)" in crystal.notes[0]
    assert read(poscar(z="0.5 Cl2").replace("0 0 0\n", "0 0 0 Na1\n")).notes == ()


def test_symbols_in_another_case_are_read_with_a_doubt() -> None:
    crystal = read(poscar(species="ga AS\n"))
    assert crystal.numbers.tolist() == [31, 33]
    assert crystal.notes == (f"{SPECIES_DOUBT}read ga as Ga, AS as As",)


def test_an_unknown_mode_is_direct_with_a_note() -> None:
    crystal = read(poscar().replace("Direct", "Angstrom"))
    assert_same(crystal, read(poscar()))
    assert crystal.notes[0].startswith("mode: 'Angstrom' in line 8")


def test_deuterium_is_hydrogen_with_a_note() -> None:
    crystal = read(poscar(species="D Cl\n"))
    assert crystal.numbers.tolist() == [1, 17]
    assert crystal.notes[0].startswith("isotope_merged")


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        (poscar(c="nan"), Reason.NONFINITE, "line 5"),
        (poscar(scale="inf"), Reason.NONFINITE, "line 2"),
        (poscar(scale="0"), Reason.DEGENERATE_CELL, "line 2"),
        (poscar(scale="1 0 1"), Reason.DEGENERATE_CELL, "line 2"),
        (poscar(scale="1 -1 1"), Reason.PARSE, "line 2"),
        (poscar(scale="1 1"), Reason.PARSE, "line 2: 2 numbers, expected 1 or 3"),
        (poscar(scale="1 1 1 1"), Reason.PARSE, "line 2: 4 numbers"),
        (poscar(scale="-10", c="0"), Reason.DEGENERATE_CELL, "line 2"),
        (poscar(c="0").replace("Direct", "Cartesian"), Reason.DEGENERATE_CELL, "line 3"),
        (poscar(scale="-10", c="1e308").replace("4.0 0", "1e308 0"), Reason.DEGENERATE_CELL, "line 2"),
        (poscar(scale="1e300", c="1e300"), Reason.NONFINITE, "1 lattice entries"),
        (poscar(scale="1e300", z="1e300").replace("Direct", "Cart"), Reason.DEGENERATE_CELL, "line 3"),
        (poscar(c=""), Reason.PARSE, "line 5"),
        (poscar(scale="one"), Reason.PARSE, "line 2"),
        (poscar(scale=""), Reason.PARSE, "line 2"),
        (poscar(z="nan"), Reason.NONFINITE, "line 10"),
        (poscar(z="********"), Reason.NONFINITE, "line 10"),
        (poscar(z="0,5"), Reason.PARSE, "line 10: '0,5' is no number"),
        (poscar(z="2*0.5"), Reason.PARSE, "line 10"),
        (poscar(z="1_000"), Reason.PARSE, "line 10"),
        (poscar(z="\uff11"), Reason.PARSE, "line 10"),
        (poscar(z="0.5").replace("0.5 0.5 0.5", "0.5-0.5 0.5"), Reason.PARSE, "line 10"),
        (poscar(species="Na Qq\n"), Reason.UNKNOWN_SPECIES, "line 6: 'Qq'"),
        (poscar(species="Na H.75\n"), Reason.UNKNOWN_SPECIES, "line 6"),
        (poscar(species="MgO Cl\n"), Reason.UNKNOWN_SPECIES, "line 6"),
        (poscar(species="Na Cl O\n"), Reason.PARSE, "line 7: 2 numbers of atoms for 3 species"),
        (poscar().replace("1 1\n", "1 1 1\n"), Reason.PARSE, "line 7: 3 numbers of atoms for 2 species"),
        (poscar().replace("1 1\n", "1 1.0\n"), Reason.PARSE, "line 7"),
        (poscar().replace("1 1\n", "1 -1\n"), Reason.PARSE, "line 7"),
        (poscar().replace("1 1\n", "1 2*1\n"), Reason.PARSE, "line 7"),
        (poscar().replace("1 1\n", "1 2\n"), Reason.PARSE, "line 11: 0 numbers, expected 3 of position 3"),
        (poscar() + "0.1 0.2 0.3\n", Reason.PARSE, "line 11: more positions than the 2"),
        (poscar().replace("0 0 0\n", "0 0 0\n\n"), Reason.PARSE, "line 10"),
        (poscar().replace("Direct\n", ""), Reason.PARSE, "line 8: no Direct or Cartesian"),
        (poscar().replace("Direct\n", "\n"), Reason.PARSE, "line 8: no Direct or Cartesian"),
        (poscar()[:60], Reason.PARSE, ""),
        (poscar(z=""), Reason.PARSE, "line 10: 2 numbers"),
        (poscar().replace("1 1", "1 999999999"), Reason.TOO_LARGE, "line 7: 1000000000 sites"),
        (poscar().replace("1 1", "1 " + "9" * 5000), Reason.PARSE, "line 7"),
        (poscar().replace("1 1", "0 0"), Reason.EMPTY, "line 7"),
        (poscar() + "\n" + poscar(), Reason.PARSE, "line 18: a second frame"),
        (poscar() + poscar().replace("1 1\n", "1 1 ! atoms\nSelective dynamics\n"), Reason.PARSE, "a second frame"),
        (
            poscar().replace("Direct", "Direct configuration=     1") + "Direct configuration=     2\n" + "0 0 0\n" * 2,
            Reason.PARSE,
            "line 11: a second frame",
        ),
        ("", Reason.PARSE, "line 2"),
        ("\n" * 20, Reason.PARSE, "line 2"),
    ],
)
def test_each_fault_has_its_reason_and_its_place(text: str, reason: Reason, place: str) -> None:
    result = parse_text(job(text))
    if not isinstance(result, Refusal):
        pytest.fail("accepted")
    assert (result.reason, place in result.detail) == (reason, True), result


numbers = st.floats(-9, 9, allow_nan=False).map(lambda x: round(x, 6))
vectors = st.lists(numbers, min_size=3, max_size=3)
scales = st.floats(0.2, 5).map(lambda x: round(x, 4))


@st.composite
def crystals(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[str, int]], np.ndarray]:
    """Lattice [3, 3], species with their counts, fractional coordinates [n_atoms, 3]."""
    lattice = np.array(draw(st.lists(vectors, min_size=3, max_size=3)))
    lengths = np.linalg.norm(lattice, axis=1)
    assume(lengths.min() > 1 and abs(np.linalg.det(lattice)) > 0.05 * lengths.prod())
    species = draw(st.lists(st.tuples(st.sampled_from(SYMBOLS[1:95]), st.integers(1, 3)), min_size=1, max_size=5))
    n_atoms = sum(count for _, count in species)
    frac_coords = np.array(draw(st.lists(vectors, min_size=n_atoms, max_size=n_atoms))) / 9
    return lattice, species, frac_coords


def written(number: float, style: str) -> str:
    return {"plain": f"{number!r}", "fixed": f"{number:.14f}", "fortran": f"{number:.15E}".replace("E", "D")}[style]


@settings(max_examples=75, deadline=None)
@given(
    crystal=crystals(),
    scale=st.one_of(st.tuples(scales), st.tuples(scales, scales, scales), st.just(())),
    mode=st.sampled_from(["Direct", "direct", "Cartesian", "cart", "k-points of nothing"]),
    decorated=st.booleans(),
    selective=st.booleans(),
    wrapped=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    style=st.sampled_from(["plain", "fixed", "fortran"]),
)
def test_a_crystal_written_in_any_dialect_is_read_back(
    crystal: tuple[np.ndarray, list[tuple[str, int]], np.ndarray],
    scale: tuple[float, ...],
    mode: str,
    decorated: bool,
    selective: bool,
    wrapped: bool,
    newline: str,
    style: str,
) -> None:
    lattice, species, frac_coords = crystal
    # An empty scale stands for the volume: then the lattice lines are three times too long.
    factor = np.array(scale) if scale else np.full(3, 1 / 3)
    scale_line = " ".join(map(repr, scale)) if scale else repr(-float(abs(np.linalg.det(lattice))))
    positions = frac_coords if mode.lower().startswith("d") else frac_coords @ lattice / factor
    flags = " T F T" if selective else ""
    tail = "  ! as it was" if decorated else ""
    labels = [f"{symbol}_pv/1a2b{k}" if decorated else symbol for k, (symbol, _) in enumerate(species)]
    between = "\n" if wrapped else " "
    lines = ["made by hand", scale_line + tail]
    lines += [" ".join(written(x, style) for x in row) + tail for row in (lattice / factor).tolist()]
    lines += [between.join(labels) + tail, between.join(str(count) for _, count in species) + tail]
    lines += ["Selective dynamics"] * selective + [mode]
    lines += ["\t".join(written(x, style) for x in row) + flags + tail for row in positions.tolist()]
    text = "\n".join([*lines, "", "0.0 0.0 0.0"]).replace("\n", newline)
    result = read(text)
    assert np.allclose(result.lattice, lattice, atol=1e-9, rtol=0)
    assert np.allclose(result.frac_coords, frac_coords, atol=1e-9, rtol=0)
    assert result.numbers.tolist() == [SYMBOLS.index(symbol) for symbol, count in species for _ in range(count)]
    assert result.notes == ()


@settings(max_examples=60, deadline=None)
@given(crystal=crystals(), is_direct=st.booleans(), scale=scales)
def test_pymatgen_reads_the_same(
    crystal: tuple[np.ndarray, list[tuple[str, int]], np.ndarray], is_direct: bool, scale: float
) -> None:
    lattice, species, frac_coords = crystal
    positions = frac_coords if is_direct else frac_coords @ lattice
    rows = [" ".join(map(repr, row)) for row in [*lattice.tolist(), *positions.tolist()]]
    names, counts = (" ".join(str(pair[k]) for pair in species) for k in (0, 1))
    mode = "Direct" if is_direct else "Cartesian"
    text = "\n".join(["title", repr(scale), *rows[:3], names, counts, mode, *rows[3:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = Poscar.from_str(text).structure
    result = read(text)
    assert np.allclose(result.lattice, structure.lattice.matrix, atol=1e-9)
    assert np.allclose(result.frac_coords, structure.frac_coords, atol=1e-9)
    assert result.numbers.tolist() == list(structure.atomic_numbers)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_mutated_text_gives_a_crystal_or_a_refusal(seed: int) -> None:
    originals = [poscar(), poscar(scale="-70 # volume").replace("Direct", "Selective\nCartesian"), poscar() + poscar()]
    random = np.random.default_rng(seed)
    text = mutated(random, originals[seed % 3].encode()).decode("latin-1")
    try:
        crystal = read(text)
    except RefusedInputError as refused:
        assert refused.reason in Reason and refused.detail
        return
    assert len(crystal.numbers) == len(crystal.frac_coords) and np.isfinite(crystal.lattice).all()
    assert np.isfinite(crystal.frac_coords).all() and crystal.numbers.min() >= 1


@pytest.mark.parametrize("filler", [" ", "1 ", "Na ", "\n", "1\n", "Na\n", "# ", "!", "0 0 0\n", "1\nDirect\n", "*"])
def test_long_hostile_lines_end(filler: str) -> None:
    # A reader whose time grows with the square would meet the time limit of a test.
    for place in range(9):
        lines = poscar().split("\n")
        lines[place] += filler * (1_000_000 // len(filler))
        assert isinstance(parse_text(job("\n".join(lines))), (Refusal, ParsedCrystal))
