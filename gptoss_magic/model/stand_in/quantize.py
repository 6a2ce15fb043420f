"""The built-in model's experts in MXFP4, rounded so that the outputs, not the weights, stay close.

GPTQ (arXiv 2210.17323): columns are rounded one after the other, and each error is spread over the
columns not yet rounded by the inverse Hessian of the calibration inputs. Without it a model this
small loses quality. Legend: R rows, K columns, N calibration rows, E experts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.model.mxfp4 import BLOCK, nearest, pack, values
from gptoss_magic.model.stand_in.convert import ALPHA, NUM_EXPERTS, TOP_K
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


def calibration_inputs(dense: Any) -> list[torch.Tensor]:
    """Inputs [N, hidden] of each layer's MLP over the shipped calibration tokens, fp16."""
    import torch

    rows: list[list[torch.Tensor]] = [[] for _ in dense.model.layers]

    def keep(at: int) -> Callable[..., None]:
        return lambda module, given, out: rows[at].append(out.detach().flatten(0, 1).half())

    hooks = [
        layer.post_attention_layernorm.register_forward_hook(keep(at))
        for at, layer in enumerate(dense.model.layers)
    ]
    with torch.no_grad():
        for ids in json.loads((DATA / "calibration.json").read_text()):
            dense.model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return [torch.cat(kept) for kept in rows]


def packed_experts(
    dense: Any, routers: dict[str, torch.Tensor], progress: Callable[[str, float], None]
) -> dict[str, torch.Tensor]:
    """`…experts.{gate_up_proj,down_proj}_{blocks,scales}` of all layers."""
    import torch

    inputs, out = calibration_inputs(dense), {}
    for at, layer in enumerate(dense.model.layers):
        progress(f"packing layer {at + 1} of {len(inputs)}", 0.1 + 0.85 * at / len(inputs))
        logits = inputs[at].float() @ routers[f"{at}.weight"].T + routers[f"{at}.bias"]
        chosen = logits.topk(TOP_K, -1).indices
        made = [_expert(layer.mlp, inputs[at].float(), chosen, e) for e in range(NUM_EXPERTS)]
        for name in made[0]:
            key = f"model.layers.{at}.mlp.experts.{name}"
            out[key] = torch.stack([expert[name] for expert in made])
    return out


def _expert(
    mlp: Any, inputs: torch.Tensor, chosen: torch.Tensor, expert: int
) -> dict[str, torch.Tensor]:
    """One expert's packed tensors, rounded for the tokens routed to it."""
    import torch
    from torch.nn.functional import silu

    mine = (chosen == expert).any(1)
    gate, up, down = (getattr(mlp, f"{n}_proj").weight.detach() for n in ("gate", "up", "down"))
    inner = silu(inputs @ gate.T) * (inputs @ up.T)
    norms = inner.norm(dim=1, keepdim=True)  # a few massive tokens would drown all others
    inner = inner * (norms.median() / norms.clamp_min(1e-6)).clamp_max(1.0)
    joined = torch.stack([gate / ALPHA, up], dim=1).flatten(0, 1)
    packed = {
        "gate_up": gptq(joined, _moments(inputs, mine), DAMPING["gate_up"]),
        "down": gptq(down * ALPHA, _moments(inner, mine), DAMPING["down"]),
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
