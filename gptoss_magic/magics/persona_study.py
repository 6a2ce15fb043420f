"""`%gptoss persona score` and `distil`: what a persona's text does, and rows of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.studies.persona import PersonaScore


def score(options: Namespace, magics: Any) -> None:
    """Measure, show figures and answers, and keep the PersonaScore."""
    from gptoss_magic.studies.persona import read_prompts, score_persona
    from gptoss_magic.widgets.progress import ProgressView

    prompts, voice = read_prompts(options.prompts, magics.shell.user_ns), _voice(options)
    with ProgressView(f"{options.name}", lambda done, total: f"{done} of {total}") as bar:
        found = score_persona(
            voice,
            prompts,
            adapter=options.adapter or "",
            max_tokens=options.max_tokens,
            date=magics.date,
            progress=bar.update,
        )
        bar.finish(f"{options.name}: {counted(len(found.probes), 'prompt')}")
    show_score(found)
    if options.output:
        magics.shell.user_ns[options.output] = found


def distil(options: Namespace, magics: Any) -> None:
    """Write rows of the persona's answers as JSON lines, and show them for review."""
    from IPython.display import display

    from gptoss_magic.magics.data import bundle
    from gptoss_magic.studies.persona import distilled, read_prompts
    from gptoss_magic.widgets.progress import ProgressView

    path = Path(options.file).expanduser()
    if path.suffix != ".jsonl" or path.exists():
        raise InputError(f"-o {options.file}: give a new .jsonl file")
    prompts, voice = read_prompts(options.prompts, magics.shell.user_ns), _voice(options)
    with ProgressView("rows", lambda done, total: f"{done} of {total}") as bar:
        found = distilled(
            voice, prompts, max_tokens=options.max_tokens, date=magics.date, progress=bar.update
        )
        bar.finish(f"{counted(len(found.rows), 'row')} of {counted(found.attempts, 'prompt')}")
    if not found.rows:
        raise InputError(
            f"{options.name}: no answer can be a row: {found.rejected[0][1]}; give other --prompts"
        )
    lines = [json.dumps(row, ensure_ascii=False) for row in found.to_records()]
    display(bundle(found), raw=True)  # first: what took minutes is seen if the disk is full
    with whole_file(path) as file:
        file.write_text("\n".join([*lines, ""]), "utf-8")
    print(f"{counted(len(lines), 'row')} in {path}: read them, then %gptoss_tune {path}")


def show_score(found: PersonaScore) -> None:
    """A table of the figures, and the answers beside each other, folded."""
    from IPython.display import display

    from gptoss_magic.widgets.tables import table_html, table_text

    figures, heads = figure_rows(found), ("prompt", *found.probes[0].answers)
    rows = [(p.prompt, *(a.final for a in p.answers.values())) for p in found.probes]
    sums = ("figure", "value", "what it is")
    html = (
        f"{table_html(sums, figures)}<details><summary>{counted(len(rows), 'answer')}</summary>"
        f"{table_html(heads, rows)}</details>"
    )
    text = f"{table_text(sums, figures)}\n\n{table_text(heads, rows)}"
    display({"text/html": html, "text/plain": text}, raw=True)


def figure_rows(found: PersonaScore) -> list[tuple[str, str, str]]:
    """(figure, value, meaning) in words."""
    rows = [
        (
            "answers changed",
            f"{found.changed:.0%}",
            "prompts whose answer is another with the text",
        ),
        ("gain of the text", f"{found.gain:.3f}", "nats a token, on the persona's answers"),
    ]
    if not found.adapter:
        return rows
    gain = found.adapter_gain or 0.0
    return [
        *rows,
        (f"gain of {found.adapter}", f"{gain:.3f}", "nats a token, on the adapter's answers"),
        (
            "by context alone",
            _share(found, "context_share"),
            f"of the effect of {found.adapter}, on its answers",
        ),
        (
            "by the adapter alone",
            _share(found, "adapter_share"),
            "of the effect of the text, on the persona's answers",
        ),
    ]


def _share(found: PersonaScore, name: str) -> str:
    """`64 % (51 to 75 %)`: the share and its 90 % interval."""
    value, interval = getattr(found, name), found.interval(name)
    if value is None or interval is None:
        return "no effect"
    return f"{value:.0%} ({interval[0]:.0%} to {interval[1]:.0%})"


def _voice(options: Namespace) -> Persona:
    """The persona with what it extends; the model is loaded where none is."""
    from gptoss_magic.agents.layers import overlay
    from gptoss_magic.turns import load

    voice = overlay(current().layers([options.name]))
    if current().loaded is None:
        print(load())
    return voice
