"""Whether a text was read as the crystal that was written: judged by pymatgen, by no reader of ours."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gmt_tasks.sources.files.cif.blocks import blocks_with_crystals
from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Reading, Refusal, RefusedInputError, refusal_of
from gmt_tasks.sources.source import MissingSymmetry
from models.crystals.crystal import CrystalBatch
from models.fingerprint.structure_match import StructureMatch, environment_fingerprints, match_structures

SAME, OTHER = "same", "other"

_ANGSTROM = 5e-3
"""How far an atom may be from where it was written: coordinates of five digits in the longest cells."""


def readings_of(format_name: str, text: str) -> list[Reading]:
    """What a text is read as: every data block of a CIF, one text of the other formats."""
    texts = [(text, 1)]
    if format_name == "cif":
        try:
            texts = [(block.text, block.first_line) for block in blocks_with_crystals(text)]
        except RefusedInputError as error:
            return [refusal_of(error)]
    readings: list[Reading] = []
    for part, first_line in texts:
        reading = parse_text(TextJob(format_name, part, first_line, 20_000, MissingSymmetry.REFUSE))
        readings += reading if isinstance(reading, list) else [reading]
    return readings


def written_in(format_name: str, structure: Structure) -> Structure:
    """The structure as a format can hold it: six numbers of a cell do not say that it is left-handed."""
    if format_name != "cif":
        return structure
    cell = Lattice.from_parameters(*structure.lattice.parameters)
    return Structure(cell, structure.species, structure.frac_coords)


def ending_of(written: Structure, reading: Reading) -> str:
    """`same`, `other`, or "refused: " with the reason."""
    if isinstance(reading, Refusal):
        return f"refused: {reading.reason}"
    return SAME if _is_same_listing(written, reading) or _is_same_crystal(written, reading) else OTHER


def _numbers(structure: Structure) -> np.ndarray:
    return np.array([site.specie.Z for site in structure], dtype=np.int64)


def _is_same_listing(written: Structure, read: ParsedCrystal) -> bool:
    """Whether the cell has the same lengths, angles and hand, with an atom of the same element in each place."""
    lattice = Lattice(read.lattice)
    is_same_hand = np.linalg.det(read.lattice) * np.linalg.det(written.lattice.matrix) > 0
    if len(read.numbers) != len(written) or not is_same_hand:
        return False
    if not np.allclose(lattice.parameters, written.lattice.parameters, atol=2e-4):
        return False
    distances = lattice.get_all_distances(read.frac_coords, written.frac_coords)
    partner = distances.argmin(axis=1)
    is_near = distances.min(axis=1) < _ANGSTROM
    is_same_element = read.numbers == _numbers(written)[partner]
    return bool((is_near & is_same_element).all()) and len(set(partner.tolist())) == len(partner)


def _is_same_crystal(written: Structure, read: ParsedCrystal) -> bool:
    """Whether another cell holds the same crystal: by pymatgen's matcher, which knows no hand, and by environments."""
    plain = Structure(written.lattice, [site.specie.Z for site in written], written.frac_coords)
    other = Structure(Lattice(read.lattice), read.numbers.tolist(), read.frac_coords)
    if abs(other.volume / len(other) / (plain.volume / len(plain)) - 1) > 2e-3:
        return False
    # Primitive cells are looked for only where the written cell is another one than that which was read.
    matcher = StructureMatcher(
        ltol=0.01, stol=0.02, angle_tol=0.3, primitive_cell=len(plain) != len(other), scale=False
    )
    batch = CrystalBatch.from_arrays(
        [plain.lattice.matrix, read.lattice], [plain.frac_coords, read.frac_coords], [_numbers(plain), read.numbers]
    )
    first, second = environment_fingerprints(batch)
    return match_structures(first, second) is StructureMatch.SAME and matcher.fit(plain, other)


class Table:
    """How the texts of each writer ended, with some names of those that did not end as the same crystal."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.examples: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, writer: str, name: str, written: Structure, readings: Sequence[Reading]) -> None:
        """Judges what was read of one text; no reading at all is another crystal too."""
        outcomes = [ending_of(written, reading) for reading in readings] or [OTHER]
        for ending in outcomes:
            self.counts[writer][ending] += 1
            if ending != SAME:
                self.examples[writer, ending].append(name)

    def endings(self) -> set[str]:
        """Every ending that occurs."""
        return {ending for counts in self.counts.values() for ending in counts}

    def __str__(self) -> str:
        rows = []
        for writer, counts in self.counts.items():
            row = f"{writer:40} n={sum(counts.values()):4} same={counts[SAME]:4}"
            for ending in sorted(set(counts) - {SAME}):
                row += f"  {ending}={counts[ending]} ({', '.join(self.examples[writer, ending][:4])})"
            rows.append(row)
        return "\n".join(rows)
