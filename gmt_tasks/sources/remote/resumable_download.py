"""Files from the network: an interrupted transfer goes on where it stopped, also in a later call."""

from pathlib import Path

import requests
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from gmt_tasks.sources.remote.http_client import HttpClient, check_status, unreachable

CHUNK = 1 << 16
"""What arrived of a piece of this size when the transfer breaks off is lost."""

_PARTIAL, _NOT_MODIFIED, _RANGE_BEYOND_END = 206, 304, 416


def download(client: HttpClient, url: str, path: Path, known_etag: str | None = None) -> str | None:
    """Fetches a file.

    Args:
        client: who asks.
        url: the file's address.
        path: where it goes; until it is whole it lies beside it as `.part`.
        known_etag: what the server called the content when it was last fetched.

    Returns:
        The server's name for the content ("" where it gives none), or None when it still is `known_etag`.

    Raises:
        UnreachableError: the transfer broke off more often than it is repeated; what arrived is kept.
        SourceError: the server refuses.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    retries = client.rate_limits.retries()
    while True:
        try:
            return _transfer(client, url, path, part, known_etag)
        except (requests.RequestException, HTTPError) as error:
            try:
                retries = retries.increment("GET", url, error=ProtocolError(str(error)))
            except MaxRetryError:
                kept = part.stat().st_size if part.exists() else 0
                raise unreachable(url, error, f"{kept:,} bytes are kept and the next call goes on there") from error
            retries.sleep()


def _transfer(client: HttpClient, url: str, path: Path, part: Path, known_etag: str | None) -> str | None:
    """One attempt: what is missing of the file is added to the part; whole, it gets its name."""
    tag = part.with_name(part.name + ".etag")
    # Without the server's name of the content nothing says that two halves are of one file: then from the beginning.
    start = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": tag.read_text(encoding="utf-8")}
    elif known_etag:
        headers["If-None-Match"] = known_etag
    with client.session.get(url, headers=headers, stream=True) as response:
        etag = response.headers.get("etag", "")
        if response.status_code == _NOT_MODIFIED or (known_etag and etag == known_etag and not start):
            return None
        check_status(response, also=(_RANGE_BEYOND_END,))
        if response.status_code == _RANGE_BEYOND_END:
            return _ended_at(response, path, part, tag, start)
        tag.unlink(missing_ok=True)
        if etag and not etag.startswith("W/"):
            tag.write_text(etag, encoding="utf-8")
        resumed = response.status_code == _PARTIAL
        with part.open("ab" if resumed else "wb") as stream:
            for chunk in response.iter_content(CHUNK):
                stream.write(chunk)
    part.replace(path)
    tag.unlink(missing_ok=True)
    return etag


def _ended_at(response: requests.Response, path: Path, part: Path, tag: Path, start: int) -> str:
    """A range that begins at the end of the file: the part is whole if it has the length that the server names."""
    etag = tag.read_text(encoding="utf-8")
    tag.unlink()
    if response.headers.get("content-range", "") != f"bytes */{start}":
        part.unlink()
        raise requests.exceptions.ChunkedEncodingError("the part does not fit the file; it is fetched anew")
    part.replace(path)
    return etag
