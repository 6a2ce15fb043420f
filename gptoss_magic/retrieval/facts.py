"""Facts of a memory: a newer one takes the place of an older one, and recall follows who is asked
about.

Vectors alone find what is worded like a question: the sentence that was true last year as well as
the one that is true now, and of somebody else as readily as of the one who is meant. Facts have a
subject and a time, so that recall can keep to who is named, go on from one to the next (the sister
of Clara, the home of that sister), tell what holds from what is over, and say nothing where nobody
knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gptoss_magic.retrieval.folding import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.retrieval.items import Item

    Score = Callable[[str, Sequence[str]], list[float]]

USER = "user"
FIRST_PERSON = re.compile(r"\b(?:I|me|my|mine|myself)\b", re.IGNORECASE)
PAST = re.compile(
    r"\b(?:before|previous(?:ly)?|former(?:ly)?|earlier|used to|was|were|did|had|once|until)\b",
    re.IGNORECASE,
)
DATE = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?\b")
NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][a-z]+\b")
CLOSE = (
    0.09  # cosine to a question, both without names, below which a named one's fact says nothing
)
ALIKE = 0.2  # the same where nobody is named: then all facts are looked at
NEXT = 0.5  # of the best one's cosine, below which a fact is not what is asked for
MOST_HOPS = 2


@dataclass(frozen=True)
class AskedAbout:
    """What a question is about. `subjects`: those that are named, as the memory calls them.

    `strangers`: it names somebody whom no fact knows. `day`: 'YYYY-MM-DD' that it asks for, or ''.
    `is_past`: it may ask for what is over.
    """

    text: str
    subjects: tuple[str, ...]
    strangers: bool
    day: str
    is_past: bool


def key(item: Item) -> tuple[str, str]:
    """What a fact is about, however it is spelt: its subject and its attribute."""
    return folded(item.subject).strip().casefold(), folded(item.attribute).strip().casefold()


def learned(held: Sequence[Item], new: Sequence[Item]) -> list[Item]:
    """What changes where `new` facts, oldest first, come to those that are `held`.

    An older one with the same subject and attribute is over from then on, and stays; one that says
    the same is kept once. A new fact without a text ends the older one alone.
    """
    now = {key(item): item for item in held if item.kind == "fact" and item.holds}
    changed: dict[str, Item] = {}
    for item in new:
        before = now.pop(key(item), None)
        if before is not None and before.text == item.text:
            now[key(item)] = before
            continue
        if before is not None:
            changed[before.id] = replace(before, until=item.time)
        if item.text:
            changed[item.id] = now[key(item)] = item
    return list(changed.values())


def asked_of(query: str, facts: Sequence[Item]) -> AskedAbout:
    """What `query` asks, by the subjects that the facts know."""
    names = {item.subject for item in facts}
    named = [name for name in sorted(names, key=len, reverse=True) if _stands_in(name, query)]
    if USER in names and FIRST_PERSON.search(query):
        named.append(USER)
    known = " ".join([*names, *(item.text for item in facts)]).casefold()
    strangers = [word for word in NAME.findall(query) if word.casefold() not in known]
    date = DATE.search(query)
    day = "-".join([date[1], date[2], date[3] or "31"]) if date else ""
    return AskedAbout(query, tuple(named), bool(strangers), day, bool(PAST.search(query)))


def recalled_facts(query: str, facts: Sequence[Item], score: Score, k: int) -> list[Item]:
    """Up to k facts that answer, each with its cosine and why it is there, best first.

    `score(query, texts)`: the cosine of each text. Of a subject that is named only what is like the
    question, and then what holds, or held on the day that is asked for; a fact that leads from one
    subject to another stands with the one it leads to. [] where nobody named is known.
    """
    asked = asked_of(query, facts)
    if asked.strangers and not asked.subjects:
        return []
    known = _on_the_day(facts, asked)
    reached = _reached(asked, known)
    pool = [item for item in known if item.subject in reached] if asked.subjects else list(known)
    if not pool:
        return []
    said = [f"{item.attribute} {_nameless(item.text, known)}" for item in pool]
    scores = score(_bare(query, known, reached), said)
    rated = [replace(item, score=one) for item, one in zip(pool, scores, strict=True)]
    rated.sort(key=lambda item: -item.score)
    least = max(CLOSE if asked.subjects else ALIKE, NEXT * rated[0].score)
    chosen: dict[str, Item] = {}
    for item in (item for item in rated if item.score >= least):
        way = reached.get(item.subject, ())
        for link in (*way, replace(item, why=_why(item, way, asked))):
            chosen.setdefault(link.id, link)
    return list(chosen.values())[:k]


def _on_the_day(facts: Sequence[Item], asked: AskedAbout) -> list[Item]:
    """Facts that held on the day; without one what holds, or all where the past is asked for."""
    if asked.day:
        return [
            item
            for item in facts
            if item.time[:10] <= asked.day and not (item.until and item.until[:10] <= asked.day)
        ]
    return [item for item in facts if item.holds or asked.is_past]


def _reached(asked: AskedAbout, facts: Sequence[Item]) -> Mapping[str, tuple[Item, ...]]:
    """Subjects that the question leads to, each with the facts that lead there."""
    reached: dict[str, tuple[Item, ...]] = dict.fromkeys(asked.subjects, ())
    names = {item.subject for item in facts}
    for _ in range(MOST_HOPS):
        for item in facts:
            if item.subject not in reached or not _is_meant(item, asked.text):
                continue
            for name in names - set(reached):
                if _stands_in(name, item.text):
                    link = replace(item, why=f"leads from {item.subject} to {name}")
                    reached[name] = (*reached[item.subject], link)
    return reached


def _is_meant(item: Item, query: str) -> bool:
    """Whether the question says what the fact is of: the sister of a question about a sister."""
    words = re.findall(r"\w+", folded(item.attribute).casefold())
    return any(_stands_in(word, query) for word in words)


def _why(item: Item, way: Sequence[Item], asked: AskedAbout) -> str:
    over = f", held until {item.until[:10]}" if item.until else ""
    if way:
        return f"of {item.subject}, whom another fact leads to{over}"
    return (
        f"of {item.subject}{over}" if item.subject in asked.subjects else f"like the question{over}"
    )


def _stands_in(name: str, text: str) -> bool:
    """Whether the name is a word of the text, or several, whatever the case."""
    found = rf"(?<!\w){re.escape(folded(name).casefold())}(?!\w)"
    return bool(name.strip()) and re.search(found, folded(text).casefold()) is not None


def _bare(query: str, facts: Sequence[Item], reached: Mapping[str, tuple[Item, ...]]) -> str:
    """What is asked: without names, the day, and what leads from one subject to another."""
    links = {item.attribute for way in reached.values() for item in way}
    text = DATE.sub(" ", _nameless(query, facts))
    for link in links:
        text = re.sub(rf"(?<!\w){re.escape(link)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split()) or query


def _nameless(text: str, facts: Sequence[Item]) -> str:
    """The text without the subjects' names: what is said, not of whom."""
    names = sorted({item.subject for item in facts if item.subject.strip()}, key=len, reverse=True)
    if not names:
        return text
    pattern = "|".join(re.escape(name) for name in names)
    bare = re.sub(rf"(?<!\w)(?:{pattern})(?:'s)?(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(bare.split()) or text
