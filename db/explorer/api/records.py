"""Runs, designs, model versions and the scoreboard as JSON."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from db.explorer.answers import json_answer
from db.explorer.context import Context
from db.explorer.paths import without_paths
from models.errors import Reason

router = APIRouter()


@router.get("/runs")
def runs(request: Request, explorer: Context) -> Response:
    """Every run with its balance and rate, newest first."""
    return json_answer(request, {"runs": [without_paths(run) for run in explorer.store.runs()]})


@router.get("/runs/{run}")
def run(run: int, request: Request, explorer: Context) -> Response:
    """One run with its balance and rate."""
    return json_answer(request, without_paths(explorer.store.runs(run)[0]))


@router.get("/runs/{run}/rejects")
def rejects(
    run: int, request: Request, explorer: Context, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000
) -> Response:
    """Inputs of a run that gave no result, and how many there are of each reason with what to do about it."""
    rows = [without_paths(row) for row in explorer.store.rejects(run)]
    numbers = Counter(row["reason"] for row in rows).most_common()
    reasons = [
        {"reason": name, "n": n, "sentence": Reason(name).sentence, "advice": Reason(name).advice}
        for name, n in numbers
    ]
    return json_answer(request, {"rejects": rows[:limit], "reasons": reasons, "n": len(rows)})


@router.get("/designs")
def designs(request: Request, explorer: Context) -> Response:
    """Every design with its goal, newest first."""
    return json_answer(request, {"designs": explorer.store.designs.overview()})


@router.get("/designs/{design}")
def design(design: int, request: Request, explorer: Context) -> Response:
    """One design with its rounds, and what it proposes and why."""
    return json_answer(request, explorer.store.designs.describe(design))


@router.get("/scoreboard")
def scoreboard(request: Request, explorer: Context) -> Response:
    """Figures of public predictions and of our models on the benchmarks that others use, section by section."""
    return json_answer(request, explorer.services.scoreboard())


@router.get("/models")
def models(request: Request, explorer: Context) -> Response:
    """Every model version, newest first, with its state and metrics."""
    return json_answer(request, {"models": [without_paths(each) for each in explorer.store.list_models()]})


@router.get("/models/{model}")
def model(model: str, request: Request, explorer: Context) -> Response:
    """One model version with its metrics and every decision about it."""
    return json_answer(request, without_paths(explorer.store.describe_model(model)))
