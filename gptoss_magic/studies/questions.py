"""Questions about a corpus by the resident model, for a person to review."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.retrieval.evaluate import HeldChunk
    from gptoss_magic.tuning.grow import Answered

MIN_CHARS = 120
TRIES = 2
PROMPT = """\
Text:
{text}

Write one short question that this text answers. Write only the question."""
QUESTION = re.compile(r"[^\n?]{8,200}\?")
VAGUE = re.compile(
    r"\b(?:this|the|that) (?:text|passage|document|section|paragraph)\b", re.IGNORECASE
)
LONG_WORD = re.compile(r"\w{4,}")


def corpus_questions(
    chunks: Sequence[HeldChunk],
    num: int,
    *,
    seed: int = 0,
    ask: Callable[[str, int], Answered] | None = None,
) -> Iterator[dict[str, Any]]:
    """Up to `num` rows {question, chunk, source, lines, heading, text, reviewed: False}.

    Chunks are drawn at random with `seed`; one question each, that shares a word with its chunk,
    does not speak of "the text", and is no repetition; a chunk has two tries. `ask(prompt, number)`
    answers; without it the resident model does, greedily first.
    """
    drawn = [chunk for chunk in chunks if len(chunk["text"]) >= MIN_CHARS]
    random.Random(seed).shuffle(drawn)  # noqa: S311 (a draw)
    seen: set[str] = set()
    for chunk in drawn:
        if len(seen) >= num:
            return
        question = _question(chunk["text"], seen, ask or _asked)
        if question:
            seen.add(question.casefold())
            yield {"question": question, **_about(chunk), "reviewed": False}


def _question(text: str, seen: set[str], ask: Callable[[str, int], Answered]) -> str:
    for number in range(TRIES):
        found = QUESTION.search(ask(PROMPT.format(text=text), number).final)
        question = found[0].strip(" \"'*-:") if found else ""
        words = {word.casefold() for word in LONG_WORD.findall(question)}
        shares = words & {word.casefold() for word in LONG_WORD.findall(text)}
        if shares and question.casefold() not in seen and not VAGUE.search(question):
            return question
    return ""


def _about(chunk: HeldChunk) -> dict[str, Any]:
    return {
        "chunk": chunk["id"],
        "source": chunk["source"],
        "lines": [chunk["first_line"], chunk["last_line"]],
        "heading": chunk["heading"],
        "text": chunk["text"],
    }


def _asked(prompt: str, number: int) -> Answered:
    from gptoss_magic.turns import generate

    temperature = 0.0 if not number else 0.8
    return generate(prompt, temperature=temperature, seed=number, max_tokens=200, effort="low")
