"""Who may come in: a token, a loopback Host, bodies of a bounded size that come in time."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.body import json_bytes
from gptoss_magic.serving.faults import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

MOST_BYTES = 16_000_000  # of a body
BODY_S = 20.0  # for a whole body
HOSTS = ("127.0.0.1", "localhost", "[::1]")  # what this machine is called from itself
OPEN = ("/health",)  # what needs no token


class Guard:
    """An ASGI application before another one. `token` is compared in constant time."""

    def __init__(self, inner: Any, token: str) -> None:
        self.inner, self.token = inner, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        try:
            self._check(scope)
            body = await asyncio.wait_for(_body(scope, receive), BODY_S)
        except TimeoutError:
            await _refuse(send, ApiError(408, f"the body did not come within {BODY_S:g} s"))
        except ApiError as error:
            await _refuse(send, error)
        else:
            await self.inner(scope, _Replayed(body, receive), send)

    def _check(self, scope: Scope) -> None:
        """Raise ApiError for a caller that may not come in."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name.lower() not in HOSTS:
            raise ApiError(421, f"Host {host[:100]!r} is not this machine's: use 127.0.0.1")
        if scope["path"] in OPEN:
            return
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        is_known = hmac.compare_digest(given.strip(), self.token)
        if kind.lower() != b"bearer" or not is_known:
            raise ApiError(
                401,
                "the token is missing or wrong: send Authorization: Bearer TOKEN, as the notebook "
                "printed it",
                code="invalid_api_key",
            )


async def _body(scope: Scope, receive: Receive) -> bytes:
    """All of it. Raises ApiError where it is too large."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        raise _too_large()
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "the caller left")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MOST_BYTES:
            raise _too_large()
        if not message.get("more_body"):
            return b"".join(pieces)


def _too_large() -> ApiError:
    return ApiError(413, f"the body is larger than {MOST_BYTES // 1_000_000} MB", code="too_large")


class _Replayed:
    """The body once more, then what the server says (that the caller left)."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.body: bytes | None = body
        self.receive = receive

    async def __call__(self) -> dict[str, Any]:
        if self.body is None:
            return await self.receive()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _refuse(send: Send, error: ApiError) -> None:
    body = json_bytes(error.body())
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of a body is not read
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
