"""A tuning run from rows to an attached adapter: prepare (and plan), train, finish, resume.

rows → tokens → routing → parts → plan      `prepare`: nothing is trained or written yet
Tuning.steps(control)                       yields `StepMetrics`; checkpoints by themselves
report.finish(tuning)                       writes the adapter, attaches it, reports
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.runs.wanted import FOLDER
from gptoss_magic.session import current
from gptoss_magic.tuning.interrupts import uninterrupted
from gptoss_magic.tuning.runs import Run, checked_name, new_run, read_data, save_run
from gptoss_magic.turns.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records import Example, StepMetrics, SuiteProbe
    from gptoss_magic.records.signals import SignalRates
    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.settings import MethodSettings, TrainSettings
    from gptoss_magic.tuning.trainer import Controls, Trainer, TrainingWork
    from gptoss_magic.turns.progress import Progress

SAVE_EVERY_S = 20.0


class Probing(Protocol):
    """What looks at a run between its steps."""

    def is_due(self, metrics: StepMetrics) -> bool:
        """Whether it looks behind this step."""

    def __call__(self, tuning: Tuning) -> SuiteProbe:
        """What it sees."""


@dataclass
class Tuning:
    """A run that can be trained: on the disk from `begin` on.

    `data`: (steps, held-out sequences); `prompts`: token ids, answered before and after. `signal`
    measures a word that was to be learned, when the run is over.
    """

    run: Run
    trainer: Trainer
    plan: TunePlan | None
    data: tuple[Sequence[Any], Sequence[Any]]
    prompts: Sequence[Any] = ()
    probe: Probing | None = None
    signal: Callable[[Tuning, Progress], SignalRates] | None = None

    def begin(self) -> None:
        """Make the run's folder. Raises InputError where the name is taken."""
        self.run = new_run(self.run, self.data)

    def steps(self, control: Controls) -> Generator[StepMetrics]:
        """Train, yielding metrics; state is on the disk every 20 s and however it ends.

        `probe` is asked behind the steps it wants, the parts put away; its word goes with them.
        """
        from gptoss_magic.tuning.checkpoints import save_checkpoint

        saved, finish = monotonic(), "interrupt"
        try:
            for metrics in self._metrics(control):
                yield metrics
                if monotonic() - saved > SAVE_EVERY_S:
                    with uninterrupted():
                        save_checkpoint(self.run.folder, self.trainer)
                    saved = monotonic()
            finish = "stopped" if control.stopped else "return"
        finally:
            with uninterrupted():
                save_checkpoint(self.run.folder, self.trainer)
                self.run = replace(self.run, finish=finish)
                save_run(self.run)

    def _metrics(self, control: Controls) -> Generator[StepMetrics]:
        """The trainer's steps; it stands still, and nothing is attached, where the probe is due."""
        history, probe, is_over = self.trainer.progress.history, self.probe, False
        while not is_over:
            run, is_over = self.trainer.run(control), True
            for metrics in run:
                if probe is None or not probe.is_due(metrics):
                    yield metrics
                    continue
                run.close()
                history[-1] = replace(metrics, probe=probe(self))
                yield history[-1]
                is_over = False
                break


def prepare(wanted: Wanted, progress: Progress = silent, *, watched: bool = True) -> Tuning:
    """Tokens, routing, parts and plan of a run; the model is loaded first where none is.

    Not `watched`: no time is in the plan and no drift beside the steps; each takes seconds.
    Raises InputError where something does not fit together; nothing is written.
    """
    from gptoss_magic.runs.parts import parts_of
    from gptoss_magic.runs.texts import texts_of
    from gptoss_magic.tuning.layout import layout

    resident, engine = _resident()
    folder = wanted.folder / checked_name(wanted.name)
    rate = wanted.train.learning_rate or settings_for(wanted.method, 1).learning_rate
    train = replace(wanted.train, learning_rate=rate)
    texts = texts_of(replace(wanted, train=train), engine, progress)
    method, parts = parts_of(wanted, engine, texts.steps, progress)
    work = work_of(engine.model, method, parts, (texts.steps, texts.held_out), watched=watched)
    trainer = trainer_of(engine.model, method, parts, work, train)
    plan = plan_of(resident, trainer, method, speed_of(trainer) if watched else None)
    described, about = layout(parts), texts.about
    run = Run(folder, method, train, resident.identity, described, about, texts.base)
    return Tuning(run, trainer, plan, (texts.steps, texts.held_out), texts.prompts)


def resume(name: str, folder: Path = Path(FOLDER), *, watched: bool = True) -> Tuning:
    """A run of `folder` where its newest checkpoint stands; `watched` as of `prepare`.

    Raises InputError where there is none, or it was made on another model.
    """
    from gptoss_magic.runs.parts import opened
    from gptoss_magic.runs.texts import prompts_of
    from gptoss_magic.tuning.checkpoints import load_checkpoint
    from gptoss_magic.tuning.layout import revive

    _, engine = _resident()
    run, checkpoint = opened(folder / checked_name(name))
    steps, held_out = read_data(run)
    parts = revive(run.parts, engine.model.device)
    work = work_of(engine.model, run.method, parts, (steps, held_out), watched=watched)
    trainer = trainer_of(engine.model, run.method, parts, work, run.train)
    load_checkpoint(checkpoint, trainer)
    prompts = prompts_of(held_out or steps[0], engine)
    return Tuning(run, trainer, None, (steps, held_out), prompts)


def settings_for(method: MethodSettings, num_rows: int, **given: Any) -> TrainSettings:
    """What is chosen for the resident model, but for what is `given`."""
    from gptoss_magic.tuning.plan import defaults

    _, engine = _resident()
    chosen = defaults(method, engine.model.config.to_dict(), num_rows)
    return replace(chosen, **given)


def work_of(
    model: Model,
    method: MethodSettings,
    parts: Sequence[Any],
    data: tuple[Any, Any],
    *,
    watched: bool,
) -> TrainingWork:
    """What the trainer needs beside the parts; where `watched`, the drift's base is measured."""
    from gptoss_magic.runs.parts import trained_experts
    from gptoss_magic.tuning.drift import Drifting
    from gptoss_magic.tuning.methods import method_of
    from gptoss_magic.tuning.trainer import TrainingWork

    steps, held_out = data
    experts, drift = trained_experts(parts, model.config.num_hidden_layers), None
    if watched:
        drift = Drifting(model, _probe(held_out or steps[0]), experts)
    own, optimizer = method_of(method).step, method_of(method).optimizer
    after, penalty = own(parts, method) if own else (None, None)
    mine = None if optimizer is None else partial(_made_by, optimizer, method)
    return TrainingWork(steps, held_out, drift, after, penalty, mine)


def _made_by(optimizer: Callable[[list[Any], Any], Any], method: Any, weights: list[Any]) -> Any:
    """The method's own optimizer of these weights."""
    return optimizer(weights, method)


def trainer_of(
    model: Model,
    method: MethodSettings,
    parts: Sequence[Any],
    work: TrainingWork,
    train: TrainSettings,
) -> Trainer:
    """The trainer; activations are recomputed where they would fill a quarter of what is free."""
    from gptoss_magic.model.plan import free_bytes
    from gptoss_magic.tuning.plan import must_recompute
    from gptoss_magic.tuning.trainer import Trainer

    free, tokens = free_bytes(str(model.device)), _longest(work.steps)
    recompute = must_recompute(model.config.to_dict(), method, tokens, free)
    return Trainer(model, parts, work, train, checkpointing=recompute)


def plan_of(
    resident: Any, trainer: Trainer, method: MethodSettings, tokens_per_s: float | None
) -> TunePlan:
    """Memory of the run, and its time where the speed is known."""
    from gptoss_magic.adapters import Adapter

    parts: list[Any] = [p for p in trainer.parts if any(w.requires_grad for w in p.parameters())]
    numbers, what = sum(p.numel() for p in trainer.weights), Adapter("new", tuple(parts)).describe()
    trained = (method, numbers, what)
    return _plan(resident, trained, trainer.work.steps, trainer.checkpointing, tokens_per_s)


def plan_again(run: Run) -> TunePlan:
    """The plan of a run that goes on, from its record alone."""
    from gptoss_magic.model.plan import free_bytes
    from gptoss_magic.tuning.plan import must_recompute

    resident, _ = _resident()
    steps, _ = read_data(run)
    shapes = [s for one in run.parts if not one["frozen"] for s in one["shapes"].values()]
    config, free = resident.model.config.to_dict(), free_bytes(str(resident.model.device))
    recompute = must_recompute(config, run.method, _longest(steps), free)
    trained = (run.method, sum(map(prod, shapes)), f"{len(run.parts)} parts, as before")
    return _plan(resident, trained, steps, recompute, None)


def _plan(
    resident: Any,
    trained: tuple[MethodSettings, int, str],
    steps: Sequence[Any],
    recompute: bool,
    tokens_per_s: float | None,
) -> TunePlan:
    """The plan of `trained`: the method, how many numbers it trains, and what they are."""
    from gptoss_magic.model.plan import free_bytes
    from gptoss_magic.tuning.plan import make_tune_plan

    device, (method, numbers, what) = str(resident.model.device), trained
    return make_tune_plan(
        resident.model.config.to_dict(),
        model=resident.identity["model"],
        weights=resident.plan.weights,
        method=method,
        num_params=numbers,
        what=what,
        sequence_tokens=_longest(steps),
        num_steps=len(steps),
        step_tokens=sum(map(_tokens, steps)) // max(1, len(steps)),
        device=device,
        free=free_bytes(device),
        packed=hasattr(resident.model.get_decoder().layers[0].mlp.experts, "packed"),
        recompute=recompute,
        tokens_per_s=tokens_per_s,
    )


def _tokens(step: Sequence[Sequence[Example]]) -> int:
    return sum(len(example.ids) for sequence in step for example in sequence)


def _longest(steps: Sequence[Sequence[Sequence[Example]]]) -> int:
    return max((_tokens([sequence]) for step in steps for sequence in step), default=0)


def speed_of(trainer: Trainer) -> float:
    """Tokens a second of one sequence, forward and backward; the weights stay as they are."""
    sequence = trainer.work.steps[0][0]
    began = perf_counter()
    trainer.rehearse(sequence)
    return sum(len(example.ids) for example in sequence) / (perf_counter() - began)


def _probe(sequences: Sequence[Sequence[Example]]) -> list[int]:
    ids = [token for sequence in sequences for example in sequence for token in example.ids]
    return ids[:512]


def _resident() -> tuple[Any, Any]:

    session = current().ready()
    return session.require_local(), session.local_engine
