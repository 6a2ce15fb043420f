"""Whether a goal is done: its test says so, over the answer that the model gave.

Expressions and functions are the user's own, as any code of the cell; a model's words are only
ever their argument.
"""

from __future__ import annotations

import ast
import builtins
import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_origin

from gptoss_magic.agents.limits import NoTimer, OutOfTime, bounded
from gptoss_magic.errors import InputError, error_line, errors_in
from gptoss_magic.quoting import in_width, one_line
from gptoss_magic.turns.settle import answer_form
from gptoss_magic.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.records import Answer, AnswerForm
    from gptoss_magic.records.goals import Goal, GoalPlan, GoalTest

    Tick = Callable[[Goal, str], bool | None]

TOLD = ("answer", "value", "results")
TEST_SECONDS = 60.0
SHOWN = 80
NO_TICK = "it waits for your tick: %gptoss goal tick NAME GOAL, or run it where you can be asked"


@dataclass(frozen=True)
class GoalVerdict:
    """What a test says, and its evidence. `passed`: None where the user is to say."""

    passed: bool | None
    reason: str


@dataclass(frozen=True)
class GoalTests:
    """The tests of a plan, looked up. `forms`: schemas by goal. `tick(goal, answer)` asks the user.

    `names`: the notebook's, as they are when a test runs.
    """

    plan: GoalPlan
    names: Mapping[str, Any]
    forms: Mapping[str, AnswerForm]
    tick: Tick

    def decide(self, goal: Goal, answer: Answer, results: Mapping[str, str]) -> GoalVerdict:
        """Whether `answer` passes. Raises KeyboardInterrupt for ■ alone."""
        if not answer.final.strip():
            return GoalVerdict(False, f"no answer: {_ending(answer)}")
        if answer.finish in ("length", "limit"):
            return GoalVerdict(False, f"the answer is cut off: {_ending(answer)}")
        if goal.test.kind == "citations":
            return _cited(answer, goal.test.least)
        if goal.test.kind == "tick":
            return GoalVerdict(None, NO_TICK)  # the answer is kept before anybody is asked
        return self.judged(goal, answer.final, results)

    def judged(self, goal: Goal, final: str, results: Mapping[str, str]) -> GoalVerdict:
        """The same of a text alone, for tests that need no more: python, function, schema."""
        form, value = self.forms.get(goal.name), None
        if form is not None:
            try:
                value = form.value(final)
            except InputError as error:
                return GoalVerdict(False, str(error))
        if goal.test.kind == "schema":
            return GoalVerdict(True, f"it follows the schema: {_short(final)}")
        return _run(lambda: self._called(goal, final, value, results))

    def _called(
        self, goal: Goal, final: str, value: Any, results: Mapping[str, str]
    ) -> GoalVerdict:
        test = goal.test
        if test.kind == "function":
            function = test.given if test.given is not None else self.names[test.text]
            return _verdict(function(final), f"{test.text or _name(function)}(answer)")
        told = {"answer": final, "value": _value(final) if value is None else value}
        told["results"] = dict(results)
        scope = {**self.names, "__builtins__": builtins, **told}
        code = compile(test.text.strip(), "<test>", "eval")
        return _verdict(eval(code, scope), "the test")  # noqa: S307 (the user's)


def tests_of(plan: GoalPlan, names: Mapping[str, Any], tick: Tick) -> GoalTests:
    """The tests, each name looked up. Raises InputError for unknown ones, and for no sources."""
    wanted = [goal for goal in plan.goals if not goal.drop]
    known = {goal.name: replace(goal, test=_settled(goal, names)) for goal in wanted}
    plan = replace(plan, goals=tuple(known.get(goal.name, goal) for goal in plan.goals))
    forms = {}
    for goal in known.values():
        if goal.test.kind == "schema":
            given = goal.test.given if goal.test.given is not None else names[goal.test.text]
            try:
                forms[goal.name] = answer_form(given)
            except InputError as error:
                raise InputError(f"goal {goal.name}: {error}") from error
        if goal.test.kind == "citations" and not (plan.rag or plan.tools or goal.tools):
            raise InputError(
                f"goal {goal.name}: citations need sources: name an index by rag:, or a tool that "
                "quotes some, such as search:INDEX"
            )
    return GoalTests(plan, names, forms, tick)


def _settled(goal: Goal, names: Mapping[str, Any]) -> GoalTest:
    """The test; a name that stands alone is a function or a schema, as the notebook has it."""
    test, label = goal.test, f"goal {goal.name}: its test"
    text = test.text.strip()
    if test.given is not None or test.kind in ("citations", "tick"):
        return test
    if test.kind == "python" and not (text.isidentifier() and text in names):
        _check_names(text, names, label)
        return test
    if text not in names:
        raise InputError(f"{label}: the notebook has no {text}{nearest(text, names)}; define it")
    value = names[text]
    is_schema = isinstance(value, (type, dict)) or get_origin(value) is not None
    kind = "schema" if is_schema else "function" if callable(value) else "python"
    if test.kind not in ("python", kind):
        raise InputError(f"{label}: {text} is {_article(value)}, no {test.kind}; give one")
    return replace(test, kind=kind, text=text)


def _check_names(text: str, names: Mapping[str, Any], label: str) -> None:
    """Raise InputError for a name that nothing defines: it would fail after the model's work."""
    nodes = list(ast.walk(ast.parse(text, mode="eval")))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not _is_read(node)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    known = {*names, *vars(builtins), *TOLD, *bound}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in known:
            near = nearest(node.id, [*names, *TOLD])
            raise InputError(f"{label}: {node.id} is not defined{near}; define it first")


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _run(action: Callable[[], GoalVerdict]) -> GoalVerdict:
    """What the user's test says; an error of it, and one that never ends, is a verdict too."""
    is_main = threading.current_thread() is threading.main_thread()
    try:
        with bounded(TEST_SECONDS) if is_main else nullcontext():
            return action()
    except NoTimer:  # this platform bounds nothing
        return _run_unbounded(action)
    except OutOfTime:
        return GoalVerdict(False, f"the test took longer than {TEST_SECONDS:g} s")
    except BaseException as error:  # noqa: BLE001 (a test's SystemExit must not end the kernel)
        return _raised(error)


def _run_unbounded(action: Callable[[], GoalVerdict]) -> GoalVerdict:
    try:
        return action()
    except BaseException as error:  # noqa: BLE001 (as above)
        return _raised(error)


def _raised(error: BaseException) -> GoalVerdict:
    if any(isinstance(one, KeyboardInterrupt) for one in errors_in(error)):
        raise error
    if isinstance(error, AssertionError) and str(error):
        return GoalVerdict(False, one_line(str(error), 300))
    return GoalVerdict(False, f"the test raised {error_line(error)}")


def _verdict(said: Any, what: str) -> GoalVerdict:
    """A truth, or a pair of it and why it is none."""
    reason = ""
    if isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], str):  # noqa: PLR2004
        said, reason = said
    if said is None:
        return GoalVerdict(False, f"{what} gave None: let it give True or False")
    passed = bool(said)
    shown = "" if isinstance(said, bool) else f" ({_short(repr(said))})"
    words = f"{what} is {'true' if passed else 'false'}{shown}"
    return GoalVerdict(passed, words if passed else one_line(reason, 300) or words)


def _cited(answer: Answer, least: int) -> GoalVerdict:
    """So many citations, each of lines that were quoted, and none that is not."""
    wrong = [one.text for one in answer.citations if not one.valid]
    if wrong:
        return GoalVerdict(False, f"{', '.join(wrong[:3])}: no such lines were quoted")
    if len(answer.citations) < least:
        return GoalVerdict(False, f"{len(answer.citations)} of {least} citations")
    sources = {one.number: one.readable_source for one in answer.passages}
    places = dict.fromkeys(f"{one.text} {sources.get(one.number, '')}" for one in answer.citations)
    return GoalVerdict(True, one_line(f"cited: {'; '.join(places)}", 300))


def _value(final: str) -> Any:
    """The JSON value of the answer; None where it is none."""
    import json

    try:
        return json.loads(final)
    except (ValueError, RecursionError):
        return None


def _ending(answer: Answer) -> str:
    words = {"length": "it met the token limit", "limit": "the budget was spent"}
    return words.get(answer.finish, f"it ended by {answer.finish!r}")


def _short(text: str) -> str:
    return in_width(text, SHOWN)


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _article(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
