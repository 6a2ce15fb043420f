"""Goals from a script, and what the cell does as well: settle them, open the journal, run."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gptoss_magic.agents.consent import by_policy
from gptoss_magic.agents.goals.body import check_goal, plan_of, read_plan, read_test
from gptoss_magic.agents.goals.graph import check_graph, nodes_of
from gptoss_magic.agents.goals.journal import GoalJournal, journal_path, read_history, told_goal
from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.records.goals import Goal, GoalBoard, GoalBudget, GoalPlan, GoalTest
from gptoss_magic.turns.goals.deciding import tests_of
from gptoss_magic.turns.goals.run import LANES, GoalRun, GoalSetting
from gptoss_magic.turns.settle import notebook_name, settle
from gptoss_magic.turns.stopping import WORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gptoss_magic.records import Consent, Passage, Request

SEEDS = 2**31


@public
def goal(
    name: str,
    text: str,
    test: Any,
    *,
    after: str | Sequence[str] = (),
    tools: Sequence[Any] = (),
    tokens: int = GoalBudget.tokens,
    calls: int = GoalBudget.calls,
    seconds: float = GoalBudget.seconds,
    tries: int = GoalBudget.tries,
) -> Goal:
    """A goal for `goals`. `test`: a function of the answer (a truth, or one with a reason), a
    pydantic model or JSON schema, "citations", "tick", or a Python expression over `answer`.

    `after`: names of goals that must be done before; their answers are quoted in this one's prompt.
    The rest is its budget, in all its tries. Raises InputError.
    """
    names = tuple(after.split(",")) if isinstance(after, str) else tuple(after)
    budget = GoalBudget(tokens, calls, seconds, tries)
    made = Goal(name, text, _test(test, name), tuple(filter(None, names)), tuple(tools), budget)
    return check_goal(made)


@public
@WORK.doing("goals")
def goals(
    name: str,
    goals: Sequence[Goal] | Mapping[str, Any] | str,
    *,
    about: str = "",
    tools: Sequence[Any] = (),
    replan: int = 0,
    names: Mapping[str, Any] | None = None,
    lanes: int = LANES,
    journal: str | Path | None = None,
    new: bool = False,
    again: bool = False,
    consent: Consent | None = None,
    tick: Callable[[Goal, str], bool | None] = lambda goal, answer: None,
    agree: Callable[[GoalPlan, str], bool | None] = lambda plan, why: None,
    on_board: Callable[[GoalBoard], None] = lambda board: None,
    **settings: Any,
) -> GoalBoard:
    """Work on goals until each is done by its test or cannot go on; the same call goes on.

    `goals`: what `goal` made, or a cell's YAML (its values as a dict). Goals that do not wait for
    each other are answered together, `lanes` at a time. `names`: what expressions and names of
    tests may use. What is tried is kept in `journal`, a file, else one of the user's data: `new`
    forgets it, `again` lets goals that failed begin anew. `tick(goal, answer)` and
    `agree(plan, why)` ask the user; None says that nobody is there. Tools run where `consent` lets
    them; without one, those that `@tool(policy="auto")` made. `settings`: as of `generate`.
    Raises InputError, NotLoaded, StorageError. ■ ends the run and keeps what is decided.
    """
    plan = _plan(goals, about, tools, replan)
    setting = GoalSetting(
        name=checked_name(name),
        body=digest(plan_text(plan)),
        requests=requests_of(plan, **settings),
        consent=consent or by_policy(),
        lanes=lanes,
        agree=agree,
        on_board=on_board,
    )
    path = journal_path(name, notebook_name(), journal)
    known = names or {}
    with opened_run(plan, setting, path, lambda one: tests_of(one, known, tick), new=new) as run:
        if again:
            run.again()
        return run.run()


@contextmanager
def opened_run(
    plan: GoalPlan, setting: GoalSetting, path: Path, tests: Any, *, new: bool = False
) -> Iterator[GoalRun]:
    """A run whose journal is open; what can be refused is, before anything is written."""
    if setting.lanes < 1:
        raise InputError(f"lanes {setting.lanes}: give 1 or more")
    tests(plan)
    for one in plan.goals:
        if not one.drop:
            setting.requests(one)
    journal = GoalJournal(path)
    with journal.opened():
        if new:
            journal.add("new")
        yield GoalRun(plan, setting, tests, journal)


def requests_of(plan: GoalPlan, **settings: Any) -> Callable[[Goal], Request]:
    """What each goal is asked: all as the line says, its tools and passages its own."""
    said = dict(settings)
    system = "\n\n".join(filter(None, (said.pop("system", None), plan.about)))
    if said.get("seed") is None and (said.get("defaults") or {}).get("seed") is None:
        said["seed"] = int(digest(plan_text(plan)), 16) % SEEDS
    shared, passages = said.pop("tools", None) or (), said.pop("passages", None)

    def request(goal: Goal) -> Request:
        tools = [*shared, *plan.tools, *goal.tools]
        quoted = passages_of(plan, goal) if passages is None else passages
        kept = list(dict.fromkeys(tools)) if all(isinstance(one, str) for one in tools) else tools
        return settle("", system=system or None, tools=kept, passages=quoted, **said)

    return request


def passages_of(plan: GoalPlan, goal: Goal) -> list[Passage] | None:
    """What the plan's indexes have for a goal; None where it names none. Raises InputError."""
    from gptoss_magic.retrieval.index import search_all

    return search_all(plan.rag.split(","), goal.text, plan.passages) if plan.rag else None


def board_of(name: str, path: Path) -> GoalBoard:
    """How goals stand by their journal alone. Raises InputError where there is none."""
    history = read_history(path)
    if not history.goals:
        raise InputError(f"goals {name}: no journal has them; %%gptoss_goal {name} begins them")
    nodes = tuple(nodes_of(history.goals, history.tries))
    return GoalBoard(name, nodes, journal=str(path), notes=history.faults)


def checked_name(name: str) -> str:
    """The name of a run. Raises InputError."""
    if not name.strip() or len(name) > 64 or "\n" in name:  # noqa: PLR2004 (of a file)
        raise InputError(f"goals {name[:64]!r}: give a name of one line, 64 characters at most")
    return name


def plan_text(plan: GoalPlan) -> str:
    """What a plan says, the same in every kernel."""
    goals = [told_goal(goal) for goal in plan.goals]
    return json.dumps([goals, plan.about, plan.rag, len(plan.tools)], sort_keys=True, default=str)


def digest(text: str) -> str:
    """Of what the user wrote: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _plan(
    goals: Sequence[Goal] | Mapping[str, Any] | str, about: str, tools: Sequence[Any], replan: int
) -> GoalPlan:
    """The plan of what a script gave; what stands beside YAML goes before it."""
    if isinstance(goals, str):
        plan = read_plan(goals)
    elif isinstance(goals, dict):
        plan = plan_of(goals)
    else:
        plan = GoalPlan(tuple(cast("Sequence[Goal]", goals)))
        check_graph(plan.goals)
    offered = (*plan.tools, *tools)
    return replace(plan, about=about or plan.about, tools=offered, replan=replan or plan.replan)


def _test(test: Any, name: str) -> GoalTest:
    if isinstance(test, GoalTest):
        return test
    if isinstance(test, str):
        return read_test(test, f"goal {name}: its test")
    if isinstance(test, dict):
        return GoalTest("schema", given=test)
    if not callable(test) and not hasattr(test, "__origin__"):
        raise InputError(
            f"goal {name}: its test is {type(test).__name__}: give a function or a schema"
        )
    kind = "schema" if isinstance(test, type) or hasattr(test, "__origin__") else "function"
    return GoalTest(kind, str(getattr(test, "__name__", "")), given=test)
