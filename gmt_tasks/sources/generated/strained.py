"""Strained crystals as a source: what elastic and piezoelectric models see of a crystal under load.

Of every parent come, in this order, its cell with the volume changed, stretched and compressed along the Cartesian
axes, sheared in their planes, and then under random strains. Atoms keep their fractional coordinates: ions are clamped.
Strains that the crystal's symmetry maps onto each other give the same crystal, which a run counts as a duplicate.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from db.records import Lineage, LineageOperation
from gmt_tasks.sources.generated.from_parents import SourceFromParents, open_from_parents
from gmt_tasks.sources.generated.parameters import fraction, read_parameters, text_value, whole_number
from gmt_tasks.sources.generated.parents import Parent
from gmt_tasks.sources.parsed import ParsedCrystal
from models.crystals.crystal import Floats
from models.errors import SourceError

NAME = "strained"
DATA_VERSION = 1
"""Raised whenever the rules change what a seed gives."""

MAX_STRAIN = 0.2

_READERS = {"of": text_value, "strain": fraction(0, MAX_STRAIN), "n": whole_number(1), "seed": whole_number()}

_UNIT_STRAINS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("volumetric", (1, 1, 1, 0, 0, 0)),
    ("uniaxial x", (1, 0, 0, 0, 0, 0)),
    ("uniaxial y", (0, 1, 0, 0, 0, 0)),
    ("uniaxial z", (0, 0, 1, 0, 0, 0)),
    ("shear yz", (0, 0, 0, 2, 0, 0)),
    ("shear xz", (0, 0, 0, 0, 2, 0)),
    ("shear xy", (0, 0, 0, 0, 0, 2)),
)
"""Kind and Voigt strain (11, 22, 33, 23, 13, 12, shears doubled) of those that come first, each with both signs."""


class StrainedSource(SourceFromParents):
    """Strains of parents as a source.

    Args:
        name: the source as the user wrote it.
        parents: in order; all strains of the first come first.
        strain: size of the strain: eta_ij of the systematic ones, largest |eta_ij| of the random ones.
        n: crystals of each parent.
        seed: of the random strains.
    """

    GATES = ("distances",)
    """The others say nothing here: charges and volume are those of its parent."""

    def __init__(
        self,
        name: str,
        parents: Sequence[Parent],
        *,
        strain: float = 0.02,
        n: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(name, parents)
        self.strain = strain
        self.n = n
        self.seed = seed

    @classmethod
    def from_text(cls, text: str, database: str | Path | None = None) -> "StrainedSource":
        """Reads `strained:of=ID|FORMULA[,strain=0.02][,n=20][,seed=0]`, in any order.

        Raises:
            SourceError: an unknown parameter, a value out of range, or no such crystal.
        """
        parameters = read_parameters(text, _READERS)
        of = parameters.pop("of", None)
        if of is None:
            raise SourceError(f"{NAME} needs a crystal: {NAME}:of=ID or {NAME}:of=FORMULA, e.g. of=BaTiO3.")
        return open_from_parents(text, of, database, lambda parents: cls(text, parents, **parameters))

    def parameters(self) -> str:
        """See `SourceFromParents`."""
        return f"{NAME} {DATA_VERSION} {self.strain} {self.n} {self.seed}"

    def n_inputs(self) -> int:
        """See `SourceFromParents`."""
        return self.n * len(self.parents)

    def crystal(self, position: int) -> ParsedCrystal:
        """See `SourceFromParents`."""
        index, number = divmod(position, self.n)
        parent = self.parents[index]
        kind, strain_voigt = nth_strain(number, self.strain, self.seed)
        detail = {"kind": kind, "strain_voigt": [round(component, 12) for component in strain_voigt]}
        # a systematic strain is the same for every seed
        seed = self.seed if kind == "random" else None
        return ParsedCrystal(
            parent.lattice @ (np.eye(3) + strain_matrix(strain_voigt)),
            parent.frac_coords,
            parent.numbers,
            ("strained: the fractional coordinates are those of its parent",),
            source_id=f"{NAME}:{parent.id}:{number}",
            extra={"parent": parent.id, **detail},
            lineage=Lineage(parent.id, LineageOperation.STRAIN, json.dumps(detail), seed),
        )


def nth_strain(number: int, size: float, seed: int) -> tuple[str, tuple[float, ...]]:
    """Kind and Voigt components of a parent's strain number `number`, the same for all parents.

    Args:
        number: 0-based.
        size: of the strain.
        seed: of the random ones; each depends on the seed and its number alone.

    Returns:
        Kind, and eta in the order 11, 22, 33, 23, 13, 12, shears doubled.
    """
    if number < 2 * len(_UNIT_STRAINS):
        kind, unit = _UNIT_STRAINS[number // 2]
        sign = 1.0 if number % 2 == 0 else -1.0
        # minus zero would be written as such
        return kind, tuple(sign * size * component + 0.0 for component in unit)
    drawn = Random(f"{seed} {number}")
    # random() gives the same numbers in every version of Python
    components = [size * (2 * drawn.random() - 1) for _ in range(6)]
    return "random", (*components[:3], *(2 * component for component in components[3:]))


def strain_matrix(strain_voigt: Sequence[float]) -> Floats:
    """The symmetric strain of Voigt components with doubled shears, shape [3, 3]."""
    xx, yy, zz, yz, xz, xy = strain_voigt
    return np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
