"""Laws that the values of one label must obey, whatever its crystal: definiteness, bounds, order of the two constants.

Source: R. Hill, Proc. Phys. Soc. A 65, 349 (1952) for the bounds of the moduli; a static dielectric tensor is its
electronic part and a positive semidefinite part of the lattice.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.kinds import ReadLabel
from gmt_tasks.labels.reasons import LabelReason
from models.derived.elastic import Unstable, derive_elastic, mechanically_stable, min_eigenvalue
from models.quantities import Tensor
from models.tensors.voigt import piezo_to_voigt

Floats = NDArray[np.float64]
Fault = tuple[LabelReason, str]

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

_POSITIVE = ("K_vrh", "G_vrh", "K_Reuss", "G_Reuss", "Emin", "Gmin")


def physical_fault(label: ReadLabel) -> Fault | None:
    """The law that a label breaks, with the numbers; None where it breaks none."""
    return _dielectric_fault(label) or _elastic_fault(label) or _moduli_fault(label.values)


def sizes(label: ReadLabel) -> dict[str, float]:
    """Rotation invariants by which labels are compared with each other and with predictions.

    Returns:
        Of `eps_total` and `eps_electronic` (means, relative), `k_gpa`, `g_gpa` (Hill), `e_norm` (Frobenius norm of all
        27 entries) and `e_singular` (largest singular value of the Voigt matrix, C/m^2) those that the row tells.
    """
    found = {
        f"eps_{name}": float(np.trace(label.tensors[q]) / 3) for name, q in _DIELECTRIC.items() if q in label.tensors
    }
    values = label.values
    for name, key in (
        ("eps_electronic", "eps_electronic"),
        ("eps_total", "eps_total"),
        ("eps_electronic", "eps_principal"),
    ):
        if key in values:
            found.setdefault(name, float(values[key].mean()))
    for key, name in (("K_VRH", "k_gpa"), ("K_vrh", "k_gpa"), ("G_VRH", "g_gpa"), ("G_vrh", "g_gpa")):
        if key in values:
            found[name] = float(values[key][0])
    if Tensor.ELASTIC in label.tensors:
        moduli = derive_elastic(label.tensors[Tensor.ELASTIC][None], Unstable.FLAG)
        found |= {"k_gpa": float(moduli["k_vrh_gpa"][0]), "g_gpa": float(moduli["g_vrh_gpa"][0])}
    if Tensor.PIEZOELECTRIC in label.tensors:
        found |= piezo_sizes(label.tensors[Tensor.PIEZOELECTRIC])
    if "e_singular_max_ieee" in values:
        found["e_singular"] = float(values["e_singular_max_ieee"][0])
    return {name: value for name, value in found.items() if np.isfinite(value)}


def piezo_sizes(piezo: Floats) -> dict[str, float]:
    """Norm and largest singular value of e, [3, 3, 3] in C/m^2; the latter depends weakly on the frame."""
    return {
        "e_norm": float(np.linalg.norm(piezo)),
        "e_singular": float(np.linalg.norm(piezo_to_voigt(piezo), ord=2)),
    }


_DIELECTRIC = {"electronic": Tensor.DIELECTRIC_ELECTRONIC, "total": Tensor.DIELECTRIC_TOTAL}


def _dielectric_fault(label: ReadLabel) -> Fault | None:
    spectra = {name: _eigenvalues(label.tensors[q]) for name, q in _DIELECTRIC.items() if q in label.tensors}
    means = {name: label.values[f"eps_{name}"] for name in _DIELECTRIC if f"eps_{name}" in label.values}
    principal = {"principal": label.values["eps_principal"]} if "eps_principal" in label.values else {}
    for name, values in {**spectra, **means, **principal}.items():
        low, high = float(values.min()), float(values.max())
        if 0 < high < 1e-6:
            return LabelReason.UNIT_FACTOR, f"eps_{name} is {high:.3g}: {high / VACUUM_F_PER_M:.3g} in F/m"
        if low < 1.0:
            return LabelReason.INDEFINITE, f"eps_{name} is {low:.4g} along one axis, below 1"
    if len(spectra) == 2:
        lattice_part = _eigenvalues(
            label.tensors[Tensor.DIELECTRIC_TOTAL] - label.tensors[Tensor.DIELECTRIC_ELECTRONIC]
        )
        if lattice_part[0] < -LATTICE_PART_TOLERANCE * spectra["electronic"][-1]:
            return LabelReason.BELOW_ELECTRONIC, f"total minus electronic has the eigenvalue {lattice_part[0]:.3g}"
    if len(means) == 2 and means["total"][0] < means["electronic"][0] * (1 - LATTICE_PART_TOLERANCE):
        detail = f"mean {means['total'][0]:.4g} below {means['electronic'][0]:.4g}"
        return LabelReason.BELOW_ELECTRONIC, detail
    if principal and "electronic" in spectra:
        off = np.abs(np.sort(principal["principal"]) / spectra["electronic"] - 1).max()
        if off > RELATIVE_TOLERANCE:
            return LabelReason.INCONSISTENT, f"eps_principal and tensor_electronic differ by {100 * off:.0f} %"
    return None


def _eigenvalues(tensor: Floats) -> Floats:
    """Ascending eigenvalues of the symmetric part, [3]."""
    return np.asarray(np.linalg.eigvalsh((tensor + tensor.T) / 2), dtype=np.float64)


def _elastic_fault(label: ReadLabel) -> Fault | None:
    stiffness = label.tensors.get(Tensor.ELASTIC)
    if stiffness is None:
        return None
    if not mechanically_stable(stiffness[None])[0]:
        return LabelReason.INDEFINITE, f"lowest eigenvalue of C is {min_eigenvalue(stiffness[None])[0]:.3g} GPa"
    moduli = derive_elastic(stiffness[None], Unstable.FLAG)
    for key, name in (("K_voigt", "k_voigt_gpa"), ("G_voigt", "g_voigt_gpa")):
        said, found = label.row.get(key), float(moduli[name][0])
        if isinstance(said, int | float) and abs(said - found) > ABSOLUTE_GPA + RELATIVE_TOLERANCE * abs(found):
            return LabelReason.INCONSISTENT, f"{key} is {said:g} GPa, the tensor gives {found:.4g}"
    return None


def _moduli_fault(values: Mapping[str, Floats]) -> Fault | None:
    for key in _POSITIVE:
        if key in values and not values[key][0] > 0:
            return LabelReason.INDEFINITE, f"{key} is {values[key][0]:.4g} GPa"
    for low, high in _ORDERED:
        if low in values and high in values:
            below, above = float(values[low][0]), float(values[high][0])
            if below - above > ABSOLUTE_GPA + RELATIVE_TOLERANCE * abs(above):
                return LabelReason.INCONSISTENT, f"{low} is {below:.4g} GPa, above {high} of {above:.4g}"
    return None
