"""mp: through mp-api itself, against a server that behaves like the real one: known traps, faults, and the API key."""

import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from gmt_tasks.labels.readers.materials_project import open_labels
from gmt_tasks.labels.readers.source import LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.remote import materials_project
from gmt_tasks.sources.remote.http_client import UnreachableError
from gmt_tasks.sources.remote.materials_project import open_candidates
from gmt_tasks.sources.remote.mirror import Mirror
from gmt_tasks.sources.source import SourceBlock
from models.errors import SourceError
from tests.gmt_tasks.sources.conftest import KEY
from tests.gmt_tasks.sources.remote.local_server import BAD_GATEWAY, BUSY, Answer, LocalServer, serving
from tests.gmt_tasks.sources.remote.materials_project_server import Material, MaterialsProject, materials

ALL = "mp:chemsys=Al-N,Si,Cl-Na"
ALL_IDS = ["mp-661", "mp-149", "mp-22862"]


@pytest.fixture(scope="module")
def made() -> list[Material]:
    return materials()


@pytest.fixture
def api(made: list[Material]) -> MaterialsProject:
    return MaterialsProject(list(made))


@pytest.fixture
def server(api: MaterialsProject, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    with serving(api) as local:
        monkeypatch.setenv("GMTSCREEN_MP_ENDPOINT", f"{local.url}/")
        yield local


def block_of(text: str) -> SourceBlock:
    (block,) = open_candidates(text).blocks()
    return block


def asked(server: LocalServer, route: str) -> list[dict[str, str]]:
    return [dict(request.query) for request in server.requests if request.path.strip("/") == f"materials/{route}"]


def test_summary_structures_are_candidates_with_what_is_known_of_them(server: LocalServer) -> None:
    source = open_source(ALL)
    (block,) = source.blocks()
    assert block.source_ids == ALL_IDS
    assert block.crystals.atoms_per_crystal.tolist() == [4, 2, 2]
    assert '"band_gap": 4.0' in str(block.metadata[0]) and '"licence": "CC-BY-4.0"' in str(block.metadata[0])
    assert all(request.query.get("deprecated", "False") == "False" for request in server.requests)
    assert server.requests[0].headers["user-agent"].startswith("gmtscreen/")


def test_ids_and_ranges_choose_materials(server: LocalServer) -> None:
    assert block_of("mp:ids=mp-149,mp-661").source_ids == ["mp-661", "mp-149"]
    assert block_of("mp:band_gap=0.5..4.5").source_ids == ["mp-661", "mp-149"]
    assert block_of("mp:energy_above_hull=0.01..,nsites=..2").source_ids == ["mp-22862"]


def test_all_three_collections_become_labels(server: LocalServer) -> None:
    source = open_labels(ALL)
    rows = list(source.rows())
    assert all(isinstance(row, LabelRow) for row in rows)
    kinds = [row.row["kind"] for row in rows if isinstance(row, LabelRow)]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
        ("elastic_stiffness", "moduli_vrh", "dielectric_total", "piezo_e_total"), 3
    )
    assert source.fingerprint() == open_labels(ALL).fingerprint()
    with pytest.raises(SourceError, match="no document matches"):
        open_labels("mp:chemsys=Ga-N").fingerprint()
    only = list(open_labels("mp:has_props=dielectric").rows())
    assert [row.row["kind"] for row in only if isinstance(row, LabelRow)] == ["dielectric_total"] * 3


class RightAngled(Material):
    """A monoclinic crystal whose structure has right angles to the last digit, unlike the one that was calculated."""

    def document(self, route: str) -> dict[str, Any]:
        """As the API sends it."""
        cell = Lattice.from_parameters(*self.structure.lattice.abc, 90, 90.01, 90)
        calculated = Structure(cell, self.structure.species, self.structure.frac_coords)
        values = {field.name: getattr(self, field.name) for field in fields(Material)} | {"structure": calculated}
        own = {"structure": self.structure.as_dict()} if route in ("summary", "elasticity") else {}
        return Material(**values).document(route) | own


def right_angled() -> RightAngled:
    """Of class 2, with the unique axis along y."""
    sites = [[0.1, 0, 0.2], [-0.1, 0, -0.2], [0.3, 0.4, 0.15], [-0.3, 0.4, -0.15]]
    structure = Structure(np.diag([4.0, 5.0, 6.0]), ["Mg", "Mg", "O", "O"], sites)
    electronic = np.array([[4.0, 0, 0.8], [0, 3.0, 0], [0.8, 0, 5.0]])
    piezo = np.zeros((3, 3, 3))
    piezo[1, 0, 0], piezo[1, 0, 2], piezo[1, 2, 0] = 1.0, 0.5, 0.5
    stiffness = np.diag([300.0, 280, 260, 60, 50, 40])
    return RightAngled("mp-90", structure, stiffness, electronic, 2 * electronic, piezo, {"band_gap": 2.0})


def test_a_document_for_which_pymatgen_raises_costs_no_other(
    server: LocalServer, api: MaterialsProject, made: list[Material], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monoclinic cell with right angles: a StopIteration inside pymatgen once ended the whole source."""
    found = right_angled()
    api.materials = [*made[:1], found, *made[1:]]
    rows = list(open_labels("mp:ids=mp-661,mp-149,mp-22862,mp-90").rows())
    assert len(rows) == 4 * len(api.materials)
    assert [row for row in rows if isinstance(row, RefusedLabel)] == []
    labels = {row.row["kind"]: row.row for row in rows if isinstance(row, LabelRow) and row.source_id == "mp-90"}
    np.testing.assert_allclose(labels["dielectric_total"]["tensor"], found.total, atol=0.02)
    np.testing.assert_allclose(labels["piezo_e_total"]["tensor"], found.piezo, atol=0.02)
    # a tensor that fits every axis does not say which one pymatgen took
    found.electronic, found.total = np.diag([4.0, 3.0, 5.0]), np.diag([8.0, 6.0, 10.0])
    monkeypatch.setenv("GMTSCREEN_CACHE", f"{Path(os.environ['GMTSCREEN_CACHE'])}-2")
    again = list(open_labels("mp:ids=mp-661,mp-149,mp-22862,mp-90").rows())
    assert [row.source_id for row in again] == [row.source_id for row in rows]
    (refused,) = [row for row in again if isinstance(row, RefusedLabel)]
    assert (refused.source_id, refused.kind, refused.reason) == ("mp-90", "dielectric_total", LabelReason.FRAME)
    others = [row for row in again if row.source_id != "mp-90"]
    assert others == [row for row in rows if row.source_id != "mp-90"]


# The traps.


def test_a_search_without_criteria_is_refused_and_asks_nobody(server: LocalServer) -> None:
    for text in ("mp:", "mp:,"):
        with pytest.raises(SourceError, match="no criterion"):
            open_source(text)
        with pytest.raises(SourceError, match="no criterion"):
            open_labels(text)
    assert server.requests == []


def test_a_range_of_the_bulk_modulus_means_the_bulk_modulus(server: LocalServer, made: list[Material]) -> None:
    bulk = [each.moduli["bulk_modulus"]["vrh"] for each in made]
    shear = [each.moduli["shear_modulus"]["vrh"] for each in made]
    low, high = min(bulk) - 1, max(shear) + 1
    assert high < min(bulk), "the bound must tell the two moduli apart"
    with pytest.raises(SourceError, match="nothing there matches"):
        block_of(f"mp:k_vrh=0..{high}")
    assert block_of(f"mp:k_vrh={low}..{max(bulk) + 1}").source_ids == ALL_IDS
    # The control: mp-api itself sends the upper bound as one of the shear modulus, and finds what is not meant.
    from mp_api.client import MPRester

    with MPRester(KEY, endpoint=f"{server.url}/", use_document_model=False, mute_progress_bars=True) as rester:
        found = rester.materials.elasticity.search(k_vrh=(0, high), fields=["material_id"])
    assert "g_vrh_max" in asked(server, "elasticity")[-1] and len(found) == 3


def test_a_range_that_the_server_ignores_is_kept_on_our_side(server: LocalServer, api: MaterialsProject) -> None:
    api.ignored = {"band_gap_min", "band_gap_max"}
    assert block_of("mp:band_gap=0.5..1").source_ids == ["mp-149"]


def test_documents_without_a_structure_get_the_summarys_by_id(server: LocalServer, api: MaterialsProject) -> None:
    rows = [row.row for row in open_labels(f"{ALL},has_props=piezoelectric").rows() if isinstance(row, LabelRow)]
    assert [row["structure_of"] for row in rows] == ["summary"] * 3
    api.without["elasticity"] = {"structure"}
    rows = [row.row for row in open_labels(f"{ALL},has_props=elasticity").rows() if isinstance(row, LabelRow)]
    assert [row["structure_of"] for row in rows] == ["summary"] * 6
    api.without["summary"] = {"structure"}
    refused = list(open_labels("mp:ids=mp-149,has_props=dielectric").rows())
    assert isinstance(refused[0], RefusedLabel) and "no structure" not in refused[0].kind


# Faults.


@pytest.mark.parametrize(
    "fault", [BUSY, BAD_GATEWAY, Answer(b"", 503), Answer.json({"data": [], "meta": {"total_doc": 0}}, cut_at=10)]
)
def test_faults_that_pass_lose_nothing(server: LocalServer, fault: Answer) -> None:
    block_of("mp:ids=mp-149")  # so that mp-api's own first requests, which repeat nothing, are behind us
    server.faults = [fault, fault]
    assert block_of(ALL).source_ids == ALL_IDS
    assert not server.faults


def test_faults_that_stay_are_reported_and_whole_mirrors_go_on(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert block_of(ALL).source_ids == ALL_IDS
    respond, server.respond = server.respond, lambda _: BAD_GATEWAY
    assert block_of(ALL).source_ids == ALL_IDS
    with pytest.raises(UnreachableError, match="502"):
        block_of("mp:chemsys=Ga-N")
    server.respond = lambda r: respond(r) if "heartbeat" in r.path else Answer.json({}, cut_at=0)
    with pytest.raises(UnreachableError, match="no whole answer"):
        block_of("mp:chemsys=Ga-N")
    monkeypatch.setenv("GMTSCREEN_OFFLINE", "true")
    monkeypatch.delenv("MP_API_KEY")
    server.requests.clear()
    assert block_of(ALL).source_ids == ALL_IDS
    assert server.requests == []


def test_an_interrupted_download_goes_on_with_the_next_batch(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materials_project, "IDS_PER_REQUEST", 1)
    respond = server.respond
    server.respond = lambda r: BAD_GATEWAY if r.query.get("material_ids") == "mp-149" else respond(r)
    with pytest.raises(UnreachableError):
        block_of(ALL)
    server.respond = respond
    server.requests.clear()
    assert block_of(ALL).source_ids == ALL_IDS
    batches = [query["material_ids"] for query in asked(server, "summary") if "material_ids" in query]
    assert batches == ["mp-149", "mp-22862"]


def test_only_new_and_changed_documents_are_fetched(server: LocalServer, api: MaterialsProject) -> None:
    api.materials = api.materials[:2]
    first = open_candidates(ALL)
    before = first.fingerprint()
    server.requests.clear()
    assert open_candidates(ALL).fingerprint() == before
    assert ["material_ids" in query for query in asked(server, "summary")] == [False]
    new = materials()
    new[1].summary |= {"last_updated": "2025-02-02T00:00:00Z"}  # rebuilt, and says the same
    api.materials = new[:2]
    assert open_candidates(ALL).fingerprint() == before
    new[0].summary |= {"last_updated": "2025-03-03T00:00:00Z", "band_gap": 4.2}
    api.materials = new
    server.requests.clear()
    block = block_of(ALL)
    assert asked(server, "summary")[-1]["material_ids"] == "mp-661,mp-22862"
    assert block.source_ids == ALL_IDS and '"band_gap": 4.2' in str(block.metadata[0])
    api.materials = new[1:]
    assert block_of(ALL).source_ids == ALL_IDS[1:], "what is no longer listed is forgotten"


@pytest.mark.parametrize(
    ("route", "gone", "text"),
    [
        ("summary", "material_id", ALL),
        ("summary", "structure", ALL),
        ("summary", "band_gap", "mp:band_gap=1..9"),
        ("elasticity", "elastic_tensor", f"{ALL},has_props=elasticity"),
        ("dielectric", "total", f"{ALL},has_props=dielectric"),
    ],
)
def test_a_field_that_is_gone_is_named(
    server: LocalServer, api: MaterialsProject, route: str, gone: str, text: str
) -> None:
    api.without[route] = {gone}
    with pytest.raises(SourceError, match=f"'{gone}'.*format has changed"):
        list(open_labels(text).rows()) if route != "summary" else block_of(text)


def test_an_answer_that_no_longer_counts_its_documents_stops_the_search(
    server: LocalServer, api: MaterialsProject
) -> None:
    api.meta_key = "total"  # mp-api would take one document and say nothing
    with pytest.raises(SourceError, match="meta.total_doc"):
        block_of(ALL)


def test_a_page_that_is_missing_in_the_middle_is_noticed(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materials_project, "DOCUMENTS_PER_PAGE", 1)
    assert block_of(ALL).source_ids == ALL_IDS
    assert [query.get("_skip") for query in asked(server, "summary")][:3] == [None, "1", "2"]
    respond = server.respond
    empty = Answer.json({"data": [], "meta": {"total_doc": 3}})
    server.respond = lambda r: empty if r.query.get("_skip") == "1" else respond(r)
    with pytest.raises(SourceError, match="3 summary documents match and sends 1"):
        block_of(ALL)


def test_a_page_of_html_is_no_answer(server: LocalServer) -> None:
    block_of("mp:ids=mp-149")
    server.faults = [Answer(b"<html>maintenance</html>", content_type="text/html")]
    with pytest.raises(SourceError, match="text/html where JSON was expected"):
        block_of(ALL)


# The key.


def everything_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() + path.name.encode() for path in folder.rglob("*") if path.is_file())


def test_the_key_stays_out_of_files_fingerprints_and_errors(
    server: LocalServer, cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    source = open_candidates(ALL)
    texts: list[Any] = [source.fingerprint(), source.name, repr(source), vars(source), list(source.blocks())]
    assert server.requests[-1].headers["x-api-key"] == KEY
    respond = server.respond
    for fault in (Answer.json({"detail": f"bad key {KEY}"}, status=403), BAD_GATEWAY, Answer.json({"data": 1})):
        server.respond = lambda r, fault=fault: respond(r) if "heartbeat" in r.path else fault
        with pytest.raises(SourceError) as caught:
            block_of("mp:chemsys=Ga-N")
        texts.append(str(caught.value))
    assert KEY.encode() not in everything_under(cache) and len(everything_under(cache)) > 1000
    printed = capfd.readouterr()
    for text in (*map(str, texts), caplog.text, printed.out, printed.err, " ".join(sys.argv)):
        assert KEY not in text


@pytest.mark.parametrize("key", [None, "", "short"])
def test_without_a_key_one_line_says_where_to_get_one(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("MP_API_KEY") if key is None else monkeypatch.setenv("MP_API_KEY", key)
    with pytest.raises(SourceError, match="MP_API_KEY.*https://next-gen.materialsproject.org/api") as caught:
        block_of(ALL)
    assert "\n" not in str(caught.value) and "short" not in str(caught.value)
    assert server.requests == []


def test_a_wrong_key_is_reported_by_the_server(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_KEY", "x" * 32)
    with pytest.raises(SourceError, match="403.*Invalid API key"):
        block_of(ALL)


def test_a_redirect_never_takes_the_key_to_another_host(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmt_tasks.sources.remote.http_client.is_public", lambda host: True)
    block_of("mp:ids=mp-149")
    server.faults = [Answer(b"", 302, headers={"Location": "https://elsewhere.example/steal"})]
    with pytest.raises(SourceError, match="elsewhere.example, which is not followed: only the same server is"):
        block_of(ALL)


def test_mirrors_of_other_questions_are_other_files(server: LocalServer, cache: Path) -> None:
    block_of(ALL)
    block_of("mp:ids=mp-149")
    mirrors = sorted((cache / "mp").glob("*.sqlite"))
    assert sorted(len(Mirror(path)) for path in mirrors) == [1, 3]


def test_every_request_goes_through_the_limited_session_also_the_heartbeats_of_mp_api(server: LocalServer) -> None:
    block_of(ALL)
    heartbeats = [request for request in server.requests if "heartbeat" in request.path]
    assert len(heartbeats) == 1, "mp-api gets our answer instead of asking for its own"
    assert {request.headers["user-agent"].partition("/")[0] for request in server.requests} == {"gmtscreen"}
