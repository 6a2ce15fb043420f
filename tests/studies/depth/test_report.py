"""What a depth study is turned into: its frontier, its sentences and claims, its folder."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.evaluation.statistics import fieller
from gptoss_magic.records.depth import Bounds, GuardFigure, Rung
from gptoss_magic.studies.depth.claims import FAILS, HOLDS, HOT, OPEN, PACKED, SHARE, UNTRIED, WHOLE
from gptoss_magic.studies.depth.compared import gain_values, share_of_gain
from gptoss_magic.studies.depth.folder import chosen_study, depth_of
from gptoss_magic.studies.depth.pick import pick
from gptoss_magic.studies.depth.report import concluded, frontier_of
from tests.depth_cases import attempts, bounds, guard_figure, study, with_result, write_study


def said(depth):
    return [one.words for one in concluded(depth).conclusions if not one.claim]


def verdict(depth, claim):
    (one,) = [one for one in concluded(depth).conclusions if one.claim == claim]
    return one


def by_key(depth, key):
    return next(one for one in depth.results if one.rung.key == key)


# the frontier


def test_a_rung_is_grey_only_where_a_cheaper_one_is_at_least_as_good_in_both():
    depth = study()
    keys = frontier_of(depth.results)
    grey = {one.rung.key for one in depth.results} - set(keys)
    assert "bare" in keys
    assert "both" in keys
    assert "all-r8" in grey  # hot-r8 gains more, damages less, and is smaller
    for key in grey:
        one = by_key(depth, key)
        assert any(
            (other.trained, round(other.extra_tokens), other.size)
            < (one.trained, round(one.extra_tokens), one.size)
            and (other.gain.value if other.gain else 0) >= one.gain.value
            and other.damage.value <= one.damage.value
            for other in depth.results
        )


def test_a_tie_goes_to_the_cheaper_and_equal_costs_grey_nobody():
    depth = study({"hot-r8", "random-r8"})
    same = by_key(depth, "hot-r8")
    twin = replace(same, rung=replace(same.rung, key="random-r8"))
    two = replace(depth, results=(depth.results[0], same, twin))
    assert frontier_of(two.results) == ("bare", "hot-r8", "random-r8")
    dearer = replace(twin, trained=same.trained + 1)
    assert frontier_of((depth.results[0], same, dearer)) == ("bare", "hot-r8")


def test_a_rung_without_a_guard_that_another_has_beats_it_not():
    depth = study({"hot-r2", "hot-r8"})
    small, large = by_key(depth, "hot-r2"), by_key(depth, "hot-r8")
    refused = GuardFigure("reasoning", bounds(0.7, 0.1), refused="40 % are cut")
    good = replace(small, gain=large.gain, guards=(refused, *small.guards[1:]))
    assert "hot-r8" in frontier_of((depth.results[0], good, large))
    blind = replace(small, guards=(refused,))
    assert frontier_of((depth.results[0], blind, large)) == ("bare", "hot-r8")
    lost = replace(large, gain=None)
    assert frontier_of((depth.results[0], lost)) == ("bare",)


def test_damage_is_the_worst_guard_and_text_counts_in_probability():
    one = by_key(study(), "hot-r8")
    text = GuardFigure("general text", bounds(-2.8, 0.1), Bounds(-0.2, -0.3, -0.1), 0.001)
    hurt = replace(one, guards=(guard_figure("reasoning", -0.05), text))
    assert hurt.damage.value == pytest.approx(1 - np.exp(-0.2))
    assert hurt.damage.low == pytest.approx(1 - np.exp(-0.1))
    assert hurt.damage.high == pytest.approx(1 - np.exp(-0.3))
    better = replace(one, guards=(guard_figure("reasoning", 0.1),))
    assert better.damage.value == pytest.approx(-0.1)
    assert replace(one, guards=()).damage is None


# shares


def test_a_share_is_fiellers_and_as_covering_as_it_says():
    draw = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        luck = draw.random((60, 1)) * 0.6 + draw.random((60, 3)) * 0.4
        right = (luck < np.array([0.3, 0.5, 0.7])).astype(float)
        found = fieller(list(right[:, 1] - right[:, 0]), list(right[:, 2] - right[:, 0]))
        hits += found is not None and found.low <= TRUE_SHARE <= found.high
    assert 0.93 < hits / 400 <= 1.0


def _true_share():
    draw = np.random.default_rng(5)
    luck = draw.random((400_000, 1)) * 0.6 + draw.random((400_000, 3)) * 0.4
    bare, part, whole = (luck < np.array([0.3, 0.5, 0.7])).mean(axis=0)
    return (part - bare) / (whole - bare)


TRUE_SHARE = _true_share()


def test_a_share_of_a_gain_that_may_be_none_has_no_bounds():
    draw = random.Random(1)
    parts = [draw.choice((-1.0, 0.0, 0.0, 1.0)) for _ in range(50)]
    assert fieller(parts, parts[::-1]) is None
    assert fieller([1.0], [1.0]) is None
    ones = [1.0] * 30
    same = fieller(ones, ones)
    assert same is not None
    assert same.low < 1.0 < same.high


def test_the_persona_alone_reaches_so_much_of_the_best_gain():
    depth = study({"persona", "hot-r8", "attention-r8"})
    share = share_of_gain(by_key(depth, "persona"), by_key(depth, "hot-r8"), depth.results[0])
    low, high = round(100 * share.low), round(100 * share.high)
    whole = "\n".join(said(depth))
    assert (
        f"Persona (its whole text) alone reaches {100 * share.value:.0f} % [{low}, {high}]" in whole
    )
    assert "at no measurable damage (what would be seen: reasoning from about 22 points on" in whole
    assert "general text from 0.028 nats a token on" in whole


def test_where_nothing_gains_no_share_is_said():
    depth = study({"persona", "hot-r8"}, 20)
    flat = replace(
        depth,
        results=(
            depth.results[0],
            *(
                replace(one, attempts=depth.results[0].attempts, gain=Bounds(0.0, -0.1, 0.1))
                for one in depth.results[1:]
            ),
        ),
    )
    whole = said(flat)
    assert whole[0].startswith("No rung is seen to gain on the task")
    assert "show a gain from about" in whole[0]
    assert not any("reaches" in words for words in whole)
    assert verdict(flat, SHARE).verdict == OPEN


def test_gains_are_counted_together():
    depth = study()
    values = gain_values(depth)
    assert len(values) == 24
    assert all(0 <= p <= 1 for p in values.values())
    alone = gain_values(study({"tools"}))["tools"]
    assert values["tools"] >= alone


# sentences


def test_damage_is_said_with_its_bounds_and_where_there_is_none_what_could_be_seen():
    whole = "\n".join(said(study()))
    assert "Seen to suffer: reasoning, on 5 rungs, most on last layers (2 of them), −24" in whole
    fine = said(study({"persona", "hot-r2"}))
    calm = study({"persona", "hot-r2"})
    for key in ("persona", "hot-r2"):
        guards = tuple(guard_figure(g.name, 0.0, 0.9) for g in by_key(calm, key).guards)
        calm = with_result(calm, key, guards=guards)
    assert fine != said(calm)
    assert any(
        words.startswith("No damage is seen on any rung (p by Holm over 6 comparisons; what would")
        for words in said(calm)
    )


def test_a_guard_that_was_refused_is_said_to_be_missing():
    depth = study({"persona", "hot-r8"})
    one = by_key(depth, "persona")
    refused = GuardFigure("reasoning", bounds(0.7, 0.1), refused="40 % of its answers are cut")
    depth = with_result(depth, "persona", guards=(refused, *one.guards[1:]))
    assert "; not measured: reasoning)" in "\n".join(said(depth))
    gone = with_result(depth, "persona", guards=())
    assert "(its damage was not measured)" in "\n".join(said(gone))


def test_only_bare_or_nothing_has_one_sentence():
    assert said(study(set())) == ["Only bare was measured: there is nothing to compare it with."]
    empty = replace(study(set()), results=(), finish="interrupt")
    assert said(empty)[0].startswith("Interim: stopped after 0 of 1 rungs")
    assert {one.verdict for one in concluded(empty).conclusions if one.claim} == {UNTRIED}


def test_an_interim_study_says_so_first():
    depth = study({"persona", "hot-r8"}, finish="interrupt")
    assert said(depth)[0].startswith("Interim: stopped after 3 of 3 rungs")


def test_a_loss_on_the_task_itself_is_said():
    depth = study({"tools"})
    worse = attempts("tools", 0.0, 90)
    depth = with_result(depth, "tools", attempts=worse, gain=Bounds(-0.15, -0.22, -0.06))
    assert any("Seen to lose on the task itself: tools" in words for words in said(depth))


def test_a_study_without_answers_compares_no_rungs():
    depth = study({"persona", "hot-r8", "random-r8"})
    bare_of_texts = replace(
        depth, results=tuple(replace(one, attempts=()) for one in depth.results)
    )
    found = concluded(bare_of_texts)
    assert not any("reaches" in one.words for one in found.conclusions)
    assert verdict(bare_of_texts, HOT).verdict == OPEN
    assert verdict(bare_of_texts, HOT).words == "No answers of both are there."


# claims


def test_all_four_claims_are_there_in_their_order():
    found = [one.claim for one in concluded(study()).conclusions if one.claim]
    assert found == [SHARE, HOT, WHOLE, PACKED]


def test_hot_experts_beat_random_ones_or_not_by_one_paired_test():
    assert verdict(study(), HOT).verdict == HOLDS
    even = study({"hot-r8", "random-r8"})
    same = by_key(even, "hot-r8").attempts
    even = with_result(even, "random-r8", attempts=same)
    assert verdict(even, HOT).verdict == OPEN
    worse = with_result(even, "hot-r8", attempts=attempts("hot-r8", 0.3, 90))
    assert verdict(worse, HOT).verdict == FAILS
    assert verdict(study({"hot-r8"}), HOT).verdict == UNTRIED


def test_strengths_are_pooled_item_by_item():
    depth = study({"hot-r2", "hot-r8", "random-r8"})
    random_two = replace(
        by_key(depth, "random-r8"),
        rung=Rung("random-r2", 9, "LoRA on random experts", "rank 2", trains=True),
        attempts=attempts("random-r2", 0.5, 90),
    )
    both = replace(depth, results=(*depth.results, random_two))
    one = verdict(both, HOT)
    assert "(rank 2, rank 8), 90 items" in one.words
    assert one.verdict == HOLDS


def test_leaving_reasoning_whole_wants_a_margin():
    depth = study({"hot-r2", "hot-r8"})
    wide = verdict(depth, WHOLE)
    assert wide.verdict == OPEN
    assert "a loss below 5 points counts as none" in wide.words
    for key in ("hot-r2", "hot-r8"):
        narrow = GuardFigure("reasoning", bounds(0.7, 0.02), bounds(-0.01, 0.02), 0.4)
        depth = with_result(depth, key, guards=(narrow, *by_key(depth, key).guards[1:]))
    assert verdict(depth, WHOLE).verdict == HOLDS
    missing = GuardFigure("reasoning", bounds(0.7, 0.02), refused="40 % are cut")
    assert verdict(with_result(depth, "hot-r2", guards=(missing,)), WHOLE).verdict == OPEN
    assert verdict(study(), WHOLE).verdict == FAILS
    small_but_sure = GuardFigure("reasoning", bounds(0.7, 0.01), bounds(-0.03, 0.01), 0.001)
    depth = with_result(depth, "hot-r8", guards=(small_but_sure,))
    assert verdict(depth, WHOLE).verdict == HOLDS


def test_packed_weights_are_judged_where_both_were_trained_only():
    depth = study({"hot-r8"})
    assert verdict(depth, PACKED).verdict == UNTRIED
    one = by_key(depth, "hot-r8")
    key = "hot-r8-bf16"
    twin = replace(one, rung=replace(one.rung, key=key), attempts=attempts(key, 0.95, 90))
    assert verdict(replace(depth, results=(*depth.results, twin)), PACKED).verdict == HOLDS
    large = study({"hot-r8"}, 400)
    one = by_key(large, "hot-r8")
    twin = replace(one, rung=replace(one.rung, key=key))
    assert verdict(replace(large, results=(*large.results, twin)), PACKED).verdict == FAILS


def test_shares_decide_the_first_claim_by_their_bounds():
    depth = study({"persona", "hot-r8"}, 3000)
    one = verdict(depth, SHARE)
    assert one.verdict == HOLDS
    weak = with_result(depth, "persona", attempts=attempts("persona", 0.35, 3000))
    assert verdict(weak, SHARE).verdict == FAILS
    assert "less than was claimed" in verdict(weak, SHARE).words
    strong = with_result(depth, "persona", attempts=by_key(depth, "hot-r8").attempts)
    assert "more than was claimed" in verdict(strong, SHARE).words
    assert verdict(study({"persona"}), SHARE).verdict == UNTRIED


# the folder


def test_a_study_is_read_again_from_its_folder(tmp_path):
    folder = write_study(tmp_path / "стиль", {"persona", "hot-r8"})
    found = depth_of(folder)
    assert [one.rung.key for one in found.results] == ["bare", "persona", "hot-r8"]
    assert found.finish == "return"
    assert found.frontier
    assert found.conclusions
    assert by_key(found, "hot-r8").gain.low > 0
    assert depth_of(folder) == found
    assert chosen_study(None, tmp_path) == folder


def test_a_study_that_stopped_is_interim_and_unknown_keys_are_left_out(tmp_path):
    folder = write_study(tmp_path / "a", {"persona", "hot-r8"}, stopped=True)
    for file in (folder / "study.json", *(folder / "rungs").iterdir()):
        kept = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps({**kept, "of a later version": [1]}), "utf-8")
    kept = json.loads((folder / "study.json").read_text("utf-8"))
    kept["plan"]["rungs"][0]["colour"] = "blue"
    (folder / "study.json").write_text(json.dumps(kept), "utf-8")
    found = depth_of(folder)
    assert found.finish == "interrupt"
    assert len(found.results) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"plan": 3}', '{"split": {"held": 1}}'])
def test_a_damaged_study_is_one_line(tmp_path, text):
    folder = write_study(tmp_path / "a", {"persona"})
    (folder / "study.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"study.json: damaged"):
        depth_of(folder)


@pytest.mark.parametrize("text", ["", "[1]", '{"rung": null}', '{"rung": {"key": "persona"}}'])
def test_a_damaged_rung_is_one_line(tmp_path, text):
    folder = write_study(tmp_path / "a", {"persona"})
    (folder / "rungs" / "persona.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"persona.json: damaged"):
        depth_of(folder)


def test_figures_that_do_not_go_together_are_one_line(tmp_path):
    folder = write_study(tmp_path / "a", {"persona"})
    file = folder / "rungs" / "persona.json"
    kept = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**kept, "prompt_tokens": []}), "utf-8")
    with pytest.raises(CheckpointError, match="do not go together"):
        depth_of(folder)
    (folder / "rungs" / "bare.json").unlink()
    with pytest.raises(InputError, match="bare is missing"):
        depth_of(folder)


# picking


def test_a_rung_is_one_persona(tmp_path):
    keys = {"system", "persona", "examples-4", "retrieval-3", "tools", "hot-r8", "both"}
    folder = write_study(tmp_path / "a", keys)
    voice = pick(folder, "both", "voice")
    assert voice.persona.name == "voice"
    assert voice.persona.text == "Говори кратко."
    assert voice.persona.character.position == "боцман"
    assert voice.persona.adapters == ("style-both",)
    assert pick(folder, "hot-r8", "v").persona.text == ""
    assert pick(folder, "system", "v").persona.text == "Отвечай коротко."
    found = pick(folder, "retrieval-3", "v").persona
    assert (found.rag, found.passages) == (f"{folder}/rows", 3)
    shown = pick(folder, "examples-4", "v")
    assert shown.persona.text.count("Question: Как звать") == 4
    assert shown.remarks
    assert pick(folder, "tools", "v").persona.tools == ("multiply",)


def test_what_cannot_be_picked_is_said(tmp_path):
    folder = write_study(tmp_path / "a", {"persona", "hot-r8"}, stopped=True)
    for key, words in (
        ("bare", "as it is"),
        ("hot-r8", "not done yet"),
        ("persone", "perhaps|did you mean|persona"),
    ):
        with pytest.raises(InputError, match=words):
            pick(folder, key, "v")
    (folder / "personas" / "style.md").unlink()
    with pytest.raises(InputError, match="missing"):
        pick(folder, "persona", "v")
