"""The geometry of a structure type and its decorations: which ions fit its sites, and how large the cell then is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.generated.prototype_table import ANIONS, CATIONS, Prototype
from gmt_tasks.sources.parsed import ParsedCrystal

Floats = NDArray[np.float64]

MAX_MISFIT = 0.10
"""Largest relative deviation of a site's own scale from the common one; 0.10 keeps perovskites with a Goldschmidt
tolerance factor between about 0.82 and 1.22."""

_SHELL = 1.25
"""Anions within this factor of the nearest one coordinate a cation."""

_MIN_ANION_CONTACT = 1.35
"""Least anion-anion distance in units of the anion's radius; closer ones would be bonded."""

_MAX_COORDINATION = 13
_ROMAN = {"I": 1, "V": 5, "X": 10}


@dataclass(frozen=True)
class SiteClass:
    """The sites of one element of the example structure.

    Attributes:
        element: that element.
        multiplicity: number of sites in the primitive cell.
        coordination: anions around it (for a cation) or cations (for an anion), averaged and rounded.
        bond_length: mean distance to them in angstrom.
        anion: index of the anion class it is bonded to; -1 for an anion.
    """

    element: str
    multiplicity: int
    coordination: int
    bond_length: float
    anion: int


@dataclass(frozen=True)
class Geometry:
    """A structure type with its sites sorted into classes: cations first, then anions.

    Attributes:
        prototype: its row in the table.
        structure: the example structure.
        cations, anions: the classes.
        class_of_site: index into cations + anions, shape [n_atoms].
        anion_contacts: shortest anion-anion distance within each anion class, angstrom.
    """

    prototype: Prototype
    structure: ParsedCrystal
    cations: tuple[SiteClass, ...]
    anions: tuple[SiteClass, ...]
    class_of_site: NDArray[np.int64]
    anion_contacts: tuple[float, ...]

    @property
    def multiplicities(self) -> list[int]:
        """Number of sites of each class in the primitive cell, cations first."""
        return [site.multiplicity for site in self.cations + self.anions]


@dataclass(frozen=True)
class Decoration:
    """Ions for the classes of a geometry, and the scale of its cell.

    Attributes:
        elements: one per class, cations first.
        charges: oxidation state of each.
        scale: factor on the example's lattice.
        misfit: relative deviation of the worst site, 0 is a perfect fit.
    """

    geometry: Geometry
    elements: tuple[str, ...]
    charges: tuple[int, ...]
    scale: float
    misfit: float


def analyse(prototype: Prototype, structure: ParsedCrystal, symbols: Sequence[str]) -> Geometry:
    """Sorts the sites of an example structure into classes and measures their surroundings.

    Args:
        prototype: says which elements are anions.
        structure: the example.
        symbols: its element symbols, one per site.
    """
    is_anion = np.array([symbol in prototype.anions for symbol in symbols])
    distances = _nearest_images(structure.lattice, structure.frac_coords)
    cation_names = list(dict.fromkeys(s for s in symbols if s not in prototype.anions))
    anion_names = [name for name in prototype.anions if name in symbols]
    names = cation_names + anion_names
    class_of_site = np.array([names.index(symbol) for symbol in symbols])
    classes = [
        _site_class(index, name, class_of_site, is_anion, distances, len(cation_names))
        for index, name in enumerate(names)
    ]
    contacts = []
    for index in range(len(cation_names), len(names)):
        among = distances[class_of_site == index][:, class_of_site == index]
        contacts.append(float(among.min()))
    cations, anions = classes[: len(cation_names)], classes[len(cation_names) :]
    return Geometry(prototype, structure, tuple(cations), tuple(anions), class_of_site, tuple(contacts))


def decorations(geometry: Geometry, elements: Sequence[str]) -> Iterator[Decoration]:
    """All charge-balanced decorations whose ions fit, the best one for each set of elements on each formula.

    Args:
        geometry: the structure type.
        elements: the elements that may be used.
    """
    ions = [(symbol, charge) for symbol, charge in CATIONS if symbol in elements]
    best: dict[tuple[tuple[str, int], ...], Decoration] = {}
    for names in permutations([name for name in ANIONS if name in elements], len(geometry.anions)):
        for decoration in _fitting(geometry, names, ions):
            # The same formula may be had by exchanging elements between sites: the better fit is the likely crystal.
            formula = tuple(sorted(zip(decoration.elements, geometry.multiplicities, strict=True)))
            if formula not in best or decoration.misfit < best[formula].misfit:
                best[formula] = decoration
    yield from best.values()


def _fitting(geometry: Geometry, names: Sequence[str], ions: Sequence[tuple[str, int]]) -> Iterator[Decoration]:
    """Decorations with given anions: charge balance and size as arrays over all combinations of cations."""
    anions = [ANIONS[name] for name in names]
    radii = [anion.radius(site.coordination) for anion, site in zip(anions, geometry.anions, strict=True)]
    negative = sum(anion.charge * site.multiplicity for anion, site in zip(anions, geometry.anions, strict=True))
    chosen, scales, charges = [], [], []
    for site in geometry.cations:
        fitting = [
            (symbol, charge)
            for symbol, charge in ions
            if charge <= anions[site.anion].max_cation_charge
            and symbol not in names
            and _cation_radius(symbol, charge, site.coordination) is not None
        ]
        cation = np.array([_cation_radius(symbol, charge, site.coordination) for symbol, charge in fitting], np.float64)
        chosen.append(fitting)
        scales.append((cation + radii[site.anion]) / site.bond_length)
        charges.append(np.array([charge * site.multiplicity for _, charge in fitting], np.int64))
    # One axis per cation class: the sums over all combinations are outer sums of the classes' own.
    total, mean = np.array(negative), np.array(0.0)
    for by_ion, scale in zip(charges, scales, strict=True):
        total, mean = np.add.outer(total, by_ion), np.add.outer(mean, np.log(scale) / len(scales))
    misfit = np.zeros_like(mean)
    for axis, scale in enumerate(scales):
        shape = [-1 if other == axis else 1 for other in range(len(scales))]
        misfit = np.maximum(misfit, np.abs(np.log(scale).reshape(shape) - mean))
    contact = min((d / r for d, r in zip(geometry.anion_contacts, radii, strict=True)), default=np.inf)
    fits = (total == 0) & (misfit < MAX_MISFIT) & (np.exp(mean) * contact > _MIN_ANION_CONTACT)
    for combination in np.argwhere(fits).tolist():
        placed = [of_site[ion] for of_site, ion in zip(chosen, combination, strict=True)]
        elements = tuple(symbol for symbol, _ in placed)
        if len(set(elements)) == len(elements):  # an element on two sites would be another structure type
            index = tuple(combination)
            states = tuple(charge for _, charge in placed) + tuple(anion.charge for anion in anions)
            yield Decoration(geometry, (*elements, *names), states, float(np.exp(mean[index])), float(misfit[index]))


@cache
def _cation_radius(symbol: str, charge: int, coordination: int) -> float | None:
    """Shannon crystal radius in angstrom at the tabulated coordination nearest to the wanted one, None if none is."""
    radii = shannon_radii(symbol).get(charge, {})
    near = [number for number in radii if abs(number - coordination) <= (1 if coordination <= 6 else 2)]
    return radii[min(near, key=lambda number: abs(number - coordination))] if near else None


@cache
def shannon_radii(symbol: str) -> dict[int, dict[int, float]]:
    """Crystal radii of an element in angstrom by charge and coordination number (high spin where spin matters).

    Source: R. D. Shannon, Acta Crystallogr. A 32, 751 (1976), as pymatgen ships it.
    """
    from pymatgen.core.periodic_table import Element  # costs half a second: only where prototypes are made

    table: dict[int, dict[int, float]] = {}
    # some elements have none, and where no radius was published an entry has no charge
    published = Element(symbol).data.get("Shannon radii") or {}
    for charge, by_coordination in published.items():
        if not charge:
            continue
        for roman, by_spin in by_coordination.items():
            entry = by_spin.get("High Spin") or by_spin.get("") or next(iter(by_spin.values()))
            # Square-planar (SQ) and pyramidal (PY) entries give way to the regular one of the same number.
            values = [_ROMAN[letter] for letter in roman.rstrip("SQPY")]
            # A smaller numeral before a larger one is subtracted.
            number = sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))
            table.setdefault(int(charge), {}).setdefault(number, float(entry["crystal_radius"]))
    return table


def _nearest_images(lattice: Floats, frac_coords: Floats) -> Floats:
    """Distances between all sites and images, shape [n_atoms, n_atoms, n_images], own site infinitely far."""
    # Two cells in each direction hold every first coordination shell of these reduced cells.
    images = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)])
    wrapped = frac_coords - np.floor(frac_coords)
    delta = wrapped[None, :, None] + images[None, None] - wrapped[:, None, None]
    distances: Floats = np.linalg.norm(delta @ lattice, axis=-1)
    distances[distances < 1e-3] = np.inf
    return distances


def _site_class(
    index: int,
    name: str,
    class_of_site: NDArray[np.int64],
    is_anion: NDArray[np.bool_],
    distances: Floats,
    n_cations: int,
) -> SiteClass:
    """Coordination and bond length of one class, over its sites."""
    sites = np.flatnonzero(class_of_site == index)
    partners = is_anion if index < n_cations else ~is_anion
    counts, lengths, nearest = [], [], []
    for site in sites:
        around = distances[site, partners]
        shell = around[around < _SHELL * around.min()]
        counts.append(len(shell))
        lengths.append(float(shell.mean()))
        nearest.append(int(class_of_site[partners][around.min(axis=1).argmin()]))
    coordination = min(round(float(np.mean(counts))), _MAX_COORDINATION)
    bonded = max(set(nearest), key=nearest.count) - n_cations if index < n_cations else -1
    return SiteClass(name, len(sites), coordination, float(np.mean(lengths)), bonded)
