"""How far a tensor component reaches within an error radius, and what a comparison says."""

import math

import numpy as np
import pytest

from gmt_tasks.evaluation.literature import LiteratureComparison, component_reach
from gmt_tasks.evaluation.literature_names import component_of
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.search import SymmetryBatch, find_symmetry
from models.tensors.voigt import from_components, piezo_to_voigt, to_components


@pytest.fixture(scope="module")
def symmetry() -> SymmetryBatch:
    """Of MgO (cubic) and wurtzite GaN (6mm)."""
    chosen = [reference_crystals()[name] for name in ("mgo", "gan")]
    batch = CrystalBatch.from_arrays(
        [each.lattice for each in chosen], [each.frac_coords for each in chosen], [each.numbers for each in chosen]
    )
    return find_symmetry(batch, 1e-2)


@pytest.mark.parametrize(
    ("name", "cubic", "hexagonal"),
    [
        ("c11_gpa", 1 / math.sqrt(3), None),  # C11 = C22 = C33
        ("c44_gpa", 1 / math.sqrt(12), 1 / math.sqrt(8)),  # 3 or 2 equal constants of 4 Cartesian entries each
        ("c33_gpa", 1 / math.sqrt(3), 1.0),
        ("eps_total_33", 1 / math.sqrt(3), 1.0),
        ("e33_c_per_m2", 0.0, 1.0),
        ("e31_c_per_m2", 0.0, 1 / math.sqrt(2)),  # e31 = e32
        ("e15_c_per_m2", 0.0, 1 / math.sqrt(4)),  # e15 = e24, each in two Cartesian entries
    ],
)
def test_a_component_reaches_as_far_as_symmetry_shares_it(
    symmetry: SymmetryBatch, name: str, cubic: float, hexagonal: float | None
) -> None:
    component = component_of(name)
    assert component is not None
    reach = component_reach(component, symmetry)
    assert reach[0] == pytest.approx(cubic, abs=1e-12)
    if hexagonal is not None:
        assert reach[1] == pytest.approx(hexagonal)


@pytest.mark.parametrize("name", ["c13_gpa", "e31_c_per_m2", "eps_total_11"])
def test_no_allowed_tensor_within_the_radius_moves_a_component_farther(symmetry: SymmetryBatch, name: str) -> None:
    component = component_of(name)
    assert component is not None
    n = {Tensor.ELASTIC: 21, Tensor.PIEZOELECTRIC: 18}.get(component.tensor, 6)
    largest = np.zeros(2)
    for seed in range(300):
        noise = np.random.default_rng(seed).normal(size=(2, n))
        tensors = symmetry.project(component.tensor, from_components(component.tensor, noise))
        size = np.linalg.norm(to_components(component.tensor, tensors), axis=1)
        matrix = piezo_to_voigt(tensors) if component.tensor is Tensor.PIEZOELECTRIC else tensors
        moved = np.abs(matrix[:, component.row, component.column])
        largest = np.maximum(largest, moved / np.maximum(size, 1e-12))
    reach = component_reach(component, symmetry)
    assert (largest <= reach + 1e-9).all()
    assert largest[1] > 0.8 * reach[1], "negative control: the bound is nearly reached"


def test_a_comparison_knows_its_ratio_and_whether_it_is_inside() -> None:
    facts = ("aln", "wurtzite AlN", "AlN", "test", "e33_c_per_m2", Tensor.PIEZOELECTRIC)
    inside = LiteratureComparison(*facts, 1.5, 0.75, 0.5, 1.6, "x", ())
    assert (inside.ratio, inside.inside) == (0.5, True)
    assert LiteratureComparison(*facts, 1.7, 0.75, 0.5, 1.6, "x", ()).inside is False
    unknown = LiteratureComparison(*facts, 0.0, 0.75, math.nan, math.nan, "x", ())
    assert math.isnan(unknown.ratio)
    assert unknown.inside is None
