"""An evaluation's tables, picture and flips, and a suite below a tuning run's loss."""

import re
from dataclasses import replace

from gptoss_magic.records import StepMetrics, SuiteProbe
from gptoss_magic.records.evaluations import Attempt, Evaluated, EvaluationPlan, SuitePlan
from gptoss_magic.widgets.evaluation import evaluation_html, evaluation_text, plan_lines
from gptoss_magic.widgets.flips import MOST, flips_html, parting
from gptoss_magic.widgets.tuning_static import curves_of, key_numbers

ONE = Attempt(
    suite="sums",
    item="<b>",
    arm="base",
    number=0,
    seed=1,
    verdict="right",
    note="",
    finish="return",
    num_tokens=7,
    analysis_tokens=3,
    prompt="Сколько?",
    expected="<18>",
    analysis="We add two. So 18.",
    final="18",
)
OTHER = replace(
    ONE, arm="low", verdict="wrong", note="no number", analysis="We add it.", final="<i>"
)
PLAN = EvaluationPlan(
    suites=(SuitePlan("sums", 1, "here", "rule", 64, 0.2, ("2 items: no data",)),),
    arms=("base", "low"),
    tries=2,
    seed=0,
    date="2025-08-05",
    temperature=1.0,
    num_answers=4,
    num_tokens=256,
    seconds=7300.0,
)


def test_texts_part_at_a_word():
    assert parting(("We add two.", "We add it.")) == 7
    assert parting(("We add", "We add two")) == 3
    assert parting(("same", "same")) == 4
    assert parting(("", "words")) == 0
    assert parting(("unlike", "other")) == 0


def test_flips_are_shown_side_by_side_and_escaped():
    html = flips_html([(ONE, OTHER)])
    assert "The reasoning parts at character 7 · wanted: &lt;18&gt;" in html
    assert "wrong, 7 tokens: no number" in html
    assert re.search(r"#767676\)\">We add </span>two. So 18.", html)
    assert "<b>" not in html
    assert "<i>" not in html
    assert "… 5 more: .flips()" in flips_html([(ONE, OTHER)] * (MOST + 5))
    assert flips_html([]) == ""


def test_a_plan_says_what_is_left_out_and_how_long_it_takes():
    lines = plan_lines(PLAN)
    assert "sums: left out: 2 items: no data" in lines
    assert lines[-1].startswith("4 answers by 2 arms (base, low), 2 tries each: at most 256 tokens")
    assert "about 2.0 h of decoding" in lines[-1]


def test_nothing_that_was_answered_reads_well():
    made = Evaluated(PLAN, (), ())
    assert evaluation_text(made) == "nothing was answered"
    assert evaluation_html(made) == ""


def test_a_suite_stands_below_the_loss():
    plain = StepMetrics(1, 4, 2.0, 1e-3, 1.0, 10.0, 0)
    steps = [plain, replace(plain, step=2, probe=SuiteProbe(0.4, 0.5, 0.0))]
    titles = [title for title, _ in curves_of(steps)]
    assert titles[:2] == ["Loss (nats per token)", "Suite (share of right answers)"]
    now, before = dict(curves_of(steps))["Suite (share of right answers)"]
    assert now.points == [(0, 0.5), (2, 0.4)]
    assert before.points == [(0, 0.5), (2, 0.5)]
    assert ("suite: right answers", "0.5", "0.4", "0.5 at step 0 (highest)") in key_numbers(steps)
    assert dict(curves_of([plain]))["Suite (share of right answers)"] == []
