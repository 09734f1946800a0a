"""A mirror holds whole pages or nothing, keeps its order, and its fingerprint follows the content alone."""

import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gmt_tasks.settings import RemoteSettings
from gmt_tasks.sources.remote import mirrored_source
from gmt_tasks.sources.remote.http_client import UnreachableError
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
from gmt_tasks.sources.remote.mirrored_source import COMPLETE, MirroredSource, bring_up_to_date
from models.errors import SourceError
from tests.architecture.source_tree import ROOT


def record(number: int, value: object = 0, stamp: str | None = None) -> MirrorRecord:
    cell = {"lattice": [4, 0, 0, 0, 4, 0, 0, 0, 4], "species": ["Na"], "frac_coords": [[0, 0, 0]], "value": value}
    return MirrorRecord(f"r{number}", cell, stamp)


def mirror_of(folder: Path) -> Mirror:
    return Mirror.of(folder, "test", {"q": 1})


def everything(mirror: Mirror) -> list[tuple[str, object]]:
    return [(record_id, body["value"]) for page in mirror.pages(0, 2) for record_id, body in page]


def test_records_come_back_in_order_and_a_changed_one_keeps_its_place(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    assert mirror.write([record(1), record(2), record(3)], {"next": "p2"}) == 3
    assert mirror.write([record(2, "new"), record(3), record(4)], {"next": None}) == 2
    assert everything(mirror) == [("r1", 0), ("r2", "new"), ("r3", 0), ("r4", 0)]
    assert [[each for each, _ in page] for page in mirror.pages(1, 2)] == [["r2", "r3"], ["r4"]]
    assert mirror.mark("next") is None and len(mirror) == 4


def test_the_fingerprint_follows_content_and_order_and_not_dates(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.write([record(1, stamp="2020"), record(2)], {})
    first = mirror.fingerprint()
    mirror.write([record(1, stamp="2021")], {"newest": "2021"})
    assert mirror.fingerprint() == first
    assert mirror.stamps() == {"r1": "2021", "r2": None}
    mirror.write([record(1, "other")], {})
    assert mirror.fingerprint() != first
    turned = Mirror.of(tmp_path, "test", {"q": 2})
    turned.write([record(2), record(1)], {})
    assert turned.fingerprint() != first


def test_numbers_survive_to_the_last_bit(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.write([record(1, [0.1, 1e-300, math.pi])], {})
    assert everything(mirror) == [("r1", [0.1, 1e-300, math.pi])]


def test_what_a_new_walk_no_longer_meets_is_removed(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.write([record(1), record(2), record(3)], {}, 1)
    mirror.mark_unchanged(["r1"], 2)
    mirror.write([record(3)], {}, 2)
    assert mirror.remove_unmet(2, {COMPLETE: True}) == 1
    assert [name for name, _ in everything(mirror)] == ["r1", "r3"]


def test_a_page_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.write([record(1)], {"next": "p2"})
    with pytest.raises(TypeError):
        mirror.write([record(2), MirrorRecord("r3", object())], {"next": "p3"})
    with pytest.raises(TypeError):
        mirror.write([record(2)], {"next": object()})
    assert everything(mirror) == [("r1", 0)] and mirror.mark("next") == "p2"


KILLED = """
import os, sys
from pathlib import Path
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
mirror = Mirror.of(Path(sys.argv[1]), "test", {"q": 1})
for page in range(10**6):
    mirror.write([MirrorRecord(f"p{page}-{k}", {"value": page}) for k in range(50)], {"pages": page + 1})
    if page == 3:
        print("going", flush=True)
"""


def test_a_killed_download_has_whole_pages_and_knows_how_many(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, env=os.environ
    )
    assert process.stdout is not None and process.stdout.readline() == b"going\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    mirror = mirror_of(tmp_path)
    assert mirror.mark("pages") >= 4
    assert len(mirror) == 50 * mirror.mark("pages")


def test_a_damaged_mirror_says_that_it_may_be_deleted(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.path.write_bytes(b"not a database" * 100)
    with pytest.raises(SourceError, match="delete it"):
        len(mirror)


def test_a_record_that_cannot_be_unpacked_is_damage_and_no_shorter_list(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.write([record(1), record(2)], {})
    with closing(sqlite3.connect(mirror.path)) as connection, connection:
        connection.execute("UPDATE record SET body = x'00' WHERE id = 'r2'")
    with pytest.raises(SourceError, match="is damaged"):
        everything(mirror)


def test_a_record_that_no_writer_takes_keeps_its_place_and_is_refused(tmp_path: Path) -> None:
    deep: object = 0
    for _ in range(100_000):
        deep = [deep]
    mirror = mirror_of(tmp_path)
    mirror.write([record(1), record(2, deep), record(3)], {COMPLETE: True})
    (block,) = MirroredSource("x", mirror, lambda _: None, RemoteSettings(offline=True)).blocks()
    assert block.source_ids == ["r1", "r3"]
    assert [(each.position, each.source_id) for each in block.rejected] == [(1, "r2")]
    assert "not_kept" in block.rejected[0].detail


def test_an_id_that_no_database_takes_costs_no_other_record(tmp_path: Path) -> None:
    """JSON may hold half a surrogate pair."""
    mirror, odd = mirror_of(tmp_path), MirrorRecord("r\ud800", {"value": 5}, "s\udfff")
    for walk in (1, 2):
        assert mirror.write([record(1), odd, record(3)], {}, walk) == (3 if walk == 1 else 0)
    assert everything(mirror) == [("r1", 0), ("r\\ud800", 5), ("r3", 0)]
    assert mirror.count_met([odd.id], 2) == 1
    mirror.mark_unchanged([odd.id], 3)
    assert mirror.remove_unmet(3, {}) == 2 and [name for name, _ in everything(mirror)] == ["r\\ud800"]


def test_another_question_has_another_mirror(tmp_path: Path) -> None:
    assert mirror_of(tmp_path).path == Mirror.of(tmp_path, "test", {"q": 1}).path
    assert mirror_of(tmp_path).path != Mirror.of(tmp_path, "test", {"q": 2}).path


def fill(mirror: Mirror) -> None:
    mirror.write([record(number) for number in range(5)], {COMPLETE: True})


def fail(_: Mirror) -> None:
    raise UnreachableError("nobody is there")


def test_an_unreachable_server_stops_nobody_who_has_a_whole_mirror(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Libraries that other tests start in this process set up logging for themselves.
    monkeypatch.setattr(mirrored_source._log, "disabled", False)
    caplog.set_level(logging.WARNING, logger=mirrored_source._log.name)
    mirror = mirror_of(tmp_path)
    with pytest.raises(UnreachableError):
        bring_up_to_date(mirror, "s", fail, RemoteSettings())
    fill(mirror)
    bring_up_to_date(mirror, "s", fail, RemoteSettings())
    assert "the 5 records fetched earlier are used, since nobody is there" in caplog.text


def test_offline_asks_nobody_and_refuses_what_was_never_whole(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    with pytest.raises(SourceError, match="never fetched to its end"):
        bring_up_to_date(mirror, "s", fill, RemoteSettings(offline=True))
    fill(mirror)
    bring_up_to_date(mirror, "s", fail, RemoteSettings(offline=True))


def test_a_source_that_finds_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing there matches"):
        bring_up_to_date(mirror_of(tmp_path), "s", lambda m: None, RemoteSettings())


def test_blocks_cover_every_record_from_any_start_on(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    bad = MirrorRecord("bad", {"lattice": [1], "species": ["Na"], "frac_coords": [[0, 0, 0]]})
    mirror.write([record(0), bad, record(2)], {COMPLETE: True})
    source = MirroredSource("s", mirror, lambda m: None, RemoteSettings())
    (block,) = source.blocks()
    assert (block.start, block.stop, block.source_ids) == (0, 3, ["r0", "r2"])
    assert [(item.position, item.source_id) for item in block.rejected] == [(1, "bad")]
    (rest,) = source.blocks(2)
    assert (rest.start, rest.stop, rest.positions.tolist(), rest.source_ids) == (2, 3, [2], ["r2"])
    assert list(source.blocks(3)) == []


def test_a_source_whose_mirror_another_run_changed_stops(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    source = MirroredSource("s", mirror, fill, RemoteSettings())
    source.fingerprint()
    mirror.write([record(9)], {})
    with pytest.raises(SourceError, match="another run has fetched changes"):
        list(source.blocks())
