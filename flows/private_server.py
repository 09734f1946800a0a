"""A Prefect server of this process's own, where no other is named: it starts beside everything else and ends with it.

It listens on 127.0.0.1 and answers only whoever knows a secret made for this process: other users of the machine reach
that port too. The port is opened here and handed over, so that nobody else can be the one who answers on it, and so
that a request waits for the server instead of failing. Prefect's clients would start such a server themselves, but
only after importing it whole, seconds later, and nothing would end it when this process is killed
(gmt_tasks/workers/run_folder.py does).
"""

import atexit
import base64
import os
import secrets
import socket
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

from gmt_tasks.workers.run_folder import run_folder
from models.errors import GmtError

START_S = 120.0
_STOP_S = 5.0
_APP = "prefect.server.api.server:create_app"
_SERVER_ONLY = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""What Prefect sets for such a server of its own."""


class PrivateServer:
    """A server that is starting; `wait` says when it answers. It ends with this process, however that ends.

    Attributes:
        url: of its API.
    """

    def __init__(self) -> None:
        run_folder()  # its watcher has to be there before the server is
        self._auth = os.environ.get("PREFECT_SERVER_API_AUTH_STRING") or f"gmtscreen:{secrets.token_urlsafe(32)}"
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            self._port: int = listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self._port}/api"
            code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({listener.fileno()})"
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter on our own module
                [sys.executable, "-c", code],
                env={**os.environ, **_SERVER_ONLY, "PREFECT_SERVER_API_AUTH_STRING": self._auth},
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                # Out of reach of the terminal: after Ctrl-C the flow still reports its end here.
                start_new_session=True,
            )
        atexit.register(self.stop)

    def wait(self) -> dict[str, str]:
        """Waits until it answers; returns the environment variables by which Prefect's clients find it.

        Raises:
            GmtError: it ended, or does not answer within two minutes.
        """
        token = base64.b64encode(self._auth.encode()).decode()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=START_S)
        try:
            connection.request("GET", "/api/health", headers={"Authorization": f"Basic {token}"})
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            raise self._failed(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if status != 200:
            raise self._failed(f"it answers with status {status}")
        return {
            "PREFECT_API_URL": self.url,
            "PREFECT_API_AUTH_STRING": self._auth,
            "PREFECT_SERVER_API_AUTH_STRING": self._auth,
        }

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
            return
        self._process.kill()
        self._process.wait()

    def _failed(self, detail: str) -> GmtError:
        with suppress(subprocess.TimeoutExpired):
            detail = f"it ended with status {self._process.wait(1.0)}"
        return GmtError(
            f"Prefect's server did not start on this machine: {detail}. Set PREFECT_LOGGING_SERVER_LEVEL=INFO to see "
            "why, or name another server in PREFECT_API_URL."
        )


def serve(descriptor: int) -> None:
    """The server's whole life, in a process of its own.

    Args:
        descriptor: of the listening socket.
    """
    import uvicorn

    config = uvicorn.Config(_APP, factory=True, log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])
