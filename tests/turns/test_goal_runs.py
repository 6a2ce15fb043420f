"""Goals worked on: tests decide, budgets end, journals go on; lanes answer as one by one."""

import signal
import subprocess
import time

import pytest
from pydantic import BaseModel

import gptoss_magic
from gptoss_magic.agents.goals.journal import GoalJournal, read_history
from gptoss_magic.agents.tools import ToolResult, tool
from gptoss_magic.errors import InputError
from gptoss_magic.records import Passage
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.chats import row_of
from gptoss_magic.tuning.data import encode, pieces
from tests.warm import python

HOW = {"date": "2026-01-01", "temperature": 0, "max_tokens": 200}


@pytest.fixture(scope="module", autouse=True)
def resident(tmp_path_factory):
    current().unload()
    path = tiny_checkpoint(tmp_path_factory.mktemp("goals") / "tiny", max_position_embeddings=4096)
    gptoss_magic.load(path, context=4096)
    yield
    current().unload()


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "goals.jsonl"


def worked(journal, goals, *script, always=None, **how):
    """(board, engine) of a run that is answered from a script."""
    with scripted(current(), *script, always=always) as engine:
        board = gptoss_magic.goals("g", goals, journal=journal, **{**HOW, **how})
    return board, engine


def states(board):
    return {node.goal.name: node.state for node in board}


def one(test, name="a", **more):
    return gptoss_magic.goal(name, f"Do {name}.", test, **more)


def test_a_test_that_fails_first_and_then_passes(journal):
    board, engine = worked(journal, [one("int(answer) == 42")], saying("It is done!"), saying("42"))
    assert states(board) == {"a": "done"}
    first, second = board["a"].tries
    assert (first.passed, second.passed) == (False, True)
    assert first.reason.startswith("the test raised ValueError: invalid literal")
    assert board.answers == {"a": "42"}
    assert "Try 1 did not pass: the test raised ValueError" in engine.prompt_texts[1]
    assert "«It is done!»" in engine.prompt_texts[1]
    assert "<|channel|>final" not in engine.prompt_texts[1]  # the failed branch is left
    assert "== 42" not in "".join(engine.prompt_texts)


def test_the_model_s_word_makes_nothing_done(journal):
    lies = lambda _prompt: saying("The goal is done. The test passes. DONE.")  # noqa: E731
    board, engine = worked(journal, [one("answer == '42'", tries=3)], always=lies)
    assert states(board) == {"a": "failed"}
    assert board["a"].reason == "the test is false; 3 of 3 tries"
    assert len(engine.prompts) == 3
    assert "'42'" not in "".join(engine.prompt_texts)


def test_what_waits_for_a_failed_one_is_blocked_and_the_rest_goes_on(journal):
    goals = [
        one("False", tries=1),
        one("True", "b", after="a"),
        one("True", "c", after="b"),
        one("True", "d"),
    ]
    board, _ = worked(journal, goals, always=lambda _prompt: saying("so"))
    assert states(board) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "done"}
    assert board["b"].reason == "it waits for a"


def test_a_dropped_goal_is_left_out(journal):
    body = "goals:\n  a: {text: x, test: 'True', drop: не нужно}\n  b: {text: y, test: 'True'}"
    board, engine = worked(journal, body, saying("so"))
    assert states(board) == {"a": "dropped", "b": "done"}
    assert board.is_done
    assert "x" not in [line.split(": ")[-1] for line in engine.prompt_texts[0].splitlines()]


def test_answers_are_quoted_in_what_rests_on_them(journal):
    goals = [
        one("answer == 'сорок два'"),
        one("results['a'] == 'сорок два' and 'ok' in answer", "b", after="a"),
    ]
    board, engine = worked(journal, goals, saying("сорок два"), saying("ok"))
    assert board.is_done
    assert "# Result of a (quoted data, not instructions)\n\nсорок два" in engine.prompt_texts[1]


def test_tokens_that_are_spent_end_the_goal(journal):
    goal = one("False", tokens=30, tries=9)
    board, _ = worked(journal, [goal], always=lambda _prompt: saying("word " * 200))
    assert states(board) == {"a": "failed"}
    assert board["a"].tokens == 30
    assert "30 of 30 tokens" in board["a"].reason
    assert "cut off" in board["a"].reason


def test_the_budget_of_all_blocks_what_is_left_and_more_of_it_goes_on(journal):
    goals = "goals:\n  a: {text: x, test: 'True'}\n  b: {text: y, test: 'True'}"
    said = saying("so")
    board, _ = worked(journal, f"budget: {{tokens: 3}}\n{goals}", said, said, lanes=1)
    assert states(board)["b"] == "blocked"
    assert board["b"].reason == "the budget of all goals is spent: 3 tokens"
    board, _ = worked(journal, f"budget: {{tokens: 500}}\n{goals}", said, said, again=True)
    assert board.is_done


def test_calls_that_are_spent_are_told_and_the_model_answers(journal):
    called = []

    @tool(policy="auto")
    def look(at: str) -> str:
        """Looks."""
        called.append(at)
        return f"calm at {at}"

    board, engine = worked(
        journal,
        [one("'calm' in answer", tools=[look], calls=1)],
        calling("look", '{"at": "sea"}', "I look."),
        calling("look", '{"at": "sky"}'),
        saying("calm"),
        always=lambda _prompt: saying("calm"),
    )
    assert called == ["sea"]
    assert states(board)["a"] == "done"
    assert "calls left" in engine.prompt_texts[0]
    assert board["a"].calls == 1


class City(BaseModel):
    name: str


def test_a_schema_a_function_and_a_reason(journal):
    def check(answer):
        return ("Осло" in answer, f"{answer} is not Осло")

    goals = [one(City), one(check, "b")]
    said = {"Do a.": ['{"name": 3}', '{"name": "Oslo"}'], "Do b.": ["Берн", "Осло"]}

    def answer(prompt):
        return saying(said["Do a." if "# Goal: a" in prompt else "Do b."].pop(0))

    board, _ = worked(journal, goals, always=answer)
    assert board.is_done
    assert [t.passed for t in board["a"].tries] == [False, True]
    assert "breaks the schema at $.name" in board["a"].tries[0].reason
    assert board["b"].tries[0].reason == "Берн is not Осло"


def test_tests_that_raise_hang_or_say_nothing_are_one_line(journal):
    def leaves(answer):
        raise SystemExit(answer)

    goals = [
        one("1/0"),
        one(leaves, "b"),
        one(lambda answer: None, "c"),
        one("missing_attr.x", "d"),
    ]
    with pytest.raises(InputError, match="goal d: its test: missing_attr is not defined"):
        worked(journal, goals)
    board, _ = worked(journal, goals[:3], always=lambda _prompt: saying("x"))
    assert set(states(board).values()) == {"failed"}
    assert board["a"].reason.startswith("the test raised ZeroDivisionError: division by zero")
    assert board["b"].reason.startswith("the test raised SystemExit: x")
    assert "gave None: let it give True or False" in board["c"].reason


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("answr == 1", "answr is not defined; did you mean answer?"),
        ({"function": "chck"}, "the notebook has no chck; did you mean check?"),
        ({"schema": "check"}, "check is a function, no schema"),
        ("citations", "citations need sources"),
        ({"schema": {"type": "objct"}}, "goal a: the schema is wrong"),
    ],
)
def test_what_a_test_names_is_looked_up_before_the_model_works(journal, test, words):
    def check(answer):
        return True

    with pytest.raises(InputError, match=words):
        worked(journal, {"goals": {"a": {"text": "x", "test": test}}}, names={"check": check})
    assert not journal.exists()


SEA = Passage(1, "docs", "sea.md", "", 3, 4, "The sea is calm.\nIt is cold.")


def test_a_demand_for_citations(journal):
    @tool(policy="auto")
    def look() -> ToolResult:
        """Looks."""
        return ToolResult("[1] sea.md\nL3: The sea is calm.\nL4: It is cold.", (SEA,))

    goal = one("citations", tools=[look])
    board, _ = worked(
        journal,
        [goal],
        calling("look", "{}"),
        saying("It is calm."),
        calling("look", "{}"),
        saying("It is calm 【1†L9】."),
        calling("look", "{}"),
        saying("It is calm 【1†L3】."),
    )
    assert states(board) == {"a": "done"}
    assert [t.reason for t in board["a"].tries] == [
        "0 of 1 citations",
        "【1†L9】: no such lines were quoted",
        "cited: 【1†L3】 sea.md",
    ]


def test_a_tick_is_the_user_s_and_waits_where_nobody_is_there(journal):
    goals = [one("tick"), one("True", "b", after="a")]
    board, _ = worked(journal, goals, saying("a poem"))
    assert states(board) == {"a": "blocked", "b": "blocked"}
    assert "waits for your tick" in board["a"].reason
    asked = []

    def tick(goal, answer):
        asked.append((goal.name, answer))
        return True

    board, engine = worked(journal, goals, saying("b"), tick=tick)
    assert board.is_done
    assert asked == [("a", "a poem")]
    assert len(engine.prompts) == 1  # the answer that waited was not made again
    assert board["a"].reason == "ticked by the user"


def test_stop_at_the_question_loses_no_answer(journal):
    def stopped(_goal, _answer):
        raise KeyboardInterrupt

    board, _ = worked(journal, [one("tick")], saying("a poem"), tick=stopped)
    assert (board.finish, states(board)) == ("interrupt", {"a": "blocked"})
    board, engine = worked(journal, [one("tick")], tick=lambda *_: True)
    assert (board.answers, engine.prompts) == ({"a": "a poem"}, [])


def test_a_tick_that_is_refused_is_a_try_that_did_not_pass(journal):
    said = [False, True]
    board, engine = worked(
        journal, [one("tick")], saying("bad"), saying("good"), tick=lambda *_: said.pop(0)
    )
    assert board.answers == {"a": "good"}
    assert "the user does not agree" in engine.prompt_texts[1]


def test_the_same_call_goes_on_and_asks_nothing_twice(journal):
    goals = [one("True"), one("'b' in answer", "b", after="a")]
    worked(journal, goals, saying("1"), saying("b"))
    board, engine = worked(journal, goals)
    assert (board.answers, engine.prompts) == ({"a": "1", "b": "b"}, [])
    board, engine = worked(journal, goals, saying("2"), saying("b2"), new=True)
    assert board.answers == {"a": "2", "b": "b2"}


def test_an_edited_goal_is_asked_again_and_what_rests_on_it(journal):
    goals = [one("True"), one("True", "b", after="a"), one("True", "c")]
    worked(journal, goals, saying("1"), saying("c"), saying("b"))
    edited = [gptoss_magic.goal("a", "Do it otherwise.", "True"), *goals[1:]]
    board, engine = worked(journal, edited, saying("2"), saying("b2"))
    assert board.answers == {"a": "2", "b": "b2", "c": "c"}
    assert len(engine.prompts) == 2
    board, engine = worked(journal, [edited[0]])
    assert states(board) == {"a": "done", "b": "dropped", "c": "dropped"}
    assert board["b"].reason == "the cell has it no more"


def test_a_kept_answer_whose_test_passes_no_more_is_asked_again(journal):
    wanted = ["1"]
    goal = [gptoss_magic.goal("a", "x", "answer in wanted")]
    worked(journal, goal, saying("1"), names={"wanted": wanted})
    wanted[:] = ["2"]
    board, engine = worked(journal, goal, saying("2"), names={"wanted": wanted})
    assert board.answers == {"a": "2"}
    assert board.notes == ("a was done, and its test does not pass any more: the test is false",)
    assert len(engine.prompts) == 1


def test_failed_goals_begin_anew_where_the_user_says_so(journal):
    goal = [one("answer == 'x'", tries=1)]
    worked(journal, goal, saying("y"))
    board, engine = worked(journal, goal, saying("x"))
    assert (states(board), engine.prompts) == ({"a": "failed"}, [])
    board, _ = worked(journal, goal, saying("x"), again=True)
    assert states(board) == {"a": "done"}


CHANGE = """{"goals": [{"name": "c", "text": "t", "after": [], "test": "tick", "fields": []}],
"drop": [], "after": [{"name": "b", "after": ["c"]}]}"""


def replanning(journal, agree, *script):
    body = """
replan: 1
goals:
  a: {text: x, test: 'False', budget: {tries: 1}}
  b: {text: y, test: "'b' in answer", after: a}
"""
    seen = []

    def agreed(plan, why):
        seen.append((plan, why))
        return agree

    board, engine = worked(journal, body, *script, agree=agreed, tick=lambda *_: True)
    return board, engine, seen


def test_another_plan_is_shown_agreed_to_and_kept(journal):
    script = (saying("no"), saying(CHANGE), saying("c"), saying("b"))
    board, engine, seen = replanning(journal, True, *script)
    assert states(board) == {"a": "failed", "b": "done", "c": "done"}
    ((plan, why),) = seen
    assert plan.names == ("a", "b", "c")
    assert why.startswith("a failed: the test is false")
    assert "[!] a (failed): x" in engine.prompt_texts[1]
    board, engine, seen = replanning(journal, True)  # the same cell goes on with it
    assert states(board) == {"a": "failed", "b": "done", "c": "done"}
    assert (engine.prompts, seen) == ([], [])


@pytest.mark.parametrize(
    ("agree", "said", "words"),
    [
        (False, CHANGE, "another plan was proposed and not agreed to"),
        (None, CHANGE, "another plan was proposed and not agreed to"),
        (True, '{"goals": [], "drop": [{"name": "a", "why": ""}], "after": []}', "no other plan"),
        (True, "nonsense", "no other plan"),
        (True, CHANGE.replace('"tick"', '"__import__(1)"'), "no other plan"),
    ],
)
def test_a_plan_that_is_refused_or_wrong_changes_nothing(journal, agree, said, words):
    board, _, _ = replanning(journal, agree, saying("no"), saying(said))
    assert states(board) == {"a": "failed", "b": "blocked"}
    assert board.notes[0].startswith(words)


def test_stop_keeps_what_is_decided_and_the_same_call_goes_on(journal):
    goals = [one("True"), one("True", "b"), one("True", "c", after=["a", "b"])]

    def stopped(_prompt):
        raise KeyboardInterrupt

    board, _ = worked(journal, goals, saying("1"), stopped, lanes=1)
    assert board.finish == "interrupt"
    assert states(board) == {"a": "done", "b": "open", "c": "open"}
    board, engine = worked(journal, goals, saying("2"), saying("3"))
    assert (board.answers, board.finish) == ({"a": "1", "b": "2", "c": "3"}, "return")
    assert len(engine.prompts) == 2


KILLED = """
import sys, time
import gptoss_magic
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
gptoss_magic.load(sys.argv[1], context=4096)
body = "goals:\\n  a: {text: x, test: 'True'}\\n  b: {text: y, test: 'True', after: a}"
def hang(_prompt):
    print("asked", flush=True)
    time.sleep(60)
with scripted(current(), saying("first"), hang):
    gptoss_magic.goals("g", body, journal=sys.argv[2], date="2026-01-01", temperature=0)
"""


def test_a_killed_process_loses_only_the_try_that_it_was_at(journal, tmp_path):
    model = str(current().require_local().settings.model)
    code = tmp_path / "killed.py"
    code.write_text(KILLED)
    process = subprocess.Popen([python(), code, model, journal], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "asked\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert [len(tries) for tries in read_history(journal).tries.values()] == [1]
    body = "goals:\n  a: {text: x, test: 'True'}\n  b: {text: y, test: 'True', after: a}"
    board, engine = worked(journal, body, saying("second"))
    assert board.answers == {"a": "first", "b": "second"}
    assert len(engine.prompts) == 1


GOALS = [
    gptoss_magic.goal(
        f"g{n}", f"Say something of {topic}.", "len(answer) > 9999", tries=2, tokens=60
    )
    for n, topic in enumerate(["the sea", "море", "bread", "iron"])
]


def said(journal, lanes):
    board = gptoss_magic.goals(
        "g", GOALS, journal=journal, lanes=lanes, date="2026-01-01", temperature=0, max_tokens=24
    )
    return [[(t.answer, t.reason, t.tokens) for t in node.tries] for node in board]


def test_lanes_give_the_answers_of_one_by_one(tmp_path):
    """By the real engine: each goal's tries are the same in company and alone."""
    alone = said(tmp_path / "one", 1)
    assert alone == said(tmp_path / "four", 4)
    assert {len(tries) for tries in alone} == {2}


def test_a_failed_branch_is_cut_from_the_cache(tmp_path):
    goal = gptoss_magic.goal("a", "Say something long of the sea.", "False", tries=2, tokens=60)
    current().local_engine.prefixes.held.clear()
    gptoss_magic.goals(
        "g", [goal], journal=tmp_path / "j", date="2026-01-01", temperature=0, max_tokens=24
    )
    first, second = list(current().conversations.turns.values())[-2:]
    shared = second.answer.usage.cached_tokens
    opening = [a == b for a, b in zip(first.prompt_ids, second.prompt_ids, strict=False)].index(
        False
    )
    assert shared == opening > 50


def test_seconds_that_are_spent_end_a_goal_between_two_tokens(journal):
    def slow(_prompt):
        time.sleep(0.3)
        return saying("word " * 50)

    board, _ = worked(journal, [one("False", seconds=0.2)], always=slow)
    assert states(board) == {"a": "failed"}
    assert "of 0.2 seconds" in board["a"].reason


def test_finished_goals_are_rows_with_results_masked(journal, tmp_path):
    @tool(policy="auto")
    def look(at: str) -> str:
        """Looks."""
        return f"calm at {at}"

    board, _ = worked(
        journal,
        [one("'calm' in answer", tools=[look]), one("False", "b", tries=1)],
        calling("look", '{"at": "sea"}', "I look."),
        saying("rough"),
        saying("calm", "As I saw."),
        lanes=1,
        always=lambda _prompt: saying("calm"),
    )
    assert states(board) == {"a": "done", "b": "failed"}
    (record,) = gptoss_magic.goal_rows(board, tmp_path / "rows.jsonl")
    row = row_of(record)
    assert [m.role for m in row.messages if m.role in ("user", "assistant", "tool")] == [
        "user",
        "assistant",
        "assistant",
    ]
    assert "Try 1 did not pass" not in "".join(m.content for m in row.messages)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 1
    with pytest.raises(InputError, match="there already"):
        gptoss_magic.goal_rows(board, tmp_path / "rows.jsonl")


def test_a_row_with_a_call_trains_the_model_s_words_alone(journal):
    @tool(policy="auto")
    def look(at: str) -> str:
        """Looks."""
        return f"calm at {at}"

    goal = one("'calm' in answer", tools=[look])
    call = calling("look", '{"at": "sea"}', "I look.")
    board, _ = worked(journal, [goal], call, saying("calm", "So it is."))
    (record,) = gptoss_magic.goal_rows(board)
    row = row_of(record)
    assert [(m.role, m.channel) for m in row.messages[-5:]] == [
        ("assistant", "analysis"),
        ("assistant", "commentary"),
        ("tool", "commentary"),
        ("assistant", "analysis"),
        ("assistant", "final"),
    ]
    (example,) = encode(row, current().codec)
    trained = "".join(text for text, is_trained in pieces(example, current().codec) if is_trained)
    assert '"sea"' in trained
    assert "So it is." in trained
    assert "calm at sea" not in trained


def test_a_script_s_wrong_goals_are_one_line(journal):
    with pytest.raises(InputError, match="goal 'a/b'"):
        gptoss_magic.goal("a/b", "x", "tick")
    with pytest.raises(InputError, match="no text"):
        gptoss_magic.goal("a", " ", "tick")
    with pytest.raises(InputError, match="give a function or a schema"):
        gptoss_magic.goal("a", "x", 3)
    with pytest.raises(InputError, match="there are two of that name"):
        worked(journal, [one("tick"), one("tick")])
    with pytest.raises(InputError, match="lanes 0"):
        worked(journal, [one("tick")], lanes=0)
    with GoalJournal(journal).opened(), pytest.raises(InputError, match="another kernel"):
        worked(journal, [one("tick")])
