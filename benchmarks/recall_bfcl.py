"""memory_recall_bfcl_vs_vectors: what a memory puts before the model, on BFCL's memory data.

155 questions about what a user said in long talks of five kinds (package bfcl-eval). No model is
asked: an answer counts where the Leaderboard's own check finds one of its answers in the four
messages that are recalled.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figure import Figure, Unavailable
from benchmarks.recall import own_data
from gptoss_magic.evaluation.suites.bfcl import HOW

if TYPE_CHECKING:
    from collections.abc import Callable

    Recall = Callable[[str], list[str]]

K = 4
SUITE, TALKS = "BFCL_v4_memory.json", "memory_prereq_conversation"


def lines(*names: str) -> list[dict[str, Any]]:
    """The rows of one of the package's files. Raises Unavailable."""
    try:
        place = files("bfcl_eval").joinpath("data", *names)
    except ModuleNotFoundError as error:
        raise Unavailable(f"bfcl-eval is missing: {HOW}") from error
    return [json.loads(line) for line in place.read_text("utf-8").splitlines()]


def said(scenario: str) -> list[str]:
    """All that the user said, in its order."""
    talks = lines(TALKS, f"memory_{scenario}.json")
    return [message["content"] for talk in talks for (message,) in talk["question"]]


def ours(scenario: str) -> Recall:
    """Our memory: words and vectors."""
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.memory import Memory

    memory = Memory("bfcl", f"{scenario}.ipynb")
    memory.remember([Item("note", text) for text in said(scenario)])
    return lambda asked: [item.text for item in memory.recall(asked, K)]


def vectors(scenario: str) -> Recall:
    """The nearest by the cosine of the same embeddings."""
    from gptoss_magic.retrieval.embedders import embedder_named

    embedder, texts = embedder_named(), said(scenario)
    held = np.asarray(embedder.embed(texts), np.float32)
    held /= np.linalg.norm(held, axis=1, keepdims=True)

    def recall(asked: str) -> list[str]:
        (query,) = np.asarray(embedder.embed([asked]), np.float32)
        return [texts[place] for place in np.argsort(-(held @ query))[:K]]

    return recall


def latest(scenario: str) -> Recall:
    """What was said last, whatever is asked."""
    texts = said(scenario)[-K:]
    return lambda _asked: texts


def shares() -> dict[int, dict[str, float]]:
    """Questions whose answer stands in the first message, or in `K`, by the way to recall."""
    from bfcl_eval.eval_checker.agentic_eval.agentic_checker import agentic_checker

    answers = {row["id"]: row["ground_truth"] for row in lines("possible_answer", SUITE)}
    questions = lines(SUITE)
    right: dict[int, Counter[str]] = {1: Counter(), K: Counter()}
    for way in (ours, vectors, latest):
        recall = {one: way(one) for one in {row["scenario"] for row in questions}}
        for row in questions:
            found = recall[row["scenario"]](row["question"][0][0]["content"])
            for size, held in right.items():
                given = agentic_checker("\n".join(found[:size]), answers[row["id"]])
                held[way.__name__] += given["valid"]
    return {
        size: {name: round(count / len(questions), 4) for name, count in held.items()}
        for size, held in right.items()
    }


def memory_recall_bfcl_vs_vectors(_repeats: int) -> Figure:
    """Words and vectors against vectors alone, on questions of the Function-Calling Leaderboard."""
    with own_data():
        found = shares()
    what = (
        f"questions of BFCL's memory data whose answer stands in the {K} recalled messages, of "
        "about a hundred: words and vectors against vectors alone; beside them the latest messages"
    )
    mine, theirs = found[K]["ours"], found[K]["vectors"]
    name = "memory_recall_bfcl_vs_vectors"
    figure = Figure(name, mine, theirs, "share", round(mine / theirs, 4), what)
    more = {"latest": found[K]["latest"], "no memory": 0.0, "in the first message": found[1]}
    return replace(figure, more=more)
