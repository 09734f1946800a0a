"""`gmtscreen serve`: the explorer, the JSON interface and the OPTIMADE server on one port."""

from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated

import typer

from flows.cli.options import Db
from flows.terminal.console import Exit, fail, say


def serve(
    *,
    db: Db = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which browsers may reach it, beside this machine's own; * for any.", show_default=False
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of web pages that may read the answers; * for any.", show_default=False),
    ] = None,
    query_timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Longest time of a query in s.")] = 10.0,
) -> None:
    """Explorer, OPTIMADE and JSON interface of a database, read-only."""
    import socket

    from db.explorer.app import create_app
    from db.explorer.limits import LOOPBACK_NAMES, ServerSettings
    from db.store import ResultStore
    from flows.cli.results.http_server import http_server
    from flows.explorer_services import ExplorerServices
    from gmt_tasks.settings import load_settings

    names: tuple[str, ...] = (*LOOPBACK_NAMES, host.lower(), *(name.lower() for name in allow_host or ()))
    if "*" in (allow_host or ()):
        names = ()
    settings = ServerSettings(query_timeout_s=query_timeout, hosts=names, origins=tuple(allow_origin or ()))
    with ResultStore.open_read_only(load_settings(db=db).database, settings.query_timeout_s) as store:
        try:
            listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise fail(
                f"cannot listen on {host} port {port}: {error.strerror or error}. Choose another --port.",
                Exit.BAD_USAGE,
            ) from None
        with listener:
            shown = f"[{host}]" if ":" in host else host
            say(f"http://{shown}:{listener.getsockname()[1]} (Ctrl-C ends it)")
            if not is_loopback(host):
                say("reachable from other machines; without a password: everything in the database can be read")
            app = create_app(store, ExplorerServices(), settings)
            with suppress(KeyboardInterrupt):  # how it is meant to end
                http_server(app).run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
