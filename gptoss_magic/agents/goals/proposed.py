"""What a model proposes as goals, made into a plan: its words become texts and names, never code.

A proposed test is one of: fields that the answer has, citations, the user's tick, or a function
that the user's notebook defines already.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.goals.body import OF_A_MODEL, plan_of
from gptoss_magic.agents.goals.graph import check_graph
from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.records.goals import GoalNode, GoalPlan

FIELDS = "fields"
TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "whole number": {"type": "integer"},
    "yes or no": {"type": "boolean"},
    "list of texts": {"type": "array", "items": {"type": "string"}},
}
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
CHANGED = ("open", "blocked")  # states of goals that a proposal may touch


def proposal_schema(tests: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of proposed goals, each with one of `tests`."""
    field = _object({"name": TEXT, "type": {"enum": list(TYPES)}})
    goal = _object(
        {
            "name": TEXT,
            "text": TEXT,
            "after": TEXTS,
            "test": {"enum": list(tests)},
            FIELDS: {"type": "array", "items": field},
        }
    )
    return _object({"goals": {"type": "array", "items": goal}})


def change_schema(tests: Sequence[str], open_names: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a change: goals to add, and what becomes of those that are open."""
    name = {"enum": list(open_names)} if open_names else TEXT
    drop, after = _object({"name": name, "why": TEXT}), _object({"name": name, "after": TEXTS})
    parts = dict(proposal_schema(tests)["properties"])
    parts |= {
        one: {"type": "array", "items": form} for one, form in (("drop", drop), ("after", after))
    }
    return _object(parts)


def tests_for(functions: Sequence[str], *, has_sources: bool) -> list[str]:
    """What a proposed goal may be tested by."""
    return [FIELDS, "tick", *(["citations"] if has_sources else []), *functions]


def values_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Proposed goals as a cell's YAML would have them: name to values."""
    return {str(one["name"]): _goal_values(one) for one in said["goals"]}


def proposed_plan(values: Mapping[str, Any], like: GoalPlan) -> GoalPlan:
    """The plan of proposed goals, the rest as of `like`. Raises InputError."""
    return replace(like, goals=plan_of({"goals": values}, OF_A_MODEL).goals)


def changes_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """A proposed change as the journal keeps it: goals to add, to drop, to wait for others."""
    return {
        "add": values_of(said),
        "drop": {str(one["name"]): str(one["why"]) for one in said["drop"]},
        "after": {str(one["name"]): list(map(str, one["after"])) for one in said["after"]},
    }


def changed(plan: GoalPlan, changes: Mapping[str, Any]) -> GoalPlan:
    """The plan with a change. Raises InputError where they do not go together."""
    add, drop, after = changes["add"], changes["drop"], changes["after"]
    known = set(plan.names)
    check_known("goal", [*drop, *after], known)
    twice = sorted(known & set(add))
    if twice:
        raise InputError(f"goal {twice[0]}: there is one of that name; give another")
    alone = {name: {**values, "after": []} for name, values in add.items()}
    fresh = plan_of({"goals": alone}, OF_A_MODEL).goals if add else ()
    after = {**{name: values["after"] for name, values in add.items()}, **after}
    goals = [
        replace(
            goal,
            drop=goal.drop or str(drop.get(goal.name, "")),
            after=tuple(after.get(goal.name, goal.after)),
        )
        for goal in (*plan.goals, *fresh)
    ]
    check_graph(goals)
    return replace(plan, goals=tuple(goals))


def check_touched(changes: Mapping[str, Any], nodes: Sequence[GoalNode]) -> None:
    """Raise InputError where a change touches a goal that is not open any more."""
    states = {node.goal.name: node.state for node in nodes}
    for name in (*changes["drop"], *changes["after"]):
        if states.get(name) not in CHANGED:
            raise InputError(
                f"goal {name} is {states.get(name, 'unknown')}: only open ones change; name one "
                "of those"
            )
    if not changes["add"] and not changes["drop"] and not changes["after"]:
        raise InputError("the proposal changes nothing; ask again, or write the change yourself")


def plan_yaml(values: Mapping[str, Any]) -> str:
    """Goals as the text of a cell."""
    import yaml

    whole = json.loads(json.dumps({"goals": values}))  # no part of it is another's too
    return str(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False, width=90))


def _goal_values(one: Mapping[str, Any]) -> dict[str, Any]:
    """A goal's values; its test's own words are looked at by no interpreter."""
    test, fields = str(one["test"]), one.get(FIELDS) or []
    shape: Any = {"function": test}
    if test in ("tick", "citations"):
        shape = {test: True}
    elif test == FIELDS:
        if not fields:
            raise InputError(
                f"goal {one['name']}: its answer has no fields to be looked at; give them in "
                "test: schema"
            )
        parts = {str(field["name"]): TYPES[field["type"]] for field in fields}
        shape = {"schema": _object(parts)}
    values: dict[str, Any] = {"text": str(one["text"]), "test": shape}
    after = list(map(str, one.get("after") or ()))
    return {**values, "after": after}


def _object(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(parts),
        "required": list(parts),
        "additionalProperties": False,
    }
