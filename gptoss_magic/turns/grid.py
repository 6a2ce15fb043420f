"""`compare`: prompts on the bare base and beside adapters; `grid`: one prompt, many settings."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields
from itertools import product
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.session import current
from gptoss_magic.turns.answer import generate
from gptoss_magic.turns.settle import without_none

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records import Answer, Comparison

BASE = "base"
BARE = (BASE, "none")


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

    def points(self) -> list[dict[str, Any]]:
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
    (no persona, no adapter) and under what made it; None where it was cut off by an interrupt.
    """

    point: dict[str, Any]
    answer: Answer
    base: float | None = None
    own: float | None = None


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


def compare(
    prompts: Sequence[str],
    adapters: Sequence[str] | None = None,
    **settings: Any,
) -> Iterator[Comparison]:
    """Answer each prompt on the bare base and beside each of `adapters` (None: all attached).

    Yields prompt by prompt. Greedy unless `settings` (of `generate`) say otherwise; nothing is
    remembered. Raises InputError where there is no adapter; KeyboardInterrupt passes through.
    """
    from gptoss_magic.records import Comparison

    session = current()
    session.require()
    names = session.shelf.names if adapters is None else session.shelf.chosen(adapters)
    if not names:
        raise InputError("no adapter is attached: %gptoss lora attach PATH")
    settings = {"temperature": 0.0, **settings}
    for prompt in prompts:
        answers = {}
        for name in (BASE, *names):
            answers[name] = generate(prompt, adapters=[name], **settings)
            if answers[name].finish == "interrupt":
                raise KeyboardInterrupt
        figures: dict[str, dict[str, float]] = {name: {} for name in answers}
        for under in answers:
            said = answers if under == BASE else {name: answers[name] for name in (BASE, under)}
            for name, value in likelihoods(said, [under]).items():
                figures[name][under] = value
        yield Comparison(prompt, answers, figures)


def grid(
    prompt: str, axes: Axes, defaults: Mapping[str, Any] | None = None, **settings: Any
) -> Iterator[Compared]:
    """Answer `prompt` at each point of `axes`; `settings` (of `generate`) hold for all.

    A persona's own settings lie between `defaults` and those; its text takes the place of
    `defaults`' system text. Without a seed one is drawn for all. Nothing is remembered. After an
    interrupt the answer so far comes last, without its likelihoods. Raises InputError, before
    anything is generated, for adapters and personas that are not there.
    """
    session, points = current(), axes.points()
    for point in points:
        session.shelf.chosen(adapters_of(point))
        session.layers(personas_of(point))
    common = {"seed": secrets.randbelow(2**31), **without_none(dict(defaults or {}))}
    for point in points:
        cell = _answered(prompt, point, common, without_none(settings))
        yield cell
        if cell.base is None:
            return


def adapters_of(point: Mapping[str, Any]) -> list[str] | None:
    """The adapters of a point; None: the persona's, or those in use."""
    return point["adapter"].split("+") if "adapter" in point else None


def personas_of(point: Mapping[str, Any]) -> tuple[str, ...]:
    """The persona of a point and its overlays; those in use where the grid names none."""
    if "persona" not in point:
        return current().persona
    return () if point["persona"] in BARE else tuple(point["persona"].split("+"))


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
                session.require()[1],
                prompt_T or answer.provenance["prompt_tokens"],
                answer.raw_tokens,
            )
            for name, answer in answers.items()
        }


def _answered(
    prompt: str, point: dict[str, Any], common: dict[str, Any], settings: dict[str, Any]
) -> Compared:
    """One point's answer and its likelihoods; without them where an interrupt came."""
    from gptoss_magic.agents.layers import overlay
    from gptoss_magic.turns.prompt import settled

    names = personas_of(point)
    voice = overlay(current().layers(names))
    given = {key: value for key, value in point.items() if key not in ("adapter", "persona")}
    how = settled(voice, common, {**settings, **given})
    bare = {"system": common.get("system"), **how}
    answer = generate(prompt, persona=names, adapters=adapters_of(point), **how)
    if answer.finish == "interrupt":
        return Compared(point, answer)
    try:
        return Compared(point, answer, *_scored(prompt, answer, bare if names else None))
    except KeyboardInterrupt:
        return Compared(point, answer)


def _scored(prompt: str, answer: Answer, bare: dict[str, Any] | None) -> tuple[float, float]:
    """(under the bare base, under what made it); `bare`: settings of a prompt without a persona."""
    prompt_T = _bare_prompt(prompt, bare) if bare is not None else None
    base = likelihoods({"": answer}, [BASE], prompt_T)[""]
    adapters = [record["name"] for record in answer.provenance["adapters"]]
    if not adapters and prompt_T is None:
        return base, base
    return base, likelihoods({"": answer}, adapters or [BASE])[""]


def _bare_prompt(prompt: str, settings: dict[str, Any]) -> list[int]:
    """Token ids of the prompt as nobody in particular would be asked it."""
    from gptoss_magic.harmony import prune, render
    from gptoss_magic.turns.prompt import Asked, open_talk

    known = {key: settings.get(key) for key in ("system", "passages", "effort", "date")}
    asked = Asked(prompt, **known)  # type: ignore[arg-type]
    talk = open_talk(asked, generate, ())
    return render(prune(talk.messages), current().require()[1].codec)


def _row(cell: Compared) -> dict[str, Any]:
    """What a frame shows of one answer."""
    answer, made = cell.answer, cell.answer.provenance
    sampling = made["sampling"]
    return {
        "temperature": sampling["temperature"],
        "effort": made["effort"],
        "persona": made.get("persona", {}).get("name") or "none",
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
