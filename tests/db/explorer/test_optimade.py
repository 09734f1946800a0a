"""OPTIMADE: the validator and the client of optimade-python-tools judge, and the hits are those of every other door."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from db.explorer.app import create_app
from db.explorer.limits import ServerSettings
from db.explorer.optimade import routes
from db.explorer.optimade.definitions import JSON_TYPES, STRUCTURES, UNITS
from db.query.properties import DESCRIPTIONS
from db.store import ResultStore
from flows.explorer_services import ExplorerServices
from tests.db.explorer.served import N_CRYSTALS

V1 = "/optimade/v1"


class Judged:
    """Looks like the validator's own client and asks without a port."""

    def __init__(self, client: TestClient, path: str) -> None:
        self.base_url = f"http://127.0.0.1{path}"
        self.headers: dict[str, str] = {}
        self.last_request: str | None = None
        self._client = client

    def get(self, request: str) -> Any:
        """The answer to a path below the base URL, or to an absolute address."""
        is_whole = request.startswith("http")
        self.last_request = request if is_whole else f"{self.base_url}/{request.removeprefix('/')}"
        return self._client.get(self.last_request)


def validated(client: TestClient, path: str, **options: Any) -> Any:
    """The validator's results."""
    from optimade.validator import ImplementationValidator

    validator = ImplementationValidator(client=Judged(client, path), respond_json=True, **options)
    validator.validate_implementation()
    return validator.results


@pytest.mark.slow
@pytest.mark.parametrize("path", [V1, "/optimade"])
def test_the_validator_finds_no_fault(client: TestClient, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = validated(client, path)
    faults = results.failure_messages + results.internal_failure_messages + results.optional_failure_messages
    assert faults == []
    assert results.success_count > 50
    assert results.optional_success_count > 10


def test_the_validators_shortest_walk_finds_no_fault(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    results = validated(client, V1, minimal=True)
    assert results.failure_messages + results.internal_failure_messages == []
    assert results.success_count > 10


def test_the_validator_would_find_a_fault(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(routes, "meta", lambda *_, **__: {"api_version": "1.2.0"})
    assert validated(client, V1, minimal=True).failure_count > 0


@pytest.mark.slow
def test_the_client_of_optimade_reads_every_page(served_db: Path) -> None:
    from optimade.client import OptimadeClient

    with ResultStore.open_read_only(served_db, 10.0) as store:
        app = create_app(store, ExplorerServices(), ServerSettings())
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
            port = server.servers[0].sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}/optimade"
            client = OptimadeClient(base_urls=[url], silent=True)
            (found,) = client.get("_gmt_k_vrh_gpa > 0 AND nelements >= 1")["structures"].values()
        finally:
            server.should_exit = True
            thread.join()
    assert not found[url].get("errors")
    assert len(found[url]["data"]) == N_CRYSTALS


def all_pages(client: TestClient, url: str) -> Iterator[dict[str, Any]]:
    """The entries of all pages, following their links."""
    while url:
        answer = client.get(url).json()
        yield from answer["data"]
        url = answer["links"]["next"]


@pytest.mark.parametrize("sort", ["", "&sort=-_gmt_k_vrh_gpa", "&sort=last_modified,id"])
def test_pages_join_without_gap(client: TestClient, store: ResultStore, sort: str) -> None:
    entries = list(all_pages(client, f"{V1}/structures?page_limit=4&response_fields=nelements,_gmt_k_vrh_gpa{sort}"))
    assert len(entries) == N_CRYSTALS
    assert {entry["id"] for entry in entries} == set(store.query(limit=0)["id"])
    if "k_vrh" in sort:
        values = [entry["attributes"]["_gmt_k_vrh_gpa"] for entry in entries]
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    "text",
    [
        "k_vrh_gpa > 50",
        "_gmt_k_vrh_gpa > 50 AND nsites <= 3",
        'elements HAS ANY "Al","O","N" OR NOT mechanically_stable',
        '20 < spacegroup AND chemical_formula_anonymous = "A"',
        'last_modified > "2020-01-01" AND NOT symmetry_ambiguous = TRUE',
        'NOT (nperiodic_dimensions = 2 OR id CONTAINS "a")',
        'source_ids HAS "made-3"',
        "preset:piezo OR k_vrh_gpa < 30",
    ],
)
def test_every_door_gives_the_same_hits(client: TestClient, store: ResultStore, text: str) -> None:
    wanted = list(store.query(text, fields=["id"], limit=0)["id"])
    parameters: dict[str, Any] = {"filter": text}
    listed = client.get(f"{V1}/structures", params=parameters | {"page_limit": 100}).json()
    assert sorted(entry["id"] for entry in listed["data"]) == sorted(wanted)
    assert listed["meta"]["data_returned"] == len(wanted)
    rows = client.get("/api/v1/crystals", params=parameters | {"limit": 100, "fields": "id"}).json()["rows"]
    assert [row["id"] for row in rows] == wanted
    assert client.get("/api/v1/count", params=parameters).json()["n"] == len(wanted)


def test_a_crystal_is_one_entry_whatever_the_filter_says_about_models(client: TestClient) -> None:
    found = client.get(f"{V1}/structures", params={"filter": '_gmt_model STARTS WITH "toy"', "page_limit": 500}).json()
    ids = [entry["id"] for entry in found["data"]]
    assert len(ids) == len(set(ids)) == N_CRYSTALS


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("structures?filter=nope=1", 400),
        ("structures?filter=_gmt_nope=1", 400),
        ("structures?filter=_exmpl_a=1", 200),
        ("structures?filter=lattice_vectors HAS 1", 501),
        ("structures?filter=nelements=", 400),
        ("structures?page_limit=501", 403),
        ("structures?page_limit=0", 400),
        ("structures?page_offset=10", 501),
        ("structures?sort=elements", 400),
        ("structures?sort=nelements,nsites", 501),
        ("structures?response_fields=nope", 400),
        ("structures?response_fields=_exmpl_a", 200),
        ("structures?nope=1", 400),
        ("structures?_exmpl_nope=1", 200),
        ("structures?response_format=xml", 400),
        ("structures?api_hint=v9", 553),
        ("structures?page_cursor=abc", 400),
        ("structures?include=calculations", 400),
        ("calculations", 404),
        ("info/calculations", 404),
        ('references?filter=title CONTAINS "Network"', 200),
        ("references?filter=volume IS UNKNOWN", 200),
        ("references/gmtnet", 200),
        ("structures/no-such-crystal", 200),
        ("versions", 404),
    ],
)
def test_requests_are_answered_with_the_status_of_the_specification(client: TestClient, path: str, status: int) -> None:
    answer = client.get(f"{V1}/{path}")
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert ("errors" in body) == (status != 200)
    assert body["meta"]["api_version"] == "1.2.0"
    if "_exmpl" in path and "filter" not in path:
        assert body["meta"]["warnings"][0]["type"] == "warning"


def test_other_versions_are_refused_and_this_one_is_named(client: TestClient) -> None:
    assert client.get("/optimade/v2/info").status_code == 553
    versions = client.get("/optimade/versions")
    assert (versions.text, versions.headers["content-type"]) == (
        "version\n1\n",
        "text/csv; header=present; charset=utf-8",
    )


def test_entries_hold_what_the_crystal_is(client: TestClient, store: ResultStore) -> None:
    entry = client.get(f"{V1}/structures?page_limit=1").json()["data"][0]
    facts, single = store.show(entry["id"]), client.get(f"{V1}/structures/{entry['id']}").json()["data"]
    attributes = entry["attributes"]
    assert single == entry
    assert attributes["lattice_vectors"] == facts["lattice"].tolist()
    assert attributes["cartesian_site_positions"] == pytest.approx(facts["frac_coords"] @ facts["lattice"])
    assert sum(attributes["elements_ratios"]) == pytest.approx(1)
    assert len(attributes["species_at_sites"]) == attributes["nsites"] == facts["n_atoms"]
    assert attributes["_gmt_k_vrh_gpa"] == facts["results"][-1]["derived"]["k_vrh_gpa"]


def test_every_property_is_defined_with_its_unit(client: TestClient) -> None:
    listed = client.get(f"{V1}/info/structures").json()["data"]["properties"]
    assert set(listed) == set(STRUCTURES)
    assert len(listed) > len(DESCRIPTIONS)
    units = {each.unit for each in DESCRIPTIONS.values()} - {"", "1"}
    assert units == set(UNITS), "give the unit's symbol in the Unified Code for Units of Measure"
    for name in ("_gmt_k_vrh_gpa", "nelements", "lattice_vectors", "_gmt_source_ids"):
        schema = client.get(listed[name]["$id"]).json()
        assert schema["type"] == [JSON_TYPES[schema["x-optimade-type"]], "null"]
        assert listed[name]["type"] == schema["x-optimade-type"]
    assert client.get(listed["_gmt_k_vrh_gpa"]["$id"]).json()["x-optimade-unit"] == "GPa"
    assert client.get(listed["lattice_vectors"]["$id"]).json()["items"]["items"]["x-optimade-unit"] == "Ao"


def test_a_single_entry_ignores_what_it_does_not_know_and_a_list_refuses_it(client: TestClient) -> None:
    entry = client.get(f"{V1}/structures?page_limit=1&response_fields=nsites").json()["data"][0]
    alone = client.get(f"{V1}/structures/{entry['id']}?response_fields=nsites&nonsense=1&filter=)")
    assert (alone.status_code, alone.json()["data"]) == (200, entry)
    assert client.get(f"{V1}/structures/{entry['id']}?response_format=xml").status_code == 400
    assert client.get(f"{V1}/structures?nonsense=1").status_code == 400


@pytest.mark.parametrize("path", ["", "/info", "/info/structures", "/links", "/structures", "/references"])
def test_a_slash_at_the_end_changes_nothing(client: TestClient, path: str) -> None:
    query = "?page_limit=1" if path in ("/structures", "/references") else ""
    answers = [client.get(f"{V1}{path}{end}{query}", follow_redirects=False) for end in ("", "/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["data"] == answers[1].json()["data"]
    assert answers[0].json().get("links") == answers[1].json().get("links")
