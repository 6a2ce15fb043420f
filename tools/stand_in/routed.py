"""The dense model with experts as low-rank differences, as it is trained: no expert is gathered.

A layer's base products are computed once for all experts; each chosen expert adds its low-rank
part, and the weighted sum of the experts' inner states goes through the base `down` once. So a
routed step costs about a dense one. Legend: B rows, T tokens, N all tokens (or those wanted),
D hidden, I intermediate, E experts, R rank, K = E·R, V vocabulary.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from gptoss_magic.model.stand_in import convert
from gptoss_magic.model.stand_in.mixture import PROJECTIONS, Factors, Mixture
from gptoss_magic.model.stand_in.source import verified_source
from gptoss_magic.model.wide import is_slow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = tuple[list[int], list[int]]  # ids, and labels: -100 where nothing is learned
RANK = 8
NUM_LAYERS, HIDDEN, INNER = 30, 576, 1536  # of the source
IGNORED = -100


@dataclass
class Way:
    """How all layers compute: the dense source, one expert for all tokens, or routed.

    `balance`: a routed forward's loss of each layer; `real` [N]: which tokens are no padding.
    """

    is_source: bool = False
    expert: int | None = None
    real: torch.Tensor | None = None
    balance: list[torch.Tensor] = field(default_factory=list)


class RoutedMlp(torch.nn.Module):
    """A frozen dense MLP and the factors and router of its experts, fp32."""

    def __init__(self, dense: Any, factors: dict[str, Factors], router: Any, way: Way) -> None:
        super().__init__()
        self.dense, self.way = dense, way
        self.a = torch.nn.ParameterDict({n: f.a.float().clone() for n, f in factors.items()})
        self.b = torch.nn.ParameterDict({n: f.b.float().clone() for n, f in factors.items()})
        self.router_ED = torch.nn.Parameter(router[0].float().clone())
        self.router_E = torch.nn.Parameter(router[1].float().clone())

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        if self.way.is_source:
            return self.dense(x_BTD)  # type: ignore[no-any-return]
        x_ND = x_BTD.flatten(0, 1)
        if self.way.expert is not None:
            return self._alone(x_ND, self.way.expert).view_as(x_BTD)
        return self._routed(x_ND).view_as(x_BTD)

    def _alone(self, x_ND: torch.Tensor, expert: int) -> torch.Tensor:
        gate_NI, up_NI = (
            self._base(name, x_ND)
            + x_ND @ self._cast(self.a[name][expert]).T @ self._cast(self.b[name][expert]).T
            for name in ("gate", "up")
        )
        h_NI = functional.silu(gate_NI) * up_NI
        low_NR = h_NI @ self._cast(self.a["down"][expert]).T
        return self._base("down", h_NI) + low_NR @ self._cast(self.b["down"][expert]).T

    def _routed(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Top 2 of E, softmax over the chosen ones, as gpt-oss does."""
        logits_NE = functional.linear(x_ND.float(), self.router_ED, self.router_E)
        top_N2, chosen_N2 = logits_NE.topk(convert.TOP_K, -1)
        weights_N2 = top_N2.softmax(-1).to(x_ND.dtype)
        self.way.balance.append(self._balance(logits_NE, chosen_N2))
        base = {name: self._base(name, x_ND) for name in ("gate", "up")}
        low = {name: x_ND @ self._cast(self.a[name]).flatten(0, 1).T for name in ("gate", "up")}
        joined = {n: self._cast(self.b[n]).transpose(1, 2).flatten(0, 1) for n in PROJECTIONS}
        down_KI = self._cast(self.a["down"]).flatten(0, 1)
        h_NI, low_NK = 0.0, 0.0
        for slot in range(convert.TOP_K):
            mine_NK = self._mask(chosen_N2[:, slot], x_ND.dtype)
            gate_NI = base["gate"] + (low["gate"] * mine_NK) @ joined["gate"]
            up_NI = base["up"] + (low["up"] * mine_NK) @ joined["up"]
            one_NI = functional.silu(gate_NI) * up_NI * weights_N2[:, slot, None]
            h_NI = h_NI + one_NI
            low_NK = low_NK + (one_NI @ down_KI.T) * mine_NK
        return self._base("down", h_NI) + low_NK @ joined["down"]

    def _mask(self, chosen_N: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
        """[N, K]: 1 at the chosen expert's R columns."""
        one_NE = functional.one_hot(chosen_N, len(self.router_E))
        return one_NE.to(kind).repeat_interleave(self.a["down"].shape[1], dim=1)

    def _balance(self, logits_NE: torch.Tensor, chosen_N2: torch.Tensor) -> torch.Tensor:
        """E · Σ share · mean probability: 1 for an even load (Switch, arXiv 2101.03961, eq. 4)."""
        real_N = self.way.real
        if real_N is not None:
            logits_NE, chosen_N2 = logits_NE[real_N], chosen_N2[real_N]
        num_experts = logits_NE.shape[1]
        share_E = torch.bincount(chosen_N2.flatten(), minlength=num_experts) / chosen_N2.numel()
        return num_experts * (share_E * logits_NE.softmax(-1).mean(0)).sum()

    def _base(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, getattr(self.dense, f"{name}_proj").weight)

    def _cast(self, factor: torch.Tensor) -> torch.Tensor:
        return factor.to(self.dense.gate_proj.weight.dtype)


def shipped_dense(*, exact: bool = False) -> Any:
    """The dense model with the harmony adapter merged in, frozen; `exact`: in fp32."""
    dense = convert.dense_model(verified_source())
    convert.merge_adapter(dense.state_dict())
    if not exact and not is_slow(torch.zeros(1, dtype=torch.bfloat16)):
        exactly = dense.model.rotary_emb.inv_freq.clone()  # bf16 angles turn too far
        dense.bfloat16()
        dense.model.rotary_emb.inv_freq = exactly
    return dense.requires_grad_(False)


class RoutedModel:
    """A dense model whose MLPs are routed from now on."""

    def __init__(self, mixture: Mixture, dense: Any) -> None:
        self.dense, self.way, self.layers = dense, Way(), []
        for number, layer in enumerate(dense.model.layers):
            factors = {name: mixture.factors[number, name] for name in PROJECTIONS}
            layer.mlp = RoutedMlp(layer.mlp, factors, mixture.routers[number], self.way)
            self.layers.append(layer.mlp)

    @torch.no_grad()
    def put(self, mixture: Mixture) -> None:
        """Go on from these experts and routers."""
        for number, layer in enumerate(self.layers):
            for name in PROJECTIONS:
                layer.a[name].copy_(mixture.factors[number, name].a)
                layer.b[name].copy_(mixture.factors[number, name].b)
            layer.router_ED.copy_(mixture.routers[number][0])
            layer.router_E.copy_(mixture.routers[number][1])

    def mixture(self) -> Mixture:
        """The factors and routers as trained so far."""
        factors = {
            (number, name): Factors(layer.a[name].detach(), layer.b[name].detach())
            for number, layer in enumerate(self.layers)
            for name in PROJECTIONS
        }
        return Mixture(
            factors, [(one.router_ED.detach(), one.router_E.detach()) for one in self.layers]
        )

    def factors(self) -> list[torch.nn.Parameter]:
        """Of each layer a and then b, in the order of `PROJECTIONS`."""
        return [
            part[name]
            for layer in self.layers
            for part in (layer.a, layer.b)
            for name in PROJECTIONS
        ]

    def routers(self) -> list[torch.nn.Parameter]:
        return [p for layer in self.layers for p in (layer.router_ED, layer.router_E)]

    @contextmanager
    def going(self, *, is_source: bool = False, expert: int | None = None) -> Iterator[None]:
        """While entered, all layers compute so."""
        before = self.way.is_source, self.way.expert
        self.way.is_source, self.way.expert = is_source, expert
        try:
            yield
        finally:
            self.way.is_source, self.way.expert = before

    def states(self, rows: Sequence[Row]) -> torch.Tensor:
        """Last states [B, T, D] of rows, padded on the right."""
        width = max(len(ids) for ids, _ in rows)
        ids_BT = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
        mask_BT = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in rows])
        self.way.real = mask_BT.flatten().bool()
        self.way.balance.clear()
        found: torch.Tensor = self.dense.model(ids_BT, attention_mask=mask_BT).last_hidden_state
        return found

    def logits(self, rows: Sequence[Row]) -> torch.Tensor:
        """Logits [N, V], fp32, at the places that predict a label."""
        states_BTD = self.states(rows)
        wanted_BT = labels_of(rows)[:, 1:] != IGNORED
        return (states_BTD[:, :-1][wanted_BT] @ self.dense.model.embed_tokens.weight.T).float()


def labels_of(rows: Sequence[Row]) -> torch.Tensor:
    """Labels [B, T], padded as the ids are."""
    width = max(len(ids) for ids, _ in rows)
    return torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows])


def cross_entropy(logits_NV: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """Mean nats a label."""
    labels_BT = labels_of(rows)[:, 1:]
    return functional.cross_entropy(logits_NV, labels_BT[labels_BT != IGNORED])


def divergence(source_NV: torch.Tensor, logits_NV: torch.Tensor) -> torch.Tensor:
    """KL(source ‖ model), mean nats a label."""
    source, ours = source_NV.log_softmax(-1), logits_NV.log_softmax(-1)
    return functional.kl_div(ours, source, reduction="batchmean", log_target=True)


def fresh(seed: int) -> Mixture:
    """Experts that do not differ yet: a is drawn, b is 0; routers of zeros."""
    draw, factors = torch.Generator().manual_seed(seed), {}
    for layer in range(NUM_LAYERS):
        for name in PROJECTIONS:
            read, given = (INNER, HIDDEN) if name == "down" else (HIDDEN, INNER)
            a_ERI = torch.randn(convert.NUM_EXPERTS, RANK, read, generator=draw) / read**0.5
            factors[layer, name] = Factors(a_ERI, torch.zeros(convert.NUM_EXPERTS, given, RANK))
    blank = (torch.zeros(convert.NUM_EXPERTS, HIDDEN), torch.zeros(convert.NUM_EXPERTS))
    return Mixture(factors, [blank for _ in range(NUM_LAYERS)])
