"""The model of this process: `load` it once, `unload` it, `bench` it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gptoss_magic.public import check_kind, public
from gptoss_magic.session import current
from gptoss_magic.turns.status import status
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gptoss_magic.model.plan import Plan

LOAD = {"device": "str", "context": "int", "revision": "str | None", "offline": "bool"}


@public
def load(
    model: str | Path | None = None,
    *,
    replace: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    **options: Any,
) -> str:
    """Load a model once for this process and say in one line what was done.

    `options`: device, context, revision, offline (see `LoadSettings`). `progress` is told bytes
    done, bytes in total and a note; `on_plan` the memory plan, before anything is read.
    Raises InputError, CheckpointError, DoesNotFit, MissingPackage, NotLoaded where another model is
    loaded.
    """
    from gptoss_magic.model.load import LoadSettings, choose_model

    check_known("load: option", options, LOAD)
    for option, value in options.items():
        check_kind(f"load: {option}", value, LOAD[option])
    session = current()
    if model is None and session.loaded is not None:
        return f"{session.name} is {'connected' if session.remote else 'loaded'}"
    name, why = (str(model), "as asked") if model else choose_model()
    settings = LoadSettings(model=name, **options)
    fresh = session.load(settings, progress, on_plan, replace=replace)
    if not fresh:
        return f"{name} is loaded already"
    resident = session.require_local()
    notes = "".join(f"; note: {note}" for note in resident.notes)
    return f"{name} loaded ({why}): {resident.about}{notes}"


@public
def unload() -> None:
    """Free the model of this process."""
    current().unload()


@public
def bench() -> str:
    """A Markdown table of the resident model's speed and memory here, to paste into an issue.

    Raises NotLoaded.
    """
    return as_markdown(bench_figures())


def bench_figures() -> dict[str, str]:
    """What `bench` shows, by name. Raises NotLoaded."""
    from gptoss_magic.generation.bench import measure

    session = current()
    engine = session.local_engine
    state = status(session)
    shown = ("model", "device", "experts", "memory", "context")
    rows = {name: state[name] for name in shown} | {"a token's step": state["decode"]}
    with session.queue.turn():
        return rows | measure(engine) | versions()


def as_markdown(figures: dict[str, str]) -> str:
    """A table of figures by name."""
    lines = [f"| {name} | {value} |" for name, value in figures.items()]
    return "\n".join(["| figure | value |", "| --- | --- |", *lines])


def versions() -> dict[str, str]:
    """Versions of what shapes an answer."""
    return {name: _version(name) for name in ("gptoss_magic", "torch", "transformers")}


@cache
def _version(name: str) -> str:
    """Read once: each answer asks, and what is installed later is not what answers."""
    return version(name)


@public
def attach(path: str | Path, name: str = "", scale: float = 1.0) -> str:
    """Attach an adapter in peft's format; what it changes, in words. Prompts do not use it yet.

    Raises InputError, NotLoaded.
    """
    return str(current().shelf.attach(path, name, scale))


@public
def detach(name: str) -> None:
    """Forget an attached adapter. Raises InputError, NotLoaded."""
    current().shelf.detach(name)


@public
def use(*names: str) -> None:
    """Let prompts use these adapters where they name none; without names the bare base.

    Raises InputError, NotLoaded.
    """
    current().shelf.use(names or ("none",))
