"""FSDP2 for frozen experts: a rank keeps a slice of their bytes; a layer is whole as it works.

torch's `fully_shard` cuts along the first axis, which is the experts': no MXFP4 block is cut. A
layer's packed bytes are gathered before its forward and again before its backward, and let go.
On a mesh of two sides it is the slice of a rank to which tokens travel that is cut further.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.model.pages import let_go
from gptoss_magic.ranks.even import BOTH, check_even, mesh_sides

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.ranks.group import RankPlace


def shard_experts(model: Model, num_ranks: int) -> None:
    """Let each layer's experts be FSDP2 groups, one for each dtype, across the ranks.

    Raises InputError where they cannot be shared out evenly, or this torch cannot do it.
    """
    check_even(model.config.num_local_experts, num_ranks)
    _cut(model, _mesh(model.device.type, num_ranks), "fsdp")


def shard_slices(model: Model, place: RankPlace) -> None:
    """Let tokens travel within each row of a mesh, and cut a rank's slice across the rows.

    Raises InputError as `shard_experts`, and where the ranks make no such mesh.
    """
    from gptoss_magic.ranks.expert_parallel import spread_experts

    check_even(model.config.num_local_experts, place.size)
    rows, size = mesh_sides(place.size, place.on_machine)
    mesh = _mesh(model.device.type, rows, size)
    within = replace(place, rank=place.rank % size, size=size)
    spread_experts(model, within, mesh["row"].get_group())
    _cut(model, mesh["across"], BOTH)


def _cut(model: Model, mesh: Any, strategy: str) -> None:
    """Shard the experts' weights over `mesh`. Raises InputError where this torch cannot."""
    why = refusal(mesh)
    if why:
        raise InputError(
            f"--strategy {strategy}: this torch cannot shard packed bytes ({why}); use ep"
        )
    for layer in model.get_decoder().layers:
        every = list(layer.mlp.experts.parameters())
        as_read = [weights.data for weights in every]
        for weights in every:
            weights.data = weights.data.contiguous()  # dense ones are turned for the C++ kernels
        _shard(layer.mlp.experts, mesh)
        for whole in as_read:
            let_go(whole)  # the slice is a copy: what was read of the file is not needed


def _mesh(device: str, *sides: int) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    names = ("across", "row")[: len(sides)]
    return init_device_mesh(device, sides, mesh_dim_names=names)


def _shard(module: Any, mesh: Any) -> None:
    from torch.distributed.fsdp import fully_shard

    fully_shard(module, mesh=mesh, reshard_after_forward=True)


def refusal(mesh: Any) -> str:
    """Why frozen bytes cannot be sharded here; '' where a small module of them comes out right."""
    import torch
    from torch import nn

    from gptoss_magic.errors import error_line

    class Bytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.arange(4 * mesh.size(), dtype=torch.uint8).view(-1, 4)
            self.bytes = nn.Parameter(whole.to(mesh.device_type), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.bytes.sum()

    try:
        module = Bytes()
        wanted = float(module.bytes.sum())
        _shard(module, mesh)
        x = torch.ones((), device=mesh.device_type, requires_grad=True)
        y = module(x)
        y.backward()
        slope: Any = x.grad
    except Exception as error:  # noqa: BLE001 (whatever it is, it is why)
        return error_line(error)
    return "" if float(y.detach()) == wanted == float(slope) else "a sum of sharded bytes is wrong"
