"""How many requests ask the database at the same time; the others wait a little, then are asked to come again."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from db.explorer.limits import ServerSettings

ASKING = ("/api/", "/optimade/")
"""Paths whose answers come from the database; pages and their files come from memory and disk."""


class QueryQueue:
    """Lets a bounded number of requests through to the database, in the order in which they came.

    Args:
        app: the application behind it.
        settings: `concurrent_queries` and `queue_timeout_s` count here.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._patience_s = settings.queue_timeout_s
        self._places = asyncio.Semaphore(settings.concurrent_queries)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if not path.startswith(ASKING):
            await self._app(scope, receive, send)
            return
        try:
            await asyncio.wait_for(self._places.acquire(), self._patience_s)
        except TimeoutError:
            message = "The server has more questions than it can answer. Ask again in a moment."
            await refusal(path, message)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._places.release()


def refusal(path: str, message: str) -> JSONResponse:
    """The answer to a request that found no place, in the words of the interface that was asked."""
    headers = {"retry-after": "2", "cache-control": "no-store"}
    if path.startswith("/optimade/"):
        error = {"status": "503", "title": "Service Unavailable", "detail": message}
        return JSONResponse({"errors": [error]}, 503, headers, "application/vnd.api+json")
    return JSONResponse({"error": {"message": message, "position": None}}, 503, headers)
