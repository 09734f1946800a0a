"""Label files as a source: every line is a row or a refusal, and nothing is read twice or lost."""

import gzip
import json
from pathlib import Path

import pytest

from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.source import LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from models.errors import SourceError


def test_every_line_that_is_not_blank_is_a_row_or_a_refusal(tmp_path: Path) -> None:
    lines = ['{"id": "a", "kind": "x"}', "", '{"kind": "y"}', "not json", "[1, 2]", '{"id": 1, "id": 2}', '{"id": NaN}']
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    rows = list(open_label_source(str(path)).rows())
    assert [type(row) for row in rows] == [LabelRow, LabelRow, RefusedLabel, RefusedLabel, RefusedLabel, LabelRow]
    assert [row.source_id for row in rows] == ["a"] + [f"labels.jsonl#{n}" for n in (3, 4, 5, 6, 7)]
    assert {row.reason for row in rows if isinstance(row, RefusedLabel)} == {LabelReason.PARSE}


def test_a_folder_gives_its_label_files_in_the_order_of_their_names_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"id": "second"}\n', encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": "first"}\n'))
    (tmp_path / "c.json").write_text('{"id": "none"}', encoding="utf-8")
    assert [row.source_id for row in open_label_source(str(tmp_path)).rows()] == ["first", "second"]


def test_a_truncated_archive_is_refused_after_what_could_be_read(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"id": f"r{k}", "x": str(hash(k)) * 20}) + "\n" for k in range(400))
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress(rows.encode())[:-50])
    found = list(open_label_source(str(path)).rows())
    assert isinstance(found[-1], RefusedLabel)
    assert all(isinstance(row, LabelRow) for row in found[:-2])


def test_the_fingerprint_changes_with_the_content(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "a"}\n', encoding="utf-8")
    before = open_label_source(str(path)).fingerprint()
    assert open_label_source(str(path)).fingerprint() == before
    path.write_text('{"id": "b"}\n', encoding="utf-8")
    assert open_label_source(str(path)).fingerprint() != before


@pytest.mark.parametrize("text", ["nowhere.jsonl", "optimade:https" + "://x.org", "structure.cif"])
def test_what_holds_no_labels_is_refused_at_once(tmp_path: Path, text: str) -> None:
    if text == "structure.cif":
        text = str(tmp_path / text)
        Path(text).write_text("data_x", encoding="utf-8")
    with pytest.raises(SourceError):
        open_label_source(text)
