"""The built-in model's experts in MXFP4, rounded so that the outputs, not the weights, stay close.

GPTQ (arXiv 2210.17323): columns are rounded one after the other, and each error is spread over the
columns not yet rounded by the inverse Hessian of the calibration inputs. Without it a model this
small loses quality. Legend: R rows, K columns, N calibration rows, E experts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.mxfp4 import BLOCK, nearest, pack, values
from gptoss_magic.model.stand_in.convert import ALPHA
from gptoss_magic.model.stand_in.source import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

SHARED = 0.5  # share of the Hessian that an expert has in common with its layer
DAMPING = {"gate_up": 0.02, "down": 0.1}


def best_exponents(weight_RB: torch.Tensor, importance_B: torch.Tensor) -> torch.Tensor:
    """Exponent [R, 1] of each row of one block: the least weighted squared error of three."""
    import torch

    top = torch.ceil(torch.log2(weight_RB.abs().amax(-1, keepdim=True).clamp_min(1e-20) / 6))
    tried = torch.stack([top - 2, top - 1, top]).clamp(-125, 125)
    scales = torch.exp2(tried)
    rounded = values()[nearest(weight_RB / scales).long()] * scales
    errors = ((rounded - weight_RB) ** 2 * importance_B).sum(-1, keepdim=True)
    return tried.gather(0, errors.argmin(0, keepdim=True))[0]


def gptq(
    weight_RK: torch.Tensor, hessian_KK: torch.Tensor, damping: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks and scales of `weight_RK`, rounded for inputs with second moments `hessian_KK`."""
    import torch

    weight_RK = weight_RK.float().clone()
    diagonal = hessian_KK.diagonal()
    hessian_KK = hessian_KK + torch.diag((diagonal <= 0) + damping * diagonal.mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian_KK))
    upper = torch.linalg.cholesky(inverse, upper=True)
    codes, exponents = [], []
    for start in range(0, weight_RK.shape[1], BLOCK):
        span = slice(start, start + BLOCK)
        exponent = best_exponents(weight_RK[:, span], hessian_KK.diagonal()[span])
        code, errors = _rounded_block(weight_RK[:, span], exponent, upper[span, span])
        weight_RK[:, start + BLOCK :] -= errors @ upper[span, start + BLOCK :]
        codes.append(code)
        exponents.append(exponent)
    return pack(torch.cat(codes, dim=1), torch.cat(exponents, dim=1))


def _rounded_block(
    weight_RB: torch.Tensor, exponent_R1: torch.Tensor, upper_BB: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(codes, errors over the diagonal) of one block, errors spread within it."""
    import torch

    weight_RB, scale = weight_RB.clone(), torch.exp2(exponent_R1)
    codes, errors, table = [], [], values()
    for column in range(BLOCK):
        value = weight_RB[:, column : column + 1]
        code = nearest(value / scale)
        error = (value - table[code.long()] * scale) / upper_BB[column, column]
        weight_RB[:, column + 1 :] -= error * upper_BB[column, column + 1 :]
        codes.append(code)
        errors.append(error)
    return torch.cat(codes, dim=1), torch.cat(errors, dim=1)


def calibration_inputs(model: Any) -> list[torch.Tensor]:
    """Inputs [N, hidden] of each layer's MLP over the shipped calibration tokens, fp16."""
    import torch

    rows: list[list[torch.Tensor]] = [[] for _ in model.model.layers]

    def keep(at: int) -> Callable[..., None]:
        return lambda module, given, out: rows[at].append(out.detach().flatten(0, 1).half())

    hooks = [
        layer.post_attention_layernorm.register_forward_hook(keep(at))
        for at, layer in enumerate(model.model.layers)
    ]
    with torch.no_grad():
        for ids in json.loads((DATA / "calibration.json").read_text()):
            model.model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return [torch.cat(kept) for kept in rows]


def packed_experts(model: Any, progress: Callable[[str, float], None]) -> dict[str, torch.Tensor]:
    """`…experts.{gate_up_proj,down_proj}_{blocks,scales}` of all layers of the gpt-oss `model`."""
    import torch

    inputs, out = calibration_inputs(model), {}
    for at, layer in enumerate(model.model.layers):
        progress(f"packing layer {at + 1} of {len(inputs)}", 0.1 + 0.85 * at / len(inputs))
        rows_ND, router = inputs[at].float(), layer.mlp.router
        logits = (rows_ND @ router.weight.T + router.bias).detach()
        chosen = logits.topk(router.top_k, -1).indices
        made = [
            _expert(layer.mlp.experts, rows_ND, (chosen == e).any(1), e)
            for e in range(logits.shape[1])
        ]
        for name in made[0]:
            key = f"model.layers.{at}.mlp.experts.{name}"
            out[key] = torch.stack([expert[name] for expert in made])
    return out


def _expert(
    experts: Any, inputs: torch.Tensor, mine: torch.Tensor, expert: int
) -> dict[str, torch.Tensor]:
    """One expert's packed tensors, rounded for the rows that are routed to it (`mine`)."""
    joined = experts.gate_up_proj[expert].detach().T
    down = experts.down_proj[expert].detach().T
    both = inputs @ joined.T + experts.gate_up_proj_bias[expert].detach()
    gate, up = both[:, ::2], both[:, 1::2]
    inner = (up + 1) * gate * (ALPHA * gate).sigmoid()
    norms = inner.norm(dim=1, keepdim=True)  # a few massive tokens would drown all others
    inner = inner * (norms.median() / norms.clamp_min(1e-6)).clamp_max(1.0)
    packed = {
        "gate_up": gptq(joined, _moments(inputs, mine), DAMPING["gate_up"]),
        "down": gptq(down, _moments(inner, mine), DAMPING["down"]),
    }
    return {
        f"{name}_proj_{part}": tensor
        for name, both in packed.items()
        for part, tensor in zip(("blocks", "scales"), both, strict=True)
    }


def _moments(rows: torch.Tensor, mine: torch.Tensor) -> torch.Tensor:
    """Second moments of the expert's rows, mixed with those of all rows."""
    own = rows[mine]
    everyone = rows.T @ rows / len(rows)
    return SHARED * own.T @ own / max(1, len(own)) + (1 - SHARED) * everyone
