"""Malformed harmony: well-formed completions with tokens dropped, doubled, swapped, text inserted.

Each token knows where it comes from, so that a test can say which message's channel the tokens
still decide, without asking the parser.
"""

import json
from dataclasses import dataclass, field, replace

from gptoss_magic.harmony import HarmonyParser

TREES = ("oak", "elm", "yew", "ash", "fir", "larch", "birch", "maple")
TOOLS = ("get_time", "web-browsing", "f", "lookup_order")
SPACES = ("", " ", "\n", "\n\n")


@dataclass(frozen=True)
class Piece:
    """One token of a stream. `message`: of the original; -1: inserted. `part` of the message:
    'start', 'role', 'channel', 'name', 'to', 'constrain', 'kind', 'message', 'content', 'end'.
    """

    token: int
    message: int
    part: str
    index: int = 0  # within its part
    moved: bool = False  # by a swap: nobody can say where it belongs


@dataclass
class Completion:
    """A well-formed completion; `channels` and `tools` by message ('' where it is no call)."""

    pieces: list[Piece] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)


class Writer:
    """Writes completions with `draw` (random.Random); all words in the texts are different."""

    def __init__(self, codec, draw):
        self.codec, self.draw, self.num_words = codec, draw, 0

    def words(self, most):
        return " ".join(self._word() for _ in range(self.draw.randint(1, most)))

    def _word(self):
        self.num_words += 1
        return f"{self.draw.choice(TREES)}{self.num_words}x"

    def completion(self):
        made = Completion()
        kinds = self.draw.choice(
            ["af", "f", "acf", "aacf", "at", "act", "t", "tt", "aaf", "cf", "atf"]
        )
        for number, kind in enumerate(kinds):
            self._message(made, kind, number)
        return made

    def _message(self, made, kind, number):
        draw, special = self.draw, self.codec.special
        tool = draw.choice(TOOLS) if kind == "t" else ""
        channel = {"a": "analysis", "c": "commentary", "f": "final", "t": "commentary"}[kind]
        header = [] if number == 0 else [("start", special["start"]), ("role", "assistant")]
        early = bool(tool) and draw.random() < 0.5
        to = [("to", f" to=functions.{tool}")] if tool else []
        header += to if early else []
        header += [("channel", special["channel"]), ("name", channel)]
        header += [] if early else to
        if tool and draw.random() < 0.7:
            header += [("space", " "), ("constrain", special["constrain"]), ("kind", "json")]
        text = json.dumps({"q": self.words(3)}) if tool else self._text()
        end = special["call" if tool else "end"]
        body = [("message", special["message"]), ("content", text), ("end", end)]
        for part, value in [*header, *body]:
            tokens = [value] if isinstance(value, int) else self.codec.encode(value)
            made.pieces += [Piece(t, number, part, n) for n, t in enumerate(tokens)]
        made.channels.append(channel)
        made.tools.append(tool)

    def _text(self):
        return self.words(12).capitalize() + self.draw.choice([".", "?", "", ". 🙂", "\n"])

    def mutated(self, pieces, num_changes):
        """A copy with `num_changes` changes, two thirds of them at a header's token."""
        pieces = list(pieces)
        for _ in range(num_changes):
            headers = [n for n, p in enumerate(pieces) if p.part not in ("content", "inserted")]
            near = headers if self.draw.random() < 2 / 3 else range(len(pieces))
            self._change(pieces, self.draw.choice(near) if near else 0)
        return pieces

    def _change(self, pieces, at):
        kind = self.draw.choice(("drop", "double", "swap", "insert"))
        if kind == "drop" and len(pieces) > 1:
            del pieces[at]
        elif kind == "double":
            pieces.insert(at, pieces[at])
        elif kind == "swap":
            other = min(at + 1, len(pieces) - 1)
            pieces[at], pieces[other] = (replace(pieces[n], moved=True) for n in (other, at))
        else:
            text = self.draw.choice(["", " "]) + self.words(2) + self.draw.choice(["", " "])
            tokens = self.codec.encode(self.draw.choice([text, text, self.draw.choice(SPACES)]))
            pieces[at:at] = [Piece(t, -1, "inserted") for t in tokens]


def texts_of(pieces, number):
    """Where the text of the message `number` stands, without what a swap moved."""
    return [
        n
        for n, p in enumerate(pieces)
        if (p.message, p.part) == (number, "content") and not p.moved
    ]


def decided(completion, pieces, number, codec):
    """True where the tokens still say the channel of the message `number`.

    Its name stands whole, in a header: behind the earlier messages' text with a special token
    between, and behind its `<|channel|>` or before a `<|message|>`; its text follows, and nothing
    of another message stands between.
    """
    special = set(codec.special.values())
    name = [p for p in completion.pieces if (p.message, p.part) == (number, "name")]
    texts = texts_of(pieces, number)
    tokens = [piece.token for piece in name]
    places = [
        n
        for n, p in enumerate(pieces)
        if (p.message, p.part, p.index) == (number, "name", 0)
        if [q.token for q in pieces[n : n + len(name)]] == tokens
    ]
    if not texts or len(places) == 0:
        return False
    first, last = places[0], places[-1] + len(name)
    own = [n for n, p in enumerate(pieces) if p.message == number]
    if last > texts[0] or any(p.message not in (number, -1) for p in pieces[own[0] : own[-1] + 1]):
        return False
    before = next((n for n in range(first - 1, -1, -1) if pieces[n].part == "content"), -1)
    is_header = before < 0 or any(pieces[n].token in special for n in range(before + 1, first))
    opens = any(
        pieces[n].token == codec.special["channel"] and pieces[n].message == number
        for n in range(before + 1, first)
    )
    titled = any(
        pieces[n].token == codec.special["message"] and pieces[n].message == number
        for n in range(last, texts[0])
    )
    return is_header and (opens or titled)


def parsed(tokens, codec):
    """(parser, deltas) of a whole stream."""
    parser = HarmonyParser(codec)
    deltas = [delta for token in tokens for delta in parser.feed(token)]
    return parser, deltas + parser.close()
