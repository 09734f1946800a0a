"""What surrounds the data of every OPTIMADE answer: meta, links, errors.

Source: OPTIMADE specification 1.2, sections "JSON Response Schema: Common Fields" and "HTTP Response Status Codes".
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from db.explorer.answers import json_answer
from db.explorer.context import Explorer

ROOT = "/optimade"
API_VERSION = "1.2.0"
VERSION_PATHS = ("v1", "v1.2", "v1.2.0")
MEDIA_TYPE = "application/vnd.api+json"
SCHEMA = "https://schemas.optimade.org/openapi/v1.2.0/optimade.json"

TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    553: "Version Not Supported",
}

PROVIDER = {
    "name": "gmtscreen",
    "description": "Dielectric, piezoelectric and elastic tensors predicted for crystals, with their uncertainty.",
    "prefix": "gmt",
}


class OptimadeError(Exception):
    """A request that OPTIMADE answers with an error.

    Attributes:
        status: HTTP status code.
        detail: what is wrong and what to do.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def base_url(request: Request, explorer: Explorer) -> str:
    """Address of the OPTIMADE interface without a version, as the asker reaches it."""
    root = explorer.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return root.rstrip("/") + ROOT


def versioned_url(request: Request, explorer: Explorer) -> str:
    """The same with the version that was asked for, or without one where none was."""
    first = request.url.path.removeprefix(ROOT).strip("/").partition("/")[0]
    return base_url(request, explorer) + (f"/{first}" if first in VERSION_PATHS else "")


def warning(title: str, detail: str) -> dict[str, str]:
    """A warning of the answer's meta."""
    return {"type": "warning", "title": title, "detail": detail}


def meta(
    request: Request,
    *,
    more: bool = False,
    returned: int | None = None,
    available: int | None = None,
    warnings: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    """The meta object of an answer.

    Args:
        request: that is answered.
        more: whether further pages follow.
        returned: entries that the filter describes, over all pages; None where that was not counted exactly.
        available: entries without any filter.
        warnings: see `warning`.
    """
    path = request.url.path.removeprefix(ROOT)
    for name in VERSION_PATHS:
        path = path.removeprefix(f"/{name}") if path == f"/{name}" or path.startswith(f"/{name}/") else path
    query = f"?{request.url.query}" if request.url.query else ""
    facts: dict[str, Any] = {
        "query": {"representation": f"{path or '/'}{query}"},
        "api_version": API_VERSION,
        "schema": SCHEMA,
        "more_data_available": more,
        "provider": PROVIDER,
        "implementation": {"name": "gmtscreen", "version": program_version()},
    }
    counts = {"data_returned": returned, "data_available": available}
    facts |= {name: n for name, n in counts.items() if n is not None}
    return facts | ({"warnings": list(warnings)} if warnings else {})


def program_version() -> str:
    """Version of the installed program."""
    try:
        return version("gmtscreen")
    except PackageNotFoundError:
        return "unknown"


def answer(request: Request, body: dict[str, Any]) -> Response:
    """A successful answer; the time of the query takes no part in its ETag."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    stamped = body | {"meta": body["meta"] | {"time_stamp": stamp}}
    return json_answer(request, stamped, media_type=MEDIA_TYPE, tag_of=body)


def error(request: Request, status: int, detail: str, position: int | None = None) -> JSONResponse:
    """An error as OPTIMADE writes it."""
    described: dict[str, Any] = {"status": str(status), "title": TITLES.get(status, "Error"), "detail": detail}
    if position is not None:
        described |= {"source": {"parameter": "filter"}, "meta": {"_gmt_position": position}}
    body = {"errors": [described], "meta": meta(request)}
    return JSONResponse(body, status, {"cache-control": "no-store"}, media_type=MEDIA_TYPE)


def with_query(url: str, parameters: dict[str, str]) -> str:
    """A URL with query parameters."""
    return f"{url}?{urlencode(parameters)}" if parameters else url
