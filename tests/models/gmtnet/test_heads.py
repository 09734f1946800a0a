"""Heads: what they say rotates with the crystal, and a positive tensor is positive whatever the weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.gmtnet.config import GMTNET, GMTNET_PAPER
from models.gmtnet.heads import DirectionHead, LinearHead, PositiveHead, ScalarHead, TensorHead, bounded
from models.gmtnet.spherical import read_irreps
from models.gmtnet.torch_graph import Features
from models.quantities import TENSORS, Scalar, Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.irreps import wigner_matrices
from models.tensors.rotate import component_rotation
from models.tensors.voigt import from_components, stiffness_voigt_to_mandel, to_components
from models.testing.contract import textbook_crystals
from tests.models.gmtnet.untrained import fresh_network, run

CHANNELS = {"0e": 6, "1o": 4, "2e": 4, "2o": 3, "3o": 3, "4e": 3}
N_INVARIANT, N = 5, 200
POSITIVE = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.ELASTIC)
KINDS = {
    "linear": lambda q: LinearHead(q, CHANNELS),
    "direction": lambda q: DirectionHead(q, CHANNELS, N_INVARIANT),
    "positive": lambda q: PositiveHead(q, CHANNELS, N_INVARIANT),
}


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Changes of basis are made in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    yield
    torch.set_default_dtype(before)


def random_input(n: int = N) -> tuple[Features, torch.Tensor]:
    features = {ir: torch.randn(2 * int(ir[:-1]) + 1, n, c) for ir, c in CHANNELS.items()}
    return features, torch.randn(n, N_INVARIANT)


def rotated(features: Features, rotation: np.ndarray) -> Features:  # type: ignore[type-arg]
    matrices = {ir: torch.tensor(wigner_matrices(int(ir[:-1]), rotation[None])[0]) for ir in features if ir[0] != "0"}
    matrices = {ir: m * float(np.linalg.det(rotation)) if ir == "2o" else m for ir, m in matrices.items()}
    return {ir: torch.einsum("ij,jnc->inc", matrices[ir], x) if ir in matrices else x for ir, x in features.items()}


def lowest(quantity: Tensor, components: torch.Tensor) -> float:
    """Lowest eigenvalue of any of the matrices (3x3, or the Mandel form of a stiffness)."""
    tensors = from_components(quantity, components.detach().double().numpy())
    matrices = stiffness_voigt_to_mandel(tensors) if quantity is Tensor.ELASTIC else tensors
    return float(np.linalg.eigvalsh(matrices).min())


def cases() -> list[tuple[str, Tensor]]:
    return [(kind, q) for kind in KINDS for q in Tensor if kind != "positive" or q in POSITIVE]


@pytest.mark.parametrize(("kind", "quantity"), cases())
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_every_head_turns_with_the_crystal(kind: str, quantity: Tensor, sign: int) -> None:
    head: TensorHead = KINDS[kind](quantity)
    features, invariant = random_input()
    rotation = sign * random_orthogonal(np.random.default_rng(6))
    before, after = head(features, invariant, None), head(rotated(features, rotation), invariant, None)
    expected = before @ torch.tensor(component_rotation(quantity, rotation)).T
    assert before.shape == (N, TENSORS[quantity].n_components)
    assert float((after - expected).detach().abs().max() / expected.detach().abs().max()) < 1e-11
    if sign == 1 or quantity is Tensor.PIEZOELECTRIC:  # negative control; inversion leaves an even tensor alone
        assert float((after - before).detach().abs().max() / expected.detach().abs().max()) > 1e-2


@pytest.mark.parametrize("quantity", list(Tensor))
def test_constants_of_scalars_keep_it_so_and_those_of_vectors_would_not(quantity: Tensor) -> None:
    """A mean of a scalar irrep commutes with rotations; of any other it would prefer an axis."""
    head = LinearHead(quantity, CHANNELS)
    features, invariant = random_input()
    rotation = random_orthogonal(np.random.default_rng(6))
    matrix = torch.tensor(component_rotation(quantity, rotation)).T
    n_scalars = read_irreps(TENSORS[quantity].irreps).get("0e", 0)

    def error() -> float:
        found, expected = head(rotated(features, rotation), invariant, None), head(features, invariant, None) @ matrix
        return float((found - expected).detach().abs().max())

    head.mean[:n_scalars] = 3.0
    assert error() < 1e-11
    head.mean[n_scalars:] = 3.0
    assert error() > 0.1


@pytest.mark.parametrize("quantity", POSITIVE)
@pytest.mark.parametrize("seed", range(3))
def test_a_positive_head_exceeds_its_floor_whatever_the_weights(quantity: Tensor, seed: int) -> None:
    torch.manual_seed(seed)
    head = PositiveHead(quantity, CHANNELS, N_INVARIANT)
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.8)
    features, invariant = random_input()
    floor = torch.randn(N, TENSORS[quantity].n_components)
    alone = head(features, invariant, None)
    assert lowest(quantity, alone) > 0.0
    assert lowest(quantity, alone) < 0.1  # they do come near
    assert torch.allclose(head(features, invariant, floor), alone + floor, rtol=1e-14)


@pytest.mark.parametrize("quantity", POSITIVE)
def test_a_linear_head_can_become_indefinite(quantity: Tensor) -> None:
    """Negative control: positivity is the exponential's doing."""
    features, invariant = random_input()
    assert lowest(quantity, LinearHead(quantity, CHANNELS)(features, invariant, None)) < -0.5


@pytest.mark.parametrize("quantity", POSITIVE)
def test_a_positive_head_is_the_exponential_of_the_logarithm_it_reads(quantity: Tensor) -> None:
    """Against eigenvalues: ln of what comes out has the irreps that were read."""
    head = PositiveHead(quantity, CHANNELS, N_INVARIANT)
    features, invariant = random_input(20)
    tensors = from_components(quantity, head(features, invariant, None).detach().numpy())
    matrices = stiffness_voigt_to_mandel(tensors) if quantity is Tensor.ELASTIC else tensors
    values, vectors = np.linalg.eigh(matrices)
    logarithms = np.einsum("nab,nb,ncb->nac", vectors, np.log(values), vectors).reshape(20, -1)
    read = head.read(features)
    extra = head.magnitude(torch.cat([features["0e"][0], invariant], dim=1))
    read["0e"] = (read["0e"] + extra[None]).clamp(-6, 6)
    expected = head.components_of(read).detach().numpy()
    assert np.allclose(logarithms @ head.to_matrix.numpy().T, expected, atol=1e-8)


def test_a_scalar_far_outside_the_labels_is_held_back() -> None:
    """An exponent beyond six standard deviations would overflow the loss of a whole batch."""
    head = PositiveHead(Tensor.DIELECTRIC_TOTAL, CHANNELS, N_INVARIANT)
    features, invariant = random_input()
    features["0e"] = 1e6 * features["0e"]
    assert torch.isfinite(head(features, invariant, None)).all()
    direction = DirectionHead(Tensor.PIEZOELECTRIC, CHANNELS, N_INVARIANT)
    assert torch.isfinite(direction(features, invariant, None)).all()


def test_a_direction_head_scales_without_turning() -> None:
    head = DirectionHead(Tensor.PIEZOELECTRIC, CHANNELS, N_INVARIANT)
    features, invariant = random_input()
    plain = head(features, invariant, None)
    directions = head.components_of(head.read(features))
    magnitude = head.magnitude(torch.cat([features["0e"][0], invariant], dim=1))
    assert torch.allclose(plain, directions * magnitude.exp(), rtol=1e-12)
    head.log_norm += np.log(7.0)
    assert torch.allclose(head(features, invariant, None), 7.0 * plain, rtol=1e-12)
    head.spread *= 2.0
    assert torch.allclose(head(features, invariant, None), 7.0 * directions * (2.0 * magnitude).exp(), rtol=1e-12)


def test_the_size_of_a_direction_depends_on_invariants_and_its_way_on_tensors() -> None:
    head = DirectionHead(Tensor.PIEZOELECTRIC, CHANNELS, N_INVARIANT)
    features, invariant = random_input()
    plain, other = head(features, invariant, None), head(features, invariant + 1.0, None)
    ratio = other / plain
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-9)
    assert float((ratio[:, 0] - 1.0).detach().abs().max()) > 1e-3
    assert torch.allclose(
        head({ir: -x if ir in {"1o", "2o", "3o"} else x for ir, x in features.items()}, invariant, None), -plain
    )


def test_a_scalar_head_reads_invariants_only() -> None:
    head = ScalarHead(CHANNELS, N_INVARIANT)
    features, invariant = random_input()
    before = head(features, invariant)
    assert before.shape == (N, 1)
    assert torch.equal(head(rotated(features, random_orthogonal(np.random.default_rng(0))), invariant), before)
    assert not torch.allclose(head(features, invariant + 1.0), before)


def test_the_default_networks_tensors_exceed_their_floors() -> None:
    """ε∞ > 1, ε0 > ε∞ and C positive definite for random weights and every crystal."""
    found = run(fresh_network(GMTNET), textbook_crystals().crystals)
    components = {q: torch.tensor(found[q]) for q in Tensor}
    one = torch.tensor(to_components(Tensor.DIELECTRIC_ELECTRONIC, np.eye(3)))
    electronic, total = components[Tensor.DIELECTRIC_ELECTRONIC], components[Tensor.DIELECTRIC_TOTAL]
    assert lowest(Tensor.DIELECTRIC_ELECTRONIC, electronic - one) > 0.0
    assert lowest(Tensor.DIELECTRIC_TOTAL, total - electronic) > 0.0
    assert lowest(Tensor.ELASTIC, components[Tensor.ELASTIC]) > 0.0
    assert {s: found[s].shape for s in Scalar} == dict.fromkeys(Scalar, (10, 1))


def test_the_published_networks_tensors_need_not() -> None:
    """Negative control: its heads are linear."""
    found = run(fresh_network(GMTNET_PAPER), textbook_crystals().crystals)
    assert lowest(Tensor.DIELECTRIC_ELECTRONIC, torch.tensor(found[Tensor.DIELECTRIC_ELECTRONIC])) < 1.0
    assert lowest(Tensor.ELASTIC, torch.tensor(found[Tensor.ELASTIC])) < 0.0


def symmetric_matrices(size: int, spread: float) -> torch.Tensor:
    matrices = torch.randn(N, size, size) * spread
    return matrices + matrices.mT


@pytest.mark.parametrize("size", [3, 6])
def test_bounded_matrices_have_no_higher_eigenvalue_and_lower_ones_stay(size: int) -> None:
    matrices, highest = symmetric_matrices(size, 1.0), 3.0
    found = bounded(matrices, highest)
    before, after = torch.linalg.eigvalsh(matrices), torch.linalg.eigvalsh(found)
    torch.testing.assert_close(after, before.clamp(max=highest))
    over = before[:, -1] > highest
    assert 0.1 < over.double().mean() < 0.99  # both kinds are there
    assert torch.equal(found[~over], matrices[~over])  # to the last bit
    # as large as they come: of an exponential of these nothing would be left but infinities
    assert torch.linalg.eigvalsh(bounded(1e3 * matrices, highest)).amax() < highest + 1e-9
    assert torch.isinf(torch.linalg.matrix_exp(1e3 * matrices[over])).any()


def test_bounding_commutes_with_rotations_and_leaves_gradients_finite() -> None:
    matrices = symmetric_matrices(6, 2.0).requires_grad_()
    rotation = torch.linalg.qr(torch.randn(6, 6)).Q
    turned = bounded(rotation @ matrices @ rotation.T, 3.0)
    torch.testing.assert_close(turned, rotation @ bounded(matrices, 3.0) @ rotation.T)
    equal = torch.eye(6).expand(2, 6, 6) * 5.0 + 0.0 * matrices[:2]  # all eigenvalues meet
    bounded(torch.cat([matrices, equal]), 3.0).square().sum().backward()
    assert torch.isfinite(matrices.grad).all()


@pytest.mark.parametrize("quantity", POSITIVE)
def test_no_positive_tensor_exceeds_what_a_material_can_have(quantity: Tensor) -> None:
    """A cell of impossible bonds was given 1e35 GPa: only the isotropic part of the exponent had an end."""
    head = PositiveHead(quantity, CHANNELS, N_INVARIANT)
    features, invariant = random_input()
    components = head({ir: 50.0 * x for ir, x in features.items()}, invariant, None).detach().numpy()
    matrices = from_components(quantity, components)
    if quantity is Tensor.ELASTIC:
        matrices = stiffness_voigt_to_mandel(matrices)
    largest = np.linalg.eigvalsh(matrices)[:, -1] / TENSORS[quantity].max_predicted_entry
    assert largest.max() < 1 + 1e-6
    assert (largest > 0.99).any()  # the end was reached
