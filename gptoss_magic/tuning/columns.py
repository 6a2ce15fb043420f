"""A record's columns: which the field has, and what of a conversation each becomes.

Alpaca (instruction, input, history), Dolly (context), TRL (prompt, completion), ShareGPT
(conversations), OpenAI (messages), rendered harmony (text). All become a list of messages; what
is in no list here is named as not read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from gptoss_magic.errors import InputError
from gptoss_magic.textfiles import BYTE_ORDER_MARK
from gptoss_magic.tuning.marks import MASKED, TRAINED, yes_or_no
from gptoss_magic.tuning.values import is_empty, list_of, present, text_of
from gptoss_magic.tuning.written import harmony_messages, is_harmony

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.tuning.notes import RowNotes

TALKS = ("messages", "conversations", "conversation")
ANSWERS = ("completion", "answer", "response", "output", "final", "assistant")
PROMPTS = ("prompt", "question", "instruction", "user", "query", "human")
SOURCES = ("input", "context", "passage", "document")  # behind the prompt
THOUGHTS = (
    *("analysis", "thinking", "reasoning_content", "reasoning", "thought", "chain_of_thought"),
    *("cot", "complex_cot", "rationale"),
)
SYSTEMS = ("system", "system_prompt", "system_message", "developer")
TOOLS = ("tools", "functions")
EFFORTS = ("effort", "reasoning_effort")
UNSEEN = ("image", "images", "audio", "audios", "video", "videos")  # of these nothing is trained


class Columns:
    """One record's columns by their plain names; what is taken is noted with what it becomes."""

    def __init__(self, record: Mapping[Any, Any], notes: RowNotes) -> None:
        self.notes = notes
        self.names: dict[str, Any] = {}  # plain name → the record's own
        self.values: dict[str, Any] = {}
        for own, value in record.items():
            name = plain_name(own)
            if name in self.values and not is_empty(value) and not is_empty(self.values[name]):
                raise InputError(f"columns {self.names[name]} and {own} are one; rename one")
            if is_empty(self.values.get(name)):
                self.names[name], self.values[name] = own, present(value)
        self._taken: set[str] = set()

    def take(self, name: str, became: str) -> Any:
        """A column's value; None where it is missing."""
        value = self.values.get(name)
        if not is_empty(value):
            self.notes.columns[str(self.names[name])] = became
        self._taken.add(name)
        return value

    def filled(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that hold something."""
        return [name for name in names if not is_empty(self.values.get(name))]

    def one(self, names: Sequence[str], became: str) -> Any:
        """The value of the only one of `names` that is filled, else of the first that is there.

        Raises InputError where two hold different things: which is meant is not known.
        """
        filled = self.filled(names)
        values = [self.values[name] for name in filled]
        if any(value != values[0] for value in values):
            raise InputError(f"{' and '.join(filled)} differ, and each may be {became}; leave one")
        for name in filled:
            self.take(name, became)
        there = filled or [name for name in names if self.values.get(name) is not None]
        return self.values[there[0]] if there else None

    def finish(self) -> None:
        """Note the columns that hold something and were not taken."""
        left = [name for name in self.values if name not in self._taken]
        self.notes.unread += [str(self.names[name]) for name in self.filled(left)]

    def __str__(self) -> str:
        return ", ".join(map(str, self.names.values())) or "nothing"


def plain_name(name: Any) -> str:
    """`complex_cot` for 'Complex-CoT '."""
    plain = normalize("NFKC", str(name)).strip(
        f"{BYTE_ORDER_MARK} \t\r\n"
    )  # full-width letters too
    return re.sub(r"[\s-]+", "_", plain).casefold()


def is_record(names: Any) -> bool:
    """True where these are a row's column names, not prompts of their own."""
    plain = {plain_name(name) for name in names}
    return bool(plain & {*TALKS, "text"}) or bool(
        plain & {*PROMPTS, *SOURCES} and plain & {*ANSWERS}
    )


def messages_of(columns: Columns) -> list[Any]:
    """The record's messages, as objects with role and content, or harmony's own.

    Raises InputError where it has no prompt or no answer, or marks say that it is no row to learn.
    """
    _check_marks(columns)
    talk = columns.filled(TALKS)
    if talk or any(name in columns.values for name in TALKS):
        name = talk[0] if talk else next(name for name in TALKS if name in columns.values)
        if talk or not columns.filled((*PROMPTS, *SOURCES, "text")):
            value = columns.take(name, "messages")
            return list(_turns(list_of(value, name)))
    if is_harmony(str(columns.values.get("text", ""))) and not columns.filled(ANSWERS):
        return list(harmony_messages(columns.take("text", "messages, from rendered harmony")))
    return _pair(columns)


def _check_marks(columns: Columns) -> None:
    """Raise InputError for a row that is marked as not to be learned, or that has pictures."""
    for name in (*TRAINED, *MASKED):
        verdict = yes_or_no(columns.values.get(name))
        if verdict is None:
            continue
        columns.take(name, "whether a row is trained")
        if verdict == (name in MASKED):
            raise InputError(f"{name} {columns.values[name]!r}: marked as not to be trained")
    if columns.values.get("label") is False:
        raise InputError("label False: marked as an answer that is not wanted")
    if columns.values.get("label") is True:
        columns.take("label", "whether a row is trained")
    unseen = columns.filled(UNSEEN)
    if unseen:
        raise InputError(f"{unseen[0]}: a row with more than text; only texts are trained")


def _pair(columns: Columns) -> list[Any]:
    """Messages of prompt and answer, earlier turns before them."""
    prompt, answer = _prompt(columns), columns.one(ANSWERS, "the answer")
    if prompt is None or answer is None:
        what = "prompt" if prompt is None else "answer"
        raise InputError(f"no {what}; it has {columns}")
    thought = columns.one(THOUGHTS, "analysis")
    history = columns.take("history", "earlier turns")
    thinking = [] if is_empty(thought) else [_analysis(text_of(thought, "analysis"))]
    return [*_turns(list_of(history, "history")), *_asked(prompt), *thinking, *_said(answer)]


def _analysis(text: str) -> dict[str, str]:
    return {"role": "assistant", "channel": "analysis", "content": text}


def _asked(prompt: Any) -> list[Any]:
    if isinstance(prompt, (list, tuple)):
        return list(_turns(list(prompt)))
    text = text_of(prompt, "prompt")
    return list(harmony_messages(text)) if is_harmony(text) else [_message("user", text)]


def _said(answer: Any) -> list[Any]:
    if isinstance(answer, (list, tuple)):
        return list(_turns(list(answer)))
    return [_message("assistant", text_of(answer, "answer"))]


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _prompt(columns: Columns) -> Any:
    """The prompt: an instruction with its question, then its sources; None where there is none."""
    filled = columns.filled(PROMPTS)
    if len(filled) == 2 and "instruction" in filled:
        other = next(name for name in filled if name != "instruction")
        prompts = ["instruction"]
        if columns.values[other] != columns.values["instruction"]:
            prompts.append(other)
        asked = [columns.take(name, "the prompt") for name in prompts]
        columns.take(other, "the prompt")
    else:
        asked = [columns.one(PROMPTS, "the prompt")]
    sources = [_source(columns.take(name, "the prompt")) for name in columns.filled(SOURCES)]
    if not sources and len(asked) == 1:
        return asked[0]
    if any(isinstance(one, (list, tuple)) for one in asked):
        raise InputError("a list of messages and other columns that ask; leave one")
    parts = [*[one for one in asked if not is_empty(one)], *sources]
    return "\n\n".join(text_of(part, "a part of the prompt") for part in parts)


def _source(value: Any) -> Any:
    """A source's text; several passages as one."""
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return "\n\n".join(value)
    return value


def _turns(items: list[Any]) -> Iterator[Any]:
    """Messages; pairs of question and answer, as lists or objects, become two each."""
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from _two(item)
        elif isinstance(item, dict) and not {"role", "from"} & set(item):
            yield from _two_of(item)
        else:
            yield item


def _two(pair: Sequence[Any]) -> list[Any]:
    if len(pair) != 2:
        raise InputError(f"an earlier turn of {len(pair)} parts; give [question, answer]")
    question, answer = (text_of(present(part), "an earlier turn") for part in pair)
    return [_message("user", question), _message("assistant", answer)]


def _two_of(item: Mapping[str, Any]) -> list[Any]:
    """Of an object with a question and an answer; a system text may stand before them."""
    asked = [item[name] for name in (*PROMPTS, "input") if not is_empty(item.get(name))]
    said = [item[name] for name in (*ANSWERS, "bot") if not is_empty(item.get(name))]
    if len(asked) != 1 or len(said) != 1:
        raise InputError(f"a turn without a role; it has {', '.join(map(str, item)) or 'nothing'}")
    first = item.get("system")
    opening = [] if is_empty(first) else [_message("system", text_of(first, "system"))]
    return [*opening, *_two([asked[0], said[0]])]
