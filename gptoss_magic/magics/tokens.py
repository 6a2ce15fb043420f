"""`%gptoss tokens [NAME]`: an answer's tokens by number, to find where to branch."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from gptoss_magic.magics import options as opt
from gptoss_magic.magics.branch import chosen_answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import AnswerToken

OPTIONS: list[opt.Option] = [
    (
        ("name",),
        {"nargs": "?", "metavar": "NAME", "help": "the variable of an Answer; else the last"},
    ),
]
PARSER = opt.parser(
    "%gptoss tokens",
    OPTIONS,
    "An answer's tokens by number, to find where to branch.",
    ["%gptoss tokens", "%gptoss tokens answer"],
)
WIDTH = 100


def run(line: str, magics: Any) -> None:
    """Print the last answer's tokens, or those of the Answer in a variable."""
    from gptoss_magic.turns.surgery import tokens

    answer = chosen_answer(opt.parse(PARSER, line).name, magics.shell.user_ns)
    magics.load_default()
    for channel, run in groupby(tokens(answer), key=lambda token: token.channel):
        print(f"{channel}:")
        print("\n".join(rows(list(run))))


def rows(tokens: Sequence[AnswerToken]) -> Iterator[str]:
    """Lines of `NUMBER'text'`, each not much longer than the width."""
    line = ""
    for token in tokens:
        part = f"{token.index}{token.text!r}"
        if line and len(line) + len(part) > WIDTH:
            yield f"  {line}"
            line = ""
        line = f"{line} {part}".strip()
    yield f"  {line}"
