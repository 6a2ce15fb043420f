"""Conversations as training texts: token ids, what is trained, and how texts share a step.

A step has sequences, a sequence has examples: short examples share a sequence (they do not see
each other), and a step's sequences have about `step_tokens` tokens together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import prune, render
from gptoss_magic.records import Example, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.tuning.settings import TrainSettings

TURN = ("assistant", "tool")
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One conversation, system and developer messages first; it ends with an assistant's turn.

    `untrained`: indices of the assistant's messages that are context only. `number`: what the
    user calls the row, from 1; 0 where it has no place in a list.
    """

    messages: tuple[Message, ...]
    untrained: frozenset[int] = frozenset()
    number: int = field(default=0, compare=False)

    @property
    def has_analysis(self) -> bool:
        """True where the last turn thinks before it answers."""
        return any(m.channel == "analysis" and m.content for m in self.last_turn)

    @property
    def last_turn(self) -> tuple[Message, ...]:
        """The assistant's last messages, tool results between them included."""
        begin = len(self.messages)
        while begin and self.messages[begin - 1].role in TURN:
            begin -= 1
        return self.messages[begin:]

    @property
    def prompt(self) -> str:
        """The last thing the user said."""
        said = [message.content for message in self.messages if message.role == "user"]
        return said[-1] if said else ""

    def with_thought(self, analysis: str) -> Row:
        """The row with reasoning before its last turn."""
        begin = len(self.messages) - len(self.last_turn)
        thought = Message("assistant", analysis, "analysis")
        moved = frozenset(n + (n >= begin) for n in self.untrained)
        messages = (*self.messages[:begin], thought, *self.messages[begin:])
        return replace(self, messages=messages, untrained=moved)


def encode(row: Row, codec: HarmonyCodec) -> list[Example]:
    """An example for each of the assistant's turns, as the model would see and say it.

    The context of a turn is rendered as for a prompt, so earlier reasoning is dropped. Trained is
    what the model writes: channels, reasoning, calls, answers, and `<|return|>` at the end. Turns
    of which nothing is trained are context of later ones only.
    """
    return [_example(turn.before, turn, codec) for turn in _trained_turns(row)]


def encode_all(
    rows: Sequence[Row],
    codec: HarmonyCodec,
    max_tokens: int,
    *,
    truncate: bool = False,
    numbers: Sequence[int] = (),
    on_cut: Callable[[int], None] = lambda number: None,
) -> list[Example]:
    """Examples of all rows. One that is too long is refused, or loses its oldest messages.

    `numbers`: what the user calls the rows; left out, they count from 1. `on_cut` is told the
    number for each turn that was cut.
    """
    found = []
    for number, row in zip(numbers or range(1, len(rows) + 1), rows, strict=True):
        for turn in _trained_turns(row):
            example = _example(turn.before, turn, codec)
            if len(example.ids) > max_tokens:
                if not truncate:
                    raise InputError(
                        f"row {number} has {len(example.ids)} tokens, more than {max_tokens}: "
                        "raise --max-tokens, shorten it, or add --truncate"
                    )
                on_cut(number)
                example = _cut(turn, codec, max_tokens)
            found.append(example)
    if not any(any(example.trained) for example in found):
        raise InputError("nothing is trained: no row has an answer of the assistant; give one")
    return found


def split(rows: Sequence[T], share: float, seed: int) -> tuple[list[T], list[T]]:
    """(rows to train on, rows held back): at least one of each where there are two or more."""
    if share <= 0 or len(rows) < 2:
        return list(rows), []
    count = min(len(rows) - 1, max(1, round(share * len(rows))))
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)  # noqa: S311 (an order to repeat, not a secret)
    held = set(order[:count])
    return (
        [row for n, row in enumerate(rows) if n not in held],
        [row for n, row in enumerate(rows) if n in held],
    )


def pack_steps(examples: Sequence[Example], train: TrainSettings) -> list[list[list[Example]]]:
    """Steps of sequences of examples, shuffled anew each epoch; the same for the same seed.

    So many epochs as `train` says, or exactly `num_steps` steps.
    """
    steps: list[list[list[Example]]] = []
    epochs = max(1, -(-train.epochs // 1)) if not train.num_steps else train.num_steps
    for epoch in range(int(epochs)):
        order = list(examples)
        random.Random(f"{train.seed} {epoch}").shuffle(order)  # noqa: S311 (to repeat)
        whole = len(order)
        if not train.num_steps and epoch == int(epochs) - 1 and train.epochs % 1:
            whole = max(1, round(whole * (train.epochs % 1)))
        steps += _steps(order[:whole], train)
        if train.num_steps and len(steps) >= train.num_steps:
            return steps[: train.num_steps]
    return steps


def pieces(example: Example, codec: HarmonyCodec) -> list[tuple[str, bool]]:
    """The text in runs of what is trained and what is not."""
    found: list[tuple[list[int], bool]] = []
    for token, trained in zip(example.ids, example.trained, strict=True):
        if not found or found[-1][1] != trained:
            found.append(([], trained))
        found[-1][0].append(token)
    return [(codec.decode(ids), trained) for ids, trained in found]


def from_conversation(messages: Sequence[Message], edits: Mapping[int, str]) -> Row:
    """What was said so far as a row; `edits` have better texts by the message's number from 0.

    Raises InputError for a number that is none, or where the assistant said nothing.
    """
    wrong = [number for number in edits if not 0 <= number < len(messages)]
    if wrong:
        raise InputError(f"edits: there are messages 0 to {len(messages) - 1}, not {wrong[0]}")
    kept = [
        Message(m.role, edits.get(n, m.content), m.channel, m.recipient, m.content_type, m.author)
        for n, m in enumerate(messages)
    ]
    while kept and kept[-1].role != "assistant":
        kept.pop()
    if not kept:
        raise InputError("the conversation has no answer to train on; ask something first")
    return Row(tuple(kept))


@dataclass(frozen=True)
class _Turn:
    """One of the assistant's turns: what stands before it, and of each message if it is trained."""

    before: tuple[Message, ...]
    messages: tuple[Message, ...]
    trained: tuple[bool, ...]


def _trained_turns(row: Row) -> Iterator[_Turn]:
    """The turns of which something is trained."""
    for begin, end in turns_of(row):
        messages = row.messages[begin:end]
        trained = tuple(
            message.role == "assistant" and begin + n not in row.untrained
            for n, message in enumerate(messages)
        )
        if any(trained):
            yield _Turn(row.messages[:begin], messages, trained)


def turns_of(row: Row) -> Iterator[tuple[int, int]]:
    """(first message, end) of each of the assistant's turns; an answer ends a turn."""
    begin = None
    for number, message in enumerate(row.messages):
        if message.role not in TURN:
            if begin is not None:
                yield begin, number
            begin = None
            continue
        begin = number if begin is None else begin
        if message.role == "assistant" and message.channel == "final":
            yield begin, number + 1
            begin = None
    if begin is not None:
        yield begin, len(row.messages)


def _cut(turn: _Turn, codec: HarmonyCodec, max_tokens: int) -> Example:
    """Without the oldest exchanges, system and developer messages kept; else the end alone."""
    before = turn.before
    opening = [message for message in before if message.role in ("system", "developer")]
    starts = [n for n, message in enumerate(before) if message.role == "user"]
    for start in starts[1:]:
        example = _example([*opening, *before[start:]], turn, codec)
        if len(example.ids) <= max_tokens:
            return example
    example = _example(before, turn, codec)
    return Example(example.ids[-max_tokens:], example.trained[-max_tokens:])


def _example(before: Sequence[Message], turn: _Turn, codec: HarmonyCodec) -> Example:
    opened = [codec.special["start"], *codec.encode("assistant")]
    ids = render(prune(before), codec, prompt=False)
    trained = [False] * len(ids)
    asked = True  # the engine opens the header after a user or a tool
    for number, (message, is_trained) in enumerate(zip(turn.messages, turn.trained, strict=True)):
        said = render([message], codec, prompt=False)
        mine, is_last = message.role == "assistant", number == len(turn.messages) - 1
        if mine and is_last and said[-1] == codec.special["end"]:
            said[-1] = codec.special["return"]
        given = len(opened) if asked and said[: len(opened)] == opened else 0
        ids += said
        trained += [is_trained and n >= given for n in range(len(said))]
        asked = not mine
    return Example(tuple(ids), tuple(trained))


def _steps(order: Sequence[Example], train: TrainSettings) -> list[list[list[Example]]]:
    """Fill sequences, longest example first within a step's worth of examples."""
    from gptoss_magic.model.packs import packs

    steps = packs([len(example.ids) for example in order], train.step_tokens)
    return [_packed([order[number] for number in step], train.max_tokens) for step in steps]


def _packed(examples: Sequence[Example], max_tokens: int) -> list[list[Example]]:
    """First fit, longest first."""
    sequences: list[list[Example]] = []
    for example in sorted(examples, key=lambda e: -len(e.ids)):
        for sequence in sequences:
            if sum(len(e.ids) for e in sequence) + len(example.ids) <= max_tokens:
                sequence.append(example)
                break
        else:
            sequences.append([example])
    return sequences
