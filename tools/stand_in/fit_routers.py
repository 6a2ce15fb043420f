"""Routers that know the kinds of text: a logistic regression a layer on what its MLP reads.

Each kind's text goes through the kind's own expert. What all conversations have in common is every
kind's alike. Legend: L layers, N tokens, D hidden, E experts (a kind each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tools.stand_in import pieces
from tools.stand_in.kinds import KINDS, cases_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tools.stand_in.routed import RoutedModel, Row

NUM_CASES = 16
NUM_WINDOWS = 12
KEPT = 1500  # tokens of a kind
STEPS = 150
DECAY = 1e-3  # of the squared weights, over scaled inputs
SHARE = 0.75  # of the first of two experts, on average
HALVINGS = 40


def fitted(model: RoutedModel) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight [E, D] and bias [E] of each layer."""
    inputs_LND, wanted_NE = samples(model)
    scale_LD = inputs_LND.square().mean(1).sqrt().clamp_min(1e-6)  # no great weight on a constant
    mean_LD = inputs_LND.mean(1)
    inputs_LND = (inputs_LND - mean_LD[:, None]) / scale_LD[:, None]
    weight_LDE, bias_LE = regression(inputs_LND, wanted_NE)
    logits_LNE = inputs_LND @ weight_LDE + bias_LE[:, None]
    found = []
    for weight_DE, bias_E, logits_NE, mean_D, scale_D in zip(
        weight_LDE, bias_LE, logits_LNE, mean_LD, scale_LD, strict=True
    ):
        sharp = sharpness(logits_NE)
        weight_ED = sharp * (weight_DE / scale_D[:, None]).T
        found.append((weight_ED, sharp * bias_E - weight_ED @ mean_D))
    return found


def samples(model: RoutedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [L, N, D] of the layers' MLPs, fp32, and the share of each kind [N, E]."""
    inputs, wanted = [], []
    for number, kind in enumerate(KINDS):
        spoken = pieces.rows_of(cases_of(kind, 90_000, NUM_CASES), 90_000)
        text = pieces.windows(kind, "routers", NUM_WINDOWS)
        common = _common(spoken)
        with model.going(expert=number):
            read_LND = torch.cat([read(model, row) for row in (*spoken, *text)], 1)
        own_NE = torch.eye(len(KINDS))[number].repeat(read_LND.shape[1], 1)
        start = 0
        for ids, _ in spoken:
            own_NE[start : start + common] = 1 / len(KINDS)
            start += len(ids)
        chosen = torch.randperm(len(own_NE), generator=torch.Generator().manual_seed(number))[:KEPT]
        inputs.append(read_LND[:, chosen].float())
        wanted.append(own_NE[chosen])
    return torch.cat(inputs, 1), torch.cat(wanted)


def _common(rows: Sequence[Row]) -> int:
    """How many tokens all rows begin with."""
    columns = zip(*(ids for ids, _ in rows), strict=False)
    return next(place for place, column in enumerate(columns) if len(set(column)) > 1)


@torch.no_grad()
def read(model: RoutedModel, row: Row) -> torch.Tensor:
    """What each layer's MLP reads of one row [L, T, D], fp16."""
    found: list[torch.Tensor] = []

    def keep(_module: object, given: tuple[torch.Tensor, ...]) -> None:
        found.append(given[0][0].half())

    hooks = [layer.register_forward_pre_hook(keep) for layer in model.layers]
    try:
        model.states([row])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(found)


def regression(
    inputs_LND: torch.Tensor, wanted_NE: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [L, D, E] and bias [L, E] of the least cross entropy, all layers at once."""
    num_layers, _, num_hidden = inputs_LND.shape
    weight = torch.zeros(num_layers, num_hidden, wanted_NE.shape[1], requires_grad=True)
    bias = torch.zeros(num_layers, wanted_NE.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.02)
    for _ in range(STEPS):
        logits_LNE = inputs_LND @ weight + bias[:, None]
        loss = -(wanted_NE * logits_LNE.log_softmax(-1)).sum(-1).mean(1).sum()
        (loss + DECAY * weight.square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return weight.detach(), bias.detach()


def sharpness(logits_NE: torch.Tensor) -> float:
    """The factor that gives the first of two chosen experts `SHARE` of the weight on average."""
    top_N2 = logits_NE.topk(2, -1).values
    gap_N = top_N2[:, 0] - top_N2[:, 1]
    return _root(lambda sharp: float((sharp * gap_N).sigmoid().mean()) - SHARE)


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function is 0, between 0.001 and 1000."""
    low, high = 1e-3, 1e3
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low * high) ** 0.5
