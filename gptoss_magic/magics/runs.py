"""`%gptoss runs`: tuning runs listed, shown and compared; followed, stopped, written as a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.checks import check_nothing
from gptoss_magic.magics.tune_options import FOLDER, RUNS
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from gptoss_magic.tuning.runs import Run

OPTIONS: list[opt.Option] = [
    (
        ("words",),
        {"nargs": "*", "help": "list, compare, show, attach or stop, and NAMEs; export NAME PATH"},
    ),
    (("-o", "--output"), {"help": "attach: put the report into this variable"}),
    (("-q", "--quiet"), {"action": "store_true", "help": "attach: show no panel"}),
    (
        ("--mxfp4",),
        {"action": "store_true", "help": "export: experts in MXFP4, and the loss that it costs"},
    ),
    RUNS,
]
PARSER = opt.parser(
    "%gptoss runs",
    OPTIONS,
    "Tuning runs: list, compare, show, attach, stop; export what trained every weight as a model.",
    [
        *("%gptoss runs", "%gptoss runs compare tuned wider", "%gptoss runs attach tuned"),
        "%gptoss runs export whole ./whole-mxfp4 --mxfp4",
    ],
)
COMMANDS = ("list", "compare", "show", "attach", "stop", "export")
HEADERS = ("run", "method", "steps", "loss", "held out", "general text", "ended", "made")
COLOURS = ("#3b7dd8", "#d9822b", "#3fa66b", "#a05cc8", "#c8503c", "#5b6b7b")


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss runs`."""
    given = opt.parse(PARSER, line)
    command, *names = given.words or ["list"]
    if command not in COMMANDS:
        raise InputError(f"%gptoss runs {command}: there are {', '.join(COMMANDS)}")
    if command != "attach" and (given.output or given.quiet):
        raise InputError("--output and --quiet mean something beside attach only")
    if command == "export":
        return export(names, given)
    if given.mxfp4:
        raise InputError("--mxfp4 means something beside export only")
    if command == "stop":
        check_nothing("%gptoss runs stop", " ".join(names[1:]))
        return stop_launched(names[0], given) if names else stop()
    if command == "attach":
        return attach(names, given, magics.shell.user_ns)
    found = chosen(Path(given.runs or FOLDER), names)
    if not found:
        print(f"{given.runs or FOLDER}: no runs yet")
        return None
    show(found, curves=command != "list")


def words(_typed: list[str]) -> list[str]:
    return [*COMMANDS]


def attach(names: Sequence[str], given: Namespace, variables: dict[str, Any]) -> None:
    """Follow a launched run, whoever started it, to its report."""
    from gptoss_magic.magics.tune_launch import follow_run
    from gptoss_magic.ranks.run import found

    if len(names) != 1:
        raise InputError("%gptoss runs attach: give the name of one run")
    follow_run(found(names[0], Path(given.runs or FOLDER)), given, variables)


def export(words: Sequence[str], given: Namespace) -> None:
    """Write a run of every weight as a checkpoint; in MXFP4 the loss of that is measured."""
    from gptoss_magic.runs.prepare import resume
    from gptoss_magic.runs.whole_model import check_whole, cost_line, loss_in_mxfp4, write_model

    if len(words) != 2:
        raise InputError("%gptoss runs export: give the name of one run, and a new directory")
    name, target = words[0], Path(words[1]).expanduser()
    (run,) = chosen(Path(given.runs or FOLDER), [name])
    check_whole(run)
    current().ready()
    write_model(run, target, is_packed=given.mxfp4)
    kind = "its experts in MXFP4" if given.mxfp4 else "as it was trained"
    print(f"{name} written to {target}, {kind}: %gptoss load {target}")
    if given.mxfp4:
        print(cost_line(run, loss_in_mxfp4(resume(name, run.folder.parent, watched=False))))


def stop_launched(name: str, given: Namespace) -> None:
    """Ask a run that goes on by itself to end after its step."""
    from gptoss_magic.ranks.folder import Wish
    from gptoss_magic.ranks.run import found

    folder = found(name, Path(given.runs or FOLDER)).folder
    if not folder.goes_on():
        raise InputError(f"{name}: no process of it runs; see %gptoss runs list")
    folder.wish(Wish("stop"))
    print(f"{name} stops after this step; %gptoss runs attach {name} gives its report")


def stop() -> None:
    """Ask the run that trains in the background to end after its step."""
    training = current().training
    if training is None:
        raise InputError("no run trains in the background; see %gptoss runs list")
    name, control = training
    control.stop()
    print(f"{name} stops after this step")


def chosen(folder: Path, names: Sequence[str]) -> list[Run]:
    """The runs of those names, or all. Raises InputError for a name that is none."""
    from gptoss_magic.tuning.runs import all_runs, read_run

    return [read_run(folder / name) for name in names] if names else all_runs(folder)


def show(found: Sequence[Run], *, curves: bool) -> None:
    """A table, and with `curves` the losses of all over each other."""
    from IPython.display import display

    from gptoss_magic.widgets.tables import table_html, table_text

    rows = [row(run) for run in found]
    html = table_html(HEADERS, rows) + (charts(found) if curves else "")
    data = {"text/html": html, "text/plain": table_text(HEADERS, rows)}
    display(data, raw=True)


def row(run: Run) -> tuple[Any, ...]:
    """A run in figures; what is not known is empty."""
    history, report = run.history(), run.report
    held = (report.get("held_out") or [None, None])[1]
    text = report["canary"][1]["text"] if report.get("canary") else None
    steps = f"{history[-1].step} of {history[-1].num_steps}" if history else "none"
    loss = history[-1].loss if history else None
    return (run.name, run.method.name, steps, loss, held, text, run.finish, run.made[:16])


def charts(found: Sequence[Run]) -> str:
    """Training and held-out losses, a line for each run."""
    from gptoss_magic.widgets.curves import Curve, chart_html

    train, held = [], []
    for number, run in enumerate(found):
        colour, history = COLOURS[number % len(COLOURS)], run.history()
        train.append(Curve(run.name, [(m.step, m.loss) for m in history], colour))
        points = [(m.step, m.eval_loss) for m in history if m.eval_loss is not None]
        held.append(Curve(run.name, points, colour))
    return chart_html("loss", train) + chart_html("held-out loss", held)
