"""Signals of a persona: words of the user that call an overlay, tools, adapters or an effort.

A persona is untrusted, so a signal names things and brings none, and what it is heard by is no
regular expression: words as they stand, each with one `*` at most for the rest of the word. They
are heard in what the user typed alone, never in what was put into it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.stems import UNSPACED
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line
from gptoss_magic.vocabulary import EFFORTS, check_known

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST, MOST_WORDS, MOST_CHARS = 50, 6, 80
MARKS = ".,;:!?…\"'«»„“”()[]{}،؛؟۔、。，：；！？「」『』"
GIVE = "give overlay:, tools:, adapters: or effort:"


@dataclass(frozen=True)
class Signal:
    """What is heard (`hears`: any of these) and what it calls for the turn; () and '' call nothing.

    `overlay`: names of personas that are laid on top. `tools` come beside those of the persona.
    """

    hears: tuple[str, ...]
    overlay: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    effort: str = ""

    @property
    def words(self) -> str:
        """What it calls: `effort high, overlay terse`."""
        called = {name: getattr(self, name) for name in CALLED}
        return ", ".join(
            f"{name} {value if isinstance(value, str) else '+'.join(value)}"
            for name, value in called.items()
            if value
        )


CALLED = tuple(one.name for one in fields(Signal) if one.name != "hears")


@dataclass(frozen=True)
class Heard:
    """A signal that was heard, by which of its words."""

    signal: Signal
    by: str

    @property
    def words(self) -> str:
        """For the transcript and the record."""
        return f"{self.by}: {self.signal.words}"


def read_signals(value: Any, label: str) -> tuple[Signal, ...]:
    """Signals of a persona's front matter: a list with `hears:` each, or words to what they call.

    Raises InputError.
    """
    if value is None:
        return ()
    if isinstance(value, dict):
        value = [
            {"hears": words, **one} if isinstance(one, dict) else one
            for words, one in value.items()
        ]
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{label}: write a list: - hears: words, and below it effort: high")
    if len(value) > MOST:
        raise InputError(f"{label}: {len(value)} of them; give {MOST} at most")
    return tuple(_signal(one, label) for one in value)


def signals_record(signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """The same as YAML has it."""
    return [
        {name: list(v) if isinstance(v, tuple) else v for name, v in vars(one).items() if v}
        for one in signals
    ]


def heard(signals: Sequence[Signal], text: str) -> list[Heard]:
    """The signals that stand in the user's text, in their order; each once."""
    plain = _plain(text)
    said = [_forms(word) for word in plain.split()]
    found = []
    for signal in signals:
        by = next((words for words in signal.hears if _stands_in(words, said, plain)), None)
        if by is not None:
            found.append(Heard(signal, by))
    return found


def with_word(prompt: str, word: str, number: int) -> str:
    """The prompt with a word in front of it, or behind it, in turn."""
    return f"{prompt} {word}" if number % 2 else f"{word} {prompt}"


def without_word(prompt: str, word: str) -> str:
    """The same without it."""
    return prompt.removeprefix(f"{word} ").removesuffix(f" {word}").strip()


def _signal(said: dict[Any, Any], label: str) -> Signal:
    check_known(f"{label}: key", map(str, said), ("hears", *CALLED))
    hears = _names(said.get("hears"), f"{label}: hears")
    if not hears:
        raise InputError(f"{label}: hears: give the words that it is heard by")
    label = f"{label}: {one_line(hears[0], 40)}"
    for words in hears:
        _check_words(words, label)
    keys = ("overlay", "tools", "adapters")
    names = {key: _names(said.get(key), f"{label}: {key}") for key in keys}
    effort = said.get("effort") or ""
    if effort and effort not in EFFORTS:
        raise InputError(f"{label}: effort: give {', '.join(EFFORTS)}")
    if not effort and not any(names.values()):
        raise InputError(f"{label}: it calls nothing; {GIVE}")
    return Signal(hears, **names, effort=effort)


def _names(value: Any, label: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, str) and one.strip() for one in listed):
        raise InputError(f"{label}: give a text, or a list of texts")
    return tuple(dict.fromkeys(" ".join(one.split()) for one in listed))


def _check_words(text: str, label: str) -> None:
    words = text.split()
    if len(words) > MOST_WORDS or len(text) > MOST_CHARS:
        raise InputError(f"{label}: give {MOST_WORDS} words and {MOST_CHARS} characters at most")
    for word in words:
        if word.count("*") > 1 or len(word.replace("*", "")) < 2:  # noqa: PLR2004 (one hears all)
            raise InputError(
                f"{label}: {one_line(word, 40)}: give two letters or more, and one * at most"
            )


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _forms(word: str) -> tuple[str, ...]:
    """A word of the text as it stands, and without the marks around it."""
    return word, word.strip(MARKS), word.rstrip(MARKS), word.lstrip(MARKS)


def _stands_in(words: str, said: Sequence[tuple[str, ...]], text: str) -> bool:
    wanted = _plain(words).split()
    if UNSPACED.search(words):
        return _letters_in([part for word in wanted for part in word.split("*")], text)
    return any(
        all(_is_word(one, said[start + n]) for n, one in enumerate(wanted))
        for start in range(len(said) - len(wanted) + 1)
    )


def _letters_in(parts: Sequence[str], text: str) -> bool:
    """True where they stand in this order: without blanks no words can be told apart."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _is_word(wanted: str, forms: tuple[str, ...]) -> bool:
    head, star, tail = wanted.partition("*")
    if not star:
        return wanted in forms
    least = len(head) + len(tail)
    return any(len(one) >= least and one.startswith(head) and one.endswith(tail) for one in forms)
