"""Packed files: every compression gives the same crystal, bombs and damage give a reason, names that lie do not."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.sources.files.archives import UnpackJob, unpack
from gmt_tasks.sources.files.compression import COMPRESSIONS, compression_in
from gmt_tasks.sources.files.formats import ARCHIVE, CIF, FORMATS, POSCAR, Content, file_format
from gmt_tasks.sources.files.text_bytes import lines_of, read_bytes
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.parsed import Refusal, RefusedInputError
from models.errors import Reason
from tests.gmt_tasks.sources.files.hostile_files import cif, poscar, record, tar_bytes, zip_bytes

Pack = Callable[[bytes], bytes]
PACKERS: dict[str, Pack] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}
ODD_PACKERS: dict[str, Pack] = {
    "zip": lambda data: zip_bytes({"x.cif": data}),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "7z": lambda data: b"7z\xbc\xaf\x27\x1c\x00\x04" + data,
}
EVERY = pytest.mark.parametrize("suffix", PACKERS)


def reason_of(path: Path, limit: int = 64 << 20) -> Reason:
    with pytest.raises(RefusedInputError) as refused:
        read_bytes(path, limit)
    return refused.value.reason


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_every_compression_has_a_packer_here_and_is_recognised_by_its_first_bytes() -> None:
    assert [compression.suffix for compression in COMPRESSIONS] == list(PACKERS)
    for compression in COMPRESSIONS:
        for data in (b"", b"data_a\n"):
            assert compression_in(PACKERS[compression.suffix](data)[:10]) is compression
    assert compression_in(b"BZh is a comment of a POSCAR") is None


@EVERY
def test_every_text_format_is_looked_for_behind_the_ending(suffix: str) -> None:
    texts = [row for row in FORMATS if row.content is Content.TEXT]
    assert all(file_format(f"A{ending.upper()}{suffix}") is row for row in texts for ending in row.suffixes)
    assert file_format(f"CONTCAR{suffix}") is POSCAR
    assert file_format(f"t.parquet{suffix}") is None and file_format(f"t.tar{suffix}") is ARCHIVE


@EVERY
@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_what_was_packed_in_any_number_of_parts_comes_out(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, parts: list[bytes]
) -> None:
    # What begins like packed data is refused as packed twice: not the subject here.
    parts[0] = b"#" + parts[0]
    path = tmp_path_factory.getbasetemp() / f"x.cif{suffix}"
    path.write_bytes(b"".join(map(PACKERS[suffix], parts)))
    assert read_bytes(path, 64 << 20) == b"".join(parts)
    lines = b"".join(line for _, line in lines_of(path, 64 << 20) if isinstance(line, bytes))
    assert lines == b"".join(parts)


@EVERY
def test_long_texts_are_unpacked_whole_and_line_by_line(tmp_path: Path, suffix: str) -> None:
    text = "".join(f"{k} {hash(k * 7919) % 997}\n" for k in range(50_000)).encode()
    path = written(tmp_path / f"x.jsonl{suffix}", PACKERS[suffix](text))
    assert read_bytes(path, 64 << 20) == text
    assert [number for number, _ in lines_of(path, 100)] == list(range(1, 50_001))


@EVERY
def test_a_bomb_is_stopped_at_its_bound(tmp_path: Path, suffix: str) -> None:
    bomb = written(tmp_path / f"bomb.cif{suffix}", PACKERS[suffix](b"\0" * (40 << 20)))
    assert bomb.stat().st_size < 100_000
    assert reason_of(bomb) is Reason.ARCHIVE
    lines = [line for _, line in lines_of(bomb, 1000)]
    assert all(isinstance(line, Refusal) for line in lines) and lines[-1].reason is Reason.ARCHIVE  # type: ignore[union-attr]


@EVERY
def test_a_damaged_or_truncated_file_is_an_archive_fault(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](json.dumps(list(range(3000))).encode())
    # A zstd frame of pyarrow has no checksum; what its structure shows is seen.
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    for name, data in {"cut": packed[:-5], "tail": packed + b"garbage", "flipped": bytes(flipped)}.items():
        if (suffix, name) != (".zst", "flipped"):
            assert reason_of(written(tmp_path / f"{name}.json{suffix}", data)) is Reason.ARCHIVE, name
    assert reason_of(written(tmp_path / f"plain.json{suffix}", b"{}")) is Reason.ARCHIVE
    assert reason_of(written(tmp_path / f"twice.json{suffix}", PACKERS[suffix](packed))) is Reason.ARCHIVE


@EVERY
def test_a_name_that_lies_is_unpacked_all_the_same(tmp_path: Path, suffix: str) -> None:
    data = PACKERS[suffix](b"data_a\n")
    for name in ("a.cif", "a.cif.gz", "POSCAR.xz"):
        assert read_bytes(written(tmp_path / name, data), 1 << 20) == b"data_a\n"


@pytest.mark.parametrize("kind", ODD_PACKERS)
def test_a_packing_that_is_not_read_is_refused_as_such(tmp_path: Path, kind: str) -> None:
    data = ODD_PACKERS[kind](b"data_a\n" * 50)
    for path in (written(tmp_path / "a.cif", data), written(tmp_path / f"POSCAR.{kind}", data)):
        with pytest.raises(RefusedInputError, match=f"a {kind}.*not read") as refused:
            read_bytes(path, 1 << 20)
        assert refused.value.reason is Reason.ARCHIVE


def test_an_xz_file_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    # The size of the dictionary stands in the header; only the decoder ever allocates it.
    filters = [
        {"id": lzma.FILTER_LZMA2, "dict_size": 768 << 20, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "nice_len": 4}
    ]
    try:
        data = lzma.compress(b"data_a\n", filters=filters)
    except MemoryError:
        pytest.skip("the machine has not the memory to make such a file")
    assert reason_of(written(tmp_path / "a.cif.xz", data)) is Reason.ARCHIVE


@EVERY
def test_a_tar_in_every_compression_gives_its_members(tmp_path: Path, suffix: str) -> None:
    members = {"a.cif": b"one", "b.cif" + suffix: PACKERS[suffix](b"two")}
    data = PACKERS[suffix](tar_bytes(members, mode="w"))
    compression = next(row for row in COMPRESSIONS if row.suffix == suffix)
    for name in (f"x.tar{suffix}", *(f"x{ending}" for ending in compression.archive_suffixes), "misnamed.tar"):
        assert file_format(name) is ARCHIVE
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        found = unpack(UnpackJob(written(tmp_path / name, data), folder)).members
        contents = [m.content.read_bytes() for m in found if isinstance(m.content, Path)]
        assert contents == list(members.values())
        cut = unpack(UnpackJob(written(tmp_path / name, data[: len(data) // 2]), folder)).members
        assert isinstance(cut[-1].content, Refusal) and cut[-1].content.reason is Reason.ARCHIVE


@EVERY
def test_a_bomb_in_a_tar_is_stopped(tmp_path: Path, suffix: str) -> None:
    data = PACKERS[suffix](tar_bytes({"a.cif": b"\0" * (40 << 20)}, mode="w"))
    (tmp_path / "members").mkdir()
    found = unpack(UnpackJob(written(tmp_path / f"x.tar{suffix}", data), tmp_path / "members")).members
    assert isinstance(found[-1].content, Refusal) and found[-1].content.reason is Reason.ARCHIVE


@pytest.mark.usefixtures("shared_children")
def test_packed_files_of_all_kinds_in_one_folder_give_their_crystals(tmp_path: Path) -> None:
    for suffix, pack in PACKERS.items():
        (tmp_path / f"a.cif{suffix}").write_bytes(pack(cif().encode()))
        (tmp_path / f"POSCAR{suffix}").write_bytes(pack(poscar().encode()))
        (tmp_path / f"r.jsonl{suffix}").write_bytes(pack(json.dumps(record()).encode()))
        (tmp_path / f"t.tar{suffix}").write_bytes(pack(tar_bytes({"b.cif": cif().encode()}, mode="w")))
    blocks = list(open_source(str(tmp_path)).blocks())
    assert [item for block in blocks for item in block.rejected] == []
    assert sum(block.crystals.n_crystals for block in blocks) == 16


def test_the_tar_of_the_standard_library_in_xz_is_read(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:xz") as archive:
        info = tarfile.TarInfo("a.cif")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"one"))
    (tmp_path / "members").mkdir()
    (member,) = unpack(UnpackJob(written(tmp_path / "x.txz", sink.getvalue()), tmp_path / "members")).members
    assert isinstance(member.content, Path) and member.content.read_bytes() == b"one" and file_format("a.cif") is CIF
