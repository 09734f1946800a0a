"""A server on loopback that behaves like the real ones, and as badly as they sometimes do."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the server says; with `cut_at`, it breaks off after that many bytes of the body."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    without_length: bool = False
    delay_s: float = 0.0

    @classmethod
    def json(cls, value: Any, **more: Any) -> "Answer":
        return cls(json.dumps(value).encode(), **more)


BUSY = Answer(b'{"detail": "slow down"}', 429, headers={"Retry-After": "0"})
BAD_GATEWAY = Answer(b"<html>bad gateway</html>", 502, "text/html")


class LocalServer:
    """A server whose answers a function gives; faults that were planted come first, one per request."""

    def __init__(self, respond: Callable[[Request], Answer]) -> None:
        self.respond = respond
        self.faults: list[Answer] = []
        self.requests: list[Request] = []
        self.url = ""

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.faults.pop(0) if self.faults else self.respond(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    local: LocalServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        request = Request(parts.path, dict(parse_qsl(parts.query)), {k.lower(): v for k, v in self.headers.items()})
        answer = self.local.answer(request)
        time.sleep(answer.delay_s)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.without_length:
            self.send_header("Connection", "close")
        elif answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # a client may have gone
            self.wfile.write(answer.body[: answer.cut_at])
        self.close_connection = answer.cut_at is not None or answer.without_length

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(respond: Callable[[Request], Answer]) -> Iterator[LocalServer]:
    """The server, for the length of a block."""
    local = LocalServer(respond)
    handler = type("Handler", (_Handler,), {"local": local})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        local.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield local
        finally:
            server.shutdown()
            thread.join()
