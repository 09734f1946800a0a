"""Heads: mean features of a crystal -> independent Cartesian components of one tensor, or a scalar.

Each head reads irreps and turns them into components with a constant change of basis (models/tensors/irreps.py); the
published network writes that step as the derivative of a field response, which is linear, hence a constant matrix.
Means and scales per irrep are constants of the training labels (label_scales.py), so that fresh weights start in the
middle of the labels.
"""

import math

import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.equivariant import Channels, TensorLinear
from models.gmtnet.invariants import mandel_rows
from models.gmtnet.spherical import degree_of, read_irreps
from models.gmtnet.torch_graph import Features
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis

_LOWEST, _HIGHEST = -6.0, 3.5
"""Standard deviations of ln |label| between which exponents are kept. Diamond is at 3.1, the softest layers at -5;
without an upper end a cell of impossible bonds gets a stiffness of thousands of GPa and leads every ranking."""


class TensorHead(nn.Module):
    """What all heads of tensors share: irreps read from the features, scaled, and turned into components.

    Attributes:
        mean, scale: constants per irrep, [irreps dim].
    """

    basis: TorchTensor
    mean: TorchTensor
    scale: TorchTensor

    def __init__(self, quantity: Tensor, channels: Channels) -> None:
        super().__init__()
        copies = read_irreps(TENSORS[quantity].irreps)
        n_components = sum(n * (2 * degree_of(ir) + 1) for ir, n in copies.items())
        self.kinds = list(copies)
        self.read = TensorLinear(channels, copies)
        basis = torch.tensor(change_of_basis(quantity).copy(), dtype=torch.get_default_dtype())
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("mean", torch.zeros(n_components))
        self.register_buffer("scale", torch.ones(n_components))

    def components_of(self, read: Features) -> TorchTensor:
        """Components [n_crystals, n_components] of read irreps {kind: [2l + 1, n_crystals, copies]}."""
        # copies of an irrep stand one after the other, each with all its components: the order of the basis
        rows = [read[kind].permute(1, 2, 0).flatten(1) for kind in self.kinds]
        components: TorchTensor = (self.mean + self.scale * torch.cat(rows, dim=1)) @ self.basis
        return components


class LinearHead(TensorHead):
    """components = Qᵀ (mean + scale * z): the published head."""

    def forward(self, features: Features, _invariant: TorchTensor, _floor: TorchTensor | None) -> TorchTensor:
        """Components [n_crystals, n_components]."""
        return self.components_of(self.read(features))


class DirectionHead(TensorHead):
    """components = exp(log_norm + spread * a) * Qᵀ (mean + scale * z), with a from invariants.

    For tensors that are positive in no sense (piezoelectricity): how large is learned apart from which way.

    Attributes:
        log_norm, spread: mean and standard deviation of ln |label|.
    """

    log_norm: TorchTensor
    spread: TorchTensor

    def __init__(self, quantity: Tensor, channels: Channels, n_invariant: int) -> None:
        super().__init__(quantity, channels)
        self.register_buffer("log_norm", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        self.magnitude = perceptron(channels["0e"] + n_invariant, n_invariant, 1)

    def forward(self, features: Features, invariant: TorchTensor, _floor: TorchTensor | None) -> TorchTensor:
        """Components [n_crystals, n_components]."""
        magnitude = self.magnitude(torch.cat([features["0e"][0], invariant], dim=1)).clamp(_LOWEST, _HIGHEST)
        return self.components_of(self.read(features)) * torch.exp(self.log_norm + self.spread * magnitude)


class PositiveHead(TensorHead):
    """tensor = floor + exp(A): the logarithm A is read, so the tensor exceeds its floor for every crystal.

    A is a symmetric matrix (3x3, or the 6x6 of a stiffness in Mandel form, whose rotations are orthogonal, so that the
    exponential commutes with them). Its scalar irreps, which are what moduli and mean constants hang on, also get a
    nonlinear function of the invariants each.
    """

    to_matrix: TorchTensor

    def __init__(self, quantity: Tensor, channels: Channels, n_invariant: int) -> None:
        super().__init__(quantity, channels)
        rows = mandel_rows(quantity)
        self.size = round(rows.shape[1] ** 0.5)
        self.highest = math.log(TENSORS[quantity].max_predicted_entry)
        as_tensor = torch.tensor(rows, dtype=torch.get_default_dtype())
        self.register_buffer("to_matrix", as_tensor, persistent=False)  # orthonormal rows: its transpose goes back
        self.magnitude = perceptron(
            channels["0e"] + n_invariant, n_invariant, read_irreps(TENSORS[quantity].irreps)["0e"]
        )

    def forward(self, features: Features, invariant: TorchTensor, floor: TorchTensor | None) -> TorchTensor:
        """Components [n_crystals, n_components] above those of `floor`."""
        # the logarithm of the isotropic part (moduli, mean constants) depends most on the invariants
        read = self.read(features)
        extra = self.magnitude(torch.cat([features["0e"][0], invariant], dim=1))
        read["0e"] = (read["0e"] + extra[None]).clamp(_LOWEST, _HIGHEST)
        logarithm = self.components_of(read) @ self.to_matrix
        matrix = torch.linalg.matrix_exp(bounded(logarithm.view(-1, self.size, self.size), self.highest))
        components: TorchTensor = matrix.flatten(1) @ self.to_matrix.T
        return components if floor is None else components + floor


def bounded(matrices: TorchTensor, highest: float) -> TorchTensor:
    """Symmetric matrices [n, size, size] without eigenvalues above `highest`; those that have none stay as they are.

    The exponential of an anisotropic part that no label ever had would be without bound: a cell of impossible bonds, or
    a molecular crystal that one network misreads, would get a stiffness of a million GPa. A function of the matrix, so
    it turns with it.
    """
    diagonal = matrices.diagonal(dim1=1, dim2=2)
    # Gershgorin: no eigenvalue is higher than the highest sum of a diagonal entry and the sizes of its row's others
    reach = (diagonal + matrices.abs().sum(dim=2) - diagonal.abs()).amax(dim=1)
    rows = torch.nonzero(reach > highest)[:, 0]
    if not len(rows):
        return matrices
    # a constant is taken away: derivatives of eigenvectors have no bound where eigenvalues meet
    values, vectors = torch.linalg.eigh(matrices.detach()[rows])
    excess = (vectors * (values - highest).clamp(min=0.0)[:, None]) @ vectors.mT
    return matrices.index_add(0, rows, -excess)


class ScalarHead(nn.Module):
    """mean + scale * (a perceptron of the invariants): scalar properties of a crystal."""

    mean: TorchTensor
    scale: TorchTensor

    def __init__(self, channels: Channels, n_invariant: int, unit: float = 1.0) -> None:
        super().__init__()
        self.perceptron = perceptron(channels["0e"] + n_invariant, n_invariant, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.full((), unit))

    def forward(self, features: Features, invariant: TorchTensor) -> TorchTensor:
        """Values [n_crystals, 1]."""
        values: TorchTensor = self.mean + self.scale * self.perceptron(torch.cat([features["0e"][0], invariant], dim=1))
        return values


class SpreadHead(ScalarHead):
    """Logarithms of the spreads of an ensemble, of several columns at once."""

    def __init__(self, channels: Channels, n_invariant: int, n_columns: int) -> None:
        super().__init__(channels, n_invariant)
        self.perceptron = perceptron(channels["0e"] + n_invariant, 2 * n_invariant, n_columns)
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))


def perceptron(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """Two linear maps with SiLU between."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.SiLU(), nn.Linear(hidden, n_out))
