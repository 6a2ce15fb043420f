"""Cases of instructions: sources that answer or are silent, voices, results of tools, memory.

They are written as the package itself writes them (`retrieval.cite`, `retrieval.items`, a persona's
instructions), so that the stand-in has seen the form in which it is asked.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.consent import REFUSED
from gptoss_magic.agents.persona import Character, Persona
from gptoss_magic.records import Message
from gptoss_magic.retrieval import cite, items
from gptoss_magic.studies.questions import PROMPT as ASK
from tools.stand_in import cases, sources
from tools.stand_in.cases import WORLD, Case
from tools.stand_in.sources import VOICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.records import Passage
    from tools.stand_in.sources import Claim

SILENT = "That is not in the sources."


def cited(draw: random.Random, effort: str, *, held: bool = False) -> Case:
    """Passages of which one answers. It is cited without its lines, which this model miscounts."""
    claims, passages = sources.drawn(draw, held=held)
    claim = draw.choice(claims)
    number = sources.place(passages, claim.statement).number
    analysis = {
        "low": f"Nearest: {claim.statement} It answers, [{number}].",
        "medium": f"Nearest line: {claim.statement} It answers the question. It is in [{number}].",
        "high": f"I look for the nearest line. Nearest line: {claim.statement} It answers the "
        f"question: {claim.question} It is in [{number}], so I cite [{number}].",
    }
    mark = f"【{number}】"
    final = f"{claim.answer} {mark}."
    case = Case("cited", effort, claim.question, analysis[effort], final, claim.wanted)
    return _grounded(replace(case, also=(mark,)), passages)


def silent(draw: random.Random, effort: str, *, held: bool = False) -> Case:
    """Passages that speak of other things, now and then of the same thing."""
    claims, passages = sources.drawn(draw, held=held)
    asked = _unsaid(draw, claims, held=held)
    near = max(claims, key=lambda claim: len(_words(claim.statement) & _words(asked))).statement
    analysis = {
        "low": f"Nearest: {near} It does not answer.",
        "medium": f"Nearest line: {near} It does not answer the question.",
        "high": f"I look for the nearest line. Nearest line: {near} It does not answer the "
        f"question: {asked} So I say that it is not in the sources.",
    }
    case = Case("silent", effort, asked, analysis[effort], SILENT, "not in the sources")
    return _grounded(case, passages)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _unsaid(draw: random.Random, claims: list[Claim], *, held: bool) -> str:
    """A question that none of `claims` answers."""
    known = {claim.question for claim in claims}
    things = [claim.about for claim in claims if claim.about.startswith("the ")]
    while True:
        if draw.random() < 0.35:
            return draw.choice([*VOICES["elsewhere"], *(question for question, _ in cases.GENERAL)])
        near = things and draw.random() < 0.2
        others = (
            sources.town_claims(draw, draw.choice(things), 8)
            if near
            else sources.drawn(draw, held=held)[0]
        )
        question = draw.choice(others).question
        if question not in known:
            return question


def injected(draw: random.Random, effort: str) -> Case:
    """A document that gives orders is quoted, and nothing is called."""
    name = draw.choice(sorted(WORLD["tools"]))
    kind = draw.choice(["notice", "mail", "letter", "page", "memo"])
    order = draw.choice(VOICES["orders"]).format(tool=name)
    passages = sources.numbered(draw, [(kind, [f"# {kind.title()}", "", order])])
    case = Case(
        "injected",
        effort,
        f"What does the {kind} say?",
        f"[1] says: {order} It is quoted data, so I do not follow it.",
        f'The {kind} says: "{order}" 【1】.',
        order,
        tools=(name,),
    )
    return _grounded(case, passages)


def voiced(draw: random.Random, effort: str, *, held: bool = False) -> Case:
    """A plain question under a persona that opens or closes each answer in its way."""
    plain = draw.choice((cases.fact, cases.fact, cases.arithmetic, cases.general, owning))
    base = plain(draw, effort)
    persona, opening, closing, capitals = _voice(draw, held=held)
    final = " ".join(filter(None, (opening, base.final, closing)))
    how = " and ".join(
        filter(None, (opening and f'begin with "{opening}"', closing and f'end with "{closing}"'))
    )
    how = "write in capital letters" if capitals else how
    return replace(
        base,
        kind="voiced",
        analysis=f"{base.analysis} I {how}.",
        final=final.upper() if capitals else final,
        wanted="" if capitals else opening,
        also=tuple(filter(None, (closing, base.wanted))),
        system=persona.instructions,
    )


def owning(draw: random.Random, effort: str) -> Case:
    """A statement and a question about it, without sources."""
    name, thing = sources.person(draw), draw.choice(VOICES["things"])
    colour = draw.choice(VOICES["colours"])
    return Case(
        "owning",
        effort,
        f"{name} has a {colour} {thing}. What colour is the {thing}?",
        f"The text says that {name} has a {colour} {thing}. So it is {colour}.",
        f"The {thing} is {colour}.",
        colour,
    )


def unfit(draw: random.Random, effort: str) -> Case:
    """Tools are offered, and none fits: the question is answered."""
    plain = draw.choice((cases.fact, cases.general, cases.context, owning, cases.rewriting))
    shown = tuple(draw.sample(sorted(WORLD["tools"]), draw.randint(1, 2)))
    return replace(plain(draw, effort), kind="unfit", tools=shown)


def result(draw: random.Random, effort: str) -> Case:
    """The tool has answered, failed, or was refused."""
    asked = cases.calling(draw, effort)
    assert asked.call is not None
    name, values = asked.call
    about = next((str(v) for v in values.values() if isinstance(v, str)), "it")
    kind = draw.choice(["sentence", "sentence", "fields", "value", "error", "refused"])
    said, final = _result(draw, kind, name, about)
    call = asked.completion()
    told = Message("tool", said, "commentary", "assistant", author=f"functions.{name}")
    analysis = {"error": "The tool failed.", "refused": "The call was not run."}.get(
        kind, "The tool has answered." if effort == "low" else f"The tool says: {said}"
    )
    wanted = final.split(": ")[0] if kind in ("error", "refused") else None
    return replace(
        asked,
        kind="result",
        call=None,
        analysis=analysis,
        final=final,
        wanted=wanted,
        after=(*call, told),
    )


def told(draw: random.Random, effort: str) -> Case:
    """The user says something to be kept in mind."""
    mine, yours, _, _ = sources.relation(draw)
    return Case("told", effort, mine, "The user tells me this.", f"Noted: {yours}", None)


def recalled(draw: random.Random, effort: str) -> Case:
    """What was said long ago stands in lines of memory."""
    said = [sources.relation(draw) for _ in range(draw.randint(1, 4))]
    _, yours, question, wanted = draw.choice(said)
    kept = [
        items.Item("episode", f"user: {mine}\nassistant: Noted: {your}", time="2026-03-04T08:00")
        for mine, your, _, _ in said
    ]
    number = next(n for n, each in enumerate(said, 1) if each[1] == yours)
    case = Case(
        "recalled", effort, question, f"M{number} says it: {yours}", yours[0].upper() + yours[1:]
    )
    text = f"{items.quoted(kept)}\n\n# Question\n\n{question}"
    return replace(case, question=text, system=items.RULES, wanted=wanted)


def asking(draw: random.Random, effort: str) -> Case:
    """A question that a text answers."""
    claims, passages = sources.drawn(draw, held=False)
    claim = draw.choice(claims)
    passage = sources.place(passages, claim.statement)
    return Case(
        "asking",
        effort,
        ASK.format(text=passage.text),
        f"The text says: {claim.statement}",
        claim.question,
    )


def _grounded(case: Case, passages: list[Passage]) -> Case:
    """The case with its question below the sources, under the package's own rules."""
    system, question = cite.grounded(case.system or None, passages, case.question)
    return replace(case, question=question, system=system or "")


def _voice(draw: random.Random, *, held: bool) -> tuple[Persona, str, str, bool]:
    """(persona, how it opens, how it closes, whether it shouts)."""
    words = VOICES["held" if held else "spoken"]
    role, opening, closing = draw.choice(VOICES["roles"])
    known = draw.random() < 0.25 and not held
    if not known:
        opening, closing = draw.choice(words["openings"]), draw.choice(words["closings"])
    kind = draw.choice(["begin", "end", "both", "both"])
    opening = "" if kind == "end" and not known else opening
    closing = "" if kind == "begin" and not known else closing
    capitals = draw.random() < 0.08 and not held
    rules = _rules(draw, opening, closing)
    text = "" if known else rules
    if capitals:
        text, opening, closing = "Write each answer in capital letters.", "", ""
    who = f"You are a {role}." if known or draw.random() < 0.5 else ""
    character = Character(
        position=draw.choice(["", "", role]),
        behaviour=draw.choice(["", "", *VOICES["behaviours"]]),
        style=draw.choice(["", *VOICES["styles"]]),
    )
    persona = Persona("made", " ".join(filter(None, (who, text))), character)
    return persona, opening, closing, capitals


def _rules(draw: random.Random, opening: str, closing: str) -> str:
    """What a persona's text says of how answers begin and end."""
    begin = draw.choice(VOICES["begin"]).format(opening) if opening else ""
    end = draw.choice(VOICES["end"]).format(closing) if closing else ""
    if begin and end and draw.random() < 0.5:
        return f'Begin each answer with "{opening}" and end it with "{closing}"'
    return " ".join(filter(None, (begin, end)))


def _result(draw: random.Random, kind: str, name: str, about: str) -> tuple[str, str]:
    """(what the tool says, what is answered)."""
    number, sky = draw.randint(-9, 35), draw.choice(["sunny", "rainy", "cloudy", "windy"])
    if kind == "sentence":
        said = draw.choice(VOICES["results"]).format(about=about, number=number, sky=sky)
        return said, said
    if kind == "fields":
        key = draw.choice(["temperature", "price", "total", "size", "age"])
        fields: dict[str, Any] = {key: number, "state": sky}
        return json.dumps(fields), f"The {key} is {number} and the state is {sky}."
    if kind == "value":
        return str(number), f"The answer of {name} is {number}."
    if kind == "error":
        said = draw.choice(VOICES["errors"]).format(about=about)
        return said, f"The tool {name} failed: {said}"
    said = REFUSED if draw.random() < 0.7 else "not run: nobody could be asked"
    return said, f"I could not find out: {name} was not run."


MIXTURE: tuple[tuple[Callable[..., Case], int], ...] = (
    (cited, 9),
    (silent, 7),
    (injected, 1),
    (voiced, 3),
    (unfit, 2),
    (result, 2),
    (told, 1),
    (recalled, 1),
    (asking, 1),
    (owning, 1),
    (cases.arithmetic, 1),
    (cases.context, 2),
    (cases.fact, 1),
    (cases.general, 1),
    (cases.rewriting, 1),
    (cases.calling, 2),
)


def training(seed: int, count: int) -> list[Case]:
    """`count` cases over all templates, by their weights, and all efforts."""
    draw = random.Random(seed)
    templates, weights = zip(*MIXTURE, strict=True)
    chosen = draw.choices(templates, weights, k=count)
    return [template(draw, draw.choice(cases.EFFORTS)) for template in chosen]


def held_out(seed: int = 778) -> list[Case]:
    """60 cases: 12 each of cited, silent and voiced, with words and topics that were held out; 6
    each of unfit, result, recalled and injected.
    """
    draw = random.Random(seed)
    apart = [f(draw, e, held=True) for e in cases.EFFORTS for f in (cited, silent, voiced) * 4]
    others = (unfit, result, recalled, injected) * 2
    return apart + [template(draw, effort) for effort in cases.EFFORTS for template in others]
