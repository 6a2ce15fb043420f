"""How long a run takes on a card, estimated from shapes: products to compute, weights to read.

No run was timed on a GPU. What the card sustains is an assumption that the user can replace.

Legend: H hidden size, I expert size, k experts a token, A·D queries' width, T tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.counts import num_parameters, num_reached_layers
from gptoss_magic.tuning.methods import method_of
from gptoss_magic.tuning.shapes import projections, queries_width

if TYPE_CHECKING:
    from gptoss_magic.tuning.plan import TunePlan
    from gptoss_magic.tuning.settings import MethodSettings


@dataclass(frozen=True)
class CardSpeed:
    """What a card sustains: bf16 products in 10^12 a second, memory in 10^9 bytes a second.

    The defaults are assumptions: about a third of what an A100's data sheet names as its peak
    (312 TFLOP/s, 2,039 GB/s). Raises InputError unless both are above 0.
    """

    tflops: float = 100.0
    gb_per_s: float = 700.0

    def __post_init__(self) -> None:
        if not (0 < self.tflops < 1e9 and 0 < self.gb_per_s < 1e9):
            raise InputError(
                f"speed {self.tflops:g} TFLOP/s, {self.gb_per_s:g} GB/s: give numbers above 0"
            )


def train_seconds(plan: TunePlan, num_tokens: int, speed: CardSpeed) -> float:
    """Seconds to train on `num_tokens`, measuring, checkpoints and the canary left out."""
    asked = plan.asked
    products = train_flops(asked.config, asked.method, asked.sequence_tokens, asked.recompute)
    num_sequences = -(-num_tokens // asked.sequence_tokens)
    reads = num_sequences * (3 if asked.recompute else 2) * plan.memory.weights
    return num_tokens * products / (speed.tflops * 1e12) + reads / (speed.gb_per_s * 1e9)


def by_method(plan: TunePlan, method: MethodSettings) -> TunePlan:
    """The plan of the same texts by another method, from shapes alone; its time by the products."""
    from gptoss_magic.tuning.plan import memory_of

    asked = plan.asked
    recompute = asked.recompute and method_of(method).sizes.recomputes
    other = replace(
        asked,
        method=method,
        num_params=num_parameters(asked.config, method),
        recompute=recompute,
    )
    products = [
        train_flops(one.config, one.method, one.sequence_tokens, one.recompute)
        for one in (asked, other)
    ]
    seconds = None if plan.seconds is None else plan.seconds * products[1] / products[0]
    return replace(plan, asked=other, memory=memory_of(other, plan.memory.weights), seconds=seconds)


def train_flops(config: dict[str, Any], method: Any, num_tokens: int, recompute: bool) -> float:
    """Of a token in a sequence of `num_tokens`: forward, backward through what is frozen, again.

    Frozen weights have no gradient, so that the backward costs one forward of the layers it
    reaches (attention's scores two); where every weight is trained, two. The method's own branches
    are left out: few percent.
    """
    layers: int = config["num_hidden_layers"]
    reached = num_reached_layers(config, method)
    products, scores, head = forward_flops(config, num_tokens)
    forward = layers * (products + scores) + head
    times = 2 if method_of(method).trains_all else 1
    backward = reached * (times * products + 2 * scores) + times * head
    again = reached * (products + scores) if recompute else 0
    return forward + backward + again


def forward_flops(config: dict[str, Any], num_tokens: int) -> tuple[float, float, float]:
    """(products of a layer, its attention's scores, the head) for one token.

    A layer: 2 · (Σ in · out of q, k, v, o, + E·H of the router, + k · 3·H·I). Scores: 4·A·D for
    each key: T/2 on average, at most the window in every second layer.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    attention = sum(n_in * n_out for n_in, n_out in projections(config))
    experts = config["num_experts_per_tok"] * 3 * hidden * inner
    products = 2.0 * (attention + config["num_local_experts"] * hidden + experts)
    keys = num_tokens / 2
    window = min(keys, config.get("sliding_window") or keys)
    return (
        products,
        4.0 * queries_width(config) * (keys + window) / 2,
        2.0 * hidden * config["vocab_size"],
    )
