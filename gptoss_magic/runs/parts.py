"""What a run trains: the parts of its method, by the data's routing, and the stages it takes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import ref

from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import method_of, settings_of
from gptoss_magic.tuning.runs import checked_name, read_run
from gptoss_magic.turns.progress import noted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gptoss_magic.routing.scores import Scores
    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.tuning.runs import Run
    from gptoss_magic.tuning.settings import MethodSettings
    from gptoss_magic.turns.progress import Progress

LATEST: list[Any] = []


def stages(wanted: Wanted) -> list[Wanted]:
    """The runs that a method needs: one with a first stage trains that for half of the steps.

    A first stage that lies finished in the folder is not run again.
    """
    stage = method_of(wanted.method).first
    if not stage:
        return [wanted]
    train = wanted.train
    half = replace(train, num_steps=-(-train.num_steps // 2), epochs=train.epochs / 2)
    first = replace(wanted, name=f"{wanted.name}.{stage}", method=settings_of(stage))
    halves = [replace(first, train=half), replace(wanted, train=half)]
    folder = first.folder / first.name
    is_done = folder.exists() and read_run(folder).finish == "return"
    return halves[1:] if is_done else halves


def parts_of(
    wanted: Wanted, engine: Any, steps: Sequence[Any], progress: Progress
) -> tuple[MethodSettings, list[Any]]:
    """The method and its new parts; or, with `after`, that run's parts as it left them."""
    from gptoss_magic.tuning.methods import make_parts
    from gptoss_magic.tuning.methods.context import Context

    if wanted.after:
        before, parts = left(wanted.folder / checked_name(wanted.after), engine.model.device)
        return before.method, parts
    method, below = wanted.method, _below(wanted, engine.model.device)
    hot: list[list[int]] = []
    if method.by_routing:
        with ExitStack() as stack:
            for part in below:
                stack.callback(part.attach(engine.model))
            hot = hot_experts(engine, method, steps, progress, below)
    sequences = [sequence for step in steps for sequence in step]
    context = Context(method, wanted.train.seed, hot, sequences)
    return method, [*below, *make_parts(engine.model, context)]


def opened(folder: Path) -> tuple[Run, Path]:
    """A run of the resident model, and its newest checkpoint. Raises InputError."""
    from gptoss_magic.tuning.checkpoints import latest_checkpoint

    run, identity = read_run(folder), current().require().identity
    if run.model.get("weights") != identity["weights"]:
        raise InputError(
            f"{run.name}: made on {run.model.get('model')}, but {identity['model']} is loaded; "
            "load that one first"
        )
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        raise InputError(f"{run.name}: nothing of it was trained yet; delete it and start again")
    return run, checkpoint


def left(folder: Path, device: Any) -> tuple[Run, list[Any]]:
    """A run and its parts as its newest checkpoint has them."""
    from gptoss_magic.tuning.checkpoints import load_parts
    from gptoss_magic.tuning.layout import revive

    run, checkpoint = opened(folder)
    parts = revive(run.parts, device)
    load_parts(checkpoint, parts)
    return run, parts


def _below(wanted: Wanted, device: Any) -> list[Any]:
    """The parts of a first stage, frozen; none for methods without one."""
    stage = method_of(wanted.method).first
    if not stage:
        return []
    _, parts = left(wanted.folder / f"{wanted.name}.{stage}", device)
    return [part.requires_grad_(False) for part in parts]


def hot_experts(
    engine: Any,
    method: MethodSettings,
    steps: Sequence[Any],
    progress: Progress,
    below: Sequence[Any] = (),
) -> list[list[int]]:
    """By layer: what the training texts use, answers and reasoning included, as the method chooses.

    `below`: parts that are attached meanwhile.
    """
    texts = list({e.ids: None for step in steps for sequence in step for e in sequence})
    scores = _scores(engine, tuple(texts), progress, keep=not below)
    choose = method_of(method).hot
    return choose(scores, method) if choose else []


def _scores(engine: Any, texts: tuple[Any, ...], progress: Progress, *, keep: bool) -> Scores:
    """Scores of the texts; the latest ones of the bare model are kept, for a run after its plan."""
    from gptoss_magic.harmony.channels import channels_of
    from gptoss_magic.routing.score import score

    if keep and LATEST and LATEST[0]() is engine and LATEST[1] == texts:
        kept: Scores = LATEST[2]
        return kept
    places = [channels_of(ids, engine.codec) for ids in texts]
    found = score(engine.model, texts, places, noted(progress, "routing"), reap=False)
    if keep:
        LATEST[:] = [ref(engine), texts, found]
    return found


def trained_experts(parts: Sequence[Any], num_layers: int) -> list[list[int]]:
    """By layer the experts that the parts train."""
    found: list[set[int]] = [set() for _ in range(num_layers)]
    for part in parts:
        if part.trained_experts:
            found[int(part.target.split(".")[2])].update(part.trained_experts)
    return [sorted(experts) for experts in found]
