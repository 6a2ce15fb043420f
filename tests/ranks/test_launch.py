"""A run on two processes, from the cell to the adapter in use; stopped and gone on with on one."""

import json
import platform
import re

import pytest

from gptoss_magic.errors import DoesNotFit, InputError, LaunchError
from gptoss_magic.ranks.folder import RanksFolder, RankState, Wish
from gptoss_magic.ranks.follow import Tail, ended
from gptoss_magic.ranks.launch import launch_of
from gptoss_magic.ranks.plan import RanksPlan, require_room
from gptoss_magic.ranks.processes import Process
from gptoss_magic.ranks.run import taken_over
from gptoss_magic.runs.prepare import resume
from gptoss_magic.session import current
from gptoss_magic.tuning.checkpoints import latest_checkpoint, load_parts
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.layout import revive
from gptoss_magic.tuning.runs import read_run
from gptoss_magic.tuning.trainer import scheduled
from tests.ranks.cases import ROWS, folder_of, left_behind, prepared, started, steps_written, until
from tests.ranks.parity import apart

LINE = "--go --runs runs --steps 4 --step-tokens 900 --eval-every 2 -r 2 --quiet"
CLOSE = 1e-4  # of weights in fp32 behind a few steps: AdamW divides by the size of a gradient


def weights_of(run):
    parts = revive(run.parts, "cpu")
    load_parts(latest_checkpoint(run.folder), parts)
    return [p.detach() for part in parts for p in part.parameters()]


def test_a_launched_cell_ends_as_one_that_was_not(shell, loaded, capsys):
    shell.run_cell_magic("gptoss_tune", f"{LINE} --as alone", ROWS)
    shell.run_cell_magic(
        "gptoss_tune", f"{LINE} --as both --launch 2 --release --verify -o report", ROWS
    )
    said = capsys.readouterr().out
    assert re.search(r"2 processes \(ddp\): each \d+\.\d\d GB", said)
    away = re.search(r"verify: gradients of 2 processes .*: expert lora \(\d+\) (\S+)", said)
    assert float(away[1]) <= 1e-6
    report, run = shell.user_ns["report"], read_run(loaded / "runs/both")
    assert run.finish == "return"
    assert run.report["held_out"] == list(report.held_out)
    assert current().shelf.default == ("both",)
    assert set(current().shelf.held) == {"alone", "both"}  # released, and as before
    alone = read_run(loaded / "runs/alone")
    for a, b in zip(weights_of(run), weights_of(alone), strict=True):
        assert apart(a, b) <= CLOSE
    for mine, one in zip(run.history(), alone.history(), strict=True):
        assert mine.loss == pytest.approx(one.loss, rel=1e-5)
        assert len(mine.ranks) == 2
        assert sum(rank.tokens for rank in mine.ranks) == pytest.approx(
            sum_tokens(alone, mine.step)
        )
        assert all(0 < rank.load <= 1 + 1e-6 for rank in mine.ranks)
    assert left_behind(run.folder) == []


def sum_tokens(run, step):
    from gptoss_magic.tuning.runs import read_data

    steps, _ = read_data(run)
    return sum(len(e.ids) for sequence in steps[step - 1] for e in sequence)


def test_pause_rate_and_stop_reach_all_ranks_and_another_number_goes_on(loaded):
    launched, control = started("cut", 600), Control()
    seen = []
    for metrics in launched.steps(control):
        seen.append(metrics)
        if metrics.step == 3:
            control.set_rate(5e-4)
        wanted = 5e-4 * scheduled(metrics.step - 1, 600, launched.run.train)
        if metrics.learning_rate == pytest.approx(wanted):
            control.stop()
    stopped = taken_over(launched)
    assert stopped.run.finish == "stopped"
    assert [m.step for m in seen] == list(range(1, len(seen) + 1))
    assert len(seen) < 600
    assert stopped.trainer.progress.step == len(seen)
    assert stopped.trainer.rate == 5e-4
    assert left_behind(launched.run.folder) == []
    again, short = resume("cut", loaded / "runs"), Control()
    for metrics in again.steps(short):
        if metrics.step == len(seen) + 2:
            short.stop()
    assert again.trainer.progress.history[-1].ranks == ()
    assert [m.step for m in again.trainer.progress.history] == list(range(1, len(seen) + 3))


def test_the_strategy_and_the_number_are_checked_first(shell, loaded):
    for line, words in (
        ("--launch 0", "launch"),
        ("--launch 2 --background --go", "--detach gives the cell back"),
        ("--launch 2 --detach --release --go", "give one of them"),
        ("--launch 2 --detach", "--detach means something beside --go or --resume"),
        ("--launch 2 --strategy ep -M prefix --go", "runs each text by itself"),
        (
            "--launch 3 --strategy fsdp --go",
            "shared out evenly on 1, 2, 4, 8",
        ),
        ("--verify --go", "beside --launch only"),
        ("--launch 2 --every 2 --suite gsm8k --go", "a suite needs the resident model"),
        ("--strategy ddp", "beside --launch only"),
        ("--detach --go", "beside --launch only"),
    ):
        with pytest.raises(InputError, match=words):
            shell.run_cell_magic("gptoss_tune", f"--runs runs {line}", ROWS)
    assert not (loaded / "runs").exists()


def test_what_does_not_fit_is_refused_with_what_would(loaded):
    tuning = prepared("big")
    launch = launch_of(current().require_local(), "lora", 4, "ddp", detached=False)
    plan = RanksPlan(launch, 0, 10**9, 3 * 10**9, on_cards=False)
    with pytest.raises(DoesNotFit, match=r"4\.00 GB together; 3\.00 GB free; --launch 3 would fit"):
        require_room(plan)
    assert tuning.run.finish == "running"


def test_wishes_and_damage_are_read_as_nothing(loaded):
    folder = RanksFolder(loaded / "ranks", "one")
    assert folder.wished() == Wish()
    assert folder.alive() == []
    (loaded / "ranks").mkdir()
    (loaded / "ranks" / "control.json").write_text("{")
    (loaded / "ranks" / "rank-0.json").write_text(json.dumps({"process": 3}))
    assert folder.wished() == Wish()
    assert folder.states() == {}
    with pytest.raises(InputError, match="no run on processes of its own"):
        folder.launch()


PEER = "RuntimeError: [gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("error", PEER), ("error", "ValueError: boom"), "rank 1: ValueError: boom"),
        (("error", PEER), ("", ""), r"rank 1 \(process \d+\) of 2 ended without a word"),
        (("", ""), ("error", "DoesNotFit: no room"), "rank 1: DoesNotFit: no room"),
        (("error", PEER), ("return", ""), "rank 0: RuntimeError"),
    ],
)
def test_the_line_names_the_rank_that_began_it(loaded, first, second, said):
    run = prepared("told").run
    launch = launch_of(current().require_local(), "lora", 2, "ddp", detached=True)
    folder = RanksFolder.of(run.folder)
    folder.begin(launch)
    for rank, (how, error) in enumerate((first, second)):
        gone = Process(10**6 + rank, 1.0, platform.node())
        folder.set_state(rank, RankState(gone, how, error, float(rank)))
    with pytest.raises(LaunchError, match=f"told: {said}"):
        ended(run)
    assert read_run(run.folder).finish == "interrupt"


def test_a_tail_gives_whole_lines_once(tmp_path):
    tail = Tail(tmp_path / "steps.jsonl")
    assert tail.lines() == []
    tail.path.write_bytes(b"one\ntw")
    assert tail.lines() == [b"one"]
    with tail.path.open("ab") as stream:
        stream.write(b"o\nthree\n")
    assert tail.lines() == [b"two", b"three"]
    assert tail.lines() == []


def test_a_run_that_goes_on_is_not_begun_again(shell, loaded, capsys):
    launched = started("lone", 4000, detached=True)
    until(lambda: steps_written(launched.folder) >= 2)
    with pytest.raises(InputError, match="runs on its own processes: %gptoss runs attach lone"):
        shell.run_line_magic("gptoss_tune", "--resume lone --runs runs")
    shell.run_line_magic("gptoss", "runs stop lone --runs runs")
    assert "lone stops after this step" in capsys.readouterr().out
    shell.run_line_magic("gptoss", "runs attach lone --runs runs -q -o report")
    launched.poll()
    assert read_run(loaded / "runs/lone").finish == "stopped"
    assert shell.user_ns["report"].name == "lone"
    assert current().shelf.default == ("lone",)
    assert left_behind(loaded / "runs/lone") == []
    assert not folder_of(loaded / "runs/lone").alive()
    with pytest.raises(InputError, match="is over, and its report is written"):
        shell.run_line_magic("gptoss", "runs attach lone --runs runs -q")
