"""A file appears whole or not at all; what is no file of its own is written to as it is."""

import os
from pathlib import Path

import pytest

from gmt_tasks.export.whole_file import whole_file


def test_a_file_appears_when_it_is_complete_and_the_one_before_stays_until_then(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("before")
    with whole_file(out) as part:
        part.write_text("after")
        assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert out.read_text() == "after"


def test_after_an_error_nothing_is_left_and_nothing_is_lost(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("before")

    def interrupted() -> None:
        with whole_file(out) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    os.mkfifo(pipe)
    with whole_file(link) as part:
        part.write_text("through")
    assert link.is_symlink()
    assert target.read_text() == "through"
    with whole_file(pipe) as part:
        assert part == pipe
    assert pipe.is_fifo()
