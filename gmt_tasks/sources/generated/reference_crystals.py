"""Well-known crystals with literature structures and, where measured beyond doubt, literature tensors.

The table beside this file holds, per crystal, the published parameters (space group, cell, asymmetric unit, source)
and the primitive cell made from them once, because expanding a high-symmetry group takes up to a second; a test
expands the parameters again and compares.

Orientation. The Cartesian axes are those of the conventional cell: z along c, which is the polar axis wherever there
is one, and x in the a-c plane; the rows of the lattice are the primitive vectors in these axes. Signs then read as in
the literature: wurtzites list the cation at z = 0 and the anion at z = u, so that the bond along c points from cation
to anion along +c (the III-nitride [0001], "metal face"); ferroelectrics list their cations shifted along +z against
the oxygens. With both, e33 is positive. Where a sign depends on a choice that the source does not state, the
literature entry ends in `_abs` or is left out.

Atomic positions of space groups with two origins follow origin choice 1.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.metadata import metadata_json
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import CrystalBatch
from models.errors import SourceError

NAME = "reference"

_TABLE = Path(__file__).with_name("reference_crystals.json")


@dataclass(frozen=True)
class ReferenceCrystal:
    """One well-known crystal.

    Attributes:
        source_id: e.g. "reference:quartz".
        name: for people, e.g. "alpha quartz".
        spacegroup: international number of the published structure.
        cell: published cell of the conventional setting: a, b, c in angstrom, beta in degrees; equal ones once.
        sites: published asymmetric unit: element and fractional position in the conventional setting.
        structure_source: where the structure is from.
        literature: measured values by name (`c11_gpa`, `e33_c_per_m2`, `eps_total_mean`, ...), each with its source.
        note: what a reader should know, or None.
        lattice: primitive cell, rows a, b, c in angstrom, shape [3, 3].
        frac_coords: shape [n_atoms, 3].
        numbers: atomic numbers, shape [n_atoms].
    """

    source_id: str
    name: str
    spacegroup: int
    cell: dict[str, float]
    sites: tuple[tuple[str, tuple[float, float, float]], ...]
    structure_source: str
    literature: dict[str, tuple[float, str]]
    note: str | None
    lattice: NDArray[np.float64]
    frac_coords: NDArray[np.float64]
    numbers: NDArray[np.int64]

    def metadata(self) -> str | None:
        """Name, source and literature values as metadata."""
        extra: dict[str, Any] = {"name": self.name, "structure_source": self.structure_source}
        if self.literature:
            extra["literature"] = {name: list(entry) for name, entry in self.literature.items()}
        return metadata_json(extra, [self.note] if self.note else [])


@cache
def reference_crystals() -> dict[str, ReferenceCrystal]:
    """All reference crystals by short name, e.g. "quartz", in the order of the table."""
    return {record["id"]: _crystal(record) for record in json.loads(_TABLE.read_text(encoding="utf-8"))}


def literature_of(source_id: str) -> dict[str, tuple[float, str]]:
    """Measured values of the crystal with a source id like "reference:quartz"; empty for any other id."""
    prefix, _, short = source_id.partition(":")
    crystal = reference_crystals().get(short) if prefix == NAME else None
    return dict(crystal.literature) if crystal else {}


class ReferenceSource:
    """The reference crystals as a source, all of them or the ones named in `reference:quartz,gan`.

    Args:
        name: the source as the user wrote it.
        chosen: short names, in the order in which they come.
    """

    def __init__(self, name: str = NAME, chosen: tuple[str, ...] = ()) -> None:
        self.name = name
        self._chosen = chosen or tuple(reference_crystals())

    @classmethod
    def from_text(cls, text: str) -> "ReferenceSource":
        """Reads `reference` or `reference:name,...`.

        Raises:
            SourceError: a name is not in the table.
        """
        _, _, names = text.partition(":")
        chosen = tuple(dict.fromkeys(name.strip().lower() for name in names.split(",") if name.strip()))
        unknown = [name for name in chosen if name not in reference_crystals()]
        if unknown:
            known = ", ".join(reference_crystals())
            problem = f"{len(unknown)} of {len(chosen)} names are no reference crystals (first {unknown[0]!r})"
            raise SourceError(f"{problem}. Known: {known}.")
        return cls(text, chosen)

    def fingerprint(self) -> str:
        """sha256 of the table and of the choice."""
        digest = sha256(_TABLE.read_bytes())
        digest.update(",".join(self._chosen).encode())
        return digest.hexdigest()

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The crystals from position `start` on, in one block."""
        crystals = [reference_crystals()[name] for name in self._chosen[start:]]
        if not crystals:
            return
        stop = start + len(crystals)
        yield SourceBlock(
            start=start,
            stop=stop,
            positions=np.arange(start, stop),
            source_ids=[crystal.source_id for crystal in crystals],
            crystals=CrystalBatch.from_arrays(
                [crystal.lattice for crystal in crystals],
                [crystal.frac_coords for crystal in crystals],
                [crystal.numbers for crystal in crystals],
            ),
            metadata=[crystal.metadata() for crystal in crystals],
        )


def _crystal(record: dict[str, Any]) -> ReferenceCrystal:
    """One row of the table."""
    literature = {name: (float(value), str(source)) for name, (value, source) in record["literature"].items()}
    if record["spacegroup"] >= 195 and "c11_gpa" in literature:
        c11, source = literature["c11_gpa"]
        # Cubic symmetry fixes Voigt and Reuss bounds of K to one value.
        literature["k_vrh_gpa"] = (round((c11 + 2 * literature["c12_gpa"][0]) / 3, 2), f"(C11 + 2 C12) / 3 of {source}")
    return ReferenceCrystal(
        source_id=f"{NAME}:{record['id']}",
        name=record["name"],
        spacegroup=record["spacegroup"],
        cell=record["cell"],
        sites=tuple((element, (x, y, z)) for element, (x, y, z) in record["sites"]),
        structure_source=record["structure_source"],
        literature=literature,
        note=record["note"],
        lattice=np.array(record["lattice"]).reshape(3, 3),
        frac_coords=np.array(record["frac_coords"]),
        numbers=np.array(record["numbers"], dtype=np.int64),
    )
