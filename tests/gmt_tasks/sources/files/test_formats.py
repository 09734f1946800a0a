"""Names, bytes and texts of structure files: bounded, and split without understanding."""

import gzip
from pathlib import Path

import pytest

from gmt_tasks.sources.files import formats
from gmt_tasks.sources.files.cif.blocks import blocks_with_crystals
from gmt_tasks.sources.files.formats import FileFormat, file_format
from gmt_tasks.sources.files.text_bytes import decode_text, read_bytes
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.cif", formats.CIF),
        ("A.CIF.gz", formats.CIF),
        ("a.mcif", formats.CIF),
        ("POSCAR", formats.POSCAR),
        ("CONTCAR.relax2", formats.POSCAR),
        ("POSCAR_C2", formats.POSCAR),
        ("spglib__POSCAR-11", formats.POSCAR),
        ("POSCAR.gz", formats.POSCAR),
        ("si.vasp", formats.POSCAR),
        ("si.poscar", formats.POSCAR),
        ("s.json", formats.JSON),
        ("s.jsonl.gz", formats.JSON_LINES),
        ("t.parquet", formats.PARQUET),
        ("t.parquet.gz", None),
        ("README.md", None),
        ("notposcars.txt", None),
        ("a.tar.gz", formats.ARCHIVE),
        ("A.ZIP", formats.ARCHIVE),
        ("POSCAR.tgz", formats.ARCHIVE),
        ("md.extxyz.gz", formats.EXTENDED_XYZ),
        ("s.db", formats.ASE_DATABASE),
        ("s.db.gz", None),
        ("MIL-96(Al).cif", formats.CIF),
    ],
)
def test_a_name_means_a_format(name: str, expected: FileFormat | None) -> None:
    assert file_format(name) is expected


def test_a_gzip_that_unpacks_beyond_its_bound_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.cif.gz"
    bomb.write_bytes(gzip.compress(b"\0" * (30 << 20)))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(RefusedInputError) as refused:
        read_bytes(bomb, 64 << 20)
    assert refused.value.reason is Reason.ARCHIVE


def test_an_honest_gzip_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.cif.gz"
    path.write_bytes(gzip.compress(b"data_a\n" * 5000))
    assert read_bytes(path, 64 << 20) == b"data_a\n" * 5000


def test_a_truncated_gzip_is_an_archive_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.cif.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 100)[:-20])
    with pytest.raises(RefusedInputError) as refused:
        read_bytes(path, 64 << 20)
    assert refused.value.reason is Reason.ARCHIVE


def test_a_file_above_the_limit_is_too_large_and_one_at_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    path.write_bytes(b"x" * 1001)
    with pytest.raises(RefusedInputError) as refused:
        read_bytes(path, 1000)
    assert refused.value.reason is Reason.TOO_LARGE
    assert len(read_bytes(path, 1001)) == 1001


def test_text_of_any_encoding_is_read_and_the_odd_ones_are_noted() -> None:
    assert decode_text("Å".encode()) == ("Å", ())
    assert decode_text(b"\xef\xbb\xbfdata_") == ("data_", ())
    assert decode_text("Å".encode("utf-16"))[0] == "Å"
    for encoding in ("utf-16-le", "utf-16-be"):
        assert decode_text("data_ Å".encode(encoding)) == ("data_ Å", ("encoding: read as UTF-16",))
    assert decode_text(b"d\0at") == ("d\0at", ())
    text, notes = decode_text(b"data_a # \xc5ngstr\xf6m")
    assert text.endswith("Ångström") and "Latin-1" in notes[0]


CELL = "_cell_length_a 4\n"


def test_blocks_with_crystals_are_split_and_know_their_lines() -> None:
    text = f"# comment\ndata_one\n{CELL}data_publication\n_title 'x'\nDATA_two\n{CELL}"
    parts = blocks_with_crystals(text)
    assert [(part.header, part.first_line) for part in parts] == [("one", 2), ("two", 6)]
    assert "publication" not in parts[0].text


def test_equal_headers_stay_two_crystals() -> None:
    assert len(blocks_with_crystals(f"data_x\n{CELL}data_x\n{CELL}")) == 2


def test_a_text_field_may_hold_a_line_that_looks_like_a_block() -> None:
    parts = blocks_with_crystals(f"data_one\n{CELL}_note\n;\ndata_fake\n{CELL};\n_end 1\n")
    assert len(parts) == 1 and "_end 1" in parts[0].text


@pytest.mark.parametrize(
    ("text", "detail"),
    [("", "empty"), ("data FAU\n_cell_length_a 4\n", "line 1"), ("data_a\n_title x\n", "none with a cell")],
)
def test_a_text_without_a_crystal_block_says_why(text: str, detail: str) -> None:
    with pytest.raises(RefusedInputError, match=detail) as refused:
        blocks_with_crystals(text)
    assert refused.value.reason is Reason.PARSE
