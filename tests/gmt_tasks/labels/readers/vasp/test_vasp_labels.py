"""Finished VASP jobs as labels: units, order and frame proved by three crystals of known symmetry, faults by name."""

import bz2
import gzip
import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.io.vasp.outputs import Outcar, Vasprun
from scipy.spatial.transform import Rotation

from db.tables import LabelState
from gmt_tasks.ingest.deduplicate import nothing_known
from gmt_tasks.labels.checks.row import check_labels
from gmt_tasks.labels.kinds import read_label
from gmt_tasks.labels.label_kind import RefusedRowError, fault_of
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.labels.readers.vasp.job import labels_of_job
from gmt_tasks.labels.readers.vasp.method import functional_of
from gmt_tasks.labels.readers.vasp.outcar import read_outcar
from gmt_tasks.labels.readers.vasp.run import VaspRun, VaspTensor, decode_run, encode_run
from gmt_tasks.labels.readers.vasp.vasprun import read_vasprun
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import CrystalBatch
from models.errors import SourceError
from models.symmetry.search import find_symmetry
from tests.gmt_tasks.labels.readers.vasp.vasp_crystals import CRYSTALS, alpha_quartz, gallium_nitride, rotated
from tests.gmt_tasks.labels.readers.vasp.vasp_output import OURS, Job, outcar, vasprun, write_job


def run_of(text: str) -> VaspRun:
    """What an OUTCAR says."""
    return read_outcar(iter(text.encode().splitlines(keepends=True)))


def xml_of(text: str) -> VaspRun:
    """What a vasprun.xml says."""
    return read_vasprun(iter([text.encode("latin-1")]))


def labels_of(job: Job, *, files: str = "both") -> list[Label]:
    """The labels of a job, read in this process; a refusal of the whole as one."""
    try:
        runs = {"OUTCAR": run_of(outcar(job))} if files != "vasprun" else {}
        runs |= {"vasprun.xml": xml_of(vasprun(job))} if files != "outcar" else {}
        return list(labels_of_job("job", runs))
    except RefusedRowError as error:
        return [RefusedLabel("job", "", error.reason, error.detail)]


def reasons(labels: list[Label]) -> dict[str, LabelReason]:
    """Refusals by kind."""
    return {label.kind: label.reason for label in labels if isinstance(label, RefusedLabel)}


def values(labels: list[Label]) -> dict[str, dict[str, Any]]:
    """Rows by kind."""
    return {label.row["kind"]: label.row for label in labels if isinstance(label, LabelRow)}


@pytest.mark.parametrize("point_group", CRYSTALS)
def test_tensors_come_back_as_they_were_before_vasp_printed_them(point_group: str) -> None:
    job = rotated(CRYSTALS[point_group](), Rotation.random(rng=3).as_matrix())
    rows = values(labels_of(job))
    assert set(rows) == {"dielectric_total", "piezo_e_total", "elastic_stiffness"}
    dielectric, piezo, elastic = (rows[kind] for kind in ("dielectric_total", "piezo_e_total", "elastic_stiffness"))
    np.testing.assert_allclose(dielectric["tensor_electronic"], job.eps_electronic, atol=1e-6)
    np.testing.assert_allclose(dielectric["tensor"], job.eps_electronic + job.eps_ionic, atol=2e-6)
    np.testing.assert_allclose(piezo["tensor"], job.piezo_clamped + job.piezo_ionic, atol=2e-5)
    np.testing.assert_allclose(elastic["tensor_voigt"], job.stiffness, atol=1e-5)
    np.testing.assert_allclose(elastic["lattice"], job.lattice, atol=1e-8)


@pytest.mark.parametrize("point_group", CRYSTALS)
def test_symmetry_removes_nothing_of_labels_in_the_right_order_and_finds_the_wrong_one(point_group: str) -> None:
    job = rotated(CRYSTALS[point_group](), Rotation.random(rng=5).as_matrix())
    right = labels_of(job)
    label = read_label(right[0].row)
    found = find_symmetry(CrystalBatch.from_arrays([label.lattice], [label.frac_coords], [label.numbers]))
    assert found.point_group[0] == point_group
    records = check_labels("vasp", right, range(3), nothing_known).records
    assert all(record.state is LabelState.PENDING and record.residual < 1e-4 for record in records)
    # negative control: the same numbers printed in our order and read as VASP's
    wrong = labels_of(replace(job, printed_pairs=OURS))[1:]
    piezo, elastic = check_labels("vasp", wrong, range(2), nothing_known).records
    assert piezo.reason == "voigt_order"
    # C44 and C66 of GaN differ too little to refuse, but the residual shows it
    assert elastic.reason == ("voigt_order" if point_group != "6mm" else None) and elastic.residual > 0.03


def test_pymatgen_reads_the_same_tables_from_the_same_files(tmp_path: Path) -> None:
    write_job(tmp_path, alpha_quartz())
    run, theirs = run_of((tmp_path / "OUTCAR").read_text()), Outcar(tmp_path / "OUTCAR")
    theirs.read_lepsilon()
    theirs.read_lepsilon_ionic()
    theirs.read_elastic_tensor()
    expected = {
        VaspTensor.DIELECTRIC_ELECTRONIC: theirs.dielectric_tensor,
        VaspTensor.DIELECTRIC_IONIC: theirs.dielectric_ionic_tensor,
        VaspTensor.PIEZO_CLAMPED: theirs.piezo_tensor,
        VaspTensor.PIEZO_IONIC: theirs.piezo_ionic_tensor,
        VaspTensor.ELASTIC_TOTAL: theirs.data["elastic_tensor"],
    }
    for name, tensor in expected.items():
        np.testing.assert_array_equal(run.tensors[name], tensor)
    xml = Vasprun(
        tmp_path / "vasprun.xml", parse_dos=False, parse_eigen=False, parse_potcar_file=False, exception_on_bad_xml=True
    )
    ours = xml_of((tmp_path / "vasprun.xml").read_text())
    np.testing.assert_array_equal(ours.tensors[VaspTensor.DIELECTRIC_ELECTRONIC], xml.epsilon_static)
    np.testing.assert_array_equal(ours.tensors[VaspTensor.DIELECTRIC_IONIC], xml.epsilon_ionic)
    np.testing.assert_allclose(ours.lattice, xml.initial_structure.lattice.matrix)
    np.testing.assert_allclose(ours.frac_coords, xml.initial_structure.frac_coords)
    assert list(ours.symbols) == [site.specie.symbol for site in xml.initial_structure]


def test_a_folder_of_jobs_is_read_in_a_child_packed_or_not_beside_label_rows(tmp_path: Path) -> None:
    job = gallium_nitride()
    write_job(tmp_path / "a" / "plain", job)
    text = outcar(job).encode()
    packed = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    packed["zst"] = lambda data: bytes(pa.compress(data, "zstd", asbytes=True))
    for ending, pack in packed.items():
        (tmp_path / "a" / ending).mkdir()
        (tmp_path / "a" / ending / f"OUTCAR.{ending}").write_bytes(pack(text))
    (tmp_path / "b.jsonl").write_text('{"id": "a row", "kind": "x"}\n', encoding="utf-8")
    write_job(tmp_path / "relax", replace(job, eps_electronic=None, eps_ionic=None, piezo_clamped=None,
        piezo_ionic=None, stiffness=None, clamped_stiffness=None, settings={"IBRION": "2"}))  # fmt: skip
    labels = list(open_label_source(str(tmp_path)).rows())
    assert [label.source_id for label in labels] == [
        *(f"a/{name}" for name in ("bz2", "gz", "plain", "xz", "zst") for _ in range(3)), "a row",
    ]  # fmt: skip
    contents = [json.dumps(label.row | {"id": ""}) for label in labels[:-1]]
    assert len(set(contents)) == 3, "the same calculation is the same label, from one file or from both"
    # alone, a relaxation is named as what it is
    (refused,) = open_label_source(str(tmp_path / "relax")).rows()
    assert isinstance(refused, RefusedLabel) and "asked for no response" in refused.detail


NOTHING = {"eps_ionic": None, "piezo_ionic": None, "stiffness": None, "clamped_stiffness": None}


@pytest.mark.parametrize(
    ("changes", "files", "reason", "text"),
    [
        ({"finished": False}, "outcar", LabelReason.UNCONVERGED, "General timing"),
        ({"finished": False}, "vasprun", LabelReason.UNCONVERGED, "ends before </modeling>"),
        ({"converged": False, "electronic_steps": 60}, "outcar", LabelReason.UNCONVERGED, "ended at NELM"),
        ({"electronic_steps": 60}, "vasprun", LabelReason.UNCONVERGED, "ended at NELM"),
        ({"settings": {"IBRION": "2"}, "n_ionic_steps": 4}, "both", LabelReason.UNCONVERGED, "4 ionic steps"),
        ({"symbols": ("Ga", "Ga", "H.5", "H.5")}, "both", LabelReason.STRUCTURE, "no element"),
        ({"eps_electronic": np.full((3, 3), 1e9)}, "outcar", LabelReason.PARSE, "numbers belong"),
        (NOTHING | {"eps_electronic": None, "piezo_clamped": None, "rpa": True}, "both", LabelReason.INCOMPLETE,
         "without local field"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_used_is_refused_by_name(
    changes: dict[str, Any], files: str, reason: LabelReason, text: str
) -> None:
    (refused,) = labels_of(replace(gallium_nitride(), **changes), files=files)
    assert isinstance(refused, RefusedLabel) and refused.reason is reason and text in refused.detail


def test_electronic_parts_alone_are_no_totals() -> None:
    labels = labels_of(replace(gallium_nitride(), **NOTHING), files="outcar")
    assert "tensor" not in values(labels)["dielectric_total"] and len(values(labels)) == 1
    assert reasons(labels) == {"piezo_e_total": LabelReason.INCOMPLETE}
    clamped = replace(gallium_nitride(), stiffness=None, settings={"IBRION": "6"})
    assert reasons(labels_of(clamped)) == {"elastic_stiffness": LabelReason.INCOMPLETE}
    # what a vasprun.xml alone does not hold is not made up
    assert set(values(labels_of(gallium_nitride(), files="vasprun"))) == {"dielectric_total"}


def test_ions_that_were_fixed_leave_no_relaxed_tensor() -> None:
    assert set(reasons(labels_of(replace(gallium_nitride(), fixed=True)))) == set(values(labels_of(gallium_nitride())))


def test_two_files_that_are_not_of_one_job_are_refused() -> None:
    job = gallium_nitride()
    others = {
        "different dielectric": replace(job, eps_ionic=np.diag([9.0, 9.0, 9.0])),
        "begin with other": replace(job, lattice=1.01 * job.lattice),
        "different atoms": replace(job, symbols=("Al", "Al", "N", "N")),
    }
    for text, other in others.items():
        runs = {"OUTCAR": run_of(outcar(job)), "vasprun.xml": xml_of(vasprun(other))}
        with pytest.raises(RefusedRowError, match=text) as error:
            list(labels_of_job("job", runs))
        assert error.value.reason is LabelReason.INCONSISTENT


def test_piezo_prints_in_both_units_must_agree() -> None:
    text = outcar(gallium_nitride())
    lines = text.splitlines()
    title = next(n for n, line in enumerate(lines) if "(C/m^2)" in line)
    lines[title + 5] = "  z      0.01000     0.01000    -9.00000     0.00000     0.00000     0.00000"
    with pytest.raises(RefusedRowError, match="e angstrom"):
        list(labels_of_job("job", {"OUTCAR": run_of("\n".join(lines))}))


def test_numbers_that_touch_are_read_apart_or_refused() -> None:
    text = outcar(gallium_nitride())
    total = text.index("\n XX ", text.index("TOTAL ELASTIC")) + 1
    row = text[total:].partition("\n")[0]
    glued = " XX      3900.0000-1450.0000-1060.0000-123456.0000      0.0000      0.0000"
    stiffness = run_of(text[:total] + glued + text[total + len(row) :]).tensors[VaspTensor.ELASTIC_TOTAL]
    assert stiffness[0].tolist() == [3900, -1450, -1060, -123456, 0, 0]
    stars = glued.replace("-123456.0000", "************")
    with pytest.raises(RefusedRowError) as error:
        run_of(text[:total] + stars + text[total + len(row) :])
    assert error.value.reason is LabelReason.NONFINITE


@given(cut=st.floats(0, 1), both=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_file_that_is_cut_gives_its_labels_or_a_refusal_and_never_other_numbers(cut: float, both: bool) -> None:
    job = gallium_nitride()
    text = outcar(job)
    whole = values(labels_of(job))
    try:
        runs = {"OUTCAR": run_of(text[: int(cut * len(text))])}
        if both:
            xml = vasprun(job)
            runs["vasprun.xml"] = xml_of(xml[: int((1 - (1 - cut) / 50) * len(xml))])
        cut_rows = values(list(labels_of_job("job", runs)))
    except RefusedRowError:
        return
    for kind, row in cut_rows.items():
        assert row == whole[kind]
    assert set(cut_rows) in ({*whole}, set())


@given(place=st.floats(0, 1), byte=st.binary(min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_damaged_files_raise_nothing_but_refusals(place: float, byte: bytes) -> None:
    for text, read in ((outcar(gallium_nitride()).encode(), read_outcar), (vasprun(gallium_nitride()).encode(), None)):
        at = int(place * len(text))
        damaged = text[:at] + byte + text[at + len(byte) :]
        try:
            run = read(iter(damaged.splitlines(keepends=True))) if read else read_vasprun(iter([damaged]))
        except Exception as error:  # noqa: BLE001 - the child makes a refusal of each
            assert fault_of(error)[1]
            continue
        assert decode_run(encode_run(run)).symbols == run.symbols


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE modeling [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><modeling>&b;</modeling>',
        '<!DOCTYPE modeling SYSTEM "http://x/y"><modeling/>',
        "<svg/>",
        "<modeling>" + "<a>" * 100 + "</a>" * 100 + "</modeling>",
        "<modeling><a></b></modeling>",
    ],
)
def test_xml_that_vasp_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(RefusedRowError) as error:
        xml_of(text)
    assert error.value.reason is LabelReason.PARSE


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"GGA": "--"}, "PBE"),
        ({"GGA": "PS"}, "PBEsol"),
        ({"GGA": "BO", "LUSE_VDW": "T"}, "optB88-vdW"),
        ({"GGA": "--", "METAGGA": "R2SCAN"}, "R2SCAN"),
        ({"GGA": "PE", "LHFCALC": "T", "HFSCREEN": "0.2000"}, "HSE06 (PBE)"),
        ({"GGA": "PE", "LDAU": "T"}, "PBE+U"),
        ({"GGA": "PE", "IVDW": "12"}, "PBE, dispersion correction IVDW 12"),
    ],
)
def test_the_functional_has_its_usual_name(tags: dict[str, str], name: str) -> None:
    assert functional_of(run_of(outcar(replace(gallium_nitride(), settings=tags)))) == name
    assert functional_of(xml_of(vasprun(replace(gallium_nitride(), settings=tags)))) == name


def test_what_should_be_known_of_a_label_stands_in_its_row() -> None:
    job = replace(gallium_nitride(), force=0.3, settings={"ISPIN": "2", "LSORBIT": "F"})
    row = values(labels_of(job))["elastic_stiffness"]
    assert row["method"] == "VASP 6.3.2, PBEsol, 600 eV, finite differences, LEPSILON, spin-polarized"
    assert any("0.3 eV/angstrom" in text for text in row["remarks"]) and any("spins" in text for text in row["remarks"])


@pytest.mark.parametrize("name", ["ph.out", "run_DDB", "anaddb.nc", "vaspout.h5"])
def test_output_that_no_library_reads_names_the_way(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(SourceError, match="JSON lines"):
        open_label_source(str(tmp_path / name))
