"""A directory of monsters, read in one go: each ends as its row says, and the sound files between them are read."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.records import IngestedBlock
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.files.source import _Children
from gmt_tasks.sources.open import open_source
from models.errors import Reason
from tests.gmt_tasks.sources.files.hostile_files import (
    cif,
    frame,
    make_special_files,
    no_utf8,
    parquet_bytes,
    poscar,
    record,
    tar_bytes,
    twice_a_column,
    zip_bytes,
)

GENERIC = "\n".join(f"O{k} O 0.{k + 11} 0.{k + 23} 0.{k + 37} 1" for k in range(60))
GRID = "\n".join(f"{x / 22} {y / 22} {z / 22}" for x in range(22) for y in range(22) for z in range(22))
ATTACK = {"@module": "subprocess", "@class": "check_output", "@callable": "check_output", "args": "touch ran"}
LONG_LIST = [*[record(id=f"long-{k}", pad="x" * 1000) for k in range(1200)], record(id="bad", species=["Na", "Qq"])]

C = "crystal"
MONSTERS: dict[str, tuple[bytes | str, list[str]]] = {
    # numbers
    "nan.cif": (cif(a="nan"), [Reason.NONFINITE]),
    "overflow.cif": (cif(a="1e400"), [Reason.NONFINITE]),
    "nan.vasp": (poscar(c="nan"), [Reason.NONFINITE]),
    "infinite.json": (json.dumps(record(frac_coords=[[0, 0, 0], [0.5, 0.5, float("inf")]])), [Reason.NONFINITE]),
    "far_away.json": (json.dumps(record(frac_coords=[[0, 0, 0], [0.5, 0.5, 1e300]])), [Reason.NONFINITE]),
    "huge_cell.json": (json.dumps(record(lattice=[1e200, 0, 0, 0, 1e200, 0, 0, 0, 1e200])), [Reason.DEGENERATE_CELL]),
    "huge_integer.json": (json.dumps(record(species=[11, 10**4000])), [Reason.UNKNOWN_SPECIES]),
    # cells
    "no_volume.vasp": (poscar(c="0"), [Reason.DEGENERATE_CELL]),
    "angle_zero.cif": (cif(alpha="0"), [Reason.DEGENERATE_CELL]),
    "near_flat.json": (json.dumps(record(lattice=[4, 0, 0, 0, 4, 0, 0, 0, 1e-5])), [Reason.DEGENERATE_CELL]),
    "thin.json": (json.dumps(record(lattice=[40, 0, 0, 0, 40, 0, 0, 0, 0.1])), [Reason.TOO_DENSE]),
    "tiny.vasp": (poscar(a="0.1", c="0.1"), [Reason.TOO_DENSE]),
    "skewed.vasp": (poscar(shear="4000"), [C]),
    "overlap.vasp": (poscar(sites="0 0 0\n0.01 0 0"), [Reason.OVERLAP]),
    "overlap_behind_the_face.vasp": (poscar(sites="0.002 0 0\n0.998 0 0"), [Reason.OVERLAP]),
    # sizes
    "generic_sites.cif": (cif(group="F m -3 m", sites=GENERIC), [Reason.TOO_LARGE]),
    "count.vasp": (poscar(counts="1 999999999999"), [Reason.TOO_LARGE]),
    "no_atoms.vasp": (poscar(counts="0 0"), [Reason.EMPTY]),
    "ten_thousand.vasp": (
        poscar(a="80", c="80", species="Na", counts="10648", sites=GRID).replace("0 4 0", "0 80 0"),
        ["reduced_to_primitive"],
    ),
    "ten_thousand_but_one.vasp": (
        poscar(a="80", c="80", species="Na", counts="10647", sites=GRID.rsplit("\n", 1)[0]).replace("0 4 0", "0 80 0"),
        [Reason.TOO_LARGE],
    ),
    # species
    "dummy.cif": (cif(sites="X1 X 0 0 0 1"), [Reason.UNKNOWN_SPECIES]),
    "long_label.json": (json.dumps(record(species=["Na", "Cl" + "1" * 300_000])), [Reason.UNKNOWN_SPECIES]),
    "text_as_species.json": (json.dumps(record(species="CO")), [Reason.PARSE]),
    "half.cif": (cif(sites="Na1 Na 0 0 0 0.5"), [Reason.DISORDERED]),
    "too_full.cif": (cif(sites="Na1 Na 0 0 0 1.3"), [Reason.OCCUPANCY]),
    "nearly_full.cif": (cif(sites="Na1 Na 0 0 0 1.005"), ["occupancy_rounded"]),
    "tritium.jsonl": (json.dumps(record(species=["T", "O2-"])), ["isotope_merged"]),
    "deuterium.extxyz": (frame(atoms="D 0 0 0\nCl 2 2 2"), ["isotope_merged"]),
    "charged.json": (json.dumps(record(species=["Na+", "Cl1-"])), [C]),
    "nameless_group.cif": (cif(group="Q 9 9 9"), [Reason.SYMMETRY_UNRESOLVED]),
    "long_operation.cif": (
        cif().replace("loop_", f"loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z{'1' * 300_000}\nloop_", 1),
        [Reason.SYMMETRY_UNRESOLVED],
    ),
    # texts
    "latin.cif": (b"# \xe5\n" + cif().encode(), ["encoding"]),
    "latin.jsonl": (json.dumps(record(by="x")).replace('"x"', '"\u00e5"').encode("latin-1"), ["encoding"]),
    "two.cif": (cif("one") + cif("two", a="5.0"), [C, C]),
    # With white space instead of blanks in the pattern of a block with a crystal, this one takes hours.
    "empty_lines.cif": ("data_x\n" + "\n" * 300_000, [Reason.PARSE]),
    "question.cif": (cif(sites="Na1 Na ? ? ? 1"), [Reason.PARSE]),
    "deep.json": ("[" * 100_000, [Reason.PARSE]),
    "wrapped.json": ('{"structure":' * 900 + "{}" + "}" * 900, [Reason.PARSE]),
    "key_twice.json": (json.dumps(record())[:-1] + ', "species": ["K", "Cl"]}', [Reason.PARSE]),
    "callable.json": (json.dumps(ATTACK), [Reason.PARSE]),
    "yaml.json": ("!!python/object/apply:os.system ['touch ran']", [Reason.PARSE]),
    "long.json": (json.dumps(LONG_LIST), [C] * 1200 + [Reason.UNKNOWN_SPECIES]),
    "long_line.jsonl": (json.dumps(record(pad="x" * 2_000_000)), ["metadata_dropped"]),
    "molecule.xyz": ("2\nwater\nO 0 0 0\nH 1 0 0\n", [Reason.PARSE]),
    "cut.extxyz": (frame() + frame()[:-12], [C, Reason.PARSE]),
    "odd_count.extxyz": (frame() + "many\n" + frame(), [C, Reason.PARSE]),
    # empty
    "empty.cif": ("", [Reason.PARSE]),
    "empty.json": ("[]", [Reason.EMPTY]),
    "empty.jsonl": ("", [Reason.EMPTY]),
    "empty.extxyz": ("", [Reason.EMPTY]),
    "empty.parquet": (b"", [Reason.PARSE]),
    "no_rows.parquet": (parquet_bytes(0, id=[], gap=[]), [Reason.PARSE]),
    "empty.zip": (b"", [Reason.ARCHIVE]),
    "no_members.zip": (zip_bytes({"readme.txt": b"x"}), [Reason.EMPTY]),
    # tables
    "column_twice.parquet": (twice_a_column(), [Reason.PARSE]),
    "no_utf8.parquet": (parquet_bytes(2, id=no_utf8(2), note=no_utf8(2)), [C, C]),
    "numbers_as_ids.parquet": (parquet_bytes(2, id=[{"a": 1}, None]), [C, C]),
    "nulls.parquet": (parquet_bytes(2, species=[[11, None], [11, 17]]), [Reason.PARSE, C]),
    "dates.parquet": (parquet_bytes(1, species=[["2020-01-01", "x"]]), [Reason.UNKNOWN_SPECIES]),
    "huge_text.parquet": (parquet_bytes(1, note=["x" * 300_000]), ["metadata_dropped"]),
    # archives
    "bomb.cif.gz": (gzip.compress(b"\0" * (30 << 20)), [Reason.ARCHIVE]),
    "one_line_bomb.jsonl.gz": (gzip.compress(b" " * (300 << 20)), [Reason.TOO_LARGE, Reason.ARCHIVE]),
    "no_gzip.cif.gz": (cif(), [Reason.ARCHIVE]),
    "bomb.zip": (zip_bytes({"a.cif": cif().encode(), "b.cif": b" " * (60 << 20)}), [C, Reason.ARCHIVE]),
    "slip.zip": (zip_bytes({"../evil.cif": b"", "sub/a.cif": cif().encode()}, "link.cif"),
                 [Reason.ARCHIVE, C, Reason.ARCHIVE]),
    "links.tar.gz": (tar_bytes({"a.cif": cif().encode()}, {"l.cif": b"2", "h.cif": b"1", "dev.cif": b"3"}),
                     [C, Reason.ARCHIVE, Reason.ARCHIVE, Reason.ARCHIVE]),
    "absolute.tar": (tar_bytes({"/etc/a.cif": b"", "b.vasp": poscar().encode()}, mode="w"), [Reason.ARCHIVE, C]),
    "nested.zip": (zip_bytes({"inner.zip": zip_bytes({"a.cif": b""}), "b.cif": cif().encode()}), [Reason.ARCHIVE, C]),
    "cut.tar.gz": (tar_bytes({"a.cif": cif().encode()})[:-60], [Reason.ARCHIVE]),
    "members.tgz": (tar_bytes({"t.parquet": parquet_bytes(), "r.jsonl": json.dumps(record()).encode()}
                              | {"x.cif.gz": gzip.compress(cif().encode())}), [C] * 5),
    # no regular files
    "dangling.cif": ("", [Reason.PARSE]),
    "pipe.cif": ("", [Reason.PARSE]),
}  # fmt: skip
"""File, its content, and how its inputs end in order: a crystal, a crystal with a note, or a reason."""

SPECIAL = ("dangling.cif", "pipe.cif")


def encoded(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, started_children: _Children) -> dict[str, list[str]]:
    """How the inputs of each file ended, in order."""
    folder = tmp_path_factory.mktemp("monsters")
    for name, (content, _) in MONSTERS.items():
        if name not in SPECIAL:
            (folder / name).write_bytes(encoded(content))
    make_special_files(folder)
    found: dict[str, list[str]] = {}
    position = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Children, "start", lambda options, stack: started_children)
        blocks = list(open_source(str(folder)).blocks())
    for block in blocks:
        assert block.start == position
        position = block.stop
        places = dict(zip(block.positions.tolist(), block.places or block.source_ids, strict=True))
        for number, entry in sorted(endings(ingest_block("monsters", block))):
            name = file_of(places.get(number) or entry[0], folder)
            found.setdefault(name or file_of(entry[1], folder), []).append(entry[2])
    assert not (folder / "ran").exists() and not Path("ran").exists()
    return found


def endings(block: IngestedBlock) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Position, and id, detail and ending of each input; a crystal's ending names its notes."""
    for position, source_id, metadata in zip(block.positions.tolist(), block.source_ids, block.metadata, strict=True):
        yield position, (source_id, "", f"crystal {metadata}")
    for item in block.rejected:
        assert item.detail
        yield item.position, (item.source_id, item.detail, item.reason)


def file_of(text: str, folder: Path) -> str:
    """The file that an id, place or detail begins with."""
    first = re.match(r"[^#/ :]*", text)[0]  # type: ignore[index]
    return first if (folder / first).exists() or first in SPECIAL else ""


def ends_as(ending: str, wanted: str) -> bool:
    """Whether an ending is the reason, the crystal, or the crystal with the note that is wanted."""
    if isinstance(wanted, Reason):
        return ending == wanted
    return ending.startswith(C) and (wanted == C or wanted in ending)


@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_ends_as_its_row_says(results: dict[str, list[str]], name: str) -> None:
    expected = MONSTERS[name][1]
    found = results.get(name, [])
    assert len(found) == len(expected), found[:5]
    assert all(ends_as(ending, wanted) for ending, wanted in zip(found, expected, strict=True)), found[:5]


def test_no_input_belongs_to_no_file(results: dict[str, list[str]]) -> None:
    assert set(results) == set(MONSTERS)
