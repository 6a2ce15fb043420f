"""What is written inside an answer's text though it is none of it: reasoning, calls, templates.

Reasoning in tags, calls in tags, harmony already rendered, another model's end tokens: each would
be trained as letters. What can be read is taken apart; what cannot is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.harmony.codec import NAMES
from gptoss_magic.harmony.parse import parsed
from gptoss_magic.records import Message
from gptoss_magic.tuning.values import json_of

if TYPE_CHECKING:
    from gptoss_magic.tuning.notes import RowNotes

CHANNELS = ("analysis", "commentary", "final")
THINK = r"think(?:ing)?|thought|reasoning|analysis|seed:think|\|begin_of_thought\|"
TAG = rf"<({THINK})>|(\[THINK\])|(◁think▷)"
OPENED = re.compile(rf"\s*(?:{TAG})", re.IGNORECASE)
WITHIN_TAG = re.compile(rf"(?<![`'\"])(?:{TAG})", re.IGNORECASE)  # quoted, it is spoken about
CLOSERS = {"[THINK]": "[/THINK]", "◁THINK▷": "◁/think▷"}
LONELY_END = re.compile(
    r"(?<![`'\"])(?:</(?:think(?:ing)?|seed:think)>|\[/THINK\]|◁/think▷)", re.IGNORECASE
)
SOLUTION = re.compile(r"\s*<\|begin_of_solution\|>(.*?)<\|end_of_solution\|>\s*", re.DOTALL)
CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
ENDS = re.compile(
    r"(?:\s*(?:<\|(?:return|end|call|im_end|eot_id|eom_id|endoftext|end_of_text|end_of_turn)\|>"
    r"|<end_of_turn>|<eos>|<｜end▁of▁sentence｜>|</s>))+\s*$"
)
FOREIGN = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]|\[/INST\]|<<SYS>>"
    r"|<｜(?:User|Assistant)｜>|<\|(?:user|assistant|system)\|>"
)
BARE = re.compile(r"\s*analysis(?=[A-Z\s])(.+?)assistantfinal(.+)", re.DOTALL)
SPECIAL = re.compile(rf"(<\|(?:{'|'.join(NAMES)})\|>)")
HARMONY = re.compile(r"\s*(?:<\|(?:start|channel|message)\|>|assistant<\|channel\|>)")
WITHIN = re.compile(
    r"<\|(?:start|channel|constrain)\|>[^<]{0,200}<\|(?:message|channel|constrain)\|>"
)
BLANKS = re.compile(r"(<\|(?:end|return|call)\|>)\s+(?=<\|start\|>|$)")
HEADER = re.compile(r"\s*(\S+)(?:\s+to=(\S+))?\s*")
WORDS = re.compile(r"\s*\w+|\s+|[^\w\s]")
SHAPE = re.compile(  # of one message, its texts left out
    r"(<\|start\|>)?(<\|channel\|>)?(<\|constrain\|>)?<\|message\|>(<\|(end|return|call)\|>)?"
)


@dataclass(frozen=True)
class Written:
    """An answer's text taken apart: what was thought, said and called, in this order.

    `messages`: where harmony was rendered in it, its messages instead.
    """

    thought: str = ""
    said: str = ""
    calls: list[Any] = field(default_factory=list)
    messages: tuple[Message, ...] = ()


def taken_apart(text: str, notes: RowNotes) -> Written:
    """What stands in an assistant's text. Raises InputError for what cannot be told apart."""
    if is_harmony(text):
        notes.repairs.append("rendered harmony read as messages")
        return Written(messages=harmony_messages(text))
    bare = BARE.fullmatch(text)
    if bare:
        if "assistantcommentary" in text:
            raise InputError("harmony whose tokens were left out: its calls cannot be told apart")
        notes.repairs.append("analysis…assistantfinal, harmony without its tokens, read as such")
        return Written(thought=bare[1].strip(), said=bare[2].strip())
    if WITHIN.search(text):
        raise InputError("harmony's channels within an answer's text; give whole messages")
    thought, said = _thought(text, notes)
    said = _without_end(said, notes)
    if FOREIGN.search(said):
        raise InputError(f"{FOREIGN.findall(said)[0]}: another model's template within an answer")
    if SPECIAL.search(said):
        notes.oddities.append("harmony's tokens mentioned in answers, as letters")
    said, calls = _called(said, notes)
    return Written(thought, said, calls)


def is_harmony(text: str) -> bool:
    """True for a text that begins as rendered harmony does, special tokens in letters."""
    return bool(HARMONY.match(text)) and len(SPECIAL.findall(text)) > 1


def harmony_messages(text: str) -> tuple[Message, ...]:
    """The messages of rendered harmony; one without `<|start|>` begins with the assistant.

    Raises InputError for text between messages, and for channels that there are not.
    """
    parts = re.split(r"(?=<\|start\|>)", BLANKS.sub(r"\1", text.strip()))
    if parts[-1] == "<|start|>assistant":  # a prompt's open end
        parts.pop()
    found: list[Message] = []
    for part in filter(str.strip, parts):
        _check_shape(part)
        mine = not part.startswith("<|start|>") or part.startswith("<|start|>assistant")
        found += _assistant(part) if mine else [_other(part)]
    if not found:
        raise InputError("rendered harmony without a message")
    return tuple(found)


def _assistant(text: str) -> list[Message]:
    """The assistant's messages by harmony's own parser, where it has nothing to guess."""
    codec = _Letters(text.removeprefix("<|start|>").removeprefix("assistant"))
    parser = parsed(codec.ids, codec)  # type: ignore[arg-type]
    if parser.repairs:
        raise InputError(f"rendered harmony that has to be guessed: {parser.repairs[0]}")
    return [m for m in parser.messages if m.content.strip() or m.recipient]


def _check_shape(part: str) -> None:
    """Raise InputError unless the part is one message: a header, its text, an end."""
    pieces = SPECIAL.split(part)
    is_ended = pieces[-2] in ("<|end|>", "<|return|>", "<|call|>")
    if not SHAPE.fullmatch("".join(pieces[1::2])) or (is_ended and pieces[-1].strip()):
        raise InputError(f"rendered harmony that cannot be read: {part!r:.60}")


def _other(part: str) -> Message:
    """A message of another role: `<|start|>HEADER<|message|>TEXT<|end|>`."""
    header, _, rest = part.removeprefix("<|start|>").partition("<|message|>")
    before, _, channel = header.partition("<|channel|>")
    named, content = HEADER.fullmatch(before), SPECIAL.split(rest)[0]
    if named is None:
        raise InputError(f"rendered harmony that cannot be read: {part!r:.60}")
    author = named[1]
    if author in ("system", "developer", "user"):
        return Message(author, content)
    spoken = channel.split()[0] if channel.split() else "commentary"
    return Message("tool", content, spoken, named[2] or "assistant", author=author)


class _Letters:
    """A text as harmony's parser takes it: special tokens by name, a header by its words.

    A text behind `<|message|>` is one token; the parser looks at where a header's tokens end.
    """

    def __init__(self, text: str) -> None:
        self.special = {name: number for number, name in enumerate(NAMES)}
        names = {f"<|{name}|>": number for name, number in self.special.items()}
        self._pieces: list[str] = []
        self.ids: list[int] = []
        is_header = True
        for part in filter(None, SPECIAL.split(text)):
            if part in names:
                self.ids.append(names[part])
                is_header = part != "<|message|>"
                continue
            for piece in WORDS.findall(part) if is_header else [part]:
                self.ids.append(len(names) + len(self._pieces))
                self._pieces.append(piece)

    def token_bytes(self, token: int) -> bytes:
        """The stretch of text that a token stands for."""
        return self._pieces[token - len(self.special)].encode()


def _thought(text: str, notes: RowNotes) -> tuple[str, str]:
    """(reasoning in tags at the beginning, what stands behind it)."""
    opened = OPENED.match(text)
    if not opened:
        return _until_lonely_end(text, notes)
    name = opened[1] or opened[2] or opened[3]
    closer = CLOSERS.get(name.upper()) or _closing(name)
    thought, end, said = _partition(text[opened.end() :], closer)
    if not end:
        raise InputError(f"{opened[0].strip()} is not closed: reasoning without an answer")
    if WITHIN_TAG.search(said) and _partition(said, closer)[1]:
        raise InputError(f"{opened[0].strip()} stands twice in one answer; give messages")
    notes.repairs.append(f"{opened[0].strip()} became analysis")
    solution = SOLUTION.fullmatch(said)
    return thought.strip(), (solution[1] if solution else said).strip()


def _closing(name: str) -> str:
    """`</think>` for `think`, `<|end_of_thought|>` for `|begin_of_thought|`."""
    return f"<{name.replace('begin', 'end')}>" if "begin" in name else f"</{name}>"


def _partition(text: str, mark: str) -> tuple[str, str, str]:
    """As str.partition, capitals aside."""
    place = text.casefold().find(mark.casefold())
    if place < 0:
        return text, "", ""
    return text[:place], mark, text[place + len(mark) :]


def _until_lonely_end(text: str, notes: RowNotes) -> tuple[str, str]:
    """Reasoning whose opening tag stands in a prompt, as some templates have it."""
    ends = list(LONELY_END.finditer(text))
    opening = WITHIN_TAG.search(text)
    if opening and ends and opening.start() < ends[0].start():
        raise InputError(f"{opening[0].strip()} within an answer; give messages")
    if len(ends) != 1 or opening:
        return "", text
    notes.repairs.append(f"text before {ends[0][0]} became analysis")
    return text[: ends[0].start()].strip(), text[ends[0].end() :].strip()


def _without_end(text: str, notes: RowNotes) -> str:
    """Without end tokens in letters; `</s>` is one only where nothing opened it."""
    ends = ENDS.search(text)
    if not ends or ("</s>" in ends[0] and "<s>" in text):
        return text
    notes.repairs.append(f"{ends[0].strip()} taken off the end of answers")
    return text[: ends.start()]


def _called(text: str, notes: RowNotes) -> tuple[str, list[Any]]:
    """(text, calls) of an answer with calls in tags, as Hermes and Qwen write them."""
    calls = [json_of(raw, "a call in <tool_call>") for raw in CALL.findall(text)]
    if not calls:
        if "<tool_call>" in text:
            raise InputError("<tool_call> is not closed")
        return text, []
    notes.repairs.append("<tool_call> became calls")
    return CALL.sub("", text).strip(), calls
