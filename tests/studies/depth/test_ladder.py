"""The ladder: what is on it, what tells most, and what a task has nothing for."""

import pytest

from gptoss_magic.agents.tools import tool
from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.studies.depth.body import body_of
from gptoss_magic.studies.depth.ladder import candidates, check_choice, chosen, read_steps
from gptoss_magic.studies.depth.split import split_rows
from gptoss_magic.studies.depth.task import split_task, task_parts
from gptoss_magic.tuning.methods import METHODS

ROWS = [{"prompt": f"q{n}?", "answer": f"a{n}"} for n in range(10)]


def task(**said):
    body, reading = task_parts(body_of({"rows": ROWS, **said}), {})
    return split_task("t", body, {}, split_rows(reading.rows, 4, 0))


def keys(listed):
    return [one.rung.key for one in listed]


def test_the_most_telling_rungs_come_first_at_their_usual_strength():
    able, _ = candidates(task())
    assert keys(able)[:8] == [
        "bare",
        "persona",
        "examples-4",
        "retrieval-3",
        "attention-r8",
        "hot-r8",
        "random-r8",
        "all-r8",
    ]
    places = [one.place for one in able]
    assert places[: places.index(1)] == [0] * places.index(1)
    assert 0 not in places[places.index(1) :]


def test_every_step_and_every_method_is_on_the_ladder():
    able, dropped = candidates(task(system="Be kind."))
    assert {one.rung.step for one in able} | {one.rung.step for one in dropped} == set(range(14))
    on_it = {name for name, method in METHODS.items() if method.ladder}
    assert {one.method.name for one in able if one.method} == on_it
    assert set(METHODS) - on_it == {name for name in METHODS if METHODS[name].trains_all}
    every = keys(able) + [one.rung.key for one in dropped]
    assert len(every) == len(set(every))


def test_what_the_task_has_nothing_for_is_dropped_by_name():
    _, dropped = candidates(task())
    assert {one.rung.key: one.why for one in dropped} == {
        "system": "the body has no system text",
        "examples-8": "only 6 rows to learn from",
        "tools": "the task has no tools",
    }


def test_tools_that_would_ask_are_dropped_until_they_are_allowed():
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    made = task(tools=[add])
    (why,) = [one.why for one in candidates(made)[1] if one.rung.key == "tools"]
    assert why.startswith("add would ask before each call")
    try:
        current().policies.say(made.body.tools[0], "auto")
        assert "tools" in keys(candidates(made)[0])
    finally:
        current().policies.forget()


@pytest.mark.parametrize(
    ("text", "steps"),
    [("", ()), ("0,1,7,9", (0, 1, 7, 9)), (" 7-9 , 2,8", (7, 8, 9, 2)), ("13", (13,))],
)
def test_rungs_are_read(text, steps):
    assert read_steps(text) == steps


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1..3"])
def test_rungs_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="give numbers, such as"):
        read_steps(text)


def test_bare_is_always_there_and_the_others_as_they_are_asked_for():
    able, _ = candidates(task())
    assert keys(chosen(able, (7,), "all")) == [
        "bare",
        "attention-r8",
        "attention-r2",
        "attention-r32",
    ]
    assert keys(chosen(able, (3, 9), "usual")) == [
        "bare", "examples-4", "hot-r8", "random-r8", "all-r8",
    ]  # fmt: skip
    with pytest.raises(InputError, match="rung 14: the ladder has 0 to 13"):
        check_choice((14,), "all")
    with pytest.raises(InputError, match="strengths 'some'"):
        check_choice((), "some")
