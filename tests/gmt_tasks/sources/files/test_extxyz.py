"""Extended XYZ: the crystal that was written in any dialect of the specification, and the line of what is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gmt_tasks.sandbox.children import Outcome
from gmt_tasks.sources.files.extxyz import split_frames
from gmt_tasks.sources.files.formats import EXTENDED_XYZ
from gmt_tasks.sources.files.inputs import TextFile
from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal, RefusedInputError
from gmt_tasks.sources.source import ReadOptions
from models.crystals.crystal import SYMBOLS
from models.errors import Doubt, Reason
from tests.gmt_tasks.sources.files.extxyz_frames import LATTICE, OLD_STYLE, ROWS, assert_ba_o, frame, job, read
from tests.gmt_tasks.sources.mutations import mutated


def metadata(pairs: str) -> dict[str, Any]:
    return read(frame(pairs)).extra


def test_a_frame_gives_back_the_crystal_that_was_written() -> None:
    crystal = read(frame("Properties=species:S:1:pos:R:3 energy=-3.5 id=abc"))
    assert_ba_o(crystal)
    assert (crystal.source_id, crystal.extra, crystal.notes) == ("abc", {"energy": -3.5}, ())


@pytest.mark.parametrize(
    "cell",
    [
        f'"{OLD_STYLE}"',
        f"'{OLD_STYLE}'",
        f"{{{OLD_STYLE}}}",
        f"[{OLD_STYLE.replace(' ', ', ')}]",
        str(ROWS),
        str(ROWS).replace(" ", ""),
        f'"{ROWS}"',
        f' = "{OLD_STYLE}"'.removeprefix(" ="),
        f'"{OLD_STYLE.replace("4.0", "4.0D+00").replace("5.0", "0.5d1")}"',
    ],
)
def test_each_form_of_a_lattice_is_three_row_vectors(cell: str) -> None:
    assert_ba_o(read(frame(cell=cell)))


@pytest.mark.parametrize(
    "comment",
    [
        "",
        'pbc="T T T"',
        "pbc=[T, True, true]",
        "pbc=[true,true,true]",
        "pbc=T",
        "pbc",
        "Properties=species:S:1:pos:R:3:forces:R:0",
        'properties="species:S:1:pos:R:3"',
        "is_bulk",
        r'said="said \"Lattice=5\" and \\" Properties=species:S:1:pos:R:3',
        r'provenance="_JSON {\"id\": 12, \"lattice\": \"wurtzite\", \"pbc\": [false]}"',
        'info="_JSON {broken" config=a=b key="Lattice=1 pbc=F"',
        "names=['a', 'b'] table=[[1, 2], [3, 4]] deep=[[[1, 2]]] mixed=[a, \"b, ]\"]",
        "author=O'Brien title=it's quote='Lattice=1 pbc=F' virial={1 2 3 4 5 6 7 8 9}",
        '"a key with Lattice=5"=7 Origin="0 0 0" nothing=',
        "[step 5] {done} free = text\t with = tabs",
        'energy=-1.5Properties="species:S:1:pos:R:3"',
    ],
)
def test_what_else_the_second_line_holds_changes_no_crystal(comment: str) -> None:
    crystal = read(frame(comment))
    assert_ba_o(crystal)
    assert (crystal.source_id, crystal.notes) == (None, ())


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_ends_of_lines_change_no_crystal(newline: str) -> None:
    assert_ba_o(read(frame().replace("\n", newline)))
    assert_ba_o(read(" 2\t\n" + frame().removeprefix("2\n").rstrip("\n")))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("1.5D-3", 1.5e-3),
        ("T", True),
        ('"false"', False),
        ('"1 2 3"', [1, 2, 3]),
        ("{1 2.5}", [1.0, 2.5]),
        ("{7}", 7),
        ("{a b}", ["a", "b"]),
        ("[1, 2]", [1, 2]),
        ("[T, F]", [True, False]),
        ('[a, "b, c"]', ["a", "b, c"]),
        ("[[1, 2], [3, 4.5]]", [[1, 2], [3, 4.5]]),
        ("[[T, F], [F, F]]", [[True, False], [False, False]]),
        ('"_JSON {\\"a\\": [1, null]}"', {"a": [1, None]}),
        ('"_JSON {a"', "_JSON {a"),
        ('"two words"', "two words"),
        (r'"a \"b\" \\ \n c"', 'a "b" \\ \n c'),
        ("007", "007"),
        ("12345678901234567890", "12345678901234567890"),
        ("nan", "nan"),
        ("mp-149", "mp-149"),
        ("F-43m", "F-43m"),
        ("True-ish", "True-ish"),
        (r"C:\data", r"C:\data"),
        ('""', ""),
    ],
)
def test_a_value_has_the_type_of_the_specification(written: str, value: Any) -> None:
    found = metadata(f"key={written}")["key"]
    assert found == value and type(found) is type(value)
    json.dumps(found, allow_nan=False)


def test_a_bare_key_is_true_and_the_last_of_two_values_counts() -> None:
    assert metadata("flag a=1 a=2") == {"flag": True, "a": 2}


@pytest.mark.parametrize(
    ("pairs", "source_id", "extra"),
    [
        ("material_id=mp-149 name=silicon", "mp-149", {"name": "silicon"}),
        ('Name="two words"', "two words", {}),
        ("mat_id=agm001", "agm001", {}),
        ("entry_id=[1]  immutable_id=0012", "0012", {"entry_id": [1]}),
        ("id=12", "12", {}),
        ("id=123456789012345678901", "123456789012345678901", {}),
        ("uid=12e45", "12e45", {}),
        ("id", None, {"id": True}),
        ("id=T name=b", "b", {"id": True}),
        ("id=1.5", None, {"id": 1.5}),
        ('id="_JSON {\\"id\\": \\"x\\"}"', None, {"id": {"id": "x"}}),
        ('id="_JSON \\"x\\""', "x", {}),
        ('id="_JSON 5"', "5", {}),
        ('id=""', None, {"id": ""}),
        (r'remark="said \"ok\" id=5"', None, {"remark": 'said "ok" id=5'}),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(pairs: str, source_id: str | None, extra: dict[str, Any]) -> None:
    crystal = read(frame(pairs))
    assert (crystal.source_id, crystal.extra) == (source_id, extra)


def test_columns_may_stand_in_another_order_and_species_may_be_numbers() -> None:
    lines = frame().split("\n")
    swapped = [" ".join([*line.split()[1:], "7", "T", line.split()[0], "9"]) for line in lines[2:4]]
    columns = "pos:R:3:tag:I:1:move:L:1:species:S:1"
    text = "\n".join([lines[0], lines[1].replace("species:S:1:pos:R:3", columns), *swapped])
    assert_ba_o(read(text))


@pytest.mark.parametrize("column", ["Z:I:1", "numbers:I:1", "atomic_numbers:I:1"])
def test_atomic_numbers_name_the_elements(column: str) -> None:
    crystal = read(frame(f"Properties={column}:pos:R:3", labels=("56", "8")))
    assert_ba_o(crystal)
    assert crystal.notes == ()
    both = frame(f"Properties={column}:species:S:1:pos:R:3", labels=("56 Ba", "8 O"))
    assert_ba_o(read(both))
    with pytest.raises(RefusedInputError, match="'S' and Z = '8' are different elements") as refused:
        read(both.replace("8 O", "8 S"))
    assert refused.value.reason is Reason.COMPOSITION_MISMATCH


def test_a_small_z_is_a_coordinate() -> None:
    crystal = read(frame("Properties=z:I:1:species:S:1:pos:R:3", labels=("1 Ba", "2 O")))
    assert_ba_o(crystal)


def test_many_columns_in_front_of_the_positions_are_counted() -> None:
    descriptor = " 0.5" * 1200
    labels = (f"Ba{descriptor}", f"O{descriptor}")
    assert_ba_o(read(frame("Properties=species:S:1:descriptor:R:1200:pos:R:3", labels=labels)))


def test_what_was_concluded_of_labels_is_a_doubt() -> None:
    numbers = read(frame(labels=("56", "8")))
    assert_ba_o(numbers)
    assert numbers.notes[0].startswith(f"{Doubt.SPECIES}: numbers in the column of the symbols")
    letters = read(frame(labels=("BA", "o")))
    assert_ba_o(letters)
    assert letters.notes == (f"{Doubt.SPECIES}: read BA as Ba, o as O",)


@pytest.mark.parametrize("pbc", ['"T T F"', "[T, T, F]", "F", '"0 0 0"', "slab", '"T T"'])
def test_a_frame_that_is_not_periodic_everywhere_is_a_doubt(pbc: str) -> None:
    crystal = read(frame(f"pbc={pbc}"))
    assert_ba_o(crystal)
    (note,) = crystal.notes
    assert note.startswith(f"{Doubt.PERIODICITY}: the file says pbc ") and note.endswith("along every axis")


def test_an_apostrophe_that_closes_nothing_swallows_no_pair() -> None:
    crystal = read(frame("title='tis pbc=F end='twas"))
    assert crystal.extra == {"title": "'tis", "end": "'twas"} and len(crystal.notes) == 1


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("x\n", Reason.PARSE, "line 7"),
        ("0\nLattice=\n", Reason.EMPTY, "line 7"),
        (frame().rsplit("\n", 2)[0], Reason.PARSE, "the file ends before"),
        (frame().replace("Lattice", "Lettuce"), Reason.PARSE, "line 8: no Lattice"),
        (frame("title='a Lattice=1'").replace("Lattice=", "Lettuce=", 1), Reason.PARSE, "line 8: no Lattice"),
        (frame(cell='"1 2 3"'), Reason.PARSE, "line 8: Lattice has 3 numbers"),
        (frame(cell="[[1, 2], [3, 4, 5, 6], [7, 8, 9]]"), Reason.PARSE, "line 8: Lattice has 9 numbers in 3 rows"),
        (frame(cell='"4 0 0 0 4 0 0 0 4,5"'), Reason.PARSE, "line 8: Lattice has 10 numbers"),
        (frame(cell='"4 0 0 0 4 0 0 0 four"'), Reason.PARSE, "line 8: 'four'"),
        (frame(cell='"4 0 0 0 4 0 0 0 1_0"'), Reason.PARSE, "line 8: '1_0'"),
        (frame(cell='"4 0 0 0 4 0 0 0 nan"'), Reason.NONFINITE, "line 8"),
        (frame(cell='"4 0 0 0 4 0 0 0 1e400"'), Reason.NONFINITE, "line 8"),
        (frame(cell='"1e200 0 0 0 1e200 0 0 0 1e200"'), Reason.DEGENERATE_CELL, "line 8"),
        (frame().replace("Ba 0.0", "Ba 1e308").replace("4.0 0.2", "1e-3 0.2"), Reason.NONFINITE, "site 0"),
        (frame(cell='"4 0 0 0 4 0 4 4 0"'), Reason.DEGENERATE_CELL, "line 8"),
        (frame(f'Lattice="{OLD_STYLE} "'), Reason.PARSE, "line 8: two different values of Lattice"),
        (frame(f'LATTICE="{OLD_STYLE}"').replace("Lattice=", "lattice="), Reason.PARSE, "which of them is meant"),
        (frame('title="not closed'), Reason.PARSE, "line 8 column"),
        (frame("list=[1, 2"), Reason.PARSE, "line 8 column"),
        (frame("braces={1 2"), Reason.PARSE, "line 8 column"),
        (frame(" = 5").replace("Lattice=", "=", 1), Reason.PARSE, "line 8 column 1"),
        (frame("Properties=species:S:1"), Reason.PARSE, "line 8: Properties"),
        (frame("Properties=species:S:1:pos:R:2"), Reason.PARSE, "line 8: Properties"),
        (frame("Properties=species:S:1:pos:R:x"), Reason.PARSE, "line 8: Properties"),
        (frame("Properties=species:S:1:pos:Q:3"), Reason.PARSE, "line 8: Properties"),
        (frame("Properties=species:S:1:pos:R:3:pos:R:3"), Reason.PARSE, "line 8: Properties"),
        (frame("Properties=species:S:1:pos:R:3:f:R:3"), Reason.PARSE, "line 9: 4 columns, expected 7"),
        (frame().replace("Ba 0.0 0.0", "Ba 0.0 x"), Reason.PARSE, "line 9: 'x'"),
        (frame().replace("Ba 0.0 0.0", "Ba 0.0 *****"), Reason.NONFINITE, "line 9"),
        (frame(labels=("Ba", "Qq")), Reason.UNKNOWN_SPECIES, "line 10: 'Qq'"),
        (frame(labels=("Ba", "119")), Reason.UNKNOWN_SPECIES, "line 10: '119'"),
        (frame(labels=("Ba", "d")), Reason.UNKNOWN_SPECIES, "line 10: 'd'"),
        (frame("a" * 200_000), Reason.PARSE, "line 8"),
    ],
)
def test_each_fault_has_its_reason_and_its_line(text: str, reason: Reason, place: str) -> None:
    with pytest.raises(RefusedInputError) as refused:
        read(text, 7)
    assert (refused.value.reason, place in refused.value.detail) == (reason, True), refused.value.detail


def frames_of(path: Path, data: bytes) -> list[tuple[str, int, int]]:
    """Id, first line and number of atoms (0 for a refusal) of the frames of a file."""

    def interpret(_: TextJob) -> Outcome:
        raise NotImplementedError

    path.write_bytes(data)
    items = split_frames(TextFile(path, path.name, EXTENDED_XYZ, ReadOptions(), interpret))
    results = []
    for item in items:
        reading = parse_text(item.payload) if isinstance(item.payload, TextJob) else item.payload
        n_atoms = len(reading.numbers) if isinstance(reading, ParsedCrystal) else 0
        results.append((item.source_id, item.first_line, n_atoms))
    return results


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_is_split_into_its_frames_whatever_ends_its_lines(tmp_path: Path, newline: str, mark: bytes) -> None:
    text = (frame() + frame("key=1") + "\n \n" + frame().rstrip("\n")).replace("\n", newline)
    found = frames_of(tmp_path / "a.xyz", mark + text.encode())
    assert found == [("a.xyz#0", 1, 2), ("a.xyz#1", 5, 2), ("a.xyz#2", 11, 2)]


def test_what_follows_a_bad_count_is_not_guessed(tmp_path: Path) -> None:
    found = frames_of(tmp_path / "a.xyz", (frame() + "many\n" + frame()).encode())
    assert found == [("a.xyz#0", 1, 2), ("a.xyz#1", 5, 0)]


def test_negative_control_another_lattice_is_another_crystal() -> None:
    with pytest.raises(AssertionError):
        assert_ba_o(read(frame(cell=str(LATTICE.T.tolist()))))


numbers = st.floats(-9, 9, allow_nan=False).map(lambda x: round(x, 6))
vectors = st.lists(numbers, min_size=3, max_size=3)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@settings(max_examples=100, deadline=None)
@given(
    lattice=st.lists(vectors, min_size=3, max_size=3).map(np.array),
    sites=st.lists(st.tuples(st.integers(1, 94), vectors), min_size=1, max_size=6),
    cell_form=st.sampled_from(['"{flat}"', "{{{flat}}}", "[{comma}]", "{rows}", '"{rows}"']),
    columns=st.sampled_from(["species:S:1", "Z:I:1", "numbers:I:1", "Z:I:1:species:S:1", "forces:R:3:species:S:1"]),
    remark=texts,
    key=texts.filter(lambda text: text.strip() and text.lower() not in {"lattice", "properties", "pbc"}),
    first=st.booleans(),
)
def test_a_crystal_written_in_any_dialect_is_read_back(
    lattice: np.ndarray,
    sites: list[tuple[int, list[float]]],
    cell_form: str,
    columns: str,
    remark: str,
    key: str,
    first: bool,
) -> None:
    lengths = np.linalg.norm(lattice, axis=1)
    assume(lengths.min() > 1 and abs(np.linalg.det(lattice)) > 0.05 * lengths.prod())
    flat = [repr(x) for x in lattice.ravel().tolist()]
    cell = cell_form.format(flat=" ".join(flat), comma=", ".join(flat), rows=lattice.tolist())
    pairs = [f"Lattice={cell}", f"Properties={columns}:pos:R:3:charge:R:1", 'pbc="T T T"']
    others = [f"{quoted(key)} = {quoted(remark)}", f"note={quoted('_JSON ' + json.dumps({remark: 1}))}"]
    comment = " ".join(others + pairs if first else pairs + others)
    rows = []
    for number, frac in sites:
        position = " ".join(map(repr, (np.array(frac) / 9 @ lattice).tolist()))
        label = columns.replace("forces:R:3", "1 2 3").replace("species:S:1", SYMBOLS[number])
        label = label.replace("Z:I:1", str(number)).replace("numbers:I:1", str(number)).replace(":", " ")
        rows.append(f"{label} {position} 0.5")
    result = read("\n".join([str(len(sites)), comment, *rows]))
    assert np.allclose(result.lattice, lattice, atol=1e-9, rtol=0)
    assert np.allclose(result.frac_coords, np.array([frac for _, frac in sites]) / 9, atol=1e-9, rtol=0)
    assert result.numbers.tolist() == [number for number, _ in sites]
    assert result.notes == () and result.extra["note"] == {remark: 1}


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_mutated_frame_gives_a_crystal_or_a_refusal(seed: int) -> None:
    pairs = r'id=5 note="_JSON {\"a\": [1]}" stress={1 2 3} names=[a, b] pbc=[T, T, F] Properties=Z:I:1:pos:R:3'
    originals = [frame(), frame(pairs, labels=("56", "8")), frame(cell=str(ROWS))]
    text = mutated(np.random.default_rng(seed), originals[seed % 3].encode()).decode("latin-1")
    try:
        crystal = read(text)
    except RefusedInputError as refused:
        assert refused.reason in Reason and refused.detail
        return
    assert len(crystal.numbers) == len(crystal.frac_coords) and crystal.numbers.min() >= 1
    assert np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac_coords).all()


@pytest.mark.parametrize(
    "filler",
    [
        "a",
        " ",
        "' ",
        "'a ",
        '"',
        '" ',
        '\\"',
        "\\",
        "{",
        "}",
        "[",
        "[[",
        "[]",
        "[1,",
        "=",
        " =",
        "a= ",
        "1 ",
        "1.0",
        "T,",
    ],
)
def test_long_hostile_second_lines_end(filler: str) -> None:
    # A reader whose time grows with the square would meet the time limit of a test.
    for opening in ("", "a=", 'a="', "a={", "a=[", "a=[[", "a='", "Lattice=", "Properties=", "pbc="):
        text = frame(opening + filler * (90_000 // len(filler)))
        assert isinstance(parse_text(job(text)), (Refusal, ParsedCrystal))
