"""Hits with everything about them: structures and tensors beside the row, for files and for arrays in Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, select

from db.bulk import chunks
from db.codec import read_crystals, read_tensor
from db.query.sql.conditions import COLUMNS, HITS
from db.records import Floats
from db.tables import crystals, results
from models.crystals.crystal import CrystalBatch
from models.quantities import TENSORS, Tensor
from models.tensors.rotate import rotate

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

KEY_FIELDS = ("id", "model")
"""Which result a row is."""

ROUNDING = 1e-12
"""Less than this share of a tensor's largest entry is what a rotation in float64 leaves of an exact zero."""


class Frame(StrEnum):
    """The Cartesian frame in which tensors and lattice rows are given."""

    INPUT = "input"
    IEEE = "ieee"


@dataclass(frozen=True)
class Hits:
    """Results with their structures and tensors, one entry per hit.

    Attributes:
        rows: the properties asked for, `id` and `model` among them.
        crystals: the structures; lattice rows in angstrom, in the frame.
        tensors: in their quantity's stored shape and unit, each [n_hits, ...], in the frame; NaN where not predicted.
        frame: in which the lattice rows and the tensors are given.
    """

    rows: list[dict[str, Any]]
    crystals: CrystalBatch
    tensors: dict[Tensor, Floats]
    frame: Frame = Frame.INPUT

    @property
    def ids(self) -> list[str]:
        """Content ids of the crystals."""
        return [row["id"] for row in self.rows]

    def rotated(self, rotations: Floats, frame: Frame) -> "Hits":
        """The same hits in another frame: lattice rows and tensors rotated together, fractional coordinates kept.

        Args:
            rotations: per hit the matrix that takes vectors of the present frame into the new one, [n_hits, 3, 3].
            frame: what the new one is.
        """
        lattice = np.einsum("nij,nkj->nki", rotations, self.crystals.lattice)
        tensors = {}
        for tensor, values in self.tensors.items():
            rotated = rotate(tensor, values, rotations)
            # What symmetry makes 0 comes out as a rounding error, and is 0 again.
            largest = np.abs(rotated).max(axis=tuple(range(1, rotated.ndim)), keepdims=True)
            tensors[tensor] = np.where(np.abs(rotated) < ROUNDING * largest, 0.0, rotated)
        return Hits(self.rows, replace(self.crystals, lattice=lattice), tensors, frame)

    def structures(self) -> "list[Structure]":
        """The crystals as pymatgen Structures, each with its row as `properties`."""
        from pymatgen.core.structure import Structure

        bounds, batch = self.crystals.first_atom.tolist(), self.crystals
        return [
            Structure(
                batch.lattice[place],
                batch.numbers[bounds[place] : bounds[place + 1]].tolist(),
                batch.frac_coords[bounds[place] : bounds[place + 1]],
                properties=dict(row),
            )
            for place, row in enumerate(self.rows)
        ]


def load_hits(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Hits:
    """Structures and tensors of rows that a search found.

    Args:
        connection: to the database.
        rows: of `Page.rows`, with the fields `id` and `model`.
    """
    arrays = [crystals.c.lattice, crystals.c.numbers, crystals.c.frac_coords]
    tensors = [results.c[tensor.value] for tensor in Tensor]
    keys = [COLUMNS[name].label(name) for name in KEY_FIELDS]
    found: dict[tuple[str, str], Any] = {}
    ids = list(dict.fromkeys(row["id"] for row in rows))
    for chunk in chunks(ids):
        chosen = select(*keys, *arrays, *tensors).select_from(HITS).where(COLUMNS["id"].in_(chunk))
        for row in connection.execute(chosen).mappings():
            found[row["id"], row["model"]] = row
    stored = [found[row["id"], row["model"]] for row in rows]
    batch = read_crystals(
        [row["lattice"] for row in stored], [row["numbers"] for row in stored], [row["frac_coords"] for row in stored]
    )
    return Hits([dict(row) for row in rows], batch, {tensor: _stacked(tensor, stored) for tensor in Tensor})


def _stacked(tensor: Tensor, stored: Sequence[Mapping[str, Any]]) -> Floats:
    """One tensor of every row, NaN where the model did not predict it, shape [n_rows, ...]."""
    stacked = np.full((len(stored), *TENSORS[tensor].shape), np.nan)
    for place, row in enumerate(stored):
        values = read_tensor(tensor, row[tensor.value])
        if values is not None:
            stacked[place] = values
    return stacked
