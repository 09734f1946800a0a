"""A crystal, validated once, and many crystals as flat arrays.

`Crystal` is one frozen crystal whose constructor validates; nothing below re-checks. `CrystalBatch` is the form in
which crystals travel: one set of flat numpy arrays, never a list of Python objects. Rows of `lattice` are a, b, c in
angstrom in a right- or left-handed Cartesian frame, the "input frame" in which every predicted tensor is given.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import gcd

import numpy as np
from numpy.typing import NDArray

from models.crystals.neighbors import cell_heights, closest_pairs, reduce_lattices
from models.errors import GmtError, Reason

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_ATOMIC_NUMBER = 118
MIN_DISTANCE_ANGSTROM = 0.5
MIN_HEIGHT_ANGSTROM = 0.8
MIN_VOLUME_PER_ATOM_A3 = 1.0
MAX_VOLUME_PER_ATOM_A3 = 5000.0
MAX_ATOMS = 1000
MAX_FRACTIONAL = 1e6

SYMBOLS: tuple[str, ...] = tuple(
    (
        "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
        "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb "
        "Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf "
        "Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og "
    ).split()
)
"""Element symbols by atomic number; entry 0 is a placeholder."""


class InvalidCrystalError(GmtError):
    """A crystal is refused; `reason` is from the closed list, `detail` says where and how much."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.sentence} {detail}. {reason.advice}")
        self.reason = reason
        self.detail = detail


def rows_of(counts: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """Rows that belong to the chosen owners when owner k has counts[k] consecutive rows, and each row's new owner."""
    return rows_between(np.concatenate([[0], np.cumsum(counts)]), chosen)


def rows_between(firsts: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """Rows of the chosen owners when owner k has firsts[k] to firsts[k + 1], that one excluded, and the new owners."""
    starts = firsts[chosen]
    sizes = firsts[chosen + 1] - starts
    owner = np.repeat(np.arange(len(chosen)), sizes)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts[owner] + within, owner


@dataclass(frozen=True)
class CrystalBatch:
    """Many crystals as flat arrays.

    Attributes:
        lattice: rows a, b, c in angstrom, shape [n_crystals, 3, 3].
        frac_coords: fractional coordinates, shape [n_atoms, 3].
        numbers: atomic numbers, shape [n_atoms].
        crystal_of_atom: index of the crystal an atom belongs to, ascending, shape [n_atoms].
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    crystal_of_atom: Ints

    @property
    def n_crystals(self) -> int:
        """Number of crystals."""
        return len(self.lattice)

    @cached_property
    def atoms_per_crystal(self) -> Ints:
        """Number of atoms of each crystal, shape [n_crystals]."""
        return np.bincount(self.crystal_of_atom, minlength=self.n_crystals).astype(np.int64)

    @cached_property
    def first_atom(self) -> Ints:
        """Index of each crystal's first atom and, last, the number of atoms, shape [n_crystals + 1]."""
        return np.concatenate([[0], np.cumsum(self.atoms_per_crystal)]).astype(np.int64)

    def select(self, crystals: Sequence[int] | Ints) -> "CrystalBatch":
        """The crystals of the given indices, in that order."""
        chosen = np.asarray(crystals, dtype=np.int64)
        atoms, owner = rows_of(self.atoms_per_crystal, chosen)
        return CrystalBatch(self.lattice[chosen], self.frac_coords[atoms], self.numbers[atoms], owner)

    @staticmethod
    def from_arrays(
        lattices: Sequence[Floats] | Floats, frac_coords: Sequence[Floats], numbers: Sequence[Ints]
    ) -> "CrystalBatch":
        """Joins per-crystal arrays (lattice [3, 3], frac_coords [n, 3], numbers [n]) without validating them."""
        if not len(lattices):
            return CrystalBatch(np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0, np.int64))
        counts = [len(z) for z in numbers]
        return CrystalBatch(
            np.asarray(lattices, dtype=np.float64).reshape(-1, 3, 3),
            np.concatenate([np.asarray(x, dtype=np.float64).reshape(-1, 3) for x in frac_coords]),
            np.concatenate([np.asarray(z, dtype=np.int64) for z in numbers]),
            np.repeat(np.arange(len(counts)), counts),
        )

    @staticmethod
    def join(batches: Iterable["CrystalBatch"]) -> "CrystalBatch":
        """Concatenates batches in order."""
        parts = [b for b in batches if b.n_crystals]
        if not parts:
            return CrystalBatch.from_arrays([], [], [])
        shifts = np.cumsum([0] + [b.n_crystals for b in parts[:-1]])
        return CrystalBatch(
            np.concatenate([b.lattice for b in parts]),
            np.concatenate([b.frac_coords for b in parts]),
            np.concatenate([b.numbers for b in parts]),
            np.concatenate([b.crystal_of_atom + s for b, s in zip(parts, shifts, strict=True)]),
        )

    def formulas(self) -> list[str]:
        """Reduced formulas in alphabetical order of the symbols, one per crystal (e.g. "AlN", "O2Si")."""
        pairs, counts = np.unique(self.crystal_of_atom * len(SYMBOLS) + self.numbers, return_counts=True)
        owners = pairs // len(SYMBOLS)
        starts = np.searchsorted(owners, np.arange(self.n_crystals + 1)).tolist()
        species, amounts = (pairs % len(SYMBOLS)).tolist(), counts.tolist()
        return [formula_of_counts(species[a:b], amounts[a:b]) for a, b in pairwise(starts)]


@dataclass(frozen=True)
class Crystal:
    """One crystal; the constructor refuses what no calculation should see.

    Attributes:
        lattice: rows a, b, c in angstrom, shape [3, 3].
        frac_coords: fractional coordinates, shape [n_atoms, 3].
        numbers: atomic numbers 1 to 118, shape [n_atoms].

    Raises:
        InvalidCrystalError: with the first reason that `find_invalid` gives.
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    _batch: CrystalBatch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lattice = np.array(self.lattice, dtype=np.float64).reshape(3, 3)
        frac_coords = np.array(self.frac_coords, dtype=np.float64).reshape(-1, 3)
        numbers = np.array(self.numbers, dtype=np.int64).reshape(-1)
        if len(frac_coords) != len(numbers):
            detail = f"{len(frac_coords)} positions but {len(numbers)} species"
            raise InvalidCrystalError(Reason.PARSE, detail)
        for array in (lattice, frac_coords, numbers):
            array.flags.writeable = False
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "frac_coords", frac_coords)
        object.__setattr__(self, "numbers", numbers)
        batch = CrystalBatch(lattice[None], frac_coords, numbers, np.zeros(len(numbers), np.int64))
        problems = find_invalid(batch)
        if problems:
            reason, detail = problems[0]
            raise InvalidCrystalError(reason, detail)
        object.__setattr__(self, "_batch", batch)

    def as_batch(self) -> CrystalBatch:
        """This crystal as a batch of one."""
        return self._batch

    @property
    def formula(self) -> str:
        """Reduced formula, symbols in alphabetical order."""
        return reduced_formula(self.numbers)


def reduced_formula(numbers: Ints) -> str:
    """Reduced formula of a list of atomic numbers, symbols in alphabetical order, e.g. "AlN", "O2Si"."""
    species, amounts = np.unique(numbers, return_counts=True)
    return formula_of_counts(species.tolist(), amounts.tolist())


def formula_of_counts(species: Sequence[int], amounts: Sequence[int]) -> str:
    """Reduced formula of different atomic numbers and how many atoms of each there are."""
    divisor = gcd(*amounts)
    parts = sorted((SYMBOLS[z], n // divisor) for z, n in zip(species, amounts, strict=True))
    return "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in parts)


def find_invalid(batch: CrystalBatch, max_atoms: int = MAX_ATOMS) -> dict[int, tuple[Reason, str]]:
    """Crystals that no calculation should see, with the reason and a detail; every check is one pass over arrays.

    Args:
        batch: crystals as a source gave them.
        max_atoms: largest number of atoms in a cell.

    Returns:
        For each refused crystal its index, the reason and where it went wrong.
    """
    problems = find_malformed(batch, max_atoms)
    rows = _all_but(problems, batch.n_crystals)
    sound = batch.select(rows)
    pairs = closest_pairs(sound.lattice, sound.frac_coords, sound.crystal_of_atom, MIN_DISTANCE_ANGSTROM)
    return problems | {int(rows[k]): overlap_problem(*pair) for k, pair in pairs.items()}


def overlap_problem(first: int, second: int, distance: float) -> tuple[Reason, str]:
    """Why a crystal is refused in which two atoms (0-based) are closer than 0.5 angstrom."""
    return Reason.OVERLAP, f"atoms {first} and {second} (0-based) are {distance:.3f} angstrom apart"


def find_malformed(batch: CrystalBatch, max_atoms: int = MAX_ATOMS) -> dict[int, tuple[Reason, str]]:
    """The crystals that `find_invalid` refuses before it looks at the distances between atoms.

    For those who search for neighbours anyway: they see in their own search which atoms overlap. The order of the
    checks is that of what the next one relies on: finite numbers first, because the native libraries further down
    crash on NaN; then species, size, cell and density.

    Args:
        batch: crystals as a source gave them.
        max_atoms: largest number of atoms in a cell.
    """
    problems: dict[int, tuple[Reason, str]] = {}
    counts = batch.atoms_per_crystal

    # the first reason stays: what comes later may be only its consequence
    def refuse(bad: NDArray[np.bool_], reason: Reason, detail: Callable[[int], str]) -> None:
        for crystal in np.flatnonzero(bad).tolist():
            problems.setdefault(crystal, (reason, detail(crystal)))

    def n_atoms_with(bad: NDArray[np.bool_] | np.bool_) -> Ints:
        return np.bincount(batch.crystal_of_atom[bad], minlength=batch.n_crystals)

    refuse(counts == 0, Reason.EMPTY, lambda _: "0 atoms")
    finite_cell = np.asarray(np.isfinite(batch.lattice).all(axis=(1, 2)))
    infinite = n_atoms_with(~np.isfinite(batch.frac_coords).all(axis=1))
    refuse(
        ~finite_cell | (infinite > 0),
        Reason.NONFINITE,
        lambda k: f"lattice finite: {bool(finite_cell[k])}, positions not finite: {infinite[k]}",
    )
    far = n_atoms_with((np.abs(batch.frac_coords) > MAX_FRACTIONAL).any(axis=1))
    refuse(
        far > 0,
        Reason.NONFINITE,
        lambda k: f"{far[k]} positions are more than {MAX_FRACTIONAL:g} lattice vectors away, their digits are lost",
    )
    wrong = n_atoms_with((batch.numbers < 1) | (batch.numbers > MAX_ATOMIC_NUMBER))
    refuse(wrong > 0, Reason.UNKNOWN_SPECIES, lambda k: f"{wrong[k]} atoms with an atomic number outside 1 to 118")
    refuse(counts > max_atoms, Reason.TOO_LARGE, lambda k: f"{counts[k]} atoms, limit {max_atoms}")
    return problems | _find_malformed_cells(batch, _all_but(problems, batch.n_crystals))


def _all_but(problems: Iterable[int], n_crystals: int) -> Ints:
    """Indices of the crystals without a problem."""
    sound = np.ones(n_crystals, dtype=bool)
    sound[list(problems)] = False
    return np.flatnonzero(sound)


def _find_malformed_cells(batch: CrystalBatch, rows: Ints) -> dict[int, tuple[Reason, str]]:
    """Those of the given crystals whose cell is flat, empty or far too dense; heights are of the reduced cell."""
    lattice = batch.lattice[rows]
    # through the largest entry first: the square of 1e200 is infinite
    lengths = np.abs(lattice).max(axis=2, initial=0)
    usable = (lengths.min(axis=1, initial=np.inf) > 1e-4) & (lengths.max(axis=1, initial=0) < 1e4)
    lengths[usable] = np.linalg.norm(lattice[usable], axis=2)
    volume = np.zeros(len(rows))
    volume[usable] = np.abs(np.linalg.det(lattice[usable]))
    usable &= (lengths.min(axis=1, initial=np.inf) > 1e-3) & (lengths.max(axis=1, initial=0) < 1e4)
    usable[usable] = volume[usable] > 1e-7 * np.prod(lengths[usable], axis=1)
    # a cell without volume cannot be reduced: its heights stay 0
    heights = np.zeros((len(rows), 3))
    heights[usable] = cell_heights(reduce_lattices(lattice[usable])[0])
    thinnest = heights.min(axis=1, initial=np.inf)
    per_atom = volume / np.maximum(batch.atoms_per_crystal[rows], 1)
    flat = ~usable | (per_atom > MAX_VOLUME_PER_ATOM_A3)
    dense = (per_atom < MIN_VOLUME_PER_ATOM_A3) | (thinnest < MIN_HEIGHT_ANGSTROM)
    problems: dict[int, tuple[Reason, str]] = {}
    for k in np.flatnonzero(flat | dense).tolist():
        shown = ", ".join(f"{length:.5g}" for length in lengths[k])
        size = f"{per_atom[k]:.3g} angstrom^3 per atom, thinnest cell height {thinnest[k]:.3g} angstrom"
        problems[int(rows[k])] = (
            (Reason.DEGENERATE_CELL, f"volume {volume[k]:.3g} angstrom^3, lengths {shown} angstrom")
            if flat[k]
            else (Reason.TOO_DENSE, size)
        )
    return problems
