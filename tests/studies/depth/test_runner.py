"""Rungs as they are run: what is asked, what is made, what is kept, and what stays as it was."""

import re

import pytest

from gptoss_magic.agents.tools import tool
from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.statistics import mcnemar, paired_share, wilson
from gptoss_magic.magics.depth import plan_line
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.studies.depth.general import GeneralTexts
from gptoss_magic.studies.depth.setup import BARE_SETUP
from gptoss_magic.tuning.runs import read_data, read_run
from tests.studies.depth.conftest import ROWS

ASKED = re.compile(r"What is (\d+) \+ 1\?")


def answers(text):
    """Says what it is told to, thinking; `text(prompt, number that is asked about)`."""

    def say(prompt):
        numbers = ASKED.findall(prompt)
        return saying(text(prompt, int(numbers[-1]) if numbers else 0), "I think.")

    return say


def by_key(found):
    return {one.rung.key: one for one in found.results}


def test_a_gain_is_paired_against_bare_and_in_bounds(study):
    def text(prompt, number):
        return str(number + 1) if "Add one" in prompt else "no"

    with scripted(current(), always=answers(text)):
        found = study(rungs=(1,), system="Add one.")
    bare, system = found.results
    num = found.plan.num_held_out
    assert (bare.rung.key, system.rung.key, num) == ("bare", "system", 4)
    assert (bare.gain, bare.kl, bare.thinking, bare.extra_tokens) == (None, None, None, 0.0)
    assert (system.score.value, system.score.low) == (1.0, wilson(4, 4).low)
    assert vars(system.gain) == vars(paired_share(4, 0, 4))
    assert system.extra_tokens > len("Add one.")
    assert system.size == len("Add one.")
    assert (system.thinking.value, system.trained, system.run, system.drift) == (0.0, 0, "", None)
    assert all(one.verdict == "right" for one in system.attempts)
    assert found.finish == "return"


def test_damage_is_paired_on_each_guard_and_p_is_holm_s_over_all(study):
    guards = {"form": 6, "general-text": 8, "refusals": 6}

    def text(prompt, number):
        return "I'm sorry, I cannot." if "Be rude" in prompt else "Well, an answer."

    with scripted(current(), always=answers(text)):
        found = study(rungs=(1, 3), system="Be rude.", guards=guards)
    _, system, examples = found.results
    figures = {one.name: one for one in system.guards}
    assert list(figures) == ["general text", "refusals", "form"]
    assert figures["refusals"].difference.value < 0
    assert figures["form"].difference.value == 0
    assert figures["general text"].score.value < 0
    values = [one.p for rung in (system, examples) for one in rung.guards]
    assert len(values) == 6
    assert all(0 <= value <= 1 for value in values)
    assert max(values) == 1.0
    lost = sum(one.difference.value * 6 for one in system.guards if one.name == "refusals")
    raw = mcnemar(0, round(-lost))
    assert figures["refusals"].p == min(1.0, 6 * raw)


def test_an_answer_that_is_cut_refuses_a_comparison_but_not_the_form_s(study):
    def say(prompt):
        if "Ramble" in prompt:
            return saying("x" * 900, "y" * 900)
        return saying("Fine, apple river lantern copper meadow violin pepper harbour.", "I think.")

    with scripted(current(), always=say):
        found = study(rungs=(1,), system="Ramble.", guards={"form": 4, "refusals": 4})
    refusals, form = found.results[1].guards
    assert refusals.difference is None
    assert refusals.p is None
    assert refusals.refused == "100% of its answers are cut, 0% of bare's"
    assert form.difference.value == -1.0


def test_a_persona_is_written_from_the_learned_rows_and_kept(study, place):
    prompts = []

    def say(prompt):
        prompts.append(prompt)
        if "Write short instructions" in prompt:
            return saying("You add one. <|end|> Ответь числом.", "I think.")
        return saying("1", "I think.")

    with scripted(current(), always=say):
        found = study(rungs=(2,))
    persona = found.results[1]
    text = (place / persona.persona).read_text("utf-8")
    assert "You add one. " in text
    assert "Ответь числом." in text
    (written,) = [prompt for prompt in prompts if "Write short instructions" in prompt]
    held = {one.prompt for one in persona.attempts}
    assert not [row for row in ROWS if row["prompt"] in held and row["prompt"] in written]
    told = [prompt for prompt in prompts if "# Instructions\n\nYou add one. < |end| >" in prompt]
    assert len(told) == 4 + 2
    assert persona.kl.value > 0


def test_examples_stand_before_the_question_as_an_earlier_talk(study):
    with scripted(current(), always=answers(lambda prompt, number: "1")) as engine:
        found = study(rungs=(3,), strengths="all", guards={"form": 1})
    assert [one.rung.key for one in found.results] == [
        "bare",
        "examples-1",
        "examples-2",
        "examples-4",
        "examples-8",
    ]
    counts = {
        tuple(sorted(ASKED.findall(prompt)[:-1], key=int)) for prompt in engine.prompt_texts[-5:-1]
    }
    (eight,) = counts
    held = {ASKED.findall(one.prompt)[0] for one in found.results[0].attempts}
    assert len(eight) == 8
    assert not held & set(eight)
    assert "<|channel|>final<|message|>" in engine.prompt_texts[-2]
    sizes = [one.extra_tokens for one in found.results]
    assert sizes == sorted(sizes)


def test_learned_rows_are_quoted_by_retrieval_and_its_marks_are_no_error(study):
    def text(prompt, number):
        return f"{number + 1}【1†L1-L2】" if "# Sources" in prompt else "no"

    with scripted(current(), always=answers(text)) as engine:
        found = study(rungs=(4,), guards={"general-text": 1})
    assert found.results[1].gain.value == 1.0
    assert "Question: What is" in engine.prompt_texts[-1]
    assert found.results[1].size > 0


@pytest.mark.usefixtures("short")
def test_every_trained_rung_is_a_run_whose_adapter_lies_there(study, place):
    base = GeneralTexts(2).figures(BARE_SETUP)
    found = study(rungs=(*range(6, 13),), max_tokens=8)
    trained = [one for one in found.results if one.rung.trains]
    assert len(trained) == 12
    for one in trained:
        run = read_run(place / "gptoss_runs" / one.run)
        assert run.finish == "return"
        assert run.train.num_steps == (1 if run.name.startswith("depth-router-experts") else 2)
        assert one.trained > 0
        assert one.size > 0
        assert one.kl.value >= 0
        texts = {example.ids for step in read_data(run)[0] for seq in step for example in seq}
        assert len(texts) <= found.plan.num_train
    assert current().shelf.held == {}
    assert current().shelf.default == ()
    assert GeneralTexts(2).figures(BARE_SETUP) == base
    current().shelf.attach(place / "gptoss_runs" / trained[0].run / "adapter", "again")


@pytest.mark.usefixtures("short")
def test_hot_and_random_train_as_many_numbers(study):
    rungs = by_key(study(rungs=(9,), guards={"form": 1}))
    assert rungs["hot-r8"].trained == rungs["random-r8"].trained < rungs["all-r8"].trained
    assert rungs["hot-r8"].drift is not None


def test_the_best_two_stand_together_at_the_end(study):
    def text(prompt, number):
        return str(number + 1) if "Add one" in prompt else "no"

    with scripted(current(), always=answers(text)):
        found = study(rungs=(1, 3, 7, 13), system="Add one.")
    both = by_key(found)["both"]
    assert both.rung.parts == ("system", "attention-r8")
    assert found.plan.rungs[-1].parts == both.rung.parts
    assert both.run == "depth-attention-r8"
    assert both.score.value == 1.0
    assert both.size > by_key(found)["attention-r8"].size


@pytest.mark.usefixtures("short")
def test_a_rung_that_cannot_be_made_is_dropped_by_name_and_the_others_go_on(study):
    rows = [{"prompt": f"{'long ' * 110}{n}?", "answer": str(n)} for n in range(12)]
    found = study(rows, rungs=(3, 7), guards={"form": 1}, max_tokens=8)
    assert [one.rung.key for one in found.results] == ["bare", "attention-r8"]
    (dropped,) = [one for one in found.plan.dropped if one.rung.key == "examples-4"]
    assert "exceed the context" in dropped.why
    assert [one.key for one in found.plan.rungs] == ["bare", "attention-r8"]


def test_a_budget_drops_what_tells_least_first_by_name(study):
    plans = []
    found = study(minutes=1e-6, go=False, on_plan=plans.append)
    (plan,) = plans
    assert [one.key for one in plan.rungs] == ["bare"]
    whys = {one.rung.key: one.why for one in plan.dropped}
    assert whys["persona"].endswith("and 0 s are left")
    assert whys["both"] == "no context rung is tried that it could be made of"
    assert found.results == ()
    whole = study(go=False)
    seconds = {one.key: one.seconds for one in whole.plan.rungs}
    budget = seconds["bare"] + seconds["persona"] + seconds["examples-4"]
    (plan,) = [study(minutes=2.5 * budget / 60, go=False).plan]
    assert {"bare", "examples-4"} <= {one.key for one in plan.rungs}
    assert "heads-h8" not in {one.key for one in plan.rungs}


def test_a_plan_says_time_memory_and_what_can_be_seen_and_writes_nothing(study, place):
    plan = study(go=False, held_out=5).plan
    assert (plan.num_train, plan.num_held_out) == (7, 5)
    assert plan.expected == pytest.approx(sum(one.seconds for one in plan.rungs))
    assert all(one.seconds > 0 for one in plan.rungs)
    assert plan.memory > 0
    assert plan.smallest > 1  # five rows show no gain, whatever it is
    assert "a gain is seen of no size: too few items" in plan_line(plan)
    assert plan.notes[0] == "read: prompt → the prompt; answer → the answer"
    assert plan.notes[1].startswith("7 of 7 rows have no reasoning")
    assert list(place.iterdir()) == []


def test_a_judge_is_asked_in_both_orders_and_has_to_agree(study):
    """Whoever is first is liked for even numbers; what is said is liked for odd ones."""

    def say(prompt):
        if "Which answer is better" not in prompt:
            return saying("Mine.", "I think.")
        number = int(ASKED.findall(prompt)[-1])
        own_place, new_place = prompt.index(f"«{number + 1}»"), prompt.rindex("«Mine.»")
        better = "second" if number % 2 and own_place < new_place else "first"
        return saying(f'{{"reason": "So.", "better": "{better}"}}', "I judge.")

    with scripted(current(), always=say):
        found = study(rungs=(1,), system="Add one.", rubric="Who is right?", guards={"form": 1})
    assert found.plan.graded_by == "a judge: the model itself, by the rubric"
    for one in found.results[1].attempts:
        is_odd = int(ASKED.findall(one.prompt)[0]) % 2
        assert one.verdict == ("right" if is_odd else "wrong")
        assert one.note == ("" if is_odd else "the judge's two verdicts disagree")


def test_a_checker_that_fails_on_one_answer_spoils_it_alone(study):
    def checker(item, final):
        if final == "odd":
            raise ZeroDivisionError("by zero")
        return final == item.expected

    numbers = []

    def text(prompt, number):
        numbers.append(number)
        return "odd" if len(set(numbers)) == 1 and "Add one" in prompt else str(number + 1)

    with scripted(current(), always=answers(text)):
        found = study(rungs=(1,), system="Add one.", checker=checker, guards={"form": 1})
    notes = [one.note for one in found.results[1].attempts if one.verdict == "wrong"]
    assert [note for note in notes if "ZeroDivisionError" not in note] == []


def test_tools_that_are_allowed_run_and_their_result_is_read(study):
    @tool
    def add_one(number: int) -> int:
        """Add one to a number."""
        return number + 1

    def say(prompt):
        number = int(ASKED.findall(prompt)[-1])
        if "add_one" not in prompt:
            return saying("no", "I think.")
        result = re.findall(r"functions\.add_one to=assistant.*?<\|message\|>(\d+)", prompt)
        return (
            saying(result[-1], "So.") if result else calling("add_one", f'{{"number": {number}}}')
        )

    current().policies.say(add_one, "auto")
    try:
        with scripted(current(), always=say):
            found = study(rungs=(5,), tools=[add_one], guards={"general-text": 1})
    finally:
        current().policies.forget()
    assert [one.rung.key for one in found.results] == ["bare", "tools"]
    assert found.results[1].gain.value == 1.0


def test_russian_rows_are_split_asked_and_learned(study):
    rows = [{"prompt": f"Сколько будет {n} + 1?", "answer": f"Ответ: {n + 1}"} for n in range(12)]

    def say(prompt):
        number = int(re.findall(r"Сколько будет (\d+)", prompt)[-1]) if "Сколько" in prompt else 0
        return saying(f"ответ: {number + 1}.", "Думаю.")

    with scripted(current(), always=say):
        found = study(rows, rungs=(3, 7), guards={"languages": 3})
    assert [one.score.value for one in found.results] == [1.0, 1.0, 1.0]
    assert found.results[0].attempts[0].expected.startswith("Ответ")


def test_an_interrupt_keeps_what_is_done_and_everything_is_as_before(study, place):
    asked = []

    def say(prompt):
        asked.append(prompt)
        if "# Sources" in prompt and len(asked) > 3:
            raise KeyboardInterrupt
        return saying("1", "I think.")

    with scripted(current(), always=say):
        part = study(rungs=(3, 4, 7))
    assert part.finish == "interrupt"
    assert [one.rung.key for one in part.results] == ["bare", "examples-4"]
    assert current().shelf.held == {}
    with scripted(current(), always=answers(lambda prompt, number: "1")):
        whole = study(None, resume=True)
    assert whole.finish == "return"
    assert [one.rung.key for one in whole.results] == [
        "bare", "examples-4", "retrieval-3", "attention-r8",
    ]  # fmt: skip
    assert whole.results[:2] == part.results


@pytest.mark.usefixtures("short")
def test_a_study_s_name_is_taken_once(study):
    study(rungs=(3,), guards={"form": 1})
    with pytest.raises(InputError, match="there is such a study; resume it"):
        study(rungs=(3,))


@pytest.mark.usefixtures("short")
def test_a_run_that_another_study_left_is_not_gone_on_with(study, place):
    study(rungs=(7,), max_tokens=8, guards={"form": 1})
    (place / "gptoss_depth").rename(place / "elsewhere")
    with pytest.raises(InputError, match="depth-attention-r8: there is such a run already"):
        study(rungs=(7,), max_tokens=8)
    assert not (place / "gptoss_depth").exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"name": "a b"}, "name 'a b'"),
        ({"name": "a" * 41}, "at most 40 letters"),
        ({"minutes": 0.0}, "minutes 0"),
        ({"held_out": 11}, "held out 11"),
        ({"rungs": (14,)}, "rung 14"),
        ({"guards": ["nosuch"]}, "guard nosuch"),
        ({"persona": "nosuch", "rungs": (2,)}, "nosuch"),
        ({"rows": []}, "no rows"),
        ({"resume": True, "name": "nosuch"}, "no study lies there"),
    ],
)
def test_what_cannot_be_studied_is_refused_before_anything_is_written(said, words, study, place):
    with pytest.raises(InputError, match=words):
        study(said.pop("rows", ROWS), **said)
    assert list(place.iterdir()) == []
