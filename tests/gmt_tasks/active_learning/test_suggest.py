"""The next jobs out of a database: who is left out, and what lies in the folder."""

import csv
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure

from db.labels.rows import LabelRecord
from db.store import ResultStore
from db.tables import LabelState
from gmt_tasks.active_learning.job_folder import ids_in, label_rows, write_jobs
from gmt_tasks.active_learning.request import Goal, OutOfDistribution, SuggestionRequest
from gmt_tasks.active_learning.suggest import Suggestion, suggest
from gmt_tasks.export.structure_text import poscar, poscar_cell
from gmt_tasks.labels.kinds import KINDS
from models.crystals.crystal import CrystalBatch
from models.errors import FilterError, GmtError
from models.gmtnet.training_data.split_table import SplitTable, source_name
from models.quantities import Tensor
from tests.db import blocks

N = 40


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that nothing changes."""
    path = tmp_path_factory.mktemp("screened") / "hits.db"
    with ResultStore(path) as opened:
        blocks.work_off(opened, blocks.filled(opened, N))
    return path


@pytest.fixture
def store(screened: Path, tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(shutil.copy(screened, tmp_path / "hits.db")) as opened:
        yield opened


def best_ids(store: ResultStore) -> list[str]:
    return [str(each) for each in store.query("", fields=["id"], sort="-k_vrh_gpa", limit=0)["id"]]


def label(store: ResultStore, seed: int, kind: str, *, by_source: bool = False, refused: bool = False) -> None:
    """Gives a made-up crystal a label, or a label to a relaxed one that names it as its id."""
    name = blocks.crystal_id(seed)
    other = 1000 + seed if by_source else seed
    record = LabelRecord(
        f"hash {seed} {kind}", seed, kind, blocks.crystal_id(other), "X", "dft", name if by_source else "row-1", None,
        "{}", None, "{}", LabelState.REFUSED if refused else LabelState.PENDING, None, None, None, False, False, {},
    )  # fmt: skip
    ingest = store.labels.open_ingest("made", "1")
    store.labels.add(ingest, [record], blocks.block(0, [other]))


def seed_of(crystal: str) -> int:
    return next(seed for seed in range(N) if blocks.crystal_id(seed) == crystal)


def test_the_most_promising_crystals_are_suggested(store: ResultStore) -> None:
    found = suggest(store, SuggestionRequest("k_vrh_gpa", n=5))
    ids = [each.id for each in found.suggestions]
    assert set(ids) <= set(best_ids(store)[:15]) and len(set(ids)) == 5
    assert found.n_results == N and not found.has_intervals
    lowest = suggest(store, SuggestionRequest("k_vrh_gpa", n=5, goal=Goal.MIN))
    assert {each.id for each in lowest.suggestions} <= set(best_ids(store)[-15:])


def test_the_same_question_has_the_same_answer(store: ResultStore) -> None:
    # As text: NaN is not equal to itself.
    first, second = (repr(suggest(store, SuggestionRequest("k_vrh_gpa", n=7)).suggestions) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("by_source", [False, True])
def test_a_labelled_crystal_is_not_suggested_again(store: ResultStore, by_source: bool) -> None:
    first = suggest(store, SuggestionRequest("k_vrh_gpa", n=3)).suggestions[0].id
    label(store, seed_of(first), "elastic_stiffness", by_source=by_source)
    again = suggest(store, SuggestionRequest("k_vrh_gpa", n=3))
    assert first not in {each.id for each in again.suggestions} and again.n_labelled == 1


def test_what_the_model_was_trained_on_is_not_suggested_by_either_of_its_names(store: ResultStore) -> None:
    """By content id, and by the id of the source where a crystal was relaxed again since."""
    first, second = (each.id for each in suggest(store, SuggestionRequest("k_vrh_gpa", n=2)).suggestions)
    (formula,) = store.query(f'id = "{second}"', fields=["formula"], limit=0)["formula"]
    name = source_name(store.labels.source_ids_of([second])[second][0], str(formula))
    table = SplitTable.of({}, {first: [Tensor.ELASTIC], name: [Tensor.ELASTIC]})
    again = suggest(store, SuggestionRequest("k_vrh_gpa", n=3), table.learned)
    assert {first, second}.isdisjoint(each.id for each in again.suggestions) and again.n_trained == 2
    other = SplitTable.of({}, {first: [Tensor.PIEZOELECTRIC]})
    assert suggest(store, SuggestionRequest("k_vrh_gpa", n=3), other.learned).n_trained == 0


def test_a_refused_label_and_one_of_another_tensor_leave_the_question_open(store: ResultStore) -> None:
    first = suggest(store, SuggestionRequest("k_vrh_gpa", n=3)).suggestions[0].id
    label(store, seed_of(first), "elastic_stiffness", refused=True)
    label(store, seed_of(first), "dielectric_total")
    assert suggest(store, SuggestionRequest("k_vrh_gpa", n=3)).suggestions[0].id == first


def test_a_number_of_two_tensors_needs_labels_of_both(store: ResultStore) -> None:
    first = suggest(store, SuggestionRequest("d_max_pc_per_n", n=3)).suggestions[0].id
    label(store, seed_of(first), "elastic_stiffness")
    assert suggest(store, SuggestionRequest("d_max_pc_per_n", n=3)).suggestions[0].id == first
    label(store, seed_of(first), "piezo_e_total")
    assert suggest(store, SuggestionRequest("d_max_pc_per_n", n=3)).suggestions[0].id != first


def test_every_kind_of_label_tells_of_a_tensor() -> None:
    for kind in KINDS.values():
        assert set(kind.tensors.values()) <= kind.constrains
        assert kind.constrains


def test_what_is_being_calculated_is_left_out(store: ResultStore, tmp_path: Path) -> None:
    first = suggest(store, SuggestionRequest("k_vrh_gpa", n=5))
    write_jobs(first, tmp_path / "jobs")
    second = suggest(store, SuggestionRequest("k_vrh_gpa", n=5, leave_out=frozenset(ids_in(tmp_path / "jobs"))))
    assert not {each.id for each in first.suggestions} & {each.id for each in second.suggestions}
    assert second.n_left_out == 5
    (tmp_path / "ids.txt").write_text("# mine\nabc\n\n", encoding="utf-8")
    assert ids_in(tmp_path / "ids.txt") == ["abc"]
    with pytest.raises(GmtError, match="neither a folder"):
        ids_in(tmp_path / "nowhere")


def test_a_filter_narrows_the_choice_and_bad_requests_are_refused(store: ResultStore) -> None:
    found = suggest(store, SuggestionRequest("k_vrh_gpa", n=5, filter="k_vrh_gpa < 30"))
    assert found.suggestions and all(each.value < 30 for each in found.suggestions)
    with pytest.raises(FilterError):
        suggest(store, SuggestionRequest("k_vrh_gpa", filter="k_vrh_gpa <"))
    with pytest.raises(GmtError, match="is no number"):
        suggest(store, SuggestionRequest("optical_class"))
    with pytest.raises(GmtError, match="Nothing to suggest.*Screen more"):
        suggest(store, SuggestionRequest("k_vrh_gpa", filter="k_vrh_gpa > 1000"))
    with pytest.raises(GmtError, match="Nothing to suggest"):
        suggest(store, SuggestionRequest("k_vrh_gpa", ood=OutOfDistribution.ONLY))


def test_a_folder_holds_the_stored_cells_and_why(store: ResultStore, tmp_path: Path) -> None:
    found = suggest(store, SuggestionRequest("d_max_pc_per_n", n=4))
    places = write_jobs(found, tmp_path / "jobs", atomate2=False)
    document = json.loads((tmp_path / "jobs" / "suggestions.json").read_text(encoding="utf-8"))
    with (tmp_path / "jobs" / "suggestions.csv").open(encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert [row["id"] for row in table] == [row["id"] for row in document["suggestions"]] == ids_in(tmp_path / "jobs")
    assert document["suggestions"][0]["calculations"] == ["response", "elastic"]
    assert [tmp_path / "jobs" / row["folder"] for row in table] == places
    stored = store.labels.crystals_of([each.id for each in found.suggestions])
    for rank, place in enumerate(places):
        assert_same_crystal(stored.select([rank]), Structure.from_file(place / "POSCAR"))
        rows = [json.loads(line) for line in (place / "label.template.jsonl").read_text(encoding="utf-8").splitlines()]
        assert {row["kind"] for row in rows} == {"piezo_e_total", "elastic_stiffness"}
        assert_same_order(rows[0], Structure.from_file(place / "POSCAR"))
        assert all(row["id"] == found.suggestions[rank].id and row["unit"] in KINDS[row["kind"]].units for row in rows)
    assert not (tmp_path / "jobs" / "atomate2_jobs.py").exists()
    with pytest.raises(GmtError, match="holds suggestions already"):
        write_jobs(found, tmp_path / "jobs")


def assert_same_crystal(expected: CrystalBatch, found: Structure) -> None:
    """The same atoms at the same Cartesian places, modulo the lattice vectors of the stored cell."""
    lattice = expected.lattice[0]
    places = (found.cart_coords @ np.linalg.inv(lattice))[:, None] - expected.frac_coords
    off = np.linalg.norm((places - np.round(places)) @ lattice, axis=-1)
    nearest = off.argmin(axis=1)
    assert off.min(axis=1).max() < 1e-9 and sorted(nearest) == list(range(len(found)))
    assert [site.specie.Z for site in found] == expected.numbers[nearest].tolist()


def assert_same_order(row: dict[str, Any], found: Structure) -> None:
    """The row's lattice vectors and atoms are those of the POSCAR, one by one."""
    assert np.allclose(row["lattice"], found.lattice.matrix, atol=1e-12)
    assert np.allclose(row["frac_coords"], found.frac_coords, atol=1e-12)
    assert row["species"] == [site.specie.Z for site in found]


@pytest.mark.parametrize("hand", [1, -1])
def test_a_poscar_is_right_handed_in_the_same_frame(hand: int) -> None:
    lattice = np.array([[4.0, 0.3, 0.1], [0.2, 5.0, -0.4], [0.3, 0.1, 6.0 * hand]])
    frac = np.array([[0.1, 0.2, 0.3], [0.6, 0.5, 0.9], [0.4, 0.8, 0.7]])
    crystal = CrystalBatch.from_arrays([lattice], [frac], [np.array([8, 13, 8])])
    found = Structure.from_str(poscar(poscar_cell(crystal), "title"), fmt="poscar")
    assert np.linalg.det(found.lattice.matrix) > 0
    assert sorted(map(tuple, found.lattice.matrix.round(9))) == sorted(map(tuple, lattice.round(9)))
    assert_same_crystal(crystal, found)
    asked = Suggestion("gx-1", "AlO2", "toy@1", *[0.0] * 7)
    assert_same_order(label_rows("k_vrh_gpa", asked, poscar_cell(crystal))[0], found)


@pytest.fixture
def script(store: ResultStore, tmp_path: Path) -> ModuleType:
    """The atomate2 script of a folder, imported."""
    write_jobs(suggest(store, SuggestionRequest("d_max_pc_per_n", n=2)), tmp_path / "jobs", atomate2=True)
    spec = importlib.util.spec_from_file_location("atomate2_jobs", tmp_path / "jobs" / "atomate2_jobs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STRUCTURE = Structure([[3.1, 0, 0], [0, 3.2, 0.1], [0, 0, 5.0]], ["Al", "N"], [[0, 0, 0], [0.5, 0.5, 0.4]])


def test_answers_of_atomate2_become_label_rows(script: ModuleType) -> None:
    stiffness = (100 * np.eye(6) + 1).tolist()
    output = {"structure": STRUCTURE.as_dict(), "elastic_tensor": {"raw": stiffness, "ieee_format": []}}
    (row,) = script.labels_of("gx-1", output)
    assert (row["id"], row["kind"], row["unit"]) == ("gx-1", "elastic_stiffness", "GPa")
    assert row["tensor_voigt"] == stiffness and np.allclose(row["lattice"], STRUCTURE.lattice.matrix)
    assert script.labels_of("gx-1", {"structure": STRUCTURE.as_dict()}) == [] == script.labels_of("gx-1", None)


def test_vasps_order_and_contributions_become_ours(script: ModuleType) -> None:
    clamped = np.arange(18.0).reshape(3, 6)
    outcar = {"piezo_tensor": clamped.tolist(), "piezo_ionic_tensor": np.full((3, 6), 100.0).tolist()}
    response = {"epsilon_static": (2 * np.eye(3)).tolist(), "epsilon_ionic": np.eye(3).tolist(), "outcar": outcar}
    output = {"structure": STRUCTURE.as_dict(), "calcs_reversed": [{"output": response}]}
    dielectric, piezo = script.labels_of("gx-1", output)
    assert np.allclose(dielectric["tensor"], 3 * np.eye(3)) and np.allclose(
        dielectric["tensor_electronic"], 2 * np.eye(3)
    )
    e = np.array(piezo["tensor"])
    assert np.allclose(e, e.transpose(0, 2, 1))
    # VASP's columns: XX, YY, ZZ, XY, YZ, ZX.
    for column, (j, k) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]):
        assert np.allclose(e[:, j, k], clamped[:, column] + 100)


def test_rows_of_the_script_are_labels_that_gmtscreen_reads(script: ModuleType) -> None:
    from gmt_tasks.labels.kinds import read_label

    output = {"structure": STRUCTURE.as_dict(), "elastic_tensor": {"raw": np.eye(6).tolist()}}
    read = read_label(script.labels_of("gx-1", output)[0])
    assert read.numbers.tolist() == [13, 7]


@pytest.mark.skipif(importlib.util.find_spec("atomate2") is None, reason="atomate2 is not installed")
def test_the_script_builds_flows_of_atomate2(script: ModuleType) -> None:
    script.main(["write"])
    for job in script.jobs():
        assert {path.name for path in (script.HERE / job["folder"]).glob("flow_*.json")} == {
            "flow_elastic.json",
            "flow_response.json",
        }


def test_the_script_asks_atomate2_for_each_calculation(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, object]] = []

    class Made:
        output = dir_name = structure = property(lambda self: self)

        def __init__(self, name: str, *_: object, **options: object) -> None:
            made.append((name, options.get("conventional")))

        def update_metadata(self, data: dict[str, str]) -> None:
            made.append((data["gmtscreen_kind"], data["gmtscreen_id"]))

    def maker(name: str) -> type:
        make = lambda self, *words, **options: Made(name, *words, **options)  # noqa: E731
        return type(name, (), {"make": make, "from_relax_maker": classmethod(lambda cls, relax: cls())})

    packages = {
        "atomate2.vasp.flows.core": {"DoubleRelaxMaker": maker("relax")},
        "atomate2.vasp.flows.elastic": {"ElasticMaker": maker("elastic")},
        "atomate2.vasp.jobs.core": {"DielectricMaker": maker("dielectric"), "TightRelaxMaker": maker("tight")},
        "jobflow": {"Flow": lambda jobs, **_: Made("flow")},
    }
    for name, content in packages.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    job = script.jobs()[0]
    assert set(script.flows_of(job)) == {"elastic", "response"}
    assert made[0] == ("elastic", False), "the conventional cell would turn the frame"
    assert [name for name, _ in made[1:4]] == ["relax", "dielectric", "flow"]
    assert made[4:] == [("elastic", job["id"]), ("response", job["id"])]
