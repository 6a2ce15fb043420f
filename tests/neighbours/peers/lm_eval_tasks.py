"""lm-eval: three items of a choice and of a generation. The folder given has the tasks.

Choices are scored by log-probabilities of token ids; a real engine must serve.
"""

import json
import os
import sys
from pathlib import Path

import lm_eval
from lm_eval.tasks import TaskManager

folder = Path(sys.argv[1])
os.environ["OPENAI_API_KEY"] = os.environ["ENDPOINT_KEY"]
rows = [
    {"question": f"Сколько будет {n} + 1?", "choices": [str(n + 1), "сто"], "answer": 0}
    for n in range(3)
]
(folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
COMMON = f"""
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder / "rows.jsonl"}}}
test_split: test
doc_to_text: "{{{{question}}}}\\nОтвет:"
"""
CHOICE = """task: tiny_choice
output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: answer
"""
WRITTEN = """task: tiny_written
output_type: generate_until
doc_to_target: "{{choices[0]}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: false}
metric_list: [{metric: exact_match}]
"""
(folder / "choice.yaml").write_text(COMMON + CHOICE)
(folder / "written.yaml").write_text(COMMON + WRITTEN)
made = lm_eval.simple_evaluate(
    model="local-completions",
    model_args={
        "model": "base",
        "base_url": f"{os.environ['ENDPOINT_URL']}/completions",
        "tokenizer_backend": "remote",
        "auth_token": os.environ["ENDPOINT_KEY"],
        "max_length": 2048,
        "num_concurrent": 1,
        "batch_size": 4,
    },
    tasks=["tiny_choice", "tiny_written"],
    task_manager=TaskManager(include_path=str(folder), include_defaults=False),
    bootstrap_iters=0,
)
samples = made["samples"]["tiny_choice"]
scores = [[float(score[0]) for score in one["filtered_resps"]] for one in samples]
said = [one["filtered_resps"] for one in made["samples"]["tiny_written"]]
print(json.dumps({"results": made["results"], "scores": scores, "said": said}, default=str))
