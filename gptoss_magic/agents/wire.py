"""What a server says, before the SDK validates it: one odd tool or block would refuse the whole.

The SDK gets tools that are only a name, and results that are only text; the tools and results as
they came are read here. So nothing of a server is lost because of something beside it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.results import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

HEADERS = "x-mcp-header"  # arguments that the SDK copies into HTTP headers: it reads the schema
OPEN_SCHEMA = {"type": "object"}
INTERNAL_ERROR = -32603  # of JSON-RPC


@dataclass
class Wire:
    """One connection. `tools`: of the last list that came, as the server wrote them."""

    tools: list[Any] = field(default_factory=list)
    _requests: dict[str, Any] = field(default_factory=dict)  # by id, those without an answer yet

    @asynccontextmanager
    async def between(self, transport: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        """`transport` with what comes through it made valid."""
        async with transport as (read, write):
            yield _Reading(read, self), _Writing(write, self)

    def asked(self, item: Any) -> None:
        """Note a request that goes out."""
        message = item.message
        if getattr(message, "id", None) is not None and hasattr(message, "method"):
            self._requests[str(message.id)] = message

    def fit(self, item: Any) -> Any:
        """The item that came, made valid if it answers a request of ours about tools."""
        if isinstance(item, Exception):
            return self._unread(item)
        message = getattr(item, "message", None)
        result = getattr(message, "result", None)
        request = self._requests.pop(str(getattr(message, "id", None)), None)
        if message is None or request is None or not isinstance(result, dict):
            return item
        method = request.method
        if method == "tools/list" and isinstance(result.get("tools"), list):
            result = self._listed(result)
        elif method == "tools/call" and result.get("resultType", "complete") == "complete":
            result = _called(result)
        return replace(item, message=message.model_copy(update={"result": result}))

    def _unread(self, error: Exception) -> Any:
        """An answer that is no JSON-RPC as an error, so that nobody waits for it any longer.

        Other lines that are none (banners, logs) are what they were.
        """
        faults: list[Any] = getattr(error, "errors", list)()
        replies = [fault["input"] for fault in faults if isinstance(fault.get("input"), dict)]
        for reply in replies:
            request = self._requests.pop(str(reply.get("id")), None)
            if request is not None:
                return _failed(request.id, reply)
        return error

    def _listed(self, result: dict[str, Any]) -> dict[str, Any]:
        self.tools = result["tools"]
        named = [one for one in self.tools if isinstance(one, dict) and _is_name(one.get("name"))]
        cursor = result.get("nextCursor")
        kept = {key: value for key, value in result.items() if key != "nextCursor"}
        kept |= {"nextCursor": cursor} if isinstance(cursor, str) and cursor else {}
        return kept | {"tools": [{"name": one["name"], **_schema(one)} for one in named]}


def _failed(request_id: Any, reply: dict[str, Any]) -> Any:
    """The SDK's form of an error, with the words of a reply that has it in another form."""
    from mcp.shared.message import SessionMessage
    from mcp.types import ErrorData, JSONRPCError

    said = reply.get("error", "its answer holds no object")
    words = said.get("message", said) if isinstance(said, dict) else said
    error = ErrorData(code=INTERNAL_ERROR, message=str(words))
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name)


def _schema(tool: dict[str, Any]) -> dict[str, Any]:
    schema = tool.get("inputSchema")
    is_read = isinstance(schema, dict) and schema.get("type") == "object" and HEADERS in str(schema)
    return {"inputSchema": schema if is_read else OPEN_SCHEMA}


def _called(result: dict[str, Any]) -> dict[str, Any]:
    kept = {key: result[key] for key in ("_meta", "resultType") if key in result}
    content = [{"type": "text", "text": text_of(result)}]
    return kept | {"content": content, "isError": bool(result.get("isError"))}


class _Through:
    """A stream of the SDK's transport, with all that is not told otherwise as it was."""

    def __init__(self, stream: Any, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> Any:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        return await self._stream.__aexit__(*error)


class _Reading(_Through):
    async def receive(self) -> Any:
        return self._wire.fit(await self._stream.receive())

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return self._wire.fit(await self._stream.__anext__())


class _Writing(_Through):
    async def send(self, item: Any) -> None:
        self._wire.asked(item)
        await self._stream.send(item)
