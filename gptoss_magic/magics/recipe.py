"""`%gptoss recipe`: what of gpt-oss can be tuned on a card, and its settings as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.tuning.methods import METHODS
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from gptoss_magic.tuning.recipe import Recipe

OPTIONS: list[opt.Option] = [
    (("-k", "--card"), {"type": float, "default": 80.0, "help": "GB (10^9 bytes) of the GPU; 80"}),
    (("-n", "--rows"), {"type": int, "default": 500, "help": "rows to train on; 500"}),
    (("-t", "--length"), {"type": int, "default": 1024, "help": "tokens of a row; 1024"}),
    (("-L", "--like"), {"choices": ["120b", "20b"], "default": "120b", "help": "120b"}),
    (("-r", "--rank"), {"type": int, "default": 8, "help": "of what has one; 8"}),
    (
        ("-M", "--method"),
        {"choices": [*METHODS], "metavar": "METHOD", "help": f"alone: {', '.join(METHODS)}"},
    ),
    (("--tflops",), {"type": float, "default": 100.0, "help": "TFLOP/s that it sustains; 100"}),
    (("--gb-per-s",), {"type": float, "default": 700.0, "help": "its memory's GB/s; 700"}),
    (("-w", "--write"), {"metavar": "DIR", "help": "what fits as files, in this new folder"}),
    (("-d", "--data"), {"help": "write: the file of rows that they name; rows.jsonl"}),
    (("-o", "--output"), {"help": "put the Recipe into this variable"}),
]
TERMS = ("term", "where it comes from")
PARSER = opt.parser(
    "%gptoss recipe",
    OPTIONS,
    "What of gpt-oss can be tuned on a card.",
    ["%gptoss recipe --card 24 --like 20b", "%gptoss recipe -M lora -r 16 --write recipe"],
)


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss recipe`."""
    from gptoss_magic.tuning.recipe import recipe

    given = opt.parse(PARSER, line)
    if given.data and not given.write:
        raise InputError("--data means something beside --write only")
    names = ("rows", "length", "like", "rank", "method", "tflops", "gb_per_s")
    found = recipe(given.card, **{name: getattr(given, name) for name in names})
    paths = found.write(given.write, given.data or "rows.jsonl") if given.write else []
    show(found)
    if paths:
        print(
            f"{given.write}: {counted(len(paths), 'file')} written; notes.txt says what "
            "each number is"
        )
    if given.output:
        magics.shell.user_ns[given.output] = found


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def show(found: Recipe) -> None:
    """The table, and below it where each term comes from."""
    from IPython.display import display

    display({"text/html": recipe_html(found), "text/plain": plain_text(found)}, raw=True)


def recipe_html(found: Recipe) -> str:
    """A `Recipe` as two tables."""
    from gptoss_magic.tuning.configurations import HEADERS
    from gptoss_magic.widgets.tables import table_html

    rows = [one.row() for one in found.configurations]
    return table_html(HEADERS, rows, caption(found)) + table_html(TERMS, found.terms())


def plain_text(found: Recipe) -> str:
    """The same as text."""
    from gptoss_magic.tuning.configurations import HEADERS
    from gptoss_magic.widgets.tables import table_text

    rows = [one.row() for one in found.configurations]
    terms = [f"{term}: {source}" for term, source in found.terms()]
    return "\n".join([caption(found), table_text(HEADERS, rows), "", *terms])


def recipe_text(found: Recipe, printer: Any, _cycle: Any) -> None:
    """The same through IPython's pretty printer."""
    printer.text(plain_text(found))


def caption(found: Recipe) -> str:
    """What the table is for, in a line."""
    use = found.use
    ranks = {getattr(one.method, "rank", None) for one in found.configurations} - {None}
    at = f", rank {ranks.pop()}" if ranks else ""
    return (
        f"gpt-oss-{use.model} on {use.card / 1e9:g} GB: {counted(use.num_rows, 'row')} of "
        f"{counted(use.row_tokens, 'token')}{at}. From shapes alone; not measured on a GPU."
    )
