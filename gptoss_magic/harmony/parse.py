"""A tolerant, incremental parser of what the assistant writes.

It never raises and never loses text: `parser.text`, the headers' and contents' text in order,
equals the decoded ordinary tokens of the stream. Special tokens out of place end a header or a
message and carry no text of their own.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.records import ChannelDelta, Message, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.harmony.codec import HarmonyCodec

RECIPIENT = re.compile(r"\bto=(\S+)")
TARGET = re.compile(r"to=\S*(\s+\S*)?$")


@dataclass
class _Draft:
    """One message while it is read."""

    before: str = ""
    channel_part: str = ""
    kind_part: str = ""
    content: str = ""
    state: str = "content"
    opened: bool = False
    shown: bool = False
    channel: str = "final"
    recipient: str | None = None
    kind: str | None = None
    constrained: bool = False
    pieces: list[str] = field(default_factory=list)


class HarmonyParser:
    """Feed it the tokens that follow `<|start|>assistant`, one at a time."""

    def __init__(self, codec: HarmonyCodec) -> None:
        self.codec = codec
        self.raw_tokens: list[int] = []
        self._names = {token: name for name, token in codec.special.items()}
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._drafts = [_Draft(state="before")]

    def feed(self, token: int) -> list[ChannelDelta]:
        """Take one token; the deltas it completes (none within a header)."""
        self.raw_tokens.append(token)
        name = self._names.get(token)
        if name is None:
            return self._text(self._utf8.decode(self.codec.token_bytes(token)))
        deltas = self._text(self._utf8.decode(b"", final=True))
        self._utf8.reset()
        return deltas + self._special(name)

    def close(self) -> list[ChannelDelta]:
        """End of the stream: broken UTF-8 and a header left open become visible text."""
        deltas = self._text(self._utf8.decode(b"", final=True))
        self._utf8.reset()
        return deltas + self._abandon()

    def _special(self, name: str) -> list[ChannelDelta]:
        draft = self._drafts[-1]
        if name in ("end", "return", "call", "start"):
            deltas = self._abandon()
            self._next("role" if name == "start" else "before")
            return deltas
        if draft.state == "content":
            return []
        if name == "message":
            self._open(draft)
        elif name == "channel":
            draft.state = "channel"
        else:
            draft.state, draft.constrained = "kind", True
        return []

    def _next(self, state: str) -> None:
        draft = self._drafts[-1]
        if draft.pieces or draft.opened:
            self._drafts.append(_Draft(state=state))
        else:
            self._drafts[-1] = _Draft(state=state)

    def _text(self, text: str) -> list[ChannelDelta]:
        if not text:
            return []
        draft = self._drafts[-1]
        draft.pieces.append(text)
        if draft.state == "content":
            draft.content += text
            return [self._delta(draft, text)]
        if draft.state in ("before", "role"):
            draft.before += text
            return self._untitled(draft)
        if draft.state == "channel":
            draft.channel_part += text
        else:
            draft.kind_part += text
        return []

    def _untitled(self, draft: _Draft) -> list[ChannelDelta]:
        """Text where a header should be: wait while it may still be one, else show it."""
        if draft.state == "role" or _may_be_header(draft.before):
            return []
        return self._show(draft)

    def _show(self, draft: _Draft) -> list[ChannelDelta]:
        """Turn a header that is none into visible content."""
        text = "".join(draft.pieces)
        draft.state, draft.opened, draft.content = "content", True, text
        draft.before = draft.channel_part = draft.kind_part = ""
        return [self._delta(draft, text)]

    def _abandon(self) -> list[ChannelDelta]:
        draft = self._drafts[-1]
        if draft.state == "content" or not draft.pieces:
            return []
        if draft.state == "role" and draft.before.strip() == "assistant":
            return []
        return self._show(draft)

    def _open(self, draft: _Draft) -> None:
        """`<|message|>`: read the header's parts, whatever shape they have."""
        draft.state, draft.opened = "content", True
        header = f"{draft.before} {draft.channel_part}"
        found = RECIPIENT.search(header) or RECIPIENT.search(draft.kind_part)
        draft.recipient = found[1] if found else None
        words = RECIPIENT.sub(" ", draft.channel_part).split()
        draft.channel = words[0] if words else ("commentary" if draft.recipient else "final")
        kinds = RECIPIENT.sub(" ", draft.kind_part).split() or words[1:]
        kinds = kinds or RECIPIENT.sub(" ", draft.before.replace("assistant", " ")).split()
        draft.kind = ("<|constrain|>" if draft.constrained else "") + " ".join(kinds) or None

    def _delta(self, draft: _Draft, text: str) -> ChannelDelta:
        return ChannelDelta(draft.channel, text, len(self._drafts) - 1, draft.recipient)

    @property
    def text(self) -> str:
        """All text of the stream, headers included, in order."""
        return "".join(piece for draft in self._drafts for piece in draft.pieces)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages so far, the unfinished one included."""
        return tuple(
            Message("assistant", d.content, d.channel, d.recipient, d.kind)
            for d in self._drafts
            if d.opened
        )

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Messages with a recipient, as calls."""
        called = (m for m in self.messages if m.recipient and m.recipient != "all")
        return tuple(_call(m.recipient or "", m.content) for m in called)

    @property
    def analysis(self) -> str:
        return self._joined(lambda m: m.channel == "analysis")

    @property
    def commentary(self) -> str:
        return self._joined(lambda m: m.channel == "commentary")

    @property
    def final(self) -> str:
        """Text of `final` and of unknown channels: what was said must be seen."""
        return self._joined(lambda m: m.channel not in ("analysis", "commentary"))

    def _joined(self, wanted: Any) -> str:
        texts = (m.content for m in self.messages if not m.recipient and wanted(m))
        return "\n\n".join(filter(None, texts))


def _may_be_header(text: str) -> bool:
    """True while `text` may still grow into `assistant to=NAME KIND` before a special token."""
    stripped = text.lstrip()
    rest = stripped.removeprefix("assistant").lstrip()
    return "assistant".startswith(stripped) or "to=".startswith(rest) or bool(TARGET.match(rest))


def _call(recipient: str, raw: str) -> ToolCall:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    name = recipient.removeprefix("functions.")
    return ToolCall(name, value if isinstance(value, dict) else None, raw)


def parse(tokens: Iterable[int], codec: HarmonyCodec) -> tuple[Message, ...]:
    """The messages of a whole completion."""
    parser = HarmonyParser(codec)
    for token in tokens:
        parser.feed(token)
    parser.close()
    return parser.messages
