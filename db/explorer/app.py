"""The web application, made for one database: every route, the files it serves, what happens to errors."""

import re
from contextlib import suppress

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from db.explorer.answers import describe_error, error_answer
from db.explorer.api.routes import router as api_router
from db.explorer.context import FOLDER, Explorer
from db.explorer.limits import ServerSettings
from db.explorer.optimade.definitions import STANDARD_UNSUPPORTED
from db.explorer.optimade.envelope import OptimadeError
from db.explorer.optimade.envelope import error as optimade_error
from db.explorer.optimade.routes import add_routes as add_optimade
from db.explorer.pages.errors import asks_page, error_page
from db.explorer.pages.modules import imported_modules
from db.explorer.pages.routes import router as page_router
from db.explorer.queue import QueryQueue
from db.explorer.refusals import asks_optimade
from db.explorer.security import ReadOnlyGate
from db.explorer.services import Services
from db.store import ResultStore
from models.errors import GmtError

NAME = re.compile("[a-z0-9_]*")
COMPRESSED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/vnd.apache.parquet")
"""Media types that gzip would not make smaller."""


def create_app(store: ResultStore, services: Services, settings: ServerSettings) -> FastAPI:
    """The web application of a database.

    Args:
        store: opened with `ResultStore.open_read_only`.
        services: what `db` must not import.
        settings: limits and addresses.
    """
    # What every search needs is read before the first one asks; that one hears of what is wrong.
    with suppress(GmtError):
        store.count()
    # The pages that describe an interface in FastAPI load their scripts from elsewhere: only the description stays.
    app = FastAPI(title="gmtscreen", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    templates = Jinja2Templates(FOLDER / "templates")
    templates.env.globals["imported_modules"] = imported_modules
    app.state.explorer = Explorer(store, services, settings, templates)
    app.include_router(api_router)
    add_optimade(app)
    app.include_router(page_router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    for kind in (OptimadeError, GmtError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer_error)
    # What is added last is met first: a request that is refused takes no place of the queue.
    app.add_middleware(QueryQueue, settings=settings)
    # Nothing secret is in an answer that its length could betray: whoever may ask may read all of it (no cookies).
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5, exclude_content_types=COMPRESSED)
    app.add_middleware(ReadOnlyGate, settings=settings)
    return app


def answer_error(request: Request, error: Exception) -> Response:
    """Any error as the interface that was asked writes it."""
    if not asks_optimade(request.url.path):
        return error_page(request, error) if asks_page(request) else error_answer(*describe_error(error))
    if isinstance(error, OptimadeError):
        return optimade_error(request, error.status, error.detail)
    status, sentence, position = describe_error(error)
    name = misunderstood_name(request.query_params.get("filter", ""), position)
    # A standard property that no filter here can name is no mistake of the asker.
    return optimade_error(request, 501 if name in STANDARD_UNSUPPORTED else status, sentence, position)


def misunderstood_name(text: str, position: int | None) -> str:
    """The name that begins at a position of a filter text."""
    return "" if position is None else NAME.match(text, position)[0]  # type: ignore[index]  # matches the empty text too
