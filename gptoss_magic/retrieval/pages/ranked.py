"""Texts ranked by the words of a query, for sources that have no index: BM25.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), formula 3.15, with
k1 = 1.2 and b = 0.75.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from gptoss_magic.records import Snippet
from gptoss_magic.retrieval.folding import searchable
from gptoss_magic.retrieval.support import WORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import SourcePage

K1, B = 1.2, 0.75
STEM = 5  # letters: endings count for nothing, in languages with many, too
SNIPPET_CHARS = 200
HEAD_LINES, TOP_LINES = 2, 6  # of a page: its URL; those that are seen from its top anyway


def ranked(query: str, texts: Sequence[Counter[str]], k: int) -> list[int]:
    """Places of the `k` texts that have most of the query's words, best first; none has none."""
    asked = set(stems(query))
    lengths = [sum(text.values()) for text in texts]
    mean = sum(lengths) / len(lengths) if lengths else 1.0
    rarity = {stem: _rarity(sum(stem in text for text in texts), len(texts)) for stem in asked}
    scores = []
    for place, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        norm = K1 * (1 - B + B * length / (mean or 1.0))
        score = sum(rarity[s] * text[s] * (K1 + 1) / (text[s] + norm) for s in asked if s in text)
        if score:
            scores.append((-score, place))
    return [place for _, place in sorted(scores)[:k]]


def counted(text: str) -> Counter[str]:
    """The stems of a text, with how often each stands there."""
    return Counter(stems(text))


def stems(text: str) -> list[str]:
    """Each word's first letters, lower case; numbers whole."""
    words = (word.casefold() for word in WORD.findall(searchable(text)))
    return [word if any(map(str.isdigit, word)) else word[:STEM] for word in words]


def hit(page: SourcePage, query: str) -> Snippet:
    """The page from its best line on; from its top where that is near."""
    line = best_line(query, page.lines)
    return Snippet(page.url, page.title, snippet(page.lines[line:]), below_top(line))


def best_line(query: str, lines: Sequence[str]) -> int:
    """The line with most of the query's words, the first of those, below a page's URL."""
    asked = set(stems(query))
    shares = [len(asked & set(stems(line))) for line in lines[HEAD_LINES:]]
    return HEAD_LINES + shares.index(max(shares)) if shares else 0


def below_top(line: int) -> int | None:
    """The line that a page is opened at; None for its top."""
    return line if line > TOP_LINES else None


def snippet(lines: Sequence[str]) -> str:
    """The first words of lines, in one line."""
    text = " ".join(" ".join(lines[:5]).split())
    return text if len(text) <= SNIPPET_CHARS else f"{text[:SNIPPET_CHARS]} …"


def _rarity(num_with: int, num: int) -> float:
    return math.log(1 + (num - num_with + 0.5) / (num_with + 0.5))
