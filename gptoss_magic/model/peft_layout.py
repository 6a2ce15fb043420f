"""peft's layout of tensors, both ways, and what a part adds to adapter_config.json.

Source: peft 0.21's ParamWrapper and PeftModel.get_prompt. In peft lora_A of experts is
expert-slowest [E·r, K], lora_B expert-fastest [N, r·E].
Legend: E experts, n chosen ones, K in, N out, r rank, L layers, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

BASE = "base_model.model."


@dataclass(frozen=True)
class PeftEntry:
    """One part in adapter_config.json: `key`, in the list `field`.

    `key` is the name that peft's patterns match, of the module or of the parameter; `place` that of
    the module. `rank` is 0 where the part is no LoRA.
    """

    field: str
    key: str
    place: str
    rank: int = 0
    scaling: float = 1.0


def experts_from_peft(
    a: torch.Tensor, b: torch.Tensor, num_experts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(A [E·r, K], B [N, r·E]) of peft to (A [E, r, K], B [E, N, r])."""
    a_ErK = a.reshape(num_experts, -1, a.shape[1])
    b_ENr = b.reshape(b.shape[0], -1, num_experts).permute(2, 0, 1)
    return a_ErK.contiguous(), b_ENr.contiguous()


def experts_to_peft(
    a_nrK: torch.Tensor, b_nNr: torch.Tensor, experts: Sequence[int], num_experts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The reverse; experts that are not among `experts` get zeros."""
    a_ErK = a_nrK.new_zeros(num_experts, *a_nrK.shape[1:])
    b_ENr = b_nNr.new_zeros(num_experts, *b_nNr.shape[1:])
    a_ErK[list(experts)], b_ENr[list(experts)] = a_nrK, b_nNr
    return a_ErK.flatten(0, 1), b_ENr.permute(1, 2, 0).flatten(1).contiguous()


def prefix_from_peft(flat: torch.Tensor, num_layers: int, head_dim: int) -> torch.Tensor:
    """Keys and values [n, L·2·heads·D] to [L, 2, heads, n, D]."""
    return flat.reshape(len(flat), num_layers, 2, -1, head_dim).permute(1, 2, 3, 0, 4).contiguous()


def prefix_to_peft(states: torch.Tensor) -> torch.Tensor:
    """The reverse."""
    return states.permute(3, 0, 1, 2, 4).flatten(1).contiguous()


def factors(place: str, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
    """The two tensors of one LoRA in peft's file."""
    return {f"{BASE}{place}.lora_A.weight": a, f"{BASE}{place}.lora_B.weight": b}
