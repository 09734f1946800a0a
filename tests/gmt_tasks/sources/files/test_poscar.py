"""POSCAR texts, above all what they do not say."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.inputs import Poscar

from gmt_tasks.sources.files.parse import parse_text
from gmt_tasks.sources.files.poscar import read_poscar
from gmt_tasks.sources.files.text_jobs import TextJob
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal, RefusedInputError
from gmt_tasks.sources.source import MissingSymmetry
from models.errors import Reason

GOOD = """{comment}
{scale}
4.0 0.0 0.0
0.0 4.0 0.0
0.0 0.0 {c}
{species}1 1
Direct
0 0 0
0.5 0.5 {z}
"""


def poscar(comment: str = "cell", scale: str = "1.0", c: str = "4.0", species: str = "Na Cl\n", z: str = "0.5") -> str:
    return GOOD.format(comment=comment, scale=scale, c=c, species=species, z=z)


def job(text: str) -> TextJob:
    return TextJob("poscar", text, 1, 10_000, MissingSymmetry.REFUSE)


def read(text: str) -> ParsedCrystal:
    return read_poscar(job(text))


def test_what_pymatgen_writes_is_read_back() -> None:
    lattice = Lattice.from_parameters(4.1, 5.2, 6.3, 80, 95, 105)
    frac_coords = [[0, 0, 0], [0.3, 0.4, 0.5], [0.7, 0.1, 0.2], [0.2, 0.8, 0.9]]
    structure = Structure(lattice, ["Li", "Ga", "O", "O"], frac_coords)
    crystal = read(str(Poscar(structure)))
    assert np.allclose(crystal.lattice, lattice.matrix, atol=1e-8)
    assert np.allclose(crystal.frac_coords, structure.frac_coords, atol=1e-8)
    assert crystal.numbers.tolist() == [3, 31, 8, 8]
    assert crystal.notes == ()


def test_a_negative_scale_is_a_volume() -> None:
    assert abs(np.linalg.det(read(poscar(scale="-128.0")).lattice)) == pytest.approx(128.0)


def test_a_vasp_4_file_without_elements_is_refused_and_never_becomes_hydrogen_and_helium() -> None:
    with pytest.raises(RefusedInputError, match="VASP 4") as refused:
        read(poscar(species=""))
    assert refused.value.reason is Reason.UNKNOWN_SPECIES


def test_elements_in_the_comment_of_a_vasp_4_file_are_used_with_a_note() -> None:
    crystal = read(poscar(comment="Na Cl", species=""))
    assert crystal.numbers.tolist() == [11, 17]
    assert crystal.notes[0].startswith("species_from_comment")


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        (poscar(c="nan"), Reason.NONFINITE, "line 5"),
        (poscar(scale="inf"), Reason.NONFINITE, "line 2"),
        (poscar(scale="0"), Reason.DEGENERATE_CELL, "line 2"),
        (poscar(c=""), Reason.PARSE, "line 5"),
        (poscar(scale="one"), Reason.PARSE, "line 2"),
        (poscar(z="nan"), Reason.NONFINITE, "site 1"),
        (poscar(species="Na Qq\n"), Reason.UNKNOWN_SPECIES, ""),
        (poscar()[:60], Reason.PARSE, ""),
        (poscar(z=""), Reason.PARSE, "not a POSCAR"),
        (poscar().replace("1 1", "1 999999999"), Reason.TOO_LARGE, "line 7: 1000000000 sites"),
        (poscar().replace("1 1", "0 0"), Reason.EMPTY, "line 7"),
        ("", Reason.PARSE, ""),
        ("\n" * 20, Reason.PARSE, ""),
    ],
)
def test_each_fault_has_its_reason_and_its_place(text: str, reason: Reason, place: str) -> None:
    result = parse_text(job(text))
    if not isinstance(result, Refusal):
        pytest.fail("accepted")
    assert (result.reason, place in result.detail) == (reason, True), result


def test_deuterium_is_hydrogen_with_a_note() -> None:
    crystal = read(poscar(species="D Cl\n"))
    assert crystal.numbers.tolist() == [1, 17]
    assert crystal.notes[0].startswith("isotope_merged")
