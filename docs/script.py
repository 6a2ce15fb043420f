"""All of gptoss_magic without a notebook: python docs/script.py"""

import pandas as pd

import gptoss_magic as gpt

if __name__ == "__main__":
    gpt.load("built-in")
    rows = [
        {"prompt": f"Say {n}.", "answer": f"Aye, {n}!"} for n in ("one", "two", "three", "four")
    ]
    report = gpt.tune(rows, name="sailor", method="lora", rank=4, num_steps=4)
    print("loss on held-out rows, before and after:", report.held_out)
    gpt.use()  # the bare base; its run's folder has the adapter
    gpt.detach("sailor")
    print(gpt.attach("gptoss_runs/sailor/adapter", "sailor"))
    asked = {"temperature": 0, "max_tokens": 40, "effort": "low"}
    print(gpt.generate("Say five.", adapters=["sailor"], **asked).final)
    frame = pd.DataFrame({"country": ["France", "Austria"]})
    gpt.map(frame, "What is the capital of {{ country }}?", **asked)
    print(frame)
    gpt.index("readme", "README.md")
    questions = [
        {"question": "Which command loads a model?", "answers": [{"text": "%gptoss load"}]}
    ]
    print(gpt.evaluate("readme", questions).figures)
