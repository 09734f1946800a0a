"""The contract that every interatomic potential passes.

A new potential is a class with the attributes and the method of `models.potential.interface.Potential`. Its test:

    class TestMyPotential(PotentialContract):
        def make_potential(self) -> Potential:
            return MyPotential(...)

The inherited tests hold for the whole path from lattice and positions to derivatives, the neighbour search included.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.errors import GmtError
from models.potential.interface import EV_PER_A3_IN_GPA, Evaluation, Potential
from models.reference.crystals import in_cell, random_orthogonal, textbook_crystals, transformed

_SKEWED = np.array([[1, 1, 0], [-1, 0, 1], [2, 1, 0]])  # unimodular
_SWAPPED = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])  # the same lattice, left-handed


class PotentialContractError(GmtError, AssertionError):
    """A potential breaks a law that every potential obeys."""


def _require(*, holds: bool | np.bool_, law: str) -> None:
    if not holds:
        raise PotentialContractError(law)


@cache
def _distorted() -> CrystalBatch:
    """Textbook crystals, strained by some percent and displaced by some hundredths of an angstrom."""
    rng = np.random.default_rng(8)
    batch = textbook_crystals().crystals
    strain = np.eye(3) + 0.03 * rng.normal(size=(batch.n_crystals, 3, 3))
    displacement = 0.05 * rng.normal(size=batch.frac_coords.shape)
    inverse = np.linalg.inv(batch.lattice)[batch.crystal_of_atom]
    frac_coords = batch.frac_coords + np.einsum("ni,nij->nj", displacement, inverse)
    return CrystalBatch(batch.lattice @ strain, frac_coords, batch.numbers, batch.crystal_of_atom)


class PotentialContract(ABC):
    """Laws of a potential as tests to inherit; name the subclass Test... and pytest runs them.

    Attributes:
        energy_tolerance_ev: largest disagreement of energies per atom between equivalent representations of a crystal.
        force_tolerance_ev_per_angstrom: likewise of a component of a force.
        stress_tolerance_gpa: likewise of the stress.
        step: for differences of energies, in angstrom and as a strain; a potential in single precision needs larger
            ones.
        difference_tolerance: largest disagreement of a derivative with differences of energies, in eV/Å and GPa.
        sees_handedness: mirror images may have other energies.
    """

    energy_tolerance_ev = 1e-9
    force_tolerance_ev_per_angstrom = 1e-9
    stress_tolerance_gpa = 1e-7
    step = 1e-4
    difference_tolerance = 1e-5
    sees_handedness = False

    @abstractmethod
    def make_potential(self) -> Potential:
        """The potential under test, the same one every time."""

    @property
    def potential(self) -> Potential:
        """The potential under test, made once for all tests of a class."""
        return _potential_of(type(self))

    @property
    def crystals(self) -> CrystalBatch:
        """Distorted textbook crystals; elements that the potential does not know are replaced by its first one."""
        batch = _distorted()
        elements = sorted(self.potential.elements)
        numbers = np.where(np.isin(batch.numbers, elements), batch.numbers, elements[0])
        return CrystalBatch(batch.lattice, batch.frac_coords, numbers, batch.crystal_of_atom)

    @property
    def expected(self) -> Evaluation:
        """The evaluation of `crystals` as they are."""
        return _evaluation_of(type(self))

    def _require_same(self, found: Evaluation, expected: Evaluation, counts: Ints, law: str) -> None:
        """Both evaluations agree within the tolerances; `counts` are the atoms of each crystal."""
        errors = (
            ("energy", np.abs(found.energy_ev - expected.energy_ev) / counts, self.energy_tolerance_ev),
            (
                "force",
                np.abs(found.forces_ev_per_angstrom - expected.forces_ev_per_angstrom),
                self.force_tolerance_ev_per_angstrom,
            ),
            ("stress", np.abs(found.stress_gpa - expected.stress_gpa), self.stress_tolerance_gpa),
        )
        for name, error, tolerance in errors:
            worst = float(np.max(error, initial=0.0))  # NaN stays NaN, which is no less than anything
            _require(
                holds=worst <= tolerance,
                law=f"{law}: the {name} disagrees by {worst:.2e}, allowed {tolerance:.0e}. "
                "Look at the neighbour search first, then at the signs of vectors.",
            )

    def _require_covariant(self, rotation: Floats, law: str) -> None:
        """Forces and stresses of rotated crystals are rotated, energies are the same."""
        before = self.expected
        rotated = Evaluation(
            before.energy_ev, before.forces_ev_per_angstrom @ rotation.T, rotation @ before.stress_gpa @ rotation.T
        )
        found = self.potential.evaluate(transformed(self.crystals, rotation))
        self._require_same(found, rotated, self.crystals.atoms_per_crystal, law)

    def _require_equivalent(self, cell: Ints, law: str) -> None:
        """Another cell of the same crystals: energies go with its size, each copy of an atom feels the same force."""
        size = round(abs(np.linalg.det(cell)))
        before = self.expected
        repeated = Evaluation(
            before.energy_ev * size, np.repeat(before.forces_ev_per_angstrom, size, axis=0), before.stress_gpa
        )
        found = self.potential.evaluate(in_cell(self.crystals, cell))
        self._require_same(found, repeated, self.crystals.atoms_per_crystal * size, law)

    def test_rotating_the_crystal_rotates_forces_and_stress(self) -> None:
        """By a random proper rotation."""
        self._require_covariant(random_orthogonal(np.random.default_rng(5)), "rotation")

    def test_reflecting_the_crystal_reflects_forces_and_stress(self) -> None:
        """By a random improper rotation; of a potential that sees handedness nothing is asked."""
        if not self.sees_handedness:
            self._require_covariant(-random_orthogonal(np.random.default_rng(11)), "improper rotation")

    def test_the_choice_of_origin_does_not_matter(self) -> None:
        """A common shift of all positions, and whole cells added to single atoms."""
        rng = np.random.default_rng(3)
        batch = self.crystals
        whole = rng.integers(-2, 3, size=batch.frac_coords.shape)
        frac_coords = batch.frac_coords + rng.random((batch.n_crystals, 3))[batch.crystal_of_atom] + whole
        moved = CrystalBatch(batch.lattice, frac_coords, batch.numbers, batch.crystal_of_atom)
        self._require_same(self.potential.evaluate(moved), self.expected, batch.atoms_per_crystal, "origin")

    def test_the_order_of_the_atoms_does_not_matter(self) -> None:
        """A permutation of the atoms of each crystal permutes the forces."""
        batch, before = self.crystals, self.expected
        order = np.lexsort((np.random.default_rng(4).random(len(batch.numbers)), batch.crystal_of_atom))
        permuted = CrystalBatch(batch.lattice, batch.frac_coords[order], batch.numbers[order], batch.crystal_of_atom)
        expected = Evaluation(before.energy_ev, before.forces_ev_per_angstrom[order], before.stress_gpa)
        found = self.potential.evaluate(permuted)
        self._require_same(found, expected, batch.atoms_per_crystal, "order of atoms")

    def test_another_cell_of_the_same_lattice_has_the_same_energy(self) -> None:
        """A skewed unimodular cell, and a left-handed one."""
        self._require_equivalent(_SKEWED, "another unimodular cell")
        self._require_equivalent(_SWAPPED, "left-handed cell")

    def test_the_energy_of_a_supercell_goes_with_its_size(self) -> None:
        """A cell of twice the volume that is no plain multiple along one axis."""
        self._require_equivalent(np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 1]]), "supercell")

    def test_the_other_crystals_of_a_batch_do_not_matter(self) -> None:
        """One by one, all at once, and all in reverse order."""
        batch = self.crystals
        rows = range(batch.n_crystals)
        singles = [self.potential.evaluate(batch.select([row])) for row in rows]
        self._require_same(_joined(singles), self.expected, batch.atoms_per_crystal, "batches of one")
        reverse = batch.select(list(reversed(rows)))
        found = self.potential.evaluate(reverse)
        self._require_same(found, _joined(singles[::-1]), reverse.atoms_per_crystal, "order of a batch")

    def test_forces_are_minus_the_derivative_of_the_energy(self) -> None:
        """Along a random displacement of all atoms of each crystal."""
        batch = self.crystals
        direction = np.random.default_rng(6).normal(size=batch.frac_coords.shape)
        inverse = np.linalg.inv(batch.lattice)[batch.crystal_of_atom]
        fractional = np.einsum("ni,nij->nj", direction, inverse)
        slope = self._slope(lambda step: replace(batch, frac_coords=batch.frac_coords + step * fractional))
        power = np.einsum("ni,ni->n", self.expected.forces_ev_per_angstrom, direction)
        summed = np.bincount(batch.crystal_of_atom, power, batch.n_crystals)
        length = np.sqrt(np.bincount(batch.crystal_of_atom, (direction**2).sum(axis=1), batch.n_crystals))
        worst = float(np.max(np.abs(slope + summed) / length))
        _require(holds=worst <= self.difference_tolerance, law=f"Forces differ from -dE/dx by {worst:.2e} eV/Å.")

    def test_the_stress_is_the_derivative_of_the_energy_by_strain(self) -> None:
        """Along a random symmetric strain of each crystal; a crystal under pressure has a negative stress."""
        batch = self.crystals
        strain = np.random.default_rng(9).normal(size=(batch.n_crystals, 3, 3))
        strain += np.swapaxes(strain, 1, 2)
        strain /= np.sqrt((strain**2).sum(axis=(1, 2)))[:, None, None]
        slope = self._slope(lambda step: replace(batch, lattice=batch.lattice @ (np.eye(3) + step * strain)))
        work = np.einsum("nij,nij->n", self.expected.stress_gpa, strain)
        volume = np.abs(np.linalg.det(batch.lattice))
        worst = float(np.max(np.abs(slope / volume * EV_PER_A3_IN_GPA - work)))
        _require(holds=worst <= self.difference_tolerance, law=f"The stress differs from dE/dη / V by {worst:.2e} GPa.")

    def _slope(self, crystals_at: Callable[[float], CrystalBatch]) -> Floats:
        """Derivative of the energies along a path, by central differences of fourth order, [n_crystals]."""
        ahead, behind, far_ahead, far_behind = (
            self.potential.evaluate(crystals_at(factor * self.step)).energy_ev for factor in (1, -1, 2, -2)
        )
        slope: Floats = (8 * (ahead - behind) - (far_ahead - far_behind)) / (12 * self.step)
        return slope

    def test_forces_sum_to_zero_and_the_stress_is_symmetric(self) -> None:
        """No net force, no torque."""
        batch, found = self.crystals, self.expected
        net = np.zeros((batch.n_crystals, 3))
        np.add.at(net, batch.crystal_of_atom, found.forces_ev_per_angstrom)
        _require(holds=np.abs(net).max() <= self.force_tolerance_ev_per_angstrom, law="The crystal pulls itself.")
        twist = np.abs(found.stress_gpa - np.swapaxes(found.stress_gpa, 1, 2)).max()
        _require(holds=twist <= self.stress_tolerance_gpa, law="The stress is not symmetric.")

    def test_everything_has_its_shape_and_finite_float64_numbers(self) -> None:
        """Also for an empty batch, as when every crystal of a shard was refused."""
        for batch in (self.crystals, CrystalBatch.from_arrays([], [], [])):
            found = self.potential.evaluate(batch)
            shapes = (batch.n_crystals,), (len(batch.numbers), 3), (batch.n_crystals, 3, 3)
            arrays = found.energy_ev, found.forces_ev_per_angstrom, found.stress_gpa
            _require(holds=tuple(a.shape for a in arrays) == shapes, law=f"The shapes must be {shapes}.")
            _require(holds=all(a.dtype == np.float64 for a in arrays), law="All arrays must be float64.")
            _require(holds=all(bool(np.isfinite(a).all()) for a in arrays), law="Some numbers are not finite.")

    def test_an_atom_far_from_all_others_feels_nothing(self) -> None:
        """Alone in a large cell, beside crystals and by itself: no neighbour, no force, no stress."""
        number = np.array([min(self.potential.elements)])
        alone = CrystalBatch.from_arrays([40.0 * np.eye(3)], [np.full((1, 3), 0.25)], [number])
        first, second = (
            self.potential.evaluate(b) for b in (alone, CrystalBatch.join([self.crystals.select([0]), alone]))
        )
        difference = abs(first.energy_ev[-1] - second.energy_ev[-1])
        _require(holds=difference <= self.energy_tolerance_ev, law=f"Its energy differs by {difference:.2e} eV.")
        for found in (first, second):
            felt = np.abs(found.forces_ev_per_angstrom[-1]).max() + np.abs(found.stress_gpa[-1]).max()
            _require(holds=felt == 0, law=f"It feels {felt:.2e}.")

    def test_the_potential_says_what_it_is(self) -> None:
        """Name, version, weights, and atomic numbers, not symbols."""
        potential = self.potential
        _require(holds=bool(potential.name and potential.version), law="The potential has no name or no version.")
        _require(holds=len(potential.sha256) == 64, law="sha256 must be that of the weights.")
        known = sorted(potential.elements)
        _require(
            holds=bool(known) and 1 <= known[0] <= known[-1] <= 118,
            law=f"Elements must be atomic numbers 1 to 118, got {known}.",
        )

    def test_different_crystals_have_different_energies(self) -> None:
        """Guards the other laws: a potential that ignores the crystal would obey most of them."""
        batch = self.crystals
        longer = replace(batch, lattice=batch.lattice @ np.diag([1.06, 0.97, 1.02]))
        change = np.abs(self.potential.evaluate(longer).energy_ev - self.expected.energy_ev)
        same = int((change <= 3 * self.energy_tolerance_ev).sum())
        _require(holds=same == 0, law=f"{same} of {len(change)} strained crystals have the same energy.")


def _joined(parts: Sequence[Evaluation]) -> Evaluation:
    """Evaluations one behind the other."""
    return Evaluation(
        np.concatenate([part.energy_ev for part in parts]),
        np.concatenate([part.forces_ev_per_angstrom for part in parts]),
        np.concatenate([part.stress_gpa for part in parts]),
    )


@cache
def _potential_of(contract: type[PotentialContract]) -> Potential:
    return contract().make_potential()


@cache
def _evaluation_of(contract: type[PotentialContract]) -> Evaluation:
    test = contract()
    return test.potential.evaluate(test.crystals)
