"""`evaluate`: benchmarks of the resident model, of several arms of it on one grid of seeds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.overlap import TunedTexts
from gptoss_magic.evaluation.scores import compared, scores_of
from gptoss_magic.public import public
from gptoss_magic.records.evaluations import Attempt, Evaluated
from gptoss_magic.session import current
from gptoss_magic.studies.answer_journal import AnswerJournal, default_folder
from gptoss_magic.studies.arms import read_arms
from gptoss_magic.studies.asks import DATE, Ask, Setting, asks_of, opened, plan_of
from gptoss_magic.turns.loading import versions
from gptoss_magic.turns.many import each_answer
from gptoss_magic.vocabulary import BATCH, check_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gptoss_magic.evaluation.suite import Suite
    from gptoss_magic.records import Answer, SamplingSettings
    from gptoss_magic.records.evaluations import EvaluationPlan
    from gptoss_magic.studies.arms import Arm

    Told = Callable[[Sequence[Attempt]], object]

SHORT = 512  # tokens of answers that may share a batch, whatever their suites allow


@dataclass
class PlannedEvaluation:
    """An evaluation that is planned: `plan`, then `run` it. `attempts` is what is done so far."""

    suites: tuple[Suite, ...]
    arms: tuple[Arm, ...]
    setting: Setting
    asks: list[Ask]
    plan: EvaluationPlan
    folder: Path
    rows: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    finish: str = "return"

    def run(self, told: Told = lambda attempts: None) -> None:
        """Answer what no journal has. `told` is given all attempts so far, as they come.

        An interrupt ends it, and the same evaluation goes on there. Raises ContextOverflow,
        ServerError, StorageError.
        """
        try:
            with AnswerJournal(self.folder) as journal:
                for group in groups(self.asks):
                    for ask, answer in answered(group, journal):
                        self.attempts.append(attempt_of(ask, answer))
                        told(self.attempts)
        except KeyboardInterrupt:
            self.finish = "interrupt"

    def result(self, *, force: bool = False) -> Evaluated:
        """What the attempts so far come to. `force`: arms are compared whatever was cut."""
        order = {
            (a.suite.name, a.arm.name, a.item.id, a.number): n for n, a in enumerate(self.asks)
        }
        attempts = sorted(
            self.attempts, key=lambda one: order[one.suite, one.arm, one.item, one.number]
        )
        shared = TunedTexts(self.rows).shared(self.suites)
        without = {(one.suite, one.item) for one in shared}
        names = [arm.name for arm in self.arms]
        return Evaluated(
            plan=self.plan,
            attempts=tuple(attempts),
            scores=tuple(scores_of(attempts)),
            comparisons=tuple(compared(attempts, names, force=force, seed=self.setting.seed)),
            shared=tuple(shared),
            apart=tuple(scores_of(attempts, without)) if shared else (),
            finish=self.finish,
            provenance=self._provenance(),
        )

    def _provenance(self) -> dict[str, Any]:
        """What it takes to run it again."""
        session = current()
        return {
            **session.require().identity,
            "server": session.remote.url if session.remote else None,
            "versions": versions(),
            "lanes": BATCH,
            "arms": {arm.name: self._asked(arm) for arm in self.arms},
            "tuning rows": len(self.rows),
        }

    def _asked(self, arm: Arm) -> dict[str, Any]:
        request = next(ask.request for ask in self.asks if ask.arm == arm)
        return {
            "effort": request.effort,
            "adapters": list(request.adapters),
            "persona": request.voice.record(),
            "sampling": {**request.sampling.record(), "seed": None, "max_tokens": None},
        }


@public
def evaluate(
    suites: str | Sequence[str] = (),
    *,
    data: str | Path | Sequence[dict[str, Any]] | None = None,
    arms: str | Sequence[str] = "base",
    limit: int | None = None,
    tries: int = 1,
    seed: int = 0,
    temperature: float | None = None,
    max_tokens: int | None = None,
    date: str | None = None,
    rows: Sequence[Any] | None = None,
    names: Mapping[str, Any] | None = None,
    journal: str | Path | None = None,
    new: bool = False,
    force: bool = False,
    on_plan: Callable[[EvaluationPlan], None] = lambda plan: None,
    on_attempts: Callable[[Sequence[Attempt]], None] = lambda attempts: None,
    ready: Callable[[], object] | None = None,
) -> Evaluated:
    """Score the resident model on benchmarks, and compare arms of it on the same items and seeds.

    `suites`: names such as 'gsm8k' or 'bfcl:multiple' (`evaluation.suites.SUITES`), or
    'held-out:RUN'. `data`: a JSON Lines file, or dicts, of one's own; see `suite_of_rows`. `arms`:
    'base', 'adapter:NAME', 'persona:NAME', 'effort:low', joined by +; each is compared with the
    first. Nothing of the notebook's defaults counts. `limit`: items of each suite, drawn by `seed`.
    `tries` of each item, which want a temperature above 0. `rows`: tuning rows, as
    `%%gptoss_tune` reads them, that items are looked for in; those of runs that made an arm's
    adapter are looked into anyway. `names`: the notebook's, for checkers and schemas. What was
    answered is kept in `journal`, a folder: the same call goes on where it was stopped, unless
    `new`. Arms whose shares of cut answers differ by more than 5 points are not compared, unless
    `force`. `on_plan` is told before anything is answered, `on_attempts` all that is done, as it
    comes. Raises InputError, MissingPackage, ContextOverflow, StorageError, ServerError.
    """
    setting = Setting(tries, seed, temperature, max_tokens, check_date(date or DATE))
    made = plan(
        suites, arms, setting, data=data, limit=limit, names=names, journal=journal, ready=ready
    )
    made = with_rows(made, rows)
    made = afresh(made) if new else made
    on_plan(made.plan)
    made.run(on_attempts)
    return made.result(force=force)


def plan(
    suites: str | Sequence[str],
    arms: str | Sequence[str],
    setting: Setting,
    *,
    data: Any = None,
    limit: int | None = None,
    names: Mapping[str, Any] | None = None,
    journal: str | Path | None = None,
    ready: Callable[[], object] | None = None,
) -> PlannedEvaluation:
    """An evaluation with its plan; nothing is answered. Raises InputError, MissingPackage."""
    if setting.tries < 1:
        raise InputError(f"tries {setting.tries}: give 1 or more")
    sides = read_arms(arms)
    (ready or current().ready)()
    found = opened(suites, data, limit, setting.seed, names or {})
    asks = [ask for suite in found for arm in sides for ask in asks_of(suite, arm, setting)]
    if setting.tries > 1 and asks[0].request.sampling.temperature == 0:
        raise InputError(
            f"tries {setting.tries}: at temperature 0 each says the same; give a temperature"
        )
    folder = Path(journal).expanduser() if journal else default_folder([s.name for s in found])
    with AnswerJournal(folder) as kept:
        num_kept = sum(kept.get(ask.key) is not None for ask in asks)
    made = plan_of(found, sides, setting, asks, num_kept)
    return PlannedEvaluation(found, sides, setting, asks, made, folder)


def with_rows(made: PlannedEvaluation, rows: Sequence[Any] | None) -> PlannedEvaluation:
    """With the tuning rows that its items are looked for in. Raises InputError."""
    from gptoss_magic.studies.run_rows import tuned_texts
    from gptoss_magic.tuning.sources import read_list

    texts = tuned_texts([name for arm in made.arms for name in arm.adapters])
    for row in read_list(rows).rows if rows is not None else ():
        said = "\n".join(message.content for message in row.messages)
        texts[f"row {row.number}"] = said, row.messages[-1].content
    return replace(made, rows=texts)


def afresh(made: PlannedEvaluation) -> PlannedEvaluation:
    """With none of its answers kept. Raises StorageError."""
    with AnswerJournal(made.folder) as kept:
        kept.forget({ask.key for ask in made.asks})
    return replace(made, plan=replace(made.plan, kept=0))


def attempt_of(ask: Ask, answer: Answer) -> Attempt:
    """The graded answer; without its texts where the item is private."""
    verdict, item = ask.suite.grade(ask.item, answer), ask.item
    made = Attempt(
        suite=ask.suite.name,
        item=item.id,
        arm=ask.arm.name,
        number=ask.number,
        seed=ask.request.sampling.seed,
        verdict=verdict.word,
        note="" if item.private else verdict.note,
        finish=answer.finish,
        num_tokens=answer.usage.completion_tokens,
        analysis_tokens=answer.usage.analysis_tokens,
        kind=item.kind,
        private=item.private,
    )
    if item.private:
        return made
    final = answer.final or "\n".join(f"{call.name}({call.raw})" for call in answer.tool_calls)
    made = replace(made, prompt=item.text, expected=item.expected)
    return replace(made, analysis=answer.analysis, final=final)


def groups(asks: Sequence[Ask]) -> Iterator[list[Ask]]:
    """Those of one arm that draw alike, whatever their suites: they are answered together.

    A step of many rows takes little more than one of few; but each row of a batch has the room of
    its longest, so that long answers stay among themselves.
    """
    groups: dict[tuple[str, SamplingSettings], list[Ask]] = {}
    for ask in asks:
        sampling = ask.request.sampling
        room = max(SHORT, sampling.max_tokens)
        alike = replace(sampling, seed=0, max_tokens=room, stop=())
        groups.setdefault((ask.arm.name, alike), []).append(ask)
    yield from groups.values()


def answered(group: Sequence[Ask], journal: AnswerJournal) -> Iterator[tuple[Ask, Answer]]:
    """(ask, answer) of asks that share adapters: kept ones first, others as they come, and kept."""
    left = []
    for ask in group:
        kept = journal.get(ask.key)
        if kept is None:
            left.append(ask)
        else:
            yield ask, kept
    for place, answer in each_answer([ask.request for ask in left]):
        journal.add(left[place].key, place, answer)
        yield left[place], answer
