"""Archives: members under their names, everything beyond a bound refused, and no byte outside the folder."""

import io
import zipfile
from pathlib import Path

import pytest

from gmt_tasks.sources.files import archives
from gmt_tasks.sources.files.archives import UnpackJob, unpack
from gmt_tasks.sources.parsed import Refusal
from models.errors import Reason
from tests.gmt_tasks.sources.files.hostile_files import cif, tar_bytes, zip_bytes

GOOD = {"b.cif": b"one", "a/POSCAR": b"two", "readme.md": b"no input", "c.cif.gz": b"three"}


def unpacked(folder: Path, data: bytes, name: str = "x.zip") -> dict[str, bytes | str]:
    """Member -> its content, or the detail of its refusal, in the order of the archive."""
    (folder / name).write_bytes(data)
    target = folder / "members"
    target.mkdir()
    members = unpack(UnpackJob(folder / name, target)).members
    outside = {path.relative_to(folder).parts[0] for path in folder.rglob("*")} - {name, "members"}
    assert not outside
    assert not any(path.is_symlink() or path.is_dir() for path in target.rglob("*"))
    for member in members:
        assert isinstance(member.content, Path) or member.content.reason is Reason.ARCHIVE
    return {m.name: m.content.detail if isinstance(m.content, Refusal) else m.content.read_bytes() for m in members}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.zip", zip_bytes(GOOD)),
        ("x.tar", tar_bytes(GOOD, mode="w")),
        ("x.tar.gz", tar_bytes(GOOD)),
        ("x.tgz", tar_bytes(GOOD)),
        ("misnamed.tar", tar_bytes(GOOD)),
    ],
)
def test_members_of_known_formats_come_in_the_order_of_the_archive(tmp_path: Path, name: str, data: bytes) -> None:
    assert unpacked(tmp_path, data, name) == {k: v for k, v in GOOD.items() if k != "readme.md"}


@pytest.mark.parametrize(
    "name",
    ["../a.cif", "x/../../a.cif", "/etc/a.cif", "..\\a.cif", "C:\\a.cif", "d/" * 40 + "a.cif", "n" * 1100 + ".cif"],
)
def test_a_name_that_leaves_the_archive_or_all_bounds_is_refused(tmp_path: Path, name: str) -> None:
    found = list(unpacked(tmp_path, zip_bytes({name: b"evil", "good.cif": b"good"})).values())
    assert isinstance(found[0], str) and found[1] == b"good"


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"6"])
def test_links_devices_and_pipes_are_refused_alone(tmp_path: Path, kind: bytes) -> None:
    found = unpacked(tmp_path, tar_bytes({"good.cif": b"good"}, {"odd.cif": kind}), "x.tar.gz")
    assert found["good.cif"] == b"good" and isinstance(found["odd.cif"], str)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    assert unpacked(tmp_path, zip_bytes({}, link="l.cif")) == {"l.cif": "a link"}


def test_two_members_of_one_name_stay_two(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.cif", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.cif", b"second")
    (tmp_path / "x.zip").write_bytes(sink.getvalue())
    (tmp_path / "members").mkdir()
    members = unpack(UnpackJob(tmp_path / "x.zip", tmp_path / "members")).members
    assert [m.content.read_bytes() for m in members if isinstance(m.content, Path)] == [b"first", b"second"]


def test_a_bomb_is_cut_off_and_what_came_before_it_stays(tmp_path: Path) -> None:
    found = unpacked(tmp_path, zip_bytes({"good.cif": b"good", "bomb.cif": b"\0" * (30 << 20), "c.cif": b"c"}))
    assert found.pop("good.cif") == b"good"
    assert list(found) == [""] and "bomb.cif" in str(found[""])
    written = sum(path.stat().st_size for path in (tmp_path / "members").iterdir())
    assert written < 12 << 20


def test_a_bomb_that_is_no_input_is_not_even_skipped_in_a_tar(tmp_path: Path) -> None:
    found = unpacked(tmp_path, tar_bytes({"readme.md": b"\0" * (30 << 20), "c.cif": b"c"}), "x.tar.gz")
    assert list(found) == [""] and "unpacks to more than" in str(found[""])


def test_too_many_members_end_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    found = unpacked(tmp_path, zip_bytes({f"{k}.cif": b"x" for k in range(10)}))
    assert len(found) == 6 and "more than 5 members" in str(found[""])


def test_a_damaged_member_costs_itself(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"a.cif": cif().encode() * 20, "b.cif": b"good"}))
    data[60:70] = b"\xff" * 10
    found = unpacked(tmp_path, bytes(data))
    assert isinstance(found["a.cif"], str) and found["b.cif"] == b"good"


def test_a_directory_that_points_before_the_archive_is_refused_and_a_full_disk_is_not_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(zip_bytes({"a.cif": b"one"}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = b"\xff\xff\xff\x7f"  # where the directory begins
    assert list(unpacked(tmp_path, bytes(data)).values()) != [b"one"]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_write", full)
    (tmp_path / "y.zip").write_bytes(zip_bytes({"a.cif": b"one"}))
    with pytest.raises(OSError, match="No space left"):
        unpack(UnpackJob(tmp_path / "y.zip", tmp_path / "members"))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"x" * 2000, tar_bytes(GOOD)[:-40]])
@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    assert list(unpacked(tmp_path, data, name))[-1] == "" or (name, data) == ("x.tar.gz", b"")
