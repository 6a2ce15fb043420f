"""Small handbooks: a file a thing, whose lines say "it" of it, and questions that inflect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gptoss_magic.retrieval import cite
from tools.stand_in import sources
from tools.stand_in.cases import Case
from tools.stand_in.sources import VOICES

if TYPE_CHECKING:
    import random


class Line(NamedTuple):
    """A line of a handbook, and what asks for it; `{}` stands for the thing."""

    says: str
    questions: tuple[str, ...]
    wanted: str

    def answer(self, thing: str) -> str:
        """As a sentence that names the thing, without its stop."""
        whole = self.says.replace("A ticket", "A ticket for {}").removesuffix(".")
        return whole.format(thing if whole.startswith("A ticket") else capital(thing))


def lines_of(draw: random.Random) -> list[Line]:
    """One of each kind, in any order."""
    year, size, price = draw.randint(1700, 2020), draw.randint(12, 900), draw.randint(2, 40)
    day, street = draw.choice(VOICES["days"]), draw.choice(VOICES["streets"])
    builder, owner, rooms = sources.person(draw), sources.person(draw), draw.randint(3, 90)
    opened = ("When was {} opened?", "When did {} open?", "In which year was {} opened?")
    closed = ("On which day is {} closed?", "When is {} closed?", "Which day does {} stay closed?")
    ticket = ("How much is a ticket for {}?", "What does a ticket for {} cost?")
    made = [
        Line(f"{{}} was opened in {year}.", opened, str(year)),
        Line(f"{{}} is open every day except {day}.", closed, day),
        Line(f"A ticket costs {price} euros.", ticket, str(price)),
        Line(f"{{}} is {size} metres tall.", ("How tall is {}?", "How high is {}?"), str(size)),
        Line(f"{{}} was built by {builder}.", ("Who built {}?", "By whom was {} built?"), builder),
        Line(f"{{}} stands in {street}.", ("Where is {}?", "Where does {} stand?"), street),
        Line(f"{{}} belongs to {owner}.", ("Who owns {}?", "To whom does {} belong?"), owner),
        Line(f"{{}} has {rooms} rooms.", ("How many rooms has {}?",), str(rooms)),
    ]
    return draw.sample(made, len(made))


def handbook(draw: random.Random, effort: str) -> Case:
    """One or two files, and a question that a line of one answers."""
    things = list(dict.fromkeys(sources.thing_of_town(draw) for _ in range(draw.randint(1, 2))))
    lines = {thing: lines_of(draw)[: draw.randint(2, 4)] for thing in things}
    written = {thing: _written(thing, lines[thing]) for thing in things}
    thing = draw.choice(things)
    place = draw.randrange(len(lines[thing]))
    line, says = lines[thing][place], written[thing][place]
    documents = [(t, [f"# {_heading(t)}", "", *text]) for t, text in written.items()]
    passages = sources.numbered(draw, documents)
    number = next(p.number for p in passages if p.heading == _heading(thing))
    question, mark = draw.choice(line.questions).format(thing), f"【{number}】"
    analysis = {
        "low": f"Nearest: {says} It answers, [{number}].",
        "medium": f"Nearest line: {says} It answers the question. It is in [{number}].",
        "high": f"I look for the nearest line. Nearest line: {says} It answers the question: "
        f"{question} It is in [{number}], so I cite [{number}].",
    }
    system, text = cite.grounded(None, passages, question)
    final = f"{line.answer(thing)} {mark}."
    return Case(
        *("handbook", effort, text, analysis[effort], final, line.wanted),
        system=system or "",
        also=(mark,),
    )


def _written(thing: str, lines: list[Line]) -> list[str]:
    """The lines as a file has them: the first names the thing."""
    return [line.says.format("It" if place else capital(thing)) for place, line in enumerate(lines)]


def _heading(thing: str) -> str:
    return capital(thing.removeprefix("the "))


def capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
