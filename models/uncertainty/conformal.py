"""Normalised split-conformal intervals: as wide as held-out errors say, wider where the ensemble disagrees.

A held-out crystal has an error r and a spread s of the networks. Its score is r / ((s + floor) f), with f a factor of
its crystal system. An interval reaches q (s + floor) f to both sides, where q is the k-th smallest of n scores,
k = ceil((n + 1)(1 - alpha)). For a new crystal that is exchangeable with the held-out ones the error is inside with a
probability of at least 1 - alpha, whatever the network and the distribution of the errors.

Where errors are skewed the two ends are taken apart: the upper end from the (1 - alpha / 2)-quantile of the signed
scores (label - prediction), the lower end from that of the negative ones.

Floor and factors only shape the widths: they are chosen on the same crystals, before q is taken. The factor of a
system is the ratio of its own quantile to the pooled one, drawn towards 1 where the system has few crystals.

Source: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005); H. Papadopoulos et al., in
Proc. ECML (2002); A. N. Angelopoulos, S. Bates, arXiv:2107.07511 (2021), sections 1 and 2.3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHA = 0.1
"""Intervals are for 1 - ALPHA = 90 %."""

SMALLEST_N = 20
"""With fewer labelled crystals there is no interval: the quantile would be the largest of a handful of errors."""

SMALLEST_SYSTEM = 20
"""Crystal systems with fewer labelled crystals share one width."""

SHRINKAGE = 10.0
"""Number of crystals at which a system's own quantile and the pooled one count the same."""

FLOORS = np.geomspace(0.05, 20.0, 25)
"""Floors that are tried, as multiples of the median error."""


@dataclass(frozen=True)
class Groups:
    """Which crystals share a factor of their width, found once for all quantities.

    Attributes:
        names: of crystal systems, each once.
        of_crystal: places among the names, [n_crystals].
    """

    names: tuple[str, ...]
    of_crystal: NDArray[np.int64]

    @staticmethod
    def of(system: NDArray[np.str_]) -> "Groups":
        """The groups of crystal systems, [n_crystals]."""
        place_of: dict[str, int] = {}
        places = [place_of.setdefault(name, len(place_of)) for name in system.tolist()]
        return Groups(tuple(place_of), np.array(places, dtype=np.int64))


@dataclass(frozen=True)
class SystemWidth:
    """Width of a crystal system relative to the pooled one, and its number of labelled crystals."""

    n: int
    factor: float


@dataclass(frozen=True)
class ConformalWidth:
    """Half widths of one quantity.

    Attributes:
        n: number of labelled crystals that it comes from.
        floor: what is added to the spread, on the quantity's scale.
        quantile: of the scores; infinite when n is too small.
        systems: factors by crystal system.
        quantile_below: of the scores of labels below their predictions, where `quantile` is that of labels above; None
            where one quantile is for both.
    """

    n: int
    floor: float
    quantile: float
    systems: dict[str, SystemWidth]
    quantile_below: float | None = None

    def reaches(self, spread: Floats, system: NDArray[np.str_] | Groups) -> tuple[Floats, Floats]:
        """How far the intervals reach below and above the predictions on the quantity's scale; see `half_width`."""
        above = self._reach(self.quantile, spread, system)
        return above if self.quantile_below is None else self._reach(self.quantile_below, spread, system), above

    def half_width(self, spread: Floats, system: NDArray[np.str_] | Groups) -> Floats:
        """Half widths on the quantity's scale.

        Args:
            spread: of the networks, on the scale, [n_crystals].
            system: crystal systems, [n_crystals].

        Returns:
            [n_crystals]; infinite where labels are too few, NaN where the networks have no spread.
        """
        below, above = self.reaches(spread, system)
        return (below + above) / 2

    def _reach(self, quantile: float, spread: Floats, system: NDArray[np.str_] | Groups) -> Floats:
        width = (spread + self.floor) * factors_of(self.systems, system)
        return width * quantile if math.isfinite(quantile) else np.full(len(width), math.inf)

    def to_json(self) -> dict[str, Any]:
        """Plain data; an infinite quantile is null."""
        systems = {name: {"n": width.n, "factor": _short(width.factor)} for name, width in self.systems.items()}
        quantile = _short(self.quantile) if math.isfinite(self.quantile) else None
        plain = {"n": self.n, "floor": _short(self.floor), "quantile": quantile, "systems": systems}
        return plain if self.quantile_below is None else plain | {"quantile_below": _short(self.quantile_below)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "ConformalWidth":
        """Reads what `to_json` wrote."""
        quantile = math.inf if data["quantile"] is None else float(data["quantile"])
        systems = {name: SystemWidth(int(row["n"]), float(row["factor"])) for name, row in data["systems"].items()}
        below = data.get("quantile_below")
        return ConformalWidth(
            int(data["n"]), float(data["floor"]), quantile, systems, None if below is None else float(below)
        )


@dataclass(frozen=True)
class Calibration:
    """Widths of all quantities of one model.

    Attributes:
        alpha: intervals miss with this probability.
        n_networks: of the ensemble it was made with; another number of networks needs another calibration.
        widths: by name of a derived number, or of the error column of a tensor.
        widening: likewise, how much wider intervals are away from equilibrium (models/applicability/equilibrium.py);
            empty for a model that does not know how far a crystal is from its own.
    """

    alpha: float
    n_networks: int
    widths: dict[str, ConformalWidth]
    widening: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data for a model card."""
        widths = {name: width.to_json() for name, width in self.widths.items()}
        plain: dict[str, Any] = {"alpha": self.alpha, "members": self.n_networks, "widths": widths}
        widening = {name: _short(value) for name, value in self.widening.items()}
        return plain | {"widening": widening} if widening else plain

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Calibration":
        """Reads what `to_json` wrote; an empty dict is a model without calibration."""
        widths = {name: ConformalWidth.from_json(row) for name, row in data.get("widths", {}).items()}
        widening = {name: float(value) for name, value in data.get("widening", {}).items()}
        return Calibration(float(data.get("alpha", ALPHA)), int(data.get("members", 1)), widths, widening)


def calibrate_width(error: Floats, spread: Floats, system: NDArray[np.str_], *, alpha: float = ALPHA) -> ConformalWidth:
    """Floor, factors and quantile from held-out crystals.

    Args:
        error: |label - prediction| on the quantity's scale, [n_crystals]; NaN where there is no label or prediction.
        spread: of the networks on the scale, [n_crystals].
        system: crystal systems, [n_crystals].
        alpha: share of misses.
    """
    usable = np.isfinite(error) & np.isfinite(spread)
    error, spread, system = error[usable], spread[usable], system[usable]
    if len(error) < SMALLEST_N:
        return ConformalWidth(len(error), 0.0, math.inf, {})
    floor = best_floor(error, spread, alpha)
    scores = error / (spread + floor)
    systems = system_widths(scores, system, alpha)
    quantile = finite_sample_quantile(scores / factors_of(systems, system), alpha)
    return ConformalWidth(len(error), floor, quantile, systems)


def calibrate_skewed_width(
    error: Floats,
    spread: Floats,
    system: NDArray[np.str_],
    mean_width: Callable[[Floats, Floats], float],
    *,
    alpha: float = ALPHA,
) -> ConformalWidth:
    """Floor, factors and one quantile for each side from held-out crystals.

    Args:
        error: label - prediction on the quantity's scale, [n_crystals]; NaN where there is no label or prediction.
        spread: of the networks on the scale, [n_crystals].
        system: crystal systems, [n_crystals].
        mean_width: mean width in the quantity's unit of intervals that reach so far below and above the predictions
            on the scale, each [n_crystals]; the floor with the shortest intervals is taken.
        alpha: share of misses, half of them on either side.
    """
    usable = np.isfinite(error) & np.isfinite(spread)
    if usable.sum() < SMALLEST_N:
        return ConformalWidth(int(usable.sum()), 0.0, math.inf, {})
    signed, median = error[usable], float(np.median(np.abs(error[usable])))
    floors = (median if median > 0 else float(np.abs(signed).max()) or 1.0) * FLOORS
    means = []
    for floor in floors:
        below, above = _both_quantiles(signed / (spread[usable] + floor), alpha)
        # of all crystals: those without a label have no finite width and do not count
        means.append(mean_width(below * (spread + floor), above * (spread + floor)))
    floor = float(floors[np.argmin(means)])
    scores = signed / (spread[usable] + floor)
    systems = system_widths(np.abs(scores), system[usable], alpha)
    below, above = _both_quantiles(scores / factors_of(systems, system[usable]), alpha)
    if not math.isfinite(above) or not math.isfinite(below):
        return ConformalWidth(len(signed), 0.0, math.inf, {})
    return ConformalWidth(len(signed), floor, above, systems, below)


def _both_quantiles(scores: Floats, alpha: float) -> tuple[float, float]:
    """Quantiles of the negative and of the positive scores, each for half of the misses and not below 0.

    A side on which labels never lie would get a negative one; an interval holds its prediction.
    """
    below, above = (finite_sample_quantile(side * scores, alpha / 2) for side in (-1.0, 1.0))
    return max(below, 0.0), max(above, 0.0)


def finite_sample_quantile(scores: Floats, alpha: float) -> float:
    """The ceil((n + 1)(1 - alpha))-th smallest of n scores; infinite when there is none."""
    # a product that is a whole number but for its last bit must not be rounded up to the next one
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    return float(np.partition(scores, rank - 1)[rank - 1]) if 1 <= rank <= len(scores) else math.inf


def best_floor(error: Floats, spread: Floats, alpha: float) -> float:
    """The floor that makes the intervals of these crystals shortest, by their mean logarithm.

    Without any spread (a single network) every floor gives the same intervals and the median error is taken.
    """
    median = float(np.median(error))
    floors = (median if median > 0 else float(error.max()) or 1.0) * FLOORS
    if not spread.any():
        return float(floors[len(floors) // 2])
    widths = spread[None, :] + floors[:, None]
    # the mean logarithm: an interval twice as long counts the same for a small and a large number
    quantiles = np.array([finite_sample_quantile(error / width, alpha) for width in widths])
    return float(floors[np.argmin(np.log(np.maximum(quantiles, 1e-300)) + np.log(widths).mean(axis=1))])


def system_widths(scores: Floats, system: NDArray[np.str_], alpha: float) -> dict[str, SystemWidth]:
    """Factor of every crystal system among the scores, drawn towards 1 by SHRINKAGE crystals.

    Systems with fewer than SMALLEST_SYSTEM crystals are taken together: rare systems are mostly those of low symmetry,
    whose tensors have many components, and are off by more than the common ones.
    """
    pooled = finite_sample_quantile(scores, alpha)
    names, counts = np.unique(system, return_counts=True)
    rare = names[counts < SMALLEST_SYSTEM]
    widths = {}
    for name, n in zip(names.tolist(), counts.tolist(), strict=True):
        of_system = scores[np.isin(system, rare) if name in rare else system == name]
        own = finite_sample_quantile(of_system, alpha)
        factor = 1.0
        if len(of_system) >= SMALLEST_SYSTEM and 0 < own < math.inf and 0 < pooled < math.inf:
            # few crystals know their own quantile badly: their factor is drawn towards 1, that of the pooled one
            factor = math.exp(len(of_system) / (len(of_system) + SHRINKAGE) * math.log(own / pooled))
        widths[name] = SystemWidth(n, factor)
    return widths


def factors_of(systems: dict[str, SystemWidth], system: "NDArray[np.str_] | Groups") -> Floats:
    """The factor of each crystal, 1 for a system that was never seen, [n_crystals]."""
    groups = system if isinstance(system, Groups) else Groups.of(system)
    factor_of_name = [systems[name].factor if name in systems else 1.0 for name in groups.names]
    return np.array(factor_of_name, dtype=np.float64)[groups.of_crystal]


def _short(value: float) -> float:
    """Six significant digits: a card is for reading."""
    return float(f"{value:.6g}")
