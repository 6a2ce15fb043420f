"""The benchmark runner: one JSON line per figure, one clear line for an unknown name."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks import ggml, llama
from benchmarks.figure import Unavailable, against_fastest, compared, medians
from benchmarks.run import run
from benchmarks.whole import apart, require_free

ROOT = Path(__file__).parents[1]


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_figure_is_one_json_line():
    done = bench("load_ext_ms", "--repeats", "1")
    figure = json.loads(done.stdout)
    assert list(figure) == ["name", "ours", "peer", "unit", "ratio", "what"]
    assert abs(figure["ratio"] - figure["peer"] / figure["ours"]) < 1e-3
    assert (ROOT / "benchmarks/results/latest.jsonl").read_text() == done.stdout


def test_an_unknown_figure_is_one_line():
    done = bench("nothing")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "load_ext_ms" in done.stderr


def seven(repeats):
    return compared("seven", "s", 1.0, 7.0, f"{repeats} repeats", less_is_better=True)


def without_peer(_repeats):
    raise Unavailable("the peer is missing: install it")


def broken(_repeats):
    raise ValueError("no such shape\nmore about it")


def test_a_skipped_figure_says_why_and_the_run_goes_on(tmp_path, capsys):
    results = tmp_path / "new" / "latest.jsonl"
    assert run({"alone": without_peer, "seven": seven}, 2, results) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("alone: skipped: the peer is missing: install it\n\nname ")
    assert shown.err.splitlines()[-1].startswith("2 figures in ")
    assert shown.out == seven(2).line() + "\n"
    assert results.read_text() == shown.out


def test_a_figure_that_raises_does_not_stop_the_others(tmp_path, capsys):
    results = tmp_path / "latest.jsonl"
    assert run({"first": seven, "bad": broken, "last": seven}, 1, results) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("bad: failed: ValueError: no such shape\n\nname ")
    assert len(shown.out.splitlines()) == 2
    assert results.read_text() == shown.out


def test_lines_stay_after_an_interrupt(tmp_path):
    def interrupted(_repeats):
        raise KeyboardInterrupt

    results = tmp_path / "latest.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run({"first": seven, "then": interrupted}, 1, results)
    assert json.loads(results.read_text())["name"] == "seven"


def test_the_order_turns_and_the_fastest_peer_counts():
    called = []

    def measure(name, value):
        called.append(name)
        return value

    measures = {name: partial(measure, name, value) for name, value in (("a", 2.0), ("b", 1.0))}
    assert medians(measures, 2) == {"a": 2.0, "b": 1.0}
    assert called == ["a", "b", "a", "b", "b", "a"]
    ours, peer, words = against_fastest(lambda: 4.0, measures, 1)
    assert (ours, peer) == (4.0, 1.0)
    assert words == "b (best of it and a 2)"


def test_llama_cpp_cannot_be_built_without_cmake(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="cmake is missing"):
        llama.program("llama_model")


def test_a_step_that_fails_names_its_last_line_and_its_log(tmp_path):
    log = tmp_path / "build.log"
    command = [sys.executable, "-c", "print('no compiler'); raise SystemExit(3)"]
    with pytest.raises(Unavailable, match=r"cmake failed \(no compiler\); see .*build.log"):
        llama.ran("cmake", command, log)


def test_ggml_blocks_hold_the_same_values():
    import torch

    draw = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (2, 3, 16), dtype=torch.uint8, generator=draw)
    scales = torch.randint(117, 122, (2, 3), dtype=torch.uint8, generator=draw)
    made = ggml.as_ggml(blocks, scales)
    assert torch.equal(made[..., 0], scales)
    codes = torch.cat((made[..., 1:] & 15, made[..., 1:] >> 4), -1)
    assert torch.equal(codes[..., ::2] | codes[..., 1::2] << 4, blocks)


def test_a_measured_process_gives_its_last_line_or_says_how_it_ended():
    code = "import json, sys; print('noise'); print(json.dumps(dict(given=sys.argv[1:])))"
    assert apart(code, 1, Path("p")) == {"given": ["1", "p"]}
    with pytest.raises(RuntimeError, match="the measured process ended: ValueError: no memory"):
        apart("raise ValueError('no memory')")


def test_too_little_memory_is_said_before_anything_runs():
    with pytest.raises(Unavailable, match="transformers needs 1000000 GB of memory"):
        require_free(1_000_000)
    require_free(0)
