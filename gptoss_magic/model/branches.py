"""Low-rank and other branches beside a frozen model: what adapters are made of, and train.

A part is an `nn.Module` with its own fp32 parameters; `attach(model)` puts it beside the module
named `target` and gives back what takes it away again. Base weights are never touched.
Legend: S routed rows sorted by expert, E experts, n chosen experts, K in, N out, r rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.model.experts import Taps
    from gptoss_magic.model.router import ResidentRouter

PROJECTIONS = ("gate_up_proj", "down_proj")


class Part(nn.Module):
    """What all parts have: the module it stands beside, and the adapter's scale (1: as trained)."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target, self.scale = target, 1.0

    def attach(self, model: Any) -> Callable[[], None]:
        """Put it beside its target; the result takes it away."""
        raise NotImplementedError

    @property
    def num_parameters(self) -> int:
        """How many numbers it has."""
        return sum(p.numel() for p in self.parameters())


def kaiming(*shape: int) -> nn.Parameter:
    """A [r, K] as peft's: Kaiming-uniform with a = √5, which is U(-1/√K, 1/√K)."""
    bound = shape[-1] ** -0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class LowRank(Part):
    """scaling · B(A x); A [r, K], B [N, r]."""

    def __init__(self, target: str, a_rK: torch.Tensor, b_Nr: torch.Tensor, scaling: float) -> None:
        super().__init__(target)
        self.a, self.b, self.scaling = nn.Parameter(a_rK), nn.Parameter(b_Nr), scaling

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., N], what is added, in the parameters' dtype."""
        return (x.to(self.a.dtype) @ self.a.T) @ self.b.T * (self.scaling * self.scale)


class LinearLora(LowRank):
    """LoRA beside one nn.Linear."""

    def attach(self, model: Any) -> Callable[[], None]:
        hook = model.get_submodule(self.target).register_forward_hook(self._beside)
        return hook.remove  # type: ignore[no-any-return]

    def _beside(self, _module: Any, given: Any, y: torch.Tensor) -> torch.Tensor:
        return (y + self.forward(given[0])).to(y.dtype)


class RouterLora(LowRank):
    """LoRA beside a router: what is added to its logits, [T, H] to [T, E]."""

    def attach(self, model: Any) -> Callable[[], None]:
        return _attached(cast("ResidentRouter", model.get_submodule(self.target)).branches, self)


class RouterDelta(Part):
    """Logits += D x + d: a router trained in full, as its difference from the base; D [E, H]."""

    def __init__(self, target: str, weight_EH: torch.Tensor, bias_E: torch.Tensor) -> None:
        super().__init__(target)
        self.weight, self.bias = nn.Parameter(weight_EH), nn.Parameter(bias_E)

    def attach(self, model: Any) -> Callable[[], None]:
        return _attached(cast("ResidentRouter", model.get_submodule(self.target)).branches, self)

    def forward(self, hidden_TH: torch.Tensor) -> torch.Tensor:
        """[T, E], added to the logits."""
        x = hidden_TH.to(self.weight.dtype)
        return nn.functional.linear(x, self.weight, self.bias) * self.scale


class ExpertLora(Part):
    """y_e += scaling · B_e(A_e x) on the routed rows of chosen experts of one projection.

    A [n, r, K] and B [n, N, r] belong to `experts` (n ascending ids) of `target`, an experts
    module; `projection` is 'gate_up_proj' or 'down_proj'. The cost grows with their rows only.
    """

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

    def attach(self, model: Any) -> Callable[[], None]:
        return _attached(_taps(model, self.target).branches, self)

    def beside(
        self, name: str, x_SK: torch.Tensor, y_SN: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """See `experts.ExpertBranch`."""
        if name != self.projection:
            return y_SN
        spans = self._spans(offsets)
        if not spans and not torch.is_grad_enabled():
            return y_SN
        scaling = self.scaling * self.scale
        return cast("Any", _GroupedLora).apply(x_SK, y_SN, self.a, self.b, scaling, spans)  # type: ignore[no-any-return]

    def _spans(self, offsets: torch.Tensor) -> list[tuple[int, int, int]]:
        """(index, first row, end row) of each chosen expert that has rows."""
        bounds = offsets.tolist()
        spans = [(i, bounds[e], bounds[e + 1]) for i, e in enumerate(self.experts)]
        return [span for span in spans if span[1] < span[2]]


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


class ExpertWeights(Part):
    """One expert in full precision in the packed one's place: W [N, K] and bias [N] of both."""

    def __init__(self, target: str, expert: int, weights: dict[str, torch.Tensor]) -> None:
        super().__init__(target)
        self.expert = expert
        for name in PROJECTIONS:
            for key in (name, f"{name}_bias"):
                self.register_parameter(key, nn.Parameter(weights[key]))

    def attach(self, model: Any) -> Callable[[], None]:
        return _attached(_taps(model, self.target).branches, self)

    def beside(
        self, name: str, x_SK: torch.Tensor, y_SN: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """See `experts.ExpertBranch`. `scale` mixes: 0 is the packed expert, 1 this one."""
        first, end = offsets[self.expert : self.expert + 2].tolist()
        if first == end:
            return y_SN
        w_NK, bias_N = self.get_parameter(name), self.get_parameter(f"{name}_bias")
        own = nn.functional.linear(x_SK[first:end].to(w_NK.dtype), w_NK, bias_N).to(y_SN.dtype)
        if self.scale != 1:
            own = torch.lerp(y_SN[first:end], own, self.scale)
        return torch.cat([y_SN[:first], own, y_SN[end:]])


class SoftPrompt(Part):
    """Trained embeddings [n, H] in front of every prompt (prompt tuning, arXiv 2104.08691)."""

    def __init__(self, embeddings_nH: torch.Tensor) -> None:
        super().__init__("model.embed_tokens")
        self.embeddings = nn.Parameter(embeddings_nH)

    def attach(self, model: Any) -> Callable[[], None]:
        return lambda: None  # a cache is filled instead

    def __len__(self) -> int:
        return len(self.embeddings)

    def fill(self, model: Any, cache: Any) -> None:
        """Let `cache`, an empty one, begin with the keys and values of these positions."""
        dtype = model.get_input_embeddings().weight.dtype
        model.get_decoder()(
            inputs_embeds=self.embeddings[None].to(dtype), past_key_values=cache, use_cache=True
        )


class Prefix(Part):
    """Trained keys and values [L, 2, heads, n, D] before every prompt (arXiv 2101.00190)."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__("model")
        self.states = nn.Parameter(states)

    def attach(self, model: Any) -> Callable[[], None]:
        return lambda: None  # a cache is filled instead

    def __len__(self) -> int:
        return self.states.shape[3]

    def fill(self, model: Any, cache: Any) -> None:
        """Let `cache`, an empty one, begin with these keys and values."""
        for layer, (keys, values) in enumerate(self.states.to(model.dtype)):
            cache.update(keys[None].to(model.device), values[None].to(model.device), layer)


def _taps(model: Any, target: str) -> Taps:
    return cast("Taps", model.get_submodule(target).taps)


def _attached(branches: list[Any], part: Part) -> Callable[[], None]:
    branches.append(part)
    return lambda: branches.remove(part)
