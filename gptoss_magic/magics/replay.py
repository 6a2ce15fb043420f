"""`%gptoss replay FILE`: does the model say the same here? A table, and where answers part."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.magics import options as opt
from gptoss_magic.magics.compare import answers_text
from gptoss_magic.magics.toolbox import ToolPlace, consent_of, named
from gptoss_magic.quoting import in_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.sharing.replay import Replayed

OPTIONS: list[opt.Option] = [
    (("path",), {"metavar": "FILE", "help": "a notebook, or a page made by %%gptoss page"}),
    (("-c", "--cell"), {"type": int, "help": "this cell alone, counted from 1"}),
    (("-j", "--journal"), {"metavar": "FOLDER", "help": "where the journal of its map lies"}),
    (("-L", "--live"), {"action": "store_true", "help": "call the tools again, with consent"}),
    (("-o", "--output"), {"help": "put the list of Replayed into this variable"}),
]
PARSER = opt.parser(
    "%gptoss replay",
    OPTIONS,
    "Run a notebook's recorded answers again.",
    ["%gptoss replay notes.ipynb", "%gptoss replay notes.ipynb --cell 3 -o again"],
)
HEADERS = ("cell", "asked", "verdict", "largest change, nats", "also differs")
WIDTH = 60


def run(line: str, magics: Any) -> None:
    """One line: each answer as it is done, then a table and the places where answers part."""
    from gptoss_magic.sharing.recorded import recorded_answers
    from gptoss_magic.sharing.replay import replayed
    from gptoss_magic.widgets.progress import ProgressView

    given = opt.parse(PARSER, line)
    # refused before a model loads
    answers = recorded_answers(given.path, given.cell, given.journal)
    magics.load_default()
    tools = partial(tools_named, magics.shell) if given.live else None
    consent = consent_of(magics.shell)
    with ProgressView("replay", answers_text) as bar:
        done = replayed(answers, tools, consent, bar.update)
        bar.finish(summary(done))
    show(done)
    if given.output:
        magics.shell.user_ns[given.output] = done


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def tools_named(shell: Any, name: str) -> list[Any]:
    """The tools that a recorded name means in this notebook. Raises InputError."""
    return named(name, ToolPlace("", shell))


def summary(done: Sequence[Replayed]) -> str:
    """How many answers had which verdict."""
    from gptoss_magic.sharing.replay import IDENTICAL, NOT_COMPARABLE, PARTS

    counts = Counter(one.verdict for one in done)
    order = (IDENTICAL, PARTS, NOT_COMPARABLE)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict])
    return f"{len(done)} answers replayed: {told or 'interrupted'}"


def show(done: Sequence[Replayed]) -> None:
    """The table, and below it each parting as two texts."""
    from IPython.display import display

    from gptoss_magic.widgets.partings import partings_html, partings_text
    from gptoss_magic.widgets.tables import table_html, table_text

    if not done:
        return
    rows = [row(one) for one in done]
    pairs = dict(parted(one) for one in done if one.parting)
    data = {
        "text/html": table_html(HEADERS, rows) + partings_html(pairs),
        "text/plain": "\n\n".join(filter(None, (table_text(HEADERS, rows), partings_text(pairs)))),
    }
    display(data, raw=True)


def parted(one: Replayed) -> tuple[str, tuple[str, str, str]]:
    """A title, and the texts to it: what both say, and how each goes on."""
    parting = one.parting
    assert parting is not None
    texts = (parting.before, parting.recorded_rest, parting.here_rest)
    return f"cell {one.answer.cell}, from token {parting.at} on", texts


def row(one: Replayed) -> tuple[Any, ...]:
    """An answer's line."""
    asked = in_width(one.answer.asked, WIDTH)
    change = "" if one.change is None else f"{one.change:.4f}"
    return str(one.answer.cell), asked, one.words, change, "; ".join(one.notes)
