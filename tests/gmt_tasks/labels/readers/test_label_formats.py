"""Which names mean labels, and which two files are of one job."""

import pytest

from gmt_tasks.labels.readers.label_formats import OUTCAR, VASPRUN, job_of, label_format, unread_program
from gmt_tasks.sources.files.formats import JSON_LINES, FileFormat


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OUTCAR", OUTCAR), ("OUTCAR.gz", OUTCAR), ("OUTCAR.relax2.bz2", OUTCAR), ("AlN_OUTCAR", OUTCAR),
        ("vasprun.xml", VASPRUN), ("vasprun.relax1.xml.xz", VASPRUN), ("vasprun.xml.static", VASPRUN),
        ("vasprun_AlN.xml", VASPRUN), ("a.jsonl.zst", JSON_LINES),
        ("OUTCARS", None), ("vasprun.txt", None), ("POSCAR", None), ("a.json", None), ("INCAR", None),
    ],
)  # fmt: skip
def test_names_of_label_files(name: str, expected: FileFormat | None) -> None:
    assert label_format(name) is expected


@pytest.mark.parametrize(
    ("outcar", "vasprun"),
    [
        ("a/OUTCAR", "a/vasprun.xml"),
        ("a/OUTCAR.gz", "a/vasprun.xml.bz2"),
        ("a/OUTCAR.relax2.gz", "a/vasprun.xml.relax2.gz"),
        ("a/OUTCAR.relax2", "a/vasprun.relax2.xml"),
        ("OUTCAR_AlN", "vasprun_AlN.xml"),
    ],
)
def test_the_two_files_of_a_job_find_each_other_and_no_others(outcar: str, vasprun: str) -> None:
    assert job_of(outcar) == job_of(vasprun)
    assert job_of(outcar) not in {job_of("b/OUTCAR"), job_of("a/OUTCAR.relax1")}


@pytest.mark.parametrize("name", ["ph.out", "si.ph.out.gz", "run_DDB", "anaddb.nc", "x/vaspout.h5"])
def test_output_of_other_programs_is_known_by_name(name: str) -> None:
    assert unread_program(name) and not unread_program("OUTCAR") and label_format(name) is None
