"""`%gptoss turns`: the turns of this kernel; how many are kept, and which are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.index import show_table
from gptoss_magic.quoting import in_width
from gptoss_magic.session import current
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from gptoss_magic.records import Turn

OPTIONS: list[opt.Option] = [
    (("words",), {"nargs": "*", "help": "list; keep N (all: without bound); forget NAME…"}),
    (("-c", "--conversation"), {"help": "list: of this conversation alone"}),
]
PARSER = opt.parser(
    "%gptoss turns",
    OPTIONS,
    "The turns of this kernel, in exact tokens.",
    ["%gptoss turns", "%gptoss turns keep 100", "%gptoss turns forget draft"],
)
HEADERS = ("turn", "behind", "conversation", "asked", "prompt", "said", "ended")
COMMANDS = ("list", "keep", "forget")
WIDTH = 60


def run(line: str, _magics: Any) -> None:
    """One line of `%gptoss turns`."""
    given = opt.parse(PARSER, line)
    command, *words = given.words or ["list"]
    if given.conversation is not None and command != "list":
        raise InputError("%gptoss turns: --conversation means something beside list only")
    if command == "list" and not words:
        return show(given.conversation)
    if command == "keep" and len(words) == 1:
        return keep(words[0])
    if command == "forget" and words:
        return forget(words)
    raise InputError(f"%gptoss turns {' '.join(given.words)}: there are list, keep N, forget NAME…")


def words(typed: list[str]) -> list[str]:
    """Commands; behind forget, names of conversations."""
    if len(typed) == 1:
        return list(COMMANDS)
    return sorted(current().conversations) if typed[0] == "forget" else []


def show(conversation: str | None) -> None:
    """A table of the turns, the latest last; numbers in tokens."""
    conversations = current().conversations
    turns = list(conversations.turns.values())
    if conversation is not None:
        check_known("conversation", [conversation], conversations)
        turns = conversations.chain(conversation)
    if not turns:
        print("no turn yet")
        return
    show_table(HEADERS, [row(turn) for turn in turns])


def row(turn: Turn) -> tuple[str, ...]:
    """A turn in words and numbers."""
    return (
        turn.id,
        turn.parent or "-",
        turn.conversation or "-",
        in_width(turn.asked.content, WIDTH),
        str(len(turn.prompt_ids)),
        str(sum(len(generation.answer_ids) for generation in turn.generations)),
        turn.finish,
    )


def keep(number: str) -> None:
    """Bound what is kept from now on."""
    conversations = current().conversations
    if number == "all":
        conversations.bound(None)
    elif number.isdecimal():
        conversations.bound(int(number))
    else:
        raise InputError(f"keep {number}: give a number of turns, or all")
    limit = "all turns" if conversations.limit is None else f"the latest {conversations.limit}"
    print(f"kept from now on: {limit}; {len(conversations.turns)} are there")


def forget(names: list[str]) -> None:
    """Drop conversations with their turns."""
    current().conversations.forget(names)
    print(f"forgotten: {', '.join(names)}")
