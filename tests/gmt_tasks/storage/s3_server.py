"""An S3 server of our own for the tests (moto), on loopback, in a thread; what it was asked is counted."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
import requests

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


REFUSING = {"forbidden": ("403 Forbidden", "AccessDenied"), "elsewhere": ("301 Moved", "PermanentRedirect")}
"""Buckets for which the server has nothing but this answer."""

SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=made-up/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
"""moto reads who asks and believes it."""


class S3Server:
    """A running server.

    Attributes:
        url: of the server.
        n_requests: how often each method was used, by `METHOD /path`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.n_requests: Counter[str] = Counter()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a program finds it."""
        return {**VARIABLES, "AWS_ENDPOINT_URL": self.url}

    def bucket(self, name: str) -> None:
        """Makes a bucket."""
        requests.put(f"{self.url}/{name}", headers=SIGNED, timeout=30).raise_for_status()

    def put(self, path: str, content: bytes | str) -> None:
        """Writes `bucket/key`."""
        requests.put(f"{self.url}/{path}", data=content, headers=SIGNED, timeout=30).raise_for_status()

    def get(self, path: str) -> bytes:
        """Reads `bucket/key`."""
        answer = requests.get(f"{self.url}/{path}", headers=SIGNED, timeout=30)
        answer.raise_for_status()
        return answer.content

    def n_read(self, path: str) -> int:
        """How often the content of `bucket/key` was asked for."""
        return self.n_requests[f"GET /{path}"]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server that ends with the block, found by this process's environment; skips where moto is not installed."""
    pytest.importorskip("moto", reason="moto is not installed; the extra `test` brings it")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = DomainDispatcherApplication(create_backend_app)

    def counting(environ: dict[str, Any], start_response: Any) -> Any:
        found.n_requests[f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"] += 1
        for bucket, (status, code) in REFUSING.items():
            if environ["PATH_INFO"].startswith(f"/{bucket}"):
                start_response(status, [("Content-Type", "application/xml")])
                return [f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()]
        return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, counting, threaded=True)
    found = S3Server(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found
    server.shutdown()
    thread.join()
    server.server_close()
