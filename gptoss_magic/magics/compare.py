"""`%gptoss compare PROMPT…`: one prompt over a grid of settings, side by side."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.lora import adapters
from gptoss_magic.magics.prompt import traits_of
from gptoss_magic.magics.show import transcript
from gptoss_magic.session import current
from gptoss_magic.vocabulary import SAMPLER, check_effort

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from gptoss_magic.turns.grid import Axes, Compared, Grid, Setting

MOST = 64  # answers without --yes


def listed(read: Callable[[str], Any], what: str) -> Callable[[str], tuple[Any, ...]]:
    """A reader of `a,b,c`; what cannot be read is said with `what` there may be."""

    def parse(text: str) -> tuple[Any, ...]:
        try:
            return tuple(read(word.strip()) for word in text.split(","))
        except ValueError:
            raise ArgumentTypeError(f"{text!r}: give {what}, with commas between") from None

    return parse


def name(word: str) -> str:
    """Raises ValueError for no name."""
    if not word:
        raise ValueError(word)
    return word


TEMPERATURE, SEED = SAMPLER["temperature"].read, SAMPLER["seed"].read
COMPARE: list[opt.Option] = [
    (("prompt",), {"nargs": "+", "metavar": "PROMPT", "help": "its words; quotes keep spaces"}),
    (
        ("-t", "--temperature"),
        {
            "type": listed(TEMPERATURE, "numbers from 0"),
            "default": (),
            "help": "such as 0,0.7",
        },
    ),
    (
        ("-e", "--effort"),
        {
            "type": listed(check_effort, "low, medium or high"),
            "default": (),
            "help": "such as low,high",
        },
    ),
    (
        ("-P", "--persona"),
        {"type": listed(name, "names"), "default": (), "help": "none,x: nobody, x; x+y: laid over"},
    ),
    (
        ("-a", "--adapter"),
        {"type": listed(name, "names"), "default": (), "help": "base,x: the bare base, x; x+y"},
    ),
    (
        ("-s", "--seed"),
        {
            "type": listed(SEED, "whole numbers from 0"),
            "default": (),
            "help": "such as 1,2",
        },
    ),
    (("-m", "--max-tokens"), {"type": int, "help": "at most so many new tokens"}),
    (("-Y", "--yes"), {"action": "store_true", "help": f"also more than {MOST} answers"}),
    (("-o", "--output"), {"help": "put the Grid into this variable; .to_frame() is a DataFrame"}),
]
PARSER = opt.parser(
    "%gptoss compare",
    COMPARE,
    "One prompt over a grid of settings.",
    [
        "%gptoss compare What is 4+9? -e low,high",
        "%gptoss compare Name a colour. -t 0,0.7,1.2 -s 1,2 -o grid",
        "%gptoss compare Tell a story. -P none,poet -a base,verse",
    ],
)


def run(line: str, magics: Any) -> None:
    """One line: answers as they come, then a table and the answers side by side."""
    from gptoss_magic.turns import Axes

    given = opt.parse(PARSER, line)
    axes = Axes(given.temperature, given.effort, given.persona, given.adapter, given.seed)
    check_size(len(axes.points()), given)
    found = answered(axes, given, magics)
    show(found)
    if given.output:
        magics.shell.user_ns[given.output] = found


def words(typed: list[str]) -> list[str]:
    """Options; behind --adapter and --persona those that are there."""
    if len(typed) > 1 and typed[-2] in ("-a", "--adapter"):
        return ["base", *adapters()]
    if len(typed) > 1 and typed[-2] in ("-P", "--persona"):
        return ["none", *current().personas]
    return opt.flags(COMPARE)


def check_size(size: int, given: Namespace) -> None:
    """Raise InputError for a grid that takes long, unless the user wants it."""
    if size > MOST and not given.yes:
        raise InputError(
            f"the grid has {size} answers, {MOST} at most: take values away, or add --yes"
        )


def answered(axes: Axes, given: Namespace, magics: Any) -> Grid:
    """Every answer; after ■ those that are done, and the one that was cut off."""
    from gptoss_magic.turns import Grid, grid
    from gptoss_magic.widgets.progress import ProgressView

    prompt, total = " ".join(given.prompt), len(axes.points())
    cells: list[Compared] = []
    each = grid(prompt, axes, traits_of(magics), **settings(magics, prompt, given))
    with ProgressView("compare", answers_text) as bar:
        bar.update(0, total)
        try:
            for cell in each:
                cells.append(cell)
                bar.update(len(cells), total, label(cell.point))
        except KeyboardInterrupt:
            pass
        whole = sum(cell.base is not None for cell in cells)
        how = "" if whole == total else "; interrupted, the rest is left out"
        bar.finish(f"{answers_text(whole, total)}{how}")
    return Grid(prompt, total, tuple(cells))


def settings(magics: Any, prompt: str, given: Namespace) -> dict[str, Any]:
    """What the line says for every point."""
    from gptoss_magic.magics.search import passages_of

    passages = passages_of(magics.rag, prompt, magics.shell.user_ns)
    return {
        "passages": passages,
        "max_tokens": given.max_tokens,
        "ready": magics.load_default,
    }


def answers_text(done: int, total: int) -> str:
    """`3 of 8 answers`."""
    return f"{done} of {total} answers"


def label(point: dict[str, Setting]) -> str:
    """`temperature 0.7 · effort low`."""
    words = (f"{key} {_short(value)}" for key, value in point.items())
    return " · ".join(words) or "as the settings say"


def show(found: Grid) -> None:
    """A table of figures, then the answers beside each other; in the metadata how each was made."""
    from IPython.display import display

    from gptoss_magic.sharing.notebooks import KEY
    from gptoss_magic.turns.record import record_of
    from gptoss_magic.widgets.tables import (
        side_by_side_html,
        side_by_side_text,
        table_html,
        table_text,
    )

    if not found.cells:
        return
    names = [label(point) for point in varied([cell.point for cell in found.cells])]
    cells = dict(zip(names, found.cells, strict=True))
    answers = {name: transcript(cell.answer) for name, cell in cells.items()}
    notes = {name: figures(cell) for name, cell in cells.items()}
    given, rows = (found.prompt, answers, notes), table(found)
    data = {
        "text/html": table_html(*rows) + side_by_side_html(*given),
        "text/plain": table_text(*rows[:2]) + "\n\n" + side_by_side_text(*given),
    }
    made = {KEY: {"grid": [record_of(cell.answer) for cell in found.cells]}}
    display(data, raw=True, metadata=made)


def varied(points: list[dict[str, Setting]]) -> list[dict[str, Setting]]:
    """The points without the axes on which all are the same; one point as it is."""
    if len(points) < 2:
        return points
    axes = [axis for axis in points[0] if len({str(point.get(axis)) for point in points}) > 1]
    return [{axis: point[axis] for axis in axes if axis in point} for point in points]


def table(found: Grid) -> tuple[list[str], list[list[Any]], str]:
    """Headers, rows and caption: a row an answer."""
    axes = list(found.cells[0].point)
    headers = [*axes, "nats/token, bare base", "nats/token, as made", "tokens", "ended by"]
    rows = [
        [
            *(_short(cell.point[axis]) for axis in axes),
            cell.base,
            cell.own,
            cell.answer.usage.completion_tokens,
            cell.answer.finish,
        ]
        for cell in found.cells
    ]
    return headers, rows, "Mean log-likelihood at temperature 1; nearer to 0 is likelier."


def figures(cell: Compared) -> dict[str, str]:
    """The likelihoods below an answer."""
    known = {"bare base": cell.base, "as made": cell.own}
    if cell.base == cell.own:
        known.pop("as made")
    return {
        f"nats/token, {name}": f"{value:.3f}" for name, value in known.items() if value is not None
    }


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
