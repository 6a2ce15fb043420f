"""Rows split once: what asks the same stays together, and is asked once."""

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.records import Message
from gptoss_magic.studies.depth.body import body_of
from gptoss_magic.studies.depth.split import split_rows
from gptoss_magic.studies.depth.task import split_task, task_parts
from gptoss_magic.tuning.sources import read_list


def rows_of(*pairs, **more):
    return read_list([{"prompt": a, "answer": b, **more} for a, b in pairs]).rows


def numbered(num):
    return rows_of(*((f"question {n}?", f"answer {n}") for n in range(num)))


def prompts(split):
    return {row.prompt for row in split.train}, {one.row.prompt for one in split.held}


def test_a_third_is_held_out_and_the_seed_says_which():
    rows = numbered(20)
    one, again, other = (split_rows(rows, None, seed) for seed in (0, 0, 1))
    assert (len(one.train), len(one.held)) == (13, 7)
    assert one == again
    assert prompts(one) != prompts(other)
    train, held = prompts(one)
    assert not train & held
    assert len(train | held) == 20


def test_at_most_fifty_are_held_out_unless_more_are_wanted():
    rows = numbered(300)
    assert len(split_rows(rows, None, 0).held) == 50
    assert len(split_rows(rows, 120, 0).held) == 120


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_ask_the_same_are_on_one_side_and_asked_once(seed):
    twins = rows_of(("Где  ЁЖ?", "тут"), ("где еж?", "там"), ("ｗｈｅｒｅ?", "a"), ("Where?", "b"))
    split = split_rows([*numbered(10), *twins], 6, seed)
    train, held = prompts(split)
    for pair in ({"Где  ЁЖ?", "где еж?"}, {"ｗｈｅｒｅ?", "Where?"}):
        assert (len(pair & train), len(pair & held)) in {(2, 0), (0, 1)}
    assert split.notes[0].startswith("2 rows ask what another row asks")
    answers = {one.row.prompt: one.answers for one in split.held}
    assert answers.get("Где  ЁЖ?", ("тут", "там")) == ("тут", "там")


def test_the_same_words_behind_another_talk_are_another_question():
    def talk(first):
        said = [("user", first), ("assistant", "Yes."), ("user", "Why?"), ("assistant", first)]
        return {"messages": [{"role": role, "content": text} for role, text in said]}

    rows = read_list([talk(f"Is {n} odd?") for n in range(8)]).rows
    split = split_rows(rows, 4, 0)
    assert (len(split.train), len(split.held), split.notes) == (4, 4, ())


def test_rows_that_call_tools_are_learned_from_only():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    rows = [*numbered(8), *rows_of(("call f?", "no"), tools=tools)]
    split = split_rows(rows, 5, 0)
    assert "call f?" in prompts(split)[0]
    assert split.notes == ("1 row with tools or without a final answer: learned from, never asked",)


@pytest.mark.parametrize(
    ("num", "held", "words"),
    [
        (7, None, "7 rows with a question of their own"),
        (12, 9, "held out 9: of 12 rows (rows that ask the same count once): give 4 to 8"),
        (12, 3, "held out 3"),
        (12, -1, "held out -1"),
    ],
)
def test_too_few_rows_are_refused(num, held, words):
    with pytest.raises(InputError) as refused:
        split_rows(numbered(num), held, 0)
    assert words in str(refused.value)


def test_rows_that_all_ask_the_same_are_too_few():
    rows = rows_of(*((("Same?", " same?  ")[n % 2], str(n)) for n in range(30)))
    with pytest.raises(InputError, match="1 row with a question of their own"):
        split_rows(rows, None, 0)


def task(rows, names=None, **said):
    body, reading = task_parts(body_of({"rows": rows, **said}), names or {})
    split = split_rows(reading.rows, None, 0)
    return split_task("t", body, names or {}, split, reading.lines())


ROWS = [{"prompt": f"Сколько будет {n} + 1?", "answer": str(n + 1)} for n in range(12)]


def test_any_answer_of_a_question_that_is_asked_twice_is_right():
    from gptoss_magic.studies.depth.task import spoken

    rows = [{"prompt": f"q{n}", "answer": f"{n}"} for n in range(8)] * 2
    rows = [{**row, "answer": row["answer"] * (1 + (n > 7))} for n, row in enumerate(rows)]
    suite = task(rows).suite
    item = suite.items[0]
    verdicts = [suite.grade(item, spoken(text)).word for text in (item.expected, item.expected * 2)]
    assert verdicts == ["right", "right"]
    assert suite.grade(item, spoken("else")).word == "wrong"


def test_a_checker_of_the_notebook_grades_and_one_bad_answer_spoils_nothing():
    def checker(item, final):
        if "5" in final:
            raise ValueError("no fives")
        return final == item.expected

    made = task(ROWS, {"checker": checker}, checker="checker")
    (odd,) = [note for note in made.notes if note.startswith("the checker refuses")]
    failed = [item for item in made.suite.items if "5" in item.expected]
    assert all(f"{item.id} (its checker failed: ValueError: no fives)" in odd for item in failed)
    assert made.suite.graded_by == "the checker checker"


@pytest.mark.parametrize(
    ("checker", "words"),
    [
        (lambda item: True, "the checker fails on every row's own answer"),
        (lambda item, final: None, "it gave None, neither True nor False nor words"),
        (lambda item, final: 0.4, "it gave 0.4"),
        (lambda item, final: exit(), "its checker failed: SystemExit"),
        ("nosuch", "there is no nosuch in the notebook"),
        (3, "checker 3 is no function"),
    ],
)
def test_a_checker_that_cannot_be_is_refused(checker, words):
    with pytest.raises(InputError) as refused:
        task(ROWS, checker=checker)
    assert words in str(refused.value)


def test_a_tool_that_is_none_is_refused():
    with pytest.raises(InputError, match="tools: there is no add in the notebook"):
        task(ROWS, tools=["add"])


def test_a_row_s_own_system_text_and_talk_are_asked_with_it():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
    ]
    rows = [
        {"messages": [*messages, {"role": "user", "content": f"And {n}?"},
                      {"role": "assistant", "content": f"Yes {n}."}]} for n in range(8)
    ]  # fmt: skip
    item = task(rows).suite.items[0]
    assert item.system == "Be brief."
    assert item.before == (Message("user", "Hi"), Message("assistant", "Ho", "final"))
    assert item.expected.startswith("Yes ")


def test_held_out_rows_that_share_text_with_learned_ones_are_named():
    long = "the ship left the old harbour early in the grey morning with nobody on its deck"
    rows = [{"prompt": f"{long} {n}?", "answer": f"a{n}"} for n in range(10)]
    (odd,) = [note for note in task(rows).notes if note.startswith("held-out rows that share")]
    assert "(13 words)" in odd
