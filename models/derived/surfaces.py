"""Properties of one crystal as functions of direction: what a surface plot shows, and its extremes.

A shear modulus or a Poisson ratio depends on a second direction m normal to n. Along n both are quadratic in m, so the
least and the largest over all m are eigenvalues of a 2x2 matrix, not results of a search: each gets a surface of its
own. Sound velocities are eigenvalues of the Christoffel matrix; the stiffening of piezoelectric crystals by their own
field is left out. The thickness coupling factor k_t is that of a thin plate with normal n that vibrates along n between
electrodes on its faces, its lateral size fixed: k_t^2 = e_nnn^2 / (c^D_nnnn eps^S_nn), c^D = c^E + e_nnn^2 / eps^S_nn.
It is a mode by itself where n is the direction of a pure longitudinal wave. The total dielectric tensor is eps^S: cell
clamped, ions free.

The extremes over n are searched for on a grid and refined by a compass search on the sphere, which needs no derivative:
surfaces of eigenvalues have edges. What a whole batch needs is in `models.derived.extremes.directional`.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII; A. Marmier et al., Comput. Phys. Commun. 181, 2102
(2010); M. J. P. Musgrave, Crystal Acoustics (1970), ch. 7; IEEE Std 176-1987, sec. 5 and 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.derived.coupling import EPS0_PC_PER_V_M
from models.derived.elastic import GPA_INVERSE_IN_PER_TPA, compliance_voigt
from models.derived.extremes.sphere import half_sphere, tangents
from models.derived.piezoelectric import piezoelectric_strain_voigt
from models.errors import GmtError
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import Floats, ShapeError, voigt_to_compliance, voigt_to_piezo_strain, voigt_to_stiffness

_GPA_IN_PA = 1e9
_GPA_PF = 1e3  # of one (C/m^2)^2
_N_GRID = 2000  # directions on the half sphere, about 3 degrees apart
_N_STARTS = 6  # best grid directions that are refined
_N_COMPASS = 8
_FIRST_RADIUS, _LAST_RADIUS = 0.03, 1e-8  # radians


class Surface(StrEnum):
    """The properties that are functions of direction; also the names by which people ask for them."""

    YOUNG = "young"
    LINEAR_COMPRESSIBILITY = "linear_compressibility"
    SHEAR_MIN = "shear_min"
    SHEAR_MAX = "shear_max"
    POISSON_MIN = "poisson_min"
    POISSON_MAX = "poisson_max"
    PIEZO_LONGITUDINAL_E = "piezo_longitudinal_e"
    PIEZO_LONGITUDINAL_D = "piezo_longitudinal_d"
    DIELECTRIC_ELECTRONIC = "dielectric_electronic"
    DIELECTRIC_TOTAL = "dielectric_total"
    SOUND_LONGITUDINAL = "sound_longitudinal"
    SOUND_TRANSVERSE_FAST = "sound_transverse_fast"
    SOUND_TRANSVERSE_SLOW = "sound_transverse_slow"
    THICKNESS_COUPLING = "thickness_coupling"


@dataclass(frozen=True)
class SurfaceQuantity:
    """What a surface shows.

    Attributes:
        label: a name for plots.
        unit: "1" for a ratio.
        from_tensors: the tensors it needs.
        signed: whether values may be negative; a plot then draws the size and colors the sign.
        needs_density: whether the mass density is needed.
    """

    label: str
    unit: str
    from_tensors: tuple[Tensor, ...]
    signed: bool = False
    needs_density: bool = False


_C = (Tensor.ELASTIC,)
_E = (Tensor.PIEZOELECTRIC,)

SURFACES: dict[Surface, SurfaceQuantity] = {
    Surface.YOUNG: SurfaceQuantity("Young's modulus", "GPa", _C),
    Surface.LINEAR_COMPRESSIBILITY: SurfaceQuantity("linear compressibility", "1/TPa", _C, signed=True),
    Surface.SHEAR_MIN: SurfaceQuantity("lowest shear modulus", "GPa", _C),
    Surface.SHEAR_MAX: SurfaceQuantity("highest shear modulus", "GPa", _C),
    Surface.POISSON_MIN: SurfaceQuantity("lowest Poisson's ratio", "1", _C, signed=True),
    Surface.POISSON_MAX: SurfaceQuantity("highest Poisson's ratio", "1", _C, signed=True),
    Surface.PIEZO_LONGITUDINAL_E: SurfaceQuantity("longitudinal piezoelectric stress", "C/m^2", _E, signed=True),
    Surface.PIEZO_LONGITUDINAL_D: SurfaceQuantity("longitudinal piezoelectric strain", "pC/N", _E + _C, signed=True),
    Surface.DIELECTRIC_ELECTRONIC: SurfaceQuantity(
        "electronic dielectric constant", "1", (Tensor.DIELECTRIC_ELECTRONIC,)
    ),
    Surface.DIELECTRIC_TOTAL: SurfaceQuantity("total dielectric constant", "1", (Tensor.DIELECTRIC_TOTAL,)),
    Surface.SOUND_LONGITUDINAL: SurfaceQuantity("longitudinal sound velocity", "m/s", _C, needs_density=True),
    Surface.SOUND_TRANSVERSE_FAST: SurfaceQuantity("fast transverse sound velocity", "m/s", _C, needs_density=True),
    Surface.SOUND_TRANSVERSE_SLOW: SurfaceQuantity("slow transverse sound velocity", "m/s", _C, needs_density=True),
    Surface.THICKNESS_COUPLING: SurfaceQuantity("thickness coupling factor", "1", _E + _C + (Tensor.DIELECTRIC_TOTAL,)),
}
"""Every surface: label, unit, the tensors it needs."""

_SOUND_BRANCH = {Surface.SOUND_TRANSVERSE_SLOW: 0, Surface.SOUND_TRANSVERSE_FAST: 1, Surface.SOUND_LONGITUDINAL: 2}
_TRANSVERSE_INDEX = {Surface.SHEAR_MIN: 1, Surface.SHEAR_MAX: 0, Surface.POISSON_MIN: 0, Surface.POISSON_MAX: 1}
"""Which eigenvalue over m, in ascending order, the surface shows; the shear modulus is the inverse of one."""


class MissingTensorError(GmtError):
    """A surface was asked for without a tensor or the density that it needs."""


@dataclass(frozen=True)
class Extremes:
    """Least and largest value of a surface and where they are.

    Attributes:
        min, max: in the unit of the surface.
        min_direction, max_direction: unit vectors n in the frame of the tensors, shape [3].
        min_transverse, max_transverse: unit vectors m normal to n, shape [3], for shear moduli and Poisson's ratios;
            None for the others.
    """

    min: float
    max: float
    min_direction: Floats
    max_direction: Floats
    min_transverse: Floats | None = None
    max_transverse: Floats | None = None


def directional_values(
    surface: Surface, tensors: Mapping[Tensor, Floats], directions: Floats, density_kg_per_m3: float | None = None
) -> Floats:
    """A surface of one crystal along given directions.

    Args:
        surface: which.
        tensors: in their stored shape (`TENSORS[...].shape`) and unit; those that the surface needs.
        directions: unit vectors in the frame of the tensors, shape [n, 3].
        density_kg_per_m3: mass density, for sound velocities.

    Returns:
        Values in the unit of `SURFACES[surface]`, shape [n].

    Raises:
        MissingTensorError: a tensor or the density is missing.
        UnphysicalTensorError: the stiffness is needed and not positive definite.
        ShapeError: a tensor or the directions have another shape, or a direction is no unit vector.
    """
    return _Evaluation(surface, tensors, density_kg_per_m3).along(_checked_directions(directions))[0]


def extremes(surface: Surface, tensors: Mapping[Tensor, Floats], density_kg_per_m3: float | None = None) -> Extremes:
    """Least and largest value of a surface over all directions, refined beyond the grid.

    Where several directions are equivalent by symmetry one of them is given.

    Args:
        surface: which.
        tensors: in their stored shape and unit; those that the surface needs.
        density_kg_per_m3: mass density, for sound velocities.

    Raises:
        MissingTensorError: a tensor or the density is missing.
        UnphysicalTensorError: the stiffness is needed and not positive definite.
    """
    evaluation = _Evaluation(surface, tensors, density_kg_per_m3)
    low, high = (_refined(evaluation, sign) for sign in (-1.0, 1.0))
    # the transverse direction is known where there is one; both ends have the same kind
    (low_value, low_transverse), (high_value, high_transverse) = (evaluation.along(n[None]) for n in (low, high))
    return Extremes(
        float(low_value[0]),
        float(high_value[0]),
        low,
        high,
        None if low_transverse is None else low_transverse[0],
        None if high_transverse is None else high_transverse[0],
    )


class _Evaluation:
    """One crystal's tensors in the form that a surface is computed from."""

    def __init__(self, surface: Surface, tensors: Mapping[Tensor, Floats], density_kg_per_m3: float | None) -> None:
        self.surface = Surface(surface)
        self.density = density_kg_per_m3
        quantity = SURFACES[self.surface]
        if missing := [tensor.value for tensor in quantity.from_tensors if tensor not in tensors]:
            raise MissingTensorError(f"The {quantity.label} needs the tensor {' and '.join(missing)}; give it.")
        if quantity.needs_density and not (density_kg_per_m3 and density_kg_per_m3 > 0):
            raise MissingTensorError(f"The {quantity.label} needs a positive mass density in kg/m^3; give it.")
        given = {tensor: np.asarray(tensors[tensor], dtype=np.float64) for tensor in quantity.from_tensors}
        for tensor, values in given.items():
            if values.shape != TENSORS[tensor].shape:
                raise ShapeError(f"{tensor.value} must have shape {TENSORS[tensor].shape}, got {values.shape}.")
        self.given = given
        self.compliance, self.tensor = self._prepared(given)

    def _prepared(self, given: dict[Tensor, Floats]) -> tuple[Floats, Floats]:
        """The compliance in 1/TPa (3x3x3x3; zero where it is not needed) and the tensor that is contracted."""
        compliance = np.zeros((3, 3, 3, 3))
        if Tensor.ELASTIC in given:
            # also the velocities of an unstable crystal mean nothing: this refuses it
            compliance = voigt_to_compliance(compliance_voigt(given[Tensor.ELASTIC][None])[0])
        if self.surface in _SOUND_BRANCH:
            return compliance, voigt_to_stiffness(given[Tensor.ELASTIC])
        if self.surface is Surface.PIEZO_LONGITUDINAL_D:
            strain = piezoelectric_strain_voigt(given[Tensor.PIEZOELECTRIC][None], given[Tensor.ELASTIC][None])
            return compliance, voigt_to_piezo_strain(strain[0])
        if self.surface is Surface.LINEAR_COMPRESSIBILITY:
            return compliance, np.einsum("ijkk->ij", compliance)
        return compliance, given[SURFACES[self.surface].from_tensors[0]]

    def along(self, n: Floats) -> tuple[Floats, Floats | None]:
        """Values along unit vectors [n, 3], and the transverse directions [n, 3] that belong to them."""
        if self.surface is Surface.YOUNG:
            return GPA_INVERSE_IN_PER_TPA / self._inverse_young(n), None
        if self.surface in _TRANSVERSE_INDEX:
            return self._transverse(n)
        if self.surface in _SOUND_BRANCH:
            # Christoffel matrix C_ijkl n_i n_k in GPa; its eigenvalues are density times velocity squared
            christoffel = np.einsum("ijkl,ni,nk->njl", self.tensor, n, n, optimize=True)
            moduli = np.linalg.eigvalsh(christoffel)[:, _SOUND_BRANCH[self.surface]]
            return np.sqrt(np.maximum(moduli, 0.0) * _GPA_IN_PA / float(self.density or np.nan)), None
        if self.surface is Surface.THICKNESS_COUPLING:
            return self._thickness_coupling(n), None
        formula = "ij,ni,nj->n" if self.tensor.ndim == 2 else "ijk,ni,nj,nk->n"
        return np.asarray(np.einsum(formula, self.tensor, *[n] * self.tensor.ndim, optimize=True)), None

    def _thickness_coupling(self, n: Floats) -> Floats:
        """k_t of plates with normals n, [n]."""
        piezo = np.einsum("ijk,ni,nj,nk->n", self.tensor, n, n, n, optimize=True)
        stiffness = voigt_to_stiffness(self.given[Tensor.ELASTIC])
        clamped = np.einsum("ijkl,ni,nj,nk,nl->n", stiffness, n, n, n, n, optimize=True)
        permittivity = EPS0_PC_PER_V_M * np.einsum("ij,ni,nj->n", self.given[Tensor.DIELECTRIC_TOTAL], n, n)
        # what the field adds to the stiffness, as a part of it; GPa and pF/m against C/m^2
        stiffening = _GPA_PF * piezo**2 / (clamped * permittivity)
        return np.asarray(np.sqrt(stiffening / (1 + stiffening)))

    def _inverse_young(self, n: Floats) -> Floats:
        """S_ijkl n_i n_j n_k n_l in 1/TPa, [n]."""
        strain = np.einsum("ijkl,nk,nl->nij", self.compliance, n, n, optimize=True)
        return np.asarray(np.einsum("nij,ni,nj->n", strain, n, n))

    def _transverse(self, n: Floats) -> tuple[Floats, Floats]:
        """Extreme over m normal to n of the shear modulus or of Poisson's ratio, and the m of it."""
        normals = tangents(n)
        is_shear = self.surface in (Surface.SHEAR_MIN, Surface.SHEAR_MAX)
        # 1/G = 4 S_ijkl n_i m_j n_k m_l and nu = -S_ijkl n_i n_j m_k m_l / S_nnnn, both quadratic in m
        contraction = "ijkl,ni,nk->njl" if is_shear else "ijkl,ni,nj->nkl"
        form = np.einsum(contraction, self.compliance, n, n, optimize=True)
        form = form * 4 if is_shear else -form / self._inverse_young(n)[:, None, None]
        values, vectors = np.linalg.eigh(normals @ form @ np.swapaxes(normals, 1, 2))
        place = _TRANSVERSE_INDEX[self.surface]
        transverse = (vectors[:, None, :, place] @ normals)[:, 0]
        return (GPA_INVERSE_IN_PER_TPA / values[:, place] if is_shear else values[:, place]), transverse


def _refined(evaluation: _Evaluation, sign: float) -> Floats:
    """The direction of the largest value of sign * surface, [3].

    Compass search from the best grid directions: points on a circle around each are tried, the best one is moved to,
    and where none is better the circle shrinks. The circle turns with every step, so that no edge hides between its
    points.
    """
    grid = half_sphere(_N_GRID)
    # odd surfaces differ on the two half spheres
    grid = np.concatenate([grid, -grid]) if evaluation.tensor.ndim == 3 else grid
    values = sign * evaluation.along(grid)[0]
    starts = np.argsort(values)[-_N_STARTS:]
    n, best, radius = grid[starts], values[starts], np.full(len(starts), _FIRST_RADIUS)
    angles = 2 * np.pi * np.arange(_N_COMPASS) / _N_COMPASS
    while radius.max() > _LAST_RADIUS:
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        tried = n[:, None] + radius[:, None, None] * (circle @ tangents(n))
        tried /= np.linalg.norm(tried, axis=-1, keepdims=True)
        values = sign * evaluation.along(tried.reshape(-1, 3))[0].reshape(len(n), -1)
        place = values.argmax(axis=1)
        row = np.arange(len(n))
        # not by its last bits: an isotropic crystal is the same everywhere but for them
        better = values[row, place] > best + 1e-13 * np.abs(best)
        n = np.where(better[:, None], tried[row, place], n)
        best = np.where(better, values[row, place], best)
        radius = np.where(better, radius, radius / 2)
        angles = angles + 1.0
    return np.asarray(n[best.argmax()], dtype=np.float64)


def _checked_directions(directions: Floats) -> Floats:
    """Unit vectors [n, 3] as float64."""
    vectors = np.asarray(directions, dtype=np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != 3:
        raise ShapeError(f"directions must have shape [n, 3], got {list(vectors.shape)}.")
    # NaN is no unit vector either
    if not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-6).all():
        raise ShapeError("Some directions are no unit vectors; divide each by its length.")
    return vectors


def sphere(n_polar: int, n_azimuth: int) -> tuple[Floats, Floats, Floats]:
    """A grid of polar and azimuthal angles for drawing a closed surface.

    Args:
        n_polar: polar angles from 0 to pi, both included.
        n_azimuth: azimuthal angles from 0 to 2 pi, both included, so that the surface closes.

    Returns:
        theta [n_polar] and phi [n_azimuth] in radians, and unit vectors, shape [n_polar n_azimuth, 3], phi the fastest.
    """
    theta, phi = np.linspace(0, np.pi, n_polar), np.linspace(0, 2 * np.pi, n_azimuth)
    polar, azimuth = (angles.reshape(-1) for angles in np.meshgrid(theta, phi, indexing="ij"))
    radius = np.sin(polar)
    return theta, phi, np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), np.cos(polar)], axis=1)
