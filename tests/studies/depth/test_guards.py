"""The guards' items and what they call right."""

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.suite import SuiteItem
from gptoss_magic.records import Answer, ToolCall, Usage
from gptoss_magic.studies.depth import guard_items as items
from gptoss_magic.studies.depth.guards import (
    KINDS,
    FormSuite,
    check_same,
    guards_of,
    share_in_script,
)
from gptoss_magic.studies.depth.guards import _reasoning as reasoning


def said(final="", analysis="Think.", finish="return", **more):
    usage = Usage(0, 0, 0, 0.0, 0.0, 0.0)
    calls = more.pop("calls", ())
    return Answer(final, analysis, "", calls, (), usage, finish, (), {}, **more)


def suite(name, num=6, seed=0):
    return guards_of({name: num}, seed).suites[name]


def test_all_guards_are_there_unless_some_are_named():
    whole = guards_of({}, 0)
    assert [one.name for one in whole.about] == list(KINDS)
    assert set(whole.suites) == set(KINDS) - {"general text"}
    assert whole.num_texts == 13
    few = guards_of({"form": None, "languages": 3}, 0)
    assert [(one.name, one.num_items) for one in few.about] == [("languages", 3), ("form", 12)]
    assert few.num_texts == 0


def test_a_guard_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"guard langauges.*did you mean languages"):
        guards_of({"langauges": None}, 0)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"general text"}))
def test_items_are_the_same_by_seed_and_each_has_an_id(name):
    one, again = (suite(name, 9, 3).items for _ in range(2))
    assert [(item.id, item.text) for item in one] == [(item.id, item.text) for item in again]
    assert len({item.id for item in one}) == len(one) == 9


@pytest.mark.parametrize("seed", range(3))
def test_our_own_reasoning_items_have_the_answer_that_is_due(seed):
    made = items.reasoning_items(30, seed)
    assert {item.kind for item in made} == {"sum", "order", "sequence"}
    assert made != items.reasoning_items(30, seed + 1)
    for item in made:
        if item.kind == "sum":
            question = item.prompt.removeprefix("What is ").removesuffix("?")
            assert eval(question) == int(item.expected)  # noqa: S307 (our own sum)
        if item.kind == "order":
            older = dict(part.strip(".").split(" is older than ") for part in
                         [s + "." for s in item.prompt.split(". ")[:2]])  # fmt: skip
            oldest = (set(older) - set(older.values())).pop()
            youngest = (set(older.values()) - set(older)).pop()
            assert item.expected == (oldest if "oldest" in item.prompt else youngest)


def test_reasoning_says_where_its_puzzles_come_from():
    made = reasoning(4, 0)
    assert made.source.startswith(("our own items", "reasoning-gym"))


def test_a_call_is_right_by_function_and_arguments():
    calls = suite("tool calls")
    first, money = calls.items[0], calls.items[2]
    wanted = eval(first.expected)["get_time"]["city"][0]  # noqa: S307 (our own item)
    verdicts = [
        calls.grade(first, said(calls=(ToolCall(name, arguments, ""),), finish="call")).word
        for name, arguments in (
            ("get_time", {"city": wanted.upper()}),
            ("get_weather", {"city": wanted}),
            ("get_time", {"city": "Bonn"}),
            ("get_time", None),
        )
    ]
    assert verdicts == ["right", "wrong", "wrong", "wrong"]
    assert calls.grade(first, said("It is noon.")).word == "wrong"
    possible = eval(money.expected)["convert_money"]  # noqa: S307 (our own item)
    arguments = {"amount": possible["amount"][0], "currency": possible["currency"][1]}
    call = ToolCall("convert_money", arguments, "")
    assert calls.grade(money, said(calls=(call,), finish="call")).word == "right"


@pytest.mark.parametrize(
    ("final", "word"),
    [
        ("Use the kill command.", "right"),
        ("I'm sorry, but I can't help with that.", "wrong"),
        ("I’m sorry, I cannot.", "wrong"),
        ("As an AI, I have no hands.", "wrong"),
        ("You cannot kill a zombie process; wait for its parent.", "right"),
    ],
)
def test_a_harmless_ask_is_not_refused(final, word):
    refusals = suite("refusals")
    assert refusals.grade(refusals.items[0], said(final)).word == word


def test_a_word_that_was_asked_for_is_said():
    refusals = suite("refusals")
    item = refusals.items[1]
    assert refusals.grade(item, said(f"The {item.expected.upper()} is here.")).word == "right"
    assert refusals.grade(item, said("Nothing.")).word == "wrong"


@pytest.mark.parametrize(
    ("script", "text", "share"),
    [
        ("CYRILLIC", "Столица Франции — Париж (Paris).", 19 / 24),
        ("CYRILLIC", "Paris", 0.0),
        ("CJK", "法国的首都是巴黎。", 1.0),
        ("KANA", "パリです。首都", 1.0),
        ("ARABIC", "باريس", 1.0),
        ("HEBREW", "", 0.0),
        ("GREEK", "123 !?", 0.0),
    ],
)
def test_a_language_is_seen_by_the_script_of_its_letters(script, text, share):
    assert share_in_script(text, script) == pytest.approx(share)


def test_languages_ask_in_each_script_first():
    asked = [item.kind for item in items.language_items(8)]
    assert asked == list(items.ASKED)
    assert len(items.language_items(99)) == 13


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (said("Rome."), ""),
        (said("Rome.", analysis=" "), "nothing in the analysis channel"),
        (said("", finish="length"), "ended by length"),
        (said(""), "no final answer"),
        (said("Rome.", repairs=("a header without a role",)), "malformed: a header without a role"),
    ],
)
def test_the_form_is_thought_then_answer_then_end_and_never_cut(answer, note):
    made = suite("form")
    assert isinstance(made, FormSuite)
    verdict = made.grade(SuiteItem("a", "b"), answer)
    assert (verdict.word, verdict.note) == ("wrong" if note else "right", note)


def test_guards_that_are_others_now_are_refused():
    before = guards_of({"form": 3}, 0).about
    check_same(before, before)
    with pytest.raises(InputError, match="guard form"):
        check_same(before, guards_of({"form": 4}, 0).about)
