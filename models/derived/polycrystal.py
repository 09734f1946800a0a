"""Moduli of a random polycrystal: Hashin-Shtrikman bounds and the self-consistent value, for every crystal class.

The grains of the polycrystal are compared with an isotropic medium of moduli K0, G0. In the estimate that results, the
stiffness of every grain is stiffened by the constraint of that medium, K* = 4 G0 / 3 and
G* = G0 (9 K0 + 8 G0) / (6 (K0 + 2 G0)), then averaged as Reuss does, and the constraint is taken away again. A medium
softer than the grain in every strain gives a lower bound, one that is stiffer an upper bound; the best medium lies
where the difference to the grain is just about to lose its sign. A medium with the estimate's own moduli gives the
self-consistent value of spherical grains.

All of this depends on the stiffness only through the eigenvalues l_i of its Mandel form and the weight w_i of pure
dilation in each eigenvector, so no matrix is inverted in the search. With f(x) = sum_i w_i / (l_i - x), the softest or
stiffest K0 that belongs to a G0 is (2 G0 + 1 / f(2 G0)) / 3, and the estimate of K is (1 / f(-2 G*) - 2 G*) / 3.

Source: Z. Hashin and S. Shtrikman, J. Mech. Phys. Solids 10, 343 (1962); J. P. Watt and L. Peselnick, J. Appl. Phys.
51, 1525 (1980); J. G. Berryman, J. Mech. Phys. Solids 53, 2141 (2005); J. M. Brown, Comput. Geosci. 80, 95 (2015).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from models.derived.elastic import Columns, Unstable, stable_stand_ins
from models.tensors.voigt import Floats, stiffness_voigt_to_mandel

_DILATION: Floats = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / np.sqrt(3.0)
_N_POINTS, _N_LEVELS = 8, 6  # of a search on an interval; every level shrinks it by 2 / (_N_POINTS - 1)
_N_HALVINGS = 30
_N_SECANTS = 3
_NO_WEIGHT = 1e-12  # an eigenvector of pure shear has this weight by rounding, a pole where there is none


POLYCRYSTAL_MODULI: tuple[str, ...] = (
    "k_voigt_gpa", "k_reuss_gpa", "k_vrh_gpa", "g_voigt_gpa", "g_reuss_gpa", "g_vrh_gpa", "young_vrh_gpa",
    "poisson_vrh", "universal_anisotropy", "pugh_ratio", "k_hs_lower_gpa", "k_hs_upper_gpa", "k_self_consistent_gpa",
    "g_hs_lower_gpa", "g_hs_upper_gpa", "g_self_consistent_gpa", "log_euclidean_anisotropy",
)  # fmt: skip
"""Derived numbers that belong to a polycrystal of grains in all directions: moduli with their bounds, and ratios."""


def derive_polycrystal(stiffness_voigt: ArrayLike, unstable: Unstable = Unstable.RAISE) -> Columns:
    """Hashin-Shtrikman bounds and self-consistent moduli of random polycrystals.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        unstable: RAISE refuses the batch when a tensor is not positive definite, FLAG gives NaN there.

    Returns:
        `k_hs_lower_gpa`, `k_hs_upper_gpa`, `g_hs_lower_gpa`, `g_hs_upper_gpa`, `k_self_consistent_gpa`,
        `g_self_consistent_gpa`, each [n_crystals]: Reuss <= lower <= self-consistent <= upper <= Voigt.

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    usable, stable = stable_stand_ins(stiffness_voigt, unstable)
    values, vectors = np.linalg.eigh(stiffness_voigt_to_mandel(usable))
    weights = (_DILATION @ vectors) ** 2
    grains = _Grains(np.ascontiguousarray(values.T), np.where(weights < _NO_WEIGHT, 0.0, weights).T)
    columns: Columns = {}
    for end, (start, stop), sign in (("lower", grains.softer_media(), 1.0), ("upper", grains.stiffer_media(), -1.0)):
        columns[f"k_hs_{end}_gpa"], columns[f"g_hs_{end}_gpa"] = grains.best_bounds(start, stop, sign)
    columns["k_self_consistent_gpa"], columns["g_self_consistent_gpa"] = grains.self_consistent(
        columns["g_hs_lower_gpa"], columns["g_hs_upper_gpa"]
    )
    return {name: np.where(stable, moduli, np.nan) for name, moduli in columns.items()}


def constraint(bulk_gpa: Floats, shear_gpa: Floats) -> tuple[Floats, Floats]:
    """K* and G* with which an isotropic medium constrains a sphere in it, in GPa, shape of the arguments.

    Source: R. Hill, J. Mech. Phys. Solids 13, 89 (1965); an infinite bulk modulus is allowed.
    """
    return 4 * shear_gpa / 3, shear_gpa / 6 * (9 - 10 * shear_gpa / (bulk_gpa + 2 * shear_gpa))


class _Grains:
    """What the estimates need of the stiffness tensors.

    Attributes:
        values: eigenvalues in ascending order in GPa, shape [6, n_crystals].
        weights: of dilation in their eigenvectors, sum 1, shape [6, n_crystals].
    """

    def __init__(self, values: Floats, weights: Floats) -> None:
        self.values, self.weights = values, weights

    def bulk_estimate(self, g_star: Floats) -> Floats:
        """K of the polycrystal under a constraint, which depends on G* alone, [n_crystals, m]."""
        dilation = (self.weights[..., None] / (self.values[..., None] + 2 * g_star)).sum(axis=0)
        return np.asarray((1 / dilation - 2 * g_star) / 3, dtype=np.float64)

    def shear_estimate(self, k_star: Floats, g_star: Floats) -> Floats:
        """G of the polycrystal under a constraint, [n_crystals, m]."""
        inverse = 1 / (self.values[..., None] + 2 * g_star)
        weighted = inverse * self.weights[..., None]
        dilation, squares = weighted.sum(axis=0), (weighted * inverse).sum(axis=0)
        # the constraint is 2 G* on every strain and alpha more on dilation: a rank-1 change of the inverse
        alpha = 3 * k_star - 2 * g_star
        shears = inverse.sum(axis=0) - (alpha * squares + dilation) / (1 + alpha * dilation)
        return np.asarray(2.5 / shears - g_star, dtype=np.float64)

    def dilation_sum(self, shear: Floats) -> Floats:
        """f(2 G0), infinite at an eigenvalue with weight, [n_crystals, m]."""
        # without a weight there is no pole
        values = np.where(self.weights > 0, self.values, np.inf)
        with np.errstate(divide="ignore"):
            return np.asarray((self.weights[..., None] / (values[..., None] - 2 * shear)).sum(axis=0))

    def medium_bulk(self, shear: Floats) -> Floats:
        """The K0 at which medium minus grain is about to lose its sign, by G0, [n_crystals, m]."""
        with np.errstate(divide="ignore"):
            return np.asarray((2 * shear + 1 / self.dilation_sum(shear)) / 3, dtype=np.float64)

    def softer_media(self) -> tuple[Floats, Floats]:
        """G0 of the media softer than the grain, from 0 to the largest with a positive K0, each [n_crystals]."""
        good, bad = self.values[0] / 2, self.values[1] / 2
        for _ in range(_N_HALVINGS):
            middle = (good + bad) / 2
            # beyond the lowest eigenvalue a softer K0 can still help, as long as dilation takes part in it
            softer = (self.dilation_sum(middle[:, None]) < 0)[:, 0] & (self.medium_bulk(middle[:, None]) >= 0)[:, 0]
            good, bad = np.where(softer, middle, good), np.where(softer, bad, middle)
        return np.zeros(len(good)), good

    def stiffer_media(self) -> tuple[Floats, Floats]:
        """G0 of the media stiffer than the grain, from the least to where none is the best any more, [n_crystals]."""
        bad, good = self.values[4] / 2, self.values[5] / 2
        highest = good
        for _ in range(_N_HALVINGS):
            middle = (good + bad) / 2
            stiffer = (self.dilation_sum(middle[:, None]) > 0)[:, 0]
            good, bad = np.where(stiffer, middle, good), np.where(stiffer, bad, middle)
        # 2/3 G0 <= G* <= 3/2 G0: beyond 9/4 of the highest eigenvalue every G* is larger than one that is possible
        return good, 2.25 * highest

    def best_bounds(self, start: Floats, stop: Floats, sign: float) -> tuple[Floats, Floats]:
        """Largest lower bounds (sign 1) or least upper bounds (sign -1) of K and G over the media from start to stop.

        The bound of K is monotone in G*; that of G depends on both parts of the constraint.
        """

        def g_star(shear: Floats) -> Floats:
            return constraint(self.medium_bulk(shear), shear)[1]

        def shear_bound(shear: Floats) -> Floats:
            return self.shear_estimate(*constraint(self.medium_bulk(shear), shear))

        best_g_star = _largest(lambda shear: sign * g_star(shear), start, stop)
        best_shear = _largest(lambda shear: sign * shear_bound(shear), start, stop)
        return self.bulk_estimate(sign * best_g_star[:, None])[:, 0], sign * best_shear

    def self_consistent(self, shear_low: Floats, shear_high: Floats) -> tuple[Floats, Floats]:
        """K and G of the medium whose estimate is itself, from bounds of G, each [n_crystals].

        The search goes over G*: K follows from it, then the G0 that has this G*, and the sign of what G is more than
        this says on which side the solution lies.
        """
        low, high = 2 / 3 * shear_low, 1.5 * shear_high
        for _ in range(2 * _N_HALVINGS // 3):
            middle = ((low + high) / 2)[:, None]
            above = (self._excess(middle)[0] < 0)[:, 0]
            low, high = np.where(above, low, middle[:, 0]), np.where(above, middle[:, 0], high)
        # the last digits by secants, which need a good start
        ends = [low[:, None], high[:, None]]
        values = [self._excess(end)[0] for end in ends]
        for _ in range(_N_SECANTS):
            difference = values[1] - values[0]
            step = np.divide(
                values[1] * (ends[1] - ends[0]), difference, out=np.zeros_like(difference), where=difference != 0
            )
            ends = [ends[1], ends[1] - step]
            values = [values[1], self._excess(ends[1])[0]]
        _, bulk, medium = self._excess(ends[1])
        return bulk[:, 0], medium[:, 0]

    def _excess(self, g_star: Floats) -> tuple[Floats, Floats, Floats]:
        """How much larger the estimate of G is than the G0 that has this G*; K and G0, each [n_crystals, m]."""
        bulk = self.bulk_estimate(g_star)
        linear = 9 * bulk - 12 * g_star
        medium = (np.sqrt(linear**2 + 192 * bulk * g_star) - linear) / 16
        return self.shear_estimate(4 * medium / 3, g_star) - medium, bulk, medium


def _largest(function: Callable[[Floats], Floats], start: Floats, stop: Floats) -> Floats:
    """Largest value of a function with one maximum between start and stop, each [n_crystals]: ever finer grids."""
    fraction = np.linspace(0, 1, _N_POINTS)
    best = np.full(len(start), -np.inf)
    for _ in range(_N_LEVELS):
        points = start[:, None] + (stop - start)[:, None] * fraction
        values = function(points)
        place = np.nanargmax(np.where(np.isnan(values), -np.inf, values), axis=1)[:, None]
        best = np.maximum(best, np.take_along_axis(values, place, axis=1)[:, 0])
        start = np.take_along_axis(points, np.maximum(place - 1, 0), axis=1)[:, 0]
        stop = np.take_along_axis(points, np.minimum(place + 1, _N_POINTS - 1), axis=1)[:, 0]
    return best
