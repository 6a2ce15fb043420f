"""What a goals cell says: YAML or JSON that names goals, each with a test, in a `GoalPlan`."""

from __future__ import annotations

import re
import warnings
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.goals.graph import check_graph
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable, one_line
from gptoss_magic.records.goals import Goal, GoalBudget, GoalPlan, GoalTest, WholeBudget
from gptoss_magic.textfiles import check_yaml
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = re.compile(r"\w[\w .-]{0,39}")
KEYS = ("about", "tools", "rag", "passages", "budget", "each", "replan", "goals")
GOAL_KEYS = ("text", "test", "after", "tools", "budget", "drop")
KINDS = ("python", "function", "schema", "citations", "tick")
OF_A_MODEL = ("function", "schema", "citations", "tick")  # no text of a model becomes code
TESTS = "give a Python expression over answer, schema:, citations, or tick"
LEAST = {"calls": 0, "seconds": 0.01}  # of a budget; else 1
MOST_CHARS, MOST_GOALS = 100_000, 200
GOALS_KEY = re.compile(r"^\s*[{]?\s*[\"']?goals[\"']?\s*:", re.MULTILINE)


def is_plan(text: str) -> bool:
    """True where the cell names goals by a key, and False where it is prose."""
    return GOALS_KEY.search(text) is not None


def read_plan(text: str) -> GoalPlan:
    """The goals of a cell's YAML. Raises InputError: what is wrong, where, and what to give."""
    import yaml

    if len(text) > MOST_CHARS:
        raise InputError(f"goals: {len(text):,} characters; give {MOST_CHARS:,} at most")
    try:
        check_yaml(text, "the body", has_aliases=False)
        said = yaml.safe_load(text)
    except InputError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = one_line(str(error), 200)
        raise InputError(f"the body is no YAML: {why}; texts with ?, : or # need quotes") from error
    if not isinstance(said, dict):
        raise InputError("the body: write goals: with a name, a text and a test for each")
    return plan_of(said)


def plan_of(said: Mapping[str, Any], kinds: Sequence[str] = KINDS) -> GoalPlan:
    """The same of values by key. `kinds`: the tests that may stand in it. Raises InputError."""
    check_known("key", map(str, said), KEYS)
    budget = WholeBudget(**_numbers(said.get("budget"), "budget", WholeBudget))
    each = _numbers(said.get("each"), "each", GoalBudget)
    goals = tuple(_goal(name, one, each, kinds) for name, one in _named(said.get("goals")))
    check_graph(goals)
    return GoalPlan(
        goals=goals,
        about=_text(said.get("about"), "about"),
        tools=_list(said.get("tools"), "tools"),
        rag=",".join(_list(said.get("rag"), "rag")),
        passages=_number(said.get("passages", 5), "passages", 1),
        budget=budget,
        replan=_number(said.get("replan", 0), "replan", 0),
    )


def read_test(value: Any, label: str, kinds: Sequence[str] = KINDS) -> GoalTest:
    """The test that a goal names. Raises InputError for none, an empty one, and an unknown kind."""
    if isinstance(value, str) and value.strip() in ("tick", "citations"):
        value = {value.strip(): True}
    elif isinstance(value, str) and value.strip():
        value = {"python": value}
    if not value and value is not False:
        raise InputError(f"{label} is empty; {TESTS}")
    if not isinstance(value, dict) or len(value) != 1:
        shown = one_line(repr(value), 60)
        raise InputError(f"{label}: {shown} is no test; {TESTS}")
    ((kind, inner),) = value.items()
    check_known(f"{label}:", [str(kind)], KINDS)
    if kind not in kinds:
        raise InputError(f"{label}: {kind}: a model may not write code; it may name a function")
    return _test(str(kind), inner, f"{label}: {kind}")


def _test(kind: str, inner: Any, label: str) -> GoalTest:
    if kind == "citations":
        least = 1 if inner in (True, None, "") else _number(inner, label, 1)
        return GoalTest(kind, least=least)
    if kind == "tick":
        return GoalTest(kind, "" if inner in (True, None) else _text(inner, label))
    if kind == "schema" and isinstance(inner, dict) and inner:
        return GoalTest(kind, given=inner)
    text = _text(inner, label)
    if not text:
        raise InputError(f"{label} is empty; {TESTS}")
    if kind == "python":
        _compiled(text, label)
    elif not text.isidentifier():
        raise InputError(f"{label}: {one_line(text, 60)}: give the name that the notebook has")
    return GoalTest(kind, text)


def _compiled(text: str, label: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of it is said when it runs
            compile(text.strip(), "<test>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = getattr(error, "msg", None) or str(error)
        raise InputError(
            f"{label}: {one_line(text, 60)} is no expression of Python ({why}); write one that is "
            "true or false"
        ) from error


def _named(goals: Any) -> list[tuple[Any, Any]]:
    """(name, values) of a mapping, or of a list whose items have a name."""
    if isinstance(goals, list) and all(isinstance(one, dict) for one in goals):
        goals_of = [
            (one.get("name", ""), {k: v for k, v in one.items() if k != "name"}) for one in goals
        ]
    elif isinstance(goals, dict):
        goals_of = list(goals.items())
    else:
        goals_of = []
    if not goals_of:
        raise InputError("goals: there are none; write goals: with a name, a text and a test each")
    if len(goals_of) > MOST_GOALS:
        raise InputError(f"goals: {len(goals_of)} of them; give {MOST_GOALS} at most")
    return goals_of


def check_goal(goal: Goal) -> Goal:
    """The goal. Raises InputError for a name that cannot be one, and for no text."""
    if not NAME.fullmatch(goal.name):
        raise InputError(
            f"goal {one_line(repr(goal.name), 60)}: a name has letters, digits, blanks, '_', '-' "
            "and '.', 40 at most"
        )
    if not goal.text.strip():
        raise InputError(f"goal {goal.name}: no text; say what is to be reached")
    for name, value in vars(goal.budget).items():
        least = LEAST.get(name, 1)
        _number(value, f"goal {goal.name}: {name}", least, is_whole=name != "seconds")
    return goal


def _goal(name: Any, said: Any, each: Mapping[str, Any], kinds: Sequence[str]) -> Goal:
    name = encodable(str(name)).strip()
    label = f"goal {name}"
    if not isinstance(said, dict):
        raise InputError(f"{label}: write text: and test: below it")
    check_known(f"{label}: key", map(str, said), GOAL_KEYS)
    text = _text(said.get("text"), f"{label}: text")
    own = _numbers(said.get("budget"), f"{label}: budget", GoalBudget)
    goal = Goal(
        name=name,
        text=text,
        test=read_test(said.get("test"), f"{label}: its test", kinds),
        after=_list(said.get("after"), f"{label}: after"),
        tools=_list(said.get("tools"), f"{label}: tools"),
        budget=GoalBudget(**{**each, **own}),
        drop=_text(said.get("drop"), f"{label}: drop"),
    )
    return check_goal(goal)


def _numbers(said: Any, label: str, kind: Any) -> dict[str, Any]:
    """A budget's numbers by name. Raises InputError."""
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise InputError(f"{label} is no mapping; write {label}: {{tokens: 2000, calls: 10}}")
    check_known(f"{label}: key", map(str, said), [one.name for one in fields(kind)])
    return {
        name: _number(value, f"{label}: {name}", LEAST.get(name, 1), is_whole=name != "seconds")
        for name, value in said.items()
    }


def _number(value: Any, label: str, least: float, *, is_whole: bool = True) -> Any:
    kinds: Any = int if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < 2**53:
        what = "a whole number" if is_whole else "a number"
        raise InputError(f"{label}: {one_line(repr(value), 40)}; give {what}, {least} or more")
    return value


def _text(value: Any, label: str) -> str:
    """A text; a number or a date as it is written. Raises InputError for lists and mappings."""
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        raise InputError(f"{label}: {one_line(repr(value), 60)} is no text; put it in quotes")
    return encodable(str(value)).strip()


def _list(value: Any, label: str) -> tuple[str, ...]:
    """Names of a list, or of a text with commas, each once."""
    listed = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(listed, list) or not all(isinstance(one, (str, int)) for one in listed):
        raise InputError(f"{label}: give a list of names, such as [one, two]")
    return tuple(dict.fromkeys(text for one in listed if (text := _text(one, label))))
