"""What a request to the web application may cost, at most."""

from dataclasses import dataclass

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""Host names by which a browser on this machine asks; any other would be a page elsewhere that was rebound to us."""


@dataclass(frozen=True)
class ServerSettings:
    """Limits and addresses of the web application.

    Attributes:
        query_timeout_s: a statement that takes longer is stopped, in seconds.
        queue_timeout_s: how long a request waits for one of the places below before it is turned away, in seconds.
        concurrent_queries: requests that ask the database at the same time.
        concurrent_downloads: how many of these may be downloads, which last as long as their reader takes.
        send_timeout_s: how long a reader may take nothing before its connection is closed, in seconds.
        page_rows: rows of one page of hits.
        points: points of one scatter plot.
        export_rows: rows of one download.
        surface_directions: polar angles of a directional surface; it has twice as many azimuths.
        hosts: host names that are answered; empty answers all.
        origins: origins of web pages that may read the JSON answers (CORS); "*" for all.
        public_url: address under which others reach the server, for links; empty takes that of the request.
    """

    query_timeout_s: float = 10.0
    queue_timeout_s: float = 5.0
    concurrent_queries: int = 8
    concurrent_downloads: int = 4
    send_timeout_s: float = 30.0
    page_rows: int = 1000
    points: int = 20_000
    export_rows: int = 100_000
    surface_directions: int = 181
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    origins: tuple[str, ...] = ()
    public_url: str = ""
