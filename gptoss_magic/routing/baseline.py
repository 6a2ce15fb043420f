"""How a model routes general text: the texts ship with the package, the scores are kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.harmony import SystemSettings, render, system_message
from gptoss_magic.harmony.channels import channels_of
from gptoss_magic.records import Message
from gptoss_magic.routing.score import score
from gptoss_magic.routing.scores import Scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.model.protocol import Model

TEXTS = Path(__file__).parent / "data" / "baseline.jsonl"
FORMAT = 1


def baseline(
    model: Model,
    codec: HarmonyCodec,
    weights: str,
    on_text: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Scores of the shipped texts through `model`: prose, facts, code, maths, talk, six languages.

    Computed once for the fingerprint `weights` and kept in the cache directory; anew where that
    file is damaged or cannot be written, and where something is attached to the model.
    """
    if not is_bare(model):
        return _computed(model, codec, on_text)
    file = cached_at(weights)
    found = _read(file, (model.config.num_hidden_layers, model.config.num_local_experts))
    if found is None:
        found = _computed(model, codec, on_text)
        with suppress(OSError):
            _write(file, found)
    return found


def cached_at(weights: str) -> Path:
    """The file with the scores of the model that has these weights, whether it is there or not."""
    from gptoss_magic.model.stand_in import cache_directory

    key = hashlib.sha256(f"{FORMAT} {weights} ".encode() + TEXTS.read_bytes()).hexdigest()
    return cache_directory() / "routing" / f"baseline-{key[:24]}.json"


def conversations() -> list[list[Message]]:
    """The shipped texts, as conversations of one turn."""
    rows = [json.loads(line) for line in TEXTS.read_text("utf-8").splitlines()]
    return [
        [
            system_message(SystemSettings()),
            Message("user", row["user"]),
            Message("assistant", row["analysis"], "analysis"),
            Message("assistant", row["final"], "final"),
        ]
        for row in rows
    ]


def is_bare(model: Model) -> bool:
    """True where no branch, probe or hook changes what `model` computes."""
    layers = [layer.mlp for layer in model.get_decoder().layers]
    touched = any(m.router.branches or m.router.probe or m.experts.taps.branches for m in layers)
    return not touched and not any(module._forward_hooks for module in model.modules())


def _computed(model: Model, codec: HarmonyCodec, on_text: Callable[[int, int], None]) -> Scores:
    ids = [render(talk, codec, prompt=False) for talk in conversations()]
    places = [channels_of(sequence, codec) for sequence in ids]
    return score(model, ids, places, on_text, about={"title": "baseline"})


def _read(file: Path, shape: tuple[int, int]) -> Scores | None:
    """What `file` has, or None where it is missing, damaged or of another shape."""
    try:
        found = Scores.from_dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
    return found if found.shape == shape else None


def _write(file: Path, scores: Scores) -> None:
    """Put the whole file in place in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        draft.write_text(json.dumps(scores.to_dict()), "utf-8")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
