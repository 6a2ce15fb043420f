"""MemoryPlan and time of a tuning run before it starts, from shapes and what is free."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from gptoss_magic.errors import DoesNotFit
from gptoss_magic.model.plan import GB, unpacked_bytes
from gptoss_magic.tuning.counts import (
    activation_bytes_per_token,
    num_parameters,
    num_reached_layers,
)
from gptoss_magic.tuning.loss import LOGIT_ROWS
from gptoss_magic.tuning.methods import METHODS, method_of, settings_of
from gptoss_magic.tuning.methods.method import NARROW
from gptoss_magic.tuning.settings import MethodSettings, TrainSettings

FP32 = 4  # bytes
LOGIT_COPIES = 3  # log-softmax, its gradient, and the loss's: fp32 [LOGIT_ROWS, V] each
SCORE_BYTES = 14  # of a score in attention's backward: two in fp32, three in bf16
ADAMW, PAGED_8_BIT = 8.0, 2 + 8 / 256  # of a trained number; 8 bits: two fp32 scales for each 256
LEAST_TOKENS, LEAST_RANK = 128, 1
SEEN_ROWS, MOST_EPOCHS = 120, 3  # few rows are seen again until so many were seen


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by kind. `adapter`, `gradients` and `optimizer` are of what is trained."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    unpacked: int
    reserve: int


@dataclass(frozen=True)
class PlanInputs:
    """What a plan is made for: the sequences' longest, and whether activations are recomputed.

    `paged`: AdamW's means in 8 bits, as bitsandbytes' paged one and torchao's have them.
    """

    config: dict[str, Any]
    method: MethodSettings
    num_params: int
    sequence_tokens: int
    device: str
    packed: bool
    recompute: bool
    paged: bool


@dataclass(frozen=True)
class TunePlan:
    """Bytes that a run needs beside what is `free`; `what`: one line on what is trained.

    `resident`: the weights are loaded already, `free` is what they left. `seconds`: of all steps,
    None where no speed was measured.
    """

    model: str
    what: str
    asked: PlanInputs
    memory: MemoryPlan
    free: int
    resident: bool
    seconds: float | None = None

    @property
    def needed(self) -> int:
        """Bytes that `free` must hold."""
        total = sum(getattr(self.memory, field.name) for field in fields(MemoryPlan))
        return int(total - (self.memory.weights if self.resident else 0))

    @property
    def fits(self) -> bool:
        return self.needed <= self.free

    def rows(self) -> list[tuple[str, int]]:
        """What needs memory, in bytes, in all, and what is free."""
        memory, asked = self.memory, self.asked
        kept = "recomputed" if asked.recompute else "kept"
        return [
            ("weights, loaded" if self.resident else "weights", memory.weights),
            (_trained_words(asked), memory.adapter),
            ("gradients", memory.gradients),
            ("optimizer, 8 bits" if asked.paged else "optimizer", memory.optimizer),
            (f"activations, {kept} ({asked.sequence_tokens} tokens)", memory.activations),
            (f"logits ({LOGIT_ROWS} rows)", memory.logits),
            ("experts unpacked", memory.unpacked),
            ("reserve", memory.reserve),
            ("needed beside the weights" if self.resident else "needed", self.needed),
            (f"free on {asked.device}", self.free),
        ]

    @property
    def time(self) -> str:
        """`about 40 s`; empty where no speed was measured."""
        return "" if self.seconds is None else f"about {duration(self.seconds)}"

    def table(self) -> str:
        """The plan as lines of text, in GB (10^9 bytes)."""
        lines = [f"{name:<38}{value / GB:>9.2f} GB" for name, value in self.rows()]
        return "\n".join([f"trains: {self.what}", *lines, *filter(None, [self.time])])


def make_tune_plan(
    config: dict[str, Any],
    *,
    model: str,
    weights: int,
    method: MethodSettings,
    num_params: int,
    what: str,
    sequence_tokens: int,
    num_steps: int,
    step_tokens: int,
    device: str,
    free: int,
    packed: bool,
    recompute: bool,
    tokens_per_s: float | None,
    resident: bool = True,
    paged: bool | None = None,
) -> TunePlan:
    """Plan a run of `num_steps` steps of `step_tokens`; `weights` and `free` in bytes.

    `resident` False: the weights count against `free` too. `paged` None: as the trainer chooses.
    """
    if method.is_8_bit is not None or paged is None:
        paged = has_paged(device) if method.is_8_bit is None else method.is_8_bit
    asked = PlanInputs(
        config, method, num_params, sequence_tokens, device, packed, recompute, paged
    )
    seconds = num_steps * step_tokens / tokens_per_s if tokens_per_s else None
    return TunePlan(model, what, asked, memory_of(asked, weights), free, resident, seconds)


def memory_of(asked: PlanInputs, weights: int) -> MemoryPlan:
    """The bytes of `asked` by kind."""
    config, params, sizes = asked.config, asked.num_params, method_of(asked.method).sizes
    state = (PAGED_8_BIT if asked.paged else ADAMW) + sizes.state_bytes
    trained = sizes.trained_bytes(config) * params
    on_gpu = asked.device != "cpu"
    return MemoryPlan(
        weights,
        trained,
        trained,
        round(state * params),
        activation_bytes(asked),
        LOGIT_ROWS * config["vocab_size"] * 4 * LOGIT_COPIES,
        unpacked_bytes(config) if asked.packed and on_gpu else 0,
        max(200_000_000, weights // 50),
    )


def _trained_words(asked: PlanInputs) -> str:
    method = method_of(asked.method)
    dtype = "fp32" if method.sizes.trained_bytes(asked.config) == FP32 else "16 bits"
    return f"{'all weights' if method.trains_all else 'adapter'}, {dtype}"


def activation_bytes(asked: PlanInputs) -> int:
    """What is kept for the backward, one layer's gradients, and a block of attention's scores.

    Recomputed: one bf16 hidden state of each layer is kept, and one layer in full.
    """
    from gptoss_magic.model.attention import ROWS, block_scores

    config, tokens = asked.config, asked.sequence_tokens
    layer = activation_bytes_per_token(config, asked.method, num_layers=1)
    reached = num_reached_layers(config, asked.method)
    kept = reached * 2 * config["hidden_size"] + layer if asked.recompute else reached * layer
    most = block_scores("cpu" if asked.device == "cpu" else "cuda")
    scores = min(config["num_attention_heads"] * tokens * min(tokens, ROWS), most)
    return int((kept + layer) * tokens + scores * SCORE_BYTES)


def must_recompute(config: dict[str, Any], method: MethodSettings, tokens: int, free: int) -> bool:
    """True where what autograd keeps of `tokens` would fill a quarter of what is `free`."""
    kept = tokens * activation_bytes_per_token(config, method)
    return kept > free // 4 and method_of(method).sizes.recomputes


def has_paged(device: str) -> bool:
    """True where the trainer takes bitsandbytes' paged 8-bit AdamW."""
    from importlib.util import find_spec

    return device != "cpu" and find_spec("bitsandbytes") is not None


def require_fit(plan: TunePlan) -> None:
    """Raise DoesNotFit with what would fit instead."""
    if plan.fits:
        return
    advice = "; ".join(would_fit(plan)) or "a smaller model or a larger device may fit"
    raise DoesNotFit(
        f"tuning {plan.model} by {plan.asked.method.name} needs {plan.needed / GB:.2f} GB on "
        f"{plan.asked.device} but {plan.free / GB:.2f} GB are free; {advice}"
    )


def would_fit(plan: TunePlan) -> list[str]:
    """Changes of one kind each after which the plan fits."""
    found = []
    for advice, number, least in (
        ("--max-tokens {}", plan.asked.sequence_tokens, LEAST_TOKENS),
        ("--rank {}", getattr(plan.asked.method, "rank", 0), LEAST_RANK),
        ("--num-experts {}", _num_experts(plan.asked), 1),
    ):
        smaller = next((n for n in _halves(number, least) if _with(plan, advice, n).fits), None)
        if smaller is not None:
            found.append(f"{advice.format(smaller)} would fit")
    names = [name for name in METHODS if name != plan.asked.method.name]
    other = next((name for name in names if _by(plan, name).fits), None)
    return [*found, f"--method {other} would fit"] if other and not found else found


def _halves(number: int, least: int) -> list[int]:
    found = []
    while number // 2 >= least:
        number //= 2
        found.append(number)
    return found


def _num_experts(asked: PlanInputs) -> int:
    """Trained experts of a layer, on average; 0 where the method has no choice of them."""
    one = asked.method.with_experts(1)
    return asked.num_params // num_parameters(asked.config, one) if one else 0


def _with(plan: TunePlan, advice: str, number: int) -> TunePlan:
    """The plan with the option that `advice` names set to `number`."""
    asked, method = plan.asked, plan.asked.method
    if "tokens" in advice:
        return _again(plan, replace(asked, sequence_tokens=number))
    if "rank" in advice:
        changed = settings_of(**{**method.record(), "rank": number})
        before = num_parameters(asked.config, method)
        share = num_parameters(asked.config, changed) / before
        return _again(
            plan, replace(asked, method=changed, num_params=int(asked.num_params * share))
        )
    changed = method.with_experts(number) or method
    params = num_parameters(asked.config, changed)
    return _again(plan, replace(asked, method=changed, num_params=params))


def _by(plan: TunePlan, name: str) -> TunePlan:
    method = settings_of(name)
    recompute = plan.asked.recompute and METHODS[name].sizes.recomputes
    params = num_parameters(plan.asked.config, method)
    return _again(plan, replace(plan.asked, method=method, num_params=params, recompute=recompute))


def _again(plan: TunePlan, asked: PlanInputs) -> TunePlan:
    return replace(plan, asked=asked, memory=memory_of(asked, plan.memory.weights))


def duration(seconds: float) -> str:
    """As '40 s', '12 min' or '3.5 h'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def defaults(method: MethodSettings, config: dict[str, Any], num_rows: int) -> TrainSettings:
    """Settings that suit the method, the model's size and the number of rows."""
    rate = method_of(method).rate.of(config)
    epochs = min(MOST_EPOCHS, max(1, SEEN_ROWS // max(1, num_rows)))
    tokens = 512 if config["hidden_size"] < NARROW else 1024
    return TrainSettings(learning_rate=rate, epochs=float(epochs), step_tokens=tokens)
