"""The commands that join and calibrate: what they hand on, and what they say."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from models.uncertainty.conformal import Calibration, ConformalWidth, SystemWidth


def calibration() -> Calibration:
    wide = ConformalWidth(120, 0.05, 2.5, {"cubic": SystemWidth(80, 0.75), "trigonal": SystemWidth(40, 1.5)})
    return Calibration(0.1, 3, {"k_vrh_gpa": wide, "d_max_pc_per_n": ConformalWidth(8, 0.0, math.inf, {})})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `calibrate` was called with; nothing is calculated."""
    found: dict[str, Any] = {}

    def fake(model: str, **options: Any) -> Calibration:
        found.update(options, model=model)
        return calibration()

    monkeypatch.setattr("gmt_tasks.evaluation.calibration.calibrate_into_card", fake)
    return found


def test_calibrate_says_the_widths_and_where_there_is_no_interval(asked: dict[str, Any]) -> None:
    result = CliRunner().invoke(app, ["calibrate", "mine.json", "--data", "labels"])
    assert result.exit_code == 0
    assert asked == {"model": "mine.json", "data": Path("labels"), "device": "auto", "version": ""}
    text = " ".join(result.stdout.split())
    assert "90 % intervals from val, 3 networks" in text
    assert "cubic 0.75" in text and "trigonal 1.50" in text
    assert "too few labels" in text


def test_calibrate_prints_json_that_reads_back(asked: dict[str, Any]) -> None:
    result = CliRunner().invoke(app, ["calibrate", "--json"])
    assert Calibration.from_json(json.loads(result.stdout)) == calibration()


def test_join_refuses_a_model_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["models", "join", str(tmp_path / "none.json"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()
