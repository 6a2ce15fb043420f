"""Dialogues that a seed draws: what a user says of people over months, and what is asked of it.

Each has the facts as they are said, with whom they are of and when, and a question of one of six
kinds whose answer is known: a plain look-up, one that an update made old, one that was taken back,
the state on a day, two facts one after the other, and what nobody said.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = (
    *("Clara", "Dora", "Emil", "Ferdinand", "Gustav", "Hanna", "Ines", "Jonas", "Karla", "Lena"),
    *("Mats", "Nora", "Otto", "Paula", "Quentin", "Rosa", "Selma", "Theo", "Ursula", "Viktor"),
    *("Wanda", "Xaver", "Yara", "Zeno", "Alma", "Bruno", "Cosima", "Dario", "Elsa", "Fritz"),
)
PLACES = (
    *("Lyon", "Bergen", "Porto", "Gdansk", "Malmo", "Ghent", "Trieste", "Graz", "Cork", "Aarhus"),
    *("Vilnius", "Split", "Turku", "Bilbao", "Bremen", "Leiden", "Parma", "Tartu", "Brno", "Cadiz"),
)
JOBS = (
    *("gardener", "nurse", "carpenter", "pilot", "baker", "judge", "welder", "librarian"),
    *("surgeon", "plumber", "florist", "beekeeper", "translator", "miner", "tailor"),
)
FOODS = (
    *("plums", "lentils", "oysters", "figs", "leeks", "quinces", "mussels", "walnuts"),
    *("turnips", "apricots"),
)
PETS = ("tortoise", "parrot", "ferret", "spaniel", "goat", "hedgehog", "canary", "rabbit")


@dataclass(frozen=True)
class Attribute:
    """How something is said of {who}, in several ways, and asked; `values` are what it may be."""

    name: str
    values: tuple[str, ...]
    said: tuple[str, ...]
    asked: tuple[str, ...]
    asked_then: str = ""


ATTRIBUTES = (
    Attribute(
        "home",
        PLACES,
        ("{who} lives in {what}.", "{who}'s flat is in {what} now.", "{who} moved to {what}."),
        ("Where does {who} live?", "Which town is {who}'s home?"),
        "Where did {who} live on {day}?",
    ),
    Attribute(
        "job",
        JOBS,
        (
            "{who} works as a {what}.",
            "{who} found work as a {what}.",
            "{who} is a {what} by trade.",
        ),
        ("What work does {who} do?", "What does {who} work as?"),
        "What work did {who} do on {day}?",
    ),
    Attribute(
        "favourite food",
        FOODS,
        ("{who}'s favourite food is {what}.", "There is no food {who} likes better than {what}."),
        ("What food does {who} like best?", "What is {who}'s favourite food?"),
        "What was {who}'s favourite food on {day}?",
    ),
    Attribute(
        "pet",
        PETS,
        ("{who} keeps a {what} as a pet.", "{who}'s pet is a {what}."),
        ("What pet does {who} have?", "Which pet does {who} keep?"),
        "What pet did {who} have on {day}?",
    ),
)
LINKS = ("sister", "neighbour", "landlord", "teacher", "cousin")
CHATTER = (
    "The weather is odd this week, rain again.",
    "I slept badly and need more coffee.",
    "Can you help me with a table for the report?",
    "That worked, thank you.",
    "Let us go on with the chapter on rivers.",
    "Remind me how a median is computed.",
)
NEVER = (
    "What is {who}'s shoe size?",
    "When is {who}'s birthday?",
    "Which instrument does {who} play?",
    "What colour is {who}'s car?",
)


@dataclass(frozen=True)
class Said:
    """One message: its day, its words, and what it holds; `subject` of '' is chatter.

    `is_over`: it takes the attribute back.
    """

    day: str
    text: str
    subject: str = ""
    attribute: str = ""
    is_over: bool = False


@dataclass(frozen=True)
class Question:
    """`needed`: texts that must stand in the prompt; `wrong`: texts that would mislead there."""

    kind: str
    text: str
    needed: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dialogue:
    """Messages by day, and one question."""

    said: list[Said]
    question: Question


class Months:
    """Messages of some months as they are drawn; `facts`: those of each (name, attribute)."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.said = rng, list[Said]()
        self.people = rng.sample(NAMES, 7)  # nobody speaks of the last one
        self.day = date(2025, rng.randint(1, 6), rng.randint(1, 28))
        self.facts: dict[tuple[str, str], list[Said]] = {}
        for who in self.people[:6]:
            for about in rng.sample(ATTRIBUTES, 3):
                self.state(who, about)

    def say(self, who: str, attribute: str, text: str, *, is_over: bool = False) -> Said:
        """A message some days later, now and then with chatter behind it."""
        self.day += timedelta(days=self.rng.randint(1, 9))
        self.said.append(Said(self.day.isoformat(), text, who, attribute, is_over))
        said = self.said[-1]
        if self.rng.random() < 0.4:
            self.said.append(Said(said.day, self.rng.choice(CHATTER)))
        return said

    def state(self, who: str, about: Attribute) -> None:
        """Another value of the attribute than any before."""
        held = self.facts.setdefault((who, about.name), [])
        before = " ".join(one.text for one in held)
        what = self.rng.choice([value for value in about.values if value not in before])
        text = self.rng.choice(about.said).format(who=who, what=what)
        held.append(self.say(who, about.name, text))

    def any_fact(self) -> tuple[str, Attribute, list[Said]]:
        (who, name), held = self.rng.choice(list(self.facts.items()))
        return who, next(one for one in ATTRIBUTES if one.name == name), held


def dialogues(num: int, seed: int) -> list[Dialogue]:
    """`num` dialogues, the kinds of question in turn."""
    rng, found = random.Random(seed), []
    for number in range(num):
        months, kind = Months(rng), KINDS[number % len(KINDS)]
        question = ASK[kind](months)
        found.append(Dialogue(months.said, question))
    return found


def _look_up(months: Months) -> Question:
    who, about, held = months.any_fact()
    return Question("look-up", months.rng.choice(about.asked).format(who=who), (held[0].text,))


def _update(months: Months) -> Question:
    who, about, held = months.any_fact()
    for _ in range(months.rng.randint(1, 2)):
        months.state(who, about)
    *old, now = (one.text for one in held)
    asked = months.rng.choice(about.asked).format(who=who)
    return Question("update", asked, (now,), tuple(old))


def _taken_back(months: Months) -> Question:
    who, about, held = months.any_fact()
    text = f"Please forget what I said about {who}'s {about.name}."
    months.say(who, about.name, text, is_over=True)
    asked = months.rng.choice(about.asked).format(who=who)
    return Question("taken back", asked, (), (held[0].text,))


def _on_a_day(months: Months) -> Question:
    who, about, held = months.any_fact()
    for _ in range(2):
        months.state(who, about)
    place = months.rng.randrange(2)
    first, then = (date.fromisoformat(one.day) for one in held[place : place + 2])
    asked = about.asked_then.format(who=who, day=(first + (then - first) / 2).isoformat())
    others = tuple(one.text for one in held if one is not held[place])
    return Question("on a day", asked, (held[place].text,), others)


def _two_steps(months: Months) -> Question:
    other, about, held = months.any_fact()
    who = months.rng.choice([one for one in months.people[:6] if one != other])
    link = months.rng.choice(LINKS)
    text = f"{who}'s {link} is {other}."
    months.say(who, link, text)
    asked = months.rng.choice(about.asked).format(who=f"{who}'s {link}")
    return Question("two steps", asked, (text, held[0].text))


def _nobody_said(months: Months) -> Question:
    who, about, _ = months.any_fact()
    form = months.rng.choice(NEVER)
    if months.rng.random() < 0.5:
        who, form = months.people[6], months.rng.choice(about.asked)
    every = tuple(one.text for one in months.said)
    return Question("nobody said", form.format(who=who), (), every)


ASK: dict[str, Callable[[Months], Question]] = {
    "look-up": _look_up,
    "update": _update,
    "taken back": _taken_back,
    "on a day": _on_a_day,
    "two steps": _two_steps,
    "nobody said": _nobody_said,
}
KINDS = tuple(ASK)
