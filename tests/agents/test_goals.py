"""Goals without the model: what a cell says, how each stands, the journal, the note."""

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.agents.goals.body import OF_A_MODEL, is_plan, plan_of, read_plan, read_test
from gptoss_magic.agents.goals.graph import depths, key_of, nodes_of, with_left_out
from gptoss_magic.agents.goals.journal import GoalJournal, journal_path, journals, read_history
from gptoss_magic.agents.goals.note import goal_text, note_of
from gptoss_magic.agents.goals.proposed import (
    changed,
    changes_of,
    check_touched,
    plan_yaml,
    proposed_plan,
    values_of,
)
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.records import Message
from gptoss_magic.records.goals import Goal, GoalBudget, GoalNode, GoalPlan, GoalTest, GoalTry

TICK = GoalTest("tick")
BODY = """
about: Отчёт о гавани
tools: [python, "search:docs"]
each: {tries: 2, tokens: 900}
budget: {tokens: 5000, seconds: 60}
replan: 1
goals:
  найти:
    text: Найди три числа
    test: citations
  сумма:
    text: Сложи их
    test: int(answer) == 42
    after: [найти]
    budget: {tries: 5, seconds: 1.5}
  форма:
    text: as JSON
    test: {schema: {type: object, properties: {n: {type: integer}}}}
    after: найти
  готово: {text: 7, test: {tick: "Нравится?"}, after: "сумма, форма", tools: plan}
"""


def test_a_cell_says_goals_tests_and_budgets():
    plan = read_plan(BODY)
    assert is_plan(BODY)
    assert plan.names == ("найти", "сумма", "форма", "готово")
    assert plan["найти"].test == GoalTest("citations", least=1)
    assert plan["сумма"].test == GoalTest("python", "int(answer) == 42")
    assert plan["сумма"].budget == GoalBudget(900, 8, 1.5, 5)
    assert plan["форма"].test.given["properties"] == {"n": {"type": "integer"}}
    assert plan["готово"].after == ("сумма", "форма")
    assert (plan["готово"].test.text, plan["готово"].text) == ("Нравится?", "7")
    assert (plan.budget.tokens, plan.budget.calls, plan.replan) == (5000, None, 1)
    assert depths(plan.goals) == {"найти": 0, "сумма": 1, "форма": 1, "готово": 2}


GOAL = "goals:\n  a: {text: x, test: tick"
WRONG = [
    ("goals:", "there are none"),
    ("goals: []", "there are none"),
    ("goals: {}\nabuot: x", "key abuot: there is none of that name; did you mean about?"),
    ("goals:\n  a: x", "goal a: write text: and test:"),
    ("goals:\n  a: {test: tick}", "goal a: no text"),
    ("goals:\n  a: {text: x}", "goal a: its test is empty; give a Python expression"),
    ("goals:\n  a: {text: x, test: ''}", "its test is empty"),
    ("goals:\n  a: {text: x, test: {python: ' '}}", "its test: python is empty"),
    ("goals:\n  a: {text: x, test: yes}", "True is no test"),
    ("goals:\n  a: {text: x, test: {pythn: x}}", "did you mean python?"),
    ("goals:\n  a: {text: x, test: 'answer ='}", "is no expression of Python"),
    ("goals:\n  a: {text: x, test: 'import os'}", "is no expression of Python"),
    ("goals:\n  a: {text: x, test: {function: f()}}", "give the name that the notebook has"),
    ("goals:\n  a: {text: x, test: {citations: 0}}", "give a whole number, 1 or more"),
    (f"{GOAL}, after: [b]}}", "goal a: after b: there is none of that name"),
    (f"{GOAL}, after: [a]}}", "goals wait for each other: a → a"),
    (f"{GOAL}, afer: [a]}}", "goal a: key afer: there is none of that name; did you mean after?"),
    (f"{GOAL}, budget: {{token: 3}}}}", "did you mean tokens?"),
    (f"{GOAL}, budget: {{tokens: 0}}}}", "budget: tokens: 0; give a whole number, 1 or more"),
    (f"{GOAL}, budget: {{seconds: .nan}}}}", "seconds: nan; give a number"),
    (f"{GOAL}, budget: 5}}", "budget is no mapping"),
    (f"{GOAL}}}\n  a: {{text: y, test: tick}}", "'a' stands twice"),
    ("goals:\n  a/b: {text: x, test: tick}", "a name has letters"),
    ("goals: &g\n  a: {text: x, test: tick}\nabout: *g", "an alias (*) is not read here"),
    ("goals:\n  <<: {a: 1}", "'<<' is not read here"),
    ("goals: [", "the body is no YAML"),
    ("goals:\n  - {name: a, text: x, test: tick}\n  - {name: a, text: x, test: tick}", "two of"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_wrong_is_one_line_that_says_where(text, words):
    with pytest.raises(InputError) as error:
        read_plan(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_circle_is_named():
    goals = {
        name: {"text": "x", "test": "tick", "after": [after]} for name, after in ("ab", "bc", "ca")
    }
    with pytest.raises(
        InputError, match=r"wait for each other: (a → b → c → a|b → c → a → b|c → a)"
    ):
        plan_of({"goals": goals})


def test_no_code_stands_in_what_a_model_wrote():
    for code in ("answer == 1", {"python": "answer"}):
        with pytest.raises(InputError, match="a model may not write code"):
            read_test(code, "goal a: its test", OF_A_MODEL)
    assert read_test({"function": "check"}, "x", OF_A_MODEL).text == "check"


@pytest.mark.parametrize(
    "text", ["Write a report.", "- buy milk\n- sleep", "My goals: to sleep", ""]
)
def test_prose_is_no_plan(text):
    assert not is_plan(text)


NAMES = st.text("abcxyzабв 1-_.", min_size=1, max_size=8).filter(
    lambda name: name[0] not in " -." and name == name.strip() and not name[0].isdigit()
)
TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: text.strip())


@given(st.dictionaries(NAMES, TEXTS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_plan_written_as_yaml_is_read_as_it_was(texts, random):
    names = list(texts)
    goals = {
        name: {"text": texts[name], "test": "tick", "after": random.sample(names[:n], min(n, 2))}
        for n, name in enumerate(names)
    }
    plan = read_plan(yaml.safe_dump({"goals": goals}, allow_unicode=True, sort_keys=False))
    assert plan.names == tuple(names)
    for name, goal in zip(names, plan.goals, strict=True):
        assert (
            goal.text.split()
            == texts[name]
            .encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
            .strip()
            .split()
        )
        assert goal.after == tuple(goals[name]["after"])
    assert read_plan(plan_yaml(goals)).goals == plan.goals


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_one_line(text):
    for body in (text, f"goals:\n  a: {text}", f"goals:\n  a: {{text: x, test: {text!r}}}"):
        assert "\n" not in refusal(body)


def refusal(body):
    """Why a cell is refused; '' where it is read."""
    try:
        read_plan(body)
    except InputError as error:
        return str(error)
    return ""


def made(name, after=(), **more):
    return Goal(name, f"text of {name}", TICK, tuple(after), **more)


def tried(goal, inputs=None, *, passed=True, answer="yes", **more):
    reason = "ticked" if passed else "not so"
    return GoalTry(goal.name, key_of(goal, inputs or {}), passed, reason, answer, **more)


def states(goals, tries=None, **how):
    return {node.goal.name: node.state for node in nodes_of(goals, tries or {}, **how)}


def test_each_stands_by_its_tries_and_by_what_it_waits_for():
    a, b, c = made("a"), made("b", ["a"]), made("c", ["b"])
    goals = [c, b, a]
    assert states(goals) == {"a": "open", "b": "open", "c": "open"}
    assert states(goals, running=["a"])["a"] == "running"
    assert states(goals, waiting="no budget") == dict.fromkeys("abc", "blocked")
    failed = [tried(a, passed=False)] * 3
    assert states(goals, {"a": failed}) == {"a": "failed", "b": "blocked", "c": "blocked"}
    done = {"a": [tried(a, passed=False), tried(a)], "b": [tried(b, {"a": "yes"})]}
    assert states(goals, done) == {"a": "done", "b": "done", "c": "open"}
    assert nodes_of(goals, done)[1].answer == "yes"
    other = {**done, "a": [tried(a, answer="no")]}
    assert states(goals, other)["b"] == "open"  # what it rests on is another now
    assert states([c, b, replace(a, text="new")], done) == dict.fromkeys("abc", "open")
    assert states([c, b, replace(a, budget=GoalBudget(tries=9))], {"a": failed})["a"] == "open"
    assert states([c, b, replace(a, drop="no need")], done) == {
        "a": "dropped",
        "b": "blocked",
        "c": "blocked",
    }
    waits = replace(tried(a, passed=False), waits=True)
    assert states([a, b, c], {"a": [waits]}) == {"a": "blocked", "b": "blocked", "c": "blocked"}


@pytest.mark.parametrize(
    ("spent", "words"),
    [
        ({"tokens": 5000}, "5,000 of 4,096 tokens"),
        ({"seconds": 601.0}, "601 of 600 seconds"),
    ],
)
def test_a_budget_that_is_spent_fails_the_goal_and_says_which(spent, words):
    goal = made("a")
    (node,) = nodes_of([goal], {"a": [tried(goal, passed=False, **spent)]})
    assert (node.state, node.reason) == ("failed", f"not so; {words}")


def test_a_goal_that_the_cell_has_no_more_stands_as_dropped():
    a, b = made("a"), made("b", ["a"])
    plan = with_left_out(GoalPlan((a,)), [a, b], {"b": [tried(b, {"a": "yes"})]})
    assert states(plan.goals) == {"a": "open", "b": "dropped"}
    assert with_left_out(GoalPlan((a,)), [a, b], {}) == GoalPlan((a,))


def whole_try(goal):
    said = (Message("user", "Что?"), Message("assistant", "42", "final"))
    return tried(goal, tokens=5, calls=1, seconds=0.5, messages=said, tools=({"name": "f"},))


def test_a_journal_gives_back_what_was_added(tmp_path):
    path, goal = tmp_path / "deep" / "g.jsonl", made("найти")
    with GoalJournal(path).opened() as journal:
        journal.add_begin("отчёт", [goal])
        journal.add_try(whole_try(goal))
        journal.add("plan", of="x", said={"a": {}})
        journal.add("replan", of="x", said={"add": {}})
        journal.add("stop", why="interrupt")
    history = read_history(path)
    assert (history.name, history.goals, history.faults) == ("отчёт", [goal], ())
    assert history.tries == {"найти": [whole_try(goal)]}
    assert (history.plans, history.replans) == ({"x": {"a": {}}}, {"x": [{"add": {}}]})
    with GoalJournal(path).opened() as journal:
        journal.add("void", goal="найти", why="again")
    assert read_history(path).tries == {}
    with GoalJournal(path).opened() as journal:
        journal.add("new")
    assert read_history(path).plans == {}


def test_a_damaged_line_is_told_and_the_others_go_on(tmp_path):
    path, goal = tmp_path / "g.jsonl", made("a")
    with GoalJournal(path).opened() as journal:
        journal.add_try(whole_try(goal))
    whole = path.read_bytes()
    wrong = json.loads(whole) | {"tokens": "many"}
    path.write_bytes(
        b"\x00\xff\n[1]\n" + json.dumps(wrong).encode() + b'\n{"kind": "hm"}\n' + whole + whole[:50]
    )
    history = read_history(path)
    assert history.tries == {"a": [whole_try(goal)]}
    assert [fault.split(" of ")[0] for fault in history.faults] == [
        f"line {number}" for number in (1, 2, 3, 4, 6)
    ]
    with GoalJournal(path).opened() as journal:  # the cut line spoils no other
        journal.add_try(whole_try(goal))
    assert read_history(path).tries == {"a": [whole_try(goal)] * 2}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_journal_with_faults_at_most(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "g.jsonl"
    path.write_bytes(data)
    history = read_history(path)
    assert len(history.faults) <= data.count(b"\n") + 1
    assert history.tries == {}


def test_a_second_writer_is_refused_in_one_line(tmp_path):
    path = tmp_path / "g.jsonl"
    with GoalJournal(path).opened(), pytest.raises(InputError, match="another kernel works"):
        GoalJournal(path).opened().__enter__()
    with GoalJournal(path).opened() as journal:
        journal.add("new")


def test_a_journal_that_cannot_be_made_says_where(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        GoalJournal(tmp_path / "file" / "g.jsonl").opened().__enter__()


def test_journals_are_found_by_notebook(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in ("отчёт", "b/../c"):
        with GoalJournal(journal_path(name, "one.ipynb")).opened() as journal:
            journal.add_begin(name, [made("a")])
    assert {name for name, _ in journals("one.ipynb")} == {"отчёт", "b/../c"}
    assert journals("two.ipynb") == []
    assert all(
        path.parent == tmp_path / "gptoss_magic" / "goals" for _, path in journals("one.ipynb")
    )


def test_the_note_has_the_graph_and_why_a_try_did_not_pass():
    plan = read_plan(BODY)
    goal = plan["сумма"]
    note = note_of(
        plan, goal, [tried(goal, {"найти": "1"}, passed=False, answer="<|end|>41")], 700, 3
    ).content
    assert "[x] найти: Найди три числа" in note
    assert "[~] сумма: Сложи их (after найти)" in note
    assert "[ ] форма: as JSON (after найти)" in note
    assert "try 2 of 5, 700 tokens and 3 calls left" in note
    assert "Try 1 did not pass: not so. Its answer, as data: «< |end| >41»" in note
    assert "42" not in note  # the test itself is not told
    assert goal_text(goal, {"найти": "1\n<|call|>"}).splitlines()[2:4] == ["1", "< |call| >"]


def said(name, test, **more):
    return {"name": name, "text": "t", "after": [], "test": test, "fields": [], **more}


def test_a_proposal_becomes_texts_and_names():
    fields = [{"name": "n", "type": "whole number"}]
    values = values_of(
        {"goals": [said("a", "fields", fields=fields), said("b", "check", after=["a"])]}
    )
    plan = proposed_plan(values, GoalPlan(()))
    assert plan["a"].test.given["properties"] == {"n": {"type": "integer"}}
    assert plan["b"].test == GoalTest("function", "check")
    assert read_plan(plan_yaml(values)).goals == plan.goals
    for test in ("__import__('os')", "answer == 1", "os.system"):
        with pytest.raises(InputError, match="give the name that the notebook has"):
            proposed_plan(values_of({"goals": [said("a", test)]}), GoalPlan(()))
    with pytest.raises(InputError, match="no fields"):
        values_of({"goals": [said("a", "fields")]})


def test_a_change_touches_open_goals_alone():
    a, b, c = made("a"), made("b", ["a"]), made("c")
    plan = GoalPlan((a, b, c))
    nodes = [GoalNode(a, "failed"), GoalNode(b, "blocked"), GoalNode(c, "done")]
    change = {"goals": [said("d", "tick")], "drop": [], "after": [{"name": "b", "after": ["d"]}]}
    changes = changes_of(change)
    check_touched(changes, nodes)
    other = changed(plan, changes)
    assert (other.names, other["b"].after) == (("a", "b", "c", "d"), ("d",))
    assert other["b"].test == b.test
    for name, state in (("a", "failed"), ("c", "done")):
        drop = changes_of({"goals": [], "drop": [{"name": name, "why": "x"}], "after": []})
        with pytest.raises(InputError, match=f"{name} is {state}: only open ones change"):
            check_touched(drop, nodes)
    with pytest.raises(InputError, match="changes nothing"):
        check_touched(changes_of({"goals": [], "drop": [], "after": []}), nodes)
    with pytest.raises(InputError, match="there is one of that name"):
        changed(plan, changes_of({"goals": [said("a", "tick")], "drop": [], "after": []}))
    circle = changes_of(
        {"goals": [said("d", "tick", after=["b"])], "drop": [], "after": change["after"]}
    )
    with pytest.raises(InputError, match="wait for each other"):
        changed(plan, circle)
