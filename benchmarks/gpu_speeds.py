"""Speeds and memory of a packed model on a GPU, and of transformers' own packed path.

Part of `make gpu-check` (gpu_check.py).
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """Tokens of each step."""

    check: int = 32
    prompt: int = 2048
    new: int = 32
    training: int = 512


@dataclass(frozen=True)
class Speed:
    name: str
    value: float
    unit: str
    what: str


@dataclass(frozen=True)
class Check:
    """`ok` where value is at most limit."""

    name: str
    value: float
    limit: float
    ok: bool
    what: str


@dataclass(frozen=True)
class Skipped:
    name: str
    why: str


def at_most(name: str, value: float, limit: float, what: str) -> Check:
    """A check; a value that is no number fails it."""
    return Check(name, round(value, 6), round(limit, 6), value <= limit, what)


def loaded(path: Path, device: str, context: int = 256) -> Any:
    """The resident model; its `plan` is the one made before the load."""
    from gptoss_magic.model.load import LoadSettings, load

    return load(LoadSettings(str(path), device=device, context=context), lambda *_: None)


def synchronized(device: str) -> float:
    """Seconds on the clock once the device has done all its work."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def release() -> None:
    """Give back the memory of models that nothing names any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tokens_of(count: int, device: str) -> Any:
    """The same random ids [1, count] each time."""
    import torch

    return torch.randint(8, 264, (1, count), generator=torch.Generator().manual_seed(0)).to(device)


def with_adapter(model: Any) -> Any:
    """The model with LoRA of rank 8 on its attention; the same adapter on every device."""
    import torch
    from peft import LoraConfig, get_peft_model

    names = ["q_proj", "k_proj", "v_proj", "o_proj"]
    adapted, draw = get_peft_model(model, LoraConfig(r=8, target_modules=names)), torch.Generator()
    draw.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_A" in name:
            random = torch.randn(parameter.shape, generator=draw)
            parameter.data.copy_(random / parameter.shape[1] ** 0.5)
    return adapted


def generation_speeds(
    model: Any, new_cache: Callable[[], Any], device: str, sizes: Sizes, who: str
) -> Iterator[Speed]:
    """Prefill and greedy decode after a warm-up."""
    import torch

    def run(ids: Any, cache: Any) -> Any:
        with torch.no_grad():
            out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1].argmax(-1)[None]

    prompt, warm = tokens_of(sizes.prompt, device), new_cache()
    run(run(prompt, warm), warm)
    cache, begin = new_cache(), synchronized(device)
    token = run(prompt, cache)
    middle = synchronized(device)
    for _ in range(sizes.new):
        token = run(token, cache)
    end = synchronized(device)
    rates = sizes.prompt / (middle - begin), sizes.new / (end - middle)
    yield Speed("prefill", round(rates[0], 2), "tokens/s", f"{who}: {sizes.prompt} tokens")
    what = f"{who}: {sizes.new} greedy tokens behind {sizes.prompt}"
    yield Speed("decode", round(rates[1], 2), "tokens/s", what)


def step_speed(model: Any, device: str, sizes: Sizes) -> Speed | Skipped:
    """Greedy decode by the step that the engine takes: on a GPU, a token as one CUDA graph."""
    import torch

    from gptoss_magic.generation.engine import step_of
    from gptoss_magic.model.kv_cache import KVCache

    step, cache = step_of(model), KVCache(model.config)
    with torch.no_grad():
        out = model(tokens_of(sizes.prompt, device), past_key_values=cache, use_cache=True)
        token = int(out.logits[0, -1].argmax())
        for number in range(sizes.new + 1):
            if number == 1:  # the first one records
                begin = synchronized(device)
            logits = step.take([cache], [[token]], range(1))
            if logits is None:
                return Skipped("decode, one call", step.describe())
            token = int(logits[0].argmax())
        rate = sizes.new / (synchronized(device) - begin)
        return Speed("decode, one call", round(rate, 2), "tokens/s", step.describe())


def training_step(model: Any, device: str, tokens: int) -> Iterator[Speed | Check]:
    """Three steps of LoRA on the attention, on one batch: the speed, and that the loss falls."""
    import torch

    adapted, ids = with_adapter(model), tokens_of(tokens, device)
    trained = [p for p in adapted.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.AdamW(trained, lr=1e-3), []
    for _ in range(4):
        begin = synchronized(device)
        loss = adapted(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        seconds = synchronized(device) - begin
    yield Speed("training", round(tokens / seconds, 2), "tokens/s", f"LoRA step, {tokens} tokens")
    what = "loss after three training steps, at most the first"
    yield at_most("training_loss", losses[-1], losses[0], what)


def memory_check(device: str, needed: int) -> Check | Skipped:
    """The peak of what torch held on the GPU against the plan."""
    import torch

    if not device.startswith("cuda"):
        return Skipped("memory", "counted on a GPU only")
    peak = torch.cuda.max_memory_allocated(device)
    what = "GB at the peak of load, prefill and decode; the limit is the plan"
    return at_most("memory", peak / 1e9, needed / 1e9, what)


def our_speeds(path: Path, device: str, sizes: Sizes) -> Iterator[Any]:
    """Load, prefill, decode and training of the packed model."""
    import torch

    from gptoss_magic.model.kv_cache import KVCache

    release()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    begin = synchronized(device)
    resident = loaded(path, device, sizes.prompt + sizes.new)
    rate = resident.plan.weights / (synchronized(device) - begin) / 1e9
    yield Speed("load", round(rate, 3), "GB/s", f"{path.name}, just written (a CPU maps the files)")
    model = resident.model
    yield from generation_speeds(
        model, lambda: KVCache(model.config), device, sizes, resident.backend
    )
    yield step_speed(model, device, sizes)
    yield memory_check(device, resident.plan.needed)
    yield from training_step(model, device, sizes.training)


def peer_speeds(path: Path, device: str, sizes: Sizes) -> Iterator[Speed | Skipped]:
    """The same of transformers' own packed path, where its kernel is on this machine."""
    from transformers import DynamicCache, GptOssForCausalLM
    from transformers.integrations.hub_kernels import get_kernel
    from transformers.utils import is_kernels_available

    if not device.startswith("cuda"):
        yield Skipped("transformers", "its packed path is for GPUs")
        return
    if not is_kernels_available():
        yield Skipped("transformers", "its packed path needs the package kernels")
        return
    try:
        get_kernel("kernels-community/gpt-oss-triton-kernels", version=1)
    except Exception as error:  # noqa: BLE001 (whatever the hub's client raises offline)
        why = str(error).splitlines()[:1]
        yield Skipped("transformers", f"its kernel is not in the local cache: {why}")
        return
    model = GptOssForCausalLM.from_pretrained(path, dtype="auto", device_map=device).eval()
    if not any(type(m).__name__ == "Mxfp4GptOssExperts" for m in model.modules()):
        yield Skipped("transformers", "it dequantised the experts")
        return
    cache = lambda: DynamicCache(config=model.config)  # noqa: E731
    yield from generation_speeds(model, cache, device, sizes, "transformers, packed")
    yield Skipped("transformers training", "its packed path has no backward")
