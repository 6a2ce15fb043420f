"""`%gptoss page`: a notebook as one HTML file."""

from __future__ import annotations

from typing import Any

from gptoss_magic.magics import options as opt

OPTIONS: list[opt.Option] = [
    (("notebook",), {"help": "an .ipynb file, as it was saved last"}),
    (("-o", "--output"), {"metavar": "FILE", "dest": "file", "help": "beside it, with .html"}),
    (("-f", "--force"), {"action": "store_true", "help": "overwrite whatever is there"}),
]
PARSER = opt.parser(
    "%gptoss page",
    OPTIONS,
    "A notebook as one HTML file, without the network.",
    ["%gptoss page notes.ipynb", "%gptoss page notes.ipynb -o public/notes.html"],
)


def run(line: str, _magics: Any) -> None:
    """One line of `%gptoss page`."""
    from gptoss_magic.sharing.page import page

    asked = opt.parse(PARSER, line)
    print(page(asked.notebook, asked.file, force=asked.force))


def words(typed: list[str]) -> list[str]:
    """Options; notebooks of this folder in the first place."""
    from pathlib import Path

    if len(typed) == 1 and not typed[0].startswith("-"):
        return sorted(str(path) for path in Path().glob("*.ipynb"))
    return opt.flags(OPTIONS)
