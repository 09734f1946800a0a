"""The homogenizer: theory of known nets, invariances with their negative controls, bounds."""

import numpy as np
import pytest

from benchmarks.beam_lattice import theory
from models.beam_lattice.bounds import affine_stiffness, one_step
from models.beam_lattice.frame import Joints
from models.beam_lattice.homogenize import homogenize
from models.beam_lattice.net import BeamNets, Floats
from models.beam_lattice.reference_nets import REFERENCE_NETS, reference_net
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import stiffness_voigt_to_mandel
from tests.models.beam_lattice.nets import crooked, doubled, in_frame, relabelled, split


def stiffness(nets: BeamNets) -> Floats:
    """C / E_s of one net."""
    return homogenize(nets).stiffness_voigt[0]


def moduli(voigt: Floats) -> tuple[float, float, float]:
    """C11, C12, C44 of a cubic stiffness."""
    return voigt[0, 0], voigt[0, 1], voigt[3, 3]


def difference(first: Floats, second: Floats) -> float:
    """Largest difference of two stiffnesses over the largest entry."""
    return float(np.abs(first - second).max() / np.abs(first).max())


@pytest.mark.parametrize("name", theory.SLENDER)
def test_slender_nets_have_the_stiffness_of_theory(name: str) -> None:
    density = 1e-6
    found = np.array(moduli(stiffness(reference_net(name, density)))) / density
    assert found == pytest.approx(np.array(theory.SLENDER[name]), abs=1e-6)


def test_thick_struts_leave_the_slender_limit() -> None:
    found = np.array(moduli(stiffness(reference_net("octet", 0.2)))) / 0.2
    assert np.abs(found - np.array(theory.SLENDER["octet"])).max() > 1e-3


@pytest.mark.parametrize("density", [1e-4, 0.01, 0.1])
def test_diamond_has_the_stiffness_of_one_tetrahedral_joint(density: float) -> None:
    net = reference_net("diamond", density)
    expected = theory.diamond(net.length[0], net.radius[0])
    c11, c12, c44 = moduli(stiffness(net))
    assert (c11 + 2 * c12) / 3 == pytest.approx(expected["bulk"], rel=1e-12)
    assert expected["bulk"] == pytest.approx(density / 9, rel=1e-12)
    assert c44 == pytest.approx(expected["c44"], rel=1e-9)
    # a difference of two stretched moduli: (r / L)^2 smaller than either
    assert c11 - c12 == pytest.approx(expected["c11 - c12"], rel=1e-13 * c11 / expected["c11 - c12"] + 1e-9)


def test_diamond_shears_with_the_square_of_its_density() -> None:
    c11, c12, c44 = moduli(stiffness(reference_net("diamond", 1e-4)))
    assert (c11 - c12) / 1e-8 == pytest.approx(4 * 3**0.5 / (9 * np.pi), rel=1e-6)
    assert c44 / 1e-8 == pytest.approx(2 * 3**0.5 / (3 * np.pi), rel=1e-3)


@pytest.mark.parametrize("density", [0.001, 0.05])
def test_the_kelvin_foam_has_its_published_young_modulus(density: float) -> None:
    net = reference_net("kelvin", density)
    young = 1 / np.linalg.inv(stiffness(net))[0, 0]
    assert young == pytest.approx(theory.kelvin_young(net.length[0], net.radius[0]), rel=1e-9)


def test_simple_cubic_bends_under_shear_as_struts_clamped_at_both_ends() -> None:
    net = reference_net("simple-cubic", 0.03)
    inertia = np.pi * net.radius[0] ** 4 / 4
    assert moduli(stiffness(net)) == pytest.approx((0.01, 0.0, 6 * inertia), rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("name", ["simple-cubic", "bcc", "octet"])
def test_nets_of_inversion_centres_do_not_relax(name: str) -> None:
    net = reference_net(name, 0.05)
    assert difference(stiffness(net), affine_stiffness(net)[0]) < 1e-12


def random_rotation(seed: int) -> Floats:
    """An improper rotation."""
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return -np.sign(np.linalg.det(matrix)) * matrix


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["crooked", "diamond", "gyroid"])
def test_a_rotated_net_has_the_rotated_stiffness(name: str, seed: int) -> None:
    net = crooked(seed) if name == "crooked" else reference_net(name, 0.02)
    rotation = random_rotation(seed)
    before = stiffness(net)
    after = stiffness(in_frame(net, rotation))
    assert difference(rotate(Tensor.ELASTIC, before, rotation), after) < 1e-12
    assert difference(before, after) > 1e-3, "a tensor that did not rotate would be noticed"


def test_other_descriptions_of_a_net_have_the_same_stiffness() -> None:
    net = crooked()
    expected = stiffness(net)
    same = [doubled(net), split(net, 2), split(split(net, 0, 0.5), 3), in_frame(net, 7.0 * np.eye(3))]
    same[3] = same[3].with_radius(7.0 * net.radius)
    same.append(relabelled(net, np.array([2, 0, 1])))
    for other in same:
        assert difference(expected, stiffness(other)) < 1e-11


def test_nets_that_are_not_the_same_differ() -> None:
    net = crooked()
    expected = stiffness(net)
    bent = split(net, 2)
    bent = BeamNets(*bent.arrays()[:1], bent.frac_coords + np.eye(4, 3, -1) * 0.1, *bent.arrays()[2:])
    scaled = in_frame(net, 7.0 * np.eye(3))
    missing = BeamNets(*net.arrays()[:3], net.ends[1:], net.image[1:], net.radius[1:])
    for other in (bent, scaled, missing, in_frame(net, np.diag([1.1, 1.0, 1.0]))):
        assert difference(expected, stiffness(other)) > 1e-3


def test_pinned_struts_are_softer_than_rigid_frames_and_those_than_an_affine_motion() -> None:
    nets = BeamNets.join([crooked(seed) for seed in range(4)] + [reference_net(name) for name in REFERENCE_NETS])
    tensors = homogenize(nets, Joints.PINNED).stiffness_voigt, homogenize(nets).stiffness_voigt
    pinned, rigid = map(stiffness_voigt_to_mandel, tensors)
    step, affine = map(stiffness_voigt_to_mandel, (one_step(nets).stiffness_voigt, affine_stiffness(nets)))
    for soft, stiff in ((pinned, rigid), (rigid, step), (step, affine)):
        gap = np.linalg.eigvalsh(stiff - soft)[:, 0] / np.abs(stiff).max(axis=(1, 2))
        assert (gap > -1e-9).all()
    assert (np.linalg.eigvalsh(rigid)[:, 0] > 0).all(), "a rigid frame resists every strain"
    # no direction of any net is stiffer than all of its solid along it
    trace = np.trace(affine_stiffness(nets)[:, :3, :3], axis1=1, axis2=2)
    assert (trace <= nets.relative_density * (1 + 12 * nets.slenderness**2)).all()


def test_nodes_are_out_of_balance_where_the_bound_is_not_the_stiffness() -> None:
    nets = BeamNets.join([reference_net(name) for name in REFERENCE_NETS] + [crooked(seed) for seed in range(8)])
    step = one_step(nets)
    bound, exact = map(stiffness_voigt_to_mandel, (step.stiffness_voigt, homogenize(nets).stiffness_voigt))
    gap = nets.nodes_per_net * (1 - np.trace(exact, axis1=1, axis2=2) / np.trace(bound, axis1=1, axis2=2))
    largest = np.zeros(nets.n_nets)
    np.maximum.at(largest, nets.net_of_node, step.unbalanced)
    balanced = largest < 1e-12
    assert balanced.any() and not balanced.all()
    assert gap[balanced] == pytest.approx(np.zeros(balanced.sum()), abs=1e-9)
    # one more step of a single node is a motion, too: it releases no more than equilibrium does
    assert (gap[~balanced] > 0.999 * largest[~balanced]).all()


def test_pinned_diamond_is_a_mechanism_and_pinned_octet_is_not() -> None:
    diamond, octet = (homogenize(reference_net(name), Joints.PINNED).stiffness_voigt[0] for name in ("dia", "fcu"))
    assert np.abs(diamond[3, 3]) < 1e-12 and diamond[0, 0] - diamond[0, 1] < 1e-12
    assert octet[3, 3] == pytest.approx(octet[0, 0] / 2, rel=1e-9)


def test_the_share_of_stretching_tells_both_kinds_of_nets_apart() -> None:
    nets = BeamNets.join([reference_net("octet", 1e-3), reference_net("diamond", 1e-3), reference_net("bcc", 1e-3)])
    share = homogenize(nets).stretching_share
    assert share[0] > 0.99
    assert (share[1:] < 0.01).all()


def test_nets_in_a_batch_do_not_see_each_other() -> None:
    nets = [crooked(0), reference_net("kelvin"), crooked(1), reference_net("octet"), reference_net("kelvin", 0.05)]
    together = homogenize(BeamNets.join(nets)).stiffness_voigt
    for net, expected in zip(nets, together, strict=True):
        assert difference(expected, stiffness(net)) < 1e-12


def test_poisson_ratio_of_the_solid_enters_through_torsion_alone() -> None:
    net = crooked()
    assert difference(*(homogenize(net, poisson_ratio=nu).stiffness_voigt[0] for nu in (0.0, 0.5))) > 1e-7
    cubic = reference_net("octet", 0.05)
    assert difference(*(homogenize(cubic, poisson_ratio=nu).stiffness_voigt[0] for nu in (0.0, 0.5))) < 1e-13
