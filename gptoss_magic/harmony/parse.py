"""A tolerant, incremental parser of what the assistant writes.

It never raises, and no text is lost: what is no header stands in a message's content, whatever is
missing around it. `parser.text`, headers and contents in order, equals the decoded ordinary tokens
of the stream; special tokens carry no text of their own.

The states, and the special tokens that lead from one to the other:

    header   -- <|message|> --> content      -- any end --> header (a message without <|message|>)
    content  -- any end, <|start|>, <|channel|> --> header

`repairs` says what had to be guessed on the way; well-formed streams have none.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from gptoss_magic.harmony.channel_names import ANALYSIS, COMMENTARY, FINAL
from gptoss_magic.harmony.drafts import Draft, called, settled_channels
from gptoss_magic.harmony.header import ASSISTANT, Header, HeaderPart, read_header
from gptoss_magic.records import ChannelDelta, Message, ToolCall
from gptoss_magic.vocabulary import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gptoss_magic.harmony.codec import HarmonyCodec

IN_HEADER = -1
MAX_HEADER_TEXT = 100  # characters that are no header's; behind them nobody waits for <|message|>
BARE = "text without a header"
ENDS = ("end", "return", "call")
WORDS = "|".join((ASSISTANT, *CHANNELS))
KIND = re.compile(r"[a-z]*\s*")
OPENED = re.compile(rf"\s*(?:(?:{WORDS})\s*|to=\S+\s+)*")


class HarmonyParser:
    """Feed it the tokens that follow `<|start|>assistant`, one at a time.

    Deltas come in order and their texts are the messages' contents. A delta's channel is the
    message's, but for a message whose channel could not be read: its deltas are `final` until a
    right final or a call comes, and `commentary` from there on, while `messages` then have all of
    them as `commentary`. A header that lacks its `<|message|>` is told when the message ends, or
    when more than 100 characters of text stand in it.

    `places`: for each token the index of the message whose content it is, or -1 in a header.
    """

    def __init__(self, codec: HarmonyCodec) -> None:
        self.codec = codec
        self.raw_tokens: list[int] = []
        self.places: list[int] = []
        self.drafts: list[Draft] = []
        self._names = {token: name for name, token in codec.special.items()}
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._texts: list[str] = []
        self._repairs: list[str] = []
        self._parts = [HeaderPart("opening")]  # of the header that is read; none in a content

    def feed(self, token: int) -> list[ChannelDelta]:
        """Take one token; the deltas it completes (none within a header)."""
        name = self._names.get(token)
        deltas = [] if name is None else self._flush()
        self.raw_tokens.append(token)
        self.places.append(IN_HEADER if name or self._parts else len(self.drafts) - 1)
        if name is not None:
            return deltas + self._special(name)
        return self._text(self._utf8.decode(self.codec.token_bytes(token)))

    def close(self) -> list[ChannelDelta]:
        """End of the stream: broken UTF-8 and a header left open become visible text."""
        deltas = self._flush()
        return deltas + (self._untitled(is_cut=True) if self._parts else [])

    def _flush(self) -> list[ChannelDelta]:
        deltas = self._text(self._utf8.decode(b"", final=True))
        self._utf8.reset()
        return deltas

    def _special(self, name: str) -> list[ChannelDelta]:
        if name in ENDS or name == "start":
            return self._end(name)
        if not self._parts:
            return self._special_in_content(name)
        if name == "message":
            return self._message()
        deltas = self._split() if name == "channel" else []
        self._parts.append(HeaderPart(name))
        return deltas

    def _special_in_content(self, name: str) -> list[ChannelDelta]:
        if name == "channel":
            self._unended()
            self._parts = [HeaderPart("within"), HeaderPart("channel")]
        elif name == "message" and self.drafts[-1].is_bare:
            header = read_header(
                [HeaderPart("opening", [(0, self.drafts[-1].content)])], titled=True
            )
            self._repairs.append("text before a header's words")
            return self._shown(header)
        else:
            self._repairs.append(f"<|{name}|> within a text")
        return []

    def _end(self, name: str) -> list[ChannelDelta]:
        """An end, or `<|start|>`: what follows is a header."""
        deltas: list[ChannelDelta] = []
        if self._parts:
            if len(self._parts) == 1 and not self._parts[0].text and name in ENDS:
                self._repairs.append(f"<|{name}|> between messages")
            deltas = self._untitled()
        elif name == "start":
            self._unended()
        self._parts = [HeaderPart("role" if name == "start" else "before")]
        return deltas

    def _unended(self) -> None:
        """A message goes over into a header; text that has none itself is told already."""
        if self._repairs[-1:] != [BARE]:
            self._repairs.append("a message without its end")

    def _message(self) -> list[ChannelDelta]:
        """`<|message|>`: the header is whole, or its channel's name comes behind it."""
        header = read_header(self._parts, titled=True)
        last = self._parts[-1]
        if last.kind == "channel" and not last.text.strip() and not header.channel:
            self._repairs.append("<|message|> before the channel's name")
            return []
        if self._parts[0].kind == "before":
            self._repairs.append("no <|start|> before a header")
        if not (header.channel or header.repairs or header.early or header.rest):
            header.repairs.append("a header without a channel")
        self._repairs += header.repairs
        deltas = self._strays(header, header.early_tokens, header.early, COMMENTARY)
        if header.rest.lstrip().startswith(("{", "[")):  # JSON that begins before <|message|>
            self._repairs.append("a text that begins in its header")
            return deltas + self._shown(header, header.rest_tokens, header.rest)
        beside = ANALYSIS if header.channel == ANALYSIS else COMMENTARY
        deltas += self._strays(header, header.rest_tokens, header.rest, beside)
        return deltas + self._shown(header)

    def _strays(
        self, header: Header, tokens: Sequence[int], text: str, channel: str
    ) -> list[ChannelDelta]:
        """Text between a header's words, as a message of its own before the header's."""
        if not text:
            return []
        self._repairs.append(f"text in a header: {text.strip()!r}")
        return self._shown(Header(header.role, channel), tokens, text)

    def _split(self) -> list[ChannelDelta]:
        """Before a second `<|channel|>`: text behind the first one is a message's."""
        header = read_header(self._parts, titled=False)
        if header.recipient or not header.rest:
            return []
        deltas = self._untitled()
        self._parts = [HeaderPart("opening")]
        return deltas

    def _untitled(self, *, is_cut: bool = False) -> list[ChannelDelta]:
        """End a header that has no `<|message|>`: what stands behind its words is the text.

        `is_cut`: the stream ends here, so that words alone (a type's, cut in the middle, too) are
        a header that nothing came of, and no fault.
        """
        parts, self._parts = self._parts, [HeaderPart("before")]
        header = read_header(parts, titled=False)
        if len(parts) == 1:
            header.rest, header.rest_tokens = header.early, header.early_tokens
            header.early = ""
        deltas = self._strays(header, header.early_tokens, header.early, COMMENTARY)
        is_kind = header.rest.isalpha() and (header.recipient or parts[-1].kind == "constrain")
        if is_cut and (is_kind or not header.rest):
            return deltas
        if parts[0].kind == "within" and header.rest == "".join(part.text for part in parts):
            return self._shown(None, header.rest_tokens, header.rest)
        self._repairs += header.repairs
        if header.rest or header.recipient:
            has_words = header.channel or len(parts) > 1
            self._repairs.append("a header without <|message|>" if has_words else BARE)
            deltas += self._shown(header, header.rest_tokens, header.rest)
            self.drafts[-1].is_bare = not has_words
            return deltas
        if len(parts) > 1:
            self._repairs.append("a header without a message")
        return deltas

    def _shown(
        self, header: Header | None, tokens: Sequence[int] = (), text: str = ""
    ) -> list[ChannelDelta]:
        """A new message (None: the last one goes on) with `text`, `tokens` of what was a header."""
        if header is not None:
            self.drafts.append(Draft(header))
        self._parts = []
        for index in tokens:
            self.places[index] = len(self.drafts) - 1
        return self._content(text) if text else []

    def _text(self, text: str) -> list[ChannelDelta]:
        if text:
            self._texts.append(text)
        if not self._parts:
            return self._content(text) if text else []
        self._parts[-1].pieces.append((len(self.raw_tokens) - 1, text))
        return self._untitled() if text and self._is_no_header() else []

    def _is_no_header(self) -> bool:
        """True where nobody waits for `<|message|>` any more."""
        text = self._parts[-1].text
        if len(self._parts) == 1 and self._parts[0].kind != "role":
            return not _may_open(text)
        if sum(len(part.text) for part in self._parts) <= MAX_HEADER_TEXT:
            return False
        header = read_header(self._parts, titled=False)
        return len(header.early + header.rest) > MAX_HEADER_TEXT

    def _content(self, text: str) -> list[ChannelDelta]:
        draft, index = self.drafts[-1], len(self.drafts) - 1
        draft.pieces.append(text)
        channel = draft.header.channel or settled_channels(self.drafts)[-1]
        return [ChannelDelta(channel, text, index, draft.header.recipient)]

    @property
    def text(self) -> str:
        """All text of the stream, headers included, in order."""
        return "".join(self._texts)

    @property
    def repairs(self) -> tuple[str, ...]:
        """What had to be guessed of the headers, in order, one line each."""
        return tuple(self._repairs)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages so far, the unfinished one included."""
        return tuple(
            Message(ASSISTANT, d.content, channel, d.header.recipient, d.header.content_type)
            for d, channel in zip(self.drafts, settled_channels(self.drafts), strict=True)
        )

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Messages with a recipient, as calls."""
        return tuple(called(m.recipient, m.content) for m in self.messages if m.recipient)

    @property
    def analysis(self) -> str:
        return self._joined(ANALYSIS)

    @property
    def commentary(self) -> str:
        return self._joined(COMMENTARY)

    @property
    def final(self) -> str:
        """The answer: `final`, or what could not be read where there is neither it nor a call."""
        return self._joined(FINAL)

    def _joined(self, channel: str) -> str:
        said = (m for m in self.messages if m.channel == channel and not m.recipient)
        return "\n\n".join(message.content for message in said if message.content)


def _may_open(text: str) -> bool:
    """True while `text` may still grow into a header's words before its first special token."""
    rest = OPENED.sub("", text, count=1)
    is_begun = any(word.startswith(rest) for word in (ASSISTANT, "to=", *CHANNELS))
    return (
        is_begun or rest.startswith("to=") or ("to=" in text and KIND.fullmatch(rest) is not None)
    )


def parse(tokens: Iterable[int], codec: HarmonyCodec) -> tuple[Message, ...]:
    """The messages of a whole completion."""
    return parsed(tokens, codec).messages


def parsed(tokens: Iterable[int], codec: HarmonyCodec) -> HarmonyParser:
    """A parser that has read all of `tokens`."""
    parser = HarmonyParser(codec)
    for token in tokens:
        parser.feed(token)
    parser.close()
    return parser
