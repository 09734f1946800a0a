"""What children answer: honest answers arrive whole, tampered ones are refused before anything is made of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.records import RejectedInput
from gmt_tasks.sandbox.messages import Message, decode, encode
from gmt_tasks.sources.files.archives import decode_content
from gmt_tasks.sources.files.tables.child import answer
from gmt_tasks.sources.files.tables.table import TableJob, decode_table, encode_block
from gmt_tasks.sources.files.text_jobs import TextJob, decode_readings, encode_readings
from gmt_tasks.sources.metadata import metadata_json
from gmt_tasks.sources.parsed import ParsedCrystal, Reading, Refusal
from gmt_tasks.sources.source import MissingSymmetry, SourceBlock
from models.crystals.crystal import CrystalBatch
from models.errors import Reason

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


def crystal(n_atoms: int, **more: Any) -> ParsedCrystal:
    random = np.random.default_rng(n_atoms)
    return ParsedCrystal(4 * np.eye(3), random.random((n_atoms, 3)), random.integers(1, 90, n_atoms), **more)


def over_the_wire(message: Message) -> Message:
    """The message as the other side receives it."""
    _, head, *arrays = encode(message)
    return decode(bytearray(head), bytearray(b"".join(arrays)))


def same(ours: Reading, theirs: Reading) -> bool:
    """Whether a reading arrived: notes travel inside the metadata."""
    if isinstance(ours, Refusal) or isinstance(theirs, Refusal):
        return ours == theirs
    texts = [json.loads(metadata_json(one.extra, one.notes) or "{}") for one in (ours, theirs)]
    arrays = all(np.array_equal(getattr(ours, a), getattr(theirs, a)) for a in ("lattice", "frac_coords", "numbers"))
    return arrays and texts[0] == texts[1] and ours.source_id == theirs.source_id


READINGS: list[Reading] = [
    crystal(2, source_id="a", notes=("isotope_merged: D",), extra={"gap": 1.5, "notes": ["theirs"], "deep": [[{}]]}),
    Refusal(Reason.PARSE, "line 3: ?", "b"),
    crystal(0),
    Refusal(Reason.EMPTY, "no atoms"),
    crystal(5, extra={"nan": float("nan")}),
]


def test_readings_arrive_as_they_were_sent() -> None:
    back = decode_readings(over_the_wire(encode_readings(READINGS)))
    assert isinstance(back, list) and len(back) == 5
    assert all(same(ours, theirs) for ours, theirs in zip(READINGS, back, strict=True))
    for reading in READINGS:
        single = decode_readings(over_the_wire(encode_readings(reading)))
        assert not isinstance(single, list) and same(reading, single)


def test_jobs_arrive_as_they_were_sent() -> None:
    job = TextJob("cif", "data_\udc80 Å", 7, 10, MissingSymmetry.ASSUME_P1)
    assert TextJob.from_content(over_the_wire(Message(job.content())).content) == job


def tampered(change: str) -> Message:
    """An answer of a child that has been taken over."""
    message = encode_readings(READINGS)
    several, parts = json.loads(json.dumps(message.content))
    lattice, coords, numbers, counts = message.arrays
    changes: dict[str, Message] = {
        "too few names": Message([several, parts[:-1]], message.arrays),
        "a reason of its own": Message([several, [["x", "because", "why"], *parts[2:], *parts[:1]]], message.arrays),
        "a number as an id": Message([several, [[5, None], *parts[1:]]], message.arrays),
        "metadata that is no object": Message([several, [["a", "[1]"], *parts[1:]]], message.arrays),
        "metadata that is no JSON": Message([several, [["a", "{"], *parts[1:]]], message.arrays),
        "several where one belongs": Message([False, parts], message.arrays),
        "no arrays": Message([several, parts]),
        "atoms of nobody": Message([several, parts], (lattice, coords, numbers, counts - counts)),
        "a negative count": Message([several, parts], (lattice, coords, numbers, np.array([-1, 3, 5]))),
        "an overflowing count": Message([several, parts], (lattice, coords, numbers, np.array([2**62, 2**62, 7]))),
        "a flat lattice": Message([several, parts], (lattice.reshape(-1), coords, numbers, counts)),
        "numbers as floats": Message([several, parts], (lattice, coords, numbers.astype(float), counts)),
        "nothing": Message(None),
    }
    return changes[change]


@pytest.mark.parametrize("change", [
    "too few names", "a reason of its own", "a number as an id", "metadata that is no object",
    "metadata that is no JSON", "several where one belongs", "no arrays", "atoms of nobody", "a negative count",
    "an overflowing count", "a flat lattice", "numbers as floats", "nothing",
])  # fmt: skip
def test_a_tampered_reading_is_refused(change: str) -> None:
    with pytest.raises(MALFORMED):
        decode_readings(over_the_wire(tampered(change)))


def block() -> SourceBlock:
    crystals = CrystalBatch.from_arrays([4 * np.eye(3)] * 2, [np.zeros((1, 3))] * 2, [np.array([3]), np.array([4])])
    rejected = [RejectedInput(11, "t#1", Reason.PARSE, "why")]
    ids, places = ["t#0", "t#2"], ["t row 0", "t row 2"]
    return SourceBlock(10, 13, np.array([10, 12]), ids, crystals, ['{"gap": 1}', None], rejected, places)


def test_a_block_arrives_as_it_was_sent() -> None:
    back = decode_table(over_the_wire(encode_block(block())))
    assert isinstance(back, SourceBlock)
    assert (back.start, back.stop, back.source_ids, back.metadata) == (10, 13, ["t#0", "t#2"], ['{"gap": 1}', None])
    assert back.rejected == block().rejected and back.places == block().places
    assert back.crystals.numbers.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (0, 9), (1, 10**18), (1, "13"), (0, True), (2, ["a"]), (2, ["a", 5]), (3, [None, "[]"]),
        (3, [None, "\u0000"]), (3, [None, ""]), (5, [[12, "t", "parse", "x"]]),
        (3, [None, '{"a": 1']), (4, [1, 2]), (5, []), (5, [[11, "t", "parse", "x"]] * 2),
        (5, [[11, "t", "because", "x"]]), (5, [[11.0, "t", "parse", "x"]]), (4, ["one place for two"]),
    ],
)  # fmt: skip
def test_a_tampered_block_is_refused(part: int, value: Any) -> None:
    message = encode_block(block())
    content = json.loads(json.dumps(message.content))
    decode_table(Message(content, message.arrays))  # negative control: untampered it is accepted
    content[part] = value
    with pytest.raises(MALFORMED):
        decode_table(over_the_wire(Message(content, message.arrays)))


@pytest.mark.parametrize("ends", [[5, 3], [-1], [1.5], [True], ["3"], 7, None])
def test_row_groups_that_do_not_follow_each_other_are_refused(ends: Any) -> None:
    assert decode_table(Message([3, 3, 10])) == [3, 3, 10]
    with pytest.raises(MALFORMED):
        decode_table(Message(ends))


@pytest.mark.parametrize("name", ["/etc/passwd", "../0", "sub/0", "x", "", "0.cif", "0\n", ".", 5, None, "link"])
def test_a_member_leads_to_a_file_in_its_folder_only(tmp_path: Path, name: Any) -> None:
    (tmp_path / "0").write_text("x")
    (tmp_path / "1").symlink_to("/etc/passwd")
    assert decode_content([[["a.cif", "0"]], {}], tmp_path).members[0].content == tmp_path / "0"
    with pytest.raises(MALFORMED):
        decode_content([[["a.cif", "1" if name == "link" else name]], {}], tmp_path)


def test_the_reason_why_a_table_cannot_be_opened_arrives_as_text(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("no table")
    job = TableJob(tmp_path / "t.parquet", "t", "parquet", 0, None)
    assert "not a readable Parquet" in str(decode_table(over_the_wire(answer(job.content()))))
