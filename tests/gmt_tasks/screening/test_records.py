"""Lines of predictions: in order, and with what the reader changed among the warnings."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gmt_tasks.screening.records import MAX_NOTES, prediction_lines, reader_notes
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import CrystalBatch

ROW = {"lattice": [4, 0, 0, 0, 4, 0, 0, 0, 4], "frac_coords": [0, 0, 0]}


class NamingScreener:
    """Predicts nothing but the id, with one warning."""

    def predict_lines(self, ids: list[str], crystals: CrystalBatch) -> Iterable[dict[str, Any]]:
        assert len(ids) == crystals.n_crystals
        return [{"id": own, "status": "ok", "warnings": ["w"]} for own in ids]


def test_what_the_reader_changed_stands_among_the_warnings(tmp_path: Path) -> None:
    species = {"a": ["D"], "b": ["Qq"], "c": ["Na"]}
    rows = [json.dumps({**ROW, "id": own, "species": labels}) for own, labels in species.items()]
    (tmp_path / "x.jsonl").write_text("\n".join(rows))
    lines = list(prediction_lines(NamingScreener, [open_source(str(tmp_path / "x.jsonl"))], max_atoms=10))
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert lines[0]["warnings"] == ["w", "isotope_merged: D read as H (1 sites)"]
    assert lines[1]["reason"] == "unknown_species"
    assert lines[2]["warnings"] == ["w"]


def test_doubts_stand_in_front_and_their_notes_among_the_warnings(tmp_path: Path) -> None:
    notes = {
        "a": ["cell_doubt: stretched", "symmetry_doubt: guessed", "cell_doubt: bent"],
        "b": ["remark: none"],
        "c": None,
    }
    rows = [json.dumps({**ROW, "id": own, "species": ["Na"], "notes": texts}) for own, texts in notes.items()]
    (tmp_path / "x.jsonl").write_text("\n".join(rows))
    lines = list(prediction_lines(NamingScreener, [open_source(str(tmp_path / "x.jsonl"))], max_atoms=10))
    assert [line["doubts"] for line in lines] == [["symmetry_doubt", "cell_doubt"], [], []]
    assert lines[0]["warnings"] == ["w", *notes["a"]]
    assert list(lines[0]) == ["id", "status", "doubts", "warnings"]


def test_notes_of_others_are_bounded_and_printable() -> None:
    assert reader_notes(["a\u001b[2J"]) == ["a\ufffd[2J"]
    assert len(reader_notes(["x" * 9000] * 500)) == MAX_NOTES
