"""The contract every tensor model passes, and a model without weights that passes it exactly.

A new backbone is a class with `elements` and `predict` (models/tensor_model.py). Its test is three lines:

    class TestMyModel(TensorModelContract):
        def make_model(self) -> TensorModel:
            return MyModel(...)

The inherited tests hold for the whole path from lattice and positions to tensors, the neighbour graph included: that
is where equivariance is lost in practice, not in the layers.
"""

from abc import ABC, abstractmethod
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Floats
from models.errors import GmtError
from models.quantities import TENSORS, Tensor
from models.reference.crystals import (
    ClassifiedCrystals,
    crystals_of_all_classes,
    in_cell,
    random_orthogonal,
    textbook_crystals,
    transformed,
)
from models.tensor_model import TensorModel
from models.tensors.rotate import rotate
from models.testing.model import ToyTensorModel

__all__ = [
    "ClassifiedCrystals",
    "ContractError",
    "TensorModelContract",
    "ToyTensorModel",
    "crystals_of_all_classes",
    "disagreement",
    "textbook_crystals",
]

_MAX_ATOMS = 12  # a contract that takes minutes is not run
_SKEWED = np.array([[1, 1, 0], [-1, 0, 1], [2, 1, 0]])  # unimodular
_SWAPPED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])  # the same lattice, left-handed


class ContractError(GmtError, AssertionError):
    """A tensor model breaks a law that every tensor model obeys."""


def disagreement(predicted: Floats, expected: Floats) -> Floats:
    """|predicted - expected| of each crystal's tensor as a share of its size.

    The size is the Frobenius norm of the expected tensor of that crystal, or the median over the crystals where that
    is more: a tensor that vanishes by symmetry has rounding errors but no size of its own.

    Args:
        predicted: tensors of one quantity, shape [n_crystals, ...].
        expected: tensors of the same quantity and shape.

    Returns:
        Shape [n_crystals], dimensionless.
    """
    axes = tuple(range(1, expected.ndim))
    size = np.sqrt((expected**2).sum(axis=axes))
    error = np.sqrt(((predicted - expected) ** 2).sum(axis=axes))
    share: Floats = error / np.maximum(size, np.median(size) + np.finfo(np.float64).tiny)
    return share


@cache
def _crystals() -> ClassifiedCrystals:
    """The crystals of the contract: the textbook ones, and random ones of the classes that need at most 12 atoms."""
    first, second = textbook_crystals(), crystals_of_all_classes(seed=7)
    small = np.flatnonzero(second.crystals.atoms_per_crystal <= _MAX_ATOMS)
    symbols = tuple(second.classes[k] for k in small)
    crystals = CrystalBatch.join([first.crystals, second.crystals.select(small)])
    return ClassifiedCrystals(first.names + symbols, first.classes + symbols, crystals)


def _require(*, holds: bool | np.bool_, law: str) -> None:
    if not holds:
        raise ContractError(law)


def _require_same(
    predicted: dict[Tensor, Floats],
    expected: dict[Tensor, Floats],
    law: str,
    tolerance: float,
    names: tuple[str, ...] | None = None,
) -> None:
    """Raises with the worst crystal if any tensor of any network disagrees by more than the tolerance."""
    for quantity, tensors in expected.items():
        pairs = zip(predicted[quantity], tensors, strict=True)
        worst = np.max([disagreement(*pair) for pair in pairs], axis=0)
        wrong = ~(worst <= tolerance)  # a NaN is wrong too
        if wrong.any():
            crystal = int(np.argmax(np.where(np.isnan(worst), np.inf, worst)))
            raise ContractError(
                f"{law}: {quantity.value} disagrees for {int(wrong.sum())} of {len(worst)} crystals, worst is "
                f"{(names or _crystals().names)[crystal]} by {worst[crystal]:.2e}, allowed {tolerance:.0e}. "
                "Look at the neighbour graph first, then at the layers."
            )


class TensorModelContract(ABC):
    """Laws of a tensor model as tests to inherit; name the subclass Test... and pytest runs them.

    Attributes:
        tolerance: largest `disagreement` between equivalent representations of a crystal.
        continuity: largest `disagreement` after atoms moved by 1e-6 angstrom, which is a change, but a tiny one.
    """

    tolerance = 1e-4
    continuity = 1e-3

    @abstractmethod
    def make_model(self) -> TensorModel:
        """The model under test, the same one every time."""

    @property
    def model(self) -> TensorModel:
        """The model under test, made once for all tests of a class."""
        return _model_of(type(self))

    @property
    def crystals(self) -> CrystalBatch:
        """Crystals of many classes with elements the model knows; others are given its first element."""
        batch = _crystals().crystals
        elements = sorted(self.model.elements)
        numbers = np.where(np.isin(batch.numbers, elements), batch.numbers, elements[0])
        return CrystalBatch(batch.lattice, batch.frac_coords, numbers, batch.crystal_of_atom)

    @property
    def expected(self) -> dict[Tensor, Floats]:
        """Tensors of `crystals` as they are, [n_networks, n_crystals, ...] each."""
        return _expected_of(type(self))

    def _require_covariant(self, rotation: Floats, law: str) -> None:
        """The tensors of rotated crystals are the rotated tensors."""
        expected = {q: rotate(q, tensors, rotation) for q, tensors in self.expected.items()}
        _require_same(self.model.predict(transformed(self.crystals, rotation)), expected, law, self.tolerance)

    def _require_unchanged(self, crystals: CrystalBatch, law: str, tolerance: float | None = None) -> None:
        """Another representation of the crystals has their tensors."""
        _require_same(self.model.predict(crystals), self.expected, law, tolerance or self.tolerance)

    def test_rotating_the_crystal_rotates_every_tensor(self) -> None:
        """T(R x) = R T(x) for proper R."""
        self._require_covariant(random_orthogonal(np.random.default_rng(5)), "rotation")

    def test_reflecting_the_crystal_reflects_every_tensor(self) -> None:
        """The same for improper R: an odd tensor changes sign under inversion."""
        self._require_covariant(-random_orthogonal(np.random.default_rng(11)), "improper rotation")
        self._require_covariant(-np.eye(3), "inversion")

    def test_the_choice_of_origin_does_not_matter(self) -> None:
        """A common shift of all positions, and whole cells added to single atoms."""
        rng = np.random.default_rng(3)
        batch = self.crystals
        # whole cells are added atom by atom: positions need not lie in the cell
        shift = rng.random((batch.n_crystals, 3))[batch.crystal_of_atom] + rng.integers(
            -2, 3, size=(len(batch.numbers), 3)
        )
        moved = CrystalBatch(batch.lattice, batch.frac_coords + shift, batch.numbers, batch.crystal_of_atom)
        self._require_unchanged(moved, "origin shift")

    def test_the_order_of_the_atoms_does_not_matter(self) -> None:
        """A permutation of the atoms of each crystal."""
        batch = self.crystals
        order = np.lexsort((np.random.default_rng(4).random(len(batch.numbers)), batch.crystal_of_atom))
        permuted = CrystalBatch(batch.lattice, batch.frac_coords[order], batch.numbers[order], batch.crystal_of_atom)
        self._require_unchanged(permuted, "order of atoms")

    def test_another_cell_of_the_same_lattice_gives_the_same_tensors(self) -> None:
        """A skewed unimodular cell in the same Cartesian frame."""
        self._require_unchanged(in_cell(self.crystals, _SKEWED), "another unimodular cell")

    def test_a_left_handed_cell_gives_the_same_tensors(self) -> None:
        """Two lattice vectors exchanged: the crystal in space is the same."""
        self._require_unchanged(in_cell(self.crystals, _SWAPPED), "left-handed cell")

    def test_a_supercell_gives_the_same_tensors(self) -> None:
        """2x1x1 of everything and 2x2x2 of the smaller crystals."""
        self._require_unchanged(in_cell(self.crystals, np.diag([2, 1, 1])), "2x1x1 supercell")
        # eight copies of the larger crystals would take minutes
        small = np.flatnonzero(self.crystals.atoms_per_crystal <= 9)
        predicted = self.model.predict(in_cell(self.crystals.select(small), np.diag([2, 2, 2])))
        names = tuple(_crystals().names[k] for k in small)
        expected = {q: tensors[:, small] for q, tensors in self.expected.items()}
        _require_same(predicted, expected, "2x2x2 supercell", self.tolerance, names)

    def test_rounding_of_the_lattice_does_not_matter(self) -> None:
        """All lengths longer by one part in a billion, as after a unit conversion."""
        batch = self.crystals
        rescaled = CrystalBatch(batch.lattice * (1 + 1e-9), batch.frac_coords, batch.numbers, batch.crystal_of_atom)
        self._require_unchanged(rescaled, "lattice x (1 + 1e-9)", max(self.tolerance, 1e-6))

    def test_rounding_of_the_positions_does_not_matter(self) -> None:
        """Positions with seven decimals: shells of equal distance are split by this noise."""
        batch = self.crystals
        rounded = CrystalBatch(batch.lattice, np.round(batch.frac_coords, 7), batch.numbers, batch.crystal_of_atom)
        self._require_unchanged(rounded, "positions with seven decimals", self.continuity)

    def test_the_other_crystals_of_a_batch_do_not_matter(self) -> None:
        """One by one, in reverse order, and all at once."""
        n = self.crystals.n_crystals
        backwards = self.model.predict(self.crystals.select(np.arange(n)[::-1]))
        _require_same({q: t[:, ::-1] for q, t in backwards.items()}, self.expected, "order of a batch", self.tolerance)
        singles = [self.model.predict(self.crystals.select([k])) for k in range(n)]
        joined = {}
        for quantity in self.expected:
            joined[quantity] = np.concatenate([single[quantity] for single in singles], axis=1)
        _require_same(joined, self.expected, "batches of one", self.tolerance)

    def test_every_tensor_has_its_shape_and_finite_float64_entries(self) -> None:
        """Shape, type, finiteness and index symmetry of what comes out."""
        for quantity, tensors in self.expected.items():
            shape = (len(tensors), self.crystals.n_crystals, *TENSORS[quantity].shape)
            _require(
                holds=len(tensors) > 0 and tensors.shape == shape,
                law=f"{quantity.value} has shape {tensors.shape}, expected {shape}.",
            )
            _require(holds=tensors.dtype == np.float64, law=f"{quantity.value} is {tensors.dtype}, expected float64.")
            _require(holds=np.isfinite(tensors).all(), law=f"{quantity.value} has entries that are not finite.")
            _require(
                holds=len(tensors) == len(next(iter(self.expected.values()))),
                law=f"{quantity.value} is of {len(tensors)} networks, another tensor of another number.",
            )
            transposed = np.swapaxes(tensors, -1, -2)
            _require(
                holds=np.abs(tensors - transposed).max() <= 1e-12 * np.abs(tensors).max(),
                law=f"{quantity.value} is not index-symmetric.",
            )

    def test_no_crystals_have_no_tensors(self) -> None:
        """An empty batch, as when every crystal of a shard was refused, gives empty arrays of the right shape."""
        predicted = self.model.predict(CrystalBatch.from_arrays([], [], []))
        shapes = {q: (len(tensors), 0, *TENSORS[q].shape) for q, tensors in self.expected.items()}
        same = {q: tensors.shape for q, tensors in predicted.items()} == shapes
        _require(holds=same, law=f"An empty batch must give shapes {shapes}.")

    def test_an_atom_alone_in_its_cell_has_tensors(self) -> None:
        """Elements of one atom per cell: every edge ends at the atom's own images."""
        lattice = 3.0 * np.array([np.eye(3), np.eye(3) + 0.3 * np.eye(3, k=1)])
        numbers = np.full(2, min(self.model.elements), dtype=np.int64)
        predicted = self.model.predict(CrystalBatch(lattice, np.zeros((2, 3)), numbers, np.arange(2)))
        _require(
            holds=all(np.isfinite(tensors).all() for tensors in predicted.values()),
            law="An atom alone in its cell gives entries that are not finite.",
        )

    def test_the_model_declares_the_elements_it_knows(self) -> None:
        """Atomic numbers, not symbols, and at least one."""
        elements = self.model.elements
        _require(holds=len(elements) > 0, law="The model declares no element.")
        _require(
            holds=all(1 <= z <= 118 for z in elements),
            law=f"Elements must be atomic numbers 1 to 118, got {sorted(elements)}.",
        )

    def test_different_crystals_have_different_tensors(self) -> None:
        """Guards the other laws: a model that ignores the crystal would obey most of them."""
        batch = self.crystals
        strain = np.diag([1.06, 0.97, 1.02])
        strained = CrystalBatch(batch.lattice @ strain, batch.frac_coords, batch.numbers, batch.crystal_of_atom)
        predicted = self.model.predict(strained)
        for quantity, tensors in self.expected.items():
            pairs = zip(predicted[quantity], tensors, strict=True)
            change = [disagreement(*pair) for pair in pairs]
            # some tensors vanish by symmetry, whatever the strain: most must change, not all
            changed: NDArray[np.bool_] = np.min(change, axis=0) > 3 * self.tolerance
            _require(
                holds=changed.mean() > 0.5,
                law=f"{quantity.value} is the same for {int((~changed).sum())} of {len(changed)} strained crystals.",
            )


@cache
def _model_of(contract: type[TensorModelContract]) -> TensorModel:
    return contract().make_model()


@cache
def _expected_of(contract: type[TensorModelContract]) -> dict[Tensor, Floats]:
    test = contract()
    return test.model.predict(test.crystals)
