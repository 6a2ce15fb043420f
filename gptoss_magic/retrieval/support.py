"""Where the words of an answer stand in its passages: for sentences that the model did not cite.

Words are compared, not meanings. A sentence is taken as found where at most three neighbouring
lines of one passage hold all its numbers, 70 % of its words, and half of those words that the
question does not have already. So a repeated question is no support, and a wrong figure is seen;
a "not" that the source lacks is not seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gptoss_magic.records import Support
from gptoss_magic.retrieval.folding import searchable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Citation, Passage

MAX_LINES = 3
SHARE, NEW_SHARE = 0.7, 0.5
WORD = re.compile(r"[^\W_]+")
MARK = re.compile(r"【[^【】\n]*】|\[\d+\]")
FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
SENTENCE = re.compile(
    r"\S(?:[^\n]*?(?:[.!?؟۔][\"'”’»)\]*_`]*(?=\s)|[。！？｡](?:[”’）」』]|【[^【】\n]*】)*)|[^\n]*)"
)
SILENT = re.compile(
    r"\b(?:not|no|n't)\b[^.\n]*\b(?:sources?|passages?|contexts?|documents?|answer|information)\b"
    r"|\b(?:sources?|passages?|contexts?|documents?)\b[^.\n]*\b(?:not|no|nothing)\b",
    re.IGNORECASE,
)
COMMON = frozenset(
    """
    a about above after again all also am an and any are as at be been before being below between
    both but by can could did do does doing done down during each few for from further had has have
    having he her here him his how i if in into is it its itself just like many may me might more
    most much must my no nor not of off on once one only or other our out over own same shall she
    should so some such than that the their them then there these they this those through to too
    under up use used using very was we were what when where which while who whom whose why will
    with would yes you your called according source passage context
    """.split()  # noqa: SIM905
)


def support(
    answer: str, passages: Sequence[Passage], citations: Sequence[Citation], question: str
) -> tuple[Support, ...]:
    """For each sentence without a valid citation: the passage lines that hold its words, or none.

    Left out are sentences of common words only, those that say the sources are silent, and code.
    """
    asked = words(question)
    cited_at = [citation.start for citation in citations if citation.valid]
    found = []
    for start, sentence in sentences(answer):
        said = words(MARK.sub(" ", sentence))
        is_cited = any(start <= at < start + len(sentence) for at in cited_at)
        if said and not is_cited and not SILENT.search(sentence):
            found.append(_support(sentence, start, said, asked, passages))
    return tuple(found)


def overlap(question: str, passages: Sequence[Passage]) -> float:
    """The largest share of the question's words that one passage holds; 1 without such words."""
    asked = words(question)
    if not asked:
        return 1.0
    held = (words(f"{passage.heading} {passage.text}") for passage in passages)
    return max((len(asked & each) / len(asked) for each in held), default=0.0)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """(start, sentence) in order, fenced code left out; marks behind a full stop belong to it."""
    text = FENCED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    spans: list[tuple[int, int]] = []
    for found in SENTENCE.finditer(text):
        if spans and not WORD.search(MARK.sub("", found[0])):
            spans[-1] = (spans[-1][0], found.end())
        else:
            spans.append(found.span())
    for start, end in spans:
        yield start, text[start:end].rstrip()


def words(text: str) -> set[str]:
    """The words that carry meaning: lower case, without endings; numbers as they are."""
    plain = (word.casefold() for word in WORD.findall(searchable(text)))
    return {_stem(word) for word in plain if word not in COMMON}


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _support(
    sentence: str, start: int, said: set[str], asked: set[str], passages: Sequence[Passage]
) -> Support:
    best = Support(sentence, start, 0, 0, 0, 0, len(said))
    numbers, new = {word for word in said if word[0].isdigit()}, said - asked
    for passage, first, last, held in _windows(passages):
        common = said & held
        enough = len(common) >= SHARE * len(said) and len(common & new) >= NEW_SHARE * len(new)
        if numbers <= held and enough and new and len(common) > best.found:
            at = passage.first_line
            best = Support(
                sentence, start, passage.number, at + first, at + last, len(common), len(said)
            )
    return best


def _windows(passages: Sequence[Passage]) -> Iterator[tuple[Passage, int, int, set[str]]]:
    """One line, then two, then three: (passage, first and last line from 0, their words)."""
    lines = {id(p): [words(line) for line in p.text.split("\n")] for p in passages}
    for size in range(1, MAX_LINES + 1):
        for passage in passages:
            own = lines[id(passage)]
            for first in range(len(own) - size + 1):
                yield passage, first, first + size - 1, set().union(*own[first : first + size])
