"""The command of beam lattices, from a name or a file to numbers, a picture and a mesh."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.results import lattice
from gmt_tasks.beam_lattices.net_file import open_net
from gmt_tasks.beam_lattices.properties import net_properties
from models.beam_lattice.reference_nets import REFERENCE_NETS
from models.derived.surfaces import Surface
from models.tensors.voigt import stiffness_voigt_to_mandel
from tests.gmt_tasks.beam_lattices.test_net_file import CUBIC
from tests.models.beam_lattice.nets import in_frame

runner = CliRunner()


def run(*words: str) -> Any:
    return runner.invoke(app, ["lattice", *words])


def test_a_named_net_is_homogenized_and_predicted() -> None:
    result = run("octet", "--density", "0.01", "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    homogenized, predicted = (np.array(facts["elastic_voigt_gpa"][way]) for way in ("homogenized", "predicted"))
    assert homogenized[0, 0] == pytest.approx(0.01 / 6, rel=0.01)
    assert np.linalg.eigvalsh(stiffness_voigt_to_mandel(predicted)).min() > 0
    assert np.linalg.norm(predicted - homogenized) < 0.2 * np.linalg.norm(homogenized)
    assert facts["derived"]["homogenized"]["zener"] == pytest.approx(2.0, rel=0.02)
    assert facts["model"].startswith("beam-lattice@") and facts["warnings"] == []


def test_the_table_stands_beside_picture_and_mesh(tmp_path: Path) -> None:
    picture, mesh = tmp_path / "dia.html", tmp_path / "dia.stl"
    result = run("diamond", "--no-predict", "--surface", str(picture), "--stl", str(mesh), "--cells", "1")
    assert result.exit_code == 0, result.stderr
    assert "C44, GPa" in result.stdout and "Zener ratio" in result.stdout and "C16" not in result.stdout
    assert "bending-dominated" in result.stderr
    assert "Plotly.newPlot" in picture.read_text(encoding="utf-8")
    assert mesh.stat().st_size == 84 + 50 * int.from_bytes(mesh.read_bytes()[80:84], "little")


def test_a_solid_scales_the_stiffness_and_a_thick_strut_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(CUBIC | {"radius": 0.15, "young_gpa": 70}), encoding="utf-8")
    result = run(str(path), "--json", "--no-predict")
    facts = json.loads(result.stdout)
    assert facts["elastic_voigt_gpa"]["homogenized"][0][0] == pytest.approx(70 * np.pi * 0.15**2)
    assert any("radius of 0.15" in line for line in facts["warnings"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pyrochlore"], "nets are simple-cubic"),
        (["octet", "--surface", "octet.doc"], "is no picture"),
        (["octet", "--property", "piezo_longitudinal_d"], "a net has no surface"),
        (["octet", "--stl", "octet.stl", "--cells", "50"], "Take fewer cells"),
        (["octet", "--stl", "octet.png", "--surface", "octet.png"], "name one file for each"),
        (["nothing.json"], "nothing.json"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words: list[str], sentence: str) -> None:
    result = run(*words, "--no-predict")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) <= 3


def test_a_net_is_not_replaced_by_its_mesh(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(CUBIC), encoding="utf-8")
    assert run(str(path), "--stl", str(path), "--no-predict").exit_code == 2
    assert json.loads(path.read_text(encoding="utf-8")) == CUBIC


def test_a_guess_of_the_network_is_called_one() -> None:
    lines = [net_properties(open_net("bcc", density)).warnings for density in (0.05, 1e-4)]
    assert [any("is a guess" in line for line in each) for each in lines] == [False, True]


def test_the_zener_ratio_is_that_of_cubic_nets_in_any_frame() -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    given, found = (open_net("octet", 1e-5), open_net("pcu", 0.03)), []
    for frame in (np.eye(3), rotation, np.diag([1.0, 1.0, 1.1])):
        nets = [replace(one, nets=in_frame(one.nets, frame)) for one in given]
        found.append([net_properties(one, predict=False).derived["homogenized"].get("zener") for one in nets])
    assert found[0] == pytest.approx([2.0, 0.03 / np.pi], rel=1e-3)
    assert found[1] == pytest.approx(found[0])
    assert found[2] == [None, None]


def test_help_names_the_nets_that_there_are() -> None:
    assert lattice.NETS.split(", ") == list(REFERENCE_NETS)


def test_a_surface_is_that_of_the_homogenized_net() -> None:
    properties = net_properties(open_net("simple-cubic", 0.03), predict=False)
    grid = properties.surface(Surface.YOUNG)
    assert grid.extremes.max == pytest.approx(0.01)
    assert np.abs(grid.extremes.max_direction).max() == pytest.approx(1.0)
