"""What the cases of instructions are about: towns, Python's help texts, and passages of both."""

from __future__ import annotations

import json
import re
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gptoss_magic.records import Passage
from tools.stand_in.cases import WORLD

if TYPE_CHECKING:
    import random

VOICES = json.loads((Path(__file__).parent / "voices.json").read_text())
DEFINING = re.compile(
    r"(?:(?<=\n\n)|(?<=\. )|(?<=\.\n))((?:The|A|An) [^.\n:;]*?(?:\n[^.\n:;]+?)?) "
    r"(is|are|returns|raises|yields|has|allows|specifies|creates) "
    r"([^.\n:;]*(?:\n[^.\n:;]+)?)\.(?=\s)"
)
HELD_TOPICS = 6  # one topic of so many is kept for the held-out cases


class Claim(NamedTuple):
    """A statement, what it answers, and the answer in words; `about` is the thing it is about."""

    statement: str
    question: str
    answer: str
    wanted: str
    about: str


def drawn(draw: random.Random, *, held: bool) -> tuple[list[Claim], list[Passage]]:
    """What one to three documents claim, and passages of them."""
    if draw.random() < 0.35:
        return _topics(draw, held=held)
    claims: list[Claim] = []
    documents = []
    for thing in dict.fromkeys(thing_of_town(draw) for _ in range(draw.randint(1, 3))):
        stated = town_claims(draw, thing, draw.randint(2, 4))
        lines = [claim.statement for claim in stated]
        fillers = draw.sample(VOICES["fillers"], draw.randint(0, 2))
        for filler in fillers:
            lines.insert(draw.randint(0, len(lines)), filler)
        name = thing.removeprefix("the ")
        head = [f"# {name[0].upper()}{name[1:]}", ""]
        documents.append((thing, head + lines))
        claims += stated
    return claims, numbered(draw, documents)


def town_claims(draw: random.Random, thing: str, number: int) -> list[Claim]:
    """Claims about `thing`, each of another kind."""
    name, year, size = person(draw), draw.randint(1700, 2020), draw.randint(12, 900)
    price, street = draw.randint(2, 40), draw.choice(VOICES["streets"])
    day, seats = draw.choice(VOICES["days"]), draw.randint(3, 90)
    said = [
        (f"was opened in {year}.", f"When was {thing} opened?", f"was opened in {year}", year),
        (f"is {size} metres tall.", f"How tall is {thing}?", f"is {size} metres tall", size),
        (
            f"is open every day except {day}.",
            f"On which day is {thing} closed?",
            f"is closed on {day}",
            day,
        ),
        (f"was built by {name}.", f"Who built {thing}?", f"was built by {name}", name),
        (f"stands in {street}.", f"Where is {thing}?", f"stands in {street}", street),
        (f"has {seats} rooms.", f"How many rooms has {thing}?", f"has {seats} rooms", seats),
        (f"belongs to {name}.", f"Who owns {thing}?", f"belongs to {name}", name),
    ]
    upper = f"{thing[0].upper()}{thing[1:]}"
    claims = [Claim(f"{upper} {a}", b, f"{upper} {c}", str(d), thing) for a, b, c, d in said]
    ticket = f"A ticket for {thing} costs {price} euros"
    claims.append(
        Claim(f"{ticket}.", f"How much is a ticket for {thing}?", ticket, str(price), thing)
    )
    return draw.sample(claims, min(number, len(claims)))


def _topics(draw: random.Random, *, held: bool) -> tuple[list[Claim], list[Passage]]:
    """Pieces of Python's help texts, with the sentences in them that define something."""
    found = draw.sample(_defining(held), draw.choice((1, 1, 2, 2, 3)))
    documents: list[tuple[str, list[str]]] = []
    claims: list[Claim] = []
    for topic, claim, lines in found:
        claims.append(claim)
        documents.append((f"{topic}.txt", list(lines)))
    return claims, numbered(draw, documents)


@cache
def _defining(held: bool) -> list[tuple[str, Claim, tuple[str, ...]]]:
    """(topic, claim, the lines around it) of the topics that are, or are not, held out."""
    from pydoc_data.topics import topics

    found = []
    for topic, text in sorted(topics.items()):
        if (zlib.crc32(topic.encode()) % HELD_TOPICS == 0) is not held:
            continue
        lines = text.split("\n")
        for match in DEFINING.finditer(text):
            statement = " ".join(match[0].split())
            subject = " ".join(match[1].split())
            if not 30 < len(statement) < 150 or len(subject.split()) > 7:
                continue
            first = text.count("\n", 0, match.start())
            last = text.count("\n", 0, match.end())
            around = tuple(lines[max(0, first - 2) : last + 3])
            wanted = " ".join(match[3].split())[:40]
            claim = Claim(statement, _question(subject, match[2]), statement[:-1], wanted, subject)
            found.append((topic, claim, around))
    return found


def _question(subject: str, verb: str) -> str:
    lower = subject[0].lower() + subject[1:]
    if verb in ("is", "are"):
        return f"What {verb} {lower}?"
    plain = {"has": "have", "raises": "raise"}.get(verb, verb.removesuffix("s"))
    return f"What does {lower} {plain}?"


def numbered(draw: random.Random, documents: list[tuple[str, list[str]]]) -> list[Passage]:
    """Documents in any order as passages that begin somewhere in their files."""
    passages = []
    for number, (name, lines) in enumerate(draw.sample(documents, len(documents)), 1):
        first = 1 if lines[0].startswith("#") else draw.randint(1, 300)
        folders = draw.sample(VOICES["folders"], draw.randint(0, 2))
        file = "/".join([*folders, name if "." in name else name.split()[-1] + ".md"])
        heading = lines[0].removeprefix("# ") if lines[0].startswith("#") else ""
        text, last = "\n".join(lines), first + len(lines) - 1
        passages.append(Passage(number, "made", file, heading, first, last, text))
    return passages


def place(passages: list[Passage], statement: str) -> Passage:
    """The passage in which the statement stands."""
    words = re.sub(r"(?:\\ |\s)+", r"\\s+", re.escape(statement))
    return next(passage for passage in passages if re.search(words, passage.text))


def relation(draw: random.Random) -> tuple[str, str, str, str]:
    """(the user's statement, the same said to the user, a question, what its answer holds)."""
    kin, name, town = draw.choice(VOICES["kin"]), person(draw).split()[0], draw.choice(_towns())
    thing, colour = draw.choice(VOICES["things"]), draw.choice(VOICES["colours"])
    job, date = draw.choice(VOICES["jobs"]), draw.choice(VOICES["days"])
    forms = [
        (f"{kin} {name} lives in {town}.", f"In which town does my {kin} {name} live?", town),
        (f"{kin} {name} works as a {job}.", f"What does my {kin} {name} work as?", job),
        (f"{thing} is {colour}.", f"What colour is my {thing}?", colour),
        (f"{thing} was bought on a {date[:-1]}.", f"When was my {thing} bought?", date[:-1]),
    ]
    said, question, wanted = draw.choice(forms)
    return f"My {said}", f"your {said}", question, wanted


def _towns() -> list[str]:
    return [*WORLD["capitals"].values(), *WORLD["places"]]


def person(draw: random.Random) -> str:
    return f"{draw.choice(VOICES['first'])} {draw.choice(VOICES['last'])}"


def thing_of_town(draw: random.Random) -> str:
    place = draw.choice([*WORLD["places"], *VOICES["places"]])
    return f"the {place} {draw.choice([*WORLD['objects'], *VOICES['objects']])}"
