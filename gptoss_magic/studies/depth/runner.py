"""A depth study that runs: a rung after another, each kept whole, figures from all of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from gptoss_magic.errors import ContextOverflow, DoesNotFit, InputError, MissingPackage
from gptoss_magic.model.pages import return_memory
from gptoss_magic.records.depth import BARE
from gptoss_magic.runs.wanted import FOLDER as RUNS
from gptoss_magic.session import current
from gptoss_magic.studies.answer_journal import AnswerJournal
from gptoss_magic.studies.depth import context, ladder
from gptoss_magic.studies.depth.asked import asked
from gptoss_magic.studies.depth.figures import depth_with, num_right
from gptoss_magic.studies.depth.general import GeneralTexts
from gptoss_magic.studies.depth.journal import RungRecord, keep_rung, kept_rung
from gptoss_magic.studies.depth.judge import judged
from gptoss_magic.studies.depth.report import concluded
from gptoss_magic.studies.depth.setup import Setup, asks_of_rung
from gptoss_magic.studies.depth.task import TASK
from gptoss_magic.studies.depth.trained import attach_again, train, wanted_for
from gptoss_magic.studies.evaluate import attempt_of
from gptoss_magic.turns.loading import versions
from gptoss_magic.turns.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.evaluation.suite import Verdict
    from gptoss_magic.records.depth import Depth, DepthPlan
    from gptoss_magic.records.evaluations import Attempt
    from gptoss_magic.studies.depth.asked import Answers
    from gptoss_magic.studies.depth.guards import Guards
    from gptoss_magic.studies.depth.journal import StudyRecord
    from gptoss_magic.studies.depth.ladder import Candidate
    from gptoss_magic.studies.depth.task import DepthTask
    from gptoss_magic.turns.progress import Progress

CANNOT = (InputError, DoesNotFit, ContextOverflow, MissingPackage)  # a rung that does not work here


@dataclass(frozen=True)
class Made:
    """A rung that stands ready to be asked: what it put beside the model, and what that took."""

    setup: Setup
    seconds: float = 0.0
    trained: int = 0
    size: int = 0
    run: str = ""


@dataclass
class DepthStudy:
    """A planned study in its `folder`. `records`: the rungs that are done, bare first.

    `record`: what a new study is begun with; None for one that lies there.
    """

    task: DepthTask
    guards: Guards
    plan: DepthPlan
    rungs: Sequence[Candidate]
    folder: Path
    runs: Path = field(default_factory=lambda: Path(RUNS))
    record: StudyRecord | None = None
    records: list[RungRecord] = field(default_factory=list)
    finish: str = "return"

    def __post_init__(self) -> None:
        self.texts = GeneralTexts(self.guards.num_texts)

    def run(
        self,
        told: Callable[[Depth], object] | None = None,
        progress: Progress = silent,
    ) -> Depth:
        """Run what is not done yet; `told` is given all that is, behind each rung.

        ■ keeps what is done, and the study goes on there by `resume`. The adapters in use are as
        before, however it ends. A rung that cannot be made here is dropped by name.
        Raises StorageError, ServerError.
        """
        with as_before():
            try:
                for candidate in self.rungs:
                    self._add(candidate, progress)
                    if told is not None:
                        told(self.depth())
            except KeyboardInterrupt:
                self.finish = "interrupt"
        return concluded(self.depth())

    def depth(self) -> Depth:
        """The figures of what is done so far."""
        about = {**current().require().identity, "versions": versions(), "seed": self.plan.seed}
        return depth_with(self.plan, self.records, self.finish, self.folder, about)

    def _add(self, candidate: Candidate, progress: Progress) -> None:
        """The record of a rung: as it was kept, or by running it."""
        rung = candidate.rung
        record = kept_rung(self.folder, rung.key)
        if record is None:
            try:
                record = self._measured(candidate, progress)
            except CANNOT as error:
                if rung.key == BARE:  # then there is nothing to compare with
                    raise
                record = RungRecord(rung, why=str(error))
            keep_rung(self.folder, record)
            return_memory()
        self.records.append(record)

    def _measured(self, candidate: Candidate, progress: Progress) -> RungRecord:
        rung, seed = candidate.rung, self.plan.seed
        parts = self._best_two() if rung.step == ladder.BOTH else ()
        rung = replace(rung, parts=parts)
        progress(0, 1, f"making {rung.key}")
        made = self._made(candidate, parts, progress)
        asks = asks_of_rung(
            rung.key, made.setup, [self.task.suite, *self.guards.suites.values()], seed
        )
        with AnswerJournal(self.folder / "answers") as journal:
            answers = asked(asks, journal, progress, rung.key)
            attempts = self._attempts(answers, journal)
        progress(0, 1, f"{rung.key}: general text")
        return RungRecord(
            rung=rung,
            attempts=tuple(attempts),
            prompt_tokens=tuple(answer.usage.prompt_tokens for _, answer in answers),
            texts=self.texts.figures(made.setup),
            drift=self.texts.drift(made.setup.adapters) if made.setup.adapters else None,
            trained=made.trained,
            size=made.size or made.setup.size(),
            seconds=made.seconds,
            run=made.run,
            persona=made.setup.persona_file,
        )

    def _made(self, candidate: Candidate, parts: tuple[str, ...], progress: Progress) -> Made:
        """What the rung puts beside the model."""
        if parts:
            context_part, trained_part = (self._again(key) for key in parts)
            setup = context_part.setup.joined(trained_part.setup)
            size = context_part.setup.size() + trained_part.size
            return Made(setup, 0.0, trained_part.trained, size, trained_part.run)
        if candidate.method is not None:
            name = f"{self.task.name}-{candidate.rung.key}"
            wanted = wanted_for(self.task, name, candidate.method, self.plan.seed, self.runs)
            run = train(wanted, progress)
            return Made(Setup(adapters=(run.run,)), run.seconds, run.numbers, run.size, run.run)
        began = perf_counter()
        setup = self._context(candidate)
        return Made(setup, perf_counter() - began, size=self._index_size(setup))

    def _context(self, candidate: Candidate) -> Setup:
        """The setup of a rung that changes no weight."""
        step, task, seed = candidate.rung.step, self.task, self.plan.seed
        if step == ladder.SYSTEM:
            return context.system_setup(task)
        if step == ladder.PERSONA:
            return context.persona_setup(task, self.folder, seed)
        if step == ladder.EXAMPLES:
            return context.examples_setup(task, candidate.amount, seed)
        if step == ladder.RETRIEVAL:
            return context.retrieval_setup(task, candidate.amount, self.folder)
        return context.tools_setup(task) if step == ladder.TOOLS else Setup()

    def _again(self, key: str) -> Made:
        """A rung that is done, ready once more."""
        candidate = next(one for one in self.rungs if one.rung.key == key)
        record = next(one for one in self.records if one.rung.key == key)
        if candidate.method is None:
            return Made(self._context(candidate))
        attach_again(record.run, self.runs)
        return Made(
            Setup(adapters=(record.run,)), record.seconds, record.trained, record.size, record.run
        )

    def _best_two(self) -> tuple[str, str]:
        """(the context rung, the trained one) that gained most; the cheaper one where it is even.

        They are chosen by the same held-out rows, which flatters them a little.
        """
        done = [one for one in self.records if not one.why and one.rung.step]
        sides = [[one for one in done if one.rung.trains is trains] for trains in (False, True)]
        if not all(sides):
            raise InputError("one of its two parts could not be made; run more rungs")
        context_one, trained_one = (max(side, key=num_right).rung.key for side in sides)
        return context_one, trained_one

    def _index_size(self, setup: Setup) -> int:
        """Bytes of the learned rows, where they are looked up; 0 else."""
        if setup.retriever is None:
            return 0
        said = [message.content for row in self.task.train for message in row.messages]
        return sum(len(text.encode("utf-8", "replace")) for text in said)

    def _attempts(self, answers: Answers, journal: AnswerJournal) -> list[Attempt]:
        """Each graded; by the judge where the task has a rubric."""
        made = [attempt_of(ask, answer) for ask, answer in answers]
        if not self.task.body.rubric:
            return made
        places = [n for n, (ask, _) in enumerate(answers) if ask.suite.name == TASK]
        pairs = [(answers[n][0].item, answers[n][1]) for n in places]
        said = judged(self.task.body.rubric, pairs, lambda asks: asked(asks, journal))
        for place, verdict in zip(places, said, strict=True):
            made[place] = _with_verdict(made[place], verdict)
        return made


def _with_verdict(attempt: Attempt, verdict: Verdict) -> Attempt:
    return replace(attempt, verdict=verdict.word, note=verdict.note)


@contextmanager
def as_before() -> Iterator[None]:
    """Within, adapters come and go; afterwards those are attached and in use that were before."""
    shelf = current().shelf
    held, default = set(shelf.held), shelf.default
    try:
        yield
    finally:
        for name in [name for name in shelf.held if name not in held]:
            shelf.detach(name)
        shelf.use(default)
