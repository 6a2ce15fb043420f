"""What a study takes, before it starts: time, memory, what can be seen; what does not fit.

Times are measured on the spot: a few prompts answered bare, one text read, one sequence trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING

from gptoss_magic.evaluation.statistics import smallest_difference
from gptoss_magic.model.plan import GB
from gptoss_magic.records.depth import GENERAL_TEXT, DepthPlan, Dropped
from gptoss_magic.runs.prepare import prepare
from gptoss_magic.studies.asks import speed_of
from gptoss_magic.studies.depth.compared import LEVEL
from gptoss_magic.studies.depth.general import GeneralTexts
from gptoss_magic.studies.depth.ladder import BOTH, EXAMPLES, PERSONA, candidates, chosen
from gptoss_magic.studies.depth.setup import BARE_SETUP, asks_of_rung
from gptoss_magic.studies.depth.trained import wanted_for
from gptoss_magic.tuning.plan import duration
from gptoss_magic.tuning.run_time import by_method
from gptoss_magic.turns.many import answer_all
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.vocabulary import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gptoss_magic.evaluation.suite import Suite
    from gptoss_magic.records.depth import DepthGuard, Rung
    from gptoss_magic.studies.depth.guards import Guards
    from gptoss_magic.studies.depth.ladder import Candidate
    from gptoss_magic.studies.depth.task import DepthTask
    from gptoss_magic.tuning.plan import TunePlan

MINUTES = 60.0
TRIED = 2  # items of each suite that are answered for the plan
OVERHEAD_S = 2.0  # of a rung: an adapter is attached, an index is made, things are written
JUDGED = 60  # tokens of a verdict
WRITTEN = 256  # tokens of a persona
LANES = 4  # so many times as fast are answers together as one alone, about


@dataclass(frozen=True)
class StudySetting:
    """What the line says. `minutes`: the budget; `steps` of the ladder, () for all of them.

    `strengths`: 'usual' or 'all'. `num_held`: rows held out, None for a third.
    """

    minutes: float = MINUTES
    steps: tuple[int, ...] = ()
    strengths: str = "all"
    num_held: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class StudyPace:
    """Seconds: `measuring` a rung bare, of a token that is read, of a token that is written.

    `num_answers` of a rung. `tuning`: the plan of one trained rung, None where none is wanted;
    `notes`: what it says of the rows.
    """

    measuring: float
    reading: float
    writing: float
    num_answers: int
    tuning: TunePlan | None = None
    notes: tuple[str, ...] = ()


def plan_study(
    task: DepthTask, guards: Guards, setting: StudySetting, folder: Path
) -> tuple[DepthPlan, list[Candidate]]:
    """The plan, and the rungs that fit, in the order they are run. Raises InputError.

    A few prompts are answered and one sequence is trained on, to time them; nothing is kept.
    """
    listed, unable = candidates(task)
    wanted = chosen(listed, setting.steps, setting.strengths)
    pace = _pace(task, guards, wanted, setting.seed, folder)
    timed = [_timed(one, task, pace) for one in wanted]
    kept, dropped = _fitting(timed, pace, setting.minutes * 60)
    missed = [one for one in unable if not setting.steps or one.rung.step in setting.steps]
    in_order = sorted(kept, key=lambda one: (one.rung.step, one.amount, one.place))
    num = max(1, len(in_order) - 1)  # rungs that are compared with bare
    plan = DepthPlan(
        task=task.name,
        num_train=len(task.train),
        num_held_out=len(task.suite.items),
        graded_by=task.suite.graded_by,
        rungs=tuple(one.rung for one in in_order),
        dropped=(*missed, *dropped),
        guards=tuple(_seen(one, num * len(guards.about)) for one in guards.about),
        seed=setting.seed,
        seconds=setting.minutes * 60,
        expected=sum(one.rung.seconds for one in kept),
        smallest=smallest_difference(len(task.suite.items), level=LEVEL / num),
        memory=max((_needed(one, pace) for one in kept if one.method), default=None),
        notes=(*task.notes, *pace.notes),
    )
    return plan, in_order


def _seen(guard: DepthGuard, num_compared: int) -> DepthGuard:
    """With the least damage that is seen where so many figures share Holm's correction."""
    if guard.name == GENERAL_TEXT:
        return guard  # no share: its bounds are known when it was measured
    level = LEVEL / max(1, num_compared)
    return replace(guard, smallest=smallest_difference(guard.num_items, level=level))


def _pace(
    task: DepthTask, guards: Guards, wanted: Sequence[Candidate], seed: int, folder: Path
) -> StudyPace:
    """Timed on the spot."""
    suites = [task.suite, *guards.suites.values()]
    num_answers = sum(len(suite.items) for suite in suites)
    tokens, few_speed = _answers_of(suites, seed)
    speed = max(speed_of(min(BATCH, num_answers)), few_speed)
    began = perf_counter()
    GeneralTexts(1).figures(BARE_SETUP)
    text_s = perf_counter() - began
    num_read = len(ids_of(asks_of_rung("text", BARE_SETUP, [_first(task.suite)], seed)[0].request))
    judging = 2 * JUDGED * len(task.suite.items) if task.body.rubric else 0
    measuring = (tokens + judging) / speed + text_s * guards.num_texts
    method = next((one.method for one in wanted if one.method), None)
    pace = StudyPace(measuring, text_s / max(1, num_read), 1 / speed, num_answers)
    if method is None:
        return pace
    tuning = prepare(wanted_for(task, f"{task.name}-plan", method, seed, folder))
    return replace(pace, tuning=tuning.plan, notes=tuple(_notes(tuning.run.about)))


def _notes(about: Mapping[str, int]) -> Iterator[str]:
    """What the trained rungs make of the rows."""
    if about["without reasoning"]:
        yield (
            f"{about['without reasoning']} of {about['rows']} rows have no reasoning: what trains "
            "on them may forget to think; see form, and thinking"
        )
    if about["cut"]:
        yield f"{about['cut']} answers of rows are too long to train on whole: they are cut"


def _answers_of(suites: Sequence[Suite], seed: int) -> tuple[float, float]:
    """(tokens of all answers, tokens a second), by the first few of each suite."""
    few = [_first(suite, TRIED) for suite in suites]
    began = perf_counter()
    asks = asks_of_rung("plan", BARE_SETUP, few, seed)
    answers = iter(answer_all([ask.request for ask in asks]))
    seconds, total, said = perf_counter() - began, 0.0, 0
    for suite, tried in zip(suites, few, strict=True):
        tokens = sum(one.usage.completion_tokens for one in islice(answers, len(tried.items)))
        said += tokens
        total += tokens / len(tried.items) * len(suite.items)
    return total, max(1, said) / seconds


def _first(suite: Suite, num: int = 1) -> Suite:
    return replace(suite, items=suite.items[:num])


def _timed(one: Candidate, task: DepthTask, pace: StudyPace) -> Candidate:
    """With the seconds that are expected of it."""
    making = _making(one, pace)
    read = pace.reading * pace.num_answers * _extra_tokens(one, task)
    return replace(one, rung=replace(one.rung, seconds=pace.measuring + making + read + OVERHEAD_S))


def _making(one: Candidate, pace: StudyPace) -> float:
    if one.rung.step == PERSONA:
        return WRITTEN * pace.writing * LANES
    if one.method is None or pace.tuning is None:
        return 0.0
    return by_method(pace.tuning, one.method).seconds or 0.0


def _extra_tokens(one: Candidate, task: DepthTask) -> float:
    """Tokens that stand before each question, about: three characters each."""
    lengths = [len(row.prompt) + len(row.messages[-1].content) for row in task.train]
    row = sum(lengths) / len(lengths) / 3
    is_quoted = one.amount and one.rung.step != EXAMPLES
    return one.amount * row * (1.0 if is_quoted else 0.1)  # examples are read once for all


def _needed(one: Candidate, pace: StudyPace) -> int:
    assert one.method is not None
    assert pace.tuning is not None
    return by_method(pace.tuning, one.method).needed


def _fitting(
    timed: Sequence[Candidate], pace: StudyPace, budget: float
) -> tuple[list[Candidate], list[Dropped]]:
    """What fits memory and budget, the most telling first; the others, and why."""
    kept: list[Candidate] = []
    dropped, left = [], budget
    for one in timed:
        why = _no_memory(one, pace) or _no_parts(one.rung, kept)
        if not why and one.rung.step and one.rung.seconds > left:
            why = f"about {duration(one.rung.seconds)}, and {duration(max(0.0, left))} are left"
        if why:
            dropped.append(Dropped(one.rung, why))
        else:
            kept.append(one)
            left -= one.rung.seconds
    return kept, dropped


def _no_memory(one: Candidate, pace: StudyPace) -> str:
    if one.method is None or pace.tuning is None:
        return ""
    plan = by_method(pace.tuning, one.method)
    if plan.fits:
        return ""
    return f"needs {plan.needed / GB:.2f} GB, and {plan.free / GB:.2f} GB are free"


def _no_parts(rung: Rung, kept: Sequence[Candidate]) -> str:
    """Why there is nothing to put together."""
    if rung.step != BOTH:
        return ""
    has_context = any(one.rung.step and not one.rung.trains for one in kept)
    has_trained = any(one.rung.trains for one in kept)
    if has_context and has_trained:
        return ""
    return f"no {'trained' if has_context else 'context'} rung is tried that it could be made of"
