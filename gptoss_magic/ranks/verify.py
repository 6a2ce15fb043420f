"""`--verify`: the gradients of all ranks together against one process's, on the user's first texts.

The process that launches a run computes them alone and leaves them in the run's folder; the ranks
compute theirs before their first step, and rank 0 writes down how far they are apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gptoss_magic.ranks.folder import RanksFolder
    from gptoss_magic.tuning.trainer import Trainer

WANTED, FOUND = "verify.safetensors", "verify.json"


def write_wanted(run: Path, trainer: Trainer) -> None:
    """The gradients of the next step by this process alone. Raises StorageError."""
    from gptoss_magic.atomic import whole_file
    from gptoss_magic.tuning.checkpoints import write_tensors

    gradients = enumerate(trainer.gradients())
    with whole_file(run / WANTED) as fresh:
        write_tensors(fresh, {str(n): g for n, g in gradients if g is not None})


def compare(run: Path, trainer: Trainer, folder: RanksFolder, *, is_first: bool) -> None:
    """On every rank, where a comparison was asked for; rank 0 writes what it found."""
    if not (run / WANTED).is_file():
        return
    pairs = zip(trainer.weights, trainer.gradients(), strict=True)
    mine = [trainer.team.whole(weight, gradient) for weight, gradient in pairs]
    if is_first:
        wanted = _read(run / WANTED)
        found = differences(trainer, [None if g is None else g.cpu() for g in mine], wanted)
        (folder.path / FOUND).write_text(json.dumps(found))


def _read(file: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(file)


def differences(
    trainer: Trainer, mine: Sequence[Any], wanted: dict[str, Any]
) -> dict[str, tuple[int, float]]:
    """By kind of part, (how many, the largest |a - b| / |b| of a part's gradients)."""
    places = {id(weight): str(number) for number, weight in enumerate(trainer.weights)}
    found: dict[str, tuple[int, float]] = {}
    for part in trainer.parts:
        names = [places[id(p)] for p in part.parameters() if id(p) in places]
        pairs = [(mine[int(name)], wanted.get(name)) for name in names]
        if names:
            family = str(part.family)
            count, most = found.get(family, (0, 0.0))
            found[family] = (count + 1, max(most, _apart(pairs)))
    return found


def _apart(pairs: Sequence[tuple[Any, Any]]) -> float:
    """|a - b| / |b| of all pairs together; infinite where b is nothing and a is not."""
    away = size = 0.0
    for mine, wanted in pairs:
        away += _size(mine if wanted is None else wanted if mine is None else mine - wanted)
        size += _size(wanted)
    if not away:
        return 0.0
    return float((away / size) ** 0.5) if size else float("inf")


def _size(tensor: Any) -> float:
    return 0.0 if tensor is None else float(tensor.double().square().sum())


def told(run: Path, folder: RanksFolder, num_ranks: int) -> str:
    """What was found, in a line; '' where nothing was asked. It is forgotten then."""
    file = folder.path / FOUND
    (run / WANTED).unlink(missing_ok=True)
    if not file.is_file():
        return ""
    found = json.loads(file.read_text())
    kinds = [f"{kind} ({count}) {away:.1e}" for kind, (count, away) in found.items()]
    return (
        f"verify: gradients of {num_ranks} processes against one on the first step, largest "
        f"relative difference of a part: {', '.join(kinds)}"
    )
