"""`%%gptoss --map FRAME`: the cell is a template, answered for each row."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics.prompt import check_output, chosen_settings, named
from gptoss_magic.magics.voice import persona_names

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.records import Mapped


def map_frame(options: Namespace, body: str, names: dict[str, Any], defaults: Any) -> Mapped:
    """Run the cell: `names` is the notebook's namespace, `defaults` the magics' traits."""
    from gptoss_magic.turns import PROVENANCE_KEY
    from gptoss_magic.turns import map as answer_rows
    from gptoss_magic.widgets.progress import ProgressView

    check_output(options.output)
    if options.tool:
        raise InputError("--map: rows are answered without tools; leave --tool out")
    if options.rag:
        raise InputError("--map: rows are answered without an index; leave --rag out")
    if options.routing or options.mask_experts or options.force_experts:
        raise InputError(
            "--map: rows are answered without probes and routing; score the answers by "
            "%gptoss routing"
        )
    with ProgressView(f"{options.map}[{options.into!r}]", rows_text) as bar:
        mapped = answer_rows(
            named("--map", options.map, names),
            body,
            into=options.into,
            names=names,
            schema=named("--schema", options.schema, names) if options.schema else None,
            batch=options.batch,
            journal=options.journal,
            new=options.new,
            adapters=options.adapter,
            persona=persona_names(options),
            stop=tuple(options.stop or ()),
            on_row=_speed(bar),
            **chosen_settings(options, defaults),
        )
        bar.finish(mapped_text(mapped, options), {PROVENANCE_KEY: mapped.provenance})
    if options.output:
        names[options.output] = mapped
    return mapped


def _speed(bar: Any) -> Any:
    began = monotonic()

    def on_row(done: int, total: int, tokens: int) -> None:
        bar.update(done, total, f"{tokens / max(monotonic() - began, 1e-9):.0f} tokens/s")

    return on_row


def rows_text(done: int, total: int) -> str:
    """`12 of 64 rows`."""
    return f"{done} of {total} rows"


def mapped_text(mapped: Mapped, options: Namespace) -> str:
    """One line: what was done, what failed, what to do next."""
    fresh = mapped.done - mapped.kept
    words = [f"{options.map}[{options.into!r}]: {rows_text(mapped.done, mapped.rows)}"]
    if mapped.kept:
        words.append(f"{mapped.kept} of them from the journal (--new asks them again)")
    if mapped.failed:
        words.append(f"{mapped.failed} failed: see {options.into}_error")
    if mapped.finish == "interrupt":
        words.append("interrupted: run the cell again to go on")
    speed = mapped.completion_tokens / mapped.total_s
    words.append(f"{fresh} rows in {mapped.total_s:.1f} s, {speed:.0f} tokens/s")
    return " · ".join([*words, f"journal {_short(mapped.journal)}"])


def _short(path: str) -> str:
    """The path with ~ for the user's home."""
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(home) else path
