"""One HTTP client for everything that is fetched from the network, with rate limits and retries.

It names itself, limits its rate, waits when asked to (429, Retry-After), retries transient faults (502, 503, 504, a
broken connection, a body cut short), reads no more than a bound, and goes nowhere that it was not sent: an answer that
points to another host is followed only as far as hosts.py lets it. All of this sits in the transport adapter, so that
a library that takes a `requests.Session` (mp-api) keeps to it like our own calls.

Source of the back-off: urllib3's Retry (exponential, with jitter).
"""

import threading
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError
from urllib3.util.retry import Retry

from gmt_tasks.settings import RemoteSettings
from gmt_tasks.sources.json_records import load_json
from gmt_tasks.sources.parsed import RefusedInputError
from gmt_tasks.sources.remote.hosts import is_public, is_same_domain, may_lead_inside, origin
from models.errors import SourceError

MAX_BODY_BYTES = 256 << 20
"""Largest answer that is read into memory, unpacked; a page of 1,000 structures has some 10 MB."""

CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 90.0
BODY_TIMEOUT_S = 600.0
"""Time for a whole answer: a server that sends a byte a minute never trips the timeout of a single read."""

ATTEMPTS = 5
LONGEST_WAIT_S = 120.0
_OK = 200
_TRANSIENT = (429, 502, 503, 504)
_CHUNK = 1 << 16


class UnreachableError(SourceError):
    """A server does not answer now; what it sent earlier may be used instead."""

    may_pass = True


class RefusedRequestError(SourceError):
    """A server refuses a request, and will refuse the same one again; `status` and `said` are its answer."""

    def __init__(self, message: str, status: int = 0, said: str = "") -> None:
        super().__init__(message)
        self.status, self.said = status, said


@dataclass(frozen=True)
class RateLimits:
    """How often and how patiently a host is asked.

    Attributes:
        requests_per_s: requests per second and host, at most.
        retry_wait_s: first wait before a repeated request, in seconds; it doubles each time, with jitter.
        attempts: repetitions of one request at most.
        contact: mail address or URL in the user agent, or None.
    """

    requests_per_s: float = 5.0
    retry_wait_s: float = 1.0
    attempts: int = ATTEMPTS
    contact: str | None = None

    @classmethod
    def of(cls, settings: RemoteSettings) -> "RateLimits":
        """As the user set it."""
        return cls(settings.requests_per_s, settings.retry_wait_s, contact=settings.contact)

    def retries(self) -> Retry:
        """The rules of repetition; GET only, and at the end the last answer is handed over as it is."""
        return Retry(
            total=self.attempts,
            status_forcelist=_TRANSIENT,
            allowed_methods={"GET"},
            backoff_factor=self.retry_wait_s,
            backoff_max=LONGEST_WAIT_S,
            backoff_jitter=self.retry_wait_s / 2,
            retry_after_max=int(LONGEST_WAIT_S),
            raise_on_status=False,
        )

    def user_agent(self) -> str:
        """Who asks, e.g. `gmtscreen/0.1.0 (me@example.org) python-requests/2.34.2`."""
        contact = f" ({self.contact})" if self.contact else ""
        return f"gmtscreen/{_own_version()}{contact} {requests.utils.default_user_agent()}"


@cache
def _own_version() -> str:
    try:
        return version("gmtscreen")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


class RateLimitedAdapter(HTTPAdapter):
    """The transport: one for all requests that concern one server.

    Args:
        server: its address.
        rate_limits: how often and how patiently it is asked.
        follow_hosts: whether answers may lead to another host (public, over https); never with a secret in the headers.
    """

    def __init__(self, server: str, rate_limits: RateLimits, *, follow_hosts: bool) -> None:
        super().__init__(max_retries=rate_limits.retries())
        self._server = server
        self._origin = origin(urlsplit(server))
        self._of_provider: set[tuple[str, str, int]] = set()
        self._rate_limits = rate_limits
        self._follow_hosts = follow_hosts
        self._next_request_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def send(self, request: requests.PreparedRequest, stream: bool = False, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: FBT001  requests' own signature
        """Sends a request, and reads the whole answer unless it is streamed; a body cut short is asked for again.

        Raises:
            SourceError: the address may not be visited, or the answer is larger than is read.
            requests.RequestException: the server cannot be reached, or keeps cutting its answers short.
        """
        url = request.url or ""
        self._check_address(url)
        options["timeout"] = options.get("timeout") or (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        retries = self._rate_limits.retries()
        host = urlsplit(url).netloc
        while True:
            # Each thread takes the next free moment of the host, and sleeps until then outside the lock.
            with self._lock:
                moment = max(time.monotonic(), self._next_request_s.get(host, 0.0))
                self._next_request_s[host] = moment + 1 / self._rate_limits.requests_per_s
            time.sleep(max(0.0, moment - time.monotonic()))
            try:
                response = super().send(request, stream=True, **options)
                return response if stream else _read_body(response)
            except requests.exceptions.ChunkedEncodingError as error:
                # The head of this answer was fine, so that urllib3 has handed the body over and repeats nothing.
                try:
                    retries = retries.increment(request.method, url, error=ProtocolError(str(error)))
                except MaxRetryError:
                    raise error from None
                retries.sleep()

    def allow(self, url: str) -> None:
        """Lets answers lead to a server that the provider names as its own, where `may_lead_inside` has no objection.

        Args:
            url: an address of that server.
        """
        if self._follow_hosts and may_lead_inside(self._server, url):
            self._of_provider.add(origin(urlsplit(url)))

    def may_visit(self, url: str) -> bool:
        """True for addresses that answers may lead to: a redirect or a link is foreign input."""
        parts = urlsplit(url)
        if origin(parts) == self._origin or origin(parts) in self._of_provider:
            return True
        if not self._follow_hosts:
            return False
        if is_same_domain(self._server, url) and may_lead_inside(self._server, url):
            return True
        return parts.scheme == "https" and is_public(parts.hostname or "")

    def _check_address(self, url: str) -> None:
        """Refuses addresses that no answer may lead to."""
        if not self.may_visit(url):
            parts = urlsplit(url)
            shown = f"{parts.scheme}://{parts.hostname}"
            raise SourceError(
                f"{self._origin[1]} refers to {shown}, which is not followed: only the same server"
                f"{' or a public one over https' if self._follow_hosts else ''} is. If that is right, name the other "
                "address yourself."
            )


def _read_body(response: requests.Response) -> requests.Response:
    """The response with its body read, bounded in size and time."""
    chunks: list[bytes] = []
    size, deadline_s = 0, time.monotonic() + BODY_TIMEOUT_S
    with response:
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise SourceError(
                    f"{_without_query(response.url)} sends more than {MAX_BODY_BYTES >> 20} MiB in one answer. Ask for "
                    "less at once (page_limit, narrower criteria)."
                )
            if time.monotonic() > deadline_s:
                raise requests.exceptions.ReadTimeout(f"no whole answer within {BODY_TIMEOUT_S:g} s")
            chunks.append(chunk)
    body = b"".join(chunks)
    is_json = response.status_code == _OK and "json" in response.headers.get("content-type", "")
    if is_json and body.lstrip()[:1] in (b"{", b"[", b"") and body.rstrip()[-1:] not in (b"}", b"]"):
        # A server that names no length can end early without breaking the protocol.
        raise requests.exceptions.ChunkedEncodingError(f"JSON that ends after {size} bytes in the middle")
    response._content = body  # what requests itself sets when it reads a body
    return response


class HttpClient:
    """Asks one server.

    Args:
        server: its address.
        rate_limits: how often and how patiently it is asked.
        follow_hosts: whether links and redirects may lead to other public hosts.
    """

    def __init__(self, server: str, rate_limits: RateLimits, *, follow_hosts: bool = True) -> None:
        self.rate_limits = rate_limits
        self.session = requests.Session()
        self.session.max_redirects = 5
        self.session.headers.update(
            {"User-Agent": rate_limits.user_agent(), "Accept": "application/json, application/vnd.api+json, */*;q=0.1"}
        )
        self.adapter = RateLimitedAdapter(server, rate_limits, follow_hosts=follow_hosts)
        for scheme in ("http://", "https://", ""):  # "" is any other, which the adapter then refuses
            self.session.mount(scheme, self.adapter)

    def get_json(self, url: str) -> Any:
        """The JSON value at an address.

        Raises:
            UnreachableError: no whole answer after all repetitions, or an answer that means "not now".
            SourceError: the server refuses the request, or what it sends is no JSON.
        """
        try:
            response = self.session.get(url)
        except (requests.RequestException, HTTPError) as error:
            raise unreachable(url, error) from error
        check_status(response)
        return json_of(response)


def check_status(response: requests.Response, also: tuple[int, ...] = ()) -> None:
    """Raises for an answer that is an error, with the server's own words.

    Args:
        response: the answer.
        also: error statuses that the caller handles itself.

    Raises:
        UnreachableError: 429 and 5xx: the server may answer later.
        RefusedRequestError: anything else from 400 on.
    """
    status = response.status_code
    if status < 400 or status in also:
        return
    said = _error_text(response)
    problem = f"{_without_query(response.url)} answers {status} {response.reason}{said}"
    if status in _TRANSIENT or status >= 500:
        raise UnreachableError(f"{problem}, also after {ATTEMPTS} repetitions. Try again later.")
    raise RefusedRequestError(f"{problem}. Correct the address, the filter or the key.", status, said)


def _error_text(response: requests.Response) -> str:
    """What the server says about an error: JSON:API's `errors`, FastAPI's `detail`, else nothing."""
    try:
        content = load_json(response.content[:_CHUNK])
    except RefusedInputError:
        return ""
    if not isinstance(content, dict):
        return ""
    error = content.get("errors") or content.get("detail") or content.get("message")
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict):
        error = error.get("detail") or error.get("msg") or error.get("title")
    return f": {str(error)[:300]}" if error else ""


def json_of(response: requests.Response) -> Any:
    """The JSON value of an answer.

    Raises:
        SourceError: it is something else, e.g. a page of a proxy that asks for a login.
    """
    kind = response.headers.get("content-type", "no content type")
    try:
        return load_json(response.content)
    except RefusedInputError as refused:
        begin = response.content[:60].decode("utf-8", "replace")
        raise SourceError(
            f"{_without_query(response.url)} answers {kind} where JSON was expected ({refused.detail}); it begins "
            f"{begin!r}. Check the address, or whether a proxy answers in its place."
        ) from refused


def unreachable(url: str, error: Exception, more: str = "") -> UnreachableError:
    """A fault of the connection as one line."""
    fault = f"{type(error).__name__}: {str(error)[:200]}"
    text = f"{_without_query(url)} gave no whole answer after {ATTEMPTS} repetitions ({fault})"
    return UnreachableError(f"{text}. {more[:1].upper() + more[1:] + '. ' if more else ''}Try again later.")


def _without_query(url: str) -> str:
    """The address without its query, which may be long, and without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
