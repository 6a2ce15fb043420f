"""The endpoint in a thread of its own: loopback only, for who has the token."""

from __future__ import annotations

import secrets
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage, StorageError
from gptoss_magic.public import public
from gptoss_magic.session import current

if TYPE_CHECKING:
    from gptoss_magic.serving.desk_calls import Answers

HOST = "127.0.0.1"
START_S = 20.0
STOP_S = 3  # for answers on their way, which are stopped
MOST_CALLERS = 256
_SERVICES: list[Service] = []


class Service:
    """What serves at `url` ('http://127.0.0.1:PORT/v1') whoever sends `token`.

    `answers` has what was served. It goes on until `stop`.
    """

    def __init__(self, port: int, token: str) -> None:
        from gptoss_magic.serving.app import application
        from gptoss_magic.serving.desk_calls import Answers

        self.token = token
        self.answers: Answers = Answers()
        self._socket = _bound(port)
        self.port = int(self._socket.getsockname()[1])
        self._server = _uvicorn(application(self.answers, token))
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)

    @property
    def url(self) -> str:
        """The base of the OpenAI routes."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def is_up(self) -> bool:
        """True while it serves."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Returns when it takes requests. Raises StorageError."""
        self._thread.start()
        for _ in range(int(START_S / 0.01)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            self._thread.join(0.01)
        raise StorageError("the endpoint did not start; %gptoss traceback shows where")

    def stop(self) -> None:
        """End it: answers on their way end, the port is free afterwards."""
        for served in self.answers.ledger:
            served.stop()
        self._server.should_exit = True
        self._thread.join(STOP_S + 2)
        self._server.force_exit = True
        self._thread.join(STOP_S)
        with suppress(OSError):
            self._socket.close()
        if self in _SERVICES:
            _SERVICES.remove(self)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


@public
def serve(port: int = 0, *, token: str | None = None) -> Service:
    """Serve the resident model on loopback, OpenAI-compatible, until `.stop()`.

    `port` 0 takes a free one. `token`: what callers send as `Authorization: Bearer`; None draws
    one. It serves in a thread, while cells run and between them; a cell comes first. Raises
    InputError where it serves already, StorageError for a port that is not free, MissingPackage,
    NotLoaded.
    """
    if serving() is not None:
        raise InputError(f"it serves already at {_SERVICES[0].url}: %gptoss serve stop")
    if token is not None and (len(token) < 8 or not token.isascii() or not token.isprintable()):
        raise InputError("the token: give at least 8 plain letters, digits and signs")
    if not 0 <= port <= 65535:
        raise InputError(f"port {port}: give 0 (a free one) to 65535")
    current().require_local()
    try:
        service = Service(port, token or secrets.token_urlsafe(24))
    except ImportError as error:
        raise MissingPackage(
            "to serve needs starlette and uvicorn: pip install 'gptoss_magic[serve]'"
        ) from error
    service.start()
    _SERVICES.append(service)
    return service


def serving() -> Service | None:
    """What serves now."""
    _SERVICES[:] = [one for one in _SERVICES if one.is_up]
    return _SERVICES[0] if _SERVICES else None


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise StorageError(
            f"port {port} of {HOST} cannot be had ({error.strerror}): give another, or 0"
        ) from error
    return bound


def _uvicorn(app: Any) -> Any:
    import uvicorn

    from gptoss_magic.serving.patience import KEEP_ALIVE_S, PatientProtocol

    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",  # a notebook would show each start in red
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        limit_concurrency=MOST_CALLERS,
    )
    return uvicorn.Server(config)
