"""lm-eval's `hf` backend over rows of prompts: FOLDER CHECKPOINT NEW_TOKENS; prints JSON.

Runs with lm-eval's packages in front of ours. The model is loaded before the clock runs; of batches
of 8 and of 32 the faster counts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

TASK = """task: rows
output_type: generate_until
dataset_path: json
dataset_kwargs:
  data_files: {{test: {rows}}}
test_split: test
doc_to_text: prompt
doc_to_target: answer
generation_kwargs: {{until: ["<|return|>"], max_gen_toks: {new}, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


def main() -> None:
    """The seconds of the faster of two runs."""
    folder, checkpoint, new = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    (folder / "rows.yaml").write_text(TASK.format(rows=folder / "rows.jsonl", new=new))
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    seconds, num = [], 0
    for size in (8, 32):
        model = HFLM(pretrained=checkpoint, dtype="bfloat16", device="cpu", batch_size=size)
        began = time.perf_counter()
        made = lm_eval.simple_evaluate(
            model=model, tasks=["rows"], task_manager=tasks, bootstrap_iters=0
        )
        seconds.append(time.perf_counter() - began)
        num = len(made["samples"]["rows"])
    print(json.dumps({"seconds": min(seconds), "items": num}))


main()
