"""An example of docs/neighbours.md in this process: its heading, and tiny or built-in.

There is an index called docs. The tiny model says what a script says; the built-in one answers.
"""

import json
import sys
from pathlib import Path

import gptoss_magic
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.index import Index
from gptoss_magic.session import current
from tests.neighbours.docs import example
from tests.serving.script import answering

heading, model = sys.argv[1:]
Path("pets.md").write_text("# Cats\n\nA cat in Paris sleeps for fifteen hours a day.\n")
Index.create("docs", embedder_named("words")).ingest(["pets.md"])


def run():
    exec(compile(example(heading), heading, "exec"), {"__name__": "__main__"})  # noqa: S102


if model == "tiny":
    from here import scripted, tiny_checkpoint

    made = tiny_checkpoint(Path("tiny"), max_position_embeddings=4096)
    gptoss_magic.load(made, context=4096)
    with scripted(current(), always=answering) as engine:
        run()
        prompts = engine.prompt_texts
else:
    gptoss_magic.load("built-in", offline=True)
    run()
    turns = current().conversations.turns.values()
    prompts = [current().codec.decode(list(turn.prompt_ids)) for turn in turns]
print(json.dumps(prompts))
