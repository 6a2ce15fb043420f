"""What an evaluation asks: its suites, every try of their items by each arm, and the plan."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.statistics import smallest_difference
from gptoss_magic.evaluation.suite import Means, Opening, seed_of
from gptoss_magic.evaluation.suites import open_suite
from gptoss_magic.evaluation.suites.own_items import suite_of_file, suite_of_rows
from gptoss_magic.records import Message
from gptoss_magic.records.evaluations import EvaluationPlan, SuitePlan
from gptoss_magic.session import current
from gptoss_magic.studies.answer_journal import key_of
from gptoss_magic.turns.names import persona_named
from gptoss_magic.turns.prompt import opening as opening_of
from gptoss_magic.turns.settle import answer_form
from gptoss_magic.vocabulary import BATCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.evaluation.suite import Suite, SuiteItem
    from gptoss_magic.records import Request, Term
    from gptoss_magic.studies.arms import Arm

DATE = "2025-08-05"  # stands in every prompt, so that the same command asks the same on any day
MEMORY = 1 << 30  # bytes, of a process of a model's code
WARM = 8  # tokens of each lane whose time is taken before the run


@dataclass(frozen=True)
class Ask:
    """One try of one item by one arm: what is asked, and its key in the journal."""

    suite: Suite
    item: SuiteItem
    arm: Arm
    number: int
    request: Request
    key: str


@dataclass(frozen=True)
class Setting:
    """How all arms are asked. None: the checkpoint's temperature, each suite's own tokens."""

    tries: int = 1
    seed: int = 0
    temperature: float | None = None
    max_tokens: int | None = None
    date: str = DATE


def means_of(names: Mapping[str, Any]) -> Means:
    """What suites may use: a confined process, schemas, the notebook's names."""
    from gptoss_magic.agents.python import ProcessLimits, run_process

    def run_code(code: str, seconds: float) -> tuple[str, int | None]:
        limits = ProcessLimits(seconds=seconds, memory=MEMORY, is_confined=True)
        ran = run_process(code, limits)
        return ran.output, ran.status

    return Means(run_code, answer_form, names, terms_of)


def terms_of(persona: str) -> tuple[Term, ...]:
    """The terms of a persona, or of `a+b`. Raises InputError for none of that name."""
    return persona_named(persona).terms


def opened(
    given: str | Sequence[str], data: Any, limit: int | None, seed: int, names: Mapping[str, Any]
) -> tuple[Suite, ...]:
    """The suites of these names, and one of the user's own data. Raises InputError,
    MissingPackage.
    """
    from gptoss_magic.studies.run_rows import NAME, held_out_suite

    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: give 1 item or more")
    means = means_of(names)
    opening = Opening("", limit, seed, means)
    suites = []
    for name in [given] if isinstance(given, str) else list(given):
        run = name.removeprefix(f"{NAME}:")
        is_run = run != name
        suites.append(
            held_out_suite(run, opening) if is_run else open_suite(name, limit, seed, means)
        )
    if isinstance(data, str | Path):
        suites.append(suite_of_file(data, opening))
    elif data is not None:
        rows = [(f"data, row {number}", row) for number, row in enumerate(data, 1)]
        suites.append(suite_of_rows("data", rows, opening))
    found = [suite.name for suite in suites]
    if not suites:
        raise InputError("evaluate: give a suite, such as gsm8k, or data of your own")
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise InputError(f"evaluate: there are two suites {twice[0]}: give one")
    return tuple(suites)


def asks_of(suite: Suite, arm: Arm, setting: Setting) -> list[Ask]:
    """Every try of every item, by one arm."""
    tokens = setting.max_tokens or min(suite.max_tokens, current().engine.context // 2)
    base = arm.settled(temperature=setting.temperature, max_tokens=tokens, date=setting.date)
    asks = []
    for number in range(setting.tries):
        for item in suite.items:
            seed = seed_of(setting.seed, suite.name, item.id, number)
            request = request_of(base, item, seed)
            asks.append(Ask(suite, item, arm, number, request, key_of(request)))
    return asks


def request_of(base: Request, item: SuiteItem, seed: int) -> Request:
    """`base`, asked an item with a seed of its own."""
    system = "\n\n".join(filter(None, (base.voice.system, item.system)))
    request = replace(
        base,
        prompt=item.text,
        voice=replace(base.voice, system=system),
        tools=item.tools,
        can_call=bool(item.tools),
        schema=item.schema,
        sampling=replace(base.sampling, seed=seed),
    )
    if not item.before:
        return request
    talk = (*opening_of(request), *item.before, Message("user", item.text))
    return replace(request, messages=talk)


def plan_of(
    suites: Sequence[Suite],
    arms: Sequence[Arm],
    setting: Setting,
    asks: Sequence[Ask],
    num_kept: int,
) -> EvaluationPlan:
    """What these asks take; `num_kept` of them are answered already."""
    parts = tuple(
        SuitePlan(
            suite.name,
            len(suite.items),
            suite.source,
            suite.graded_by,
            next(a.request.sampling.max_tokens for a in asks if a.suite is suite),
            smallest_difference(len(suite.items)),
            suite.left_out,
        )
        for suite in suites
    )
    num_tokens = sum(ask.request.sampling.max_tokens for ask in asks)
    num_tokens = round(num_tokens * (1 - num_kept / len(asks)))
    speed = speed_of(min(BATCH, len(asks) - num_kept))
    return EvaluationPlan(
        suites=parts,
        arms=tuple(arm.name for arm in arms),
        tries=setting.tries,
        seed=setting.seed,
        date=setting.date,
        temperature=asks[0].request.sampling.temperature,
        num_answers=len(asks),
        num_tokens=num_tokens,
        kept=num_kept,
        seconds=num_tokens / speed if speed else None,
    )


def speed_of(lanes: int) -> float:
    """Tokens a second of so many lanes, by a few of them; 0 where that cannot be told."""
    session = current()
    if lanes < 1 or not session.engine.capabilities.batches:
        return 0.0
    from gptoss_magic.generation import BatchPrompt, stream_batch
    from gptoss_magic.records import SamplingSettings

    engine = session.local_engine
    prompt_T = list(engine.codec.encode("Count: one, two, three, four"))
    settings = SamplingSettings(temperature=0.0, max_tokens=WARM)
    with session.using(()):
        began, num = time.perf_counter(), 0
        for _ in stream_batch(engine, [BatchPrompt(prompt_T, settings)] * lanes, lanes):
            num += 1
        return num / (time.perf_counter() - began)
