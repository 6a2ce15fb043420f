"""The one trainer: steps over packed sequences, metrics out. It knows parts, not methods.

Legend: T tokens of a sequence, N trained tokens, H hidden size.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from gptoss_magic.model.pages import return_memory
from gptoss_magic.records import RankStep, StepMetrics
from gptoss_magic.tuning.interrupts import uninterrupted
from gptoss_magic.tuning.team import Alone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records import Example
    from gptoss_magic.tuning.drift import Drifting
    from gptoss_magic.tuning.settings import TrainSettings
    from gptoss_magic.tuning.team import Team

CLIP = 1.0


class Controls(Protocol):
    """What a user may do meanwhile; see `tuning.control.Control`."""

    @property
    def stopped(self) -> bool: ...

    @property
    def rate(self) -> float | None: ...

    def wait(self) -> bool: ...


@dataclass(frozen=True)
class TrainingWork:
    """What is trained on: steps of sequences of examples, held-out sequences, a drift probe.

    `after_backward(step, num_steps)`: a method's own part of a step (AdaLoRA's budget);
    `penalty()`: what it adds to the loss. `optimizer(weights)`: its own one.
    """

    steps: Sequence[Sequence[Sequence[Example]]]
    held_out: Sequence[Sequence[Example]] = ()
    drift: Drifting | None = None
    after_backward: Callable[[int, int], None] | None = None
    penalty: Callable[[], Any] | None = None
    optimizer: Callable[[list[Any]], Any] | None = None


@dataclass
class Progress:
    """Where a run stands: steps done, and the metrics so far. Checkpoints keep it."""

    step: int = 0
    history: list[StepMetrics] = field(default_factory=list)


class Trainer:
    """Trains the parts (attached while it runs) of a frozen model.

    Repeats exactly from the same settings, data and parts; `checkpoints` carry a run over a pause.
    The learning rate warms up linearly and falls along a cosine to its floor. `team`: who shares
    the work of each step.
    """

    def __init__(
        self,
        model: Model,
        parts: Sequence[Any],
        work: TrainingWork,
        settings: TrainSettings,
        *,
        checkpointing: bool = False,
    ) -> None:
        import torch

        self.model, self.work, self.settings = model, work, settings
        self.parts = torch.nn.ModuleList(parts)
        self.weights = [p for p in self.parts.parameters() if p.requires_grad]
        own = work.optimizer
        self.optimizer = own(self.weights) if own else _optimizer(self.weights, model.device)
        self.checkpointing = checkpointing
        self.progress = Progress()
        self.rate: float | None = None
        self.team: Team = Alone()

    @property
    def num_steps(self) -> int:
        """How many steps the run has in all."""
        return len(self.work.steps)

    def run(self, control: Controls) -> Generator[StepMetrics]:
        """Yield metrics a step until all are done or `control` stops it.

        The model is as before afterwards. An interrupt leaves the last whole step's state.
        """
        try:
            with self._training():
                while self.progress.step < self.num_steps and control.wait():
                    if control.rate is not None:
                        self.rate = control.rate
                    metrics = self._step()
                    yield metrics
        finally:
            return_memory()  # what the activations took would stay with the allocator

    def evaluate(self, sequences: Sequence[Sequence[Example]] | None = None) -> float | None:
        """Loss per trained token in nats on `sequences`, or what was held out; None without any."""
        import torch

        chosen = self.work.held_out if sequences is None else sequences
        if not chosen:
            return None
        with torch.no_grad(), self._attached():
            return self._mean_loss(chosen, backward=False)

    def rehearse(self, sequence: Sequence[Example]) -> None:
        """One sequence forward and backward, to see how long it takes; nothing is changed."""
        with self._training():
            self._mean_loss([sequence], backward=True)

    def gradients(self) -> list[Any]:
        """By weight, the next step's gradient before it is clipped; None where it has none.

        Nothing is changed.
        """
        with self._training():
            self._mean_loss(self.work.steps[self.progress.step], backward=True)
            self.team.sum_gradients(self.weights)
            return [None if w.grad is None else w.grad.clone() for w in self.weights]

    def learning_rate(self, step: int) -> float:
        """The rate of step `step`, counted from 0."""
        peak = self.rate or self.settings.learning_rate
        return peak * scheduled(step, self.num_steps, self.settings)

    def _step(self) -> StepMetrics:
        began, step = time.perf_counter(), self.progress.step
        sequences, rate = self.work.steps[step], self.learning_rate(step)
        self.team.begin_step()
        loss, norm, mine = self._backward(sequences)
        ranks = self.team.told(mine)
        speed = _tokens(sequences) / (time.perf_counter() - began)
        held_out, drift = self._measured() if self._is_due(step) else (None, None)
        with uninterrupted():
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            if self.work.after_backward is not None:
                self.work.after_backward(step, self.num_steps)
            self.progress.step += 1
            metrics = StepMetrics(
                step + 1,
                self.num_steps,
                loss,
                rate,
                norm,
                speed,
                peak_memory(self.model.device),
                held_out,
                drift,
                ranks=ranks,
            )
            self.progress.history.append(metrics)
        return metrics

    def _backward(self, sequences: Sequence[Sequence[Example]]) -> tuple[float, float, RankStep]:
        """(loss, gradient norm before it is clipped, this process's share of the work).

        The gradients are there afterwards.
        """
        self.optimizer.zero_grad()
        began, own, trained = time.perf_counter(), self.team.share(sequences), _trained(sequences)
        own_loss = self._loss_share(own, trained, backward=True)
        speed = _tokens(own) / (time.perf_counter() - began)
        loss = self.team.summed(own_loss)
        self.team.sum_gradients(self.weights)
        if self.work.penalty is not None:
            self.work.penalty().backward()
        norm = self.team.clip(self.weights, CLIP)
        each = own_loss * trained / _trained(own) if _trained(own) else None
        memory = peak_memory(self.model.device)
        return loss, norm, RankStep(_tokens(own), each, speed, memory)

    def _is_due(self, step: int) -> bool:
        return step % self.settings.eval_every == 0 or step + 1 == self.num_steps

    def _measured(self) -> tuple[float | None, Any]:
        """(held-out loss, drift) of the weights as they were when the step began."""
        import torch

        with torch.no_grad():
            held_out = self.work.held_out
            loss = self._mean_loss(held_out, backward=False) if held_out else None
            return loss, self.work.drift.measure() if self.work.drift else None

    def _mean_loss(self, sequences: Sequence[Sequence[Example]], *, backward: bool) -> float:
        own = self.team.share(sequences)
        return self.team.summed(self._loss_share(own, _trained(sequences), backward=backward))

    def _loss_share(
        self, sequences: Sequence[Sequence[Example]], trained: int, *, backward: bool
    ) -> float:
        """The losses' sum over `sequences`, divided by the `trained` tokens of the whole step."""
        from gptoss_magic.tuning.loss import sequence_loss

        total = 0.0
        for sequence in sequences:
            loss = sequence_loss(self.model, sequence, self._soft()) / max(trained, 1)
            if backward and loss.requires_grad:  # an expert in full may have no rows
                loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _soft(self) -> Any:
        return next((part for part in self.parts if part.is_soft), None)

    @contextmanager
    def _attached(self) -> Iterator[None]:
        with ExitStack() as stack:
            for part in self.parts:
                stack.callback(cast("Any", part).attach(self.model))
            yield

    @contextmanager
    def _training(self) -> Iterator[None]:
        with self._attached():
            if self.checkpointing:
                self.model.activation_checkpointing_enable({"use_reentrant": False})
                self.model.train()
            try:
                yield
            finally:
                if self.checkpointing:
                    self.model.activation_checkpointing_disable()
                    self.model.eval()
                self.optimizer.zero_grad()


def _tokens(sequences: Sequence[Sequence[Example]]) -> int:
    return sum(len(example.ids) for sequence in sequences for example in sequence)


def _trained(sequences: Sequence[Sequence[Example]]) -> int:
    return sum(sum(example.trained) for sequence in sequences for example in sequence)


def scheduled(step: int, num_steps: int, settings: TrainSettings) -> float:
    """Share of the peak rate: linear warm-up, then a cosine to `floor` at the last step."""
    warm = math.ceil(settings.warmup * num_steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / max(1, num_steps - 1 - warm)
    return settings.floor + (1 - settings.floor) * (1 + math.cos(math.pi * done)) / 2


def peak_memory(device: Any) -> int:
    """Bytes at the peak so far: of the allocator of the model's GPU, or of this process."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _optimizer(weights: list[Any], device: Any) -> Any:
    """AdamW without decay; bitsandbytes' paged 8-bit one on a GPU that has it."""
    import torch

    if device.type == "cuda":
        try:
            from bitsandbytes.optim import PagedAdamW8bit
        except ImportError:
            pass
        else:
            return PagedAdamW8bit(weights, lr=0.0, weight_decay=0.0)
    return torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)
