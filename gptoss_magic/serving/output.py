"""What an answer says as it comes, item by item: thoughts, words to the user, calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gptoss_magic.harmony.exact import with_ids
from gptoss_magic.records import ChannelDelta, Message, Turn, function_name
from gptoss_magic.serving.exact import sealed
from gptoss_magic.serving.ledger import new_id
from gptoss_magic.turns.stop_text import StopText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import TokenDelta
    from gptoss_magic.serving.offers import Offered, Offers

PREFIXES = {"reasoning": "rs_", "message": "msg_", "call": "fc_"}


@dataclass
class OutputItem:
    """One message of the answer. `kind` is 'reasoning', 'message' or 'call'.

    `tokens`: those of its text, with what was told of them. `ids`: all of it in exact tokens,
    where they say it alone, once it is over. `tool`: what a call means, `call_id` its name.
    """

    kind: str
    index: int
    message: int
    channel: str
    id: str
    call_id: str = ""
    tool: Offered | None = None
    text: str = ""
    tokens: list[TokenDelta] = field(default_factory=list)
    ids: tuple[int, ...] = ()

    @property
    def sealed(self) -> str | None:
        """For the caller to send back."""
        return sealed(self.ids) if self.ids else None


@dataclass(frozen=True)
class OutputEvent:
    """`kind` is 'opened', 'text' (with `text`) or 'closed'; `tokens` are those behind the text."""

    kind: str
    item: OutputItem
    text: str = ""
    tokens: tuple[TokenDelta, ...] = ()


class Output:
    """Gathers tokens and texts into items. `stop`: strings that end a word to the user.

    `is_stopped`: one of them came; nothing is told from there on. `finish`: how the answer ended.
    """

    def __init__(self, codec: HarmonyCodec, offers: Offers, stop: tuple[str, ...] = ()) -> None:
        self.codec, self.offers = codec, offers
        self.items: list[OutputItem] = []
        self.finish = ""
        self._opened: OutputItem | None = None
        self._until = StopText(stop)
        self._tokens: list[TokenDelta] = []
        self._message_ids: list[int] = []
        self._start = codec.special["start"]

    @property
    def is_stopped(self) -> bool:
        return self._until.is_over

    @property
    def calls(self) -> list[OutputItem]:
        """Calls, in order."""
        return [item for item in self.items if item.kind == "call"]

    def text(self, kind: str) -> str:
        """What the items of a kind say."""
        return "\n\n".join(item.text for item in self.items if item.kind == kind and item.text)

    def take(self, told: TokenDelta | ChannelDelta | Turn) -> list[OutputEvent]:
        """What comes of a token, a text, or the end."""
        if isinstance(told, Turn):
            return list(self._on_turn(told))
        return list(
            self._on_delta(told) if isinstance(told, ChannelDelta) else self._on_token(told)
        )

    def _on_token(self, token: TokenDelta) -> Iterator[OutputEvent]:
        """One new token, before its texts."""
        self._tokens.append(token)
        if token.token_id == self._start:
            yield from self._close()
            self._message_ids = []
        else:
            self._message_ids.append(token.token_id)

    def _on_delta(self, delta: ChannelDelta) -> Iterator[OutputEvent]:
        """Text that it gave."""
        if self.is_stopped:
            return
        opened = self._opened
        if opened is None or (opened.message, opened.channel) != (delta.message, delta.channel):
            yield from self._close()
            yield self._open(delta)
        yield from self._say(delta.text)

    def _on_turn(self, turn: Turn) -> Iterator[OutputEvent]:
        """The answer is over."""
        for place, message in enumerate(turn.answer.messages):
            if message.recipient and not message.content and not self._has(place):
                yield from self._close()
                yield self._open_call(place, message.channel or "commentary", message.recipient)
        yield from self._close()
        self.finish = "stop" if self.is_stopped else turn.answer.finish

    def _has(self, message: int) -> bool:
        return any(item.message == message for item in self.items)

    def _open(self, delta: ChannelDelta) -> OutputEvent:
        if delta.recipient:
            return self._open_call(delta.message, delta.channel, delta.recipient)
        kind = "reasoning" if delta.channel == "analysis" else "message"
        return self._opened_as(kind, delta.message, delta.channel)

    def _open_call(self, message: int, channel: str, recipient: str) -> OutputEvent:
        """A call; gpt-oss makes those of the browser within its analysis."""
        event = self._opened_as("call", message, channel)
        event.item.tool = self.offers.called(function_name(recipient))
        event.item.call_id = new_id("call_")
        return event

    def _opened_as(self, kind: str, message: int, channel: str) -> OutputEvent:
        item = OutputItem(kind, len(self.items), message, channel, new_id(PREFIXES[kind]))
        self.items.append(item)
        self._opened = item
        self._tokens = self._tokens[-1:]
        return OutputEvent("opened", item)

    def _say(self, text: str) -> Iterator[OutputEvent]:
        assert self._opened is not None
        yield from self._told(self._until.take(text) if self._opened.kind == "message" else text)

    def _told(self, text: str) -> Iterator[OutputEvent]:
        item = self._opened
        assert item is not None
        if not text:
            return  # its tokens are told with the text that is held back
        tokens, self._tokens = tuple(self._tokens), []
        item.text += text
        item.tokens += tokens
        yield OutputEvent("text", item, text, tokens)

    def _close(self) -> Iterator[OutputEvent]:
        item = self._opened
        if item is None:
            return
        if held := self._until.rest():
            yield from self._told(held)
        self._opened = None
        item.ids = self._ids_of(item)
        yield OutputEvent("closed", item)

    def _ids_of(self, item: OutputItem) -> tuple[int, ...]:
        recipient = f"functions.{item.tool.spec.name}" if item.tool else None
        said = Message("assistant", item.text, item.channel, recipient)
        ids = self._message_ids
        header = self.codec.encode("assistant")
        ids = ids[len(header) :] if item.message and ids[: len(header)] == header else ids
        return with_ids([said], ids, self.codec)[0].ids
