"""Heavy imports in one piece: an interrupt half-way through torch's would break it for good."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.installed import check_installed

if TYPE_CHECKING:
    from collections.abc import Iterator

_ours: set[str] = set()  # variables that stand in the environment because we said so


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold an interrupt back until the block is done, then raise it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collections in the block: what is imported is no garbage; looking takes a fifth.

    It is then old at once, so that young generations' collections do not look at all of it either.
    Nothing happens where the engine is there already.
    """
    if "transformers.models.gpt_oss.modeling_gpt_oss" in sys.modules:
        yield
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()


def sleep_at_barriers() -> None:
    """Let OpenMP's threads sleep where they wait for each other, unless the user said otherwise.

    By default they spin: beside a busy process (the browser that shows the notebook) each of
    torch's products then takes whole time slices. OpenMP reads this once, as torch is imported;
    `import_engine` then takes it out of the environment, which other programs inherit.
    """
    is_told = "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ
    if "torch" not in sys.modules and not is_told:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        _ours.add("OMP_WAIT_POLICY")


def import_engine() -> Any:
    """Import what loading and generating need, undisturbed; gives torch.

    Raises MissingPackage for a version that this package was not tested with.
    """
    check_installed()
    sleep_at_barriers()
    with undisturbed(), uncollected():
        import accelerate  # noqa: F401
        import torch
        from safetensors import safe_open  # noqa: F401
        from transformers import AutoTokenizer  # noqa: F401
        from transformers.models.gpt_oss import modeling_gpt_oss  # noqa: F401
    while _ours:
        os.environ.pop(_ours.pop(), None)
    return torch


@contextmanager
def without_bars() -> Iterator[None]:
    """Hide transformers' own progress bars: in a notebook each leaves a dead widget behind."""
    gguf_reader: Any = import_module("transformers.modeling_gguf_pytorch_utils")
    logging: Any = import_module("transformers.utils.logging")
    bar, shown = gguf_reader.tqdm, logging.is_progress_bar_enabled()
    gguf_reader.tqdm = lambda items, **_: items
    logging.disable_progress_bar()
    try:
        yield
    finally:
        gguf_reader.tqdm = bar
        if shown:
            logging.enable_progress_bar()
