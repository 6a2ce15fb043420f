"""`%gptoss` (load, status, unload, traceback) and `%%gptoss` (a prompt)."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Dict, Float, Int, Unicode

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.door import through
from gptoss_magic.magics.nouns import BY_NAME, help_text
from gptoss_magic.magics.plain import PLAIN
from gptoss_magic.session import current
from gptoss_magic.vocabulary import EFFORT, EFFORTS, MAX_TOKENS, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROMPT = opt.parser(
    "%%gptoss",
    opt.PROMPT,
    "Prompt the resident model with the cell's text.",
    [
        "%%gptoss\nWhat is the capital of France?",
        "%%gptoss --new --effort high -t 0 -o answer\nSum up {{ text }} in one line.",
        "%%gptoss --rag docs\nWhen was the bridge opened?",
        "%%gptoss --tool get_weather --tool python\nIs it warmer in Lisbon than in Oslo?",
        "%%gptoss --map towns --into country\nIn which country is {{ city }}?",
    ],
    opt.PROMPT_GROUPS,
)
HELP = help_text()


@magics_class
class GptOssMagics(Magics):
    """Defaults of `%%gptoss`; set them by `%config GptOssMagics.NAME = VALUE`."""

    temperature = Float(None, allow_none=True, help="None: as the checkpoint asks").tag(config=True)
    top_p = Float(1.0).tag(config=True)
    top_k = Int(0).tag(config=True)
    max_tokens = Int(MAX_TOKENS).tag(config=True)
    effort = Unicode(EFFORT, help=", ".join(EFFORTS)).tag(config=True)
    system = Unicode(None, allow_none=True, help="instructions for each prompt").tag(config=True)
    date = Unicode(None, allow_none=True, help="pinned current date").tag(config=True)
    seed = Int(None, allow_none=True, help="None: drawn and recorded").tag(config=True)
    rag = Unicode(None, allow_none=True, help="index to answer from").tag(config=True)
    routing = Bool(False, help="record where each token goes").tag(config=True)
    calls = Int(8, help="tools: calls of one prompt, at most").tag(config=True)
    call_seconds = Float(60.0, help="tools: of one call, at most").tag(config=True)
    run_seconds = Float(1800.0, help="tools: of all turns and calls, at most").tag(config=True)
    answers: Any = Dict(
        help="what was answered, by the cell's number: for %gptoss index --notebook"
    )
    evaluated: Any = None  # (planned, Evaluated) of the last evaluation, for its flips
    panel: Any = None  # what shows these, where `%gptoss panel` was run

    @no_var_expand
    @line_magic("gptoss")
    def line(self, line: str) -> None:
        through("%gptoss", self._command, line)

    def _command(self, line: str) -> None:
        command, _, rest = line.strip().partition(" ")
        commands: dict[str, Callable[[str], None]] = {
            **dict.fromkeys(("", *opt.HELP), lambda rest: print(HELP, end="")),
            "load": self._load,
            "status": self._status,
            "unload": self._unload,
            "traceback": self._traceback,
            "bench": self._bench,
        }
        if command in commands:
            return commands[command](rest)
        if command not in BY_NAME:
            known = [*PLAIN, *BY_NAME]
            near = nearest(command, known) or f"; there are {', '.join(known)}"
            raise InputError(f"%gptoss {command}: no such command{near}")
        BY_NAME[command].run(rest, self)

    @no_var_expand
    @cell_magic("gptoss")
    def cell(self, line: str, cell: str) -> None:
        through("%%gptoss", self._prompt, line, cell)

    def _prompt(self, line: str, cell: str) -> None:
        from gptoss_magic.magics.branch import change_answer
        from gptoss_magic.magics.live import cell_number
        from gptoss_magic.magics.mapping import map_frame
        from gptoss_magic.magics.prompt import ask

        options = opt.parse(PROMPT, line)
        names = self.shell.user_ns
        opt.check_together(options)
        if options.edit or options.branch is not None:
            return change_answer(options, cell, names)
        run = map_frame if options.map else ask
        answer = run(options, cell, names, self)
        self.answers[cell_number(self.shell)] = getattr(answer, "final", "")

    def _load(self, line: str) -> None:
        from gptoss_magic.turns import load
        from gptoss_magic.widgets.progress import ProgressView

        chosen = opt.parse(PLAIN["load"], line)
        if current().loaded and not chosen.replace and chosen.model is None:
            print(load())
            return
        settings = {key: value for key, value in vars(chosen).items() if key != "model"}
        with ProgressView(chosen.model or "model") as bar:
            bar.finish(load(chosen.model, progress=bar.update, on_plan=show_plan, **settings))

    def load_default(self) -> None:
        """Load what fits this machine, in sight, where no model is loaded."""
        if current().loaded is None:
            self._load("")

    def _status(self, line: str) -> None:
        from gptoss_magic.turns.status import status

        opt.parse(PLAIN["status"], line)
        show_lines(status(current()))

    def _unload(self, line: str) -> None:
        opt.parse(PLAIN["unload"], line)
        remote = current().remote
        current().unload()
        print(
            f"disconnected from {remote.url}" if remote else "unloaded: the model's memory is free"
        )

    def _bench(self, line: str) -> None:
        from gptoss_magic.turns.loading import as_markdown, bench_figures

        opt.parse(PLAIN["bench"], line)
        figures = bench_figures()
        show_lines(figures, as_markdown(figures), ("figure", "value"))

    def _traceback(self, line: str) -> None:
        opt.parse(PLAIN["traceback"], line)
        error = current().last_error
        print("".join(traceback.format_exception(error)) if error else "no error so far")


def show_lines(
    known: Mapping[str, Any], text: str = "", headers: tuple[str, str] = ("what", "now")
) -> None:
    """What is known, by name: a table, and `text`, or lines."""
    from IPython.display import display

    from gptoss_magic.widgets.tables import table_html

    rows = [(name, str(value)) for name, value in known.items()]
    text = text or "\n".join(f"{name:<15}{value}" for name, value in rows)
    display({"text/html": table_html(headers, rows), "text/plain": text}, raw=True)


def show_plan(plan: Any) -> None:
    """The memory plan, before anything is read."""
    from IPython.display import display

    from gptoss_magic.widgets.tables import memory_html

    html = memory_html(f"{plan.model}: memory", plan.rows())
    display({"text/html": html, "text/plain": plan.table()}, raw=True)


GptOssMagics.cell.__doc__ = PROMPT.format_help()
GptOssMagics.line.__doc__ = HELP
