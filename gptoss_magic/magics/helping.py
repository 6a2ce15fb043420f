"""`%gptoss help`: a screen of text on a topic, or what `--help` shows of a command."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.nouns import BY_NAME, help_of, help_text
from gptoss_magic.magics.plain import PLAIN
from gptoss_magic.vocabulary import nearest

FOLDER = Path(__file__).parent / "topics"  # NAME.txt: its first line says what it is about
OPTIONS: list[opt.Option] = [
    (
        ("words",),
        {"nargs": "*", "metavar": "TOPIC", "help": "a topic, or a command; none: all"},
    ),
]
PARSER = opt.parser(
    "%gptoss help",
    OPTIONS,
    "A screen on a topic, with lines to copy; or the options of a command.",
    ["%gptoss help", "%gptoss help tuning", "%gptoss help lora compare"],
)


def run(line: str, _magics: Any) -> None:
    """One line of `%gptoss help`."""
    print(text_of(opt.parse(PARSER, line).words), end="")


def words(_typed: list[str]) -> list[str]:
    """Topics, and commands."""
    return [*topics(), *PLAIN, *BY_NAME]


def text_of(asked: list[str]) -> str:
    """What is shown for these words. Raises InputError for what is neither topic nor command."""
    if not asked:
        return f"{help_text()}\n{listed()}"
    name = " ".join(asked).lower()
    if name in topics():
        return (FOLDER / f"{name}.txt").read_text("utf-8")
    known = help_of([word.lower() for word in asked])
    if known is None:
        near = nearest(name, [*topics(), *PLAIN, *BY_NAME])
        raise InputError(
            f"%gptoss help {' '.join(asked)}: no such topic{near}; there are {', '.join(topics())}"
        )
    return known


@cache
def topics() -> dict[str, str]:
    """What each topic is about, by name."""
    return {
        file.stem: file.read_text("utf-8").partition("\n")[0]
        for file in sorted(FOLDER.glob("*.txt"))
    }


def listed() -> str:
    """The topics, a line each."""
    lines = [f"%gptoss help {name:<15}{about}" for name, about in topics().items()]
    return "\n".join(["topics:", *lines, ""])
