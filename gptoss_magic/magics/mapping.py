"""`%%gptoss --map FRAME`: the cell is a template, answered for each row."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from time import monotonic
from typing import TYPE_CHECKING, Any

from gptoss_magic.magics.prompt import line_of, named, traits_of
from gptoss_magic.vocabulary import BATCH, counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.records import Mapped

INTO = "answer"  # the column for the answers, where nothing is said
WIDTH = 120  # of an error in the line below a map


def map_frame(options: Namespace, body: str, names: dict[str, Any], magics: Any) -> Mapped:
    """Run the cell: `names` is the notebook's namespace, `magics` has the defaults."""
    from gptoss_magic.sharing.notebooks import KEY
    from gptoss_magic.turns import map as answer_rows
    from gptoss_magic.widgets.progress import ProgressView

    options.into = options.into or INTO
    with ProgressView(f"{options.map}[{options.into!r}]", rows_text) as bar:
        mapped = answer_rows(
            named("--map", options.map, names),
            body,
            into=options.into,
            names=names,
            batch=BATCH if options.batch is None else options.batch,
            journal=options.journal,
            on_row=_speed(bar),
            defaults={**traits_of(magics), "routing": None},
            ready=magics.load_default,
            **{**line_of(options, names), "conversation": None},
        )
        bar.finish(
            mapped_text(mapped, options),
            {KEY: {**mapped.provenance, "map": map_record(mapped)}},
        )
    if options.output:
        names[options.output] = mapped
    return mapped


def map_record(mapped: Mapped) -> dict[str, Any]:
    """What finds the rows again in their journal."""
    from gptoss_magic.turns.rows.journal import KEY_DIGITS

    keys = "".join(key[:KEY_DIGITS] for key in mapped.keys)
    return {"rows": mapped.rows, "journal": _short(mapped.journal), "keys": keys}


def _speed(bar: Any) -> Any:
    began = monotonic()

    def on_row(done: int, total: int, tokens: int) -> None:
        bar.update(done, total, f"{tokens / max(monotonic() - began, 1e-9):.0f} tokens/s")

    return on_row


def rows_text(done: int, total: int) -> str:
    """`12 of 64 rows`."""
    return f"{done} of {counted(total, 'row')}"


def mapped_text(mapped: Mapped, options: Namespace) -> str:
    """One line: what was done, what failed, what to do next."""
    fresh = mapped.done - mapped.kept
    words = [f"{options.map}[{options.into!r}]: {rows_text(mapped.done, mapped.rows)}"]
    if mapped.kept:
        words.append(f"{mapped.kept} of them from the journal (--new asks them again)")
    if mapped.failed:
        first = f"{mapped.failed} failed: see {options.into}_error; the first: "
        words.append(first + shorten(mapped.why, WIDTH, placeholder=" …"))
    if mapped.num_broken:
        words.append(
            f"{mapped.num_broken} with half a character (a lone surrogate), read as U+FFFD"
        )
    if mapped.finish == "interrupt":
        words.append("interrupted: run the cell again to go on")
    speed = mapped.completion_tokens / mapped.total_s
    words.append(f"{counted(fresh, 'row')} in {mapped.total_s:.1f} s, {speed:.0f} tokens/s")
    return " · ".join([*words, f"journal {_short(mapped.journal)}"])


def _short(path: str) -> str:
    """The path with ~ for the user's home."""
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(home) else path
