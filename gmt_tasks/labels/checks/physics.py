"""Laws that the values of one label must obey, whatever its crystal: definiteness, bounds, order of the two constants.

Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952) for the bounds of the moduli; a static dielectric tensor is its
electronic part and a positive semidefinite part of the lattice.
"""

import numpy as np

from gmt_tasks.labels.label_kind import Fault, Floats, ReadLabel
from gmt_tasks.labels.reasons import LabelReason
from models.derived.elastic import Unstable, derive_elastic, mechanically_stable, min_eigenvalue
from models.quantities import Tensor
from models.tensors.voigt import piezo_to_voigt

VACUUM_F_PER_M = 8.8541878128e-12
RELATIVE_TOLERANCE = 0.05
"""Numbers of one row that say the same may differ by this share: they were rounded on the way."""

ABSOLUTE_GPA = 2.0
"""Moduli and tensors are published in whole GPa."""

LATTICE_PART_TOLERANCE = 0.02
"""Share of the electronic tensor by which rounding may make the lattice's part negative."""

_ORDERED = (
    ("K_Reuss", "K_VRH"), ("K_VRH", "K_Voigt"), ("G_Reuss", "G_VRH"), ("G_VRH", "G_Voigt"), ("Gmin", "G_Voigt"),
    ("G_Reuss", "Gmax"), ("Emin", "Emax"),
)  # fmt: skip
"""Moduli of which the first is never above the second."""

_POSITIVE = ("K_vrh", "G_vrh", "K", "G", "K_Reuss", "G_Reuss", "Emin", "Gmin")


def moduli_sizes(stiffness_voigt: Floats) -> dict[str, float]:
    """Hill averages of a stiffness in GPa, [6, 6]."""
    moduli = derive_elastic(stiffness_voigt[None], Unstable.FLAG)
    return {"k_gpa": float(moduli["k_vrh_gpa"][0]), "g_gpa": float(moduli["g_vrh_gpa"][0])}


def piezo_sizes(piezo: Floats) -> dict[str, float]:
    """Norm and largest singular value of e, [3, 3, 3] in C/m^2; the latter depends weakly on the frame."""
    return {
        "e_norm": float(np.linalg.norm(piezo)),
        "e_singular": float(np.linalg.norm(piezo_to_voigt(piezo), ord=2)),
    }


def dielectric_law(label: ReadLabel) -> Fault | None:
    """Constants of at least 1, a lattice part that is not negative, eigenvalues that are those of the tensor."""
    values, tensors = label.values, label.tensors
    spectra = {name: _eigenvalues(tensors[tensor]) for name, tensor in _DIELECTRIC_TENSORS.items() if tensor in tensors}
    numbers = {key.removeprefix("eps_"): values[key] for key in _DIELECTRIC_NUMBERS if key in values}
    for name, constants in {**spectra, **numbers}.items():
        low, high = float(constants.min()), float(constants.max())
        if 0 < high < 1e-6:
            return LabelReason.UNIT_FACTOR, f"eps_{name} is {high:.3g}: {high / VACUUM_F_PER_M:.3g} in F/m"
        if low < 1.0:
            return LabelReason.INDEFINITE, f"eps_{name} is {low:.4g} along one axis, below 1"
    if len(spectra) == 2:
        # the difference of the tensors, not of their eigenvalues: the axes of the two may differ
        lattice_part = _eigenvalues(tensors[Tensor.DIELECTRIC_TOTAL] - tensors[Tensor.DIELECTRIC_ELECTRONIC])
        if lattice_part[0] < -LATTICE_PART_TOLERANCE * spectra["electronic"][-1]:
            return LabelReason.BELOW_ELECTRONIC, f"total minus electronic has the eigenvalue {lattice_part[0]:.3g}"
    if "total" in numbers and "electronic" in numbers:
        total, electronic = numbers["total"][0], numbers["electronic"][0]
        if total < electronic * (1 - LATTICE_PART_TOLERANCE):
            return LabelReason.BELOW_ELECTRONIC, f"mean {total:.4g} below {electronic:.4g}"
    if "principal" in numbers and "electronic" in spectra:
        off = np.abs(np.sort(numbers["principal"]) / spectra["electronic"] - 1).max()
        if off > RELATIVE_TOLERANCE:
            return LabelReason.INCONSISTENT, f"eps_principal and tensor_electronic differ by {100 * off:.0f} %"
    return None


_DIELECTRIC_TENSORS = {"electronic": Tensor.DIELECTRIC_ELECTRONIC, "total": Tensor.DIELECTRIC_TOTAL}
_DIELECTRIC_NUMBERS = ("eps_electronic", "eps_total", "eps_principal")


def _eigenvalues(tensor: Floats) -> Floats:
    """Ascending eigenvalues of the symmetric part, [3]."""
    return np.asarray(np.linalg.eigvalsh((tensor + tensor.T) / 2), dtype=np.float64)


def stiffness_law(label: ReadLabel) -> Fault | None:
    """Mechanical stability, and moduli beside the tensor that are those of the tensor."""
    stiffness = label.tensors[Tensor.ELASTIC][None]
    if not mechanically_stable(stiffness)[0]:
        return LabelReason.INDEFINITE, f"lowest eigenvalue of C is {min_eigenvalue(stiffness)[0]:.3g} GPa"
    moduli = derive_elastic(stiffness, Unstable.FLAG)
    for key, name in (("K_voigt", "k_voigt_gpa"), ("G_voigt", "g_voigt_gpa")):
        stated, derived = label.row.get(key), float(moduli[name][0])
        if isinstance(stated, int | float) and abs(stated - derived) > ABSOLUTE_GPA + RELATIVE_TOLERANCE * abs(derived):
            return LabelReason.INCONSISTENT, f"{key} is {stated:g} GPa, the tensor gives {derived:.4g}"
    return None


def moduli_law(label: ReadLabel) -> Fault | None:
    """Positive moduli within the bounds of Voigt and Reuss."""
    moduli = {key: float(numbers[0]) for key, numbers in label.values.items()}
    for key in _POSITIVE:
        if key in moduli and not moduli[key] > 0:
            return LabelReason.INDEFINITE, f"{key} is {moduli[key]:.4g} GPa"
    for low, high in _ORDERED:
        # a kind holds all of these moduli or the averages alone
        if low in moduli and moduli[low] - moduli[high] > ABSOLUTE_GPA + RELATIVE_TOLERANCE * abs(moduli[high]):
            return LabelReason.INCONSISTENT, f"{low} is {moduli[low]:.4g} GPa, above {high} of {moduli[high]:.4g}"
    return None
