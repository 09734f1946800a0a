"""What reading one crystal costs, beside the readers that people use: pymatgen's, ASE's, and gemmi's grammar alone.

    python -m benchmarks.readers

The same texts of about ten and about a hundred atoms go to each; prints processor microseconds per crystal, the best
of several rounds, and how many times the time of gmtscreen's reader the other one takes (above 1: it is slower). Ours
is the reader that runs in the confined child, with all its checks; what the messages to and from the child cost comes
on top and is not measured here.
"""

import io
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from gemmi import cif
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser, CifWriter
from pymatgen.io.vasp.inputs import Poscar

from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal
from gmt_tasks.sources.source import MissingSymmetry

N_ROUNDS = 7
ROUND_S = 0.3
"""At least so long is a round, in seconds of this process."""

N_FRAMES = 20
SUPERCELLS = ((1, 1, 1), (3, 2, 2))

Read = Callable[[], Any]


def structure(supercell: tuple[int, int, int]) -> Structure:
    """Orthorhombic perovskite with its atoms a little off their places, so that nothing is read by its symmetry."""
    cell = Lattice.orthorhombic(5.38, 5.44, 7.64)
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75], [0.25, 0.75, 0.25]]
    more = [[0.75, 0.25, 0.75], [0.5, 0.0, 0.0], [0.0, 0.5, 0.5], [0.25, 0.25, 0.5], [0.75, 0.75, 0.0]]
    whole = Structure(cell, ["Ca", "Ca", "Ti", "Ti", *["O"] * 6], sites + more) * supercell
    whole.perturb(0.05)
    return whole


def symmetric_cif() -> str:
    """Rutile with its sixteen operations, as databases give it."""
    rutile = Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    )
    return str(CifWriter(rutile, symprec=0.01))


def ours(name: str, text: str) -> Read:
    """gmtscreen's reader of a format on a text, refusals being errors."""
    job = TextJob(name, text, 1, 10_000, MissingSymmetry.REFUSE)

    def read() -> Any:
        reading = parse_text(job)
        if not isinstance(reading, ParsedCrystal):
            raise ValueError(f"not read: {reading}")
        return reading

    return read


def frames_of(text: str, n_atoms: int) -> list[str]:
    """The frames of an extended XYZ file, as the driver cuts them apart."""
    lines = text.splitlines(keepends=True)
    return ["".join(lines[first : first + n_atoms + 2]) for first in range(0, len(lines), n_atoms + 2)]


def microseconds(read: Read) -> float:
    """Processor time of one call, the best round."""
    read()
    best = float("inf")
    for _ in range(N_ROUNDS):
        began, n_calls = time.process_time(), 0
        while (spent := time.process_time() - began) < ROUND_S:
            read()
            n_calls += 1
        best = min(best, spent / n_calls)
    return 1e6 * best


def compare(what: str, reader: Read, others: dict[str, Read], n_crystals: int = 1) -> None:
    """Times our reader and the others on the same texts, and prints one line for each other one.

    Args:
        what: format and size.
        reader: ours.
        others: by name.
        n_crystals: that one call of any of them reads.
    """
    mine = microseconds(reader) / n_crystals
    sys.stdout.write(f"{what:36} gmtscreen {mine:8.0f} us\n")
    for name, other in others.items():
        theirs = microseconds(other) / n_crystals
        sys.stdout.write(f"{'':36} {name:22} {theirs:8.0f} us  {theirs / mine:6.2f} times ours\n")
    sys.stdout.flush()


def compare_cif(what: str, text: str) -> None:
    """A CIF: pymatgen's parser reads it whole, gemmi only into items, which is the least that any reader must do."""
    others: dict[str, Read] = {
        "pymatgen CifParser": lambda: CifParser.from_str(text).parse_structures(primitive=False),
        "gemmi, grammar alone": lambda: cif.read_string(text),
    }
    compare(f"CIF, {what}", ours("cif", text), others)


def compare_poscar(crystal: Structure) -> None:
    """A POSCAR: pymatgen's and ASE's readers."""
    text = Poscar(crystal).get_str()
    others: dict[str, Read] = {
        "pymatgen Poscar": lambda: Poscar.from_str(text),
        "ASE": lambda: ase.io.read(io.StringIO(text), format="vasp"),
    }
    compare(f"POSCAR, {len(crystal)} atoms", ours("poscar", text), others)


def compare_extxyz(crystal: Structure) -> None:
    """Frames of an extended XYZ file, in one call: ASE's reader."""
    numbers = [site.specie.Z for site in crystal]
    atoms = Atoms(numbers, scaled_positions=crystal.frac_coords, cell=crystal.lattice.matrix, pbc=True)
    atoms.info.update(energy=-1.5, config_type="bulk", stress=np.zeros((3, 3)))
    atoms.arrays["forces_by_hand"] = np.ones((len(atoms), 3))
    stream = io.StringIO()
    ase.io.write(stream, [atoms] * N_FRAMES, format="extxyz")
    text = stream.getvalue()
    readers = [ours("extxyz", frame) for frame in frames_of(text, len(atoms))]
    others: dict[str, Read] = {"ASE": lambda: ase.io.read(io.StringIO(text), index=":", format="extxyz")}
    compare(f"extxyz frame, {len(atoms)} atoms", lambda: [read() for read in readers], others, N_FRAMES)


def main() -> None:
    """Compares all formats at both sizes."""
    warnings.simplefilter("ignore")
    compare_cif("rutile, 16 operations", symmetric_cif())
    for supercell in SUPERCELLS:
        crystal = structure(supercell)
        compare_cif(f"P 1, {len(crystal)} atoms", str(CifWriter(crystal)))
        compare_poscar(crystal)
        compare_extxyz(crystal)


if __name__ == "__main__":
    main()
