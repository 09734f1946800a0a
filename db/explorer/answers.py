"""Answers as JSON: strict numbers, an ETag, one shape for every error."""

import hashlib
import json
import logging
import math
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from db.failures import StatementTimeoutError
from models.errors import FilterError, GmtError, MissingError, StoreError

LOGGER = logging.getLogger("gmtscreen.explorer")

REVALIDATE = {"cache-control": "no-cache"}
"""A copy may be kept, and is asked about by its ETag before it is shown: a run may have added results meanwhile."""

NOTHING_HERE = "Nothing is at this address; /api/v1/openapi.json and /optimade/v1/info say what there is."


def json_answer(
    request: Request, content: Any, *, media_type: str = "application/json", tag_of: Any = None
) -> Response:
    """JSON with an ETag; 304 without a body where the asker has the same already.

    Args:
        request: whose `If-None-Match` counts.
        content: made of JSON's types and numpy arrays; numbers that JSON does not have become null.
        media_type: of the answer.
        tag_of: what the ETag is made of, where the content holds what changes every time.
    """
    body = json_bytes(content)
    return tagged(request, body, media_type, body if tag_of is None else json_bytes(tag_of))


def json_bytes(content: Any) -> bytes:
    """A value as JSON; see `plain`."""
    return json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def tagged(request: Request, body: bytes, media_type: str, tag_of: bytes | None = None) -> Response:
    """A body with its ETag; 304 without it where the asker has the same already."""
    digest = hashlib.sha256(body if tag_of is None else tag_of).hexdigest()[:32]
    # The gate makes the tag a weak one, which is compared without its W/.
    headers = {"etag": f'"{digest}"', **REVALIDATE}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {headers["etag"], "*"}:
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)


def plain(value: Any) -> Any:
    """A value made of JSON's types only; numpy arrays and numbers become lists and numbers, NaN becomes None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def error_answer(status: int, message: str, position: int | None = None) -> JSONResponse:
    """An error of the JSON interface."""
    return JSONResponse({"error": {"message": message, "position": position}}, status, {"cache-control": "no-store"})


def describe_error(error: Exception) -> tuple[int, str, int | None]:
    """Status, sentence and position in the filter that an error is answered with."""
    match error:
        case FilterError():
            return 400, str(error), error.position
        case MissingError():
            return 404, str(error), None
        case StatementTimeoutError():
            return 504, str(error), None
        case StoreError():
            # What a database answers may name folders, servers and users: that is for the log.
            LOGGER.error("the database failed: %s", error)
            return 503, "The database cannot be read now; the server's log says why. Ask again later.", None
        case GmtError():
            return 400, str(error), None
        case RequestValidationError():
            first = error.errors()[0]
            return 400, f"{first['loc'][-1]}: {first['msg']}", None
        case HTTPException():
            return error.status_code, NOTHING_HERE if error.detail == "Not Found" else str(error.detail), None
        case _:
            return 500, "The server failed; its log says why.", None
