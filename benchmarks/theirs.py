"""The built-in checkpoint by transformers alone, as a process that stays, with its own threads.

`python -m benchmarks.theirs CHECKPOINT`; a line "NEW ID ID …" is a prompt and the number of greedy
tokens behind it, answered by "PREFILL_S DECODE_S" as llama_model does: here 0 and the seconds of
`generate`, for as many tokens as were asked for.
"""

from __future__ import annotations

import sys
import time
from typing import Any


def main() -> None:
    import torch
    from transformers import GptOssForCausalLM

    model: Any = GptOssForCausalLM.from_pretrained(
        sys.argv[1], dtype="bfloat16", attn_implementation="eager"
    ).eval()
    print("ready", flush=True)
    for line in sys.stdin:
        count, *ids = map(int, line.split())
        batch = torch.tensor([ids])
        begin = time.perf_counter()
        made = model.generate(
            batch, attention_mask=torch.ones_like(batch), max_new_tokens=count, do_sample=False
        )
        seconds = time.perf_counter() - begin
        print(0, seconds * count / (made.shape[1] - len(ids)), flush=True)


if __name__ == "__main__":
    main()
