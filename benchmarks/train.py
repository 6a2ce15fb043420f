"""A training step of attention LoRA through packed experts, against peft on transformers' bf16.

Both are peft on the same checkpoint, each in its own process, with gradient checkpointing.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from benchmarks.figure import Figure, compared
from benchmarks.whole import NEEDED_GB, PACKED, TRANSFORMERS, apart, checkpoint, require_free

# by tokens; eager attention of 2,048 tokens beside bf16 experts stays below 12 GB
LAYERS, STEPS = {512: 4, 2048: 2}, {512: 2, 2048: 1}
LARGEST_DIFFERENCE = 0.02  # of the losses
STEP = """
import gc, json, resource, sys, time
from pathlib import Path
path, num_tokens, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import torch
{set_up}
from peft import LoraConfig, get_peft_model
def status(key):
    file = Path("/proc/self/status")
    if not file.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    lines = file.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024 / 1e9
def reset_peak():
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
torch.manual_seed(0)
names = ["q_proj", "k_proj", "v_proj", "o_proj"]
model = get_peft_model(model, LoraConfig(r=8, target_modules=names))
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=dict(use_reentrant=False))
model.train()
weights = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.SGD(weights, lr=1e-3)
ids = torch.randint(8, 264, (1, num_tokens), generator=torch.Generator().manual_seed(0))
def step():
    begin = time.perf_counter()
    optimizer.zero_grad()
    loss = model(ids, labels=ids, use_cache=False).loss
    loss.backward()
    optimizer.step()
    return time.perf_counter() - begin, float(loss.detach())
_, loss = step()
gc.collect()
before = status("VmRSS")
reset_peak()
seconds = sorted(step()[0] for _ in range(repeats))
moved = sum(float(p.grad.abs().sum()) > 0 for p in weights)
print(json.dumps(dict(time=seconds[repeats // 2], memory=status("VmHWM"), before=before,
                      loss=loss, moved=moved, weights=len(weights))))
"""


@cache
def measured(set_up: str, tokens: int, repeats: int) -> dict[str, Any]:
    """time [s] of a warm step, memory [GB] at its peak and before it, and what the first did."""
    require_free(NEEDED_GB["20b"])
    code = STEP.format(set_up=set_up)
    return apart(code, checkpoint("20b", LAYERS[tokens]), tokens, repeats)


def step_figure(key: str, tokens: int, repeats: int) -> Figure:
    """'time' or 'memory' of a step; the first step of each process warms it up."""
    repeats = min(repeats, STEPS[tokens])
    ours, peer = (measured(set_up, tokens, repeats) for set_up in (PACKED, TRANSFORMERS))
    if abs(ours["loss"] / peer["loss"] - 1) > LARGEST_DIFFERENCE or ours["moved"] != peer["moved"]:
        raise RuntimeError(f"the two steps differ: {ours} against {peer}")
    what = (
        f"a LoRA step (r=8 on q, k, v, o), {tokens} tokens, {LAYERS[tokens]} layers of 20b shapes"
    )
    if key == "memory":
        added = [f"{found['memory'] - found['before']:.2f} GB" for found in (ours, peer)]
        what = f"peak memory of {what}; the step adds {added[0]}, peft's {added[1]}"
    unit = {"time": "s", "memory": "GB"}[key]
    name = f"train_step_{'' if tokens == 512 else f'{tokens}_'}{key}_vs_peft"
    words = f"{what}: peft on packed experts against peft on transformers' bf16"
    return compared(name, unit, ours[key], peer[key], words, less_is_better=True)


TRAIN = {
    f"train_step_{middle}{key}_vs_peft": partial(step_figure, key, tokens)
    for tokens, middle in ((512, ""), (2048, "2048_"))
    for key in ("time", "memory")
}
