"""The routes of the JSON interface, all of them below `/api/v1`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from db.explorer.answers import json_answer
from db.explorer.context import Context

router = APIRouter(prefix="/api/v1")

FilterText = Annotated[str, Query(description="OPTIMADE filter; empty means all.")]


@router.get("/count")
def count(request: Request, explorer: Context, filter: FilterText = "") -> Response:
    """Number of crystals that a filter describes."""
    n, total = explorer.store.count(filter), explorer.store.count()
    return json_answer(request, {"n": n, "exact": True, "total": total})
