"""All of gptoss_magic without a notebook: `python docs/script.py [MODEL]`."""

import sys

import pandas as pd

import gptoss_magic as gpt

ASKED = {"temperature": 0, "max_tokens": 40, "effort": "low"}

if __name__ == "__main__":
    gpt.load(*sys.argv[1:2] or ["built-in"])
    rows = [{"prompt": f"Say {n}.", "answer": f"Aye, {n}!"} for n in ("one", "two", "six", "ten")]
    report = gpt.tune(rows, name="sailor", method="lora", rank=4, num_steps=4)
    print("loss on held-out rows, before and after:", report.held_out)
    gpt.detach("sailor")
    print(gpt.attach("gptoss_runs/sailor/adapter", "sailor"))
    print(gpt.generate("Say five.", adapters=["sailor"], **ASKED).final)
    frame = pd.DataFrame({"country": ["France", "Austria"]})
    print(gpt.map(frame, "What is the capital of {{ country }}?", **ASKED).done, "rows", frame)
    gpt.index("readme", "README.md")
    answers = [{"source": "README.md", "text": "%gptoss load"}]
    found = gpt.evaluate_retrieval(
        "readme", [{"question": "What loads a model?", "answers": answers}]
    )
    print(found.figures)
