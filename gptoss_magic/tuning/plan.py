"""What a tuning run needs in memory and time, from shapes alone; docs/tuning-memory.md derives it.

Legend: L layers, E experts a layer, H hidden size, I intermediate size, r rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import DoesNotFit, InputError
from gptoss_magic.model.plan import GB, unpacked_bytes
from gptoss_magic.tuning.loss import LOGIT_ROWS
from gptoss_magic.tuning.methods.adalora import START
from gptoss_magic.tuning.methods.last_layers import DEFAULT as LAST_LAYERS
from gptoss_magic.tuning.settings import METHODS, MethodSettings, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOGIT_COPIES = 3  # bf16 logits, their fp32 copy and its gradient (2 + 4 + 4 bytes, rounded up)
SMALL_HIDDEN = 1024  # below: a model like the built-in one
# peak rates by method: (gpt-oss, small model). LoRA on gpt-oss: 2e-4 to 3e-4, in full 2e-5 (what is
# known to work for tuning it); the small model's were tried on it.
RATES = {
    "experts": (3e-4, 1e-3),
    "lora": (3e-4, 1e-3),
    "last-layers": (3e-4, 1e-3),
    "heads": (3e-4, 1e-3),
    "adalora": (5e-4, 2e-3),
    "router": (1e-4, 1e-3),
    "router+experts": (3e-4, 1e-3),
    "experts-full": (2e-5, 1e-4),
    "prompt": (1e-2, 1e-2),
    "prefix": (5e-3, 1e-2),
}
SHAPES = {
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_experts_per_tok": 4,
    "vocab_size": 201_088,
}
KNOWN = {
    "120b": SHAPES | {"num_hidden_layers": 36, "num_local_experts": 128},
    "20b": SHAPES | {"num_hidden_layers": 24, "num_local_experts": 32},
}


@dataclass(frozen=True)
class TunePlan:
    """`what` is trained in words; `memory` has the bytes by kind; `free` those on the device.

    `resident`: the weights lie there already. `seconds`: of the run, where a speed was measured.
    """

    model: str
    device: str
    what: str
    memory: dict[str, int]
    free: int
    num_steps: int
    resident: bool = False
    seconds: float | None = None

    @property
    def needed(self) -> int:
        """Bytes that are not there yet."""
        held = self.memory["weights"] if self.resident else 0
        return sum(self.memory.values()) - held

    @property
    def fits(self) -> bool:
        return self.needed <= self.free

    def table(self) -> str:
        """The plan as lines of text, in GB (10^9 bytes)."""
        rows = [
            (f"{name}{' (resident)' if self.resident and name == 'weights' else ''}", value)
            for name, value in self.memory.items()
        ]
        rows += [("needed", self.needed), (f"free on {self.device}", self.free)]
        lines = [f"{name:<28}{value / GB:>9.2f} GB" for name, value in rows]
        time = "not known before the first step"
        if self.seconds is not None:
            time = f"about {self.seconds:.0f} s, {self.seconds / 60:.1f} min"
        return "\n".join(
            [f"trains {self.what}", *lines, f"time for {self.num_steps} steps: {time}"]
        )


def make_tune_plan(
    config: Mapping[str, Any],
    method: MethodSettings,
    train: TrainSettings,
    *,
    what: str,
    num_params: int,
    device: str,
    weights: int,
    free: int,
    packed: bool,
    recompute: bool,
    **about: Any,
) -> TunePlan:
    """The plan of a run with `num_params` trained numbers; `about`: the other fields of `TunePlan`.

    `recompute`: activations are computed again in the backward, layer by layer.
    """
    on_gpu = device != "cpu"
    tokens = train.max_tokens
    if method.name in ("prompt", "prefix"):
        tokens += method.num_virtual
    logits = LOGIT_ROWS * config["vocab_size"] * 4 * LOGIT_COPIES
    memory = {
        "weights": weights,
        "adapter and gradients (fp32)": 8 * num_params,
        "optimizer": (2 if on_gpu else 8) * num_params,
        "activations": activation_bytes(config, tokens, recompute=recompute),
        "logits": logits,
        "unpacked experts": unpacked_bytes(dict(config)) if on_gpu and packed else 0,
        "reserve": max(200_000_000, weights // 50),
    }
    return TunePlan(
        what=what,
        memory={name: value for name, value in memory.items() if value},
        device=device,
        free=free,
        **about,
    )


def activation_bytes_per_token(config: Mapping[str, Any]) -> int:
    """What autograd keeps of a token through all layers, in bf16: rows of attention and experts."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    attention = 4 * hidden + 4 * config["num_attention_heads"] * config["head_dim"]
    routed = config["num_experts_per_tok"] * (2 * hidden + 3 * inner)
    return int(2 * config["num_hidden_layers"] * (attention + routed))


def activation_bytes(config: Mapping[str, Any], tokens: int, *, recompute: bool) -> int:
    """Of a sequence: all layers' rows, or each layer's input and one layer's rows at a time.

    The backward of a layer holds gradients of the same size beside them: twice.
    """
    per_token, layers = activation_bytes_per_token(config), config["num_hidden_layers"]
    if not recompute:
        return tokens * int(per_token * (layers + 1) // layers)
    inputs = 2 * layers * config["hidden_size"]
    return tokens * int(inputs + 2 * per_token // layers)


def num_parameters(
    config: Mapping[str, Any], method: MethodSettings, experts: Sequence[int] | None = None
) -> int:
    """Trained numbers of a method from shapes. `experts`: how many of each layer are chosen.

    Left out, hot and random experts are taken as `num_experts`, or `coverage` of a layer: more
    than they will be, since hot ones cover more than their number.
    """
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    hidden, rank = config["hidden_size"], method.rank
    inner, wide = config["intermediate_size"], heads * config["head_dim"]
    narrow = config["num_key_value_heads"] * config["head_dim"]
    attention = 2 * (hidden + wide) + 2 * (hidden + narrow)  # of a layer, a rank
    expert = hidden + 2 * inner + inner + hidden  # of an expert, a rank
    every = config["num_local_experts"]
    chosen = [
        every if method.choice == "all" else method.num_experts or ceil(method.coverage * every)
    ]
    counts = experts if experts is not None else chosen * (method.num_layers or layers)
    last = method.num_layers or LAST_LAYERS
    svd_rank = max(rank + 1, round(START * rank))
    found = {
        "lora": rank * layers * attention,
        "experts": rank * sum(counts) * expert,
        "router+experts": rank * sum(counts) * expert,
        "router": layers * every * (hidden + 1),
        "experts-full": (method.num_experts or 1) * (3 * inner * hidden + 2 * inner + hidden),
        "last-layers": rank * last * (attention + every * expert),
        "heads": rank * min(layers, method.num_heads) * 2 * (hidden + wide),
        "adalora": svd_rank * layers * attention + 4 * layers * svd_rank,
        "prompt": method.num_virtual * hidden,
        "prefix": method.num_virtual * layers * 2 * narrow,
    }
    return int(found[method.name])


def require_fit(plan: TunePlan) -> None:
    """Raise DoesNotFit with what would fit instead."""
    if plan.fits:
        return
    over = plan.needed - plan.free
    kinds = {name: size for name, size in plan.memory.items() if name != "weights"}
    largest = max(kinds, key=lambda name: kinds[name])
    smaller = "fewer experts (--num-experts), a lower --rank, or --method lora"
    advice = {
        "activations": "a shorter --max-tokens",
        "adapter and gradients (fp32)": smaller,
        "optimizer": smaller,
    }.get(largest, "another device")
    raise DoesNotFit(
        f"the run needs {plan.needed / GB:.2f} GB on {plan.device} but {plan.free / GB:.2f} GB are "
        f"free; {over / GB:.2f} GB must go, the most lies in {largest}: {advice} may fit"
    )


def defaults(method: MethodSettings, config: Mapping[str, Any], num_rows: int) -> TrainSettings:
    """What is chosen where nothing was said: the rate by method and size of the model.

    One epoch from 500 rows on; a small set is seen more often, up to ten times.
    """
    small = config["hidden_size"] < SMALL_HIDDEN
    epochs = min(10.0, max(1.0, round(500 / max(1, num_rows), 1)))
    tokens = 512 if small else 4096
    return TrainSettings(
        learning_rate=RATES[method.name][small],
        epochs=epochs,
        step_tokens=tokens,
        max_tokens=max(512, tokens // 2),
    )


def known_config(name: str) -> dict[str, Any]:
    """Shapes of gpt-oss '120b' or '20b'. Raises InputError."""
    if name not in KNOWN:
        raise InputError(f"{name}: shapes are known of {', '.join(KNOWN)}")
    return dict(KNOWN[name])


def packed_bytes(config: Mapping[str, Any]) -> int:
    """Bytes of a packed checkpoint: MXFP4 experts (17 for 32 numbers), the rest in bf16."""
    layers, every = config["num_hidden_layers"], config["num_local_experts"]
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    wide = config["num_attention_heads"] * config["head_dim"]
    narrow = config["num_key_value_heads"] * config["head_dim"]
    experts = every * (3 * inner * hidden * 17 // 32 + 2 * (2 * inner + hidden))
    attention = 2 * (hidden * (2 * wide + 2 * narrow) + 2 * wide // 2 + 2 * narrow + hidden)
    router = 2 * every * (hidden + 1)
    norms = 2 * 2 * hidden + 2 * config["num_attention_heads"]
    embeddings = 2 * 2 * config["vocab_size"] * hidden + 2 * hidden
    return int(layers * (experts + attention + router + norms) + embeddings)


def dry_run(name: str, method: MethodSettings, train: TrainSettings, free: int) -> TunePlan:
    """The plan for gpt-oss '120b' or '20b' on one GPU with `free` bytes, from its shapes alone."""
    config = known_config(name)
    count = num_parameters(config, method)
    return make_tune_plan(
        config,
        method,
        train,
        model=f"openai/gpt-oss-{name}",
        what=f"{method.name}: {count / 1e6:.1f} M parameters",
        num_params=count,
        device="cuda",
        weights=packed_bytes(config),
        free=free,
        packed=True,
        recompute=method.name != "prefix",
        num_steps=1,
    )


def dry_run_table(name: str = "120b", free: int = 80_000_000_000) -> str:
    """A Markdown table: what each method needs with its defaults, in GB."""
    heads = [
        "method",
        "parameters",
        "adapter",
        "optimizer",
        "activations",
        "other",
        "needed",
        "fits",
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for method in map(MethodSettings, METHODS):
        plan = dry_run(name, method, defaults(method, known_config(name), 1000), free)
        memory = dict(plan.memory)
        cells = [
            memory.pop(key) / GB
            for key in ("adapter and gradients (fp32)", "optimizer", "activations")
        ]
        other = sum(memory.values()) / GB
        count = num_parameters(known_config(name), method)
        numbers = " | ".join(f"{value:.2f}" for value in [*cells, other, plan.needed / GB])
        lines.append(
            f"| {method.name} | {count / 1e6:.1f} M | {numbers} | {'yes' if plan.fits else 'no'} |"
        )
    return "\n".join(lines)
