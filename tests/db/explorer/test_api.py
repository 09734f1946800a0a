"""The JSON interface: its numbers are those of the store, of Python and of the files that other programs read."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from db.csv_cells import csv_cell
from db.explorer.api.polycrystal import polycrystal_groups
from db.explorer.cursors import from_cursor, to_cursor
from db.explorer.paths import file_name
from db.query.presets import PRESETS
from db.query.properties import DESCRIPTIONS, PROPERTIES
from db.query.request import PageMark
from db.query.store import new_request
from db.store import ResultStore
from flows.explorer_services import ExplorerServices
from gmt_tasks.export.files import ExportFormat, export
from models.derived.elastic import min_eigenvalue
from models.derived.polycrystal import POLYCRYSTAL_MODULI, derive_polycrystal
from models.derived.surfaces import SURFACES, Surface
from models.errors import FilterError
from models.quantities import DERIVED, Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import voigt_to_piezo
from tests.db.explorer.served import FOLDER, N_CRYSTALS

API = "/api/v1"


def asked(client: TestClient, path: str, **parameters: Any) -> Any:
    """The JSON of an answer that must be good."""
    answer = client.get(f"{API}/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def crystal(store: ResultStore) -> str:
    """A crystal's id."""
    return str(store.query(limit=1, fields=["id"])["id"][0])


def test_properties_and_presets_are_those_of_the_language(client: TestClient) -> None:
    rows = asked(client, "properties")
    assert [row["name"] for row in rows] == list(DESCRIPTIONS)
    assert all(row.keys() == {"name", "kind", "unit", "description", "group", "interval"} for row in rows)
    assert {row["name"]: row["filter"] for row in asked(client, "presets")} == {
        name: preset.filter for name, preset in PRESETS.items()
    }


@pytest.mark.parametrize("sort", ["", "-k_vrh_gpa"])
def test_pages_of_crystals_join_without_gap(client: TestClient, store: ResultStore, sort: str) -> None:
    ids, after = [], ""
    while after is not None:
        page = asked(client, "crystals", fields="id", sort=sort, limit=5, after=after)
        ids += [row["id"] for row in page["rows"]]
        after = page["next"]
    assert ids == list(store.query(fields=["id"], sort=sort or None, limit=0)["id"])


def test_counts_facets_and_histograms_add_up(client: TestClient, store: ResultStore) -> None:
    filter = "k_vrh_gpa > 40"
    n = store.count(filter)
    assert 0 < n < N_CRYSTALS
    assert asked(client, "count", filter=filter) == {"n": n, "exact": True, "total": N_CRYSTALS}
    facets = asked(client, "facets", filter=filter, field="nelements", limit=100)
    assert sum(row["n"] for row in facets["values"]) == n
    histogram = asked(client, "histogram", filter=filter, field="g_vrh_gpa", bins=7)
    assert sum(histogram["counts"]) + histogram["n_unknown"] == n
    assert len(histogram["edges"]) == 8
    terms = asked(client, "explain", filter=f"{filter} AND nelements = 99")["terms"]
    assert [(term["n"], term["without"]) for term in terms] == [(n, 0), (0, n)]


def test_no_point_of_a_plot_beats_one_on_the_front(client: TestClient) -> None:
    points = asked(client, "points", x="k_vrh_gpa", y="spacegroup", color="nelements", pareto="max,min")
    values = np.array([points["x"], points["y"]]).T * [1, -1]
    assert len(values) == len(points["color"]) == N_CRYSTALS
    front = set(points["pareto"])
    for place, value in enumerate(values):
        beaten = ((values >= value).all(axis=1) & (values > value).any(axis=1)).any()
        assert (place in front) != beaten
    assert asked(client, "points", x="k_vrh_gpa", y="g_vrh_gpa", filter="k_vrh_gpa < 0")["id"] == []


def test_tensors_in_the_ieee_frame_are_the_stored_ones_rotated(client: TestClient, crystal: str) -> None:
    stored, ieee = (asked(client, f"crystals/{crystal}/tensors", frame=frame) for frame in ("input", "ieee"))
    rotation = np.array(ieee["rotation"])
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert not np.allclose(rotation, np.eye(3))
    for tensor in Tensor:
        expected = rotate(tensor, np.array(stored["tensors"][tensor.value]), rotation)
        assert np.array(ieee["tensors"][tensor.value]) == pytest.approx(expected, abs=1e-9)
    stiffness, compliance = (np.array(stored["tensors"][name]) for name in ("elastic_voigt", "compliance_voigt"))
    assert stiffness @ compliance / 1000 == pytest.approx(np.eye(6), abs=1e-9)


@pytest.mark.parametrize("surface", [Surface.YOUNG, Surface.POISSON_MIN, Surface.PIEZO_LONGITUDINAL_D])
def test_a_surface_is_a_closed_grid_within_its_extremes(client: TestClient, crystal: str, surface: Surface) -> None:
    grid = asked(client, f"crystals/{crystal}/surface", property=surface.value, n=9)
    values = np.array(grid["values"])
    assert values.shape == (len(grid["theta"]), len(grid["phi"])) == (9, 17)
    assert (grid["theta"][-1], grid["phi"][-1]) == (pytest.approx(np.pi), pytest.approx(2 * np.pi))
    assert values[:, 0] == pytest.approx(values[:, -1])
    assert np.ptp(values[0]) == pytest.approx(0, abs=1e-9)
    tolerance = 1e-9 * abs(values).max()
    assert grid["min"]["value"] <= values.min() + tolerance
    assert values.max() - tolerance <= grid["max"]["value"]
    assert grid["unit"] == SURFACES[surface].unit
    if surface is Surface.YOUNG:  # along z: 1 / S33
        compliance = asked(client, f"crystals/{crystal}/tensors")["tensors"]["compliance_voigt"]
        assert values[0, 0] == pytest.approx(1000 / compliance[2][2])


def test_a_polycrystal_has_no_piezoelectric_numbers_among_its_moduli(client: TestClient) -> None:
    elastic = asked(client, "crystals/made-1/polycrystal")["elastic"]
    assert tuple(elastic) == POLYCRYSTAL_MODULI
    computed = set(derive_polycrystal(np.diag([3.0, 3, 3, 1, 1, 1])[None]))
    assert computed & DERIVED.keys() <= set(POLYCRYSTAL_MODULI) <= DERIVED.keys()
    assert all(DERIVED[name].from_tensors == (Tensor.ELASTIC,) for name in POLYCRYSTAL_MODULI)


def test_a_polycrystal_lies_within_its_bounds(client: TestClient, crystal: str) -> None:
    groups = asked(client, f"crystals/{crystal}/polycrystal")
    assert groups["elastic"]["k_vrh_gpa"] == pytest.approx(
        (groups["elastic"]["k_voigt_gpa"] + groups["elastic"]["k_reuss_gpa"]) / 2
    )
    principal = np.array([9.0, 10, 12])
    bounds = groups["dielectric_total"]
    assert bounds["wiener_upper"] / bounds["wiener_lower"] == pytest.approx(principal.mean() * (1 / principal).mean())
    chain = [bounds[n] for n in ("wiener_lower", "hs_lower", "self_consistent", "hs_upper", "wiener_upper")]
    assert chain == sorted(chain)


def test_only_a_crystal_with_a_polar_axis_has_poled_constants() -> None:
    stiffness = np.diag([200.0, 200, 200, 60, 60, 60])
    polar, quartz = np.zeros((2, 3, 6))
    polar[2, 2], quartz[0, :2] = 1.0, (0.17, -0.17)
    groups = [
        polycrystal_groups({}, {Tensor.ELASTIC: stiffness, Tensor.PIEZOELECTRIC: voigt_to_piezo(e)})
        for e in (polar, quartz)
    ]
    assert "poled_ceramic" not in groups[1]
    # of d33 alone the mean third power of the cosine in the hemisphere is left
    assert groups[0]["poled_ceramic"]["d33_cone_90_deg_pc_per_n"] == pytest.approx(1000 / 200 / 4)


def test_a_crystals_facts_are_those_of_show(client: TestClient, store: ResultStore, crystal: str) -> None:
    facts, shown = asked(client, f"crystals/{crystal}"), store.show(crystal)
    assert facts["results"][0]["derived"] == shown["results"][0]["derived"]
    assert facts["lattice"] == shown["lattice"].tolist()
    assert asked(client, f"crystals/{shown['source_ids'][0]}")["id"] == crystal
    older = asked(client, f"crystals/{crystal}/tensors", model="toy@1")
    assert older["model"] == "toy@1"
    assert asked(client, f"crystals/{crystal}/reliability") == {
        "sentences": ExplorerServices().reliability(shown["results"][0]),
        "scores": shown["results"][0]["trust"],
    }
    assert asked(client, f"crystals/{crystal}/labels") == {"labels": [], "literature": []}


def test_similar_crystals_are_others_and_say_how(client: TestClient, store: ResultStore) -> None:
    by_structure = store.query("nelements = 1", fields=["id", "formula_anonymous"], limit=0)
    rows = asked(client, f"crystals/{by_structure['id'][0]}/similar")["rows"]
    assert by_structure["id"][0] not in {row["id"] for row in rows}
    assert {row["relation"] for row in rows} <= {
        "mirror image",
        "same composition",
        "same structure type",
        "same elements",
    }


@pytest.mark.parametrize("format", ["cif", "poscar", "extxyz"])
def test_structures_are_read_by_ase(client: TestClient, store: ResultStore, crystal: str, format: str) -> None:
    answer = client.get(f"{API}/crystals/{crystal}/structure", params={"format": format})
    assert answer.headers["content-disposition"].startswith('attachment; filename="')
    name = {"cif": "cif", "poscar": "vasp", "extxyz": "extxyz"}[format]
    text = io.BytesIO(answer.content) if format == "cif" else io.StringIO(answer.text)
    atoms = ase.io.read(text, format=name)
    facts = store.show(crystal)
    assert sorted(atoms.numbers) == sorted(facts["numbers"])
    assert atoms.cell.volume == pytest.approx(abs(np.linalg.det(facts["lattice"])))


def test_downloads_hold_the_same_hits(client: TestClient, store: ResultStore) -> None:
    question: dict[str, Any] = {"filter": "k_vrh_gpa > 40", "sort": "-k_vrh_gpa"}
    wanted = list(store.query("k_vrh_gpa > 40", fields=["id"], sort="-k_vrh_gpa", limit=0)["id"])
    files = {
        format: client.get(f"{API}/export", params=question | {"format": format})
        for format in ("csv", "json", "extxyz", "parquet")
    }
    assert all(answer.status_code == 200 for answer in files.values())
    rows = list(csv.DictReader(io.StringIO(files["csv"].text)))
    assert [row["id"] for row in rows] == [row["id"] for row in files["json"].json()] == wanted
    assert float(rows[0]["k_vrh_gpa"]) == files["json"].json()[0]["k_vrh_gpa"]
    frames = ase.io.read(io.StringIO(files["extxyz"].text), ":", format="extxyz")
    assert [frame.info["id"] for frame in frames] == wanted
    assert frames[0].info["elastic_voigt"].shape == (6, 6)
    table = pq.read_table(io.BytesIO(files["parquet"].content))
    assert table["id"].to_pylist() == wanted
    assert len(table["elastic_voigt"][0].as_py()) == 36
    few = client.get(f"{API}/export", params=question | {"format": "csv", "fields": "id", "limit": 2})
    assert [row.split(",")[0] for row in few.text.splitlines()] == ["id", *wanted[:2]]
    assert client.get(f"{API}/export", params={"filter": "k_vrh_gpa < 0", "format": "json"}).json() == []


@pytest.mark.parametrize("fields", [(), ("formula", "k_vrh_gpa", "k_vrh_gpa_lo")])
@pytest.mark.parametrize("filter", ["k_vrh_gpa > 40", "k_vrh_gpa < 0"])
def test_csv_is_the_file_that_the_command_line_writes(
    client: TestClient, store: ResultStore, tmp_path: Path, filter: str, fields: tuple[str, ...]
) -> None:
    request = new_request(filter, fields or tuple(PROPERTIES), "-k_vrh_gpa", 0, None)
    out = tmp_path / "hits.csv"
    export(store, request, ExportFormat.CSV, out)
    question = {"filter": filter, "sort": "-k_vrh_gpa", "fields": ",".join(fields), "format": "csv"}
    text = client.get(f"{API}/export", params=question).text
    assert text == out.read_text(encoding="utf-8")
    assert "elastic_voigt_66" in text.splitlines()[0]


def test_runs_and_models_have_their_records_and_no_folders(client: TestClient) -> None:
    runs = asked(client, "runs")["runs"]
    assert [run["in"] for run in runs] == [N_CRYSTALS + 1] * 2
    assert asked(client, "runs/1")["sources"] == ["made.jsonl"]
    rejects = asked(client, "runs/1/rejects")
    assert (rejects["n"], rejects["reasons"][0]["reason"]) == (1, "degenerate_cell")
    models = asked(client, "models")["models"]
    assert [model["version"] for model in models] == ["2", "1"]
    assert asked(client, "models/toy@2")["decisions"] == []
    everything = json.dumps([runs, rejects, models, asked(client, "crystals/made-3")])
    assert FOLDER not in everything


def test_a_design_has_its_rounds_and_reasons(client: TestClient, store: ResultStore) -> None:
    (design,) = asked(client, "designs")["designs"]
    assert (design["design"], design["sort"], design["rounds"], design["proposals"]) == (1, "-d_max_pc_per_n", 2, 2)
    facts = asked(client, "designs/1")
    assert facts == store.designs.describe(1)
    assert [finished["quantiles"] == [] for finished in facts["rounds"]] == [True, False]
    for row in facts["proposals"]:
        assert asked(client, f"crystals/{row['crystal_id']}")["proposals"] == [row]
    assert asked(client, "crystals/made-2")["proposals"] == []
    assert [run["round_of"] for run in asked(client, "runs")["runs"]] == [
        {"design": 1, "round": 2},
        {"design": 1, "round": 1},
    ]


def test_only_files_lose_their_folders() -> None:
    kept = ["reference", "mp:chemsys=Al-N", "optimade:https://x.org/a?filter=b/c", "a.cif", "generated:n=1,seed=2"]
    assert [file_name(source) for source in kept] == kept
    assert [file_name(source) for source in ("/a/b.cif", "../b.cif", "a/b/", "~/b.cif")] == [
        "b.cif",
        "b.cif",
        "b",
        "b.cif",
    ]
    made = "generated:elements=Ba+Ti,n=9,model={}wyckoff.json,seed=2"
    assert {file_name(made.format(folder)) for folder in ("/volumes/design-1/", "../a/", "a b/", "")} == {
        made.format("")
    }


@pytest.mark.parametrize(
    ("path", "status", "position"),
    [
        ("count?filter=k_vrh_gpa >", 400, 11),
        ("count?filter=nope > 1", 400, 0),
        ("points?x=k_vrh_gpa&y=g_vrh_gpa&filter=nope > 1", 400, 0),
        ("points?x=formula&y=g_vrh_gpa", 400, None),
        ("points?x=k_vrh_gpa&y=g_vrh_gpa&pareto=up", 400, None),
        ("points?x=k_vrh_gpa", 400, None),
        ("crystals?limit=none", 400, None),
        ("crystals?after=nonsense", 400, None),
        ("crystals?model=nope", 404, None),
        ("crystals/nope", 404, None),
        ("crystals/made-1/tensors?model=nope@1", 404, None),
        ("crystals/made-1/surface?property=nope", 400, None),
        ("crystals/made-1/structure?format=nope", 400, None),
        ("runs/99", 404, None),
        ("runs/99999999999999999999", 404, None),
        ("designs/99", 404, None),
        ("designs/99999999999999999999", 404, None),
        ("designs/one", 400, None),
        ("models/nope", 404, None),
        ("export?filter=nope", 400, 0),
        ("nope", 404, None),
    ],
)
def test_errors_have_one_shape(client: TestClient, path: str, status: int, position: int | None) -> None:
    answer = client.get(f"{API}/{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"].keys() == {"message", "position"}
    assert answer.json()["error"]["position"] == position


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(-1e18, 1e18)
MARKS = st.one_of(
    st.tuples(st.sampled_from(["-k_vrh_gpa", "n_atoms", "metal", "last_modified"]), NUMBERS | st.none()),
    st.tuples(st.sampled_from([None, "id", "-formula", "model"]), TEXTS | st.none()),
)


@settings(max_examples=30)
@given(MARKS, TEXTS, st.integers(0, 2**31))
def test_a_mark_of_a_page_survives_its_url(ordered: tuple[str | None, Any], crystal_id: str, model_id: int) -> None:
    sort, value = ordered
    mark = PageMark(value, crystal_id, model_id)
    assert from_cursor(to_cursor(mark) or "", sort) == mark
    assert to_cursor(None) is None


def test_principal_values_are_the_same_in_every_frame_and_those_that_are_stored(client: TestClient) -> None:
    given, ieee = (
        asked(client, "crystals/made-3/tensors", frame=frame)["principal_values"] for frame in ("input", "ieee")
    )
    for name in ("dielectric_electronic", "dielectric_total", "elastic_voigt"):
        np.testing.assert_allclose(given[name], ieee[name], rtol=1e-9)
    stiffness = np.array(asked(client, "crystals/made-3/tensors")["tensors"]["elastic_voigt"])
    assert given["elastic_voigt"][0] == pytest.approx(float(min_eigenvalue(stiffness[None])[0]))
    assert sum(given["elastic_voigt"]) == pytest.approx(np.trace(stiffness[:3, :3]) + 2 * np.trace(stiffness[3:, 3:]))


def test_a_source_id_may_hold_slashes(client: TestClient) -> None:
    answer = client.get(f"{API}/crystals/folder/with/tensors")
    assert (answer.status_code, "folder/with/tensors" in answer.text) == (404, False)
    assert "'folder/with'" in answer.text
    assert "'folder/of/it'" in client.get(f"{API}/crystals/folder/of/it").json()["error"]["message"]


FORGED = [
    ["text", "gx-1", 1], [10**400, "gx-1", 1], [2**63, "gx-1", 1], [float("nan"), "gx-1", 1], [[1], "gx-1", 1],
    [1, "\ud800", 1], [1, "a\x00", 1], [1, "gx-1", 2**63], [1, "gx-1", -1], [1, "gx-1", 1.5], [1, 2, 3], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("values", FORGED, ids=lambda values: repr(values)[:24])
def test_a_forged_mark_is_refused_not_answered_with_a_failure(client: TestClient, values: Any) -> None:
    mark = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    for path in (
        f"{API}/crystals?limit=2&sort=k_vrh_gpa&after=",
        "/optimade/v1/structures?sort=k_vrh_gpa&page_cursor=",
    ):
        answer = client.get(path + mark)
        assert answer.status_code == 400, answer.text
        assert "mark of a page" in answer.text


def test_a_mark_of_another_order_is_refused(client: TestClient) -> None:
    by_formula = client.get(f"{API}/crystals?limit=2&sort=formula").json()["next"]
    assert client.get(f"{API}/crystals?limit=2&sort=formula&after={by_formula}").status_code == 200
    assert client.get(f"{API}/crystals?limit=2&sort=-k_vrh_gpa&after={by_formula}").status_code == 400


@settings(max_examples=50)
@given(st.text(max_size=60) | st.text("abcdefWyJneC0wMDIxMzd", max_size=60))
def test_a_text_that_is_no_mark_is_refused_and_nothing_else(text: str) -> None:
    try:
        mark = from_cursor(text)
    except FilterError:
        return
    assert mark is None or isinstance(mark.crystal_id, str)


def test_a_cell_of_csv_is_never_a_formula() -> None:
    assert csv_cell("=1+1") == "'=1+1"
    assert [csv_cell(value) for value in (None, float("nan"), ["a", "b"], 1.5, "-")] == ["", "", "a;b", 1.5, "-"]
