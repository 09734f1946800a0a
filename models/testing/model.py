"""A tensor model without weights, for tests of everything but accuracy and as the smallest example of a TensorModel."""

from collections.abc import Sequence

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.neighbors import find_neighbors
from models.quantities import Tensor
from models.tensors.voigt import mandel_to_stiffness_voigt, symmetric_to_mandel


class ToyTensorModel:
    """Tensors from moments of the atoms around an atom: exactly equivariant and continuous, no weights, no accuracy.

    With unit vectors u to the neighbours j, weights w_j = q(Z_j) f(r) and a cutoff envelope f:
    dipole v = Σ w u, quadrupole M = Σ w u⊗u. Per atom, averaged over the crystal:
    electronic dielectric tensor 1 + M, total 1 + M + M², piezoelectric v⊗M and terms of M·v and M²⊗v, stiffness
    Σ w u⊗u⊗u⊗u + M⊗M.
    The stiffness is a sum of squares, hence never negative.

    Attributes:
        radius_angstrom: cutoff.
    """

    elements: frozenset[int] = frozenset(range(1, 119))

    def __init__(self, radius_angstrom: float = 5.0) -> None:
        self.radius_angstrom = radius_angstrom

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Toy tensors of every crystal, of a single network; see `TensorModel.predict`."""
        radius = np.full(crystals.n_crystals, self.radius_angstrom)
        edges = find_neighbors(crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, radius)
        unit = edges.vector / edges.distance[:, None]
        # a positive charge per element, different for all of them
        charge = 0.5 + crystals.numbers / 60.0
        weight = charge[edges.neighbor] * (1.0 - (edges.distance / self.radius_angstrom) ** 2) ** 3
        n_atoms = len(crystals.numbers)
        dipole = _sums(weight[:, None] * unit, edges.center, n_atoms)
        matrices = unit[:, :, None] * unit[:, None, :]
        quadrupole = _sums(weight[:, None, None] * matrices, edges.center, n_atoms)
        mandel = symmetric_to_mandel(matrices)
        fourth = _sums(weight[:, None, None] * mandel[:, :, None] * mandel[:, None, :], edges.center, n_atoms)
        return self._tensors(crystals, dipole, quadrupole, fourth)

    def _tensors(
        self, crystals: CrystalBatch, dipole: Floats, quadrupole: Floats, fourth: Floats
    ) -> dict[Tensor, Floats]:
        """Tensors per crystal from the moments per atom: [n_atoms, 3], [n_atoms, 3, 3] and Mandel [n_atoms, 6, 6]."""
        squared = quadrupole @ quadrupole
        bent = np.einsum("nia,na->ni", quadrupole, dipole)
        # terms of all irreps of e, symmetric in the last two indices
        piezo = np.einsum("ni,njk->nijk", dipole, quadrupole) + 0.3 * np.einsum("ni,jk->nijk", bent, np.eye(3))
        piezo += 0.2 * (np.einsum("nij,nk->nijk", squared, dipole) + np.einsum("nik,nj->nijk", squared, dipole))
        flat = symmetric_to_mandel(quadrupole)
        stiffness = 20.0 * fourth + 10.0 * flat[:, :, None] * flat[:, None, :] + 30.0 * np.eye(6)
        per_atom = {
            Tensor.DIELECTRIC_ELECTRONIC: np.eye(3) + quadrupole,
            Tensor.DIELECTRIC_TOTAL: np.eye(3) + quadrupole + squared,
            Tensor.PIEZOELECTRIC: piezo,
            Tensor.ELASTIC: mandel_to_stiffness_voigt(stiffness),
        }
        means = {}
        for quantity, values in per_atom.items():
            counts = crystals.atoms_per_crystal.reshape(-1, *[1] * (values.ndim - 1))
            means[quantity] = (_sums(values, crystals.crystal_of_atom, crystals.n_crystals) / counts)[None]
        return means


class ToyEnsemble(ToyTensorModel):
    """Toy networks whose tensors differ by known factors: for tests of ensembles.

    Args:
        factors: of each network.
    """

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__()
        self.factors = np.asarray(factors, dtype=np.float64)

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Toy tensors times the factors, one network after the other; see `TensorModel.predict`."""
        tensors = super().predict(crystals)
        return {q: t * self.factors.reshape(-1, *[1] * (t.ndim - 1)) for q, t in tensors.items()}


def _sums(values: Floats, owner: Ints, n_owners: int) -> Floats:
    total = np.zeros((n_owners, *values.shape[1:]))
    np.add.at(total, owner, values)
    return total
