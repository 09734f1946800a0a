"""pymatgen's IEEE frame, undone: tensors of its rotated documents in the frame of their structure again.

The rotation is pymatgen's own convention, right or wrong (its 4-fold axis is wrong for tetragonal cells with c < a):
good to undo what pymatgen has done, and for nothing else.

Of a monoclinic cell pymatgen takes for unique the axis whose angle is farthest from 90 degrees, and for x3 the shorter
of the others. Where all three are right angles, or both lengths are equal, rounding decides, or nothing at all
(`StopIteration`). The symmetry says which axis it is, but not whether the source met it: a tensor is taken only where
it shows that itself, by contradicting the symmetry with every other choice.

Source: pymatgen, `Tensor.get_ieee_rotation`.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from gmt_tasks.labels.label_kind import RefusedRowError
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.parsed import Floats, ParsedCrystal, as_batch
from gmt_tasks.sources.row_errors import error_text, row_or_refusal
from models.quantities import Tensor
from models.symmetry.search import find_symmetry
from models.tensors.rotate import rotate

IEEE_FRAME = "ieee_pymatgen"
"""Name of the frame in which the source published a tensor that stands here in the frame of its lattice."""

ANGLE_TOLERANCE_DEG = 1e-3
"""Angles of a conventional cell that differ by less do so by rounding: sources write some seven digits."""

LENGTH_TOLERANCE = 1e-6
"""Relative difference of lengths of which the same holds."""

TENSOR_TOLERANCE = 0.02
"""Share of a tensor that rounding explains: sources fit tensors to the symmetry before they rotate them."""

_MONOCLINIC = frozenset({"2", "m", "2/m"})
_UNIQUE_AXIS = 1  # b, in the standard setting that spglib gives


def in_frame_of_structure(
    crystal: ParsedCrystal, point_group: str, tensors: Mapping[Tensor, Floats]
) -> dict[Tensor, Floats]:
    """Tensors of one crystal that pymatgen rotated into its IEEE frame, rotated back.

    Args:
        crystal: the structure that they belong to.
        point_group: its class.
        tensors: in pymatgen's IEEE frame, in stored shape.

    Returns:
        The tensors in the Cartesian frame of the lattice.

    Raises:
        RefusedRowError: `frame`; nobody can say which rotation pymatgen took.
    """
    rotations = _monoclinic_rotations(crystal) if point_group in _MONOCLINIC else []

    def rotated_back(rotation: Floats) -> dict[Tensor, Floats]:
        return {tensor: rotate(tensor, values, rotation.T) for tensor, values in tensors.items()}

    if len(rotations) < 2:
        return rotated_back(row_or_refusal(partial(ieee_rotation, crystal), _raise_unknown_frame))
    candidates = [rotated_back(rotation) for rotation in rotations]
    symmetry = find_symmetry(as_batch([crystal]))

    def fits(candidate: Mapping[Tensor, Floats]) -> bool:
        return all(_differ(symmetry.project(t, v[None])[0], v) < TENSOR_TOLERANCE for t, v in candidate.items())

    fitting = [candidate for candidate in candidates if fits(candidate)]
    problem = f"right angles or equal lengths: which of {len(rotations)} rotations pymatgen took is not known;"
    if not fitting:
        raise RefusedRowError(LabelReason.FRAME, f"{problem} none gives it the crystal's symmetry")
    apart = max(_differ(other[tensor], fitting[0][tensor]) for other in fitting for tensor in tensors)
    if apart > TENSOR_TOLERANCE:
        results = f"{len(fitting)} give it the crystal's symmetry, up to {100 * apart:.0f} % apart"
        raise RefusedRowError(LabelReason.FRAME, f"{problem} {results}")
    return fitting[0]


def ieee_rotation(crystal: ParsedCrystal) -> Floats:
    """The rotation by which pymatgen brings tensors of a crystal into its IEEE frame, [3, 3].

    Raises:
        Exception: whatever pymatgen raises, where lengths or angles of the cell are equal to the last digit.
    """
    # imported here: pymatgen costs a second, and labels from files do without.
    from pymatgen.core.structure import Structure
    from pymatgen.core.tensors import Tensor as PymatgenTensor

    structure = Structure(crystal.lattice, crystal.numbers.tolist(), crystal.frac_coords)
    return np.array(PymatgenTensor.get_ieee_rotation(structure), dtype=np.float64)


def _monoclinic_rotations(crystal: ParsedCrystal) -> list[Floats]:
    """The rotations that pymatgen may have taken for a monoclinic crystal, [3, 3] each, that of its rule first.

    None where pymatgen does not find the crystal monoclinic.
    """
    from pymatgen.core.structure import Structure
    from pymatgen.core.tensors import SquareTensor
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    structure = Structure(crystal.lattice, crystal.numbers.tolist(), crystal.frac_coords)
    analyzer = SpacegroupAnalyzer(structure)
    if analyzer.get_crystal_system() != "monoclinic":  # near another class two searches may differ: pymatgen's counts
        return []
    dataset = analyzer.get_symmetry_dataset()
    rows = (structure.lattice.matrix.T @ np.linalg.inv(dataset.transformation_matrix)).T
    lengths = np.linalg.norm(rows, axis=1)
    axes = rows / lengths[:, None]
    # each angle lies between the two axes after it in the circle a, b, c
    cosines = np.array([axes[(k + 1) % 3] @ axes[(k + 2) % 3] for k in range(3)])
    off = np.abs(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))) - 90.0)
    unique = sorted(np.flatnonzero(off > off.max() - ANGLE_TOLERANCE_DEG).tolist(), key=lambda k: k != _UNIQUE_AXIS)
    rotations = []
    for axis in unique:
        shorter, longer = sorted({0, 1, 2} - {axis}, key=lambda k: lengths[k])
        is_tied = lengths[longer] < lengths[shorter] * (1 + LENGTH_TOLERANCE)
        for c in (shorter, longer) if is_tied else (shorter,):
            rotation = np.array([np.cross(axes[axis], axes[c]), axes[axis], axes[c]])
            rotations.append(np.array(SquareTensor(rotation).refine_rotation(), dtype=np.float64))
    return rotations


def _differ(first: Floats, second: Floats) -> float:
    """Norm of the difference, relative to the larger of the two; 0 where both are 0."""
    largest = max(np.linalg.norm(first), np.linalg.norm(second))
    return float(np.linalg.norm(first - second) / largest) if largest else 0.0


def _raise_unknown_frame(error: Exception) -> Floats:
    detail = f"pymatgen has no IEEE rotation for the structure, so that it cannot be undone ({error_text(error)})"
    raise RefusedRowError(LabelReason.FRAME, detail) from error
