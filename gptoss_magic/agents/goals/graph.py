"""The graph of goals: who waits for whom, and how each stands by its tries alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records.goals import GoalNode
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from gptoss_magic.records.goals import Goal, GoalPlan, GoalTry

LEFT_OUT = "the cell has it no more"


def check_graph(goals: Sequence[Goal]) -> None:
    """Raise InputError for two of one name, an unknown one in `after`, and circles."""
    names = [goal.name for goal in goals]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"goal {name}: there are two of that name; rename one")
    for goal in goals:
        check_known(f"goal {goal.name}: after", goal.after, names)
    ordered(goals)


def ordered(goals: Sequence[Goal]) -> list[str]:
    """Names, each behind those it waits for. Raises InputError for a circle."""
    try:
        return list(TopologicalSorter({goal.name: goal.after for goal in goals}).static_order())
    except CycleError as error:
        way = " → ".join(reversed(error.args[1]))
        raise InputError(f"goals wait for each other: {way}; take one 'after' out") from error


def depths(goals: Sequence[Goal]) -> dict[str, int]:
    """How many goals stand one behind the other before each; 0 where it waits for none."""
    known = {goal.name: goal for goal in goals}
    found: dict[str, int] = {}
    for name in ordered(goals):
        found[name] = max((found[one] + 1 for one in known[name].after), default=0)
    return found


def before(goals: Sequence[Goal], name: str) -> set[str]:
    """All that a goal waits for, directly or not."""
    known = {goal.name: goal for goal in goals}
    found: set[str] = set()
    left = list(known[name].after)
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += known[one].after
    return found


def key_of(goal: Goal, inputs: Mapping[str, str]) -> str:
    """A digest of what is asked and of the answers that are quoted; budgets do not count."""
    test = goal.test
    given = test.given if isinstance(test.given, dict) else ""
    tools = list(map(tool_name, goal.tools))
    whole = [
        *(goal.name, goal.text, test.kind, test.text, test.least, given, tools),
        sorted((name, inputs[name]) for name in goal.after),
    ]
    text = json.dumps(whole, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def tool_name(tool: Any) -> str:
    """What a tool of a goal is called: a name of the notebook, a `Tool`, or a function."""
    return tool if isinstance(tool, str) else str(getattr(tool, "name", "") or tool.__name__)


def nodes_of(
    goals: Sequence[Goal],
    tries: Mapping[str, Sequence[GoalTry]],
    running: Collection[str] = (),
    waiting: str = "",
) -> list[GoalNode]:
    """How each goal stands, in the goals' order; nothing but its tries and the others decides it.

    A try counts where it was of this very goal behind these very answers. `waiting`: why no goal
    can go on that is not running yet.
    """
    known = {goal.name: goal for goal in goals}
    nodes: dict[str, GoalNode] = {}
    for name in ordered(goals):
        node = _node(known[name], tries.get(name, ()), nodes)
        if node.state == "open" and name in running:
            node = GoalNode(node.goal, "running", node.reason, node.tries)
        elif node.state == "open" and waiting:
            node = GoalNode(node.goal, "blocked", waiting, node.tries)
        nodes[name] = node
    return [nodes[goal.name] for goal in goals]


def _node(goal: Goal, tries: Sequence[GoalTry], nodes: Mapping[str, GoalNode]) -> GoalNode:
    above = [nodes[name] for name in goal.after]
    stuck = [node.goal.name for node in above if node.state in ("failed", "blocked", "dropped")]
    state, reason = "open", ""
    if goal.drop:
        state, reason = "dropped", goal.drop
    elif stuck:
        state, reason = "blocked", f"it waits for {', '.join(stuck)}"
    elif all(node.state == "done" for node in above):
        key = key_of(goal, {node.goal.name: node.answer for node in above})
        return _tried(goal, tuple(one for one in tries if one.key == key))
    return GoalNode(goal, state, reason, tuple(tries))


def _tried(goal: Goal, own: tuple[GoalTry, ...]) -> GoalNode:
    """A goal that nothing stands in the way of, by the tries that count."""
    passed = next((number for number, one in enumerate(own, 1) if one.passed), 0)
    if passed:
        return GoalNode(goal, "done", own[passed - 1].reason, own[:passed])
    last = own[-1].reason if own else ""
    if own and own[-1].waits:
        return GoalNode(goal, "blocked", last, own)
    spent = spent_words(goal, own)
    reason = "; ".join(filter(None, (last, spent)))
    return GoalNode(goal, "failed" if spent else "open", reason, own)


def spent_words(goal: Goal, tries: Sequence[GoalTry]) -> str:
    """Which bound of its budget is reached; '' for none. Calls alone end no goal."""
    return next(_bounds(goal, tries), "")


def _bounds(goal: Goal, tries: Sequence[GoalTry]) -> Iterator[str]:
    budget = goal.budget
    tokens, seconds = sum(one.tokens for one in tries), sum(one.seconds for one in tries)
    if len(tries) >= budget.tries:
        yield f"{len(tries)} of {budget.tries} tries"
    if tokens >= budget.tokens:
        yield f"{tokens:,} of {budget.tokens:,} tokens"
    if seconds >= budget.seconds:
        yield f"{seconds:.0f} of {budget.seconds:g} seconds"


def with_left_out(
    plan: GoalPlan, earlier: Sequence[Goal], tries: Mapping[str, Sequence[GoalTry]]
) -> GoalPlan:
    """Goals of an earlier run that the cell has no more, and that were tried, stand as dropped."""
    known = set(plan.names)
    gone = [one for one in earlier if one.name not in known and tries.get(one.name)]
    dropped = [replace(one, after=(), drop=one.drop or LEFT_OUT) for one in gone]
    return replace(plan, goals=(*plan.goals, *dropped))
