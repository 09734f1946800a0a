"""The routes of the OPTIMADE server: below `/optimade`, `/optimade/v1`, `/optimade/v1.2` and `/optimade/v1.2.0`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from db.explorer.answers import json_answer
from db.explorer.context import Context, Explorer
from db.explorer.optimade import envelope
from db.explorer.optimade.definitions import STANDARD_UNSUPPORTED, STRUCTURES, Definition
from db.explorer.optimade.envelope import OptimadeError, answer, base_url, meta, versioned_url
from db.explorer.optimade.parameters import EntryQuery, check_names, read_query
from db.explorer.optimade.references import DEFINITIONS, REFERENCES, reference, references_page
from db.explorer.optimade.structures import VOCABULARY, structures_page
from db.query.counts import count
from db.query.request import Request as Search

ENTRY_TYPES = ("structures", "references")
STANDARD_REFERENCE_FIELDS = frozenset(
    {
        "editors", "address", "annote", "booktitle", "chapter", "crossref", "edition", "howpublished", "institution",
        "key", "month", "number", "organization", "publisher", "school", "series",
    }
)  # fmt: skip

SINGLE_ENTRY_PARAMETERS = frozenset({"response_format", "response_fields", "include", "api_hint"})

router = APIRouter(include_in_schema=False)


def add_routes(app: FastAPI) -> None:
    """Serves OPTIMADE with and without the version in the path, and says which versions there are."""
    app.add_api_route(f"{envelope.ROOT}/versions", versions, include_in_schema=False)
    app.add_api_route(f"{envelope.ROOT}/definitions/{{name}}", definition, include_in_schema=False)
    for path in ("", *envelope.VERSION_PATHS):
        base = f"{envelope.ROOT}/{path}".rstrip("/")
        app.add_api_route(base, info, include_in_schema=False)
        app.include_router(router, prefix=base)
    app.add_api_route(f"{envelope.ROOT}/{{path:path}}", unknown_path, include_in_schema=False)


def versions() -> PlainTextResponse:
    """Major versions, as CSV."""
    return PlainTextResponse("version\n1\n", media_type="text/csv; header=present")


def unknown_path(path: str) -> Response:
    """Whatever is not served: 553 where another version is asked for."""
    first = path.partition("/")[0]
    if first[:1] == "v" and first[1:2].isdigit() and first not in envelope.VERSION_PATHS:
        raise OptimadeError(553, f"Version {first[:20]!r} of the API is not served. Ask for v1.")
    raise OptimadeError(404, f"There is no {path[:60]!r}. There are info, links, structures and references.")


def definition(name: str, request: Request, explorer: Context) -> Response:
    """The definition of one property as a JSON schema of OPTIMADE 1.2."""
    found = STRUCTURES.get(name) or DEFINITIONS.get(name)
    if found is None:
        raise OptimadeError(404, f"There is no property {name[:60]!r}.")
    schema = {"$schema": "https://schemas.optimade.org/meta/v1.2/optimade/property_definition"}
    return json_answer(request, schema | found.json_schema(base_url(request, explorer)))


@router.get("/")
@router.get("/info")
@router.get("/info/")
def info(request: Request, explorer: Context) -> Response:
    """What this server is and offers."""
    check_names(request.query_params)
    url = base_url(request, explorer)
    attributes = {
        "api_version": envelope.API_VERSION,
        "available_api_versions": [
            {"url": f"{url}/{path}/", "version": envelope.API_VERSION} for path in envelope.VERSION_PATHS
        ],
        "formats": ["json"],
        "entry_types_by_format": {"json": list(ENTRY_TYPES)},
        "available_endpoints": ["info", "links", *ENTRY_TYPES],
        "is_index": False,
    }
    return answer(request, {"data": {"type": "info", "id": "/", "attributes": attributes}, "meta": meta(request)})


@router.get("/info/{entry_type}")
@router.get("/info/{entry_type}/")
def entry_info(entry_type: str, request: Request, explorer: Context) -> Response:
    """Properties of an entry type, with unit, description and definition."""
    check_names(request.query_params)
    definitions = _definitions(entry_type)
    url = base_url(request, explorer)
    described = {
        "structures": "Crystals with predicted tensors, one entry per crystal: that of the current model version.",
        "references": "Works that the numbers rest on.",
    }
    data = {
        "type": "info",
        "id": entry_type,
        "formats": ["json"],
        "description": described[entry_type],
        "properties": {name: each.in_list(url) for name, each in definitions.items()},
        "output_fields_by_format": {"json": list(definitions)},
    }
    return answer(request, {"data": data, "meta": meta(request)})


@router.get("/links")
@router.get("/links/")
def links(request: Request, explorer: Context) -> Response:
    """Related servers: this one is the root of its provider."""
    check_names(request.query_params)
    attributes = {
        "name": envelope.PROVIDER["name"],
        "description": envelope.PROVIDER["description"],
        "base_url": base_url(request, explorer),
        "homepage": None,
        "link_type": "root",
    }
    data = [{"type": "links", "id": "gmt", "attributes": attributes}]
    return answer(request, {"data": data, "meta": meta(request)})


@router.get("/structures")
@router.get("/structures/")
def structures(request: Request, explorer: Context) -> Response:
    """The crystals that a filter describes, page by page."""
    query = read_query(request.query_params, STRUCTURES, STANDARD_UNSUPPORTED)
    entries, cursor = explorer.store.ask(structures_page, query)
    search = Search(query.filter, vocabulary=VOCABULARY, one_per_crystal=True)
    # An estimate is no number of entries: then the answer has none.
    returned, available = (explorer.store.ask(count, asked) for asked in (search, replace(search, filter="")))
    exact = tuple(number.n if number.exact else None for number in (returned, available))
    return _listed(request, explorer, entries, cursor, query, exact)


@router.get("/references")
@router.get("/references/")
def references(request: Request, explorer: Context) -> Response:
    """The references that a filter describes, page by page."""
    query = read_query(request.query_params, DEFINITIONS, STANDARD_REFERENCE_FIELDS)
    entries, cursor, n = references_page(query)
    return _listed(request, explorer, entries, cursor, query, (n, len(REFERENCES)))


@router.get("/structures/{entry_id:path}")
def structure(entry_id: str, request: Request, explorer: Context) -> Response:
    """One crystal by its content id, or null."""
    return _single("structures", entry_id, request, explorer)


@router.get("/references/{entry_id:path}")
def single_reference(entry_id: str, request: Request, explorer: Context) -> Response:
    """One reference by its id, or null."""
    return _single("references", entry_id, request, explorer)


def _single(entry_type: str, entry_id: str, request: Request, explorer: Explorer) -> Response:
    definitions = _definitions(entry_type)
    known = STANDARD_UNSUPPORTED if entry_type == "structures" else STANDARD_REFERENCE_FIELDS
    # A list refuses what it does not know; of a single entry the specification wants it to be ignored.
    parameters = {name: text for name, text in request.query_params.items() if name in SINGLE_ENTRY_PARAMETERS}
    asked = read_query(parameters, definitions, known)
    quoted = entry_id.replace("\\", "\\\\").replace('"', '\\"')
    query = EntryQuery(f'id = "{quoted}"', None, asked.fields, 1, references=asked.references)
    of_crystals = entry_type == "structures"
    entries = explorer.store.ask(structures_page, query)[0] if of_crystals else references_page(query)[0]
    body: dict[str, Any] = {"data": entries[0] if entries else None}
    n = len(entries)
    body |= {"links": {"next": None}, "meta": meta(request, returned=n, warnings=asked.warnings)}
    return answer(request, body | _included(entry_type, asked, entries))


def _definitions(entry_type: str) -> dict[str, Definition]:
    if entry_type not in ENTRY_TYPES:
        raise OptimadeError(404, f"There is no entry type {entry_type[:40]!r}. There are {' and '.join(ENTRY_TYPES)}.")
    return STRUCTURES if entry_type == "structures" else DEFINITIONS


def _listed(
    request: Request,
    explorer: Explorer,
    entries: list[dict[str, Any]],
    cursor: str | None,
    query: EntryQuery,
    counts: Sequence[int | None],
) -> Response:
    """The answer of a query, with the link to its next page."""
    entry_type = request.url.path.rstrip("/").rpartition("/")[2]
    following = None
    if cursor is not None:
        parameters = dict(request.query_params) | {"page_cursor": cursor}
        following = envelope.with_query(f"{versioned_url(request, explorer)}/{entry_type}", parameters)
    about = meta(request, more=cursor is not None, returned=counts[0], available=counts[1], warnings=query.warnings)
    body = {"data": entries, "links": {"next": following}, "meta": about}
    return answer(request, body | _included(entry_type, query, entries))


def _included(entry_type: str, query: EntryQuery, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The references that come along with structures."""
    if entry_type != "structures" or not query.references or not entries:
        return {"included": []}
    return {"included": [reference(work) for work in REFERENCES]}
