"""AdamW (arXiv 1711.05101) on bf16 weights, which are rounded up or down by chance.

Rounded to the nearest, a step below half of the last digit is lost; by chance it is right on
average (arXiv 2010.06192). The same step of the same weight draws the same numbers on every rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BETAS, EPS = (0.9, 0.999), 1e-8  # torch's AdamW's
PIECE = 1 << 24  # numbers that are widened at once
LOW_BITS = 16  # of fp32 that bf16 has not
SEED_STEP = 1_000_003


class RoundedAdamW(torch.optim.Optimizer):
    """No decay; both means in fp32. A weight may be any part of a whole one, or empty."""

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        super().__init__(list(weights), {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One step of every weight that has a gradient."""
        (group,) = self.param_groups
        for number, weight in enumerate(group["params"]):
            if weight.grad is not None:
                self._step(number, weight, float(group["lr"]))

    def _step(self, number: int, weight: torch.Tensor, rate: float) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            for mean in ("exp_avg", "exp_avg_sq"):
                state[mean] = torch.zeros_like(weight, dtype=torch.float32)
        state["step"] += 1
        step = int(state["step"])
        draw = torch.Generator(weight.device).manual_seed(step * SEED_STEP + number)
        flat = (weight, weight.grad, state["exp_avg"], state["exp_avg_sq"])
        pieces = [tensor.reshape(-1).split(PIECE) for tensor in flat if tensor is not None]
        first, second = (1 - beta**step for beta in BETAS)
        for values, slope, mean, square in zip(*pieces, strict=True):
            slope = slope.float()  # noqa: PLW2901
            mean.lerp_(slope, 1 - BETAS[0])
            square.lerp_(slope.square(), 1 - BETAS[1])
            away = mean / first / ((square / second).sqrt() + EPS)
            values.copy_(rounded(values.float() - rate * away, values.dtype, draw))

    def restore(self, state: Mapping[int, Mapping[str, torch.Tensor]]) -> None:
        """Steps and means by the number of the weight; torch would put them into bf16."""
        weights = self.param_groups[0]["params"]
        self.state.clear()
        for number, values in state.items():
            weight = weights[number]
            self.state[weight] = {
                name: value.clone() if name == "step" else value.float().to(weight.device)
                for name, value in values.items()
            }


def rounded(values: torch.Tensor, dtype: torch.dtype, draw: torch.Generator) -> torch.Tensor:
    """fp32 `values` in `dtype`; in bf16 up or down, as likely as they lie near."""
    if dtype != torch.bfloat16:
        return values.to(dtype)
    noise = torch.randint(
        1 << LOW_BITS, values.shape, dtype=torch.int32, device=values.device, generator=draw
    )
    bits = values.contiguous().view(torch.int32) + noise
    return (bits & -(1 << LOW_BITS)).view(torch.float32).bfloat16()


class Rounded8Bit:
    """torchao's AdamW, its means in 8 bits (arXiv 2110.02861), rounded by chance; one a weight.

    So each weight draws its own numbers, whatever part of the others a rank has.
    """

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        from torchao.optim import AdamW8bit

        how = {"lr": 0.0, "weight_decay": 0.0, "bf16_stochastic_round": True}
        self._each = [AdamW8bit([weight], **how) for weight in weights]
        self.param_groups: list[dict[str, Any]] = [{"params": list(weights), "lr": 0.0}]

    def step(self) -> None:
        """One step of every weight that has a gradient; on a processor nothing is compiled."""
        (group,) = self.param_groups
        for number, (one, weight) in enumerate(zip(self._each, group["params"], strict=True)):
            if weight.grad is None:
                continue
            one.param_groups[0]["lr"].fill_(group["lr"])
            done = int(one.state[weight]["step"]) if one.state else 0
            cards = [weight.device] if weight.is_cuda else []
            stance = "force_eager" if weight.is_cpu else "default"
            with torch.random.fork_rng(devices=cards), torch.compiler.set_stance(stance):
                torch.manual_seed((done + 1) * SEED_STEP + number)
                one.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.param_groups[0]["params"]:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Steps and means by the number of the weight."""
        pairs = zip(self._each, self.param_groups[0]["params"], strict=True)
        return {"state": {n: dict(one.state[w]) for n, (one, w) in enumerate(pairs) if one.state}}

    def restore(self, state: Mapping[int, Mapping[str, torch.Tensor]]) -> None:
        """What `state_dict` gave, its means whole, in 8 bits again."""
        for number, values in state.items():
            one, weight = self._each[number], self.param_groups[0]["params"][number]
            made = {"step": values["step"].clone()}
            for name, is_signed in (("exp_avg", True), ("exp_avg_sq", False)):
                made[name] = one._new_buffer(weight, is_signed)
                made[name].copy_(values[name].to(weight.device))
            one.state[weight] = made


def numbers(value: torch.Tensor) -> torch.Tensor:
    """A mean as a plain tensor, also where it is kept in 8 bits."""
    return value if type(value) is torch.Tensor else value.dequantize()
