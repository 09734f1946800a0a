"""Three crystals whose tensors have known forms: wurtzite GaN (6mm), alpha quartz (32), a monoclinic one (2).

The forms are those of J. F. Nye, Physical Properties of Crystals (1985), appendix E, filled in by hand in Voigt order
11, 22, 33, 23, 13, 12; sizes as measured for GaN and quartz. Nothing here comes from the product.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.gmt_tasks.labels.readers.vasp.vasp_output import OURS, Job

Floats = NDArray[np.float64]


def _hexagonal(a: float, c: float) -> Floats:
    return np.array([[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, c]])


def _piezo(rows: list[list[float]]) -> Floats:
    tensor = np.zeros((3, 3, 3))
    for i, row in enumerate(rows):
        for (j, k), value in zip(OURS, row, strict=True):
            tensor[i, j, k] = tensor[i, k, j] = value
    return tensor


def _symmetric(upper: dict[tuple[int, int], float]) -> Floats:
    matrix = np.zeros((6, 6))
    for (i, j), value in upper.items():
        matrix[i - 1, j - 1] = matrix[j - 1, i - 1] = value
    return matrix


def gallium_nitride() -> Job:
    """Wurtzite GaN, c along z."""
    u = 0.377
    frac = np.array([[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, u], [2 / 3, 1 / 3, u + 0.5]])
    e31, e33, e15 = -0.34, 0.67, -0.22
    form = [[0, 0, 0, 0, e15, 0], [0, 0, 0, e15, 0, 0], [e31, e31, e33, 0, 0, 0]]
    c11, c12, c13, c33, c44 = 390.0, 145.0, 106.0, 398.0, 105.0
    stiffness = _symmetric({
        (1, 1): c11, (2, 2): c11, (3, 3): c33, (1, 2): c12, (1, 3): c13, (2, 3): c13,
        (4, 4): c44, (5, 5): c44, (6, 6): (c11 - c12) / 2,
    })  # fmt: skip
    return Job(
        _hexagonal(3.189, 5.185), frac, ("Ga", "Ga", "N", "N"),
        eps_electronic=np.diag([5.35, 5.35, 5.5]), eps_ionic=np.diag([4.1, 4.1, 4.9]),
        piezo_clamped=-0.5 * _piezo(form), piezo_ionic=1.5 * _piezo(form),
        stiffness=stiffness, clamped_stiffness=1.1 * stiffness,
    )  # fmt: skip


def alpha_quartz() -> Job:
    """Right-handed alpha quartz, P3_1 2 1, a two-fold axis along x."""
    u, x, y, z = 0.4697, 0.4135, 0.2669, 0.1191
    silicon = [[u, 0, 1 / 3], [0, u, 2 / 3], [-u, -u, 0]]
    oxygen = [
        [x, y, z + 1 / 3], [-y, x - y, z + 2 / 3], [y - x, -x, z],
        [y, x, -z + 2 / 3], [x - y, -y, -z + 1 / 3], [-x, y - x, -z],
    ]  # fmt: skip
    e11, e14 = 0.171, -0.041
    form = [[e11, -e11, 0, e14, 0, 0], [0, 0, 0, 0, -e14, -e11], [0, 0, 0, 0, 0, 0]]
    c11, c12, c13, c14, c33, c44 = 86.8, 7.0, 11.9, -18.0, 105.8, 58.2
    stiffness = _symmetric({
        (1, 1): c11, (2, 2): c11, (3, 3): c33, (1, 2): c12, (1, 3): c13, (2, 3): c13, (1, 4): c14, (2, 4): -c14,
        (5, 6): c14, (4, 4): c44, (5, 5): c44, (6, 6): (c11 - c12) / 2,
    })  # fmt: skip
    return Job(
        _hexagonal(4.913, 5.405), np.array(silicon + oxygen) % 1, ("Si",) * 3 + ("O",) * 6,
        eps_electronic=np.diag([2.36, 2.36, 2.38]), eps_ionic=np.diag([2.1, 2.1, 2.25]),
        piezo_clamped=-0.4 * _piezo(form), piezo_ionic=1.4 * _piezo(form),
        stiffness=stiffness, clamped_stiffness=1.2 * stiffness,
    )  # fmt: skip


def monoclinic() -> Job:
    """A made-up crystal of class 2, P2, the axis along y."""
    lattice = np.array([[5.1, 0, 0], [0, 4.3, 0], [-1.2, 0, 6.4]])
    sites = [[0.21, 0.02, 0.13], [0.43, 0.41, 0.32], [0.18, 0.67, 0.71]]
    frac = np.array([sign for x, y, z in sites for sign in ([x, y, z], [-x, y, -z])]) % 1
    form = [[0, 0, 0, 0.31, 0, -0.17], [0.24, -0.52, 0.11, 0, 0.4, 0], [0, 0, 0, -0.23, 0, 0.36]]
    stiffness = _symmetric({
        (1, 1): 150.0, (2, 2): 131.0, (3, 3): 188.0, (1, 2): 51.0, (1, 3): 47.0, (2, 3): 60.0, (1, 5): 32.0,
        (2, 5): -19.0, (3, 5): 25.0, (4, 4): 41.0, (5, 5): 36.0, (6, 6): 55.0, (4, 6): 20.0,
    })  # fmt: skip
    electronic = np.array([[3.1, 0, 0.2], [0, 3.6, 0], [0.2, 0, 2.9]])
    return Job(
        lattice, frac, ("Mg", "Mg", "Si", "Si", "O", "O"),
        eps_electronic=electronic, eps_ionic=2 * electronic - np.diag([1.0, 2.0, 0.5]),
        piezo_clamped=-0.6 * _piezo(form), piezo_ionic=1.6 * _piezo(form),
        stiffness=stiffness, clamped_stiffness=1.15 * stiffness,
    )  # fmt: skip


CRYSTALS = {"6mm": gallium_nitride, "32": alpha_quartz, "2": monoclinic}


def rotated(job: Job, rotation: Floats) -> Job:
    """The same crystal and tensors in another orientation, rotated index by index."""
    r = rotation

    def second(tensor: Floats | None) -> Floats | None:
        return None if tensor is None else r @ tensor @ r.T

    def third(tensor: Floats | None) -> Floats | None:
        return None if tensor is None else np.einsum("ia,jb,kc,abc->ijk", r, r, r, tensor)

    def fourth(matrix: Floats | None) -> Floats | None:
        if matrix is None:
            return None
        index = np.zeros((3, 3), dtype=int)
        for n, (j, k) in enumerate(OURS):
            index[j, k] = index[k, j] = n
        full = matrix[index[:, :, None, None], index[None, None]]
        turned = np.einsum("ia,jb,kc,ld,abcd->ijkl", r, r, r, r, full)
        return np.array([[turned[*one, *other] for other in OURS] for one in OURS])

    return replace(
        job, lattice=job.lattice @ r.T, eps_electronic=second(job.eps_electronic), eps_ionic=second(job.eps_ionic),
        piezo_clamped=third(job.piezo_clamped), piezo_ionic=third(job.piezo_ionic), stiffness=fourth(job.stiffness),
        clamped_stiffness=fourth(job.clamped_stiffness),
    )  # fmt: skip
