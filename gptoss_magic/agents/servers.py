"""MCP servers as tools, through the official Python SDK: over stdio, or streamable HTTP.

The SDK is asynchronous: each server has a thread with an event loop, and the calls wait for it, so
that ■ and time limits reach them. What a server says of its tools, and what they give, is text of a
stranger: nothing of it runs without consent.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.signature import plain
from gptoss_magic.agents.tools import Tool
from gptoss_magic.errors import InputError, MissingPackage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mcp import Client

    from gptoss_magic.agents.links import Link

STOP_S = 10.0
WAIT_S = 0.1
MAX_DESCRIPTION = 1000


class Server:
    """A running MCP server, reached by `link`. `close` ends it.

    Raises MissingPackage without the `mcp` package, InputError where it gives no tools.
    """

    def __init__(self, link: Link) -> None:
        try:
            import mcp  # noqa: F401
        except ImportError as error:
            raise MissingPackage(
                "MCP servers need the mcp package: pip install 'gptoss_magic[mcp]'"
            ) from error
        logging.getLogger("mcp").addHandler(logging.NullHandler())  # errors are told in words
        self.link = link
        self.listed: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._client: Client | None = None
        self._ready: Future[None] = Future()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        try:
            self._ready.result(link.start_s)
        except BaseException as error:
            self.close()
            if isinstance(error, Exception) and not isinstance(error, InputError):
                raise InputError(f"MCP server {link.label}: {link.failed(error)}") from error
            raise

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._task)
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._client = None
            self._loop.close()

    async def _serve(self) -> None:
        from mcp import Client

        async with self.link.transport() as transport, Client(transport) as client:
            self._client = client
            self.listed = await _all_tools(client)
            self._ready.set_result(None)
            await self._over.wait()

    def tools(self) -> list[Tool]:
        """The server's tools; names that are no identifiers get underscores."""
        return [self._tool(listed) for listed in self.listed]

    def _tool(self, listed: Any) -> Tool:
        def call(**arguments: Any) -> str:
            return self.call(listed.name, arguments)

        schema = plain(dict(listed.input_schema))
        parameters = schema if schema.get("properties") else {}
        about = (listed.description or "").strip()[:MAX_DESCRIPTION]
        origin = f"MCP server {self.link.label}"
        return Tool(_identifier(listed.name), about, parameters, call, "ask", origin)

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """What the server's tool gives, as text. Raises RuntimeError with the tool's own words."""
        client = self._client
        if client is None:
            raise RuntimeError(f"the MCP server {self.link.label} is not running any more")
        result = self._wait(client.call_tool(name, arguments))
        text = "\n".join(map(_text, result.content))
        if getattr(result, "is_error", False):
            raise RuntimeError(text or "the tool failed without a word")
        return text

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work` in the server's loop; waits in steps, so that ■ ends it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                try:
                    return future.result(WAIT_S)
                except FutureTimeout:
                    if future.done():
                        raise
                    if not self._thread.is_alive():
                        raise RuntimeError(f"the MCP server {self.link.label} has ended") from None
        except CancelledError:
            raise RuntimeError(f"the MCP server {self.link.label} has ended") from None
        finally:
            future.cancel()

    def close(self) -> None:
        """End the connection, the thread, and the process where it is one of ours."""
        if self._ready.done():
            self._tell(self._over.set)
            self._thread.join(STOP_S)
        if self._task is not None and self._thread.is_alive():
            self._tell(self._task.cancel)
            self._thread.join(STOP_S)

    def _tell(self, word: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # it has just ended by itself
            self._loop.call_soon_threadsafe(word)


async def _all_tools(client: Client) -> list[Any]:
    """All pages of the server's list."""
    found, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found


def _text(block: Any) -> str:
    """A block of a result; what is no text is named."""
    text = getattr(block, "text", None)
    return text if isinstance(text, str) else f"[{getattr(block, 'type', 'data')}: not shown]"


def _identifier(name: str) -> str:
    made = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name)
    return made if made.isidentifier() else f"_{made}"
