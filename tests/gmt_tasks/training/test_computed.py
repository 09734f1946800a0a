"""Computed crystals: every state with its numbers, none that a model is judged by, faults named by line."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gmt_tasks.training.computed import read_computed
from gmt_tasks.training.data import prepare, training_rows
from models.errors import SourceError
from models.quantities import Scalar, Tensor
from models.tensors.voigt import from_components
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.training.test_data import config, labelled

BOOKS = textbook_crystals()
STIFFNESS = (100.0 * np.eye(6) + 20.0).tolist()


def row(name: str, **changes: Any) -> dict[str, Any]:
    crystal = BOOKS.crystals.select([BOOKS.names.index(name)])
    return {
        "lattice": (1.02 * crystal.lattice[0]).tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
        "stiffness_gpa": STIFFNESS,
        "relative_noise": 0.1,
        "expansion": 0.06,
        "distortion": 0.2,
    } | changes


def write(path: Path, *lines: dict[str, Any]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


@pytest.mark.parametrize("name", ["c.ndjson", "c.ndjson.gz"])
def test_states_are_read_with_their_numbers_and_failures_bring_none(tmp_path: Path, name: str) -> None:
    states = [row("zinc blende GaAs"), row("zinc blende GaAs", stiffness_gpa=None, expansion=-0.2)]
    path = write(tmp_path / name, {"id": "a", "failed": "collapsed"}, {"id": "b", "rows": states})
    computed = read_computed(path)
    assert computed.crystals.formulas() == ["AsGa", "AsGa"]
    np.testing.assert_allclose(from_components(Tensor.ELASTIC, computed.stiffness[0]), STIFFNESS, atol=1e-9)
    assert np.isnan(computed.stiffness[1]).all()
    assert computed.relative_noise.tolist() == [0.1, 0.1]
    places = [list(Scalar).index(scalar) for scalar in (Scalar.EXPANSION, Scalar.DISTORTION)]
    assert computed.scalars[:, places].tolist() == [[0.06, 0.2], [-0.2, 0.2]]
    assert np.isnan(np.delete(computed.scalars, places, axis=1)).all()


def test_states_that_are_no_crystals_or_absurd_are_left_out(tmp_path: Path) -> None:
    flat = row("zinc blende GaAs", lattice=np.zeros((3, 3)).tolist())
    absurd = row("zinc blende GaAs", stiffness_gpa=(1e5 * np.eye(6)).tolist())
    path = write(tmp_path / "c.ndjson", {"rows": [flat, row("rocksalt MgO"), absurd]})
    assert read_computed(path).crystals.formulas() == ["MgO"]


@pytest.mark.parametrize(
    "change",
    [
        {"expansion": None},
        {"expansion": 1e6},
        {"expansion": 10**400},
        {"stiffness_gpa": [1.0]},
        {"stiffness_gpa": np.arange(36.0).reshape(6, 6).tolist()},
        {"lattice": [[1, 0], [0, 1]]},
        {"distortion": float("nan")},
        {"distortion": -0.1},
        {"relative_noise": -1.0},
        {"species": [12.7, 8.2]},
        {"species": [[12, 8], [12, 8]]},
        {"species": [10**30, 8]},
        {"species": [True, True]},
    ],
)
def test_a_faulty_row_is_named_by_its_line(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write(tmp_path / "c.ndjson", {"rows": [row("rocksalt MgO")]}, {"rows": [row("rocksalt MgO", **change)]})
    with pytest.raises(SourceError, match=r"c\.ndjson line 2 is no computed crystal"):
        read_computed(path)


def test_a_missing_or_empty_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="computed_crystals.py makes it"):
        read_computed(tmp_path / "missing.ndjson.gz")
    flat = row("rocksalt MgO", lattice=np.zeros((3, 3)).tolist())
    with pytest.raises(SourceError, match="holds no computed crystal"):
        read_computed(write(tmp_path / "flat.ndjson", {"rows": [flat]}))
    damaged = write(tmp_path / "damaged.ndjson.gz", {"rows": [row("rocksalt MgO")]})
    content = bytearray(damaged.read_bytes())
    content[20:40] = bytes(20)
    damaged.write_bytes(content)
    with pytest.raises(SourceError, match=r"damaged\.ndjson\.gz cannot be read"):
        read_computed(damaged)
    with pytest.raises(SourceError, match="holds no computed crystal"):
        read_computed(write(tmp_path / "c.ndjson", {"id": "a", "failed": "collapsed"}))


def test_states_follow_in_training_and_formulas_that_models_are_judged_by_do_not(tmp_path: Path) -> None:
    """Copper is of the test part there."""
    write(tmp_path / "c.ndjson", {"rows": [row("rocksalt MgO"), row(BOOKS.names[-1])]})
    settings = replace(config(tmp_path), candidates="", computed="c.ndjson")
    labels = labelled()
    labels.components[Tensor.ELASTIC][0] = 1.0
    data = prepare(labels, training_rows(labels, settings), settings)
    # a stiffness is computed of a relaxed crystal; nothing is said of the others
    assert data.targets.scalars[:2, 3].tolist() == [0.0, pytest.approx(float("nan"), nan_ok=True)]
    alone = prepare(labels, training_rows(labels, settings), replace(settings, computed=""))
    assert torch.isnan(alone.targets.scalars).all()
    assert data.computed.tolist() == [8] and len(data.candidates) == 0
    assert data.targets.stiffness_noise.tolist() == [0.0] * 8 + [pytest.approx(0.1)]
    stiffness = data.targets.components[Tensor.ELASTIC]
    assert not torch.isnan(stiffness[8]).any()
    everything_is_train = replace(labelled(), split=np.array(["train"] * 10))  # negative control
    assert len(prepare(everything_is_train, np.arange(10), settings).computed) == 2
