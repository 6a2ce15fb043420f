"""All that a mixture is judged by, at once: python -m tools.stand_in.gate [--mixture FOLDER].

Held-out cases and instructions, the town of notebooks/retrieval.ipynb, held-out text, masks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from gptoss_magic.session import current
from tools.stand_in import following, loaded, masks, town
from tools.stand_in.cases import held_out
from tools.stand_in.evaluate import evaluate


def main() -> None:
    """Print them as they come."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.gate")
    loaded.add_option(parser)
    loaded.load(parser.parse_args().mixture)
    with tempfile.TemporaryDirectory() as folder:
        for question, said, is_right in town.answers(Path(folder)):
            print("right" if is_right else "wrong", question, said, flush=True)
    for name, cases in (("cases", held_out()), ("following", following.held_out())):
        print(name, json.dumps(evaluate(cases)), flush=True)
    model = current().require().model
    print("text", json.dumps(masks.text_figures(model)), flush=True)
    print(masks.markdown(masks.table(model)), flush=True)


if __name__ == "__main__":
    main()
