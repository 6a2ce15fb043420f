"""`compare`: prompts on the bare base and beside adapters; `grid`: one prompt, many settings."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.public import public
from gptoss_magic.records import AdapterComparison
from gptoss_magic.session import current
from gptoss_magic.turns.answer import answer
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import BARE, BASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records import Answer, Request


Setting = str | float  # of one axis


@dataclass(frozen=True)
class Axes:
    """What a grid varies; an empty axis keeps what the settings say.

    Adapters and personas are names, `a+b` for several, 'base' or 'none' for none.
    """

    temperature: tuple[float, ...] = ()
    effort: tuple[str, ...] = ()
    persona: tuple[str, ...] = ()
    adapter: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()

    def points(self) -> list[dict[str, Setting]]:
        """The grid's points by axis, once each: greedy answers do not differ by seed."""
        known = {axis.name: getattr(self, axis.name) for axis in fields(self)}
        used = {name: dict.fromkeys(values) for name, values in known.items() if values}
        points = [dict(zip(used, values, strict=True)) for values in product(*used.values())]
        first = self.seed[:1]
        return [p for p in points if p.get("temperature") != 0 or p.get("seed") in (*first, None)]


@dataclass(frozen=True)
class Compared:
    """One answer of a grid, made at `point`.

    `base` and `own`: its mean log-likelihood in nats a token, at temperature 1, under the bare base
    (no persona, no adapter) and under what made it; None where an interrupt cut it off (`is_cut`),
    or where the engine gives none.
    """

    point: dict[str, Setting]
    answer: Answer
    base: float | None = None
    own: float | None = None
    is_cut: bool = False


@dataclass(frozen=True)
class Grid:
    """Answers to one prompt, `total` of them asked for; fewer after an interrupt."""

    prompt: str
    total: int
    cells: tuple[Compared, ...] = field(default=())

    def to_frame(self) -> Any:
        """A pandas DataFrame, an answer a row. Raises MissingPackage."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackage("frames need pandas: pip install gptoss_magic[map]") from error
        return pd.DataFrame([_row(cell) for cell in self.cells])


@public
def compare(
    prompts: Sequence[str],
    adapters: Sequence[str] | None = None,
    **settings: Any,
) -> Iterator[AdapterComparison]:
    """Answer each prompt on the bare base and beside each of `adapters` (None: all attached).

    Yields prompt by prompt. Greedy unless `settings` (of `generate`) say otherwise; nothing is
    remembered. Raises InputError where there is no adapter; KeyboardInterrupt passes through.
    """
    session = current()
    session.require()
    names = session.shelf.names if adapters is None else session.adapters(adapters)
    if not names:
        raise InputError("no adapter is attached: %gptoss lora attach PATH")
    base = settle(**{"temperature": 0.0, **settings, "adapters": [BASE]})
    for prompt in prompts:
        answers = {}
        for name in (BASE, *names):
            beside = () if name == BASE else (name,)
            answers[name] = answer(replace(base, prompt=prompt, adapters=beside))
            if answers[name].finish == "interrupt":
                raise KeyboardInterrupt
        figures: dict[str, dict[str, float]] = {name: {} for name in answers}
        for under in answers if session.engine.capabilities.scores else ():
            said = answers if under == BASE else {name: answers[name] for name in (BASE, under)}
            for name, value in likelihoods(said, [under]).items():
                figures[name][under] = value
        yield AdapterComparison(prompt, answers, figures)


@public
def grid(
    prompt: str, axes: Axes, defaults: Mapping[str, Any] | None = None, **settings: Any
) -> Iterator[Compared]:
    """Answer `prompt` at each point of `axes`; `settings` (of `generate`) hold for all.

    A persona's own settings lie between `defaults` and those; its text takes the place of
    `defaults`' system text. Without a seed one is drawn for all. Nothing is remembered. After an
    interrupt the answer so far comes last, without its likelihoods. Raises InputError, before
    anything is generated, for adapters and personas that are not there.
    """
    common = {"seed": secrets.randbelow(2**31), **(defaults or {})}
    if common["seed"] is None:
        common["seed"] = secrets.randbelow(2**31)
    in_use = current().persona
    requests = [
        settle(prompt, defaults=common, **{"persona": in_use, **settings, **_line_of(point)})
        for point in axes.points()
    ]
    bare = settle(prompt, defaults=common, **settings)
    return _each(list(zip(axes.points(), requests, strict=True)), bare)


def _each(asked: Sequence[tuple[dict[str, Setting], Request]], bare: Request) -> Iterator[Compared]:
    for point, request in asked:
        cell = _answered(point, request, bare)
        yield cell
        if cell.is_cut:
            return


def _line_of(point: Mapping[str, Setting]) -> dict[str, Any]:
    """A point's settings, by the names of `settle`."""
    names = {"adapter": "adapters", "persona": "persona"}
    line: dict[str, Any] = {names.get(name, name): value for name, value in point.items()}
    if line.get("persona") in BARE:
        line["persona"] = ()
    return line


def likelihoods(
    answers: Mapping[str, Answer],
    adapters: Sequence[str] | None = None,
    prompt_T: Sequence[int] | None = None,
) -> dict[str, float]:
    """Mean log-likelihood of each answer, in nats a token, beside `adapters`.

    Behind its own prompt, or behind the token ids `prompt_T`.
    """
    from gptoss_magic.generation.score import log_likelihood

    session = current()
    with session.using(adapters):
        return {
            name: log_likelihood(
                session.engine,
                prompt_T or answer.provenance["prompt_tokens"],
                answer.raw_tokens,
            )
            for name, answer in answers.items()
        }


def _answered(point: dict[str, Setting], request: Request, bare: Request) -> Compared:
    """One point's answer and its likelihoods; without them where an interrupt came."""
    made = answer(request)
    if made.finish == "interrupt":
        return Compared(point, made, is_cut=True)
    if not current().engine.capabilities.scores:
        return Compared(point, made)
    try:
        prompt_T = ids_of(_as_nobody(request, bare)) if request.voice.layers else None
        return Compared(point, made, *_scored(made, prompt_T))
    except KeyboardInterrupt:
        return Compared(point, made, is_cut=True)


def _as_nobody(request: Request, bare: Request) -> Request:
    """The same question to nobody in particular."""
    return replace(request, voice=bare.voice)


def _scored(made: Answer, prompt_T: Sequence[int] | None) -> tuple[float, float]:
    """(under the bare base, behind `prompt_T` where given; under what made it)."""
    base = likelihoods({"": made}, [BASE], prompt_T)[""]
    adapters = [record["name"] for record in made.provenance["adapters"]]
    if not adapters and prompt_T is None:
        return base, base
    return base, likelihoods({"": made}, adapters or [BASE])[""]


def _row(cell: Compared) -> dict[str, Any]:
    """What a frame shows of one answer."""
    answer, made = cell.answer, cell.answer.provenance
    sampling = made["sampling"]
    return {
        "temperature": sampling["temperature"],
        "effort": made["effort"],
        "persona": (made["persona"]["name"] if "persona" in made else "") or "none",
        "adapter": "+".join(record["name"] for record in made["adapters"]) or BASE,
        "seed": sampling["seed"],
        "final": answer.final,
        "analysis": answer.analysis,
        "finish": answer.finish,
        "num_tokens": answer.usage.completion_tokens,
        "nats_per_token_base": cell.base,
        "nats_per_token_own": cell.own,
        "answer": answer,
    }
