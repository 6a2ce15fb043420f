"""LoRA on the routed rows of chosen experts.

Legend: S routed rows sorted by expert, E experts, n chosen experts, K in, N out, r rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from gptoss_magic.model.parts.part import Part, stand_in
from gptoss_magic.model.peft_layout import PeftEntry, experts_to_peft, factors
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from gptoss_magic.model.protocol import Model

FEW = 64  # rows whose factors are gathered on a GPU


class ExpertLora(Part):
    """y_e += scaling · B_e(A_e x) on the routed rows of chosen experts of one projection.

    A [n, r, K] and B [n, N, r] belong to `experts` (n ascending ids) of `target`, an experts
    module; `projection` is 'gate_up_proj' or 'down_proj'. The cost grows with their rows only.
    """

    SETTINGS = ("projection", "experts", "scaling")
    family = "expert lora"
    ids_n: torch.Tensor

    def __init__(
        self,
        target: str,
        projection: str,
        experts: Sequence[int],
        ab: tuple[torch.Tensor, torch.Tensor],
        scaling: float,
    ) -> None:
        super().__init__(target)
        self.projection, self.experts, self.scaling = projection, tuple(experts), scaling
        self.a, self.b = nn.Parameter(ab[0]), nn.Parameter(ab[1])
        ids_n = torch.tensor(self.experts, device=ab[0].device)
        self.register_buffer("ids_n", ids_n, persistent=False)

    @staticmethod
    def fits(module: Any) -> bool:
        """True for a module that it can stand beside."""
        return hasattr(module, "taps")

    def attach(self, model: Model) -> Callable[[], None]:
        return stand_in(cast("Any", model.get_submodule(self.target)).taps.branches, self)

    def beside(
        self, name: str, x_SK: torch.Tensor, y_SN: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """See `taps.ExpertBranch`."""
        if name != self.projection:
            return y_SN
        if not x_SK.is_cpu and len(x_SK) <= FEW and not torch.is_grad_enabled():
            return self._gathered(x_SK, y_SN, offsets)
        spans = self._spans(offsets)
        if not spans and not torch.is_grad_enabled():
            return y_SN
        scaling = self.scaling * self.scale
        return cast("Any", _GroupedLora).apply(x_SK, y_SN, self.a, self.b, scaling, spans)  # type: ignore[no-any-return]

    def _gathered(
        self, x_SK: torch.Tensor, y_SN: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """[S, N]: each row by its own expert's factors. Nothing waits for the device."""
        rows_S = torch.arange(len(x_SK), dtype=offsets.dtype, device=offsets.device)
        expert_S = torch.searchsorted(offsets, rows_S, right=True) - 1
        place_S = torch.searchsorted(self.ids_n, expert_S).clamp(max=len(self.ids_n) - 1)
        is_chosen_S = self.ids_n[place_S] == expert_S
        low_S1r = x_SK[:, None].to(self.a.dtype) @ self.a[place_S].mT
        more_SN = (low_S1r @ self.b[place_S].mT)[:, 0] * (self.scaling * self.scale)
        return y_SN + more_SN.where(is_chosen_S[:, None], 0).to(y_SN.dtype)

    def _spans(self, offsets: torch.Tensor) -> list[tuple[int, int, int]]:
        """(index, first row, end row) of each chosen expert that has rows."""
        bounds = offsets.tolist()
        spans = [(i, bounds[e], bounds[e + 1]) for i, e in enumerate(self.experts)]
        return [span for span in spans if span[1] < span[2]]

    @property
    def outer(self) -> list[nn.Parameter]:
        return [self.b]

    @property
    def trained_experts(self) -> tuple[int, ...]:
        return self.experts

    @classmethod
    def summary(cls, parts: Sequence[ExpertLora]) -> Iterator[str]:
        """`LoRA r=4 on 37 experts in 12 layers (gate_up_proj, down_proj)`."""
        ranks = sorted({part.a.shape[1] for part in parts})
        experts = {(part.target, expert) for part in parts for expert in part.experts}
        layers = len({target for target, _ in experts})
        names = ", ".join(dict.fromkeys(part.projection for part in parts))
        span = f"r={ranks[0]}" if len(ranks) == 1 else f"r={ranks[0]} to {ranks[-1]}"
        yield (
            f"LoRA {span} on {counted(len(experts), 'expert')} in "
            f"{counted(layers, 'layer')} ({names})"
        )

    def peft_entry(self) -> PeftEntry:
        key = f"{self.target}.{self.projection}"
        return PeftEntry("target_parameters", key, key, self.a.shape[1], self.scaling)

    def peft_tensors(self, model: Model, keys: Collection[str]) -> dict[str, torch.Tensor]:
        """Of all experts, zeros for those that it does not have; peft nests gate_up in down."""
        count = model.config.num_local_experts
        a, b = experts_to_peft(self.a.detach(), self.b.detach(), self.experts, count)
        is_inner = self.projection == "gate_up_proj" and f"{self.target}.down_proj" in keys
        return factors(f"{self.target}.base_layer" if is_inner else self.target, a, b)

    def merged_expert(
        self, projection: str, expert: int, pair: tuple[torch.Tensor, torch.Tensor], scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if projection != self.projection or expert not in self.experts:
            return pair
        at = self.experts.index(expert)
        delta = self.b[at].detach() @ self.a[at].detach() * (self.scaling * scale)
        return pair[0] + delta, pair[1]


class _GroupedLora(torch.autograd.Function):
    """Adds the branch to y in place; saves the rows x and nothing between."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd's way)
        ctx: Any, x: Any, y: Any, a: Any, b: Any, scaling: float, spans: Any
    ) -> torch.Tensor:
        ctx.save_for_backward(x, a, b)
        ctx.scaling, ctx.spans = scaling, spans
        ctx.mark_dirty(y)
        for i, first, end in spans:
            low = x[first:end].to(a.dtype) @ a[i].T
            y[first:end] += (low @ b[i].T * scaling).to(y.dtype)
        return y  # type: ignore[no-any-return]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        (dy,), (x, a, b) = grads, ctx.saved_tensors
        dx = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        da, db = torch.zeros_like(a), torch.zeros_like(b)
        for i, first, end in ctx.spans:
            rows, slopes = x[first:end].to(a.dtype), dy[first:end].to(a.dtype) * ctx.scaling
            dlow = slopes @ b[i]
            db[i] = slopes.T @ (rows @ a[i].T)
            da[i] = dlow.T @ rows
            if dx is not None:
                dx[first:end] = dlow @ a[i]
        return dx, dy, da, db, None, None
