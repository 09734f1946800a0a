"""What gmtscreen predicts and derives, declared once: name, symmetry, unit, label.

This registry drives the network's output irreps, the database columns, the filter language, the tables and the
documentation. A new tensor is a row in `TENSORS` and a label file; a new derived number is a row in `DERIVED`.
Source of the conventions: IEEE Std 176-1987; Nye, Physical Properties of Crystals (1985).
"""

import math
from dataclasses import dataclass
from enum import StrEnum


class Tensor(StrEnum):
    """The predicted tensors."""

    DIELECTRIC_ELECTRONIC = "dielectric_electronic"
    DIELECTRIC_TOTAL = "dielectric_total"
    PIEZOELECTRIC = "piezoelectric"
    ELASTIC = "elastic_voigt"


class Scalar(StrEnum):
    """Scalars the network learns beside the tensors: known of many more crystals, and of use to the reader."""

    BAND_GAP = "band_gap_ev"
    METAL = "metal"  # logit
    FORMATION_ENERGY = "formation_energy_ev_per_atom"


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
        error_column: name of the number that bounds its error: with 90 % the true tensor is within this Frobenius
            distance (all Cartesian entries, in the tensor's unit) of the predicted one.
        absolute_below: Frobenius norm, in its unit, below which held-out errors are about the same; above it they grow
            with the tensor.
        floor: the tensor minus this is positive definite in a stable crystal: a multiple of the identity or another
            tensor; None where nothing is known.
    """

    symbol: str
    label: str
    rank: int
    index_symmetry: str
    irreps: str
    n_components: int
    unit: str
    shape: tuple[int, ...]
    error_column: str
    absolute_below: float
    floor: "float | Tensor | None" = None


TENSORS: dict[Tensor, TensorQuantity] = {
    Tensor.DIELECTRIC_ELECTRONIC: TensorQuantity(
        "ε∞",
        "electronic dielectric tensor",
        2,
        "ij=ji",
        "1x0e+1x2e",
        6,
        "1",
        (3, 3),
        "dielectric_electronic_error",
        0.1,
        1.0,
    ),
    Tensor.DIELECTRIC_TOTAL: TensorQuantity(
        "ε0",
        "total dielectric tensor",
        2,
        "ij=ji",
        "1x0e+1x2e",
        6,
        "1",
        (3, 3),
        "dielectric_total_error",
        0.1,
        Tensor.DIELECTRIC_ELECTRONIC,
    ),
    Tensor.PIEZOELECTRIC: TensorQuantity(
        "e",
        "piezoelectric stress tensor",
        3,
        "ijk=ikj",
        "2x1o+1x2o+1x3o",
        18,
        "C/m^2",
        (3, 3, 3),
        "piezoelectric_error_c_per_m2",
        1.0,
    ),
    Tensor.ELASTIC: TensorQuantity(
        "C",
        "stiffness",
        4,
        "ijkl=jikl=ijlk=klij",
        "2x0e+2x2e+1x4e",
        21,
        "GPa",
        (6, 6),
        "elastic_error_gpa",
        100.0,
        0.0,
    ),
}


def symprec_spread_column(tensor: Tensor) -> str:
    """Name of the number that says how much a tensor depends on the tolerance of the symmetry search."""
    return f"symprec_spread_{tensor.value}"


ELASTIC_INVARIANTS: tuple[str, ...] = (
    "k_voigt", "k_reuss", "k_vrh", "g_voigt", "g_reuss", "g_vrh",
    "young_min", "young_max", "shear_min", "shear_max",
    "linear_compressibility_min", "linear_compressibility_max",
)  # fmt: skip
"""Moduli in GPa, linear compressibilities in 1/TPa."""


class ColumnKind(StrEnum):
    """How a derived column is stored and compared."""

    NUMBER = "number"
    FLAG = "flag"
    TEXT = "text"


class Transform(StrEnum):
    """How a number is stretched before its error is measured; all are monotone."""

    LOG = "log"
    ASINH = "asinh"
    LINEAR = "linear"


@dataclass(frozen=True)
class Scale:
    """The scale on which errors of a derived number are alike, and the range that physics makes certain.

    Attributes:
        transform: LOG for what is above its origin, ASINH for what spans decades but may vanish or change its sign.
        unit: for ASINH, the size below which the scale is linear, in the number's unit.
        origin: for LOG, the value that the logarithm's argument is counted from, in the number's unit.
        lower, upper: certain bounds in the number's unit.
    """

    transform: Transform
    unit: float = 1.0
    origin: float = 0.0
    lower: float = -math.inf
    upper: float = math.inf


@dataclass(frozen=True)
class DerivedQuantity:
    """One rotation-invariant number, flag or text that `derive` makes from the tensors.

    Attributes:
        unit: "1" for a ratio, "" for flags and texts.
        label: a name for tables and plots.
        from_tensors: the tensors it needs.
        scale: of its 90 % interval; without one it has none.
    """

    unit: str
    label: str
    from_tensors: tuple[Tensor, ...]
    kind: ColumnKind = ColumnKind.NUMBER
    scale: Scale | None = None


_C = (Tensor.ELASTIC,)
_E = (Tensor.PIEZOELECTRIC,)
_EC = (Tensor.PIEZOELECTRIC, Tensor.ELASTIC)
_INF = (Tensor.DIELECTRIC_ELECTRONIC,)
_TOT = (Tensor.DIELECTRIC_TOTAL,)
_NUMBER = ColumnKind.NUMBER

# Units and origins are those at which held-out errors of small and large values are alike.
_BULK = Scale(Transform.ASINH, 80.0)
_SHEAR = Scale(Transform.ASINH, 20.0)
_YOUNG = Scale(Transform.ASINH, 60.0)
_POISSON = Scale(Transform.LINEAR, lower=-1.0, upper=0.5)
_ANISOTROPY = Scale(Transform.ASINH, 0.5, lower=0.0)
_RATIO = Scale(Transform.LOG, lower=0.0)
_EIGENVALUE = Scale(Transform.ASINH, 30.0)
_STRESS_RESPONSE = Scale(Transform.ASINH, 1.0, lower=0.0)
_STRAIN_RESPONSE = Scale(Transform.ASINH, 5.0, lower=0.0)
_EPSILON = Scale(Transform.LOG, origin=1.0, lower=1.0)
_BIREFRINGENCE = Scale(Transform.ASINH, 0.05, lower=0.0)

DERIVED: dict[str, DerivedQuantity] = {
    "k_voigt_gpa": DerivedQuantity("GPa", "bulk modulus, Voigt bound", _C, _NUMBER, _BULK),
    "k_reuss_gpa": DerivedQuantity("GPa", "bulk modulus, Reuss bound", _C, _NUMBER, _BULK),
    "k_vrh_gpa": DerivedQuantity("GPa", "bulk modulus, Hill average", _C, _NUMBER, _BULK),
    "g_voigt_gpa": DerivedQuantity("GPa", "shear modulus, Voigt bound", _C, _NUMBER, _SHEAR),
    "g_reuss_gpa": DerivedQuantity("GPa", "shear modulus, Reuss bound", _C, _NUMBER, _SHEAR),
    "g_vrh_gpa": DerivedQuantity("GPa", "shear modulus, Hill average", _C, _NUMBER, _SHEAR),
    "young_vrh_gpa": DerivedQuantity("GPa", "Young's modulus, Hill average", _C, _NUMBER, _YOUNG),
    "poisson_vrh": DerivedQuantity("1", "Poisson's ratio, Hill average", _C, _NUMBER, _POISSON),
    "universal_anisotropy": DerivedQuantity("1", "universal elastic anisotropy", _C, _NUMBER, _ANISOTROPY),
    "pugh_ratio": DerivedQuantity("1", "Pugh ratio K/G", _C, _NUMBER, _RATIO),
    "elastic_min_eigenvalue_gpa": DerivedQuantity(
        "GPa", "lowest eigenvalue of the stiffness (Mandel)", _C, _NUMBER, _EIGENVALUE
    ),
    "mechanically_stable": DerivedQuantity("", "Born stability", _C, ColumnKind.FLAG),
    "e_max_c_per_m2": DerivedQuantity(
        "C/m^2",
        "largest polarization per unit strain (largest singular value of the 3x6 Mandel matrix of e)",
        _E,
        _NUMBER,
        _STRESS_RESPONSE,
    ),
    "e_norm_c_per_m2": DerivedQuantity(
        "C/m^2", "Frobenius norm of the piezoelectric stress tensor e_ijk", _E, _NUMBER, _STRESS_RESPONSE
    ),
    "d_max_pc_per_n": DerivedQuantity(
        "pC/N",
        "largest polarization per unit stress (largest singular value of the 3x6 Mandel matrix of d)",
        _EC,
        _NUMBER,
        _STRAIN_RESPONSE,
    ),
    "d_norm_pc_per_n": DerivedQuantity(
        "pC/N", "Frobenius norm of the piezoelectric strain tensor d_ijk", _EC, _NUMBER, _STRAIN_RESPONSE
    ),
    "d_hydrostatic_pc_per_n": DerivedQuantity(
        "pC/N", "hydrostatic piezoelectric strain response |d_ijj|", _EC, _NUMBER, _STRAIN_RESPONSE
    ),
    "piezo_allowed": DerivedQuantity("", "the point group allows piezoelectricity", _E, ColumnKind.FLAG),
    "eps_electronic_mean": DerivedQuantity("1", "mean electronic dielectric constant", _INF, _NUMBER, _EPSILON),
    "eps_electronic_min": DerivedQuantity(
        "1", "lowest eigenvalue of the electronic dielectric tensor", _INF, _NUMBER, _EPSILON
    ),
    "eps_electronic_max": DerivedQuantity(
        "1", "highest eigenvalue of the electronic dielectric tensor", _INF, _NUMBER, _EPSILON
    ),
    "eps_total_mean": DerivedQuantity("1", "mean total dielectric constant", _TOT, _NUMBER, _EPSILON),
    "eps_total_min": DerivedQuantity("1", "lowest eigenvalue of the total dielectric tensor", _TOT, _NUMBER, _EPSILON),
    "eps_total_max": DerivedQuantity("1", "highest eigenvalue of the total dielectric tensor", _TOT, _NUMBER, _EPSILON),
    "refractive_index": DerivedQuantity("1", "mean refractive index", _INF, _NUMBER, _EPSILON),
    "birefringence": DerivedQuantity(
        "1", "largest difference of principal refractive indices", _INF, _NUMBER, _BIREFRINGENCE
    ),
    "optical_class": DerivedQuantity("", "isotropic, uniaxial or biaxial", _INF, ColumnKind.TEXT),
}

INTERVALS: dict[str, tuple[str, str]] = {
    name: (f"{name}_lo", f"{name}_hi") for name, quantity in DERIVED.items() if quantity.scale is not None
}
"""Names of the ends of the 90 % interval of every derived number that has one."""

UNCERTAINTY_COLUMNS: tuple[str, ...] = (
    *(column for ends in INTERVALS.values() for column in ends),
    *(quantity.error_column for quantity in TENSORS.values()),
)
"""Columns that say how far the others may be off: ends of intervals, and error radii of the tensors."""

RELIABILITY: dict[str, DerivedQuantity] = {
    "ood_score": DerivedQuantity("1", "share of held-out crystals nearer to the training data", ()),
    "ood": DerivedQuantity("", "farther from the training data than 95 % of held-out crystals", (), ColumnKind.FLAG),
    "bond_dimensionality": DerivedQuantity("1", "dimension of the bonded network, 0 molecules to 3 framework", ()),
    "vacuum_angstrom": DerivedQuantity("angstrom", "widest empty layer of the cell", ()),
    "low_dimensional": DerivedQuantity("", "slab, wire or molecule in vacuum", (), ColumnKind.FLAG),
    "layered": DerivedQuantity("", "crystal of bonded layers", (), ColumnKind.FLAG),
    "band_gap_ev": DerivedQuantity("eV", "predicted band gap", ()),
    "metal": DerivedQuantity("", "the predicted band gap is that of a metal", (), ColumnKind.FLAG),
}
"""What speaks for or against trusting a result; from the crystal and the training data, not from the tensors."""
