"""What ions add to dielectric and piezoelectric tensors: laws, and textbook crystals with published charges."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.potential.ionic_response import compliance, ionic_dielectric, ionic_piezoelectric
from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats
from models.potential.opinion import THZ, second_opinions
from models.potential.second_opinion import SecondOpinion
from models.quantities import Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.rotate import mandel_rotation, rotate
from models.tensors.voigt import voigt_to_piezo

SEEDS = st.integers(0, 99)
ROOT2 = np.array([1, 1, 1, 2, 2, 2]) ** 0.5


def two_ions(to_thz: float, masses: tuple[float, float]) -> Floats:
    """Force constants in eV/Å² of two ions with a threefold optic mode of that frequency, [6, 6]."""
    curvature = (to_thz / THZ) ** 2 * masses[0] * masses[1] / sum(masses)
    return curvature * np.kron([[1, -1], [-1, 1]], np.eye(3))


def isotropic(charges: Sequence[float]) -> Floats:
    return np.array(charges)[:, None, None] * np.eye(3)


def random_crystal(seed: int, n_atoms: int = 4) -> tuple[Floats, Floats, Floats]:
    """Force constants with translations in their kernel, internal strain and charges that add up to 0."""
    rng = np.random.default_rng(seed)
    shift = np.tile(np.eye(3), (n_atoms, 1)) / np.sqrt(n_atoms)
    internal = np.eye(3 * n_atoms) - shift @ shift.T
    root = internal @ rng.normal(size=(3 * n_atoms, 3 * n_atoms))
    charges = rng.normal(size=(n_atoms, 3, 3))
    return root @ root.T, internal @ rng.normal(size=(3 * n_atoms, 6)), charges - charges.mean(axis=0)


@pytest.mark.parametrize(
    ("charge", "to_thz", "masses", "a", "measured"),
    [
        # Z* by DFPT; modes, constants and a at room temperature: M. E. Lines, Phys. Rev. B 41, 3372 (1990) for MgO,
        # P. Giannozzi et al., Phys. Rev. B 43, 7231 (1991) and J. S. Blakemore, J. Appl. Phys. 53, R123 (1982) for GaAs
        pytest.param(1.96, 12.0, (24.305, 15.999), 4.212, 9.8 - 3.0, id="MgO"),
        pytest.param(2.07, 8.06, (69.723, 74.922), 5.653, 12.9 - 10.9, id="GaAs"),
    ],
)
def test_two_ions_have_the_measured_difference_of_dielectric_constants(
    charge: float, to_thz: float, masses: tuple[float, float], a: float, measured: float
) -> None:
    found = ionic_dielectric(two_ions(to_thz, masses), isotropic([charge, -charge]), a**3 / 4, floor=0.0)
    np.testing.assert_allclose(found, np.eye(3) * found[0, 0], atol=1e-12)
    assert found[0, 0] == pytest.approx(measured, rel=0.12)


@given(seed=SEEDS, floor=st.floats(0, 2))
def test_both_parts_turn_with_the_crystal(seed: int, floor: float) -> None:
    force_constants, strain, charges = random_crystal(seed)
    r = random_orthogonal(np.random.default_rng(seed))
    turn = np.kron(np.eye(len(charges)), r)
    turned_strain = turn @ (strain * ROOT2) @ mandel_rotation(r).T / ROOT2
    turned = turn @ force_constants @ turn.T, turned_strain, r @ charges @ r.T
    dielectric = ionic_dielectric(force_constants, charges, 50.0, floor=floor)
    piezoelectric = ionic_piezoelectric(force_constants, strain, charges, 50.0, floor=floor)
    found = ionic_dielectric(turned[0], turned[2], 50.0, floor=floor)
    np.testing.assert_allclose(found, r @ dielectric @ r.T, rtol=1e-6, atol=1e-6 * np.abs(dielectric).max())
    expected = rotate(Tensor.PIEZOELECTRIC, voigt_to_piezo(piezoelectric), r)
    found = voigt_to_piezo(ionic_piezoelectric(*turned, 50.0, floor=floor))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(piezoelectric).max())
    # negative control: charges that stay behind give another tensor
    left = ionic_dielectric(turned[0], charges, 50.0, floor=floor)
    assert np.abs(left - r @ dielectric @ r.T).max() > 1e-3 * np.abs(dielectric).max()


@given(seed=SEEDS, floor=st.floats(0, 2))
def test_a_charge_that_all_atoms_have_in_common_changes_nothing(seed: int, floor: float) -> None:
    force_constants, strain, charges = random_crystal(seed)
    common = np.random.default_rng(seed).normal(size=(3, 3))
    for shifted, changes in ((charges + common, False), (charges + common * [[[2.0]], [[0]], [[1]], [[1]]], True)):
        dielectric = [ionic_dielectric(force_constants, z, 50.0, floor=floor) for z in (charges, shifted)]
        piezoelectric = [ionic_piezoelectric(force_constants, strain, z, 50.0, floor=floor) for z in (charges, shifted)]
        for first, second in (dielectric, piezoelectric):
            assert np.allclose(first, second, rtol=1e-7, atol=1e-7 * np.abs(first).max()) is not changes


@given(seed=SEEDS, floor=st.floats(0, 2))
def test_a_supercell_gives_what_its_cell_gives(seed: int, floor: float) -> None:
    force_constants, strain, charges = random_crystal(seed)
    beyond = 0.2 * random_crystal(seed + 100)[0] + np.eye(12)
    # two cells along a chain: in-phase motion sees the force constants of the cell, opposite motion stiffer ones
    double = np.block([[force_constants + beyond, -beyond], [-beyond, force_constants + beyond]])
    both = np.tile(strain, (2, 1)), np.tile(charges, (2, 1, 1))
    dielectric = ionic_dielectric(force_constants, charges, 50.0, floor=floor)
    piezoelectric = ionic_piezoelectric(force_constants, strain, charges, 50.0, floor=floor)
    tolerance = {"rtol": 1e-6, "atol": 1e-6 * np.abs(dielectric).max()}
    np.testing.assert_allclose(ionic_dielectric(double, both[1], 100.0, floor=floor), dielectric, **tolerance)
    tolerance["atol"] = 1e-6 * np.abs(piezoelectric).max()
    np.testing.assert_allclose(ionic_piezoelectric(double, *both, 100.0, floor=floor), piezoelectric, **tolerance)
    # negative control: a volume that did not grow with the cell
    assert (
        np.abs(ionic_dielectric(double, both[1], 50.0, floor=floor) - dielectric).max() > 0.5 * np.abs(dielectric).max()
    )


@given(seed=SEEDS, field=st.floats(-1, 1))
def test_ions_in_a_field_and_under_strain_rest_where_the_energy_is_least(seed: int, field: float) -> None:
    """The polarization of the minimum of ½ uᵀΦu - uᵀΛη - uᵀZ*ᵀE, found without the formula."""
    force_constants, strain, charges = random_crystal(seed)
    eta = np.random.default_rng(seed).normal(size=6)
    forces = strain @ eta + field * charges[:, 0].ravel()
    u = np.linalg.lstsq(force_constants, forces, rcond=1e-10)[0]
    polarization = np.einsum("kij,kj->i", charges, u.reshape(-1, 3)) / 50.0
    by_field = ionic_dielectric(force_constants, charges, 50.0, floor=0.0)[:, 0] / 180.95128 * field
    by_strain = ionic_piezoelectric(force_constants, strain, charges, 50.0, floor=0.0) @ eta / 16.02176634
    np.testing.assert_allclose(by_field + by_strain, polarization, rtol=1e-5, atol=1e-7 * np.abs(by_strain).max())


def test_a_floor_bounds_what_a_soft_mode_gives_and_leaves_firm_ones() -> None:
    values = [
        np.linalg.eigvalsh(compliance(two_ions(12.0, (1.0, 1.0)) * scale, floor=0.5))[-1] for scale in (0, 1, 1e4)
    ]
    assert values[0] == pytest.approx(1 / 0.5)
    assert values[1] < values[0]
    assert values[2] == pytest.approx(1 / (1e4 * (12.0 / THZ) ** 2), rel=1e-4)


def opinion_of(lattice: Floats, frac_coords: Floats, symbols: Sequence[str]) -> SecondOpinion:
    sevennet = pytest.importorskip("models.potential.sevennet")
    pytest.importorskip("sevenn", reason="the extra refine is not installed")
    numbers = np.array([SYMBOLS.index(symbol) for symbol in symbols])
    opinions, failures = second_opinions(
        sevennet.SevenNet(), CrystalBatch.from_arrays([lattice], [frac_coords], [numbers])
    )
    assert not failures
    return opinions[0]


def volume_of(opinion: SecondOpinion) -> float:
    return float(np.abs(np.linalg.det(opinion.relaxed.lattice[0])))


@pytest.mark.slow
def test_wurtzite_aluminium_nitride_has_the_published_internal_strain_part() -> None:
    """e33 = -0.47 + 1.93, e31 = 0.36 - 0.96 C/m², clamped + internal: F. Bernardini et al., PRB 56, R10024 (1997)."""
    a, c, u = 3.11, 4.98, 0.382
    lattice = np.array([[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, c]])
    first, second = [1 / 3, 2 / 3], [2 / 3, 1 / 3]
    # +c points from the cation to the anion of the bond along it, as in the IEEE standard
    frac_coords = np.array([[*first, 0], [*second, 0.5], [*first, u], [*second, u + 0.5]])
    found = opinion_of(lattice, frac_coords, ["Al", "Al", "N", "N"])
    z = np.array([np.diag([2.53, 2.53, 2.69])])  # K. Karch and F. Bechstedt, Phys. Rev. B 56, 7404 (1997)
    sign = np.where(found.relaxed.numbers == 13, 1.0, -1.0)[:, None, None]
    e = ionic_piezoelectric(found.force_constants, found.internal_strain, sign * z, volume_of(found), floor=0.0)
    assert e[2, 2] == pytest.approx(1.93, rel=0.15)
    assert e[2, 0] == pytest.approx(-0.96, rel=0.25)
    assert e[2, 2] - 0.47 > 0 > e[2, 0] + 0.36


@pytest.mark.slow
def test_the_unstable_mode_of_cubic_barium_titanate_gives_a_large_finite_constant() -> None:
    """Z*: Ph. Ghosez, J.-P. Michenaud and X. Gonze, Phys. Rev. B 58, 6224 (1998)."""
    frac_coords = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    found = opinion_of(4.0 * np.eye(3), frac_coords, ["Ba", "Ti", "O", "O", "O"])
    assert not found.gamma_stable
    charges = np.zeros((5, 3, 3))
    for k, (number, place) in enumerate(zip(found.relaxed.numbers, found.relaxed.frac_coords, strict=True)):
        if number != 8:
            charges[k] = np.eye(3) * (2.75 if number == 56 else 7.16)
            continue
        titanium = found.relaxed.frac_coords[found.relaxed.numbers == 22][0]
        distance = np.abs((place - titanium + 0.25) % 1 - 0.25)  # half an edge along the bond, else 0
        charges[k] = np.diag(np.where(distance > 0.25, -5.69, -2.11))
    values = [
        np.linalg.eigvalsh(ionic_dielectric(found.force_constants, charges, volume_of(found), floor=floor))
        for floor in (0.5, 1.0, 2.0)
    ]
    for eigenvalues in values:
        np.testing.assert_allclose(eigenvalues, eigenvalues.mean(), rtol=1e-3)
    means = [float(eigenvalues.mean()) for eigenvalues in values]
    assert 1000 > means[0] > means[1] > means[2] > 10
