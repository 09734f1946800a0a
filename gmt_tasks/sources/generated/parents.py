"""Which crystals a made source starts from: named by an id, or all of a formula.

Reference crystals and decorated structure types need no database. Stored crystals are read from the database that the
command writes to, if it exists; of a formula only those that were read from elsewhere, so that what a source made does
not become its own parent when the command is repeated.

The content ids of stored parents are part of the source's fingerprint. A run that goes on therefore finds the very
parents that it began with in its own record, whatever has been stored since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gmt_tasks.sources.generated.decoration import decorations
from gmt_tasks.sources.generated.prototypes import NAME as PROTOTYPES
from gmt_tasks.sources.generated.prototypes import decorated_crystal, decoration_id, geometries
from gmt_tasks.sources.generated.reference_crystals import NAME as REFERENCE
from gmt_tasks.sources.generated.reference_crystals import ReferenceCrystal, reference_crystals
from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats, Ints
from models.crystals.formula import FormulaError, formula_amounts, normalized_formula
from models.errors import MissingError, SourceError
from models.fingerprint.content_id import identify

if TYPE_CHECKING:
    from db.store import ResultStore

T = TypeVar("T")

VOLUME_PER_ATOM_A3 = 20.0
"""At which shapes are compared."""


@dataclass(frozen=True)
class Parent:
    """A crystal that others are made from.

    Attributes:
        id: content id of a stored crystal, else an id such as "reference:quartz".
        lattice: rows a, b, c in angstrom, shape [3, 3].
        frac_coords: shape [n_atoms, 3].
        numbers: atomic numbers, shape [n_atoms].
        is_stored: whether it comes from the database.
    """

    id: str
    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    is_stored: bool = False

    def as_batch(self) -> CrystalBatch:
        """The crystal as a batch of one."""
        return as_batch([self])


def as_batch(parents: Sequence[Parent]) -> CrystalBatch:
    """Parents as one batch, in order."""
    return CrystalBatch.from_arrays(
        [parent.lattice for parent in parents],
        [parent.frac_coords for parent in parents],
        [parent.numbers for parent in parents],
    )


def digest_of(parents: Sequence[Parent]) -> str:
    """sha256 of ids and structures, in order."""
    digest = sha256()
    for parent in parents:
        digest.update(parent.id.encode())
        for array in (parent.lattice, parent.frac_coords, parent.numbers.astype(np.float64)):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class StoredCrystals:
    """The crystals of a database that may not exist yet.

    Attributes:
        database: path of an SQLite file or an SQLAlchemy URL; None where there is none.
    """

    database: str | Path | None = None

    def ids_of(self, of: str) -> list[str]:
        """Content ids of the stored crystals that an id or a formula means; empty where there are none.

        Raises:
            SourceError: an id means several crystals.
        """
        formula = formula_of(of)
        if of.startswith((f"{REFERENCE}:", f"{PROTOTYPES}:")):
            return []

        def ask(store: "ResultStore") -> list[str]:
            if formula:
                return store.read_crystals_of_formula(formula)
            try:
                return [store.find(of)]
            except MissingError as error:
                raise SourceError(str(error)) from None

        return self._ask(ask, [])

    def load(self, ids: Sequence[str]) -> list[Parent]:
        """The stored crystals of content ids, in that order; those that are gone are left out."""

        def ask(store: "ResultStore") -> list[Parent]:
            known, batch = store.labels.known_crystals(ids)
            atoms = [slice(*batch.first_atom[k : k + 2]) for k in range(len(known))]
            return [
                Parent(
                    known[k], batch.lattice[k], batch.frac_coords[of_crystal], batch.numbers[of_crystal], is_stored=True
                )
                for k, of_crystal in enumerate(atoms)
            ]

        return self._ask(ask, []) if ids else []

    def fingerprints_of_unfinished(self, source: str) -> list[str]:
        """Fingerprints of a source in runs that are not finished, newest run first."""
        return self._ask(lambda store: store.fingerprints_of_unfinished(source), [])

    def _ask(self, ask: Callable[["ResultStore"], T], otherwise: T) -> T:
        """An answer of the database; `otherwise` where there is none."""
        if self.database is None or ("://" not in str(self.database) and not Path(self.database).exists()):
            return otherwise
        # these cost a second: only where there is a database
        from db.engine import parse_url
        from db.store import ResultStore

        url = parse_url(self.database)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return otherwise
        with ResultStore.open_existing(self.database) as store:
            return ask(store)


def formula_of(of: str) -> str:
    """The reduced formula that a text means; "" for an id."""
    try:
        return normalized_formula(of)
    except FormulaError:
        return ""


def find_parents(of: str, stored: Sequence[Parent], *, with_prototypes: bool) -> list[Parent]:
    """The parents that an id or a formula means, each shape once: stored before published before decorated ones.

    Args:
        of: `reference:NAME`, `prototypes:TYPE:FORMULA`, a formula, or what `StoredCrystals.ids_of` understands.
        stored: the stored crystals that it means.
        with_prototypes: for a formula, decorated structure types as well.

    Raises:
        SourceError: it means no crystal.
    """
    prefix, colon, rest = of.partition(":")
    formula = formula_of(of)
    made_here: list[Parent] = []
    if colon and prefix == REFERENCE:
        made_here = [_published(crystal) for name, crystal in reference_crystals().items() if name == rest.lower()]
    elif colon and prefix == PROTOTYPES:
        made_here = [parent for parent in _decorated(rest.partition(":")[2]) if parent.id == of]
    elif formula:
        made_here = [_published(c) for c in reference_crystals().values() if formula == _formula(c.numbers)]
        made_here += _decorated(formula) if with_prototypes else []
    parents = _distinct([*made_here, *stored])
    if not parents:
        raise SourceError(
            f"No crystal is meant by {of!r}. Give a formula, an id that is stored in the database of --db, "
            f"reference:NAME or {PROTOTYPES}:TYPE:FORMULA."
        )
    return parents


def _distinct(parents: list[Parent]) -> list[Parent]:
    """Each shape once, whatever its volume: given are those that need no database first, taken the stored ones.

    A stored crystal that is a reference crystal keeps that name, so that to store it changes no fingerprint.
    """
    if not parents:
        return []
    exact = identify(as_batch(parents)).ids
    distinct = [parent for row, parent in enumerate(parents) if exact[row] not in exact[:row]]
    distinct.sort(key=lambda parent: not parent.is_stored)
    batch = as_batch(distinct)
    volume_per_atom = np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal
    at_one_density = batch.lattice * np.cbrt(VOLUME_PER_ATOM_A3 / volume_per_atom)[:, None, None]
    shapes = identify(replace(batch, lattice=at_one_density)).ids
    return [parent for row, parent in enumerate(distinct) if shapes[row] not in shapes[:row]]


def _formula(numbers: Ints) -> str:
    return CrystalBatch(np.eye(3)[None], np.zeros((len(numbers), 3)), numbers, np.zeros_like(numbers)).formulas()[0]


def _published(crystal: ReferenceCrystal) -> Parent:
    return Parent(crystal.source_id, crystal.lattice, crystal.frac_coords, crystal.numbers)


def _decorated(formula: str) -> list[Parent]:
    """The decorations of all structure types that have a formula."""
    reduced = formula_of(formula)
    if not reduced:
        return []
    elements = [SYMBOLS[number] for number in formula_amounts(reduced)]
    parents = []
    for geometry in geometries():
        for decoration in decorations(geometry, elements):
            crystal = decorated_crystal(decoration)
            if _formula(crystal.numbers) == reduced:
                parent = decoration_id(decoration)
                parents.append(Parent(parent, crystal.lattice, crystal.frac_coords, crystal.numbers))
    return parents
