"""What the JupyterLab extension shows of this kernel, told when something happens, never asked for.

Work that begins or ends, a change of the queue and a training step each lead to one message, a
moment later and at most five a second. It is made in a thread beside the cell, so it only reads.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError, error_line
from gptoss_magic.magics.state import model_state
from gptoss_magic.magics.tune_options import FOLDER
from gptoss_magic.quoting import encodable, in_width
from gptoss_magic.records.lab import (
    AdapterState,
    ConversationState,
    LabState,
    RunCurve,
    ServedState,
)
from gptoss_magic.session import current
from gptoss_magic.turns.stopping import WORK
from gptoss_magic.widgets.lab import LabLink, Throttle
from gptoss_magic.widgets.transcript import in_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import StepMetrics
    from gptoss_magic.tuning.runs import Run

VERSION = 1
MAX_RUNS, MAX_POINTS, MAX_CONVERSATIONS, MAX_CHARS, MAX_SERVED = 8, 200, 50, 80, 8


class Watch:
    """Tells the extension what this kernel holds and does."""

    def __init__(self) -> None:
        self.link = LabLink(self.hear)
        self._soon = Throttle(self.tell)
        self._live: dict[str, RunCurve] = {}
        self._note = ""

    def start(self) -> None:
        """From now on; where it has begun already, once more for a page that missed it."""
        self.stop()
        WORK.listeners.append(self.changed)
        current().queue.on_change = self.changed
        self.link.open(self.message())

    def stop(self) -> None:
        """Tell nothing any more."""
        self._soon.cancel()
        if self.changed in WORK.listeners:
            WORK.listeners.remove(self.changed)
        current().queue.on_change = lambda: None
        self.link.close()

    def changed(self) -> None:
        """Something happened: say so in a moment."""
        self._soon.ask()

    def step(self, run: Run, history: Sequence[StepMetrics]) -> None:
        """A training step is done."""
        self._live[run.name] = curve_of(run, history)
        self.changed()

    def tell(self) -> None:
        """Send what holds now."""
        self.link.send(self.message())

    def message(self) -> dict[str, Any]:
        """The state, with every run whose curve may be another than was said."""
        runs: list[RunCurve] = []
        training = training_run()
        if not WORK.name:  # a cell that works may be writing one
            runs, self._note = all_runs()
            self._live = {name: run for name, run in self._live.items() if name == training}
        curves = {run.name: run for run in runs} | self._live
        said = {"state": asdict(lab_state(self._note)), "runs": [*map(asdict, curves.values())]}
        return {"version": VERSION, **said}

    def hear(self, op: str) -> None:
        """What the extension asks: the state, or that the work ends. It is told what was heard."""
        if op == "stop":
            stop_work()
        if op in ("state", "stop"):
            self.link.send(self.message() | {"heard": op})


@cache
def watch() -> Watch:
    """The one of this process."""
    return Watch()


def open_link() -> None:
    """In a kernel: let the extension know of it."""
    if in_kernel():
        watch().start()


def close_link() -> None:
    """The extension shows nothing of this kernel any more."""
    if in_kernel():
        watch().stop()


def show_step(run: Run, history: Sequence[StepMetrics]) -> None:
    """A step of a run that trains here."""
    if in_kernel():
        watch().step(run, history)


def stop_work() -> bool:
    """End what a cell does, else the run in the background; False where nothing runs."""
    if WORK.stop():
        return True
    training = current().training
    if training is None:
        return False
    training[1].stop()
    return True


def lab_state(note: str = "") -> LabState:
    """What this kernel holds and does now."""
    session, model = current(), model_state()
    cache_bytes, cache_limit = cache_use()
    return LabState(
        model=model["model"],
        device=model.get("device", ""),
        memory=model.get("memory", 0),
        context=model.get("context", 0),
        used=model.get("used", 0),
        tokens_per_s=model.get("tokens_per_s", 0.0),
        cache=cache_bytes,
        cache_limit=cache_limit,
        working=model["working"],
        training=training_run(),
        persona=" + ".join(session.persona),
        queue=session.queue.waiting,
        adapters=adapters(),
        conversations=conversations(),
        indexes=indexes(),
        served=served(),
        note=note,
    )


def training_run() -> str:
    """The name of the run that has the model; '' where none has."""
    training = current().training
    return training[0] if training else ""


def cache_use() -> tuple[int, int]:
    """Bytes of the KV caches that are kept, and their limit; 0 where the engine keeps none."""
    loaded = current().loaded
    prefixes = getattr(loaded[1], "prefixes", None) if loaded else None
    if prefixes is None:
        return 0, 0
    return sum(one.cache.num_bytes for one in list(prefixes.held.values())), prefixes.limit


def adapters() -> tuple[AdapterState, ...]:
    shelf = current().held_adapters
    if shelf is None:
        return ()
    held, used = list(shelf.held.items()), shelf.default
    return tuple(AdapterState(name, one.scale, name in used) for name, one in held)


def conversations() -> tuple[ConversationState, ...]:
    """The latest ones."""
    kept = current().conversations
    return tuple(_conversation(name) for name in list(kept)[-MAX_CONVERSATIONS:])


def _conversation(name: str) -> ConversationState:
    chain = current().conversations.chain(name)
    if not chain:  # its last turn has just gone
        return ConversationState(name, 0, 0, "")
    last = chain[-1]
    short = in_width(encodable(last.asked.content[: 10 * MAX_CHARS]), MAX_CHARS)
    tokens = len(last.prompt_ids) + len(last.answer_ids)
    return ConversationState(encodable(name), len(chain), tokens, short)


def indexes() -> tuple[str, ...]:
    from gptoss_magic.retrieval.store import names_at_home

    return tuple(map(encodable, names_at_home()))


def served() -> tuple[ServedState, ...]:
    """The endpoint's latest requests, the newest first; none where it does not serve."""
    server = sys.modules.get("gptoss_magic.serving.server")
    service = server.serving() if server else None
    if service is None:
        return ()
    return tuple(
        ServedState(
            one.id,
            in_width(encodable(one.asked), MAX_CHARS),
            encodable(one.model),
            one.state,
            one.num_tokens,
        )
        for one in list(service.answers.ledger)[-MAX_SERVED:][::-1]
    )


def show_served(service: Any) -> None:
    """Tell of what is served as it comes."""
    if in_kernel():
        service.answers.ledger.listeners.append(watch().changed)


def all_runs(folder: str = FOLDER) -> tuple[list[RunCurve], str]:
    """The latest runs on the disk, and what is wrong with one that cannot be read."""
    if not Path(folder).is_dir():
        return [], ""
    from gptoss_magic.tuning.runs import RECORD

    files = [(file.stat().st_mtime, file) for file in Path(folder).glob(f"*/{RECORD}")]
    curves, note = [], ""
    for time, file in sorted(files)[-MAX_RUNS:]:
        try:
            curves.append(_curve_in(file.parent.resolve(), time))
        except (GptOssError, OSError, ValueError, KeyError) as error:
            note = error_line(error)
    return curves, note


@lru_cache(64)
def _curve_in(folder: Path, _time: float) -> RunCurve:
    """Read once for each time that its record was written."""
    from gptoss_magic.tuning.runs import read_run

    run = read_run(folder)
    return curve_of(run, run.history())


def curve_of(run: Run, history: Sequence[StepMetrics]) -> RunCurve:
    """A run's losses, thinned for a small picture."""
    last = history[-1] if history else None
    loss = [(one.step, one.loss) for one in history if math.isfinite(one.loss)]
    held = [(one.step, one.eval_loss) for one in history if one.eval_loss is not None]
    return RunCurve(
        name=encodable(run.name),
        method=run.method.name,
        finish=run.finish,
        step=last.step if last else 0,
        num_steps=last.num_steps if last else 0,
        loss=_thinned(loss),
        held_out=_thinned([point for point in held if math.isfinite(point[1])]),
    )


def _thinned(points: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Every so many-th point and the last one."""
    stride = math.ceil(len(points) / MAX_POINTS) or 1
    kept = points[::stride]
    return tuple(kept if not points or kept[-1] == points[-1] else [*kept, points[-1]])
