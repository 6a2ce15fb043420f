"""One answer on its way: made in a thread of the desk, read in the server's loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from gptoss_magic.records import ChannelDelta, Listener, TokenDelta, Turn
from gptoss_magic.serving.faults import api_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gptoss_magic.records import Request
    from gptoss_magic.serving.ledger import Served
    from gptoss_magic.turns.together import Desk

    Told = TokenDelta | ChannelDelta | Turn | BaseException


class Call:
    """`request` asked at once; its tokens, texts and turn come by `told`, in order.

    Who stops it, or no longer reads it, ends the answer within a token.
    """

    def __init__(self, desk: Desk, served: Served, request: Request) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Told] = asyncio.Queue()
        self._gone = threading.Event()
        self.served = served
        served.stop = self.stop
        listener = Listener(on_delta=self._tell, on_token=self._on_token, is_gone=self._gone.is_set)
        desk.ask(request, listener, self._tell)

    def stop(self) -> None:
        """From any thread: no more is wanted."""
        self._gone.set()

    async def told(self) -> AsyncIterator[TokenDelta | ChannelDelta | Turn]:
        """What comes, the turn last. Raises what went wrong."""
        try:
            while True:
                one = await self._told.get()
                if isinstance(one, BaseException):
                    raise one if isinstance(one, Exception) else api_error(one)
                yield one
                if isinstance(one, Turn):
                    return
        finally:
            self.stop()

    def _on_token(self, token: TokenDelta) -> None:
        self.served.state = "answering"
        self.served.num_tokens += 1
        self._tell(token)

    def _tell(self, one: Told) -> None:
        try:
            self._loop.call_soon_threadsafe(self._told.put_nowait, one)
        except RuntimeError:  # the server has ended
            self._gone.set()
