"""What is typed, before IPython reads it: it would take three of our lines for something else.

- A cell magic whose cell has no other line (`%%gptoss --help`) is refused before we are asked.
- In `%gptoss compare What is the capital of France?` the last word is taken for a name to explain.
- `%gptoss lora compare?` explains `compare`, and not our command.

The second and third are read from tokens, as IPython's own are, so that no string of a program is
touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import TokenTransformBase

from gptoss_magic.magics.nouns import help_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from tokenize import TokenInfo
    from typing import Self

CELL = re.compile(r"%%gptoss(_\w+)?(\s|$)")
LINE = re.compile(r"%gptoss[ \t]+(.*\?)\s*$")


def with_body(lines: list[str]) -> list[str]:
    """The lines of a cell; where it is one of our first lines alone, with an empty second one."""
    return [*lines, "\n"] if len(lines) == 1 and CELL.match(lines[0]) else lines


# a terminal asks whether a cell is complete: there the user goes on to type its body
with_body.has_side_effects = True  # type: ignore[attr-defined]


class QuestionLine(TokenTransformBase):
    """A line of `%gptoss` that ends in a question mark, given to the magic as it is typed."""

    priority = 1  # before IPython's own help

    def __init__(self, start: tuple[int, int], asked: str) -> None:
        super().__init__(start)
        self.asked = asked

    @classmethod
    def find(cls, tokens_by_line: Sequence[Sequence[TokenInfo]]) -> Self | None:
        """The first such line."""
        for tokens in tokens_by_line:
            first = next((token for token in tokens if token.string.strip()), None)
            found = LINE.match(first.line[first.start[1] :]) if first is not None else None
            if first is not None and found:
                return cls(first.start, found[1])
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """The cell's lines with a call in the place of this one."""
        before, here = lines[: self.start_line], lines[self.start_line]
        call = f"get_ipython().run_line_magic('gptoss', {meant(self.asked)!r})\n"
        return [*before, here[: self.start_col] + call, *lines[self.start_line + 1 :]]


def meant(line: str) -> str:
    """`lora compare?` asks for help; any other question is the line's own."""
    words = line.rstrip("?").split()
    return " ".join([*words, "--help"]) if help_of(words) is not None else line


def listen(shell: Any) -> None:
    """Read what is typed into `shell` before IPython does, once."""
    manager = shell.input_transformer_manager
    if with_body not in manager.cleanup_transforms:
        manager.cleanup_transforms.append(with_body)
    if QuestionLine not in manager.token_transformers:
        manager.token_transformers.append(QuestionLine)


def leave(shell: Any) -> None:
    """Read nothing any more."""
    manager = shell.input_transformer_manager
    for steps, ours in (
        (manager.cleanup_transforms, with_body),
        (manager.token_transformers, QuestionLine),
    ):
        steps[:] = [step for step in steps if step is not ours]
