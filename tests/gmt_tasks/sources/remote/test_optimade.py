"""OPTIMADE providers: pages, filters as written, what changed since, faults, and nothing lost without a word."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.remote.http_client import UnreachableError
from gmt_tasks.sources.remote.optimade import open_optimade
from gmt_tasks.sources.remote.optimade_provider import as_protected
from models.errors import Reason, SourceError
from tests.gmt_tasks.sources.remote.local_server import BAD_GATEWAY, BUSY, Answer, LocalServer, Request, serving

FILTER = 'elements HAS "Na" AND nelements=2'
PAGE = 4


def structure(
    number: int, modified: str | None = "2024-01-01T00:00:00Z", a: float | None = None, **changes: Any
) -> Any:
    """Rock salt with a lattice constant of its own; None leaves an attribute out."""
    a = 5.0 + 0.05 * number if a is None else a
    attributes: dict[str, Any] = {
        "lattice_vectors": [[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]],
        "cartesian_site_positions": [[0, 0, 0], [a / 2, a / 2, a / 2]],
        "species_at_sites": ["Na", "Cl"],
        "species": [{"name": name, "chemical_symbols": [name], "concentration": [1.0]} for name in ("Na", "Cl")],
        "structure_features": [],
        "last_modified": modified,
        "_test_energy": -1.0,
    }
    attributes = {key: value for key, value in (attributes | changes).items() if value is not None}
    return {"id": f"s-{number}", "type": "structures", "attributes": attributes}


def species(name: str, symbols: list[str], shares: list[float]) -> dict[str, Any]:
    return {"species": [{"name": name, "chemical_symbols": symbols, "concentration": shares}]}


class Provider:
    """A provider with pages by offset; `dated` ones understand `last_modified >= "..."`."""

    def __init__(self, structures: list[Any]) -> None:
        self.structures = structures
        self.ask_dates: Callable[[list[Any], str], list[Any]] = self._since

    def __call__(self, request: Request) -> Answer:
        if request.path != "/optimade/v1/structures":
            return Answer.json({"errors": [{"detail": f"no such endpoint {request.path}"}]}, status=404)
        found = self.structures
        _, dated, rest = request.query.get("filter", "").partition('last_modified >= "')
        if dated:
            found = self.ask_dates(found, rest.partition('"')[0])
        offset = int(request.query.get("page_offset", 0))
        size = min(PAGE, int(request.query["page_limit"]))
        more = offset + size < len(found)
        following = f"{request.path}?{urlencode({**request.query, 'page_offset': offset + size})}" if more else None
        body = {"data": found[offset : offset + size], "links": {"next": following}}
        return Answer.json(body | {"meta": {"more_data_available": more}}, content_type="application/vnd.api+json")

    @staticmethod
    def _since(structures: list[Any], stamp: str) -> list[Any]:
        return [each for each in structures if each["attributes"].get("last_modified", "") >= stamp]


def name_of(server: LocalServer, filter_text: str = FILTER) -> str:
    return f"optimade:{server.url}/optimade?filter={filter_text}"


def ids_of(server: LocalServer, filter_text: str = FILTER) -> list[str]:
    return [each for block in open_optimade(name_of(server, filter_text)).blocks() for each in block.source_ids]


def test_every_page_is_followed_and_the_filter_goes_as_it_was_written(cache: Path) -> None:
    with serving(Provider([structure(k) for k in range(10)])) as server:
        source = open_source(name_of(server))
        (block,) = source.blocks()
        assert block.source_ids == [f"s-{k}" for k in range(10)]
        assert [request.query["filter"] for request in server.requests] == [FILTER] * 3
        assert server.requests[0].headers["user-agent"].startswith("gmtscreen/")
        ingested = ingest_block(source.name, block)
        assert len(set(ingested.crystal_ids)) == 10
        assert np.allclose(np.linalg.det(block.crystals.lattice[3]), 5.15**3 / 4)
        assert '"_test_energy": -1.0' in str(block.metadata[0])


@pytest.mark.parametrize("written", ["filter=elements+HAS+%22Na%22", "filter=elements%20HAS%20%22Na%22", ""])
@pytest.mark.parametrize("path", ["/optimade", "/optimade/", "/optimade/v1", "/optimade/v1/structures"])
def test_an_address_may_be_the_base_or_the_endpoint_and_encoded(cache: Path, written: str, path: str) -> None:
    with serving(Provider([structure(1)])) as server:
        (block,) = open_optimade(f"optimade:{server.url}{path}{'?' + written if written else ''}").blocks()
        assert block.source_ids == ["s-1"]
        assert server.requests[0].query.get("filter") == ('elements HAS "Na"' if written else None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimade:", "names no OPTIMADE provider"),
        ("optimade:mp?filter=x", "names no OPTIMADE provider"),
        ("optimade:file:///etc/passwd", "names no OPTIMADE provider"),
        ("optimade:https://user:pass@h/x", "names no OPTIMADE provider"),
        ("optimade:https://h/x?sort=id", "'sort' is not filter"),
        ("optimade:https://h/x?page_limit=0", "page_limit=0"),
    ],
)
def test_what_is_no_provider_is_refused_before_anything_is_asked(cache: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        open_optimade(text)


@pytest.mark.parametrize("fault", [BUSY, BAD_GATEWAY, Answer.json({"data": []}, cut_at=3)])
def test_faults_that_pass_lose_nothing(cache: Path, fault: Answer) -> None:
    with serving(Provider([structure(k) for k in range(10)])) as server:
        server.faults = [fault, fault]
        assert len(ids_of(server)) == 10


def test_an_interrupted_download_goes_on_with_the_next_page(cache: Path) -> None:
    with serving(Provider([structure(k) for k in range(10)])) as server:
        respond, server.respond = server.respond, lambda r: BAD_GATEWAY if "page_offset" in r.query else respond(r)
        with pytest.raises(UnreachableError, match="502"):
            ids_of(server)
        server.respond = respond
        n_before = len(server.requests)
        assert len(ids_of(server)) == 10
        assert [r.query.get("page_offset") for r in server.requests[n_before:]] == ["4", "8"]


def test_a_mark_that_the_provider_forgot_begins_again(cache: Path) -> None:
    with serving(Provider([structure(k) for k in range(6)])) as server:
        respond, server.respond = server.respond, lambda r: BAD_GATEWAY if "page_offset" in r.query else respond(r)
        with pytest.raises(UnreachableError):
            ids_of(server)
        gone = Answer.json({"errors": [{"detail": "cursor expired"}]}, status=404)
        server.respond, server.faults = respond, [gone]
        assert len(ids_of(server)) == 6


def test_only_what_changed_is_fetched_and_a_new_date_alone_changes_nothing(cache: Path) -> None:
    provider = Provider([structure(k) for k in range(10)])
    with serving(provider) as server:
        first = open_optimade(name_of(server)).fingerprint()
        assert open_optimade(name_of(server)).fingerprint() == first
        assert len(server.requests) == 3 + 3, "every record has the newest date: all are asked for"
        provider.structures[2] = structure(2, "2024-05-05T00:00:00Z")
        assert open_optimade(name_of(server)).fingerprint() == first
        n_before = len(server.requests)
        provider.structures[7] = structure(7, "2024-06-01T12:00:00+02:00", a=6.0)
        provider.structures.append(structure(10, "2024-07-01T00:00:00Z"))
        changed = open_optimade(name_of(server))
        assert changed.fingerprint() != first
        (request,) = server.requests[n_before:]
        assert request.query["filter"] == f'{FILTER} AND last_modified >= "2024-05-05T00:00:00Z"'
        (block,) = changed.blocks()
        assert block.source_ids == [f"s-{k}" for k in range(11)], "a changed record keeps its place"
        assert np.isclose(np.linalg.det(block.crystals.lattice[7]), 6.0**3 / 4)


def test_a_filter_with_or_is_put_in_parentheses_and_others_are_not(cache: Path) -> None:
    either = 'nelements=1 OR elements HAS "Na"'
    named = 'chemical_formula_reduced="THIS OR THAT"'
    with serving(Provider([structure(1)])) as server:
        for filter_text in (either, named):
            ids_of(server, filter_text)
            ids_of(server, filter_text)
        asked = [request.query["filter"].partition(" AND last_modified")[0] for request in server.requests]
        assert asked == [either, f"({either})", named, named]


def undated(structures: list[Any], _: str) -> list[Any]:
    """A provider that does not look at that part of a filter."""
    return structures


def test_a_provider_without_dates_is_read_anew_and_gone_records_go(cache: Path) -> None:
    provider = Provider([structure(k, None) for k in range(6)])
    with serving(provider) as server:
        first = open_optimade(name_of(server)).fingerprint()
        assert open_optimade(name_of(server)).fingerprint() == first
        assert all("last_modified" not in request.query["filter"] for request in server.requests)
        del provider.structures[1]
        provider.structures.append(structure(9, None))
        assert ids_of(server) == ["s-0", "s-2", "s-3", "s-4", "s-5", "s-9"]


def test_a_provider_that_ignores_the_date_in_a_filter_brings_nothing_that_was_not_asked_for(cache: Path) -> None:
    provider = Provider([structure(0, "2024-01-01T00:00:00Z"), structure(1, "2024-03-01T00:00:00Z")])
    with serving(provider) as server:
        ids_of(server)
        # The whole filter is ignored: as JARVIS's endpoint does with one it cannot read.
        provider.ask_dates = lambda structures, _: [*structures, structure(99, "2020-01-01T00:00:00Z")]
        assert ids_of(server) == ["s-0", "s-1"]


def test_a_provider_that_refuses_dates_in_filters_is_read_anew(cache: Path) -> None:
    provider = Provider([structure(k) for k in range(3)])
    with serving(provider) as server:
        ids_of(server)
        refused = Answer.json({"errors": [{"detail": "last_modified is not queryable"}]}, status=400)
        respond = server.respond
        server.respond = lambda r: refused if "last_modified >=" in r.query["filter"] else respond(r)
        provider.structures.append(structure(5))
        assert ids_of(server) == ["s-0", "s-1", "s-2", "s-5"]


def test_a_whole_mirror_serves_when_the_provider_is_away(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Provider([structure(k) for k in range(5)])) as server:
        name = name_of(server)
        fingerprint = open_optimade(name).fingerprint()
    away = open_optimade(name)
    assert away.fingerprint() == fingerprint
    monkeypatch.setenv("GMTSCREEN_OFFLINE", "1")
    (block,) = open_optimade(name).blocks()
    assert len(block.source_ids) == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (species("Na", ["Na", "K"], [0.5, 0.5]), Reason.DISORDERED),
        (species("Cl", ["Cl", "vacancy"], [0.9, 0.1]), Reason.DISORDERED),
        (species("Cl", ["X"], [1.0]), Reason.UNKNOWN_SPECIES),
        ({"structure_features": ["implicit_atoms"]}, Reason.DISORDERED),
        ({"structure_features": ["site_attachments"]}, Reason.DISORDERED),
        ({"structure_features": ["assemblies"]}, Reason.DISORDERED),
        ({"cartesian_site_positions": None}, Reason.PARSE),
        ({"cartesian_site_positions": [[0, 0, float("nan")], [1, 1, 1]]}, Reason.NONFINITE),
        ({"lattice_vectors": [[1, 0, 0], [0, 1, 0], [None, None, None]]}, Reason.NONFINITE),
        ({"lattice_vectors": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, Reason.DEGENERATE_CELL),
    ],
)
def test_a_record_that_is_no_crystal_is_refused_alone(cache: Path, changes: dict[str, Any], reason: Reason) -> None:
    with serving(Provider([structure(0), structure(1, **changes), structure(2)])) as server:
        (block,) = open_optimade(name_of(server)).blocks()
        assert block.source_ids == ["s-0", "s-2"]
        assert [(each.position, each.source_id, each.reason) for each in block.rejected] == [(1, "s-1", reason)]


def test_a_field_that_is_gone_from_all_records_stops_the_download_by_name(cache: Path) -> None:
    with serving(Provider([structure(k, lattice_vectors=None) for k in range(3)])) as server:
        with pytest.raises(SourceError, match=r"none of 3 records.*lattice_vectors.*format of the source has changed"):
            ids_of(server)
        server.respond = Provider([structure(k) for k in range(3)])
        assert len(ids_of(server)) == 3, "nothing of the bad page was kept"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"results": [], "meta": {}}, "no list `data`.*meta, results"),
        ([], "no list `data`"),
        ({"data": [structure(1)], "links": {}, "meta": {"more_data_available": True}}, "links.next.*missing"),
        ({"data": [structure(1)], "links": {"next": 7}}, "is a int"),
        ({"data": [structure(1) | {"id": None}], "links": {}}, "no `id`"),
        ({"data": [], "links": {"next": "/optimade/v1/structures?page_offset=4"}}, "empty page"),
    ],
)
def test_an_answer_of_another_shape_is_never_taken_for_the_end(cache: Path, answer: Any, said: str) -> None:
    with serving(lambda _: Answer.json(answer)) as server, pytest.raises(SourceError, match=said):
        ids_of(server)


def test_fewer_records_than_announced_are_reported(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer = {"data": [structure(1)], "links": {"next": None}, "meta": {"data_returned": 700}}
    with serving(lambda _: Answer.json(answer)) as server:
        ids_of(server)
        assert "announces 700 records, and its pages hold 1" in caplog.text
        caplog.clear()
        answer["meta"] = {"data_returned": 1}
        ids_of(server, "nelements=3")
        assert "announces" not in caplog.text


def test_pages_that_lead_in_circles_end(cache: Path) -> None:
    def same_records(request: Request) -> Answer:
        offset = int(request.query.get("page_offset", 0))
        data = [structure(k) for k in range(3)]
        return Answer.json({"data": data, "links": {"next": {"href": f"?page_offset={offset + 1}"}}})

    def same_page(request: Request) -> Answer:
        return Answer.json({"data": [structure(len(server.requests))], "links": {"next": request.path}})

    with serving(same_records) as server, pytest.raises(SourceError, match="same 3 records"):
        ids_of(server)
    with serving(same_page) as server, pytest.raises(SourceError, match="lead back"):
        ids_of(server)


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "https://127.0.0.1/x", "ftp://example.org/x"])
def test_a_next_page_on_a_private_host_is_not_asked_for(cache: Path, target: str) -> None:
    page = {"data": [structure(1)], "links": {"next": target}}
    with serving(lambda _: Answer.json(page)) as server:
        with pytest.raises(SourceError, match="not followed"):
            ids_of(server)
        asked = [request.path.rpartition("/")[2] for request in server.requests]
        assert asked == ["structures", "links", "info"], "the provider is asked whether that host is its own"


class StrictProvider(Provider):
    """A provider that refuses pages longer than `allowed`, and says so in words of its own."""

    def __init__(self, structures: list[Any], allowed: int, said: str, status: int) -> None:
        super().__init__(structures)
        self.allowed, self.refusal = allowed, Answer.json({"errors": [{"detail": said}]}, status=status)

    def __call__(self, request: Request) -> Answer:
        asked = int(request.query.get("page_limit", 0))
        return self.refusal if asked > self.allowed else super().__call__(request)


@pytest.mark.parametrize(
    ("allowed", "said", "status", "limits"),
    [
        (50, "Max allowed page_limit is 50, you requested 500", 403, [500, 100, 50]),
        (30, "Bad request", 400, [500, 100, 20]),
        (2, "page_limit must be at most 2", 422, [500, 100, 20, 5, 2]),
    ],
)
def test_a_provider_that_allows_shorter_pages_is_asked_for_them(
    cache: Path, allowed: int, said: str, status: int, limits: list[int]
) -> None:
    with serving(StrictProvider([structure(k) for k in range(6)], allowed, said, status)) as server:
        assert len(ids_of(server)) == 6
        asked = [int(request.query["page_limit"]) for request in server.requests]
        assert list(dict.fromkeys(asked)) == limits
        n_before = len(server.requests)
        ids_of(server)
        assert int(server.requests[n_before].query["page_limit"]) == limits[-1], "what was learned is remembered"


def test_a_refusal_for_another_reason_is_said_in_the_words_of_the_first_one(cache: Path) -> None:
    with serving(StrictProvider([], 0, "the filter cannot be parsed", 400)) as server:
        with pytest.raises(SourceError, match="the filter cannot be parsed"):
            ids_of(server)
        assert len(server.requests) == 4, "the same question with ever shorter pages, and no more"


class SplitProvider(Provider):
    """A provider whose pages after the first one are on another server; `links` names it, or does not."""

    def __init__(self, structures: list[Any], *, kind: str | None) -> None:
        super().__init__(structures)
        self.pages_at, self.kind = "", kind

    def __call__(self, request: Request) -> Answer:
        if request.path.endswith("/links"):
            link = {"attributes": {"base_url": {"href": f"{self.pages_at}/optimade"}, "link_type": self.kind}}
            return Answer.json({"data": [link] if self.kind else []})
        answer = super().__call__(request)
        return Answer.json(json.loads(answer.body.replace(b'"/optimade', f'"{self.pages_at}/optimade'.encode())))


@pytest.mark.parametrize(("kind", "followed"), [("child", True), ("root", True), ("external", False), (None, False)])
def test_pages_on_another_private_server_are_followed_where_the_provider_names_it(
    cache: Path, kind: str | None, followed: bool
) -> None:
    records = [structure(k) for k in range(6)]
    provider = SplitProvider(records, kind=kind)
    with serving(provider) as server, serving(Provider(records)) as other:
        provider.pages_at = other.url
        if followed:
            assert len(ids_of(server)) == 6
            assert len(other.requests) == 1
        else:
            with pytest.raises(SourceError, match="not followed"):
                ids_of(server)
            assert other.requests == []


def test_a_link_to_the_same_host_is_as_protected_as_the_page() -> None:
    page = "https://lab.example/optimade/v1/structures"
    assert as_protected(page, "http://lab.example/x?page=2") == "https://lab.example/x?page=2"
    assert as_protected(page, "http://lab.example:80/x") == "https://lab.example/x"
    for other in ("http://elsewhere.example/x", "http://lab.example:8080/x", "https://lab.example/x"):
        expected = other.replace("http://lab", "https://lab")
        assert as_protected(page, other) == expected
    assert as_protected(page.replace("https", "http"), "http://lab.example/x") == "http://lab.example/x"
