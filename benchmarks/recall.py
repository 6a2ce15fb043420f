"""memory_recall_vs_vectors: what a memory puts before the model, on dialogues with known answers.

No model is asked: counted is whether what the answer needs stands among the four items that a
prompt would have, and nothing that is over, or of another, stands there as if it held.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.dialogues import KINDS, Dialogue, dialogues
from benchmarks.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

NUM, SEED, K = 240, 2, 4


def structured(number: int, dialogue: Dialogue) -> list[str]:
    """Recalled texts where each message's fact was learned with its subject; unmarked old ones."""
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.memory import Memory

    memory = Memory("structured", f"{number}.ipynb")
    memory.learn(
        [
            Item(
                "fact",
                "" if one.is_over else one.text,
                time=f"{one.day}T12:00:00+00:00",
                subject=one.subject,
                attribute=one.attribute,
            )
            for one in dialogue.said
            if one.subject
        ]
    )
    found = memory.recall(dialogue.question.text, K)
    is_past = dialogue.question.kind == "on a day"
    return [item.text for item in found if item.holds or is_past]


def vectors(number: int, dialogue: Dialogue) -> list[str]:
    """Recalled texts where each message was kept as it was said."""
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.memory import Memory

    memory = Memory("vectors", f"{number}.ipynb")
    memory.remember(
        [Item("note", one.text, time=f"{one.day}T12:00:00+00:00") for one in dialogue.said]
    )
    return [item.text for item in memory.recall(dialogue.question.text, K)]


@contextmanager
def own_data() -> Iterator[None]:
    """Memories lie in a folder of their own within."""
    before = os.environ.get("XDG_DATA_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("XDG_DATA_HOME")
            if before is not None:
                os.environ["XDG_DATA_HOME"] = before


def is_right(found: list[str], dialogue: Dialogue) -> bool:
    """All that is needed is there, and nothing that would mislead."""
    question = dialogue.question
    return set(question.needed) <= set(found) and not set(question.wrong) & set(found)


def has_needed(found: list[str], dialogue: Dialogue) -> bool:
    """The weaker demand: what is needed is there, whatever else is; for no answer, nothing is."""
    question = dialogue.question
    return set(question.needed) <= set(found) if question.needed else is_right(found, dialogue)


def counted(num: int, seed: int) -> dict[str, Counter[str]]:
    """Right answers by kind of question: of structured recall, of vectors, of no memory."""
    ways = {"structured": structured, "vectors": vectors, "none": lambda _n, _d: []}
    right = {name: Counter[str]() for name in ways}
    with own_data():
        for number, dialogue in enumerate(dialogues(num, seed)):
            for name, way in ways.items():
                found = way(number, dialogue)
                right[name][dialogue.question.kind] += is_right(found, dialogue)
                right[name]["all"] += is_right(found, dialogue)
                right[name]["needed is there"] += has_needed(found, dialogue)
    return right


def memory_recall_vs_vectors(_repeats: int) -> Figure:
    """Structured recall against plain recall by words and vectors, on 240 dialogues."""
    right = counted(NUM, SEED)
    ours, peer = right["structured"]["all"] / NUM, right["vectors"]["all"] / NUM
    what = (
        f"questions of {NUM} generated dialogues for which the {K} recalled items hold all that "
        "the answer needs and nothing that misleads: facts with subject and time (given, not drawn "
        "by a model) against the same sentences recalled by words and vectors"
    )
    shares = {
        name: {kind: round(found[kind] / (NUM / len(KINDS)), 3) for kind in KINDS}
        | {"needed is there": round(found["needed is there"] / NUM, 3)}
        for name, found in right.items()
    }
    figure = Figure("memory_recall_vs_vectors", ours, peer, "share", round(ours / peer, 4), what)
    none = {"no memory": round(right["none"]["all"] / NUM, 3)}
    return replace(figure, ours=round(ours, 4), peer=round(peer, 4), more={**none, **shares})
