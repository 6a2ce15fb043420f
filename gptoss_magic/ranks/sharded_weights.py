"""FSDP2 for a model all of whose weights are trained: weights, gradients and AdamW's means are cut.

A rank keeps a slice of every weight, along its first axis. A layer is gathered as it works, and its
gradients are summed to who keeps them. The tables of the vocabulary stay whole: the loss takes the
head for a few rows at a time, as often as a rank's own texts ask for.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from gptoss_magic.ranks.replicated import InStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.ranks.group import RankGroup
    from gptoss_magic.ranks.load import ExpertLoad
    from gptoss_magic.tuning.runs import Run

LAYER = "model.layers."
TINY = 1e-6  # beside the norm, as torch's clip_grad_norm_ has it


class Shards(InStep):
    """See `tuning.team.Team`. The trainer's weights are this rank's slices, as plain tensors."""

    def __init__(self, group: RankGroup, load: ExpertLoad | None = None) -> None:
        super().__init__(group, load)
        self._whole: dict[int, Any] = {}  # by the slice's id

    def take(self, model: Model, part: Any) -> None:
        """Let `part` have its slices of what its module holds, in the same memory."""
        import torch

        module = model.get_submodule(part.target)
        for leaf in dict(part.named_parameters()):
            held = module._parameters[leaf]
            if not hasattr(held, "to_local"):
                held.data = held.data.clone()  # no page of a file
                continue
            mine = torch.nn.Parameter(held.to_local().detach())
            part._parameters[leaf] = mine
            self._whole[id(mine)] = held

    def of(self, weight: Any) -> Any:
        """Torch's distributed weight that `weight` is a slice of; None for one that is whole."""
        return self._whole.get(id(weight))

    def sum_gradients(self, weights: Sequence[Any]) -> None:
        """Slices' gradients are sums already; those of whole weights are summed here."""
        replicated = []
        for weight in weights:
            held = self.of(weight)
            if held is None:
                replicated.append(weight)
            elif held.grad is not None:
                weight.grad, held.grad = held.grad.to_local(), None
        super().sum_gradients(replicated)

    def clip(self, weights: Sequence[Any], most: float) -> float:
        """See `Team`."""
        cut = [weight for weight in weights if self.of(weight) is not None]
        whole = [weight for weight in weights if self.of(weight) is None]
        norm = float((self.group.summed(_squares(cut)) + _squares(whole)) ** 0.5)
        factor = most / (norm + TINY)
        if factor < 1:
            for weight in weights:
                if weight.grad is not None:
                    weight.grad.mul_(factor)
        return norm

    def whole(self, weight: Any, mine: Any) -> Any:
        """All ranks' slices of a tensor as `weight` is cut: itself, its gradient, a mean."""
        held = self.of(weight)
        if held is None or mine is None:
            return mine
        from torch.distributed.tensor import DTensor

        cut = DTensor.from_local(
            mine,
            held.device_mesh,
            held.placements,
            run_check=False,
            shape=held.shape,
            stride=held.stride(),
        )
        return cut.full_tensor()

    def shape(self, weight: Any) -> tuple[int, ...]:
        """Of the whole weight."""
        held = self.of(weight)
        return tuple((weight if held is None else held).shape)

    def rows(self, weight: Any) -> slice:
        """Of the whole weight's rows, this rank's, as torch.chunk deals them out."""
        held = self.of(weight)
        if held is None:
            return slice(None)
        place, total = self.group.place, len(held)
        size = -(-total // place.size)
        return slice(min(place.rank * size, total), min((place.rank + 1) * size, total))


def _squares(weights: Sequence[Any]) -> float:
    """The sum of all gradients' squares, in fp64."""
    found = [weight.grad for weight in weights if weight.grad is not None]
    return sum(float(grad.double().square().sum()) for grad in found)


def shard_weights(model: Model, group: RankGroup, parts: Iterable[Any]) -> tuple[list[Any], Shards]:
    """Let `parts`, of all modules in the model's order, stand in for good, cut over the ranks.

    They are asked for one after the other: no rank has more than a layer of them as a whole.
    """
    mesh, policy = _mesh(group), _policy(model)
    decoder, held = model.get_decoder(), []
    for layer, some in groupby(parts, key=_layer_of):
        for part in some:
            part.stay(model)
            held.append(part)
        if layer is not None:
            _shard(decoder.layers[layer], mesh, policy)
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    for table in tables:
        table.to(group.device)
    _shard(decoder, mesh, policy, {p for table in tables for p in table.parameters()})
    shards = Shards(group)
    for part in held:
        shards.take(model, part)
    return held, shards


def _layer_of(part: Any) -> int | None:
    return int(part.target.split(".")[2]) if part.target.startswith(LAYER) else None


def _mesh(group: RankGroup) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh(group.device.type, (group.place.size,))


def _policy(model: Model) -> Any:
    """bf16 gradients are summed in fp32."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    half = model.dtype.itemsize < torch.float32.itemsize
    return MixedPrecisionPolicy(reduce_dtype=torch.float32 if half else None)


def _shard(module: Any, mesh: Any, policy: Any, ignored: set[Any] | None = None) -> None:
    """One FSDP2 group of what is in no other; gradients are sums, not means."""
    from torch.distributed.fsdp import fully_shard

    sharded = cast("Any", fully_shard)(
        module,
        mesh=mesh,
        reshard_after_forward=True,  # of the outermost too: a measure may come before a step
        mp_policy=policy,
        ignored_params=ignored or None,
    )
    sharded.set_force_sum_reduction_for_comms(True)  # noqa: FBT003 (torch's)
    sharded.set_gradient_divide_factor(1.0)


def parts_of(run: Run, checkpoint: Path) -> Iterator[Any]:
    """A run's parts as a checkpoint has them, one after the other; pages of its file."""
    from safetensors import safe_open

    from gptoss_magic.model.parts import WholeModule
    from gptoss_magic.tuning.checkpoints import TENSORS

    with safe_open(checkpoint / TENSORS, framework="pt") as file:
        for number, one in enumerate(run.parts):
            names = {leaf: f"parts.{number}.{leaf}" for leaf in one["shapes"]}
            weights = {leaf: file.get_tensor(name) for leaf, name in names.items()}
            yield WholeModule(one["target"], weights, one["tied"])
