"""Texts of one structure as other programs write them: pymatgen, ASE, JARVIS-Tools."""

import io
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixScaled
from jarvis.core.atoms import Atoms as JarvisAtoms
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifParser, CifWriter
from pymatgen.io.vasp import Poscar

from gmt_tasks.sources.parsed import ParsedCrystal
from tests.gmt_tasks.sources.files.other_writers.judge import SAME, ending_of, written_in

Writer = Callable[[Structure], str | None]
"""None where the program writes another crystal than it was given."""

ODD_VALUES: dict[str, Any] = {
    "energy": -1.5e-3,
    "config_type": "bulk, phase=1",
    "quoted": 'say "hi" \\ there',
    "is_stable": True,
    "stress": np.arange(9.0).reshape(3, 3),
    "empty": "",
    "numbers": [1, 2, 3],
    "nested": {"a": [1, {"b": None}]},
    "greek": "β phase",
}
"""What the second line of an extended XYZ frame may carry."""


def pymatgen_cif(**options: Any) -> Writer:
    """pymatgen's CifWriter with these options."""

    def write(structure: Structure) -> str:
        plain = structure.copy()
        plain.add_site_property("charge", [0.25] * len(plain))
        if options.get("write_magmoms"):
            plain.add_site_property("magmom", [1.0 + site for site in range(len(plain))])
        return str(CifWriter(plain, **options))

    return write


def faithful(write: Writer) -> Writer:
    """The writer, where pymatgen's own parser reads the crystal back.

    With a symmetry CifWriter straightens angles up to five degrees, and without refinement it lists operations of
    another cell than that which it writes: then the text is not this crystal, and nobody could read it as such.
    """

    def write_if_read(structure: Structure) -> str | None:
        text = write(structure)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (read,) = CifParser.from_str(text or "").parse_structures(primitive=False)
        numbers = np.array([site.specie.Z for site in read], dtype=np.int64)
        crystal = ParsedCrystal(np.array(read.lattice.matrix), np.array(read.frac_coords), numbers)
        return text if ending_of(written_in("cif", structure), crystal) == SAME else None

    return write_if_read


def pymatgen_poscar(*, additions: bool, **options: Any) -> Writer:
    """pymatgen's Poscar, with selective dynamics and velocities or without."""

    def write(structure: Structure) -> str:
        flags = velocities = None
        if additions:
            flags = [[site % 2 == 0, True, False] for site in range(len(structure))]
            velocities = [[0.01 * site, -0.02, 0.03] for site in range(len(structure))]
        return str(
            Poscar(structure, selective_dynamics=flags, velocities=velocities, sort_structure=False).get_str(**options)
        )

    return write


def ase_atoms(structure: Structure) -> Atoms:
    """The structure as ASE has it; ASE knows neither isotopes nor oxidation states as elements."""
    plain = Structure(structure.lattice, [site.specie.Z for site in structure], structure.frac_coords)
    return AseAtomsAdaptor.get_atoms(plain, msonable=False)


def ase_text(name: str, prepare: Callable[[Atoms], None] | None = None, **options: Any) -> Writer:
    """ASE's writer of a format with these options."""

    def write(structure: Structure) -> str:
        atoms = ase_atoms(structure)
        if prepare is not None:
            prepare(atoms)
        stream: Any = io.BytesIO() if name == "cif" else io.StringIO()
        ase.io.write(stream, atoms, format=name, **options)
        content = stream.getvalue()
        return str(content.decode() if isinstance(content, bytes) else content)

    return write


def _constrain(atoms: Atoms) -> None:
    atoms.set_constraint([FixAtoms([0]), FixScaled([len(atoms) - 1], mask=[True, False, True])])


def _add_arrays(atoms: Atoms) -> None:
    atoms.info.update(ODD_VALUES)
    atoms.set_initial_magnetic_moments([0.5] * len(atoms))
    atoms.arrays["forces_by_hand"] = np.ones((len(atoms), 3))
    atoms.arrays["site_name"] = np.array([f"site{row}" for row in range(len(atoms))])
    atoms.set_velocities(np.full((len(atoms), 3), 0.1))


def _entry(structure: Structure) -> str:
    # importing it reads tables for seconds, which whoever collects the tests would wait for
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    return json.dumps(ComputedStructureEntry(structure, -3.5, entry_id="made-1").as_dict(), default=float)


def jarvis_atoms(structure: Structure) -> JarvisAtoms:
    """The structure as JARVIS-Tools has it."""
    elements = [site.specie.symbol for site in structure]
    return JarvisAtoms(structure.lattice.matrix.tolist(), structure.frac_coords.tolist(), elements, cartesian=False)


def _jarvis_file(method: str, **options: Any) -> Writer:
    """A method of JARVIS-Tools' atoms that writes a file."""

    def write(structure: Structure) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "written"
            getattr(jarvis_atoms(structure), method)(filename=str(path), **options)
            return path.read_text()

    return write


PROGRAMS: dict[str, tuple[str, Writer]] = {
    "pymatgen cif": ("cif", pymatgen_cif()),
    "pymatgen cif, 5 digits": ("cif", pymatgen_cif(significant_figures=5)),
    "pymatgen cif, 12 digits": ("cif", pymatgen_cif(significant_figures=12)),
    "pymatgen cif, symmetry": ("cif", faithful(pymatgen_cif(symprec=0.01))),
    "pymatgen cif, symmetry, 5 digits": ("cif", faithful(pymatgen_cif(symprec=0.01, significant_figures=5))),
    "pymatgen cif, symmetry, unrefined": ("cif", faithful(pymatgen_cif(symprec=0.01, refine_struct=False))),
    "pymatgen cif, moments": ("cif", pymatgen_cif(write_magmoms=True)),
    "pymatgen cif, properties": ("cif", pymatgen_cif(write_site_properties=True)),
    "pymatgen poscar": ("poscar", pymatgen_poscar(additions=False)),
    "pymatgen poscar, 8 digits": ("poscar", pymatgen_poscar(additions=False, significant_figures=8)),
    "pymatgen poscar, cartesian": ("poscar", pymatgen_poscar(additions=False, direct=False)),
    "pymatgen poscar, selective, velocities": ("poscar", pymatgen_poscar(additions=True)),
    "pymatgen poscar, cartesian, selective": ("poscar", pymatgen_poscar(additions=True, direct=False)),
    "pymatgen json": ("json", lambda structure: str(structure.to(fmt="json"))),
    "pymatgen entry": ("json", _entry),
    "ase cif": ("cif", ase_text("cif")),
    "ase cif, unwrapped": ("cif", ase_text("cif", wrap=False)),
    "ase vasp": ("poscar", ase_text("vasp")),
    "ase vasp, direct, sorted": ("poscar", ase_text("vasp", direct=True, sort=True)),
    "ase vasp, constrained": ("poscar", ase_text("vasp", _constrain)),
    "ase vasp, direct, constrained": ("poscar", ase_text("vasp", _constrain, direct=True)),
    "ase vasp 4": ("poscar", ase_text("vasp", vasp5=False, sort=True)),
    "ase vasp 6": ("poscar", ase_text("vasp", vasp6=True)),
    "ase extxyz": ("extxyz", ase_text("extxyz")),
    "ase extxyz, odd values": ("extxyz", ase_text("extxyz", _add_arrays)),
    "ase json": ("json", ase_text("json")),
    "jarvis cif": ("cif", _jarvis_file("write_cif")),
    "jarvis cif, no symmetry": ("cif", _jarvis_file("write_cif", with_spg_info=False)),
    "jarvis poscar": ("poscar", _jarvis_file("write_poscar")),
    "jarvis json": ("json", lambda structure: json.dumps(jarvis_atoms(structure).to_dict())),
}
"""By name: our name of the format, and the writer."""
