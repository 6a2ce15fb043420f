"""`%%gptoss_goal NAME`: goals with a test each, worked on until they pass; `%gptoss goal …`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.consent import confirm, visible
from gptoss_magic.magics.door import through
from gptoss_magic.magics.goal_commands import keep, path_of, rows, say, show, show_list
from gptoss_magic.magics.memory import name_notebook
from gptoss_magic.magics.prompt import traits_of
from gptoss_magic.magics.toolbox import consent_of, tool_finder
from gptoss_magic.session import current
from gptoss_magic.vocabulary import SAMPLER

if TYPE_CHECKING:
    from gptoss_magic.records.goals import Goal, GoalBoard, GoalPlan

SHARED = (
    *("--temperature", "--top-p", "--top-k", "--max-tokens", "--seed", "--effort", "--system"),
    *("--persona", "--date", "--adapter", "--tool", "--output", "--quiet"),
)
JOURNAL = (("-J", "--journal"), {"help": "the file that keeps what is done"})
GOAL: list[opt.Option] = [
    (("name",), {"help": "what these goals are called: the same name goes on"}),
    *(option for option in opt.PROMPT if set(option[0]) & set(SHARED)),
    (("-n", "--new"), {"action": "store_true", "help": "begin anew, whatever was tried before"}),
    (("-A", "--again"), {"action": "store_true", "help": "goals that failed begin anew"}),
    (("-L", "--lanes"), {"type": int, "help": "goals at a time, at most; 8"}),
    (("--yes",), {"action": "store_true", "help": "prose: run the goals that are made of it"}),
    JOURNAL,
]
PARSER = opt.parser(
    "%%gptoss_goal",
    GOAL,
    "Goals in YAML, each with a test; or prose, planned.",
    [
        "%%gptoss_goal trip\ngoals:\n  city: {text: Name a city of Norway., test: tick}",
        "%%gptoss_goal trip --again",
    ],
)
NAME = (("name",), {"help": "what the goals are called"})
OPTIONS: dict[str, list[opt.Option]] = {
    "list": [],
    "show": [NAME, JOURNAL],
    "tick": [
        NAME,
        (("goal",), {"nargs": "+", "help": "one that waits for your tick"}),
        (("--no",), {"action": "store_true", "help": "it does not pass"}),
        JOURNAL,
    ],
    "rows": [NAME, (("path",), {"help": "a new .jsonl file"}), JOURNAL],
    "keep": [NAME, JOURNAL],
}
ABOUT = {
    "list": "The goals of this notebook that have a journal.",
    "show": "How goals stand, by their journal; no model is needed.",
    "tick": "Say that a goal is done, or not; run its cell again to go on.",
    "rows": "The goals that are done as rows for %%gptoss_tune.",
    "keep": "Keep in memory what worked, of the goals that are done.",
}
EXAMPLES = {
    "list": ["%gptoss goal list"],
    "show": ["%gptoss goal show trip"],
    "tick": ["%gptoss goal tick trip city", "%gptoss goal tick trip city --no"],
    "rows": ["%gptoss goal rows trip rows.jsonl"],
    "keep": ["%gptoss goal keep trip"],
}
PARSERS = {
    name: opt.parser(f"%gptoss goal {name}", options, ABOUT[name], EXAMPLES[name])
    for name, options in OPTIONS.items()
}


@magics_class
class GoalMagics(Magics):
    """`%%gptoss_goal NAME`: the body has the goals."""

    @no_var_expand
    @cell_magic("gptoss_goal")
    def goal(self, line: str, cell: str) -> None:
        magics = self.shell.magics_manager.registry["GptOssMagics"]
        through("%%gptoss_goal", work, line, cell, magics)


GoalMagics.goal.__doc__ = PARSER.format_help()


def work(line: str, body: str, magics: Any) -> None:
    """One cell: its goals are planned where it is prose, and worked on."""
    from gptoss_magic.agents.goals.body import is_plan, read_plan
    from gptoss_magic.turns.goals.script import checked_name

    given = opt.parse(PARSER, line)
    opt.check_sampling(Namespace(**vars(given), lookup=None))
    names = magics.shell.user_ns
    checked_name(given.name)
    name_notebook(names)
    if not body.strip():
        raise InputError("the cell has no goals: write goals: in YAML, or what is to be reached")
    plan = read_plan(body) if is_plan(body) else planned(given, body, magics)
    if plan is not None:
        board = run_goals(given, plan, body, magics)
        if given.output:
            names[given.output] = board


def planned(given: Namespace, prose: str, magics: Any) -> GoalPlan | None:
    """The goals of a cell in prose, once the user agreed to them; None where that is to come."""
    from gptoss_magic.agents.goals.journal import GoalJournal, read_history
    from gptoss_magic.agents.goals.proposed import plan_yaml, proposed_plan
    from gptoss_magic.records.goals import GoalPlan
    from gptoss_magic.turns.goals.propose import planned as asked
    from gptoss_magic.turns.goals.script import digest

    path, key = path_of(given), digest(prose)
    like = GoalPlan((), about=prose.strip(), tools=tuple(given.tool or ()))
    kept = {} if given.new else read_history(path).plans
    if key in kept:
        return proposed_plan(kept[key], like)
    line = {name: line_of(given).get(name) for name in ("persona", "adapters", "date", "effort")}
    values = asked(prose, like, magics.shell.user_ns, ready=magics.load_default, **line)
    print(f"# goals made of the text; a cell may have them as they are:\n{plan_yaml(values)}")
    if not (given.yes or confirm(magics.shell, "Work on these goals?")):
        print("nothing is run: put them into the cell, changed as you like, or add --yes")
        return None
    with GoalJournal(path).opened() as journal:
        if given.new:
            journal.add("new")
            given.new = False
        journal.add("plan", of=key, said=values)
    return proposed_plan(values, like)


def run_goals(given: Namespace, plan: GoalPlan, body: str, magics: Any) -> GoalBoard:
    """Work on the plan under its picture."""
    from gptoss_magic.turns.goals.deciding import tests_of
    from gptoss_magic.turns.goals.run import LANES, GoalSetting
    from gptoss_magic.turns.goals.script import digest, opened_run, requests_of
    from gptoss_magic.widgets.goals import GoalsView

    shell, names = magics.shell, magics.shell.user_ns
    with GoalsView(given.name, quiet=given.quiet) as view:
        setting = GoalSetting(
            name=given.name,
            body=digest(body),
            requests=requests_of(plan, **how_of(given, magics)),
            consent=consent_of(shell),
            lanes=LANES if given.lanes is None else given.lanes,
            agree=lambda other, why: agree(shell, other, why),
            on_board=view.show,
            on_tokens=view.count,
        )

        def tests(one: GoalPlan) -> Any:
            return tests_of(one, names, lambda goal, said: tick(shell, goal, said))

        with opened_run(plan, setting, path_of(given), tests, new=given.new) as run:
            if given.again:
                run.again()
            board = run.run()
        view.finish(board)
    return board


def how_of(given: Namespace, magics: Any) -> dict[str, Any]:
    """How each goal is asked, by the names of `settle`."""
    from gptoss_magic.records import Limits

    place = Namespace(conversation=f"goals {given.name}", new=False)
    limits = Limits(call_seconds=magics.call_seconds)
    return {
        **line_of(given),
        "tools": list(given.tool or ()),
        "limits": limits,
        "defaults": {**traits_of(magics), "routing": None},
        "ready": magics.load_default,
        "tool_named": tool_finder(place, magics, None),
    }


def line_of(given: Namespace) -> dict[str, Any]:
    """What the line says, by the names of `settle`."""
    return {
        **{name: getattr(given, name, None) for name in SAMPLER},
        "effort": given.effort,
        "system": given.system,
        "date": given.date,
        "persona": current().persona if given.persona is None else given.persona,
        "adapters": given.adapter,
    }


def tick(shell: Any, goal: Goal, said: str) -> bool | None:
    """Show the answer and ask; None where nobody can be asked."""
    question = goal.test.text or "Is the goal reached?"
    return confirm(shell, f"{goal.name}: {goal.text}\n\n{visible(said)}\n\n{question}")


def agree(shell: Any, plan: GoalPlan, why: str) -> bool | None:
    """Show another plan and ask; None where nobody can be asked."""
    from gptoss_magic.widgets.goals import acceptance_line

    lines = [f"{why}. Other goals are proposed:"]
    for goal in plan.goals:
        after = f" (after {', '.join(goal.after)})" if goal.after else ""
        dropped = f" — dropped: {goal.drop}" if goal.drop else ""
        lines.append(f"  {goal.name}{after}: {goal.text}{dropped}")
        lines.append(f"    test: {acceptance_line(goal.test)}")
    return confirm(shell, visible("\n".join([*lines, "Go on with them?"])))


def run(line: str, magics: Any) -> None:
    """One `%gptoss goal` line."""
    name_notebook(magics.shell.user_ns)
    if not line.strip():
        print(opt.overview("%gptoss goal", PARSERS))
        return
    command, given = opt.command("%gptoss goal", PARSERS, line)
    commands = {"list": show_list, "show": show, "tick": say, "rows": rows, "keep": keep}
    commands[command](given)


def words(typed: list[str]) -> list[str]:
    """Commands; behind one, its options."""
    return list(PARSERS) if len(typed) == 1 else opt.flags(OPTIONS.get(typed[0], []))
