"""Memory preflight: what a load needs against what is free, from headers and config alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import DoesNotFit
from gptoss_magic.model.gpu import MOST_UNPACKED

if TYPE_CHECKING:
    from gptoss_magic.model.checkpoint import Checkpoint

GB = 1e9
PREFILL_TOKENS = 2048


@dataclass(frozen=True)
class Plan:
    """Bytes that a load needs, and those free on `device`."""

    model: str
    device: str
    context: int
    weights: int
    kv_cache: int
    activations: int
    reserve: int
    free: int

    @property
    def needed(self) -> int:
        return self.weights + self.kv_cache + self.activations + self.reserve

    @property
    def fits(self) -> bool:
        return self.needed <= self.free

    def rows(self) -> list[tuple[str, int]]:
        """What needs memory, in bytes, in all, and what is free."""
        return [
            ("weights", self.weights),
            (f"KV cache ({self.context} tokens)", self.kv_cache),
            ("activations", self.activations),
            ("reserve", self.reserve),
            ("needed", self.needed),
            (f"free on {self.device}", self.free),
        ]

    def table(self) -> str:
        """The plan as lines of text, in GB (10^9 bytes)."""
        return "\n".join(f"{name:<28}{value / GB:>9.2f} GB" for name, value in self.rows())


def kv_bytes(config: dict[str, Any], context: int) -> int:
    """Bytes of the KV cache in bf16. Sliding layers keep all keys too: a rollback needs them."""
    per_token: int = 2 * config["num_key_value_heads"] * config["head_dim"] * 2
    return per_token * config["num_hidden_layers"] * context  # type: ignore[no-any-return]


def activation_bytes(config: dict[str, Any], context: int, device: str) -> int:
    """Peak of one prefill chunk: a block of scores (fp32 and bf16), rows of attention and MLP."""
    from gptoss_magic.model.attention import ROWS, block_scores

    rows, heads = min(context, PREFILL_TOKENS), config["num_attention_heads"]
    least = heads * context  # a block has one query at least
    scores: int = max(least, min(least * min(rows, ROWS), block_scores(device))) * 6
    attention: int = rows * heads * config["head_dim"] * 2 * 8
    per_route: int = 10 * config["intermediate_size"] + 6 * config["hidden_size"]
    mlp: int = rows * config["num_experts_per_tok"] * per_route
    logits: int = config["vocab_size"] * 8
    return scores + attention + mlp + logits


def unpacked_bytes(config: dict[str, Any]) -> int:
    """bf16 bytes of the packed experts that a GPU unpacks at once: gate and up of a few."""
    experts: int = min(config["num_local_experts"], MOST_UNPACKED)
    return experts * 2 * config["intermediate_size"] * config["hidden_size"] * 2  # type: ignore[no-any-return]


def make_plan(checkpoint: Checkpoint, device: str, context: int, free: int) -> Plan:
    """Plan a load of `checkpoint`; nothing but its headers was read."""
    weights, config = checkpoint.num_bytes, checkpoint.config
    unpacked = unpacked_bytes(config) if checkpoint.is_packed and device != "cpu" else 0
    return Plan(
        checkpoint.name,
        device,
        context,
        weights,
        kv_bytes(config, context),
        activation_bytes(config, context, device) + unpacked,
        max(200_000_000, weights // 50),
        free,
    )


def require_fit(plan: Plan, config: dict[str, Any]) -> None:
    """Raise DoesNotFit with what would fit instead."""
    if plan.fits:
        return
    spare = plan.free - (plan.needed - plan.kv_cache)
    smaller = plan.context
    while smaller >= 256 and kv_bytes(config, smaller) > spare:
        smaller //= 2
    if spare > 0 and smaller >= 256:
        advice = f"--context {smaller} would fit"
    else:
        advice = "openai/gpt-oss-20b, more GPUs (--device auto) or the built-in model may fit"
    raise DoesNotFit(
        f"{plan.model} needs {plan.needed / GB:.2f} GB on {plan.device} but "
        f"{plan.free / GB:.2f} GB are free; {advice}"
    )


def free_bytes(device: str) -> int:
    """Bytes free on `device`: a GPU's allocator, or the machine's available memory."""
    import torch

    if device.startswith("cuda") or device == "auto":
        indices = range(torch.cuda.device_count()) if device == "auto" else [torch.device(device)]
        return sum(int(torch.cuda.mem_get_info(index)[0]) for index in indices)
    return _available_memory()


def _available_memory() -> int:
    import os
    from pathlib import Path

    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
