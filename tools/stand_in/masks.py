"""What each expert is for: python -m tools.stand_in.masks [--mixture FOLDER].

Of each kind of text, each layer's hottest expert is masked, and the loss of every kind measured on
held-out text: nats a token of plain text and of what the assistant says. With `--text`: the loss of
plain text alone, and of the package's own general conversations, which nothing was tuned on.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.routing.baseline import conversations
from gptoss_magic.routing.probe import probing
from gptoss_magic.routing.score import score
from gptoss_magic.session import current
from tools.stand_in import loaded, pieces
from tools.stand_in.kinds import KINDS, cases_of
from tools.stand_in.train import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.stand_in.routed import Row

NUM_CASES, NUM_WINDOWS, NUM_TEXTS = 12, 10, 24
SEEN, UNSEEN = 500_001, 500_002  # seeds: where the experts are looked for, and where measured
GENERAL = "general"


def texts(kind: str, seed: int, count: int = 1) -> list[Row]:
    """Held-out rows of a kind; `count` times as few where it is above 1."""
    found = [
        encode(case, pieces.codec(), "2025-08-05")
        for case in cases_of(kind, seed, NUM_CASES // count)
    ]
    return found + pieces.windows(kind, str(seed), NUM_WINDOWS // count, held=True)


def general() -> list[Row]:
    """The package's own general conversations, every token."""
    from gptoss_magic.harmony import render

    rows = [render(talk, pieces.codec(), prompt=False) for talk in conversations()]
    return [(ids, ids) for ids in rows]


def nats(model: Any, rows: Sequence[Row]) -> float:
    """Mean nats a label."""
    import torch
    from torch.nn.functional import cross_entropy

    total, number = 0.0, 0
    with torch.no_grad():
        for ids, labels in rows:
            wanted = torch.tensor(labels[1:])
            logits = model(torch.tensor([ids])).logits[0, :-1][wanted != -100].float()
            total += float(cross_entropy(logits, wanted[wanted != -100], reduction="sum"))
            number += len(logits)
    return total / number


def hottest(model: Any, rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Of each layer the expert that the rows use most."""
    found = score(model, [ids for ids, _ in rows], reap=False).hot(num_experts=1)
    return [(layer, expert) for layer, (expert,) in enumerate(found)]


def table(model: Any, count: int = 1) -> dict[str, dict[str, float]]:
    """{'none' or the kind whose experts are masked: {kind: nats a token}}."""
    held = {kind: texts(kind, UNSEEN, count) for kind in KINDS}
    rows = {"none": {kind: nats(model, found) for kind, found in held.items()}}
    for kind in KINDS:
        with probing(model, hottest(model, texts(kind, SEEN, count))):
            rows[kind] = {other: nats(model, found) for other, found in held.items()}
    return rows


def harm(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """What each mask adds to the loss of each kind."""
    bare = rows["none"]
    return {
        masked: {kind: value - bare[kind] for kind, value in found.items()}
        for masked, found in rows.items()
        if masked != "none"
    }


def text_figures(model: Any) -> dict[str, float]:
    """Nats a token of each kind's held-out plain text, and of general conversations."""
    found = {
        kind: nats(model, pieces.windows(kind, str(UNSEEN), NUM_TEXTS, held=True)) for kind in KINDS
    }
    return found | {GENERAL: nats(model, general())}


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """The table: losses without a mask, then what each mask adds to them."""
    lines = [["masked", *KINDS], ["---"] * (len(KINDS) + 1)]
    lines.append(["none", *(f"{value:.3f}" for value in rows["none"].values())])
    for masked, found in harm(rows).items():
        lines.append([masked, *(f"{value:+.3f}" for value in found.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the table in Markdown; with `--text` the losses of plain text alone."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.masks")
    loaded.add_option(parser)
    parser.add_argument("--text", action="store_true", help="nothing is masked")
    given = parser.parse_args()
    loaded.load(given.mixture)
    model = current().require().model
    if given.text:
        print(json.dumps(text_figures(model)))
    else:
        print(markdown(table(model)))


if __name__ == "__main__":
    main()
