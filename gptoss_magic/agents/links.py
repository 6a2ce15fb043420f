"""How an MCP server is reached: a program's pipes, or an address over streamable HTTP."""

from __future__ import annotations

import os
import shlex
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import urlsplit

from gptoss_magic.agents.stderr import StandardError
from gptoss_magic.errors import InputError, errors_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

CONNECT_S = 10.0
READ_S = 300.0  # between two parts of an answer; a call has its own limit
MAX_CHARS = 600  # of a reason


class Link(Protocol):
    """`label` says which server; `start_s` seconds it has to list its tools."""

    @property
    def label(self) -> str: ...

    @property
    def start_s(self) -> float: ...

    def transport(self) -> AbstractAsyncContextManager[Any]:
        """What the SDK's client speaks through."""

    def failed(self, error: BaseException) -> str:
        """Why no tools came, in one line."""

    @property
    def last_words(self) -> str:
        """What the server said of its own trouble, in one line; '' where nothing is known."""


@dataclass(frozen=True)
class Program:
    """A program that is started by its words, and spoken with over its input and output."""

    words: Sequence[str]
    start_s: float = 60.0
    stderr: StandardError = field(default_factory=StandardError, compare=False)

    @property
    def label(self) -> str:
        return shlex.join(self.words)

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Any]:
        from mcp import StdioServerParameters, stdio_client

        asked = StdioServerParameters(command=self.words[0], args=list(self.words[1:]))
        with self.stderr.pipe() as errlog:
            yield stdio_client(asked, errlog=errlog)

    def failed(self, error: BaseException) -> str:
        last = self.last_words
        wrote = f"; it wrote: {last}" if last else ""
        return f"it did not start: {_said(error, self.start_s)}{wrote}"

    @property
    def last_words(self) -> str:
        self.stderr.wait_for_rest()
        return self.stderr.last_words[-MAX_CHARS:]


@dataclass(frozen=True)
class Address:
    """A server that runs already, at `url`. `headers`: names of environment variables by header.

    Their values are read when the link is made, sent to that host alone, and kept nowhere; the SDK
    follows a redirection only within the same host and port.
    Raises InputError for what is no such URL, and for values that would be readable on the way.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 20.0
    refusals: list[int] = field(default_factory=list, compare=False)

    HINTS: ClassVar[dict[int, str]] = {
        401: "it wants a token: --token VARIABLE sends that of an environment variable",
        403: "the token does not do: --token VARIABLE names the variable that holds it",
        404: "no MCP server is there; many answer at …/mcp",
        405: "no MCP server is there; many answer at …/mcp",
    }

    def __post_init__(self) -> None:
        parts = _parts(self.url)
        if parts.username or parts.password:
            raise InputError("MCP server: no password in the URL; --token names a variable")
        if self.headers and parts.scheme != "https" and not self.is_local:
            raise InputError(
                f"MCP server {self.label}: over http a token can be read on the way; give https"
            )

    @property
    def label(self) -> str:
        return self.url

    @property
    def host(self) -> str:
        return _parts(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """True where it is on this machine, by its name."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Any]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        async def on_response(response: Any) -> None:
            if response.status_code >= 400:
                self.refusals.append(response.status_code)

        async with httpx2.AsyncClient(
            headers=dict(map(_value, self.headers.items())),
            timeout=httpx2.Timeout(CONNECT_S, read=READ_S),
            event_hooks={"response": [on_response]},
            trust_env=not self.is_local,  # a proxy has no part in what stays on this machine
        ) as http:
            yield streamable_http_client(self.url, http_client=http)

    def failed(self, error: BaseException) -> str:
        said = _said(error, self.start_s)
        if not self.refusals:
            return f"no tools from there: {said}"
        status = self.refusals[-1]
        return f"it answers HTTP {status}: {self.HINTS.get(status, said)}"

    @property
    def last_words(self) -> str:
        return f"HTTP {self.refusals[-1]}" if self.refusals else ""


def is_url(word: str) -> bool:
    """True for what is meant as an address, and is no program."""
    return "://" in word


def _parts(url: str) -> Any:
    """Raises InputError for what is no http or https URL."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isprintable() or " " in url:
        raise InputError(f"MCP server {url[:200]!r}: give an http or https URL")
    return parts


def _value(header: tuple[str, str]) -> tuple[str, str]:
    """A header's name and value; the variable's value shows in no message."""
    name, variable = header
    value = os.environ.get(variable, "").strip()
    if not value:
        raise InputError(
            f"MCP server: header {name}: no such environment variable, or it is empty; give a "
            "variable's name, never the token itself"
        )
    if not (value.isascii() and value.isprintable()):
        raise InputError(
            f"MCP server: header {name}: what {variable} holds is no header's value; set it "
            "again, without line ends"
        )
    return (
        name,
        f"Bearer {value}" if name.lower() == "authorization" and " " not in value else value,
    )


def reason(error: BaseException) -> str:
    """The first error inside a group, in one line; '' where it has no words."""
    error = errors_in(error)[0]
    faults = getattr(error, "errors", None)
    if callable(faults):  # pydantic's: a line for each place, and an address
        fault = faults()[0]
        place = ".".join(map(str, fault.get("loc", ())))
        return f"its answer is no MCP: {place}: {fault.get('msg')}"[:MAX_CHARS]
    return " ".join(str(error).split())[:MAX_CHARS]


def _said(error: BaseException, seconds: float) -> str:
    return reason(error) or f"no answer within {seconds:g} s"
