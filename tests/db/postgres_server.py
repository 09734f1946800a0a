"""A PostgreSQL server of our own for the tests: made in a temporary folder, on loopback, gone afterwards."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from db.engine import parse_url

PATIENCE_S = 60.0
NOT_INSTALLED = "PostgreSQL is not installed (no initdb found); on Debian and Ubuntu: apt-get install postgresql"


def find_program(name: str) -> str | None:
    """Where PostgreSQL keeps a program; Debian leaves them out of the search path."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


class PostgresServer:
    """A server that can be stopped, killed and started again; its data stay until `remove`.

    Attributes:
        url: of its maintenance database, with the password.
    """

    def __init__(self) -> None:
        self._initdb, self._postgres = find_program("initdb"), find_program("postgres")
        if self._initdb is None or self._postgres is None:
            raise FileNotFoundError(NOT_INSTALLED)
        # PostgreSQL refuses to run as root; any account without rights will do.
        self._account = "nobody" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="gmtscreen-postgres-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        password = secrets.token_urlsafe(12)
        self.url = f"postgresql://gmt:{password}@127.0.0.1:{self._port}/postgres"
        (self._folder / "password").write_text(password)
        if self._account is not None:
            for path in (self._folder, self._folder / "password"):
                shutil.chown(path, self._account)
        command = [self._initdb, "-D", self._folder / "data", "-U", "gmt", "-A", "scram-sha-256", "-E", "UTF8"]
        command += ["--locale=C", "--no-sync", f"--pwfile={self._folder / 'password'}"]
        subprocess.run(command, user=self._account, cwd=self._folder, check=True, stdout=subprocess.DEVNULL)
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        settings = [f"port={self._port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        command = [str(self._postgres), "-D", str(self._folder / "data")]
        command += [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._account, cwd=self._folder, stdout=log, stderr=log)
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        engine, end = create_engine(parse_url(self.url), poolclass=NullPool), time.monotonic() + PATIENCE_S
        while True:
            try:
                engine.connect().close()
            except OperationalError:
                if time.monotonic() > end:
                    raise RuntimeError((self._folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT ends all connections and writes everything out, SIGQUIT leaves it as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None

    def remove(self) -> None:
        """Stops it and deletes its data."""
        self.stop()
        shutil.rmtree(self._folder)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def fresh_database(server_url: str, template: str = "template0") -> Iterator[str]:
    """The URL of a new database on a server, a copy of the template, dropped afterwards."""
    server = parse_url(server_url)
    name = f"gmtscreen_test_{uuid.uuid4().hex[:12]}"
    # No pool: the server may be another process by the time the database is dropped.
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
