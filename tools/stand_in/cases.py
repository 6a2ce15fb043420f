"""Synthetic conversations in harmony, seeded: what the stand-in is trained on and measured with.

Training and `held_out` draw from the same templates with other seeds, so a score on held-out
cases says how well the templates were learnt, not how the model fares on free text.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptoss_magic.harmony import SystemSettings, developer_message, system_message
from gptoss_magic.records import Message, ToolSpec

EFFORTS = ("low", "medium", "high")
DATA = Path(__file__).parent
WORLD = json.loads((DATA / "world.json").read_text())
GENERAL = json.loads((DATA / "general.json").read_text())
HELD_GENERAL = ("What is a rainbow?", "What is a planet?")


@dataclass(frozen=True)
class Case:
    """One question with the analysis and the answer, or the call, that is wanted.

    `wanted` and all of `also` are to stand in the answer. `system`: the developer's instructions.
    `after`: what has been said since the question.
    """

    kind: str
    effort: str
    question: str
    analysis: str
    final: str = ""
    wanted: str | None = None
    call: tuple[str, dict[str, Any]] | None = None
    tools: tuple[str, ...] = ()
    system: str = ""
    also: tuple[str, ...] = ()
    after: tuple[Message, ...] = ()

    def prompt(self, date: str = "2025-08-05") -> list[Message]:
        """System, developer (where it has something to say) and user message, and `after`."""
        settings = SystemSettings(effort=self.effort, current_date=date, has_tools=bool(self.tools))
        opening = [system_message(settings)]
        if self.tools or self.system:
            opening.append(developer_message(self.system, [tool(name) for name in self.tools]))
        return [*opening, Message("user", self.question), *self.after]

    def completion(self) -> list[Message]:
        """What the assistant is trained to say."""
        thought = Message("assistant", self.analysis, "analysis")
        if self.call is None:
            return [thought, Message("assistant", self.final, "final")]
        name, arguments = self.call
        raw = json.dumps(arguments, ensure_ascii=False)
        kind = "<|constrain|>json"
        called = Message("assistant", raw, "commentary", f"functions.{name}", kind)
        return [thought, called]


def tool(name: str) -> ToolSpec:
    """A tool of the templates, as the model sees it."""
    about, fields = WORLD["tools"][name]["about"], WORLD["tools"][name]["fields"]
    properties = {key: {"type": kind} for key, kind in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    return ToolSpec(name, about, schema)


def arithmetic(draw: random.Random, effort: str) -> Case:
    first, second = draw.randint(10, 60), draw.randint(2, 39)
    sign = draw.choice("+-×")
    if sign == "×":
        first, second = draw.randint(2, 12), draw.randint(2, 12)
    first, second = max(first, second), min(first, second)
    value = {"+": first + second, "-": first - second, "×": first * second}[sign]
    word = {"+": "plus", "-": "minus", "×": "times"}[sign]
    sum_text = f"{first} {sign} {second} = {value}."
    analysis = {
        "low": sum_text,
        "medium": f"We need {first} {sign} {second}. {sum_text}",
        "high": f"We need {first} {sign} {second}. I work it out: {sum_text} "
        f"So the answer is {value}.",
    }
    question = draw.choice(
        [f"What is {first} {word} {second}?", f"Compute {first} {sign} {second}."]
    )
    return Case("arithmetic", effort, question, analysis[effort], sum_text, str(value))


def context(draw: random.Random, effort: str) -> Case:
    places = draw.sample(WORLD["places"], 3)
    passages = [_passage(draw, place, draw.choice(WORLD["objects"])) for place in places]
    number = draw.randrange(3)
    statement, question, answer, wanted = passages[number]
    listed = "\n".join(f"[{i}] {p[0]}" for i, p in enumerate(passages, 1))
    analysis = {
        "low": f"See [{number + 1}].",
        "medium": f"Passage [{number + 1}] says: {statement}",
        "high": (
            f"I look for the passage about this. Passage [{number + 1}] says: {statement} "
            f"The other passages are about other things. I answer from [{number + 1}]."
        ),
    }
    text = f"Context:\n{listed}\n\nUsing only the context, answer: {question}"
    return Case("context", effort, text, analysis[effort], f"{answer} [{number + 1}].", wanted)


def _passage(draw: random.Random, place: str, thing: str) -> tuple[str, str, str, str]:
    """(statement, question, answer, what the answer must hold)."""
    name, kind = f"The {place} {thing}", draw.choice(["year", "height", "day", "price"])
    year, size, price = draw.randint(1850, 2020), draw.randint(40, 900), draw.randint(2, 40)
    day = draw.choice(["Mondays", "Tuesdays", "Fridays", "Sundays"])
    lower = f"the {place} {thing}"
    return {
        "year": (
            f"{name} was opened in {year}.",
            f"When was {lower} opened?",
            f"{name} was opened in {year}",
            str(year),
        ),
        "height": (
            f"{name} is {size} metres tall.",
            f"How tall is {lower}?",
            f"{name} is {size} metres tall",
            str(size),
        ),
        "day": (
            f"{name} is open every day except {day}.",
            f"On which day is {lower} closed?",
            f"{name} is closed on {day}",
            day,
        ),
        "price": (
            f"A ticket for {lower} costs {price} euros.",
            f"How much is a ticket for {lower}?",
            f"A ticket for {lower} costs {price} euros",
            str(price),
        ),
    }[kind]


def fact(draw: random.Random, effort: str) -> Case:
    country, capital = draw.choice(sorted(WORLD["capitals"].items()))
    final = f"The capital of {country} is {capital}."
    analysis = {
        "low": f"{capital}.",
        "medium": final,
        "high": f"The user asks for the capital of {country}. A capital is the seat of government. "
        + final,
    }
    question = draw.choice(["What is the capital of {}?", "Name the capital of {}."])
    return Case("fact", effort, question.format(country), analysis[effort], final, capital)


def general(draw: random.Random, effort: str) -> Case:
    question, answer = draw.choice(GENERAL)
    analysis = {
        "low": "Simple question.",
        "medium": f"The user asks: {question} I should give a short and clear answer.",
        "high": f"The user asks: {question} First I recall what I know about it. Then I choose the "
        "most important facts. Finally I write a clear and short answer in simple words.",
    }
    return Case("general", effort, question, analysis[effort], answer)


def rewriting(draw: random.Random, effort: str) -> Case:
    kind = draw.choice(["polite", "past", "capitals"])
    source, target = draw.choice(WORLD["rewrites"]["past" if kind == "past" else "polite"])
    if kind == "capitals":
        target = source.upper()
    asks = {
        "polite": ("Rewrite this sentence politely:", "make it polite with 'Could you please'"),
        "past": ("Rewrite in the past tense:", "change the verb to the past tense"),
        "capitals": ("Write this in capital letters:", "write every letter as a capital"),
    }
    ask, how = asks[kind]
    analysis = {
        "low": "Rewrite it.",
        "medium": f"I should {how}.",
        "high": f"The sentence is: {source} I should {how}. I keep the meaning and give only the "
        "result.",
    }
    return Case("rewriting", effort, f"{ask} {source}", analysis[effort], target, target)


def calling(draw: random.Random, effort: str) -> Case:
    name, other = draw.sample(sorted(WORLD["tools"]), 2)
    shown = draw.choice([(name,), (name, other), (other, name)])
    asked = draw.choice(WORLD["tools"][name]["asks"])
    values = {key: _value(draw, key, kind) for key, kind in WORLD["tools"][name]["fields"].items()}
    question = asked.format(**values)
    analysis = {
        "low": f"Use {name}.",
        "medium": f"The user wants this: {question} I should call {name}.",
        "high": f"The user wants this: {question} There is a tool for it: {name}. I need the "
        f"arguments {' and '.join(values)}. I call the tool now.",
    }
    return Case("tool", effort, question, analysis[effort], call=(name, values), tools=shown)


def _value(draw: random.Random, key: str, kind: str) -> Any:
    return draw.randint(2, 99) if kind == "number" else draw.choice(WORLD["values"][key])


def held_out(seed: int = 777) -> list[Case]:
    """60 cases: 15 context, 12 tool, 9 each of arithmetic, fact and rewriting, 6 general."""
    draw = random.Random(seed)
    counts = {arithmetic: 3, context: 5, fact: 3, rewriting: 3, calling: 4}
    cases = [
        template(draw, effort)
        for effort in EFFORTS
        for template, count in counts.items()
        for _ in range(count)
    ]
    asked = [Case("general", effort, q, "") for effort in EFFORTS for q in HELD_GENERAL]
    return cases + asked
