"""The benchmark runner: one JSON line per figure, one clear line for an unknown name."""

import json
import subprocess
import sys
from pathlib import Path

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
