"""HTTP to one server: JSON, and streams that can be closed from any thread. The standard library.

The token goes to that host alone: a redirection is never followed. What a server says is untrusted:
sizes are bounded, and its words stand in messages as one printable line, without the token.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any, TypeVar

from gptoss_magic.errors import ServerError
from gptoss_magic.quoting import one_line
from gptoss_magic.serving.remote.events import server_events
from gptoss_magic.serving.remote.refusals import PASSING, RemoteFault, reason_in, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gptoss_magic.serving.remote.address import ServerAddress

    T = TypeVar("T")

CONNECT_S = 10.0
ANSWER_S = 60.0  # a whole short answer, such as a list of models
IDLE_S = 900.0  # between two parts of a stream: a long prompt is read in silence
LAST_WORDS_S = 1.0  # for what comes behind an answer's last token
MAX_BODY = 64_000_000
MAX_REASON = 64_000
MAX_CHARS = 300
TRIES = 4
SLEEP = time.sleep
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


class OpenAnswer:
    """A streamed answer; `close` ends it from any thread, and wakes up who waits for its bytes."""

    def __init__(self, response: HTTPResponse, sock: socket.socket) -> None:
        self._response, self._socket = response, sock
        self.kind = response.headers.get_content_type()

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they come."""
        with self._response:
            while chunk := self._response.read1(65536):
                yield chunk

    def hurry(self) -> None:
        """Wait no longer than a moment for what comes from now on."""
        with suppress(OSError):
            self._socket.settimeout(LAST_WORDS_S)

    def close(self) -> None:
        _cut(self._socket)


class Client:
    """Asks one server. Times are in seconds."""

    def __init__(
        self,
        address: ServerAddress,
        *,
        answer_s: float = ANSWER_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.address = address
        self.answer_s, self.idle_s = answer_s, idle_s

    def get(self, path: str) -> Any:
        """The JSON value at `path`. Raises RemoteFault."""
        return self._json("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON value that answers `body`. Raises RemoteFault."""
        return self._json("POST", path, body)

    def patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` gives; asked again, after a pause, where the fault may pass."""
        for number in range(TRIES):
            try:
                return ask()
            except RemoteFault as fault:
                self.pause(fault, number)
        raise AssertionError

    def pause(self, fault: RemoteFault, number: int) -> None:
        """Wait before try `number` + 1; raises `fault` where it is of no use."""
        pause_s = FIRST_PAUSE_S * 2**number if fault.pause_s is None else fault.pause_s
        if not fault.is_passing or number + 1 >= TRIES:
            raise fault
        if pause_s > LONGEST_PAUSE_S:
            raise RemoteFault(
                f"{fault}; it asks to come back in {pause_s:.0f} s; ask again then", fault.status
            )
        SLEEP(pause_s)

    def stream(self, path: str, body: dict[str, Any]) -> OpenAnswer:
        """The open answer to `body`. Raises RemoteFault."""
        response, sock = self._open("POST", path, body, self.idle_s)
        return OpenAnswer(response, sock)

    def events(self, answer: OpenAnswer) -> Iterator[dict[str, Any]]:
        """The JSON objects of an open stream, up to `[DONE]`.

        Raises RemoteFault for an error that is sent in the stream, for what is no JSON, and for a
        connection that breaks.
        """
        try:
            if answer.kind == "text/html":
                raise RemoteFault(
                    f"{self.address.root} answered with an HTML page; give the server's own URL"
                )
            if answer.kind == "application/json":  # the server does not stream, or this is an error
                yield self.read_object(b"".join(answer.chunks()).decode("utf-8", "replace"))
                return
            for event in server_events(answer.chunks()):
                if event.data.strip() == "[DONE]":
                    return
                value = self.read_object(event.data)
                if event.name == "error" or value.get("error"):
                    raise self.said(value if value.get("error") else {"error": value})
                yield value
        except (OSError, HTTPException, ValueError) as error:
            raise self.broken(error) from error

    def said(self, value: dict[str, Any], status: int = 0) -> RemoteFault:
        """The fault that a server's JSON names."""
        error = value.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        status = status or (code if isinstance(code, int) else 500)
        return RemoteFault(self._line(reason_of(value)), status, is_passing=status in PASSING)

    def broken(self, error: BaseException) -> RemoteFault:
        """The fault of a connection that was lost, or never there."""
        if isinstance(error, RemoteFault):
            return error
        if isinstance(error, ServerError):
            return RemoteFault(f"{self.address.root}: {error}")
        words = self._line(str(error) or type(error).__name__)
        if isinstance(error, ssl.SSLCertVerificationError):
            words = f"its certificate is not trusted ({error.verify_message})"
            return RemoteFault(f"{self.address.root}: {words}")
        if isinstance(error, TimeoutError):
            words = "no answer in time"
        elif isinstance(error, HTTPException) and not isinstance(error, ConnectionError):
            words = f"what came is no HTTP ({type(error).__name__})"
        return RemoteFault(f"{self.address.root}: {words}", is_passing=True)

    def _json(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        response, sock = self._open(method, path, body, self.answer_s)
        late = threading.Timer(self.answer_s, _cut, (sock,))
        late.start()
        try:
            with response:
                text = response.read(MAX_BODY + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise self.broken(error) from error
        finally:
            late.cancel()
            _cut(sock)
        if len(text) > MAX_BODY:
            raise RemoteFault(
                f"{self.address.root}{path}: more than {MAX_BODY:,} bytes; see what that URL serves"
            )
        return self._value(text.decode("utf-8", "replace"))

    def _open(
        self, method: str, path: str, body: dict[str, Any] | None, idle_s: float
    ) -> tuple[HTTPResponse, socket.socket]:
        """Raises RemoteFault for all but an answer of success."""
        connection = self._connection()
        late = None
        try:
            connection.connect()
            sock = connection.sock
            sock.settimeout(idle_s)
            late = threading.Timer(idle_s, _cut, (sock,))
            late.start()
            text = None if body is None else json.dumps(body).encode()
            connection.request(method, self.address.prefix + path, text, self._headers(text))
            response = connection.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise self.broken(error) from error
        except BaseException:
            connection.close()
            raise
        finally:
            if late is not None:
                late.cancel()
        if not 200 <= response.status < 300:
            with response:
                raise self._refused(response, path)
        return response, sock

    def _connection(self) -> HTTPConnection:
        host, port = self.address.host, self.address.port
        if not self.address.is_tls:
            return HTTPConnection(host, port, timeout=CONNECT_S)
        context = ssl.create_default_context()
        return HTTPSConnection(host, port, timeout=CONNECT_S, context=context)

    def _headers(self, text: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream", "User-Agent": "gptoss_magic"}
        if text is not None:
            headers["Content-Type"] = "application/json"
        if token := self.address.token():
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _refused(self, response: HTTPResponse, path: str) -> RemoteFault:
        status = response.status
        where = f"{self.address.root}{path}: HTTP {status}"
        if 300 <= status < 400:
            target = self._line(response.getheader("Location") or "nowhere")
            return RemoteFault(
                f"{where} sends to {target}: not followed; connect to that URL if it is right",
                status,
            )
        try:
            text = response.read(MAX_REASON).decode("utf-8", "replace")
        except (OSError, HTTPException, ValueError):
            text = ""
        words = self._line(reason_in(text))
        if status in (401, 403):
            words = f"{words}; it wants a token: --token-env VARIABLE".removeprefix("; ")
        return RemoteFault(
            f"{where}: {words}" if words else where,
            status,
            is_passing=status in PASSING,
            pause_s=_seconds(response.getheader("Retry-After")),
        )

    def read_object(self, text: str) -> dict[str, Any]:
        value = self._value(text)
        if not isinstance(value, dict):
            raise RemoteFault(
                f"{self.address.root}: no JSON object came: {self._line(text)}; see what that URL "
                "serves"
            )
        return value

    def _value(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            what = "an HTML page" if "<html" in text[:1000].lower() else f"no JSON: {text[:200]}"
            raise RemoteFault(
                f"{self.address.root} answered with {self._line(what)}; see what that URL serves",
                is_passing=False,
            ) from None

    def _line(self, words: str) -> str:
        """A server's words, short, in one line, without the token that it may repeat."""
        token = self.address.token()
        return one_line(words.replace(token, "…") if token else words, MAX_CHARS)


def _seconds(header: str | None) -> float | None:
    """Of Retry-After: seconds; a date is left to our own pauses."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _cut(sock: socket.socket | None) -> None:
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
