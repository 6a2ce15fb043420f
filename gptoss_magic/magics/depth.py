"""`%%gptoss_depth`: a plan first; with --go the study, rung by rung, and what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.checks import check_alone
from gptoss_magic.magics.depth_report import show
from gptoss_magic.magics.door import through
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.records.depth import Depth, DepthPlan
    from gptoss_magic.studies.depth.runner import DepthStudy

DEPTH: list[opt.Option] = [
    (("name",), {"nargs": "?", "help": "what the study is called; depth"}),
    (("-G", "--go"), {"action": "store_true", "help": "run it; without it only the plan is shown"}),
    (("-M", "--minutes"), {"type": float, "help": "the budget: rungs beyond it are dropped; 60"}),
    (("-r", "--rungs"), {"help": "steps of the ladder, such as 0,1,7-9; all"}),
    (("-t", "--strengths"), {"choices": ["usual", "all"], "help": "of each rung; all"}),
    (("-u", "--held-out"), {"type": int, "help": "rows that are asked; a third of them"}),
    (("-s", "--seed"), {"type": int, "help": "of the split, of items and of runs; 0"}),
    (("-g", "--guards"), {"help": "what must not break: reasoning,tool-calls,…; all"}),
    (("-c", "--resume"), {"help": "go on with this study where it stopped"}),
    (("-o", "--output"), {"help": "put the Depth into this variable"}),
]
PARSER = opt.parser(
    "%%gptoss_depth",
    DEPTH,
    "How deep a task can be specialised for.",
    [
        "%%gptoss_depth radio --minutes 30\nrows: rows\nchecker: is_radio",
        "%gptoss_depth --resume radio",
    ],
)


@magics_class
class DepthMagics(Magics):
    """`%%gptoss_depth`, with a body of YAML; `%gptoss_depth --resume NAME` without."""

    @no_var_expand
    @line_cell_magic("gptoss_depth")
    def depth(self, line: str, cell: str | None = None) -> None:
        through("%%gptoss_depth", depth, line, cell or "", self.shell.user_ns)


DepthMagics.depth.__doc__ = PARSER.format_help()


def depth(line: str, body: str, names: dict[str, Any]) -> None:
    """One cell: the plan alone, or with --go (or --resume) the study itself."""
    given = opt.parse(PARSER, line)
    check(given, body)
    study = study_of(given, body, names)
    show_plan(study.plan)
    if not (given.go or given.resume):
        print("nothing is run; add --go to run it")
        return
    found = run(study)
    show(found)
    if given.output:
        names[given.output] = found


def check(given: Namespace, body: str) -> None:
    """Raise InputError for what means nothing beside the rest of the line."""
    if not given.resume:
        return
    check_alone("%%gptoss_depth", given, "--resume", ("output", "go"))
    if body.strip():
        raise InputError(f"--resume {given.resume} has its body already: leave the cell empty")


def study_of(given: Namespace, body: str, names: dict[str, Any]) -> DepthStudy:
    """The study of a line, planned or as it lies there. Raises InputError."""
    from gptoss_magic.studies.depth import study as studies
    from gptoss_magic.studies.depth.body import read_body

    if given.resume:
        return studies.resumed(given.resume, names=names)
    said = read_body(body, guards=given.guards)
    setting = setting_of(given)
    return studies.planned(given.name or studies.NAME, said, setting, names=names)


def setting_of(given: Namespace) -> Any:
    """What the line says of budget, rungs and split."""
    from gptoss_magic.studies.depth.ladder import read_steps
    from gptoss_magic.studies.depth.plan import StudySetting

    plain = StudySetting()
    return StudySetting(
        minutes=plain.minutes if given.minutes is None else given.minutes,
        steps=read_steps(given.rungs or ""),
        strengths=given.strengths or plain.strengths,
        num_held=given.held_out,
        seed=given.seed or 0,
    )


def run(study: DepthStudy) -> Depth:
    """The study under a bar that says which rung it is at."""
    from gptoss_magic.studies.depth.study import begin
    from gptoss_magic.widgets.progress import ProgressView

    begin(study)
    with ProgressView(study.task.name, lambda done, total: f"{done} of {total}") as bar:
        found = study.run(progress=bar.update)
        bar.finish(summary(found))
    return found


def summary(found: Depth) -> str:
    """One line: how many rungs are done, and how to go on where it was interrupted."""
    done, total = len(found.results), len(found.plan.rungs)
    name = found.plan.task
    how = (
        f"; interrupted: %gptoss_depth --resume {name} goes on" if found.finish != "return" else ""
    )
    return f"{name}: {done} of {total} rungs{how}"


def show_plan(plan: DepthPlan) -> None:
    """Rungs with their times, what is dropped and why, guards, and what can be seen at all."""
    from gptoss_magic.magics.index import show_table
    from gptoss_magic.tuning.plan import duration

    for note in plan.notes:
        print(note)
    rows = [(one.step, one.name, one.strength, duration(one.seconds), "") for one in plan.rungs]
    rows += [
        (one.rung.step, one.rung.name, one.rung.strength, "dropped", one.why)
        for one in plan.dropped
    ]
    show_table(("", "rung", "strength", "takes about", "why not"), rows, plan_line(plan))
    guards = [(one.name, one.num_items, _least(one.smallest), one.words) for one in plan.guards]
    show_table(("guard", "items", "least damage seen", "what"), guards)


def _least(smallest: float | None) -> str:
    if smallest is None:
        return ""
    return f"{smallest:.0%}" if smallest <= 1 else "none: too few"


def plan_line(plan: DepthPlan) -> str:
    """The plan's figures in a line or two."""
    from gptoss_magic.studies.depth.words import from_points
    from gptoss_magic.tuning.plan import duration

    memory = f", {plan.memory / 1e9:.2f} GB beside the model" if plan.memory else ""
    return (
        f"{plan.task}: {counted(plan.num_train, 'row')} to learn from, "
        f"{plan.num_held_out} held out, graded "
        f"by {plan.graded_by}; a gain is seen {from_points(plan.smallest)}. "
        f"{len(plan.rungs)} rungs, about {duration(plan.expected)} of "
        f"{duration(plan.seconds)}{memory}; seed {plan.seed}"
    )
