"""Routes of the pages; the application includes `router`.

A page is a frame: its scripts ask the JSON interface for what it shows, so whatever a page says can be had as JSON too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db.explorer.context import Context, Explorer
from db.explorer.pages.filter_help import filter_help
from models.errors import MissingError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def page(
    request: Request,
    explorer: Explorer,
    template: str,
    section: str,
    about: Callable[[], object] | None = None,
    **values: Any,
) -> HTMLResponse:
    """A rendered page.

    Args:
        request: what was asked.
        explorer: holds the templates.
        template: file name of the template.
        section: entry of the navigation that is marked as the present one.
        about: looks up what the page is about; where there is no such thing the page, which says so, has status 404.
        values: what else the template reads.
    """
    # Behind a proxy the application may live below a path: every address on the page starts with it.
    context = {"root": request.scope.get("root_path", ""), "section": section, **values}
    status = 200
    try:
        if about is not None:
            about()
    except MissingError:
        status = 404
    return explorer.templates.TemplateResponse(request, template, context, status)


@router.get("/")
def search_page(request: Request, explorer: Context) -> HTMLResponse:
    """Filter, plot and table; its address holds the query."""
    return page(request, explorer, "search.html", "Explorer")


@router.get("/crystals/{crystal:path}")
def crystal_page(request: Request, explorer: Context, crystal: str) -> HTMLResponse:
    """One crystal."""
    return page(request, explorer, "crystal.html", "", partial(explorer.store.find, crystal), crystal=crystal)


@router.get("/compare")
def comparison_page(request: Request, explorer: Context) -> HTMLResponse:
    """Crystals side by side; their ids are in its address."""
    return page(request, explorer, "compare.html", "")


@router.get("/runs")
def runs_page(request: Request, explorer: Context) -> HTMLResponse:
    """Every run with its balance."""
    return page(request, explorer, "runs.html", "Runs", run=None)


@router.get("/runs/{run}")
def run_page(request: Request, explorer: Context, run: int) -> HTMLResponse:
    """One run: balance, sources, what was rejected and why."""
    return page(request, explorer, "runs.html", "Runs", partial(explorer.store.runs, run), run=run)


@router.get("/designs")
def designs_page(request: Request, explorer: Context) -> HTMLResponse:
    """Every design with its goal."""
    return page(request, explorer, "designs.html", "Designs", design=None)


@router.get("/designs/{design}")
def design_page(request: Request, explorer: Context, design: int) -> HTMLResponse:
    """One design: its rounds, and what it proposes and why."""
    about = partial(explorer.store.designs.get, design)
    return page(request, explorer, "designs.html", "Designs", about, design=design)


@router.get("/models")
def models_page(request: Request, explorer: Context) -> HTMLResponse:
    """Every model version."""
    return page(request, explorer, "models.html", "Models", model=None)


@router.get("/models/{model}")
def model_page(request: Request, explorer: Context, model: str) -> HTMLResponse:
    """One model version: accuracy, calibration, where it came from, who decided what."""
    return page(request, explorer, "models.html", "Models", partial(explorer.store.describe_model, model), model=model)


@router.get("/scoreboard")
def scoreboard_page(request: Request, explorer: Context) -> HTMLResponse:
    """Public predictions and our models on the benchmarks that others use; the same for every database."""
    return page(request, explorer, "scoreboard.html", "Scoreboard")


@router.get("/help")
def help_page(request: Request, explorer: Context) -> HTMLResponse:
    """The filter language and every property."""
    return page(request, explorer, "help.html", "Help", groups=filter_help())
