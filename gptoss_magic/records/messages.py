"""Messages, tools as the model is told of them, and what streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FUNCTIONS = "functions."
NATIVE_SPACES = ("browser", "python")  # of tools that gpt-oss knows by heart


@dataclass(frozen=True)
class ToolSpec:
    """A function that the model may call. `parameters` is a JSON schema of type object.

    `space`: of a tool that gpt-oss knows by heart (`browser.search`), what the system message says
    of its namespace; '' for a function, which the developer message defines.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    space: str = ""

    @property
    def spec(self) -> ToolSpec:
        """Itself: a definition may be offered as a tool is, to be told and not run."""
        return self


@dataclass(frozen=True)
class Message:
    """One harmony message. `author` names a tool (`functions.get_time`); role is the header's.

    `ids`: the whole message in exact tokens, header and end included, where they are known; who
    reads it again takes these, and tokenises nothing anew.
    """

    role: str
    content: str
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    author: str | None = None
    ids: tuple[int, ...] = field(default=(), compare=False, repr=False)


def function_name(recipient: str) -> str:
    """The function that a message goes to; a model may write the namespace more than once."""
    while recipient.startswith(FUNCTIONS):
        recipient = recipient.removeprefix(FUNCTIONS)
    return recipient


@dataclass(frozen=True)
class ToolCall:
    """A call the model made. `arguments` is None where `raw` is not a JSON object."""

    name: str
    arguments: dict[str, Any] | None
    raw: str


@dataclass(frozen=True)
class TokenDelta:
    """One generated token. `finish` is set on the last: 'return', 'call', 'stop', 'length'.

    `logprob`: natural logarithm of its probability at temperature 1, before top-k, top-p and
    grammar; None where the engine does not tell. `top`: the likeliest (token, logprob), best first,
    where they were asked for.
    """

    token_id: int
    finish: str | None = None
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class ChannelDelta:
    """Text that one token added to a channel. `message` counts messages from 0."""

    channel: str
    text: str
    message: int = 0
    recipient: str | None = None
