"""A message's header, read part by part; text that is no part of a header is told apart from it.

A header is a run of parts: one behind `<|start|>` (or behind another message's end), and one
behind each `<|channel|>` and `<|constrain|>`. A part is read by itself, so that what stands in two
parts is never one word. Where a word ends is known from the tokens too: `final` + `It` are two
tokens, `finally` is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from gptoss_magic.harmony.channel_names import CLOSE, COMMENTARY, nearest
from gptoss_magic.records.messages import FUNCTIONS, NATIVE_SPACES
from gptoss_magic.vocabulary import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

ASSISTANT = "assistant"
OTHER_ROLES = ("system", "developer", "user", "tool")
TOOL_ROLES = (FUNCTIONS, *(f"{space}." for space in NATIVE_SPACES), *NATIVE_SPACES)
AUDIENCE = frozenset(("all", ASSISTANT, *OTHER_ROLES))  # they are spoken to, but are no tools

GONE = "\ud800"  # stands where a header's word was; no decoded text has a lone surrogate
SKIPPED = re.compile(rf"[\s{GONE}]*")
WORD = re.compile(rf"[^\s{GONE}]+")
NAME = re.compile("|".join(CHANNELS), re.IGNORECASE)
MARKS = re.compile(rf"[?!.,:;]+(?=\s|$|{NAME.pattern})")
RECIPIENT = re.compile(
    r"(?:(?:to\s*)+=[=\s]*|(?:to)?\s*=?\s*(?=functions\.))([^\s{}\[\]()<>\"',;\ud800]+)"
)
NOBODY = re.compile(r"to\s*=\s*$")
KIND = re.compile(r"(?:json|code|text|markdown|xml|yaml|python)(?=\W|$)")
CALLED_KIND = re.compile(r"(?:json|code)(?![a-z])")
TOLD_KIND = re.compile(rf"[^\s{GONE}{{\[\"]+")
ANY_KIND = re.compile(r"[a-z][\w/+.-]*(?=\s*$)")
GLUED = re.compile(rf"(?<=[^\W_])(?:{NAME.pattern})$")
LEAKED = re.compile(rf"\s*(?:to=|(?:{ASSISTANT})+\s*(?:to=|$|{NAME.pattern}))")


@dataclass
class HeaderPart:
    """The text behind one special token.

    `kind` is 'opening' (the stream's begin), 'before' (behind a message's end), 'within' (behind a
    message without its end), 'role', 'channel' or 'constrain'. `pieces`: each token's index in the
    stream, and its text.
    """

    kind: str
    pieces: list[tuple[int, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)


@dataclass
class Header:
    """What a header says. `channel` is empty where it could not be read.

    `early` and `rest` are text that is no header's: before the first `<|channel|>`, and behind it;
    `early_tokens`, `rest_tokens`: its tokens' indices. `repairs`: what had to be guessed.
    """

    role: str = ASSISTANT
    channel: str = ""
    recipient: str | None = None
    content_type: str | None = None
    early: str = ""
    rest: str = ""
    early_tokens: list[int] = field(default_factory=list)
    rest_tokens: list[int] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)


def read_header(parts: Sequence[HeaderPart], *, titled: bool) -> Header:
    """Read `parts`. `titled`: `<|message|>` followed, so that all of it should be header; else
    only its beginning is, and the message's text follows in it.
    """
    header = Header()
    num_channels = sum(part.kind == "channel" for part in parts)
    for part in parts:
        reader = _PartReader(header, part, titled=titled, follows=titled or len(parts) > 1)
        reader.may_name = part.kind == "channel" or not num_channels
        reader.read()
    if num_channels > 1:
        header.repairs.append("doubled <|channel|>")
    _settle(header)
    return header


def _settle(header: Header) -> None:
    """What only the whole header can say."""
    recipient = header.recipient or ""
    glued = None if header.channel else GLUED.search(recipient)
    if glued:
        header.channel, recipient = glued[0], recipient[: glued.start()]
        header.repairs.append(f"no <|channel|> between to={recipient} and {glued[0]}")
    recipient = recipient.strip(".:?!")
    if recipient in AUDIENCE:
        header.repairs.append(f"to={recipient} is no tool")
        recipient = ""
    header.recipient = recipient or None
    if header.recipient and not header.channel:
        header.channel = COMMENTARY
    if header.role in OTHER_ROLES or header.role.startswith(TOOL_ROLES):
        header.channel = COMMENTARY  # not the assistant's own words, whatever channel they claim


class _PartReader:
    """Takes a header's words out of one part; what is left is text."""

    def __init__(self, header: Header, part: HeaderPart, *, titled: bool, follows: bool) -> None:
        self.header, self.part, self.left = header, part, part.text
        self.titled, self.follows = titled, follows
        self.may_name = True  # a channel, anywhere in it
        self.channel = ""
        self.edges = {0}  # where tokens begin and end
        end = 0
        for _, text in part.pieces:
            end += len(text)
            self.edges.add(end)

    def read(self) -> None:
        if self.part.kind == "role":
            self._read_role()
        is_begun = self.follows or self.part.kind == "role"
        if is_begun or LEAKED.match(self.left):
            self._read_words()
        if self._has_text() and self.titled:
            self._search()
        elif self._has_text() and self.part.kind == "channel" and not self.channel:
            self._guess()
        if self.channel:
            self.header.channel = self.channel
        if self._has_text():
            self._leave()

    def _read_role(self) -> None:
        """The first word behind `<|start|>`, if it is a role."""
        word = WORD.search(self.left)
        if word is None or word[0].startswith("to=") or NAME.match(word[0]):
            if self.follows:
                self._repair("no role behind <|start|>")
            return
        start, at = word.start(), word[0].find(ASSISTANT)
        role = GLUED.sub("", word[0])
        if at >= 0:
            self._drop(start + at, start + at + len(ASSISTANT))
        elif get_close_matches(role.casefold(), [ASSISTANT], 1, CLOSE):
            self._drop(start, start + len(role))
            self._repair(f"role {role!r} read as {ASSISTANT}")
        elif self.follows:
            self._drop(*word.span())
            self.header.role = word[0]
            self._repair(f"role {word[0]!r} in place of {ASSISTANT}")

    def _read_words(self) -> None:
        """The header's words from the part's begin on, as long as one follows another."""
        at = _skipped(self.left, 0)
        while end := self._word(at):
            self._drop(at, end)
            at = _skipped(self.left, end)
        if GONE in self.left[:at]:
            self._drop(0, at)  # the space behind a header's word is its own

    def _word(self, at: int) -> int:
        """Where the header's word ends that begins at `at`; 0 where none does."""
        if self.left.startswith(ASSISTANT, at) and at + len(ASSISTANT) in self.edges:
            return at + len(ASSISTANT)
        return self._recipient(at) or self._name(at) or self._kind(at)

    def _recipient(self, at: int) -> int:
        nobody = NOBODY.match(self.left, at)
        if nobody:
            self._repair("to= without a name")
            return nobody.end()
        match = RECIPIENT.match(self.left, at)
        if match is None or (self.left[at] == "=" and self.part.kind != "channel"):
            return 0
        self._take_recipient(match)
        return match.end()

    def _take_recipient(self, match: re.Match[str]) -> None:
        known = self.header.recipient
        if known is None or known in AUDIENCE:
            self.header.recipient = match[1]
        if known is not None:
            self._repair(f"a second recipient, {match[1]}")

    def _name(self, at: int) -> int:
        """A channel's name, with marks behind it that are none of its letters."""
        match = NAME.match(self.left, at)
        if match is None or match.end() not in self.edges:
            return 0
        name = match[0].casefold()
        if self.channel and not self.titled and name != self.channel:
            return 0  # the text begins with another channel's name
        if self.part.kind == "constrain" and self.header.channel:
            return 0
        marks = MARKS.match(self.left, match.end())
        end = marks.end() if marks else match.end()
        if self.left[at:end] != name:
            self._repair(f"channel {self.left[at:end]!r} read as {name}")
        if self.channel not in ("", name):
            self._repair(f"channel {self.channel} and {name} in one header")
        self.channel = name
        return end

    def _kind(self, at: int) -> int:
        """The content's type: any word behind `<|constrain|>`, or one that is known for it."""
        if self.header.content_type:
            return 0
        if self.part.kind == "constrain":
            match = (TOLD_KIND if self.titled else KIND).match(self.left, at)
        elif self.header.recipient:
            match = CALLED_KIND.match(self.left, at)
            match = match or (ANY_KIND.match(self.left, at) if self.titled else None)
        else:
            match = KIND.match(self.left, at) if self.titled else None
        if match is None:
            return 0
        mark = "<|constrain|>" if self.part.kind == "constrain" else ""
        self.header.content_type = mark + match[0]
        return match.end()

    def _search(self) -> None:
        """Header words among other text, which `<|message|>` says is all header."""
        if self.header.recipient is None and (match := RECIPIENT.search(self.left)):
            self._take_recipient(match)
            self._drop(*match.span())
        if self.part.kind != "constrain" and not self.channel and self.may_name:
            self._search_channel()

    def _search_channel(self) -> None:
        words = list(WORD.finditer(self.left))
        exact = [word for word in words if _letters(word[0]) in CHANNELS]
        inside = [name for name in NAME.finditer(self.left) if {*name.span()} & self.edges]
        shortest = 1 if len(words) == 1 else 3
        near = [word for word in words if nearest(word[0], shortest)]
        match = next(iter([*exact, *inside, *([] if self.header.channel else near)]), None)
        if match is None:
            return
        self.channel = nearest(match[0], shortest)
        self._repair(f"channel {self.left.strip()!r} read as {self.channel}")
        self._drop(*match.span())

    def _guess(self) -> None:
        """The channel of a part with the text in it; only a word that stands alone is dropped."""
        words = list(WORD.finditer(self.left))
        is_alone = len(words) == 1
        self.channel = nearest(words[0][0], 1 if is_alone else 3)
        if self.channel:
            self._repair(f"channel {words[0][0]!r} read as {self.channel}")
        if self.channel and is_alone:
            self._drop(*words[0].span())

    def _leave(self) -> None:
        """What is left goes to the header as text, with its tokens."""
        tokens, at = [], 0
        for index, text in self.part.pieces:
            if self.left[at : at + max(1, len(text))].strip(GONE):
                tokens.append(index)
            at += len(text)
        text = self.left.replace(GONE, "")
        if self.part.kind in ("channel", "constrain"):
            self.header.rest += text
            self.header.rest_tokens += tokens
        else:
            self.header.early += text
            self.header.early_tokens += tokens

    def _has_text(self) -> bool:
        return WORD.search(self.left) is not None

    def _drop(self, start: int, end: int) -> None:
        self.left = self.left[:start] + GONE * (end - start) + self.left[end:]

    def _repair(self, words: str) -> None:
        self.header.repairs.append(words)


def _skipped(text: str, at: int) -> int:
    match = SKIPPED.match(text, at)
    return match.end() if match else at


def _letters(word: str) -> str:
    return "".join(filter(str.isalpha, word.casefold()))
