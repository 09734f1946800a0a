"""How many requests ask the database at the same time; the others wait a little, then are asked to come again."""

import asyncio
import logging
from contextlib import AsyncExitStack

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.explorer.limits import ServerSettings
from db.explorer.refusals import refusal

ASKING = ("/api/", "/optimade/")
"""Paths whose answers come from the database; pages and their files come from memory and disk."""

DOWNLOAD = "/api/v1/export"

LOGGER = logging.getLogger("gmtscreen.explorer")


class QueryQueue:
    """Lets a bounded number of requests through to the database, in the order in which they came.

    A download holds its place until its reader has taken all of it. So downloads get only some of the places, and one
    that nobody reads any more is given up.

    Args:
        app: the application behind it.
        settings: `concurrent_queries`, `concurrent_downloads`, `queue_timeout_s` and `send_timeout_s` count here.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._places = asyncio.Semaphore(settings.concurrent_queries)
        self._downloads = asyncio.Semaphore(settings.concurrent_downloads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if not path.startswith(ASKING):
            await self._app(scope, receive, send)
            return
        wanted = [self._downloads, self._places] if path == DOWNLOAD else [self._places]
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._settings.queue_timeout_s):
                    for places in wanted:
                        await held.enter_async_context(places)
            except TimeoutError:
                message = "The server has more questions than it can answer. Ask again in a moment."
                await refusal(scope, 503, message, {"retry-after": "2"})(scope, receive, send)
                return
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, as long as the reader takes what it is sent."""
        gave_up = False

        async def send_or_give_up(message: Message) -> None:
            nonlocal gave_up
            try:
                async with asyncio.timeout(self._settings.send_timeout_s):
                    await send(message)
            except TimeoutError:
                gave_up = True
                raise

        try:
            await self._app(scope, receive, send_or_give_up)
        except Exception:
            if not gave_up:
                raise
            # Ending without the last part makes the server close the connection.
            LOGGER.warning("%s was given up: its reader took nothing any more", scope["path"])
