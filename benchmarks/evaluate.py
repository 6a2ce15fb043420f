"""Items a minute of `evaluate`, against a loop of single prompts, and against lm-eval's `hf`."""

from __future__ import annotations

import json
import os
import sysconfig
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gptoss_magic
from benchmarks.figure import Figure, compared, last_json
from benchmarks.peers import ROOT, python_with
from benchmarks.speed import resident

NUM_ITEMS, PEER_ITEMS, NUM_NEW = 64, 32, 48  # peers take minutes
PINS = ROOT / "requirements" / "neighbours.txt"
# the peer's own packages stand before ours, which have torch and transformers
BEHIND = """
import runpy, sys
paths, *sys.argv = sys.argv[1:]
sys.path += paths.split(":")
runpy.run_module(sys.argv[0], run_name="__main__")
"""


def items(num: int = NUM_ITEMS) -> list[dict[str, str]]:
    """Word problems with their answers."""
    names, things = ("Ada", "Ben", "Cleo", "Dov"), ("apples", "books", "coins", "kites")
    return [
        {
            "question": f"{name} has {n + 2} {thing} and finds {n % 7 + 1} more. "
            f"How many {thing} does {name} have now? Answer with the number.",
            "answer": str(n + 2 + n % 7 + 1),
        }
        for n in range(num)
        for name, thing in [(names[n % 4], things[n // 4 % 4])]
    ]


def evaluated(num: int = NUM_ITEMS) -> float:
    """Items a minute of our runner, graded, its journal written anew."""
    resident()
    with TemporaryDirectory() as journal:
        began = time.perf_counter()
        made = gptoss_magic.evaluate(
            data=items(num), max_tokens=NUM_NEW, temperature=0.0, journal=journal
        )
        seconds = time.perf_counter() - began
    assert len(made.attempts) == num
    return 60 * num / seconds


def looped() -> float:
    """Items a minute of one prompt after the other; the system message's keys are reused."""
    from gptoss_magic.studies.asks import DATE

    resident()
    ask: dict[str, Any] = {"max_tokens": NUM_NEW, "temperature": 0.0, "date": DATE}
    began = time.perf_counter()
    for item in items(PEER_ITEMS):
        gptoss_magic.generate(item["question"], adapters="none", **ask)
    return 60 * PEER_ITEMS / (time.perf_counter() - began)


def by_lm_eval() -> float:
    """Items a minute of lm-eval's own `hf` backend, the same weights and prompts."""
    from gptoss_magic.model.stand_in import checkpoint
    from gptoss_magic.studies.arms import read_arms
    from gptoss_magic.studies.asks import DATE
    from gptoss_magic.turns.many import for_prompts
    from gptoss_magic.turns.prompt import ids_of

    _, engine = resident()
    (base,) = read_arms("base")
    asked = for_prompts(base.settled(date=DATE), [item["question"] for item in items(PEER_ITEMS)])
    prompts = [engine.codec.decode(ids_of(request)) for request in asked]
    with TemporaryDirectory() as folder:
        rows = [{"prompt": p, **item} for p, item in zip(prompts, items(PEER_ITEMS), strict=True)]
        Path(folder, "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        ours = ":".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        command = [python_with(PINS), "-c", BEHIND, ours, "benchmarks.lm_eval_side"]
        known = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        told = last_json(
            [str(part) for part in (*command, folder, checkpoint(), NUM_NEW)],
            "lm-eval",
            cwd=ROOT,
            env=os.environ | known,
        )
    assert told["items"] == PEER_ITEMS
    return float(60 * PEER_ITEMS / told["seconds"])


def evaluate_items_per_minute_vs_loop(_repeats: int) -> Figure:
    """Items in lanes against half of them one after the other."""
    name = "evaluate_items_per_minute_vs_loop"
    what = (
        f"{NUM_ITEMS} items, up to {NUM_NEW} greedy tokens each, built-in model: against a loop "
        f"over {PEER_ITEMS}"
    )
    return compared(name, "items/min", evaluated(), looped(), what, less_is_better=False)


def evaluate_vs_lm_eval(_repeats: int) -> Figure:
    """The same items by lm-eval with its `hf` backend; models are loaded before."""
    what = (
        f"{PEER_ITEMS} items, up to {NUM_NEW} greedy tokens each, the built-in model's bf16 "
        "weights: against lm-eval's hf backend, its best of batches of 8 and 32"
    )
    return compared(
        "evaluate_vs_lm_eval",
        "items/min",
        evaluated(PEER_ITEMS),
        by_lm_eval(),
        what,
        less_is_better=False,
    )


EVALUATE = {
    function.__name__: function
    for function in (evaluate_items_per_minute_vs_loop, evaluate_vs_lm_eval)
}
