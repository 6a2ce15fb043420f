"""A server of raw sockets, for the wire shapes of each kind and for what goes wrong on the way."""

import json
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

DROP = object()  # the connection is reset
HANG = object()  # nothing comes any more until the client hangs up


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    body: dict = field(default_factory=dict)


class WireServer:
    """Each connection is one request; `answer(asked)` gives the raw bytes of the answer, in pieces.

    `asked`: what came so far. `hung_up`: set when a client left while an answer hung.
    """

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.hung_up = threading.Event()
        self.num_open = self.most_open = 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def paths(self, method="POST"):
        return [one.path for one in self.asked if one.method == method]

    def bodies(self, path):
        return [one.body for one in self.asked if one.path == path and one.method == "POST"]

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, self._noticed():
            asked = read_request(connection)
            if asked is None:
                return
            self.asked.append(asked)
            with self.lock:
                self.num_open += 1
                self.most_open = max(self.most_open, self.num_open)
            try:
                self._send(connection, self.answer(asked))
            finally:
                with self.lock:
                    self.num_open -= 1

    @contextmanager
    def _noticed(self):
        """A client that hangs up while it is answered is no fault of the server's."""
        try:
            yield
        except OSError:
            self.hung_up.set()

    def _send(self, connection, pieces):
        for piece in pieces:
            if piece is DROP:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if piece is HANG:
                with suppress(OSError):
                    while connection.recv(4096):
                        pass
                self.hung_up.set()
                return
            if callable(piece):
                piece()
                continue
            connection.sendall(piece)


def read_request(connection):
    reader = connection.makefile("rb")
    first = reader.readline().decode().split()
    if not first:
        return None
    headers = {}
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    text = reader.read(int(headers.get("content-length", 0)))
    return Asked(first[0], first[1], headers, json.loads(text) if text else {})


def head(status=200, kind="application/json", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def reply(value, status=200, **headers):
    """A whole JSON answer."""
    text = json.dumps(value).encode()
    return [head(status, Content_Length=len(text), **headers) + text]


def page(status=502):
    """What a proxy says where the server is down."""
    text = b"<!DOCTYPE html><html><head><title>502</title></head><body>Bad gateway</body></html>"
    return [head(status, "text/html; charset=utf-8", Content_Length=len(text)) + text]


def missing():
    return reply({"detail": "Not Found"}, 404)


def streamed(pieces, kind="text/event-stream; charset=utf-8"):
    """A chunked answer of these pieces of bytes; other things (DROP, …) pass as they are."""
    yield head(200, kind, Transfer_Encoding="chunked")
    for piece in pieces:
        if not isinstance(piece, bytes):
            yield piece
        elif piece:
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def sse(value, end=b"\n"):
    """One event without a name, as most servers send it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return b"data: " + text.encode() + end + end


def cut(pieces, sizes=(1, 7, 3, 2, 11)):
    """The same bytes in other pieces: lines and letters are cut anywhere."""
    held, place = b"", 0
    for piece in pieces:
        if not isinstance(piece, bytes):
            yield held
            held = b""
            yield piece
            continue
        held += piece
        while len(held) > sizes[place % len(sizes)]:
            size = sizes[place % len(sizes)]
            yield held[:size]
            held, place = held[size:], place + 1
    yield held
