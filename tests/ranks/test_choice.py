"""`--strategy auto`: which one, by what fits, said in the plan; and what cannot be had."""

from dataclasses import replace

import pytest

from gptoss_magic.errors import DoesNotFit, InputError
from gptoss_magic.ranks.choice import chosen
from gptoss_magic.ranks.fsdp_probe import fsdp_refusal
from gptoss_magic.ranks.launch import launch_of
from gptoss_magic.ranks.plan import ranks_plan, require_room
from gptoss_magic.runs.prepare import plan_again
from gptoss_magic.session import current
from tests.ranks.cases import ROWS, prepared


def launch(method, count=2, strategy="auto"):
    return launch_of(current().require_local(), method, count, strategy, detached=False)


def needed(plan, method, strategy, count=2):
    by = launch(method, count, strategy)
    return ranks_plan(plan, by, released=False).needed


def test_it_is_the_one_that_sends_least_of_those_that_fit(loaded):
    plan = prepared("any").plan
    choice = chosen(plan, launch("experts"), released=False)
    assert choice.launch.strategy == "ddp"
    assert choice.lines()[1] == "strategy auto: ddp, which sends least, and it fits"
    assert choice.lines()[0].startswith("2 processes (ddp): each")
    fixed = chosen(plan, launch("experts", strategy="ep"), released=False)
    assert (fixed.launch.strategy, fixed.why) == ("ep", "")


def test_every_weight_is_cut_where_whole_copies_do_not_fit(loaded):
    plan = prepared("whole", method="full").plan
    whole, cut = (needed(plan, "full", strategy) for strategy in ("ddp", "fsdp"))
    assert cut < whole
    tight = replace(plan, free=(whole + cut) // 2)
    choice = chosen(tight, launch("full"), released=False)
    assert choice.launch.strategy == "fsdp"
    assert choice.plan.fits
    assert "ddp needs" in choice.why
    assert "ep cannot (full trains every weight" in choice.why
    none = chosen(replace(plan, free=cut // 2), launch("full"), released=False)
    assert none.why.startswith("strategy auto: none fits: ddp needs")
    assert not none.plan.fits
    with pytest.raises(DoesNotFit):
        require_room(none.plan)


def test_a_run_that_goes_on_is_planned_by_its_record(loaded):
    tuning = prepared("again", method="full")
    plan, again = tuning.plan, plan_again(tuning.run)
    assert again.memory == plan.memory
    assert again.asked == plan.asked


def test_what_a_strategy_cannot_do_is_said_before_a_process_starts(shell, loaded):
    for line, words in (
        ("--strategy ep -M full", "full trains every weight"),
        ("--strategy ep -M prefix", "runs each text by itself"),
    ):
        with pytest.raises(InputError, match=words):
            shell.run_cell_magic("gptoss_tune", f"--runs runs --launch 2 {line} --go", ROWS)
    with pytest.raises(InputError, match="2 processes make no mesh of two sides; launch 4"):
        shell.run_cell_magic("gptoss_tune", "--runs runs --launch 2 --strategy fsdp+ep", ROWS)
    assert not (loaded / "runs").exists()


def test_two_processes_try_whether_packed_bytes_can_be_cut():
    assert fsdp_refusal("cpu") == ""
