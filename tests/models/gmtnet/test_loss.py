"""The loss: zero at the label, blind where no label is, the same in every frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.derived.elastic import Unstable, derive_elastic
from models.gmtnet.loss import VOIGT_MODULI, Targets, TypicalNorms, head_scales, multi_task_loss, symmetric_matrix
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis
from models.tensors.rotate import component_rotation
from models.tensors.voigt import from_components, to_components
from models.testing import ToyTensorModel, textbook_crystals
from models.testing_crystals import random_orthogonal

Floats = NDArray[np.float64]
N = 10
NORMS = (9.0, 30.0, 0.6, 500.0)
TYPICAL = TypicalNorms(dict(zip(Tensor, NORMS, strict=True)))
INVARIANTS = {"dielectric_electronic_mean", "dielectric_total_mean", "eps_principal", "k_voigt", "g_voigt"}


def labels() -> dict[Tensor, torch.Tensor]:
    """Components of physical tensors of ten crystals, in float64."""
    tensors = ToyTensorModel().predict(textbook_crystals().crystals)
    rng = np.random.default_rng(0)
    # crystals with inversion have no piezoelectric tensor: give every row one, a loss does not know symmetry
    tensors[Tensor.PIEZOELECTRIC] = from_components(Tensor.PIEZOELECTRIC, rng.normal(size=(N, 18)))
    return {q: torch.tensor(to_components(q, t)) for q, t in tensors.items()}


def targets_of(components: dict[Tensor, torch.Tensor]) -> Targets:
    """Every kind of label that agrees with the given tensors."""
    electronic = components[Tensor.DIELECTRIC_ELECTRONIC]
    means = [components[q][:, :3].mean(dim=1) for q in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL)]
    principal = np.linalg.eigvalsh(from_components(Tensor.DIELECTRIC_ELECTRONIC, electronic.numpy()))
    elastic = derive_elastic(from_components(Tensor.ELASTIC, components[Tensor.ELASTIC].numpy()), Unstable.FLAG)
    moduli = np.stack([elastic["k_voigt_gpa"], elastic["g_voigt_gpa"]], axis=1)
    return Targets(
        dict(components),
        torch.zeros(N, dtype=torch.bool),
        torch.stack(means, dim=1),
        torch.tensor(principal),
        torch.tensor(moduli),
        torch.ones(N).double(),
    )


def unknown(targets: Targets) -> Targets:
    """The same crystals with no label at all."""
    return replace(
        targets,
        components={q: torch.full_like(c, torch.nan) for q, c in targets.components.items()},
        eps_mean=torch.full_like(targets.eps_mean, torch.nan),
        eps_principal=torch.full_like(targets.eps_principal, torch.nan),
        moduli=torch.full_like(targets.moduli, torch.nan),
    )


def test_every_loss_is_zero_at_the_label_and_positive_beside_it() -> None:
    known = labels()
    at_label = multi_task_loss(known, targets_of(known), TYPICAL)
    assert set(at_label) == set(Tensor) | INVARIANTS
    assert all(float(loss) == pytest.approx(0.0, abs=1e-9) for loss in at_label.values())
    beside = multi_task_loss({q: 1.1 * c for q, c in known.items()}, targets_of(known), TYPICAL)
    assert all(float(loss) > 1e-4 for loss in beside.values())


def test_the_bulk_and_shear_functionals_are_the_voigt_bounds() -> None:
    known = labels()[Tensor.ELASTIC].numpy()
    elastic = derive_elastic(from_components(Tensor.ELASTIC, known), Unstable.FLAG)
    assert np.allclose(known @ VOIGT_MODULI[0], elastic["k_voigt_gpa"], rtol=1e-12)
    assert np.allclose(known @ VOIGT_MODULI[1], elastic["g_voigt_gpa"], rtol=1e-12)


def test_kinds_without_a_label_are_left_out() -> None:
    known = labels()
    nothing = unknown(targets_of(known))
    assert multi_task_loss(known, nothing, TYPICAL) == {}
    only = replace(nothing, components=nothing.components | {Tensor.ELASTIC: known[Tensor.ELASTIC]})
    assert set(multi_task_loss(known, only, TYPICAL)) == {Tensor.ELASTIC.value}


def test_rows_without_a_label_have_no_say_and_no_gradient() -> None:
    known = labels()
    targets = targets_of(known)
    masked = {q: c.clone() for q, c in known.items()}
    for components in masked.values():
        components[3:] = torch.nan
    targets = replace(unknown(targets), components=masked)
    rng = torch.Generator().manual_seed(0)
    predicted = {q: (c + torch.randn(c.shape, generator=rng, dtype=c.dtype)).requires_grad_() for q, c in known.items()}
    losses = multi_task_loss(predicted, targets, TYPICAL)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    for quantity, components in predicted.items():
        assert components.grad is not None
        assert (components.grad[3:] == 0).all()
        assert (components.grad[:3].abs().sum(dim=1) > 0).all()
        assert torch.isfinite(components.grad).all()
        first = multi_task_loss({q: c[:3] for q, c in predicted.items()}, first_rows(targets, 3), TYPICAL)
        assert first[quantity.value].item() == pytest.approx(losses[quantity.value].item())


def first_rows(targets: Targets, n: int) -> Targets:
    return Targets(
        {q: c[:n] for q, c in targets.components.items()},
        targets.sign_unproven[:n],
        targets.eps_mean[:n],
        targets.eps_principal[:n],
        targets.moduli[:n],
        targets.moduli_weight[:n],
    )


def test_the_sign_is_free_only_where_it_is_unproven() -> None:
    known = labels()
    flipped = {q: -c if q is Tensor.PIEZOELECTRIC else c for q, c in known.items()}
    targets = targets_of(known)
    free = replace(targets, sign_unproven=torch.ones(N, dtype=torch.bool))
    name = Tensor.PIEZOELECTRIC.value
    assert float(multi_task_loss(flipped, free, TYPICAL)[name]) == pytest.approx(0.0, abs=1e-12)
    assert float(multi_task_loss(flipped, targets, TYPICAL)[name]) > 0.5


def test_the_sign_of_an_even_tensor_is_never_free() -> None:
    known = labels()
    free = replace(targets_of(known), sign_unproven=torch.ones(N, dtype=torch.bool))
    flipped = {q: -c for q, c in known.items()}
    losses = multi_task_loss(flipped, free, TYPICAL)
    for quantity in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.ELASTIC):
        assert float(losses[quantity.value]) > 0.1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_loss_does_not_depend_on_the_frame(sign: int) -> None:
    known = labels()
    rng = np.random.default_rng(1)
    noise = {q: torch.tensor(rng.normal(size=c.shape)) * c.std() for q, c in known.items()}
    turn = sign * random_orthogonal(rng)
    matrix = {q: torch.tensor(component_rotation(q, turn)).T for q in known}
    straight = multi_task_loss({q: c + noise[q] for q, c in known.items()}, targets_of(known), TYPICAL)
    turned = {q: c @ matrix[q] for q, c in known.items()}
    both = multi_task_loss({q: (c + noise[q]) @ matrix[q] for q, c in known.items()}, targets_of(turned), TYPICAL)
    for name, loss in straight.items():
        assert float(both[name]) == pytest.approx(float(loss), rel=1e-9), name
    # negative control: predictions in one frame, labels in the other
    one = multi_task_loss({q: (c + noise[q]) @ matrix[q] for q, c in known.items()}, targets_of(known), TYPICAL)
    assert abs(float(one[Tensor.ELASTIC.value]) - float(straight[Tensor.ELASTIC.value])) > 1e-4


def test_moduli_count_with_their_weight() -> None:
    known = labels()
    beside = {q: 1.2 * c for q, c in known.items()}
    targets = targets_of(known)
    half = replace(targets, moduli_weight=0.5 * torch.ones(N).double())
    for name in ("k_voigt", "g_voigt"):
        whole = float(multi_task_loss(beside, targets, TYPICAL)[name])
        assert float(multi_task_loss(beside, half, TYPICAL)[name]) == pytest.approx(0.5 * whole)


def test_symmetric_matrices_are_those_of_the_components() -> None:
    components = labels()[Tensor.DIELECTRIC_TOTAL]
    expected = from_components(Tensor.DIELECTRIC_TOTAL, components.numpy())
    assert np.allclose(symmetric_matrix(components).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("quantity", list(TENSORS))
@pytest.mark.parametrize("by_norm", [True, False])
def test_head_scales_give_irreps_a_spread_of_one_and_commute_with_rotation(quantity: Tensor, by_norm: bool) -> None:
    rng = np.random.default_rng(2)
    n_components = TENSORS[quantity].n_components
    labels_ = np.exp(rng.normal(size=(4000, 1))) * rng.normal(size=(4000, n_components))
    scales = head_scales(quantity, labels_, by_norm=by_norm)
    norms = np.linalg.norm(labels_, axis=1, keepdims=True)
    scaled = ((labels_ / norms if by_norm else labels_) @ change_of_basis(quantity).T - scales.mean) / scales.scale
    assert np.allclose((scaled**2).mean(), 1.0, atol=0.05)
    turn = (
        change_of_basis(quantity) @ component_rotation(quantity, random_orthogonal(rng)) @ change_of_basis(quantity).T
    )
    assert np.allclose(turn * scales.scale, scales.scale[:, None] * turn, atol=1e-9)  # equal within an irrep
    assert np.allclose(turn @ scales.mean, scales.mean, atol=1e-9)  # only scalars have a mean
    if by_norm:
        assert scales.log_norm == pytest.approx(np.log(norms).mean(), abs=0.05)
        assert scales.spread > 0.5
