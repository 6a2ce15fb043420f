"""How strong a persona's text is: its answers and their likelihood, and rows to tune on.

Legend: y an answer (reasoning and all) to one probe prompt; l_c(y) its mean log-likelihood under
condition c, in nats a token: B the bare base, P the base with the persona's text, A the base with
an adapter and no text. y_P are the persona's answers, y_A the adapter's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.records import Voice
from gptoss_magic.session import current
from gptoss_magic.textfiles import LINE_END, read_text
from gptoss_magic.turns.many import answer_all, for_prompts
from gptoss_magic.turns.progress import noted, silent
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records import Answer, Request
    from gptoss_magic.tuning.grow import Grown
    from gptoss_magic.turns.progress import Progress

BASE, PERSONA, ADAPTER = "base", "persona", "adapter"
DRAWN = ("temperature", "top_p", "top_k")
NO_EFFECT = 0.01  # nats a token below which an effect is too small to have shares
RESAMPLES = 1000
PROBES = Path(__file__).with_name("probe_prompts.txt")


@dataclass(frozen=True)
class Probe:
    """One prompt. `answers` by condition; `likelihoods[of][under]`: l_under(y_of)."""

    prompt: str
    answers: dict[str, Answer]
    likelihoods: dict[str, dict[str, float]]

    def effect(self, of: str, under: str) -> float:
        """l_under(y_of) - l_B(y_of): how much likelier the answer is than to the bare base."""
        return self.likelihoods[of][under] - self.likelihoods[of][BASE]


@dataclass(frozen=True)
class PersonaScore:
    """What the text of persona `name` does on a probe set, beside `adapter` ('' for none)."""

    name: str
    adapter: str
    probes: tuple[Probe, ...]

    @property
    def changed(self) -> float:
        """Share of the prompts whose final answer is another with the text."""
        pairs = [(p.answers[BASE].final, p.answers[PERSONA].final) for p in self.probes]
        return sum(one.strip() != other.strip() for one, other in pairs) / len(pairs)

    @property
    def gain(self) -> float:
        """Mean l_P(y_P) - l_B(y_P): nats a token by which the text makes its answers likelier."""
        return _mean([probe.effect(PERSONA, PERSONA) for probe in self.probes])

    @property
    def adapter_gain(self) -> float | None:
        """Mean l_A(y_A) - l_B(y_A): the adapter's effect on its own answers; None without one."""
        return _mean([p.effect(ADAPTER, ADAPTER) for p in self.probes]) if self.adapter else None

    @property
    def context_share(self) -> float | None:
        """The share of the adapter's effect that context alone gives.

        sum(l_P(y_A) - l_B(y_A)) / sum(l_A(y_A) - l_B(y_A)) over the prompts: on answers that the
        adapter gives, how much likelier the text makes them, of what the adapter itself does.
        1: the text explains them as well as the adapter; 0: no better than the bare base; below 0:
        worse. None without an adapter, or where its own effect is below 0.01 nats a token.
        """
        return _share(self._pairs(ADAPTER, PERSONA)) if self.adapter else None

    @property
    def adapter_share(self) -> float | None:
        """The share of the text's effect that the adapter alone gives, on the text's answers.

        sum(l_A(y_P) - l_B(y_P)) / sum(l_P(y_P) - l_B(y_P)); as `context_share`.
        """
        return _share(self._pairs(PERSONA, ADAPTER)) if self.adapter else None

    def interval(self, share: str) -> tuple[float, float] | None:
        """90 % bootstrap interval over the prompts of 'context_share' or 'adapter_share'."""
        if getattr(self, share) is None:
            return None
        of, by = (ADAPTER, PERSONA) if share == "context_share" else (PERSONA, ADAPTER)
        pairs, draw = self._pairs(of, by), random.Random(0)  # noqa: S311 (no secret)
        found = [_share(draw.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES)]
        good = sorted(share for share in found if share is not None)
        return good[len(good) // 20], good[-1 - len(good) // 20]

    def _pairs(self, of: str, by: str) -> list[tuple[float, float]]:
        return [(probe.effect(of, by), probe.effect(of, of)) for probe in self.probes]

    def to_frame(self) -> Any:
        """A DataFrame, a row a prompt: answers, and each likelihood as `of|under`."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackage("to_frame needs pandas: pip install gptoss_magic[map]") from error
        return pd.DataFrame(
            {
                "prompt": probe.prompt,
                **{name: answer.final for name, answer in probe.answers.items()},
                **{
                    f"{of}|{under}": value
                    for of, unders in probe.likelihoods.items()
                    for under, value in unders.items()
                },
            }
            for probe in self.probes
        )


def score_persona(
    persona: Persona,
    prompts: Sequence[str] = (),
    *,
    adapter: str = "",
    max_tokens: int = 256,
    date: str | None = None,
    progress: Progress = silent,
) -> PersonaScore:
    """Measure the persona's text on `prompts` (none: a small neutral set), greedily.

    The text stands alone: adapters that the persona names are left out. `adapter`: an attached one.
    Raises InputError, ContextOverflow, NotLoaded; KeyboardInterrupt passes through.
    """
    session = current()
    prompts = list(prompts) or neutral_prompts()
    beside = session.shelf.chosen([adapter]) if adapter else ()
    bare = settle(temperature=0.0, max_tokens=max_tokens, date=date, adapters=[NONE])
    voiced = replace(bare, voice=_voice(persona), effort=persona.effort or bare.effort)
    conditions = {BASE: bare, PERSONA: voiced}
    conditions |= {ADAPTER: replace(bare, adapters=beside)} if beside else {}
    answers = {
        name: answer_all(for_prompts(request, prompts), noted(progress, f"answers, {name}"))
        for name, request in conditions.items()
    }
    figures = _figures(conditions, answers, progress)
    probes = [
        Probe(prompt, {c: answers[c][n] for c in conditions}, figures[n])
        for n, prompt in enumerate(prompts)
    ]
    return PersonaScore(persona.name, adapter, tuple(probes))


def distilled(
    persona: Persona,
    prompts: Sequence[str] = (),
    *,
    max_tokens: int = 256,
    date: str | None = None,
    progress: Progress = silent,
) -> Grown:
    """The persona's own answers as rows {prompt, analysis, answer}, without its text.

    Its adapters and sampler are used (greedy where it says nothing). Answers that are cut off,
    empty, refused or without reasoning are left out, by the rules of `tuning.grow`.
    """
    from gptoss_magic.tuning.grow import Grown, GrownRow, answer_rule

    prompts = list(prompts) or neutral_prompts()
    drawn = {name: value for name, value in persona.settings.items() if name in DRAWN}
    adapters = None if persona.adapters is None else (persona.adapters or (NONE,))
    greedy = settle(
        **{"temperature": 0.0, "seed": 0, **drawn},
        max_tokens=max_tokens,
        date=date,
        effort=persona.effort,
        adapters=adapters,
    )
    voiced = replace(greedy, voice=_voice(persona))
    answers = answer_all(for_prompts(voiced, prompts), noted(progress, "answers"))
    rows, rejected = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        rule = answer_rule(answer)
        if rule:
            rejected.append((f"{prompt}\n{answer.final}".strip(), rule))
        else:
            rows.append(GrownRow(prompt, answer.analysis.strip(), answer.final.strip()))
    return Grown(tuple(rows), tuple(rejected), len(prompts))


def neutral_prompts() -> list[str]:
    """The small probe set that comes with the package."""
    return _lines(PROBES.read_text("utf-8"))


def read_prompts(source: str | None, names: Mapping[str, Any]) -> list[str]:
    """Prompts of a .txt file (one a line), a data file, or a list of the notebook; [] for None.

    Raises InputError for what has none.
    """
    from gptoss_magic.tuning.sources import PROMPTS, records_of, unbroken

    if source is None:
        return []
    if source not in names and Path(source).suffix.lower() == ".txt":
        found = _lines(read_text(source).text)
    else:
        found = [_prompt(record, PROMPTS) for record in unbroken(records_of(source, names))]
    if not found or not all(found):
        raise InputError(f"{source}: no prompts, or an empty one; give one a line")
    return found


def _prompt(record: Any, keys: Sequence[str]) -> str:
    if isinstance(record, dict):
        record = next((record[key] for key in keys if record.get(key)), "")
    return record.strip() if isinstance(record, str) else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in LINE_END.split(text) if line.strip()]


def _voice(persona: Persona) -> Voice:
    """The text and the terms alone, whatever the persona is called."""
    return Voice(name=persona.name, text=persona.instructions, terms=persona.terms)


def _figures(
    conditions: Mapping[str, Request],
    answers: Mapping[str, Sequence[Answer]],
    progress: Progress,
) -> list[dict[str, dict[str, float]]]:
    """By prompt: the likelihood of each condition's answer under each."""
    from gptoss_magic.generation.score import log_likelihood

    session = current()
    num = len(answers[BASE])
    found: list[dict[str, dict[str, float]]] = [{of: {} for of in answers} for _ in range(num)]
    for under, request in conditions.items():
        with session.using(request.adapters or (NONE,)):
            for n in range(num):
                prompt_T = answers[under][n].provenance["prompt_tokens"]
                for of in answers:
                    said_T = answers[of][n].raw_tokens
                    found[n][of][under] = log_likelihood(session.engine, prompt_T, said_T)
                progress(n + 1, num, f"likelihoods, {under}")
    return found


def _share(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Of (part, whole) pairs; None where the whole is next to nothing."""
    part, whole = (sum(column) for column in zip(*pairs, strict=True))
    return part / whole if whole / len(pairs) >= NO_EFFECT else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
