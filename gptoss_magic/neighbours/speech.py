"""What an answer says to a framework, piece by piece: thoughts, words to the user, calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import function_name
from gptoss_magic.turns.stop_text import StopText

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gptoss_magic.records import ChannelDelta, Message, Turn

CALL = "call_"
BETWEEN = "\n\n"  # two messages of one kind
FINISHES = {"length": "length", "call": "tool_calls"}


@dataclass(frozen=True)
class Piece:
    """`kind` is 'thought', 'text' or 'call'. A call's first piece has its `name` and `call_id`.

    `index` counts calls from 0; `block` counts what stands apart: runs of thoughts, of text, calls.
    """

    kind: str
    text: str
    name: str = ""
    call_id: str = ""
    index: int = 0
    block: int = 0


@dataclass(frozen=True)
class SaidCall:
    """A call that the model made; `raw`: its arguments, as it wrote them."""

    id: str
    name: str
    raw: str

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments; None where they are no whole JSON object, as of a call that was cut."""
        try:
            value = json.loads(self.raw or "{}")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Said:
    """The whole answer. `finish` is 'stop', 'length' or 'tool_calls', as OpenAI has it."""

    text: str
    thought: str
    calls: tuple[SaidCall, ...]
    finish: str
    turn: Turn


class Speech:
    """Gathers deltas into pieces. `stop`: strings that end what is said to the user.

    `is_stopped`: one of them came; nothing is told from there on.
    """

    def __init__(self, turn_id: str, stop: tuple[str, ...] = ()) -> None:
        self.turn_id = turn_id
        self._told = {"thought": "", "text": ""}
        self._calls: list[SaidCall] = []
        self._message: tuple[str, int] = ("", -1)  # the kind and number of the open one
        self._until = StopText(stop)
        self._block = -1

    @property
    def is_stopped(self) -> bool:
        return self._until.is_over

    def take(self, delta: ChannelDelta) -> Iterator[Piece]:
        """Text that came."""
        if self.is_stopped:
            return
        kind = _kind_of(delta.channel, delta.recipient)
        if (kind, delta.message) != self._message:
            yield from self._opened(kind, delta)
        told = self._until.take(delta.text) if kind == "text" else delta.text
        if told or kind != "text":
            yield self._piece(kind, told)

    def end(self, turn: Turn) -> Iterator[Piece]:
        """The answer is over: what was held back, and calls without any arguments."""
        yield from self._closed()
        if self.is_stopped:
            return
        for name, raw in calls_of(turn.answer.messages)[len(self._calls) :]:
            yield self._call(name, raw)

    def said(self, turn: Turn) -> Said:
        """All of it."""
        finish = "stop" if self.is_stopped else FINISHES.get(turn.finish, "stop")
        if self._calls and finish == "stop" and not self.is_stopped:
            finish = "tool_calls"
        told = self._told
        return Said(told["text"], told["thought"], tuple(self._calls), finish, turn)

    def _opened(self, kind: str, delta: ChannelDelta) -> Iterator[Piece]:
        yield from self._closed()
        if kind != self._message[0] and kind != "call":
            self._block += 1
        self._message = kind, delta.message
        if kind == "call":
            yield self._call(function_name(delta.recipient or ""), "")
        elif self._told[kind]:
            yield self._piece(kind, BETWEEN)

    def _closed(self) -> Iterator[Piece]:
        if held := self._until.rest():
            yield self._piece("text", held)

    def _call(self, name: str, raw: str) -> Piece:
        call = SaidCall(f"{CALL}{self.turn_id}_{len(self._calls)}", name, raw)
        self._calls.append(call)
        self._block += 1
        return Piece("call", raw, name, call.id, len(self._calls) - 1, self._block)

    def _piece(self, kind: str, text: str) -> Piece:
        if kind == "call":
            last = self._calls[-1]
            self._calls[-1] = SaidCall(last.id, last.name, last.raw + text)
            return Piece("call", text, index=len(self._calls) - 1, block=self._block)
        self._told[kind] += text
        return Piece(kind, text, block=self._block)


class WholeCalls:
    """Pieces as they come, but each call in one, for who would complete one that was cut off."""

    def __init__(self) -> None:
        self._call: Piece | None = None

    def take(self, piece: Piece | Said) -> list[Piece | Said]:
        """What can be told now that `piece` is there."""
        call = self._call
        if isinstance(piece, Piece) and piece.kind == "call":
            if call is not None and not piece.name:
                self._call = replace(call, text=call.text + piece.text)
                return []
            self._call = piece
            return [] if call is None else [call]
        self._call = None
        return [piece] if call is None else [call, piece]


def _kind_of(channel: str | None, recipient: str | None) -> str:
    if recipient:
        return "call"
    return "thought" if channel == "analysis" else "text"


def text_of(messages: Iterable[Message]) -> str:
    """What messages say to the user, as pieces tell it."""
    said = (m.content for m in messages if _kind_of(m.channel, m.recipient) == "text")
    return BETWEEN.join(filter(None, said))


def calls_of(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """The name and raw arguments of each call."""
    return [(function_name(m.recipient), m.content) for m in messages if m.recipient]
