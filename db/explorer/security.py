"""Headers that every answer carries, and requests that are refused before any route sees them."""

import logging

from fastapi.responses import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.explorer.limits import ServerSettings
from db.explorer.refusals import refusal

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        # 3Dmol writes styles into the page; scripts never come from a page's text.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

LOGGER = logging.getLogger("gmtscreen.explorer")
READING = frozenset({"GET", "HEAD"})
MAX_QUERY_BYTES = 16_384


class ReadOnlyGate:
    """Answers reading requests to known hosts only, and puts the security headers on whatever is answered.

    A page elsewhere whose name was rebound to this machine sends its own name as host: it is turned away before the
    database is asked.

    Args:
        app: the application behind it.
        settings: `hosts` and `origins` count here.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin not in self._settings.origins:
            origin = "*" if "*" in self._settings.origins else None

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answered = MutableHeaders(scope=message)
                answered.update(SECURITY_HEADERS)
                # One tag stands for the bytes with and without compression: it is a weak one.
                if answered.get("etag", "W/")[:2] != "W/":
                    answered["etag"] = f"W/{answered['etag']}"
                if origin is not None:
                    answered["access-control-allow-origin"] = origin
                    answered.add_vary_header("Origin")
                else:
                    answered["cross-origin-resource-policy"] = "same-origin"
            await send(message)

        refused = self._refusal(scope, headers)
        # Routes know GET only; the server leaves out the body that HEAD does not want.
        asked = {**scope, "method": "GET"} if refused is None else scope
        try:
            await (refused or self._app)(asked, receive, send_with_headers)
        except Exception:
            # Whatever it was: the log says it, the asker learns that there was something.
            LOGGER.exception("%s could not be answered", scope["path"])
            if started:
                raise
            failure = refusal(scope, 500, "The server failed; its log says why.")
            await failure(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that no route shall see; None for all others."""
        host = without_port(headers.get("host", ""))
        if self._settings.hosts and host not in self._settings.hosts:
            sentence = f"This server does not answer as {host[:80]!r}. Name it with gmtscreen serve --allow-host."
            return refusal(scope, 421, sentence)
        if scope["method"] not in READING:
            sentence = f"{scope['method'][:10]} is not answered: this server only reads. Use GET."
            return refusal(scope, 405, sentence, {"allow": ", ".join(sorted(READING))})
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            return refusal(scope, 414, f"The query has more than {MAX_QUERY_BYTES} bytes. Shorten the filter.")
        return None


def without_port(host: str) -> str:
    """The name of a Host header, in small letters; an IPv6 address keeps its brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()
