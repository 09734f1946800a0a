"""suggest -> relaxed structures and output of VASP in the jobs' folders -> ingest --labels -> the next suggestions."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure

from db.records import IngestedBlock
from db.store import ResultStore
from db.tables import LabelState
from gmt_tasks.active_learning.job_folder import write_jobs
from gmt_tasks.active_learning.request import SuggestionRequest
from gmt_tasks.active_learning.suggest import suggest
from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.labels.checks.requested_crystal import contradictions
from gmt_tasks.labels.ingest import LabelReport, ingest_labels
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.suggestion_folders import requested_id
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import SourceError
from models.quantities import TENSORS, Tensor
from models.reference.crystals import random_crystal
from models.symmetry.search import find_symmetry
from models.testing.contract import ToyTensorModel
from tests.db import blocks
from tests.gmt_tasks.labels.readers.vasp.vasp_output import Job, write_job
from tests.gmt_tasks.labels.toy_labels import roomy

REQUEST = SuggestionRequest("d_max_pc_per_n", n=4)


@cache
def crystals() -> CrystalBatch:
    """Crystals of piezoelectric classes."""
    rng = np.random.default_rng(11)
    classes = ("222", "mm2", "2", "m", "1", "-4", "4", "-42m")
    return CrystalBatch.join([roomy(random_crystal(name, rng)) for name in classes])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    batch = crystals()
    n = batch.n_crystals
    block = IngestedBlock(
        "made", 0, n, np.arange(n), [f"made-{k}" for k in range(n)], content_ids(batch), batch, [None] * n, []
    )
    with ResultStore(tmp_path / "hits.db") as opened:
        run = opened.open_run(blocks.spec())
        opened.add_block(run.id, block, 1000)
        opened.end_ingest(run.id, "made")
        while (lease := opened.lease_shard(run.id, "worker")) is not None:
            made = blocks.results(lease)
            sizes = {"d_max_pc_per_n": np.linspace(1, 9, len(made.crystal_ids))}
            opened.commit_shard(lease, replace(made, columns=dict(made.columns) | sizes))
        yield opened


def answer(poscar: Path, *, strain: float = 0.012) -> Job:
    """What VASP makes of a POSCAR: the relaxed cell, and tensors that obey its symmetry."""
    structure = Structure.from_file(poscar)
    lattice = structure.lattice.matrix * (1 + strain)
    batch = CrystalBatch.from_arrays([lattice], [structure.frac_coords], [np.array(structure.atomic_numbers)])
    symmetry = find_symmetry(batch)
    raw = ToyTensorModel().predict(batch)
    tensors = {q: symmetry.project(q, t.reshape(-1, 1, *TENSORS[q].shape)[0])[0] for q, t in raw.items()}
    electronic, total = tensors[Tensor.DIELECTRIC_ELECTRONIC], tensors[Tensor.DIELECTRIC_TOTAL]
    piezo = tensors[Tensor.PIEZOELECTRIC]
    return Job(
        lattice, structure.frac_coords, tuple(site.specie.symbol for site in structure), electronic, total - electronic,
        -0.5 * piezo, 1.5 * piezo, tensors[Tensor.ELASTIC], 1.1 * tensors[Tensor.ELASTIC],
    )  # fmt: skip


def write_answers(job: Path, of: Path | None = None) -> None:
    """The finished calculations of a job; `of` another one where the answers were exchanged."""
    made = answer((of or job) / "POSCAR")
    write_job(job / "response", replace(made, stiffness=None, clamped_stiffness=None))
    write_job(job / "elastic", replace(made, eps_electronic=None, eps_ionic=None, piezo_clamped=None, piezo_ionic=None))
    nothing = dict.fromkeys(("eps_electronic", "eps_ionic", "piezo_clamped", "piezo_ionic", "stiffness"))
    write_job(job / "relax", replace(made, **nothing, clamped_stiffness=None, settings={"IBRION": "2", "NSW": "99"}))


def ingested(store: ResultStore, folder: Path) -> LabelReport:
    return ingest_labels(store, open_label_source(str(folder)))


def refusals(report: LabelReport) -> dict[str, int]:
    """Refused rows by reason."""
    total: dict[str, int] = {}
    for part in report.parts:
        for reason, n in part.reasons.items():
            total[reason] = total.get(reason, 0) + n
    return total


def test_answers_of_vasp_are_linked_to_the_crystals_that_were_asked_for(store: ResultStore, tmp_path: Path) -> None:
    batch = suggest(store, REQUEST)
    asked = [suggestion.id for suggestion in batch.suggestions]
    folder = tmp_path / "suggest-d"
    jobs = write_jobs(batch, folder, atomate2=False)
    with pytest.raises(SourceError, match="holds 4 calculations that suggest asked for, and no answer yet"):
        open_label_source(str(folder))
    # the answers of the last two jobs are exchanged
    for job, of in zip(jobs, [jobs[0], jobs[1], jobs[3], jobs[2]], strict=True):
        write_answers(job, of)
    report = ingested(store, folder)
    assert report.brought == 12 and report.accepted == 6
    assert refusals(report) == {LabelReason.WRONG_ID: 6}
    assert {name: len(kinds) for name, kinds in store.labels.kinds_of(asked).items()} == dict.fromkeys(asked[:2], 3)
    again = suggest(store, REQUEST)
    assert set(asked[:2]).isdisjoint(suggestion.id for suggestion in again.suggestions) and again.n_labelled == 2
    assert set(asked[2:]) <= {suggestion.id for suggestion in again.suggestions}
    # put right, they are accepted; what was there before is known
    for job in jobs[2:]:
        shutil.rmtree(job / "response")
        shutil.rmtree(job / "elastic")
        write_answers(job)
    mended = ingested(store, folder)
    assert (mended.accepted, mended.known, refusals(mended)) == (6, 6, {})
    assert set(store.labels.kinds_of(asked)) == set(asked)
    # the tensors that came back are those of the relaxed cells, in their frame
    accepted = {(json.loads(label.content)["id"], label.kind): json.loads(label.content) for label in
                store.labels.accepted()}  # fmt: skip
    for crystal, job in zip(asked, jobs, strict=True):
        truth = answer(job / "POSCAR")
        row = accepted[crystal, "piezo_e_total"]
        np.testing.assert_allclose(row["lattice"], truth.lattice, atol=1e-8)
        np.testing.assert_allclose(row["tensor"], truth.piezo_clamped + truth.piezo_ionic, atol=2e-5)


def test_rows_that_are_filled_in_count_and_gaps_are_passed_over(store: ResultStore, tmp_path: Path) -> None:
    batch = suggest(store, REQUEST)
    jobs = write_jobs(batch, tmp_path / "jobs", atomate2=False)
    truth = answer(jobs[1] / "POSCAR")
    path = jobs[1] / "label.template.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    elastic = next(row for row in rows if row["kind"] == "elastic_stiffness")
    # in the order of the POSCAR, as VASP answers
    elastic |= {"lattice": truth.lattice.tolist(), "frac_coords": truth.frac.tolist()}
    elastic["tensor_voigt"] = truth.stiffness.tolist()
    assert [SYMBOLS[z] for z in elastic["species"]] == list(truth.symbols)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    report = ingested(store, tmp_path / "jobs")
    assert (report.brought, report.accepted, refusals(report)) == (1, 1, {})
    assert store.labels.kinds_of([batch.suggestions[1].id]) == {batch.suggestions[1].id: {"elastic_stiffness"}}


def test_an_id_that_the_database_does_not_know_is_kept(store: ResultStore, tmp_path: Path) -> None:
    jobs = write_jobs(suggest(store, REQUEST), tmp_path / "jobs", atomate2=False)
    truth, unknown = answer(jobs[0] / "POSCAR"), "gx-00000000000000000000"
    row = json.loads((jobs[0] / "label.template.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    row |= {"lattice": truth.lattice.tolist(), "frac_coords": truth.frac.tolist(), "id": unknown}
    (tmp_path / "row.jsonl").write_text(json.dumps(row | {"tensor_voigt": truth.stiffness.tolist()}), encoding="utf-8")
    report = ingested(store, tmp_path / "row.jsonl")
    states = {label.source_id: label.state for label in store.labels.of_ingest(report.ingest_id)}
    assert states == {unknown: LabelState.ACCEPTED}


def test_a_job_is_recognised_without_its_template_and_from_within_its_folder(
    store: ResultStore, tmp_path: Path
) -> None:
    batch = suggest(store, REQUEST)
    jobs = write_jobs(batch, tmp_path / "jobs", atomate2=False)
    (jobs[2] / "label.template.jsonl").unlink()
    for job in (1, 2):
        (jobs[job] / "a" / "b").mkdir(parents=True)
        assert requested_id(jobs[job] / "a" / "b") == requested_id(jobs[job]) == batch.suggestions[job].id
    assert requested_id(tmp_path / "jobs") is None and requested_id(tmp_path) is None


def of(lattice: np.ndarray, frac: list[list[float]], numbers: list[int]) -> CrystalBatch:
    return CrystalBatch.from_arrays([lattice], [np.array(frac)], [np.array(numbers)])


CUBE = np.eye(3)
FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
ROCKSALT = of(4.2 * CUBE, FCC + [[x + 0.5, y, z] for x, y, z in FCC], [12] * 4 + [8] * 4)
ZINC_BLENDE = of(4.6 * CUBE, FCC + [[x + 0.25, y + 0.25, z + 0.25] for x, y, z in FCC], [12] * 4 + [8] * 4)


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (of(4.3 * (np.ones((3, 3)) - np.eye(3)) / 2, [[0.5, 0.5, 0.5], [0.02, 0, 0]], [12, 8]), ""),
        (of(2.6 * CUBE, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8]), "another structure"),
        (ZINC_BLENDE, "another structure"),
        (replace(ROCKSALT, lattice=1.2 * ROCKSALT.lattice), "no relaxation does that"),
        (replace(ROCKSALT, numbers=np.array([20] * 4 + [8] * 4)), "that of the label CaO"),
    ],
)
def test_what_can_be_the_relaxed_form_of_a_crystal_and_what_cannot(other: CrystalBatch, fault: str) -> None:
    (found,) = contradictions(ROCKSALT, other)
    assert fault in found and bool(found) == bool(fault)
