"""Whether the lines of a page that an answer cites bear what it says there, as words can tell.

Quoted words must stand in the cited lines, and so must the sentence's numbers and half of its
words, endings apart. All lines that one sentence cites count together. A sentence in another script
than its lines is compared by its numbers alone. Words are compared, not meanings: a "not" is not
seen.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.records import PAGES
from gptoss_magic.retrieval.folding import folded
from gptoss_magic.retrieval.support import MARK, sentences, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gptoss_magic.records import Citation, Passage

SHARE = 0.5
STEM = 5  # letters
LINK = re.compile(r"【\d+†([^†】]*)(?:†[^】]*)?】")
QUOTED = re.compile(r"\"([^\"\n]{2,300})\"|“([^”\n]{2,300})”|«([^»\n]{2,300})»|„([^“\n]{2,300})“")
ITEM = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*•])\s+")
BLANKS = re.compile(r"\s+")


def judged(
    answer: str, citations: Sequence[Citation], passages: Sequence[Passage]
) -> tuple[Citation, ...]:
    """The citations, those of pages with their `doubt`; others, and invalid ones, as they are."""
    given = {passage.number: passage for passage in passages if passage.index == PAGES}
    if not given:
        return tuple(citations)
    doubts: dict[int, str] = {}
    for start, sentence in sentences(answer):
        within = [
            citation
            for citation in citations
            if start <= citation.start < start + len(sentence)
            and citation.valid
            and citation.number in given
        ]
        if within:
            lines = "\n".join(_lines(citation, given[citation.number]) for citation in within)
            doubts |= dict.fromkeys((c.start for c in within), doubt(sentence, lines))
    return tuple(replace(citation, doubt=doubts.get(citation.start, "")) for citation in citations)


def doubt(sentence: str, lines: str) -> str:
    """Why `lines` do not bear a sentence, in words; '' where they do."""
    said = ITEM.sub("", MARK.sub(" ", sentence))
    lines = LINK.sub(r"\1", lines)
    held = BLANKS.sub(" ", folded(lines).casefold())
    for found in QUOTED.finditer(said):
        quoted = next(filter(None, found.groups()))
        if BLANKS.sub(" ", folded(quoted).casefold()).strip(" .,;:!?…") not in held:
            return f"the quoted words “{quoted}” do not stand in these lines"
    return _missing(words(said), words(lines))


def _missing(said: set[str], held: set[str]) -> str:
    numbers = {word for word in said if any(map(str.isdigit, word))}
    if gone := sorted(numbers - held):
        return f"{', '.join(gone)} does not stand in these lines"
    letters, known = said - numbers, {_stem(word) for word in held}
    if not letters or not (_scripts(letters) & _scripts(held)):
        return ""
    num_there = sum(_stem(word) in known for word in letters)
    if num_there >= SHARE * len(letters):
        return ""
    return f"{num_there} of the sentence's {len(letters)} words stand in these lines"


def _lines(citation: Citation, passage: Passage) -> str:
    lines = passage.text.split("\n")
    if citation.first_line is None or citation.last_line is None:
        return passage.text
    at = passage.first_line
    return "\n".join(lines[citation.first_line - at : citation.last_line - at + 1])


def _stem(word: str) -> str:
    return word if any(map(str.isdigit, word)) else word[:STEM]


def _scripts(texts: Iterable[str]) -> set[str]:
    """Which alphabets words are written in: the first word of a letter's name in Unicode."""
    return {
        unicodedata.name(letter, "?").partition(" ")[0]
        for text in texts
        for letter in text
        if letter.isalpha()
    }
