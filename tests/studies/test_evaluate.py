"""Evaluations with a scripted engine that is right, wrong or cut as told, and with a tiny model."""

import re

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.statistics import mcnemar, paired_share, wilson
from gptoss_magic.evaluation.suite import Suite, SuiteItem, right_if
from gptoss_magic.records import Message
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.studies.arms import read_arms
from gptoss_magic.studies.depth.setup import BARE_SETUP, asks_of_rung
from gptoss_magic.studies.evaluate import evaluate, groups
from gptoss_magic.studies.run_rows import held_out_suite, tuned_texts
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.data import Row, encode
from gptoss_magic.tuning.methods import settings_of
from gptoss_magic.tuning.runs import Run, new_run
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.turns.many import answer_all

ROWS = [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(20)]
ASKED = re.compile(r"What is (\d+) \+ 1\?")


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    current().unload()
    path = tiny_checkpoint(tmp_path_factory.mktemp("evaluate") / "tiny")
    gptoss_magic.load(str(path), context=2048)
    yield
    current().unload()


@pytest.fixture
def place(resident, tmp_path):
    return tmp_path / "journal"


def knows(most, thought="Add one."):
    """Answers that are right for numbers below `most`; low effort: below half of it."""

    def say(prompt):
        number = int(ASKED.findall(prompt)[-1])
        limit = most // 2 if "Reasoning: low" in prompt else most
        return saying(str(number + 1 if number < limit else 0), thought)

    return say


def cut_at(places, most=20):
    """As `knows`, but for these numbers nothing is said in `final`; at low effort only."""

    def say(prompt):
        number = int(ASKED.findall(prompt)[-1])
        if number in places and "Reasoning: low" in prompt:
            return [Message("assistant", "I wonder.", "analysis")]
        return knows(2 * most)(prompt)

    return say


def counted(say, asked):
    def told(prompt):
        asked.append(prompt)
        return say(prompt)

    return told


def test_an_arm_is_scored_and_compared(place):
    plans = []
    with scripted(current(), always=knows(16)):
        made = evaluate(data=ROWS, arms="base,effort:low", journal=place, on_plan=plans.append)
    score, low = made.scores
    assert (score.score, score.low, score.high) == (0.8, wilson(16, 20).low, wilson(16, 20).high)
    assert (low.score, low.cut, low.wrong) == (0.4, 0.0, 0.6)
    (comparison,) = made.comparisons
    assert (comparison.better, comparison.worse, comparison.num_items) == (0, 8, 20)
    assert comparison.p == comparison.p_all == mcnemar(0, 8)
    assert comparison.difference == pytest.approx(-0.4)
    assert comparison.low == paired_share(0, 8, 20).low
    assert plans == [made.plan]
    assert (made.plan.num_answers, made.plan.kept, made.finish) == (40, 0, "return")
    assert made.plan.suites[0].smallest == pytest.approx(0.392, abs=1e-3)


def test_flips_come_with_what_was_lost_first(place):
    def say(prompt):
        number = int(ASKED.findall(prompt)[-1])
        is_low = "Reasoning: low" in prompt
        return saying(str(number + 1 if (number > 3) != is_low else 0), f"Low: {is_low}.")

    with scripted(current(), always=say):
        made = evaluate(data=ROWS, arms="base,effort:low", journal=place)
    flips = made.flips()
    assert len(flips) == 20
    assert [before.verdict for before, _ in flips] == ["right"] * 16 + ["wrong"] * 4
    assert (flips[0][0].analysis, flips[0][1].analysis) == ("Low: False.", "Low: True.")


def test_each_try_has_one_seed_in_every_arm(place):
    with scripted(current(), always=knows(9)):
        made = evaluate(
            data=ROWS, arms="base,effort:low", tries=3, temperature=1.0, limit=4, journal=place
        )
    seeds = {}
    for one in made.attempts:
        seeds.setdefault((one.item, one.number), set()).add(one.seed)
    assert len(seeds) == 12
    assert all(len(both) == 1 for both in seeds.values())
    assert len(set.union(*seeds.values())) == 12
    assert made.comparisons[0].test == "paired permutation of question means"
    assert len(made.scores[0].some_right) == 3


def test_tries_that_would_be_the_same_are_refused(resident):
    with pytest.raises(InputError, match="at temperature 0 each says the same"):
        evaluate(data=ROWS, tries=2, temperature=0.0)


def test_cut_answers_are_no_wrong_ones_and_forbid_a_comparison(place):
    with scripted(current(), always=cut_at({1, 2})):
        made = evaluate(data=ROWS, arms="base,effort:low", journal=place)
        forced = evaluate(data=ROWS, arms="base,effort:low", journal=place, force=True)
    assert made.scores[1].cut == 0.1
    assert made.scores[1].wrong == 0.0
    assert made.comparisons[0].p is None
    assert made.comparisons[0].refused.startswith("10% of its answers are cut, 0% of base's")
    assert forced.comparisons[0].p == mcnemar(0, 2)
    assert forced.plan.kept == 40


def test_one_cut_answer_in_twenty_is_compared(place):
    with scripted(current(), always=cut_at({1})):
        made = evaluate(data=ROWS, arms="base,effort:low", journal=place)
    assert made.comparisons[0].refused == ""


def test_an_interrupt_keeps_what_is_done_and_the_same_call_goes_on(place, tmp_path):
    asked, whole = [], []

    def stops(prompt):
        if len(asked) == 13:
            raise KeyboardInterrupt
        asked.append(prompt)
        return knows(16)(prompt)

    with scripted(current(), always=counted(knows(16), whole)):
        alone = evaluate(data=ROWS, arms="base,effort:low", journal=tmp_path / "other")
    with scripted(current(), always=stops):
        part = evaluate(data=ROWS, arms="base,effort:low", journal=place)
    assert (part.finish, len(part.attempts)) == ("interrupt", 13)
    assert part.comparisons == ()
    asked.clear()
    with scripted(current(), always=counted(knows(16), asked)):
        rest = evaluate(data=ROWS, arms="base,effort:low", journal=place)
    assert (len(asked), rest.plan.kept) == (27, 13)
    assert rest.attempts == alone.attempts
    assert (rest.scores, rest.comparisons) == (alone.scores, alone.comparisons)
    asked.clear()
    with scripted(current(), always=counted(knows(16), asked)):
        evaluate(data=ROWS, arms="base,effort:low", journal=place, new=True)
    assert len(asked) == 40


def test_private_items_leave_no_text(place):
    rows = [{**row, "private": True} for row in ROWS]
    with scripted(current(), always=knows(16)):
        made = evaluate(data=rows, arms="base,effort:low", journal=place)
    assert made.scores[0].score == 0.8
    for one in made.attempts:
        assert (one.prompt, one.expected, one.analysis, one.final, one.note) == ("",) * 5
    assert "What is" not in repr(made) + str(made.to_frame().to_dict())


def test_items_that_stand_in_tuning_rows_are_listed(place):
    rows = [
        {"prompt": "  what is 3 + 1 ?", "completion": "4"},
        {"prompt": "Hi", "completion": "Ho"},
    ]
    with scripted(current(), always=knows(4)):
        made = evaluate(data=ROWS, journal=place, rows=rows)
        clean = evaluate(data=ROWS, journal=place, rows=rows[1:])
    assert [(one.item, one.row, one.how) for one in made.shared] == [("4", "row 1", "the question")]
    assert (made.scores[0].score, made.apart[0].score) == (0.2, 3 / 19)
    assert made.apart[0].num_items == 19
    assert (clean.shared, clean.apart) == ((), ())


def test_a_frame_has_a_row_an_answer(place):
    with scripted(current(), always=knows(16)):
        frame = evaluate(data=ROWS, journal=place).to_frame()
    assert len(frame) == 20
    assert list(frame.verdict).count("right") == 16
    assert {"suite", "item", "arm", "seed", "num_tokens", "final"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ("bse", "'bse' is no part of one"),
        ("adapter:", "'adapter:' is no part"),
        ("adaptor:x", "did you mean adapter"),
        ("effort:max", "effort 'max'"),
        ("effort:low+effort:high", "give one effort"),
        ("base,base", "base is given twice"),
        ("adapter:nosuch", "nosuch"),
        ("persona:nosuch", "nosuch"),
        ("", "is no part of one"),
        ([], "give one at least"),
    ],
)
def test_an_arm_that_cannot_be_is_refused(arms, words, resident):
    with pytest.raises(InputError, match=words):
        evaluate(data=ROWS, arms=arms)


def test_arms_are_joined():
    base, both = read_arms("base, effort:low+base")
    assert (base.name, base.effort) == ("base", None)
    assert (both.name, both.effort, both.adapters) == ("effort:low+base", "low", ())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, "give a suite"),
        ({"suites": "gsmk8"}, "did you mean gsm8k"),
        ({"data": ROWS, "limit": 0}, "limit 0"),
        ({"data": ROWS, "tries": 0}, "tries 0"),
        ({"data": ROWS, "date": "today"}, "date 'today'"),
        ({"data": "nosuch.jsonl"}, "nosuch.jsonl"),
        ({"suites": "held-out:nosuch"}, "no run lies there"),
        ({"data": []}, "no items"),
        ({"data": ROWS, "attempts": 3}, "attempts"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(how, words, resident):
    with pytest.raises(InputError, match=words):
        evaluate(**how)


def test_a_tiny_model_is_evaluated_in_lanes_and_goes_on(place, tmp_path):
    how = {"data": ROWS[:6], "tries": 2, "temperature": 1.0, "max_tokens": 12}
    seen = []
    whole = evaluate(arms="base,effort:high", journal=place, **how)
    part = evaluate(
        arms="base", journal=tmp_path / "b", on_attempts=lambda a: seen.append(len(a)), **how
    )
    rest = evaluate(arms="base,effort:high", journal=tmp_path / "b", **how)
    assert seen == list(range(1, 13))
    assert whole.attempts == rest.attempts
    assert part.attempts == whole.attempts[:12]
    assert whole.scores == rest.scores
    assert {one.verdict for one in whole.attempts} <= {"right", "wrong", "cut"}
    assert whole.plan.seconds > 0


def conversation(question, answer):
    thought = Message("assistant", "Think.", "analysis")
    return Message("user", question), thought, Message("assistant", answer, "final")


def test_held_out_rows_are_items_and_trained_ones_are_looked_for(place, tmp_path):
    codec = current().codec
    kept = encode(Row(conversation("What is 3 + 1?", "4")), codec)
    held = [encode(Row(conversation(f"What is {n} + 1?", str(n + 1))), codec) for n in (5, 9)]
    run = Run(tmp_path / "sums", settings_of(), TrainSettings(), current().require().identity, [])
    new_run(run, ([[kept]], held))
    from gptoss_magic.evaluation.suite import Opening
    from gptoss_magic.studies.asks import means_of

    suite = held_out_suite("sums", Opening("", None, 0, means_of({})), tmp_path)
    assert [(item.prompt, item.expected) for item in suite.items] == [
        ("What is 5 + 1?", "6"),
        ("What is 9 + 1?", "10"),
    ]
    texts = tuned_texts(["sums", "other"], tmp_path)
    assert list(texts) == ["sums, text 1"]
    assert texts["sums, text 1"][1] == "4"


def test_short_answers_of_several_suites_share_a_batch_and_long_ones_do_not(resident):
    def suite(name, max_tokens):
        items = tuple(SuiteItem(f"{name}{n}", f"Question {n} of {name}") for n in range(2))
        return Suite(
            name, items, lambda item, answer: right_if(True), "here", "by hand", max_tokens
        )

    suites = [suite("a", 8), suite("b", 12), suite("long", 600)]
    asks = asks_of_rung("bare", BARE_SETUP, suites, seed=0)
    together = list(groups(asks))
    assert [[ask.item.id for ask in group] for group in together] == [
        ["a0", "a1", "b0", "b1"],
        ["long0", "long1"],
    ]
    answers = answer_all([ask.request for ask in together[0]])
    alone = [answer_all([ask.request])[0] for ask in together[0]]
    assert [one.raw_tokens for one in answers] == [one.raw_tokens for one in alone]
    assert [one.usage.completion_tokens for one in answers] == [8, 8, 12, 12]
