"""Meshes: every part is closed, its normals point outwards, and struts have the volume of cylinders."""

from collections import Counter

import numpy as np
import pytest

from models.beam_lattice.mesh import LargeMeshError, balls, block_mesh, prisms
from models.beam_lattice.net import Floats
from models.beam_lattice.reference_nets import reference_net
from tests.models.beam_lattice.nets import crooked


def open_edges(triangles: Floats) -> int:
    """Directed edges that no other triangle goes along the other way: none where a surface is closed and oriented."""
    _, corner = np.unique(np.round(triangles.reshape(-1, 3), 9), axis=0, return_inverse=True)
    corners = corner.reshape(-1, 3)
    edges = Counter(zip(corners.ravel().tolist(), np.roll(corners, -1, axis=1).ravel().tolist(), strict=True))
    return sum(n != 1 or edges[(b, a)] != 1 for (a, b), n in edges.items())


def volume(triangles: Floats) -> float:
    """Enclosed by closed surfaces, positive where normals point outwards (divergence theorem)."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    return float(np.einsum("ni,ni->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize("end", [(0, 0, 2.0), (1, 2, -3), (-4, 0.1, 0), (0.3, 0.3, 0.3)])
def test_a_strut_is_closed_and_has_the_volume_of_its_cylinder(end: tuple[float, float, float]) -> None:
    start, stop, radius = np.array([[0.5, -1, 2]]), np.array([[0.5, -1, 2]]) + end, np.array([0.2])
    mesh = prisms(start, stop, radius)
    assert open_edges(mesh) == 0
    assert volume(mesh) == pytest.approx(np.pi * 0.04 * np.linalg.norm(end), rel=1e-12)


def test_a_ball_is_closed_and_nearly_a_sphere() -> None:
    mesh = balls(np.array([[1.0, 2, 3]]), np.array([0.5]))
    assert open_edges(mesh) == 0
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.03)


def test_a_missing_or_reversed_triangle_is_noticed() -> None:
    mesh = balls(np.zeros((1, 3)), np.ones(1))
    assert open_edges(mesh[1:]) == 3
    assert open_edges(np.concatenate([mesh[:1, ::-1], mesh[1:]])) > 0
    assert volume(mesh[:, ::-1]) < 0


@pytest.mark.parametrize("cells", [1, 2])
def test_a_block_has_all_struts_of_its_cells(cells: int) -> None:
    net = crooked()
    n_struts = len(net.radius) * cells**3
    mesh = block_mesh(net, cells, size=10.0)
    scale = 10.0 / np.linalg.norm(net.lattice[0, 0])
    struts = mesh[: 96 * n_struts]
    solid = float(net.relative_density[0] * net.volume[0]) * scale**3 * cells**3
    assert volume(struts) == pytest.approx(solid, rel=1e-9)
    # each part by itself: struts in one line share the corners of their faces
    n_ball = len(balls(np.zeros((1, 3)), np.ones(1)))
    parts = [*struts.reshape(-1, 96, 3, 3), *mesh[96 * n_struts :].reshape(-1, n_ball, 3, 3)]
    assert {open_edges(part) for part in parts} == {0}


def test_struts_that_meet_share_one_ball() -> None:
    per_ball = len(balls(np.zeros((1, 3)), np.ones(1)))
    mesh = block_mesh(reference_net("simple-cubic"), 2, size=1.0)
    # 8 nodes, and 12 ends of struts that leave through a face
    assert len(mesh) == 24 * 96 + 20 * per_ball


def test_a_block_that_no_program_opens_is_refused() -> None:
    with pytest.raises(LargeMeshError, match="Take fewer cells"):
        block_mesh(reference_net("octet"), 50, size=1.0)
