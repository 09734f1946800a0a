"""Point defects in supercells: cells that would be many cells of a simpler crystal, but for a few atoms.

A vacancy, an impurity or an interstitial is computed in a supercell of its host. The lattice translations of the host
still map nearly all atoms on atoms of their element; only those at the defect, and those that would fall on it, have no
partner. In a crystal without defect a translation maps all atoms or, as a rule, few.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.applicability.kernels.translations import near_translations
from models.crystals.crystal import CrystalBatch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_CELLS = 7
"""Cells of the host in a cell that counts as a supercell with a defect, of eight of which one may be hidden by it.

With fewer a sixth or more of a site is another: compounds such as ordered alloys and double perovskites.
"""

TOLERANCE_ANGSTROM = 0.5
"""Beside a defect atoms are displaced by tenths of an angstrom, other places are farther than this from an atom."""

MOST_DISPLACED = 0.2
"""Share of the atoms that a translation of the host may move farther than that from an atom of their element."""

MISSING_ANGSTROM = 0.9
"""Where no atom of an element is as near as this there is none: in a hot cell atoms are displaced, not missing."""

MOST_MISSING = 1.0 / 7.0
"""Share of the atoms that may have none: a substitution leaves two without, of fourteen at least.

With more it is close-packed anions whose holes are filled here and there: molecules of SnCl4, sesquisulfides.
"""

_MOST_TRANSLATIONS = 16  # that are looked at for what kind a defect is


class DefectKind(StrEnum):
    """What a host's supercell has too little, other or too much."""

    VACANCY = "vacancy"
    SUBSTITUTION = "substitution"
    INTERSTITIAL = "interstitial"


@dataclass(frozen=True)
class NearTranslations:
    """Translations that map cells on themselves, in full or but for a few atoms.

    Attributes:
        crystals: the cells, atoms of an element one after the other.
        reference: the atom that each translation of a cell moves to another of its element; -1 for cells too small for
            a supercell with a defect, in which none is looked for, [n_crystals].
        unmatched: atoms that the translation from the reference to this atom leaves without a partner, -1 where it is
            no such translation, [n_atoms].
    """

    crystals: CrystalBatch
    reference: Ints
    unmatched: Ints

    def counts(self) -> tuple[Ints, Ints]:
        """Translations in full, and all of them, with the identity, [n_crystals] each."""
        owner, n_crystals = self.crystals.crystal_of_atom, self.crystals.n_crystals
        in_full, near = (
            np.bincount(owner[x], minlength=n_crystals) for x in (self.unmatched == 0, self.unmatched >= 0)
        )
        return in_full + 1, near + 1

    def kind(self, crystal: int) -> DefectKind:
        """What the defect of a cell is: atoms that hardly any translation maps on their like are part of it."""
        atoms = np.arange(*self.crystals.first_atom[crystal : crystal + 2])
        frac, numbers = self.crystals.frac_coords[atoms], self.crystals.numbers[atoms]
        chosen = atoms[self.unmatched[atoms] > 0][:_MOST_TRANSLATIONS]
        alike, other = np.zeros(len(atoms)), np.zeros(len(atoms))
        for target in chosen:
            moved = frac + self.crystals.frac_coords[target] - self.crystals.frac_coords[self.reference[crystal]]
            difference = moved[:, None] - frac
            vectors = (difference - np.round(difference)) @ self.crystals.lattice[crystal]
            is_near = np.square(vectors).sum(axis=2) < MISSING_ANGSTROM**2
            same = numbers[:, None] == numbers
            alike += (is_near & same).any(axis=1)
            other += (is_near & ~same).any(axis=1)
        extra = alike < 0.5 * len(chosen)
        if not extra.any():
            return DefectKind.VACANCY
        on_sites = other[extra] > 0.5 * len(chosen)
        return DefectKind.SUBSTITUTION if on_sites.any() else DefectKind.INTERSTITIAL


def find_near_translations(crystals: CrystalBatch) -> NearTranslations:
    """Looks for the translations of cells large enough for a supercell with a defect.

    Args:
        crystals: validated crystals.
    """
    order = np.lexsort((crystals.numbers, crystals.crystal_of_atom))
    ordered = CrystalBatch(
        crystals.lattice, crystals.frac_coords[order], crystals.numbers[order], crystals.crystal_of_atom
    )
    starts = np.flatnonzero(np.diff(ordered.crystal_of_atom * 128 + ordered.numbers, prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    blocks = np.repeat(np.stack([starts, starts + sizes], axis=1), sizes, axis=0)
    reference = np.full(crystals.n_crystals, -1, dtype=np.int64)
    owner = ordered.crystal_of_atom[starts]
    # of the rarest element of which each cell of the host can have an atom: it comes last and stays
    usable = (sizes >= LEAST_CELLS - 1) & (crystals.atoms_per_crystal[owner] >= 2 * LEAST_CELLS)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(-sizes[rows], kind="stable")]
    # the middle one: what was put into a cell stands first or last
    reference[owner[rows]] = starts[rows] + sizes[rows] // 2
    unmatched = np.full(len(order), -1, dtype=np.int64)
    if len(rows):
        atoms_of = ordered.first_atom, blocks
        limits = TOLERANCE_ANGSTROM, MOST_DISPLACED, MISSING_ANGSTROM, MOST_MISSING
        near_translations((ordered.lattice, reference), atoms_of, ordered.frac_coords, limits, unmatched)
    return NearTranslations(ordered, reference, unmatched)


def is_defect_supercell(crystals: CrystalBatch) -> Bools:
    """Cells that are at least seven cells of a host but for a few atoms, [n_crystals].

    Args:
        crystals: validated crystals.
    """
    in_full, near = find_near_translations(crystals).counts()
    return np.asarray(near >= LEAST_CELLS * in_full)


def defect_of(crystal: CrystalBatch) -> tuple[DefectKind, int]:
    """What the defect of one cell is, and about how many cells of its host the cell has.

    Args:
        crystal: one that `is_defect_supercell`.
    """
    translations = find_near_translations(crystal)
    return translations.kind(0), int(translations.counts()[1][0])
