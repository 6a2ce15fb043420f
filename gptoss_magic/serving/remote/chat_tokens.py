"""What a chat server says, as harmony's tokens: its reasoning is analysis, its content final."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.harmony.channel_names import ANALYSIS, COMMENTARY, FINAL
from gptoss_magic.records import function_name

if TYPE_CHECKING:
    from gptoss_magic.harmony import HarmonyCodec


THOUGHT, SAID = ANALYSIS, FINAL
HIGH = re.compile("[\ud800-\udbff]")


@dataclass
class CalledTool:
    """A tool's call in the making, of any number of pieces."""

    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ChatWriter:
    """Writes what follows `<|start|>assistant`, piece by piece. `finish`: the server's word."""

    def __init__(self, codec: HarmonyCodec) -> None:
        self.codec, self.special = codec, codec.special
        self.channel = self.finish = ""
        self.calls: dict[int, CalledTool] = {}
        self._is_first, self._half = True, ""

    def text(self, channel: str, text: str) -> list[int]:
        """Text of a channel; another one than before begins a message."""
        text, self._half = self._half + text, ""
        if HIGH.match(text[-1:]):  # the other half of the character comes with the next piece
            text, self._half = text[:-1], text[-1]
        if not text:
            return []
        ids = [] if channel == self.channel else self._opened(channel)
        self.channel = channel
        return [*ids, *self.codec.encode(text)]

    def call(self, piece: dict[str, Any], place: int) -> None:
        """A piece of a tool's call: they are written when the answer ends."""
        index = piece.get("index")
        function = piece.get("function")
        if not isinstance(function, dict):
            return
        called = self.calls.setdefault(index if isinstance(index, int) else place, CalledTool())
        called.name += str(function.get("name") or "")
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            called.arguments.append(arguments)
        elif arguments is not None:
            called.arguments.append(json.dumps(arguments, ensure_ascii=False))

    def end(self) -> list[int]:
        """The last tokens: the calls, or the end of the text."""
        ids = self.codec.encode(self._half)  # U+FFFD
        for called in self.calls.values():
            name = tool_name(called.name)
            ids += self._begun()
            ids += [*self.codec.encode(f" to=functions.{name}"), self.special["channel"]]
            ids += [*self.codec.encode(f"{COMMENTARY} "), self.special["constrain"]]
            ids += [*self.codec.encode("json"), self.special["message"]]
            ids += self.codec.encode("".join(called.arguments) or "{}")
            self.channel, self._is_first = COMMENTARY, False
        if self.calls:  # the one before another ends as any message does: <|call|> ends the answer
            return [*ids, self.special["call"]]
        opened = [] if self.channel == FINAL else self._opened(FINAL)
        return [*ids, *opened, self.special["return"]]

    def _opened(self, channel: str) -> list[int]:
        ids = [*self._begun(), self.special["channel"], *self.codec.encode(channel)]
        self._is_first = False
        return [*ids, self.special["message"]]

    def _begun(self) -> list[int]:
        """The end of the message before, and the start of the next."""
        if self._is_first:
            return []
        ended = [self.special["end"]] if self.channel else []
        return [*ended, self.special["start"], *self.codec.encode("assistant")]


def tool_name(said: str) -> str:
    """A tool's name without what servers leave of its header (`functions.`, `<|channel|>…`)."""
    name = function_name(said.partition("<|")[0].strip())
    return "".join(letter for letter in name if letter.isprintable() and not letter.isspace())
