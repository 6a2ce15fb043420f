"""A tuning run while it goes on: curves, numbers and controls; static remains when it is over."""

from __future__ import annotations

import math
from array import array
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.widgets.transcript import in_kernel
from gptoss_magic.widgets.tuning_screens import Lines, Live
from gptoss_magic.widgets.tuning_static import (
    Ending,
    duration_text,
    ending_html,
    ending_text,
    memory_text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from gptoss_magic.records import StepMetrics
    from gptoss_magic.widgets.tuning_screens import RunSetup, RunState

REACH = 10.0  # the slider goes from a tenth of the run's rate to ten times it
NONE = math.nan


class RunControls(Protocol):
    """What the buttons do. Called from another thread than the loop's."""

    @property
    def stopped(self) -> bool: ...
    @property
    def paused(self) -> bool: ...
    @property
    def rate(self) -> float | None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def set_rate(self, learning_rate: float) -> None: ...


class TuningPanel:
    """Fed with StepMetrics; a widget in a kernel, lines in a terminal, nothing when quiet.

    `learning_rate` is the peak that the run starts with, above 0; `facts` are labels and values
    that stay in sight. `num_ranks`: of a launched run, whose steps say what each of them did.
    What is left in the notebook is made on `finish`, or on leaving.
    """

    def __init__(
        self,
        control: RunControls,
        title: str,
        num_steps: int,
        learning_rate: float,
        facts: Sequence[tuple[str, str]] = (),
        *,
        num_ranks: int = 0,
        quiet: bool = False,
    ) -> None:
        self._num_ranks = num_ranks
        self._control, self._title, self._num_steps = control, title, num_steps
        self._rate, self._facts, self._quiet = learning_rate, tuple(facts), quiet
        self._steps: list[StepMetrics] = []
        self._pace = Pace()
        self._began = monotonic()
        self._note = ""
        self._screen: Live | Lines | None = None
        self._finished = False

    def __enter__(self) -> Self:
        self._began = monotonic()
        if self._quiet:
            return self
        if in_kernel() and find_spec("anywidget") is not None:
            self._screen = Live(self)
        else:
            self._screen = Lines(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._finished:
            return
        if isinstance(error, Exception) and not self._steps:
            self._leave({"text/plain": ""}, {})  # the error's own line says it all
        else:
            self._leave(self._bundle(self._how(error), "", ""), {})

    def step(self, metrics: StepMetrics) -> None:
        """Take one step's numbers. Cheap to call often."""
        self._pace.step(monotonic(), paused=self._control.paused)
        self._steps.append(metrics)
        if self._screen is not None:
            self._screen.step()

    def note(self, text: str) -> None:
        """One line about what goes on ('measuring before'); empty to take it away."""
        self._note = text
        if self._screen is not None:
            self._screen.note()

    def finish(self, html: str, text: str, metadata: dict[str, Any] | None = None) -> None:
        """Leave the curves and key numbers, then `html` and `text`; `metadata` on the output."""
        self._leave(self._bundle(self._how(None), html, text), metadata or {})

    def state(self) -> RunState:
        """All but the steps' numbers, as the widget's page reads it."""
        left = self._pace.left(self._num_steps - self._last_step)
        return {
            "state": self._state(),
            "note": self._note,
            "rate": self._control.rate or self._rate,
            "seconds": monotonic() - self._began,
            "left": None if left is None else duration_text(left),
        }

    def rows(self, first: int) -> bytes:
        """Steps from the `first`: float64, see `numbers` and `rank_numbers`."""
        rows = array("d")
        for step in self._steps[first:]:
            rows.extend((*numbers(step), *rank_numbers(step, self._num_ranks)))
        return rows.tobytes()

    def hear(self, content: Any) -> None:
        """Do what a button or the slider says; what makes no sense is passed over."""
        op = content.get("op") if isinstance(content, dict) else None
        actions = {
            "stop": self._control.stop,
            "pause": self._control.pause,
            "resume": self._control.resume,
        }
        if op in actions:
            actions[op]()
            self._pace.skip()
        elif op == "rate":
            self._set_rate(content.get("rate"))

    def line(self) -> str:
        """The last step in one line of text."""
        if not self._steps:
            return f"{self._title}: {self._note}" if self._note else self._title
        last = self._steps[-1]
        held = next((s.eval_loss for s in reversed(self._steps) if s.eval_loss is not None), None)
        left = self._pace.left(self._num_steps - self._last_step)
        words = [
            f"step {last.step:,} of {self._num_steps:,}",
            f"loss {last.loss:.4g}",
            "" if held is None else f"held out {held:.4g}",
            f"rate {last.learning_rate:.3g}",
            f"{last.tokens_per_s:,.0f} tokens/s",
            memory_text(last.memory),
            "" if left is None else f"{duration_text(left)} left",
            self._note,
        ]
        return " · ".join(filter(None, words))

    def setup(self) -> RunSetup:
        """What does not change during the run."""
        return {
            "title": self._title,
            "facts": [list(fact) for fact in self._facts],
            "num_steps": self._num_steps,
            "num_ranks": self._num_ranks,
            "learning_rate": self._rate,
            "reach": REACH,
        }

    @property
    def _last_step(self) -> int:
        return self._steps[-1].step if self._steps else 0

    def _state(self) -> str:
        if self._last_step >= self._num_steps:
            return "done"
        if self._control.stopped:
            return "stopping"
        return "paused" if self._control.paused else "running"

    def _set_rate(self, rate: Any) -> None:
        if isinstance(rate, int | float) and math.isfinite(rate) and rate > 0:
            self._control.set_rate(min(max(rate, self._rate / REACH), self._rate * REACH))

    def _how(self, error: BaseException | None) -> str:
        at = f" after step {self._steps[-1].step:,}" if self._steps else ""
        if isinstance(error, KeyboardInterrupt):
            return f"interrupted{at}"
        if error is not None:
            return f"ended by {type(error).__name__}{at}: {error}"
        early = self._control.stopped and self._last_step < self._num_steps
        return f"stopped{at}" if early else "finished"

    def _bundle(self, how: str, html: str, text: str) -> dict[str, str]:
        seconds = monotonic() - self._began
        run = Ending(self._title, self._facts, tuple(self._steps), self._num_steps, how, seconds)
        words = ending_text(run) + (f"\n\n{text}" if text else "")
        return {"text/html": ending_html(run) + html, "text/plain": words}

    def _leave(self, data: dict[str, str], metadata: dict[str, Any]) -> None:
        self._finished = True
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.leave(data, metadata)


class Pace:
    """Seconds a step, over the last ones; time spent in a pause does not count."""

    def __init__(self, window: int = 50) -> None:
        self._window = window
        self._gaps: list[float] = []
        self._last: float | None = None

    def step(self, now: float, *, paused: bool = False) -> None:
        if self._last is not None:
            self._gaps = [*self._gaps, now - self._last][-self._window :]
        self._last = None if paused else now

    def skip(self) -> None:
        """The gap that is open does not count."""
        self._last = None

    def left(self, num_steps: int) -> float | None:
        """Seconds for so many more steps; None while nothing is known."""
        if not self._gaps:
            return None
        return max(num_steps, 0) * sum(self._gaps) / len(self._gaps)


def numbers(step: StepMetrics) -> tuple[float, ...]:
    """One step as a row of twelve numbers; not-a-number where nothing was measured."""
    drift = step.drift
    away = (NONE, NONE, NONE)
    if drift is not None:
        away = (drift.distance, drift.entropy, NONE if drift.share is None else drift.share)
    held = NONE if step.eval_loss is None else step.eval_loss
    figures = (step.grad_norm, step.tokens_per_s, step.memory)
    probe = (NONE, NONE) if step.probe is None else (step.probe.score, step.probe.base)
    return (step.step, step.loss, held, step.learning_rate, *figures, *away, *probe)


def rank_numbers(step: StepMetrics, num_ranks: int) -> tuple[float, ...]:
    """Of each rank: loss, tokens/s, memory in MB, load of the busiest expert.

    Not-a-number where a step has no such rank: it was done by fewer processes.
    """
    found: list[float] = []
    for rank in range(num_ranks):
        if rank < len(step.ranks):
            one = step.ranks[rank]
            loss = NONE if one.loss is None else one.loss
            found += [loss, one.tokens_per_s, one.memory / 1e6, one.load]
        else:
            found += [NONE] * 4
    return tuple(found)
