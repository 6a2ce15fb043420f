"""`compare`: prompts on the bare base and beside adapters; `grid`: one prompt, many settings."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields
from itertools import product
from typing import TYPE_CHECKING, Any

from gptoss_magic.api.prompt import generate
from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptoss_magic.records import Answer, Comparison

BASE = "base"


@dataclass(frozen=True)
class Axes:
    """What a grid varies; an empty axis keeps what the settings say.

    `adapters` are names, `a+b` for several, 'base' for none.
    """

    temperature: tuple[float, ...] = ()
    effort: tuple[str, ...] = ()
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
    and beside the adapters that it was made with; None where it was cut off by an interrupt.
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


def grid(prompt: str, axes: Axes, **settings: Any) -> Iterator[Compared]:
    """Answer `prompt` at each point of `axes`; `settings` (of `generate`) hold for all.

    Without a seed one is drawn for all. Nothing is remembered. After an interrupt the answer so far
    comes last, without its likelihoods. Raises InputError, before anything is generated, for
    adapters that are not attached.
    """
    shelf = current().shelf
    points = axes.points()
    for point in points:
        shelf.chosen(adapters_of(point))
    if settings.get("seed") is None:
        settings["seed"] = secrets.randbelow(2**31)
    for point in points:
        cell = _answered(prompt, point, settings)
        yield cell
        if cell.base is None:
            return


def adapters_of(point: Mapping[str, Any]) -> list[str] | None:
    """The adapters of a point; None: those in use."""
    return point["adapter"].split("+") if "adapter" in point else None


def likelihoods(
    answers: Mapping[str, Answer], adapters: Sequence[str] | None = None
) -> dict[str, float]:
    """Mean log-likelihood of each answer behind its prompt, in nats a token, beside `adapters`."""
    from gptoss_magic.generation.score import log_likelihood

    session = current()
    with session.using(adapters):
        return {
            name: log_likelihood(
                session.require()[1], answer.provenance["prompt_tokens"], answer.raw_tokens
            )
            for name, answer in answers.items()
        }


def _answered(prompt: str, point: dict[str, Any], settings: dict[str, Any]) -> Compared:
    """One point's answer and its likelihoods; without them where an interrupt came."""
    given = {name: value for name, value in point.items() if name != "adapter"}
    adapters = adapters_of(point)
    answer = generate(prompt, adapters=adapters, **{**settings, **given})
    if answer.finish == "interrupt":
        return Compared(point, answer)
    try:
        base = likelihoods({"": answer}, [BASE])[""]
        own = likelihoods({"": answer}, adapters)[""] if answer.provenance["adapters"] else base
    except KeyboardInterrupt:
        return Compared(point, answer)
    return Compared(point, answer, base, own)


def _row(cell: Compared) -> dict[str, Any]:
    """What a frame shows of one answer."""
    answer, made = cell.answer, cell.answer.provenance
    sampling = made["sampling"]
    return {
        "temperature": sampling["temperature"],
        "effort": made["effort"],
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
