"""What gmtscreen predicts and derives, declared once: name, symmetry, unit, label.

This registry drives the network's output irreps, the database columns, the filter language, the tables and the
documentation. What a new tensor or a new derived number needs besides its row here is in docs/extending.md.
Source of the conventions: IEEE Std 176-1987; Nye, Physical Properties of Crystals (1985).
"""

from dataclasses import dataclass
from enum import StrEnum

from models import error_scales as scale
from models.error_scales import Scale


class Tensor(StrEnum):
    """The predicted tensors."""

    DIELECTRIC_ELECTRONIC = "dielectric_electronic"
    DIELECTRIC_TOTAL = "dielectric_total"
    PIEZOELECTRIC = "piezoelectric"
    ELASTIC = "elastic_voigt"


class Scalar(StrEnum):
    """Scalars the network learns beside the tensors: labels of many more crystals have them."""

    BAND_GAP = "band_gap_ev"
    METAL = "metal"  # logit
    FORMATION_ENERGY = "formation_energy_ev_per_atom"
    EXPANSION = "expansion"  # ln V / V0, V0 at equilibrium
    DISTORTION = "distortion"  # root of the energy above equilibrium, sqrt(eV per atom)


SCALAR_UNIT: dict[Scalar, float] = dict.fromkeys(Scalar, 1.0) | {Scalar.EXPANSION: 0.05, Scalar.DISTORTION: 0.1}
"""What counts as an error of one, where fresh weights start and what losses are measured in."""

SCALAR_BEND: dict[Scalar, float] = dict.fromkeys(Scalar, 0.5) | {Scalar.EXPANSION: 5.0, Scalar.DISTORTION: 5.0}
"""Error in units from which on a loss is linear. Most crystals of a batch are relaxed: a loss that were linear early
would be least where all are said to be."""


class IndexSymmetry(StrEnum):
    """Which index permutations leave a tensor unchanged, as an e3nn formula."""

    SYMMETRIC = "ij=ji"
    PIEZOELECTRIC = "ijk=ikj"
    STIFFNESS = "ijkl=jikl=ijlk=klij"


_IRREPS: dict[IndexSymmetry, tuple[str, int, tuple[int, ...]]] = {
    IndexSymmetry.SYMMETRIC: ("1x0e+1x2e", 6, (3, 3)),
    IndexSymmetry.PIEZOELECTRIC: ("2x1o+1x2o+1x3o", 18, (3, 3, 3)),
    IndexSymmetry.STIFFNESS: ("2x0e+2x2e+1x4e", 21, (6, 6)),
}
"""What follows from an index symmetry: irreps of O(3), number of independent components, stored shape."""


class Calculation(StrEnum):
    """The first-principles calculation that gives a tensor."""

    STRAINED_CELLS = "elastic"
    PERTURBATION = "response"  # density-functional perturbation theory


@dataclass(frozen=True, kw_only=True)
class TensorQuantity:
    """One predicted tensor: everything in gmtscreen that differs per tensor.

    Attributes:
        symbol: what the field writes.
        label: a name for tables and plots.
        index_symmetry: which index permutations leave it unchanged.
        unit: "1" for a relative quantity; all sizes below are in it.
        error_column: name of the number that bounds its error: with 90 % the true tensor is within this Frobenius
            distance (all Cartesian entries, in the tensor's unit) of the predicted one.
        floor: the tensor minus this is positive definite in a stable crystal: a multiple of the identity or another
            tensor, one that stands before it in `TENSORS`; None where nothing is known.
        absolute_below: Frobenius norm below which held-out errors are about the same; above it they grow with the
            tensor.
        negligible_norm: Frobenius norm below which a tensor is what is left of large terms that cancel: deviations are
            measured against this number there, because they are rounding errors of the terms.
        label_rounding: Frobenius norm of what the rounding of a published tensor can leave outside of the symmetry.
        max_label_entry: largest entry that a crystal may have; a label beyond it is refused.
        max_training_entry: largest entry of a label that is trained on.
        max_predicted_entry: largest component that a material can have; networks are bounded there, and a crystal of
            which one says so is out of distribution; a model that says so of well-known crystals is not promoted.
        loss_weight: of the tensor's error in training; the rarer the labels, the larger.
        few_labels: crystals with such a label are shown more often in training.
        label_kind: kind of the label rows that hold the full tensor.
        calculation: what a label of it is calculated with.
        group: panel of a plot that it shares with related tensors.
        marker, color: of its points in plots (matplotlib).
    """

    symbol: str
    label: str
    index_symmetry: IndexSymmetry
    unit: str
    error_column: str
    floor: "float | Tensor | None" = None
    absolute_below: float
    negligible_norm: float
    label_rounding: float
    max_label_entry: float
    max_training_entry: float
    max_predicted_entry: float
    loss_weight: float
    few_labels: bool = False
    label_kind: str
    calculation: Calculation
    group: str
    marker: str
    color: str

    @property
    def rank(self) -> int:
        """Number of Cartesian indices."""
        return len(self.index_symmetry.partition("=")[0])

    @property
    def irreps(self) -> str:
        """Its minimal content of O(3) irreps (e3nn text); scalars come first."""
        return _IRREPS[self.index_symmetry][0]

    @property
    def n_components(self) -> int:
        """Number of independent components before crystal symmetry; equals the dimension of `irreps`."""
        return _IRREPS[self.index_symmetry][1]

    @property
    def n_scalars(self) -> int:
        """How many of its irreps are scalars: they hold its isotropic part."""
        count, _, kind = self.irreps.partition("+")[0].partition("x")
        return int(count) if kind == "0e" else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one tensor as it is stored and printed."""
        return _IRREPS[self.index_symmetry][2]


TENSORS: dict[Tensor, TensorQuantity] = {
    Tensor.DIELECTRIC_ELECTRONIC: TensorQuantity(
        symbol="ε∞",
        label="electronic dielectric tensor",
        index_symmetry=IndexSymmetry.SYMMETRIC,
        unit="1",
        error_column="dielectric_electronic_error",
        floor=1.0,  # the vacuum
        absolute_below=0.1,
        negligible_norm=0.1,
        label_rounding=0.02,
        max_label_entry=1e4,
        max_training_entry=100.0,
        max_predicted_entry=200.0,
        loss_weight=4.0,
        label_kind="dielectric_total",
        calculation=Calculation.PERTURBATION,
        group="dielectric",
        marker="s",
        color="#009E73",
    ),
    Tensor.DIELECTRIC_TOTAL: TensorQuantity(
        symbol="ε0",
        label="total dielectric tensor",
        index_symmetry=IndexSymmetry.SYMMETRIC,
        unit="1",
        error_column="dielectric_total_error",
        floor=Tensor.DIELECTRIC_ELECTRONIC,  # ions add to the response of the electrons
        absolute_below=0.1,
        negligible_norm=0.1,
        label_rounding=0.02,
        max_label_entry=1e4,
        max_training_entry=100.0,
        max_predicted_entry=1000.0,
        loss_weight=6.0,
        few_labels=True,
        label_kind="dielectric_total",
        calculation=Calculation.PERTURBATION,
        group="dielectric",
        marker="D",
        color="#CC79A7",
    ),
    Tensor.PIEZOELECTRIC: TensorQuantity(
        symbol="e",
        label="piezoelectric stress tensor",
        index_symmetry=IndexSymmetry.PIEZOELECTRIC,
        unit="C/m^2",
        error_column="piezoelectric_error_c_per_m2",
        absolute_below=1.0,
        negligible_norm=1e-2,
        label_rounding=0.02,
        max_label_entry=1e3,
        max_training_entry=100.0,
        max_predicted_entry=100.0,
        loss_weight=12.0,
        few_labels=True,
        label_kind="piezo_e_total",
        calculation=Calculation.PERTURBATION,
        group="piezoelectric",
        marker="^",
        color="#D55E00",
    ),
    Tensor.ELASTIC: TensorQuantity(
        symbol="C",
        label="stiffness",
        index_symmetry=IndexSymmetry.STIFFNESS,
        unit="GPa",
        error_column="elastic_error_gpa",
        floor=0.0,  # elastic stability
        absolute_below=100.0,
        negligible_norm=1.0,
        label_rounding=3.0,
        max_label_entry=3e3,  # diamond reaches 1,100 GPa
        max_training_entry=1500.0,
        max_predicted_entry=3000.0,
        loss_weight=4.0,
        label_kind="elastic_stiffness",
        calculation=Calculation.STRAINED_CELLS,
        group="elastic",
        marker="o",
        color="#0072B2",
    ),
}


def symprec_spread_column(tensor: Tensor) -> str:
    """Column of how much a tensor depends on the tolerance of the symmetry search."""
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
    scale: Scale | None = None
    kind: ColumnKind = ColumnKind.NUMBER


_C = (Tensor.ELASTIC,)
_E = (Tensor.PIEZOELECTRIC,)
_EC = (Tensor.PIEZOELECTRIC, Tensor.ELASTIC)
_INF = (Tensor.DIELECTRIC_ELECTRONIC,)
_TOT = (Tensor.DIELECTRIC_TOTAL,)
_ECT = (*_EC, *_TOT)

DERIVED: dict[str, DerivedQuantity] = {
    "k_voigt_gpa": DerivedQuantity("GPa", "bulk modulus, Voigt bound", _C, scale.BULK),
    "k_reuss_gpa": DerivedQuantity("GPa", "bulk modulus, Reuss bound", _C, scale.BULK),
    "k_vrh_gpa": DerivedQuantity("GPa", "bulk modulus, Hill average", _C, scale.BULK),
    "g_voigt_gpa": DerivedQuantity("GPa", "shear modulus, Voigt bound", _C, scale.SHEAR),
    "g_reuss_gpa": DerivedQuantity("GPa", "shear modulus, Reuss bound", _C, scale.SHEAR),
    "g_vrh_gpa": DerivedQuantity("GPa", "shear modulus, Hill average", _C, scale.SHEAR),
    "young_vrh_gpa": DerivedQuantity("GPa", "Young's modulus, Hill average", _C, scale.YOUNG),
    "poisson_vrh": DerivedQuantity("1", "Poisson's ratio, Hill average", _C, scale.POISSON),
    "universal_anisotropy": DerivedQuantity("1", "universal elastic anisotropy", _C, scale.ANISOTROPY),
    "pugh_ratio": DerivedQuantity("1", "Pugh ratio K/G", _C, scale.RATIO),
    "elastic_min_eigenvalue_gpa": DerivedQuantity(
        "GPa", "lowest eigenvalue of the stiffness (Mandel)", _C, scale.EIGENVALUE
    ),
    "mechanically_stable": DerivedQuantity("", "Born stability", _C, kind=ColumnKind.FLAG),
    "young_min_gpa": DerivedQuantity("GPa", "Young's modulus, lowest over all directions", _C, scale.YOUNG),
    "young_max_gpa": DerivedQuantity("GPa", "Young's modulus, highest over all directions", _C, scale.YOUNG),
    "shear_min_gpa": DerivedQuantity("GPa", "shear modulus, lowest over all planes and directions", _C, scale.SHEAR),
    "shear_max_gpa": DerivedQuantity("GPa", "shear modulus, highest over all planes and directions", _C, scale.SHEAR),
    "poisson_min": DerivedQuantity("1", "Poisson's ratio, lowest over all directions", _C, scale.DIRECTIONAL_POISSON),
    "poisson_max": DerivedQuantity("1", "Poisson's ratio, highest over all directions", _C, scale.DIRECTIONAL_POISSON),
    "linear_compressibility_min_per_tpa": DerivedQuantity(
        "1/TPa", "linear compressibility, lowest over all directions", _C, scale.COMPRESSIBILITY
    ),
    "linear_compressibility_max_per_tpa": DerivedQuantity(
        "1/TPa", "linear compressibility, highest over all directions", _C, scale.COMPRESSIBILITY
    ),
    "k_hs_lower_gpa": DerivedQuantity("GPa", "bulk modulus, Hashin-Shtrikman lower bound", _C, scale.BULK),
    "k_hs_upper_gpa": DerivedQuantity("GPa", "bulk modulus, Hashin-Shtrikman upper bound", _C, scale.BULK),
    "k_self_consistent_gpa": DerivedQuantity("GPa", "bulk modulus, self-consistent", _C, scale.BULK),
    "g_hs_lower_gpa": DerivedQuantity("GPa", "shear modulus, Hashin-Shtrikman lower bound", _C, scale.SHEAR),
    "g_hs_upper_gpa": DerivedQuantity("GPa", "shear modulus, Hashin-Shtrikman upper bound", _C, scale.SHEAR),
    "g_self_consistent_gpa": DerivedQuantity("GPa", "shear modulus, self-consistent", _C, scale.SHEAR),
    "log_euclidean_anisotropy": DerivedQuantity("1", "log-Euclidean elastic anisotropy", _C, scale.ANISOTROPY),
    "zener_anisotropy": DerivedQuantity("1", "Zener anisotropy 2 c44 / (c11 - c12), cubic only", _C, scale.POSITIVE),
    "hardness_chen_gpa": DerivedQuantity("GPa", "Vickers hardness, Chen's formula", _C, scale.HARDNESS_CHEN),
    "hardness_tian_gpa": DerivedQuantity("GPa", "Vickers hardness, Tian's formula", _C, scale.HARDNESS_TIAN),
    "sound_velocity_m_per_s": DerivedQuantity("m/s", "mean (Debye) sound velocity, polycrystal", _C, scale.POSITIVE),
    "sound_longitudinal_m_per_s": DerivedQuantity(
        "m/s", "longitudinal sound velocity, polycrystal", _C, scale.POSITIVE
    ),
    "sound_transverse_m_per_s": DerivedQuantity("m/s", "transverse sound velocity, polycrystal", _C, scale.POSITIVE),
    "debye_temperature_k": DerivedQuantity("K", "Debye temperature from the elastic constants", _C, scale.POSITIVE),
    "thermal_conductivity_min_cahill_w_per_m_k": DerivedQuantity(
        "W/(m K)", "minimum thermal conductivity, Cahill", _C, scale.POSITIVE
    ),
    "thermal_conductivity_min_clarke_w_per_m_k": DerivedQuantity(
        "W/(m K)", "minimum thermal conductivity, Clarke", _C, scale.POSITIVE
    ),
    "density_g_per_cm3": DerivedQuantity("g/cm^3", "mass density of the cell as given", ()),
    "e_max_c_per_m2": DerivedQuantity(
        "C/m^2",
        "largest polarization per unit strain (singular value of the 3x6 Mandel matrix: e15 alone counts times sqrt 2)",
        _E,
        scale.STRESS_RESPONSE,
    ),
    "e_norm_c_per_m2": DerivedQuantity(
        "C/m^2", "Frobenius norm of the piezoelectric stress tensor e_ijk", _E, scale.STRESS_RESPONSE
    ),
    "d_max_pc_per_n": DerivedQuantity(
        "pC/N",
        "largest polarization per unit stress (singular value of the 3x6 Mandel matrix: d15 alone counts over sqrt 2)",
        _EC,
        scale.STRAIN_RESPONSE,
    ),
    "d_coefficient_max_pc_per_n": DerivedQuantity(
        "pC/N",
        "largest independent |d_iJ| in the IEEE frame, as handbooks print it (2 on the shear columns)",
        _EC,
        scale.STRAIN_RESPONSE,
    ),
    "d_coefficient_max_name": DerivedQuantity(
        "", "which coefficient d_iJ of the IEEE frame is the largest", _EC, kind=ColumnKind.TEXT
    ),
    "d_norm_pc_per_n": DerivedQuantity(
        "pC/N", "Frobenius norm of the piezoelectric strain tensor d_ijk", _EC, scale.STRAIN_RESPONSE
    ),
    "d_hydrostatic_pc_per_n": DerivedQuantity(
        "pC/N", "hydrostatic piezoelectric strain response |d_ijj|", _EC, scale.STRAIN_RESPONSE
    ),
    "e_longitudinal_max_c_per_m2": DerivedQuantity(
        "C/m^2", "largest polarization along the direction that is strained", _E, scale.STRESS_RESPONSE
    ),
    "d_longitudinal_max_pc_per_n": DerivedQuantity(
        "pC/N", "largest polarization along the direction that is pulled", _EC, scale.STRAIN_RESPONSE
    ),
    "k_coupling_max": DerivedQuantity("1", "largest electromechanical coupling factor k", _ECT, scale.COUPLING),
    "g_max_mv_m_per_n": DerivedQuantity(
        "mV m/N", "largest piezoelectric voltage constant g = d/eps", _ECT, scale.VOLTAGE_RESPONSE
    ),
    "dg_max_per_tpa": DerivedQuantity(
        "1/TPa", "largest figure of merit d g of an energy harvester", _ECT, scale.ENERGY_RESPONSE
    ),
    "piezo_allowed": DerivedQuantity("", "the point group allows piezoelectricity", _E, kind=ColumnKind.FLAG),
    "eps_electronic_mean": DerivedQuantity("1", "mean electronic dielectric constant", _INF, scale.EPSILON),
    "eps_electronic_min": DerivedQuantity(
        "1", "lowest eigenvalue of the electronic dielectric tensor", _INF, scale.EPSILON
    ),
    "eps_electronic_max": DerivedQuantity(
        "1", "highest eigenvalue of the electronic dielectric tensor", _INF, scale.EPSILON
    ),
    "eps_total_mean": DerivedQuantity("1", "mean total dielectric constant", _TOT, scale.EPSILON),
    "eps_total_min": DerivedQuantity("1", "lowest eigenvalue of the total dielectric tensor", _TOT, scale.EPSILON),
    "eps_total_max": DerivedQuantity("1", "highest eigenvalue of the total dielectric tensor", _TOT, scale.EPSILON),
    "refractive_index": DerivedQuantity("1", "mean refractive index", _INF, scale.EPSILON),
    "birefringence": DerivedQuantity(
        "1", "largest difference of principal refractive indices", _INF, scale.BIREFRINGENCE
    ),
    "optical_class": DerivedQuantity(
        "", "isotropic, uniaxial or biaxial, by the point group", _INF, kind=ColumnKind.TEXT
    ),
    "optic_sign": DerivedQuantity(
        "", "+ or -: n_e above or below n_o, 2V below or above 90", _INF, kind=ColumnKind.TEXT
    ),
}

INTERVALS: dict[str, tuple[str, str]] = {
    name: (f"{name}_lo", f"{name}_hi") for name, quantity in DERIVED.items() if quantity.scale is not None
}
"""Names of the ends of the 90 % interval of every derived number that has one."""

UNCERTAINTY_COLUMNS: tuple[str, ...] = (
    *(column for ends in INTERVALS.values() for column in ends),
    *(quantity.error_column for quantity in TENSORS.values()),
)
"""Columns of uncertainty: ends of intervals, and error radii of the tensors."""
