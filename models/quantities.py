"""What gmtscreen predicts and derives, declared once: name, symmetry, unit, label.

This registry drives the network's output irreps, the database columns, the filter language, the tables and the
documentation. A new tensor is a row in `TENSORS` and a label file; a new derived number is a row in `DERIVED`.
Source of the conventions: IEEE Std 176-1987; Nye, Physical Properties of Crystals (1985).
"""

from dataclasses import dataclass
from enum import StrEnum


class Tensor(StrEnum):
    """The predicted tensors."""

    DIELECTRIC_ELECTRONIC = "dielectric_electronic"
    DIELECTRIC_TOTAL = "dielectric_total"
    PIEZOELECTRIC = "piezoelectric"
    ELASTIC = "elastic_voigt"


@dataclass(frozen=True)
class TensorQuantity:
    """One predicted tensor.

    Attributes:
        symbol: what the field writes.
        label: a name for tables and plots.
        rank: number of Cartesian indices.
        index_symmetry: which index permutations leave it unchanged (e3nn formula).
        irreps: its minimal content of O(3) irreps (e3nn text).
        n_components: number of independent components before crystal symmetry; equals the dimension of `irreps`.
        unit: "1" for a relative quantity.
        shape: of one tensor as it is stored and printed.
    """

    symbol: str
    label: str
    rank: int
    index_symmetry: str
    irreps: str
    n_components: int
    unit: str
    shape: tuple[int, ...]


TENSORS: dict[Tensor, TensorQuantity] = {
    Tensor.DIELECTRIC_ELECTRONIC: TensorQuantity(
        "ε∞", "electronic dielectric tensor", 2, "ij=ji", "1x0e+1x2e", 6, "1", (3, 3)
    ),
    Tensor.DIELECTRIC_TOTAL: TensorQuantity("ε0", "total dielectric tensor", 2, "ij=ji", "1x0e+1x2e", 6, "1", (3, 3)),
    Tensor.PIEZOELECTRIC: TensorQuantity(
        "e", "piezoelectric stress tensor", 3, "ijk=ikj", "2x1o+1x2o+1x3o", 18, "C/m^2", (3, 3, 3)
    ),
    Tensor.ELASTIC: TensorQuantity("C", "stiffness", 4, "ijkl=jikl=ijlk=klij", "2x0e+2x2e+1x4e", 21, "GPa", (6, 6)),
}


class ColumnKind(StrEnum):
    """How a derived column is stored and compared."""

    NUMBER = "number"
    FLAG = "flag"
    TEXT = "text"


@dataclass(frozen=True)
class DerivedQuantity:
    """One rotation-invariant number, flag or text that `derive` makes from the tensors.

    Attributes:
        unit: "1" for a ratio, "" for flags and texts.
        label: a name for tables and plots.
        from_tensors: the tensors it needs.
    """

    unit: str
    label: str
    from_tensors: tuple[Tensor, ...]
    kind: ColumnKind = ColumnKind.NUMBER


_C = (Tensor.ELASTIC,)
_E = (Tensor.PIEZOELECTRIC,)
_EC = (Tensor.PIEZOELECTRIC, Tensor.ELASTIC)
_INF = (Tensor.DIELECTRIC_ELECTRONIC,)
_TOT = (Tensor.DIELECTRIC_TOTAL,)

DERIVED: dict[str, DerivedQuantity] = {
    "k_voigt_gpa": DerivedQuantity("GPa", "bulk modulus, Voigt bound", _C),
    "k_reuss_gpa": DerivedQuantity("GPa", "bulk modulus, Reuss bound", _C),
    "k_vrh_gpa": DerivedQuantity("GPa", "bulk modulus, Hill average", _C),
    "g_voigt_gpa": DerivedQuantity("GPa", "shear modulus, Voigt bound", _C),
    "g_reuss_gpa": DerivedQuantity("GPa", "shear modulus, Reuss bound", _C),
    "g_vrh_gpa": DerivedQuantity("GPa", "shear modulus, Hill average", _C),
    "young_vrh_gpa": DerivedQuantity("GPa", "Young's modulus, Hill average", _C),
    "poisson_vrh": DerivedQuantity("1", "Poisson's ratio, Hill average", _C),
    "universal_anisotropy": DerivedQuantity("1", "universal elastic anisotropy", _C),
    "pugh_ratio": DerivedQuantity("1", "Pugh ratio K/G", _C),
    "elastic_min_eigenvalue_gpa": DerivedQuantity("GPa", "lowest eigenvalue of the stiffness (Mandel)", _C),
    "mechanically_stable": DerivedQuantity("", "Born stability", _C, ColumnKind.FLAG),
    "e_max_c_per_m2": DerivedQuantity(
        "C/m^2", "largest polarization per unit strain (largest singular value of the 3x6 Mandel matrix of e)", _E
    ),
    "e_norm_c_per_m2": DerivedQuantity("C/m^2", "Frobenius norm of the piezoelectric stress tensor e_ijk", _E),
    "d_max_pc_per_n": DerivedQuantity(
        "pC/N", "largest polarization per unit stress (largest singular value of the 3x6 Mandel matrix of d)", _EC
    ),
    "d_norm_pc_per_n": DerivedQuantity("pC/N", "Frobenius norm of the piezoelectric strain tensor d_ijk", _EC),
    "d_hydrostatic_pc_per_n": DerivedQuantity("pC/N", "hydrostatic piezoelectric strain response |d_ijj|", _EC),
    "piezo_allowed": DerivedQuantity("", "the point group allows piezoelectricity", _E, ColumnKind.FLAG),
    "eps_electronic_mean": DerivedQuantity("1", "mean electronic dielectric constant", _INF),
    "eps_electronic_min": DerivedQuantity("1", "lowest eigenvalue of the electronic dielectric tensor", _INF),
    "eps_electronic_max": DerivedQuantity("1", "highest eigenvalue of the electronic dielectric tensor", _INF),
    "eps_total_mean": DerivedQuantity("1", "mean total dielectric constant", _TOT),
    "eps_total_min": DerivedQuantity("1", "lowest eigenvalue of the total dielectric tensor", _TOT),
    "eps_total_max": DerivedQuantity("1", "highest eigenvalue of the total dielectric tensor", _TOT),
    "refractive_index": DerivedQuantity("1", "mean refractive index", _INF),
    "birefringence": DerivedQuantity("1", "largest difference of principal refractive indices", _INF),
    "optical_class": DerivedQuantity("", "isotropic, uniaxial or biaxial", _INF, ColumnKind.TEXT),
}
