"""LoRA on experts: a step against peft's way on the dequantised model, and what the choice gives.

The choice is measured on the built-in model: hot, random and all experts and attention alone, with
as many trained numbers each, on three seeds.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from pathlib import Path
from statistics import mean, pstdev
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figure import Figure, compared
from benchmarks.whole import NEEDED_GB, apart, checkpoint, require_free

LAYERS, TOKENS, RANK, STEPS = 2, 512, 8, 2
LARGEST_DIFFERENCE = 0.02  # of the losses
SEEDS, NUM_STEPS = (0, 1), 6
# equal budgets on the built-in model: 2 of 4 experts at rank 8, all at 4, attention at 24; the
# branches count alike (alpha / rank is 2)
CHOICES = {
    "hot": {"name": "experts", "choice": "hot", "num_experts": 2, "rank": 8, "alpha": 16},
    "random": {"name": "experts", "choice": "random", "num_experts": 2, "rank": 8, "alpha": 16},
    "all": {"name": "experts", "choice": "all", "rank": 4, "alpha": 8},
    "attention": {"name": "lora", "rank": 24, "alpha": 48},
}
HEAD = """
import gc, json, resource, sys, time
from pathlib import Path
path, tokens, repeats, rank = sys.argv[1], *map(int, sys.argv[2:5])
import torch
torch.manual_seed(0)
ids = torch.randint(8, 264, (1, tokens), generator=torch.Generator().manual_seed(0))
"""
OURS = """
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.records import Example
from gptoss_magic.tuning.methods import make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.trainer import Trainer, TrainingWork
model = load(LoadSettings(path), lambda *_: None).model
parts = make_parts(model, Context(settings_of(rank=rank, alpha=rank, choice="all")))
example = Example(tuple(ids[0].tolist()), (True,) * tokens)
work = TrainingWork([[[example]]] * (repeats + 1))
trainer = Trainer(model, parts, work, TrainSettings(learning_rate=1e-3), checkpointing=True)
class Free:
    stopped, rate = False, None
    def wait(self): return True
steps = trainer.run(Free())
def step():
    begin = time.perf_counter()
    loss = next(steps).loss
    return time.perf_counter() - begin, loss
weights = trainer.weights
"""
PEFT = """
from peft import LoraConfig, get_peft_model
from transformers import GptOssForCausalLM
model = GptOssForCausalLM.from_pretrained(path, dtype="auto")
names = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
config = LoraConfig(r=rank, lora_alpha=rank, target_modules=[], target_parameters=names)
model = get_peft_model(model, config)
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=dict(use_reentrant=False))
model.train()
weights = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.0)
def step():
    begin = time.perf_counter()
    optimizer.zero_grad()
    loss = model(ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    return time.perf_counter() - begin, float(loss.detach())
"""
TAIL = """
_, loss = step()
gc.collect()
if Path("/proc/self/clear_refs").exists():
    Path("/proc/self/clear_refs").write_text("5")
seconds = sorted(step()[0] for _ in range(repeats))
status = Path("/proc/self/status")
if status.exists():
    lines = status.read_text().splitlines()
    peak = next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) * 1024 / 1e9
else:
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
print(json.dumps(dict(time=seconds[repeats // 2], memory=peak, loss=loss,
                      numbers=sum(p.numel() for p in weights))))
"""


@cache
def measured(set_up: str, repeats: int) -> dict[str, Any]:
    """time [s] of a warm step, memory [GB] at its peak, and the first step's loss."""
    require_free(NEEDED_GB["20b"])
    return apart(HEAD + set_up + TAIL, checkpoint("20b", LAYERS), TOKENS, repeats, RANK)


def step_figure(key: str, repeats: int) -> Figure:
    """'time' or 'memory' of a step that trains LoRA on every expert."""
    ours, peer = (measured(set_up, min(repeats, STEPS)) for set_up in (OURS, PEFT))
    same = ours["numbers"] == peer["numbers"]
    if not same or abs(ours["loss"] / peer["loss"] - 1) > LARGEST_DIFFERENCE:
        raise RuntimeError(f"the two steps differ: {ours} against {peer}")
    what = (
        f"{key} of a step with LoRA r={RANK} on all experts, {TOKENS} tokens, {LAYERS} layers of "
        "20b shapes: side branches on packed experts against peft's target_parameters on bf16"
    )
    unit = {"time": "s", "memory": "GB"}[key]
    name = f"expert_lora_{'step_' if key == 'time' else ''}{key}_vs_peft"
    return compared(name, unit, ours[key], peer[key], what, less_is_better=True)


def rows() -> list[dict[str, str]]:
    """A style to learn: facts, colours and days in a sailor's voice, with plain reasoning."""
    pairs = [
        ("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Austria", "Vienna"),
        ("Greece", "Athens"), ("Norway", "Oslo"),
    ]  # fmt: skip
    things = [
        ("Anna", "red", "kite"), ("Ben", "blue", "boat"), ("Clara", "green", "scarf"),
        ("David", "white", "cup"), ("Emma", "black", "coat"),
    ]  # fmt: skip
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    told = [
        (f"What is the capital of {c}?", f"The user asks for the capital of {c}. It is {t}.",
         f"The capital of {c} is {t}.")
        for c, t in pairs
    ]  # fmt: skip
    told += [
        (f"{n} has a {c} {t}. What colour is the {t}?", f"The text says {c}.", f"It is {c}.")
        for n, c, t in things
    ]
    told += [
        (f"Which day comes after {a}?", f"The days go in order. After {a} comes {b}.", f"{b}.")
        for a, b in zip(days, days[1:] + days[:1], strict=True)
    ]
    return [
        {"prompt": p, "analysis": why, "answer": f"Ahoy! {said} Aye, matey."}
        for p, why, said in told
    ]


@cache
def choices() -> dict[str, list[tuple[float, float]]]:
    """By choice, for each seed: (held-out loss, loss on general text) after the run."""
    import gptoss_magic
    from gptoss_magic.runs.canary import general_loss, general_texts
    from gptoss_magic.runs.prepare import prepare
    from gptoss_magic.runs.wanted import Wanted
    from gptoss_magic.session import current
    from gptoss_magic.tuning.control import Control
    from gptoss_magic.tuning.methods import settings_of
    from gptoss_magic.tuning.settings import TrainSettings
    from gptoss_magic.tuning.sources import row_of

    gptoss_magic.load("built-in")
    engine = current().local_engine
    general, data = general_texts(engine), [row_of(one) for one in rows()]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CHOICES}
    for seed in SEEDS:
        train = TrainSettings(
            learning_rate=2e-3, num_steps=NUM_STEPS, step_tokens=512, held_out=0.3, seed=seed,
            eval_every=1000,
        )  # fmt: skip
        for name, settings in CHOICES.items():
            with TemporaryDirectory() as folder:
                method = settings_of(**settings)
                tuning = prepare(Wanted(data, f"{name}-{seed}", method, train, Path(folder)))
                tuning.begin()
                list(tuning.steps(Control()))
            with tuning.trainer._attached():  # noqa: SLF001
                text = general_loss(engine.model, general)
            found[name].append((tuning.trainer.evaluate() or 0.0, text))
            print(f"{name}, seed {seed}: {found[name][-1]}", file=sys.stderr)
    gptoss_magic.unload()
    print(table(found), file=sys.stderr)
    return found


def table(found: dict[str, list[tuple[float, float]]]) -> str:
    """Markdown: mean and spread over the seeds."""
    lines = ["| trained | held-out loss | general text |", "| --- | --- | --- |"]
    for name, pairs in found.items():
        cells = [
            f"{mean(column):.3f} ± {pstdev(column):.3f}" for column in zip(*pairs, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def choice_figure(other: str, _repeats: int) -> Figure:
    """Held-out loss of hot experts against another choice with as many trained numbers."""
    means = {name: mean(loss for loss, _ in pairs) for name, pairs in choices().items()}
    texts = {name: mean(text for _, text in pairs) for name, pairs in choices().items()}
    what = (
        f"held-out loss after {NUM_STEPS} steps on the built-in model, mean of {len(SEEDS)} seeds: "
        f"LoRA on hot experts against {other}, as many numbers trained; loss on general text "
        f"{texts['hot']:.3f} against {texts[other]:.3f}"
    )
    name = f"hot_vs_{other}_loss"
    return compared(name, "nats", means["hot"], means[other], what, less_is_better=True)


TUNE = {
    "expert_lora_step_time_vs_peft": partial(step_figure, "time"),
    "expert_lora_memory_vs_peft": partial(step_figure, "memory"),
    "hot_vs_random_loss": partial(choice_figure, "random"),
    "hot_vs_all_loss": partial(choice_figure, "all"),
    "hot_vs_attention_loss": partial(choice_figure, "attention"),
}
