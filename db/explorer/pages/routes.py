"""Routes of the pages; the application includes `router`."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db.explorer.context import Context

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
def start_page(request: Request, explorer: Context) -> HTMLResponse:
    """The first page."""
    return explorer.templates.TemplateResponse(request, "start.html", {"n_crystals": explorer.store.count()})
