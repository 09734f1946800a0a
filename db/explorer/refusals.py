"""Answers to requests that no route sees, in the words of the interface that was asked."""

from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Scope

from db.explorer.answers import error_answer
from db.explorer.optimade.envelope import ROOT as OPTIMADE_ROOT
from db.explorer.optimade.envelope import error as optimade_error


def asks_optimade(path: str) -> bool:
    """Whether a path belongs to the OPTIMADE server."""
    return path == OPTIMADE_ROOT or path.startswith(f"{OPTIMADE_ROOT}/")


def refusal(scope: Scope, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that found no place, or that is not answered at all.

    Args:
        scope: of the request.
        status: HTTP status code.
        message: what is wrong and what to do.
        headers: further ones.
    """
    if asks_optimade(scope["path"]):
        answer: Response = optimade_error(Request(scope), status, message)
    else:
        answer = error_answer(status, message)
    answer.headers.update(headers or {})
    return answer
