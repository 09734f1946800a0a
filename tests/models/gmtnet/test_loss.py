"""The loss: zero at the label, blind where no label is, the same in every frame."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.gmtnet.invariants import elastic_invariants
from models.gmtnet.loss import LossKind, Predicted, Targets, TypicalNorms, multi_task_loss
from models.quantities import ELASTIC_INVARIANTS, SCALAR_UNIT, TENSORS, Scalar, Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.rotate import component_rotation
from models.tensors.voigt import from_components, piezo_to_voigt, to_components
from models.testing.contract import ToyTensorModel, textbook_crystals

Floats = NDArray[np.float64]
N = 10
NORMS = (9.0, 30.0, 0.6, 500.0)
TYPICAL = TypicalNorms(dict(zip(Tensor, NORMS, strict=True)))
INVARIANTS = {
    "dielectric_electronic_mean",
    "dielectric_total_mean",
    "eps_principal",
    "elastic_invariants",
    "piezo_singular",
}
LINEAR = [k for k, name in enumerate(ELASTIC_INVARIANTS) if name.startswith("linear")]


def labels() -> dict[Tensor, torch.Tensor]:
    """Components of physical tensors of ten crystals, in float64."""
    predicted = ToyTensorModel().predict(textbook_crystals().crystals)
    tensors = {q: t.reshape(-1, N, *TENSORS[q].shape)[0] for q, t in predicted.items()}  # of the first network
    rng = np.random.default_rng(0)
    # crystals with inversion have no piezoelectric tensor: give every row one, a loss does not know symmetry
    tensors[Tensor.PIEZOELECTRIC] = from_components(Tensor.PIEZOELECTRIC, rng.normal(size=(N, 18)))
    return {q: torch.tensor(to_components(q, t)) for q, t in tensors.items()}


def scalar_outputs() -> dict[Scalar, torch.Tensor]:
    """Energies in eV and logits that are sure of themselves."""
    rng = np.random.default_rng(3)
    metal = np.where(rng.random((N, 1)) < 0.5, 40.0, -40.0)
    return {
        Scalar.BAND_GAP: torch.tensor(rng.uniform(0, 6, size=(N, 1))),
        Scalar.METAL: torch.tensor(metal),
        Scalar.FORMATION_ENERGY: torch.tensor(rng.uniform(-3, 0.5, size=(N, 1))),
        Scalar.EXPANSION: torch.tensor(rng.uniform(-0.3, 0.3, size=(N, 1))),
        Scalar.DISTORTION: torch.tensor(rng.uniform(0, 0.5, size=(N, 1))),
    }


def outputs(components: dict[Tensor, torch.Tensor]) -> Predicted:
    return {**components, **scalar_outputs()}


def to_voigt(rotations: Floats) -> torch.Tensor:
    """Maps from components of e to its Voigt matrix in turned axes."""
    units = piezo_to_voigt(from_components(Tensor.PIEZOELECTRIC, np.eye(18))).reshape(18, 18)
    return torch.tensor(units.T @ component_rotation(Tensor.PIEZOELECTRIC, rotations))


def targets_of(components: dict[Tensor, torch.Tensor], axes: Floats | None = None) -> Targets:
    """Every kind of label that agrees with the given tensors; `axes` are the IEEE axes, [3, 3]."""
    electronic = components[Tensor.DIELECTRIC_ELECTRONIC]
    means = [components[q][:, :3].mean(dim=1) for q in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL)]
    principal = np.linalg.eigvalsh(from_components(Tensor.DIELECTRIC_ELECTRONIC, electronic.numpy()))
    maps = to_voigt(np.broadcast_to(np.eye(3) if axes is None else axes, (N, 3, 3)))
    voigt = torch.bmm(maps, components[Tensor.PIEZOELECTRIC][:, :, None]).reshape(N, 3, 6)
    scalars = torch.cat(list(scalar_outputs().values()), dim=1)
    scalars[:, 1] = (scalars[:, 1] > 0).double()
    return Targets(
        dict(components),
        torch.zeros(N, dtype=torch.bool),
        torch.stack(means, dim=1),
        torch.tensor(principal),
        elastic_invariants(components[Tensor.ELASTIC]),
        torch.zeros((N, len(ELASTIC_INVARIANTS)), dtype=torch.double),
        torch.linalg.svdvals(voigt)[:, 0],
        maps,
        scalars,
        torch.zeros(N, dtype=torch.double),
    )


def unknown(targets: Targets) -> Targets:
    """The same crystals with no label at all."""
    names = ("eps_mean", "eps_principal", "elastic", "piezo_singular", "scalars")
    blank = {name: torch.full_like(getattr(targets, name), torch.nan) for name in names}
    components = {q: torch.full_like(c, torch.nan) for q, c in targets.components.items()}
    return replace(targets, components=components, **blank)


def beside(predicted: Predicted) -> Predicted:
    """Ten percent off, and logits of the other opinion."""
    return {q: -values if q is Scalar.METAL else 1.1 * values for q, values in predicted.items()}


def test_every_loss_is_zero_at_the_label_and_positive_beside_it() -> None:
    known = labels()
    at_label = multi_task_loss(outputs(known), targets_of(known), TYPICAL)
    assert set(at_label) == set(Tensor) | INVARIANTS | set(Scalar)
    assert all(float(loss) == pytest.approx(0.0, abs=1e-6) for loss in at_label.values())
    off = multi_task_loss(beside(outputs(known)), targets_of(known), TYPICAL)
    assert set(off) == set(at_label)
    assert all(float(loss) > 1e-4 for loss in off.values())


def test_kinds_without_a_label_are_left_out() -> None:
    known = labels()
    nothing = unknown(targets_of(known))
    assert multi_task_loss(outputs(known), nothing, TYPICAL) == {}
    only = replace(nothing, components=nothing.components | {Tensor.ELASTIC: known[Tensor.ELASTIC]})
    assert set(multi_task_loss(outputs(known), only, TYPICAL)) == {Tensor.ELASTIC.value}


def test_a_network_without_scalars_has_no_loss_of_them() -> None:
    known = labels()
    assert set(multi_task_loss(known, targets_of(known), TYPICAL)) == set(Tensor) | INVARIANTS


def first_rows(targets: Targets, n: int) -> Targets:
    """The targets with every label but those of the first crystals blanked out."""
    nothing = unknown(targets)
    mixed = {
        f.name: torch.cat([getattr(targets, f.name)[:n], getattr(nothing, f.name)[n:]])
        for f in fields(Targets)
        if f.name != "components"
    }
    components = {q: torch.cat([c[:n], nothing.components[q][n:]]) for q, c in targets.components.items()}
    return Targets(components=components, **mixed)


def wrong_with_gradients(known: dict[Tensor, torch.Tensor]) -> Predicted:
    rng = torch.Generator().manual_seed(0)
    predicted = beside(outputs(known))
    return {
        q: (c + 0.01 * c.std() * torch.randn(c.shape, generator=rng, dtype=c.dtype)).requires_grad_()
        for q, c in predicted.items()
    }


@pytest.mark.parametrize("kind", [*Tensor, *sorted(INVARIANTS), *Scalar])
def test_rows_without_a_label_have_no_say_and_no_gradient(kind: str) -> None:
    """For every kind of label: three crystals of ten have it."""
    known = labels()
    predicted = wrong_with_gradients(known)
    losses = multi_task_loss(predicted, first_rows(targets_of(known), 3), TYPICAL)
    losses[kind].backward()  # type: ignore[no-untyped-call]
    touched = [c.grad for c in predicted.values() if c.grad is not None and c.grad.abs().sum() > 0]
    assert len(touched) == 1
    assert torch.isfinite(touched[0]).all()
    assert (touched[0][3:] == 0).all()
    if kind != Scalar.METAL:  # a logit of 40 that is wrong has a gradient, one that is right none to speak of
        assert (touched[0][:3].abs().sum(dim=1) > 0).all()


def test_a_loss_is_a_sum_over_labels_divided_by_all_crystals() -> None:
    """A kind with one label in a batch of ten must not count ten times."""
    known = labels()
    predicted = beside(outputs(known))
    whole = multi_task_loss(predicted, targets_of(known), TYPICAL)
    parts = multi_task_loss(predicted, first_rows(targets_of(known), 3), TYPICAL)
    assert set(parts) == set(whole)
    small = {q: c[:3] for q, c in predicted.items()}
    few = first_rows(targets_of(known), 3)
    cut = {f.name: getattr(few, f.name)[:3] for f in fields(Targets) if f.name != "components"}
    alone = multi_task_loss(small, Targets({q: c[:3] for q, c in few.components.items()}, **cut), TYPICAL)
    for name, loss in alone.items():
        assert float(parts[name]) == pytest.approx(0.3 * float(loss), rel=1e-9), name


def test_the_invariants_that_are_known_of_a_stiffness_are_averaged() -> None:
    """Moduli alone (the rest NaN) weigh as much as all twelve."""
    known = labels()
    predicted = outputs({q: 1.2 * c for q, c in known.items()})
    whole = targets_of(known)
    few = whole.elastic.clone()
    few[:, 2:] = torch.nan
    name = "elastic_invariants"
    moduli = float(multi_task_loss(predicted, replace(whole, elastic=few), TYPICAL)[name])
    expected = (np.log(1.2) ** 2 + 0.05**2) ** 0.5 - 0.05
    assert moduli == pytest.approx(expected, rel=1e-6)
    assert float(multi_task_loss(predicted, whole, TYPICAL)[name]) == pytest.approx(expected, rel=1e-6)


def test_a_negative_compressibility_has_no_logarithm_and_is_left_out() -> None:
    known = labels()
    whole = targets_of(known)
    expands = whole.elastic.clone()
    expands[:, LINEAR[0]] = -3.0
    predicted = wrong_with_gradients(known)
    loss = multi_task_loss(predicted, replace(whole, elastic=expands), TYPICAL)["elastic_invariants"]
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = predicted[Tensor.ELASTIC].grad
    assert gradient is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_a_predicted_stiffness_that_is_not_stable_has_a_finite_loss() -> None:
    known = labels()
    unstable = outputs(known | {Tensor.ELASTIC: (-known[Tensor.ELASTIC]).requires_grad_()})
    losses = multi_task_loss(unstable, targets_of(known), TYPICAL)
    (losses["elastic_invariants"] + losses[Tensor.ELASTIC.value]).backward()  # type: ignore[no-untyped-call]
    gradient = unstable[Tensor.ELASTIC].grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert float(losses[Tensor.ELASTIC.value].detach()) > 0.5


def test_the_sign_is_free_only_where_it_is_unproven() -> None:
    known = labels()
    flipped = {q: -c if q is Tensor.PIEZOELECTRIC else c for q, c in known.items()}
    targets = targets_of(known)
    free = replace(targets, sign_unproven=torch.ones(N, dtype=torch.bool))
    name = Tensor.PIEZOELECTRIC.value
    assert float(multi_task_loss(outputs(flipped), free, TYPICAL)[name]) == pytest.approx(0.0, abs=1e-12)
    assert float(multi_task_loss(outputs(flipped), targets, TYPICAL)[name]) > 0.5


def test_the_sign_of_an_even_tensor_is_never_free() -> None:
    known = labels()
    free = replace(targets_of(known), sign_unproven=torch.ones(N, dtype=torch.bool))
    flipped = {q: -c for q, c in known.items()}
    losses = multi_task_loss(outputs(flipped), free, TYPICAL)
    for quantity in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.ELASTIC):
        assert float(losses[quantity.value]) > 0.1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_loss_does_not_depend_on_the_frame(sign: int) -> None:
    """To rounding; extremes over fixed directions to a few percent."""
    known = labels()
    rng = np.random.default_rng(1)
    noise = {q: 0.3 * torch.tensor(rng.normal(size=c.shape)) * c.std() for q, c in known.items()}
    rotation = sign * random_orthogonal(rng)
    matrix = {q: torch.tensor(component_rotation(q, rotation)).T for q in known}
    straight = multi_task_loss(outputs({q: c + noise[q] for q, c in known.items()}), targets_of(known), TYPICAL)
    rotated = {q: c @ matrix[q] for q, c in known.items()}
    predicted = outputs({q: (c + noise[q]) @ matrix[q] for q, c in known.items()})
    both = multi_task_loss(predicted, targets_of(rotated, rotation.T), TYPICAL)
    for name, loss in straight.items():
        rel = 0.1 if name == "elastic_invariants" else 1e-6
        assert float(both[name]) == pytest.approx(float(loss), rel=rel), name
    # negative control: predictions in one frame, labels (and IEEE axes) in the other
    one = multi_task_loss(predicted, targets_of(known), TYPICAL)
    for name in (Tensor.ELASTIC.value, "piezo_singular"):
        assert abs(float(one[name]) - float(straight[name])) > 1e-4, name


def test_scalars_have_their_own_losses() -> None:
    """Huber for energies: an error of 0.2 eV costs 0.02, one of 2 eV 0.5 · (2 - 0.25); ln 2 for an undecided logit.

    Of the others an error of 0.2 units costs as much as one of 0.2 eV, and the cost is quadratic farther out.
    """
    known = labels()
    targets = targets_of(known)
    exact = scalar_outputs()
    near, far = ({**outputs(known), Scalar.BAND_GAP: exact[Scalar.BAND_GAP] + x} for x in (0.2, 2.0))
    assert float(multi_task_loss(near, targets, TYPICAL)[Scalar.BAND_GAP]) == pytest.approx(0.02)
    assert float(multi_task_loss(far, targets, TYPICAL)[Scalar.BAND_GAP]) == pytest.approx(0.5 * (2.0 - 0.25))
    undecided = {**outputs(known), Scalar.METAL: torch.zeros(N, 1).double()}
    assert float(multi_task_loss(undecided, targets, TYPICAL)[Scalar.METAL]) == pytest.approx(np.log(2.0))
    assert float(multi_task_loss(near, targets, TYPICAL)[Scalar.FORMATION_ENERGY]) == pytest.approx(0.0, abs=1e-12)

    for scalar in (Scalar.EXPANSION, Scalar.DISTORTION):
        for units in (0.2, 4.0):
            off = {**outputs(known), scalar: exact[scalar] + units * SCALAR_UNIT[scalar]}
            assert float(multi_task_loss(off, targets, TYPICAL)[scalar]) == pytest.approx(0.5 * units**2)


def test_an_error_within_the_noise_of_a_computed_stiffness_costs_less_and_a_large_one_pulls_as_hard() -> None:
    """Noise of a stiffness is that of the stiffness alone: other tensors of the same crystals cost what they cost."""
    known = labels()
    exact = targets_of(known)
    noisy = replace(exact, stiffness_noise=torch.full((N,), 0.5, dtype=torch.double))
    for factor, least, most in ((1.05, 0.05, 0.5), (5.0, 0.8, 1.0)):
        off = outputs({q: factor * components for q, components in known.items()})
        one, other = (multi_task_loss(off, targets, TYPICAL) for targets in (exact, noisy))
        share = float(other[Tensor.ELASTIC.value] / one[Tensor.ELASTIC.value])
        assert least < share < most
        assert {name: one[name] for name in one if name != Tensor.ELASTIC.value} == {
            name: other[name] for name in other if name != Tensor.ELASTIC.value
        }


def test_the_published_loss_bends_at_one_unit() -> None:
    """Half the square of each component's error below one unit, the error less a half above; in typical components."""
    known = labels()
    targets = targets_of(known)
    for quantity, typical in zip(Tensor, NORMS, strict=True):
        in_typical = typical / TENSORS[quantity].n_components ** 0.5
        for error, cost in ((0.2, 0.02), (3.0, 2.5)):
            off = outputs(known | {quantity: known[quantity] + error})
            losses = multi_task_loss(off, targets, TYPICAL, LossKind.HUBER)
            assert float(losses[quantity.value]) == pytest.approx(cost / in_typical), (quantity, error)


def test_an_error_within_the_noise_of_its_label_costs_less_and_a_large_one_as_much() -> None:
    known = labels()
    exact = unknown(targets_of(known))
    exact = replace(exact, elastic=elastic_invariants(known[Tensor.ELASTIC]))
    noisy = replace(exact, elastic_noise=torch.full_like(exact.elastic, 0.1))
    for factor, least, most in ((1.05, 0.3, 0.6), (3.0, 0.9, 1.0)):
        off = {Tensor.ELASTIC: factor * known[Tensor.ELASTIC]}
        of_exact, of_noisy = (float(multi_task_loss(off, t, TYPICAL)["elastic_invariants"]) for t in (exact, noisy))
        assert least < of_noisy / of_exact < most
