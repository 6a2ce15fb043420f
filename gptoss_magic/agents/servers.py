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

from gptoss_magic.agents.arguments import check_by
from gptoss_magic.agents.forms import ANY_OBJECT, plain
from gptoss_magic.agents.links import reason
from gptoss_magic.agents.tools import Tool
from gptoss_magic.agents.wire import Wire
from gptoss_magic.errors import InputError, MissingPackage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mcp import Client

    from gptoss_magic.agents.links import Link

CLOSED = "Connection closed"  # the SDK's words where a server went away during a call
STOP_S = 10.0
WAIT_S = 0.1
MAX_DESCRIPTION = 1000
MAX_NAME = 120  # of a server or a tool, in a message
WORDS = {"description", "default", "examples"}


class Server:
    """A running MCP server, reached by `link`. `close` ends it.

    `left_out`: a line for each of its tools that cannot be offered, with the name and the reason.
    Raises MissingPackage without the `mcp` package, InputError where it gives no list of tools.
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
        self.left_out: list[str] = []
        self._tools: dict[str, Tool] = {}
        self._wire = Wire()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._client: Client | None = None
        self._ready: Future[None] = Future()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        failure = self._failure()
        if failure:
            # not inside an except: IPython prints an error whose context has a group at full length
            raise InputError(failure)

    def _failure(self) -> str:
        """Waits for the tools; why none came, in one line, or ''."""
        try:
            self._ready.result(self.link.start_s)
        except InputError as error:
            self.close()
            return str(error)
        except Exception as error:  # noqa: BLE001 (a server and its transport fail in many ways)
            self.close()
            return f"MCP server {self._name}: {self.link.failed(error)}"
        except BaseException:
            self.close()
            raise
        return ""

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

        async with (
            self.link.transport() as transport,
            Client(self._wire.between(transport)) as client,
        ):
            self._client = client
            for at, listed in enumerate(await self._all_listed(client), 1):
                self._offer(at, listed)
            self._ready.set_result(None)
            await self._over.wait()

    async def _all_listed(self, client: Client) -> list[Any]:
        """All pages of the server's list, as it wrote them; a page that comes again ends it."""
        listed: list[Any] = []
        cursors: set[str] = set()
        page = await client.list_tools(cache_mode="bypass")
        listed += self._wire.tools
        while page.next_cursor and page.next_cursor not in cursors:
            cursors.add(page.next_cursor)
            try:
                page = await client.list_tools(cursor=page.next_cursor, cache_mode="bypass")
            except Exception as error:  # noqa: BLE001 (the pages before it stay)
                self.left_out.append(f"the list from tool {len(listed) + 1} on: {reason(error)}")
                break
            listed += self._wire.tools
        return listed

    def _offer(self, at: int, listed: Any) -> None:
        """Keep the tool that the list has at place `at`, or say why it is left out."""
        name = listed.get("name") if isinstance(listed, dict) else None
        if not isinstance(name, str) or not name:
            self.left_out.append(f"tool {at} of its list: it has no name")
            return
        shown = " ".join(name.split())[:MAX_NAME]
        try:
            tool = self._tool(listed)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one, the others stay)
            self.left_out.append(f"{shown}: {reason(error)}")
            return
        if tool.name in self._tools:
            self.left_out.append(f"{shown}: an earlier tool has the name {tool.name} here")
            return
        self._tools[tool.name] = tool

    def tools(self) -> list[Tool]:
        """The server's tools; names that are no identifiers get underscores."""
        return list(self._tools.values())

    def _tool(self, listed: dict[str, Any]) -> Tool:
        """Raises InputError for one that cannot be called with named arguments."""

        def call(**arguments: Any) -> str:
            return self.call(listed["name"], arguments)

        schema = listed.get("inputSchema")
        schema = {} if schema is None else schema
        check = check_by(schema)
        about = listed.get("description") or listed.get("title") or ""
        about = about.strip()[:MAX_DESCRIPTION] if isinstance(about, str) else ""
        origin = f"MCP server {self.link.label}"
        return Tool(
            identifier(listed["name"]), about, _parameters(schema), call, "ask", origin, check
        )

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """What the server's tool gives, as text. Raises RuntimeError with the tool's own words."""
        client = self._client
        if client is None:
            raise RuntimeError(self._ended())
        failure = ""
        try:
            result = self._wait(client.call_tool(name, arguments))
        except Exception as error:  # noqa: BLE001 (the SDK's, the transport's, groups of them)
            failure = reason(error) or type(error).__name__
        if failure:
            raise RuntimeError(self._ended() if failure == CLOSED else failure)
        text = "\n".join(block.text for block in result.content)
        if result.is_error:
            raise RuntimeError(text or "the tool failed without a word")
        return text

    def _ended(self) -> str:
        words = self.link.last_words
        return f"the MCP server {self._name} has ended" + (f": {words}" if words else "")

    @property
    def _name(self) -> str:
        """Its label in one short line: a command may hold a whole program."""
        label = " ".join(self.link.label.split())
        return label if len(label) <= MAX_NAME else f"{label[:MAX_NAME]}…"

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
                        raise RuntimeError(self._ended()) from None
        except CancelledError:
            raise RuntimeError(self._ended()) from None
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


def _parameters(schema: Any) -> dict[str, Any]:
    """What the model is told of the arguments; {} for none. Raises InputError for no object."""
    form = plain(schema)
    form.pop("nullable", None)
    if schema is False or not (
        form.keys() <= WORDS or form.get("type") == "object" or _alike(form)
    ):
        raise InputError(
            "its input schema is no object: a tool is called with named arguments; its server "
            "has to mend it"
        )
    if form.keys() <= WORDS:
        return ANY_OBJECT | form
    has_fields = form.get("properties") or "additionalProperties" in form or "anyOf" in form
    return form if has_fields else {}


def _alike(form: dict[str, Any]) -> bool:
    """True for alternatives, one of which is an object."""
    return any(one.get("type") == "object" for one in form.get("anyOf", ()))


def identifier(name: str) -> str:
    """What a tool that the server calls `name` is called here: `get-page` is get_page."""
    letters = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in name)
    return letters if letters.isidentifier() else f"_{letters}"
