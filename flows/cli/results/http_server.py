"""HTTP as uvicorn speaks it, with a deadline for every request to arrive: silence and dripping bytes hold no place."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_TIMEOUT_S = 20.0
"""From the first byte of a request, or from the start of a connection, to the end of its headers."""


class DeadlineProtocol(H11Protocol):
    """Closes connections whose request does not arrive in time.

    uvicorn limits the number of connections and how long one may be idle between requests, but waits for the rest of
    a request as long as its sender likes: a few hundred half requests would keep everybody else out.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Starts to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Takes a part of a request, and starts or ends the waiting for the rest of it."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.close)
        elif self._deadline is not None and not is_waiting:
            self._deadline.cancel()
            self._deadline = None


def http_server(app: Callable[..., Any]) -> uvicorn.Server:
    """The server of an application: no web sockets, no foreign headers, a bounded number of connections."""
    config = uvicorn.Config(
        app,
        http=DeadlineProtocol,
        ws="none",
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=256,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
