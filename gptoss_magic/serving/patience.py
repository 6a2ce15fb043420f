"""uvicorn's protocol with an end to waiting for a header that comes letter by letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEADER_S = 10.0  # from a header's first letter to its last
KEEP_ALIVE_S = 75  # between two requests: longer than clients keep an idle connection


class PatientProtocol(H11Protocol):
    """A connection is closed where a header is not whole after `HEADER_S` seconds."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._read: Any = None  # the request whose header was whole last
        self._late: asyncio.TimerHandle | None = None
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not self._read:
            self._whole()
        elif self._late is None and self.cycle.response_complete:
            self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle is not self._read:  # the next request came with this one
            self._whole()

    def connection_lost(self, exc: Exception | None) -> None:
        self._whole()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEADER_S, self.transport.close)

    def _whole(self) -> None:
        self._read = self.cycle
        if self._late is not None:
            self._late.cancel()
            self._late = None
