"""The model is asked for goals: of a cell's prose, or in the place of one that failed.

Nothing of it runs before the user has seen it and agreed.
"""

from __future__ import annotations

from dataclasses import replace
from types import FunctionType
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.goals.proposed import (
    CHANGED,
    change_schema,
    changed,
    changes_of,
    check_touched,
    proposal_schema,
    proposed_plan,
    tests_for,
    values_of,
)
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import harmless_lines, in_width
from gptoss_magic.records.goals import MARKS
from gptoss_magic.turns.answer import speak
from gptoss_magic.turns.prompt import messages_of
from gptoss_magic.turns.settle import settle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.records.goals import GoalNode, GoalPlan

PLANNER = """\
You turn a wish into a few goals. Each has a short name, a text that says what is to be reached, \
the names of goals that must be reached before it (after), and a test:
fields: the answer is JSON with these fields (give at least one);
citations: the answer cites its sources;
tick: the user looks at the answer;
or the name of a function of the user's that looks at the answer.
Use as few goals as the wish needs. Goals that do not need each other do not wait for each other."""
REPLANNER = """\
A goal failed. Propose other goals in its place, with new names, and let open goals wait for them \
(after), or drop open goals that make no sense any more, and say why. Goals that are done or \
failed stay as they are."""
TOKENS = 1024


def functions_of(names: Mapping[str, Any]) -> list[str]:
    """Functions that the user's own cells define: a proposal may name them as tests."""
    return [
        name
        for name, value in names.items()
        if isinstance(value, FunctionType) and value.__module__ == "__main__" and name[:1] != "_"
    ]


def planned(
    prose: str, like: GoalPlan, names: Mapping[str, Any], **settings: Any
) -> dict[str, Any]:
    """Goals of `prose` as a cell's YAML has them. Raises InputError where none can be used."""
    tests = tests_for(functions_of(names), has_sources=bool(like.rag or like.tools))
    said = _asked(PLANNER, prose, proposal_schema(tests), settings)
    values = values_of(said)
    proposed_plan(values, like)
    return values


def replanned(
    plan: GoalPlan, nodes: Sequence[GoalNode], names: Mapping[str, Any], **settings: Any
) -> tuple[dict[str, Any], GoalPlan] | None:
    """(the change, the plan with it) that the model proposes; None where it cannot be used."""
    tests = tests_for(functions_of(names), has_sources=bool(plan.rag or plan.tools))
    still_open = [node.goal.name for node in nodes if node.state in CHANGED]
    told = "\n".join(
        f"{MARKS[node.state]} {node.goal.name} ({node.state}): {node.goal.text}"
        + (f" — {in_width(node.reason, 200)}" if node.reason else "")
        + (f" (after {', '.join(node.goal.after)})" if node.goal.after else "")
        for node in nodes
    )
    prompt = "\n\n".join(
        filter(None, (plan.about, f"# Goals (quoted data)\n\n{harmless_lines(told)}"))
    )
    system = f"{PLANNER}\n\n{REPLANNER}"
    try:
        changes = changes_of(_asked(system, prompt, change_schema(tests, still_open), settings))
        check_touched(changes, nodes)
        return changes, changed(plan, changes)
    except InputError:
        return None


def with_replans(plan: GoalPlan, changes: Sequence[Mapping[str, Any]]) -> GoalPlan:
    """The plan with the changes that the user agreed to before. Raises InputError."""
    for one in changes:
        try:
            plan = changed(plan, one)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("a change of the plan in the journal is damaged: --new") from error
    return plan


def _asked(system: str, prompt: str, schema: dict[str, Any], settings: Mapping[str, Any]) -> Any:
    """What the model says, by `schema`. Raises InputError where it is cut off, or breaks it."""
    said: dict[str, Any] = {"max_tokens": TOKENS, "temperature": 0.0, **settings}
    request = settle(prompt, system=system, schema=schema, **said)
    answer, _ = speak(replace(request, messages=messages_of(request)))
    if answer.finish == "interrupt":
        raise KeyboardInterrupt
    if answer.parsed is None:
        known, ended = answer.provenance, f"it ended by {answer.finish!r}"
        why = known["schema"].get("error", ended) if "schema" in known else ended
        raise InputError(f"the model's goals cannot be used: {why}; write them as YAML")
    return answer.parsed
