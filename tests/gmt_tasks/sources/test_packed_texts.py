"""Packed texts from elsewhere: what was packed comes back; whatever is no such file is refused with one sentence."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmt_tasks.sources.packed_texts import plain_or_gzipped_text, zipped_text
from models.errors import SourceError

TEXT = "id,prediction\nJVASP-1,2.5\n"


def zipped(folder: Path, **texts: str | bytes) -> Path:
    """A zip with these texts; an underscore in a name stands for a dot."""
    path = folder / "a.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name.replace("_", "."), text)
    return path


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_what_was_packed_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("packed")
    expected = text.removeprefix("\ufeff")
    assert zipped_text(zipped(folder, a_csv=text), ".csv") == expected
    for name, data in (("a.json", text.encode()), ("a.json.gz", gzip.compress(text.encode()))):
        (folder / name).write_bytes(data)
        assert plain_or_gzipped_text(folder / name) == expected


def test_what_a_packing_program_adds_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/a.csv", TEXT)
        archive.writestr("__MACOSX/folder/._a.csv", b"\0\0")
    assert zipped_text(path, ".csv") == TEXT


def nested() -> bytes:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", TEXT)
    return inner.getvalue()


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ({}, "holds nothing"),
        ({"a_csv": TEXT, "b_csv": TEXT}, "holds a.csv, b.csv"),
        ({"a_zip": nested()}, "holds a.zip"),
        ({"a_csv": nested()}, "no text in UTF-8"),
        ({"a_csv": b"\xff\xfe"}, "no text in UTF-8"),
        ({"a_csv": "0" * (40 << 20)}, "unpacks to more than"),
    ],
    ids=["empty", "two texts", "a zip in it", "a zip called table", "another encoding", "a bomb"],
)
def test_a_zip_with_something_else_is_refused(tmp_path: Path, texts: dict[str, str | bytes], problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        zipped_text(zipped(tmp_path, **texts), ".csv")


def test_an_encrypted_text_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, a_csv=TEXT)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match="encrypted"):
        zipped_text(path, ".csv")


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = zipped(tmp_path, a_csv=TEXT * 50).read_bytes()
    for name, data in (("cut", whole[:-30]), ("text", b"id,prediction"), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match="no zip file"):
            zipped_text(tmp_path / name, ".csv")
    packed = gzip.compress(TEXT.encode() * 50)
    for data in (packed[:-12], b"text", nested()):
        (tmp_path / "a.json.gz").write_bytes(data)
        with pytest.raises(SourceError, match="no complete gzip file"):
            plain_or_gzipped_text(tmp_path / "a.json.gz")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"0" * (40 << 20)))
    with pytest.raises(SourceError, match="unpacks to more than"):
        plain_or_gzipped_text(tmp_path / "a.json.gz")


def test_a_limit_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("x" * 11)
    assert plain_or_gzipped_text(tmp_path / "a.json", 11) == "x" * 11
    with pytest.raises(SourceError, match="more than 10 bytes"):
        plain_or_gzipped_text(tmp_path / "a.json", 10)
