"""Server-sent events: what a route tells as it goes, and pings while it is silent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.body import json_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PING_S = 5.0  # of silence: a prompt that is read on a CPU takes longer than some clients wait
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


def event(value: dict[str, Any]) -> bytes:
    """One event; named by its type, where it has one."""
    name = f"event: {value['type']}\n".encode() if "type" in value else b""
    return name + b"data: " + json_bytes(value) + b"\n\n"


async def with_pings(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`pieces`, and a comment after each moment without one."""
    waiting: asyncio.Task[bytes] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(_next(pieces))
            done, _ = await asyncio.wait([waiting], timeout=PING_S)
            if not done:
                yield PING
                continue
            try:
                piece = waiting.result()
            except StopAsyncIteration:
                return
            finally:
                waiting = None
            yield piece
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await pieces.aclose()  # type: ignore[attr-defined]


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces)
