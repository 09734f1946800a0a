"""Files of nets: what is read, and that whatever else comes is refused in one sentence that says what to do."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmt_tasks.beam_lattices.net_file import NetFileError, open_net, read_net_file
from gmt_tasks.beam_lattices.stl import write_stl
from models.beam_lattice.mesh import block_mesh
from models.beam_lattice.reference_nets import reference_net
from models.errors import GmtError, SourceError

CUBIC: dict[str, Any] = {
    "lattice": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "nodes": [[0, 0, 0]],
    "struts": [[0, 0, [1, 0, 0]], [0, 0, [0, 1, 0]], [0, 0, [0, 0, 1]]],
}


def write(folder: Path, document: Any) -> Path:
    """A file of a document."""
    path = folder / "net.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_a_file_says_radius_or_density_and_solid(tmp_path: Path) -> None:
    net = read_net_file(write(tmp_path, CUBIC | {"radius": [0.1, 0.2, 0.3], "young_gpa": 70, "poisson_ratio": 0.33}))
    assert net.nets.radius.tolist() == [0.1, 0.2, 0.3]
    assert (net.young_gpa, net.poisson_ratio, net.name) == (70.0, 0.33, "net")
    net = read_net_file(write(tmp_path, CUBIC | {"relative_density": 0.02, "name": "mine"}))
    assert net.nets.relative_density == pytest.approx([0.02])
    assert net.name == "mine"


def test_nodes_outside_of_the_cell_are_those_inside(tmp_path: Path) -> None:
    far = [[0, 1, [0, 0, 0]], [0, 1, [-1, 0, 0]], [0, 0, [0, 1, 0]], [0, 0, [0, 0, 1]]]
    nets = []
    for shift in (0, 1000):
        struts = [[a, b, [i - shift * (b - a), j, k]] for a, b, (i, j, k) in far]
        nets.append(
            read_net_file(write(tmp_path, CUBIC | {"nodes": [[0, 0, 0], [0.5 + shift, 0, 0]], "struts": struts}))
        )
    assert nets[0].nets.vector == pytest.approx(nets[1].nets.vector)
    assert block_mesh(nets[0].nets, 1, 1.0) == pytest.approx(block_mesh(nets[1].nets, 1, 1.0))


@pytest.mark.parametrize(
    ("text", "is_net"), [("{", True), ("hello", True), ('{"a": 1}\n{"a": 2}\n', False), ("[1]", False)]
)
def test_what_is_no_json_is_called_so_and_other_json_is_left_to_crystals(
    text: str, is_net: bool, tmp_path: Path
) -> None:
    with pytest.raises(GmtError) as refusal:
        open_net(str(write(tmp_path, text)))
    assert ("is no JSON" in str(refusal.value)) == is_net


def test_radii_are_scaled_to_a_density_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, CUBIC | {"radius": [0.1, 0.2, 0.3]})
    net = open_net(str(path), 0.03)
    assert net.nets.relative_density == pytest.approx([0.03])
    assert net.nets.radius / net.nets.radius[0] == pytest.approx([1, 2, 3])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1, 2]", "no JSON object"),
        ({}, "lattice is missing"),
        (CUBIC | {"lattice": [[1, 0], [0, 1]]}, "not 3 x 3 numbers"),
        (CUBIC | {"lattice": [[1, 0, 0], [0, 1, 0], [0, 0, "x"]]}, "not 3 x 3 numbers"),
        (CUBIC | {"lattice": [[1, 0, 0], [0, 1, 0], [0, 0, float("nan")]]}, "not 3 x 3 numbers"),
        (CUBIC | {"lattice": [[1, 0, 0], [0, 1, 0], [0, 0, 0]]}, "no volume"),
        (CUBIC | {"nodes": [[0, 0, 10**400]]}, "not n x 3 numbers"),
        (CUBIC | {"struts": []}, "struts is no list"),
        (CUBIC | {"struts": [[0, 0, [0.5, 0, 0]]]}, "strut 0 is not"),
        (CUBIC | {"struts": [[0, 1, [1, 0, 0]]]}, "node that is not there"),
        (CUBIC | {"struts": [[0, 0]]}, "no length"),
        (CUBIC | {"struts": [[0, 0, [1, 0, 0]], [0, 0, [-1, 0, 0]]]}, "list each strut once"),
        (CUBIC | {"struts": CUBIC["struts"][:2]}, "add struts across the cell"),
        (CUBIC | {"nodes": [[0, 0, 0], [0.5, 0.5, 0.5]]}, "leave out loose pieces"),
        (CUBIC | {"radius": 0}, "radius is no number above 0"),
        (CUBIC | {"radius": [0.1]}, "radius is missing or not 3 numbers"),
        (CUBIC | {"radius": [0.1, 0.1, -0.1]}, "give every strut one above 0"),
        (CUBIC | {"radius": 0.1, "relative_density": 0.1}, "keep one"),
        (CUBIC | {"relative_density": 2}, "below 1"),
        (CUBIC | {"young_gpa": "steel"}, "young_gpa is no number"),
        (CUBIC | {"poisson_ratio": 0.6}, "between -1 and 0.5"),
        (CUBIC | {"strutz": []}, "unknown key 'strutz'"),
        ('{"lattice": 1, "lattice": 2, "struts": []}', "a key stands twice"),
        (CUBIC | {"struts": [*CUBIC["struts"], [0, 0, [2, 0, 0]]]}, "end where the shorter one ends"),
        (CUBIC | {"nodes": [[0, 0, 0], [1, 0, 0]], "struts": [*CUBIC["struts"], [0, 1, [0, 0, 0]]]}, "make them one"),
        (CUBIC | {"nodes": [[1e6, 0, 0]]}, "write fractional coordinates"),
        (CUBIC | {"radius": [0.1, 0.1, 1e-5]}, "more than a factor of 1000"),
        (CUBIC | {"radius": 0.7}, "fill 4.62 of the cell"),
        (CUBIC | {"relative_density": 1e-9}, "fill 1e-09 of the cell"),
        (CUBIC | {"nodes": [[0, 0, 0]] * 500}, "give a smaller cell"),
    ],
)
def test_a_bad_file_is_refused_with_what_to_do(document: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(NetFileError) as refusal:
        read_net_file(write(tmp_path, document))
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(str(tmp_path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(CUBIC)), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([*sorted(CUBIC), "radius", "relative_density", "young_gpa", "name"]), value=JSON)
def test_whatever_a_field_holds_the_file_is_read_or_refused(key: str, value: Any, tmp_path: Path) -> None:
    path = write(tmp_path, CUBIC | {key: value})
    try:
        assert np.isfinite(read_net_file(path).nets.relative_density).all()
    except GmtError as error:
        assert str(path) in str(error)


def test_nets_are_named_read_or_made_of_bonds(tmp_path: Path) -> None:
    assert open_net("DIA").nets.relative_density == pytest.approx([0.05])
    poscar = tmp_path / "POSCAR"
    poscar.write_text("C\n3.57\n0 .5 .5\n.5 0 .5\n.5 .5 0\nC\n2\nDirect\n0 0 0\n.25 .25 .25\n", encoding="utf-8")
    made = open_net(str(poscar), 0.01)
    assert len(made.nets.radius) == 4
    assert made.nets.slenderness == pytest.approx(reference_net("diamond", 0.01).slenderness)
    with pytest.raises(SourceError, match="nets are simple-cubic"):
        open_net("pyrochlore")


def test_a_crystal_of_loose_atoms_has_no_net(tmp_path: Path) -> None:
    poscar = tmp_path / "POSCAR"
    poscar.write_text("Ar\n5.3\n0 .5 .5\n.5 0 .5\n.5 .5 0\nAr\n1\nDirect\n0 0 0\n", encoding="utf-8")
    with pytest.raises(NetFileError, match="as a net of bonds"):
        open_net(str(poscar))


def test_an_stl_file_holds_the_triangles_with_their_normals(tmp_path: Path) -> None:
    triangles = block_mesh(reference_net("diamond"), 1, size=5.0)
    data = write_stl(triangles, tmp_path / "diamond.stl").read_bytes()
    (n,) = struct.unpack_from("<I", data, 80)
    assert n == len(triangles) and len(data) == 84 + 50 * n
    values = np.array(struct.unpack_from("<12f", data, 84 + 50 * 7)).reshape(4, 3)
    assert values[1:] == pytest.approx(triangles[7], abs=1e-6)
    normal = np.cross(values[2] - values[1], values[3] - values[1])
    assert normal / np.linalg.norm(normal) == pytest.approx(values[0], abs=1e-5)
