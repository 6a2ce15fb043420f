"""The same six steps for one process and for several: a tiny model, and steps that share badly."""

from dataclasses import fields
from functools import partial

import torch
from safetensors.torch import save_file

from gptoss_magic.model.resident import make_resident
from gptoss_magic.ranks.anchor import anchor
from gptoss_magic.ranks.replicated import InStep, Replicated
from gptoss_magic.ranks.sharded_weights import shard_weights
from gptoss_magic.ranks.strategies import strategy_of
from gptoss_magic.records import Example
from gptoss_magic.testing import tiny_model
from gptoss_magic.tuning.methods import METHODS, make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.trainer import Trainer, TrainingWork

HOT = [[5, 2, 1], [3]]
SETTINGS = TrainSettings(learning_rate=1e-2, eval_every=3)


class Free:
    """Nobody touches the controls."""

    stopped, rate = False, None

    def wait(self):
        return True


def texts(count, seed, length=12):
    draw = torch.Generator().manual_seed(seed)
    made = []
    for i in range(count):
        ids = torch.randint(8, 264, (length + 7 * i,), generator=draw).tolist()
        made.append(Example(tuple(ids), tuple(n >= 4 for n in range(len(ids)))))
    return made


def steps():
    """Steps of four texts in two sequences, and some of one short text, which one rank gets."""
    rows = texts(6, 0)
    whole = [
        [[rows[i % 6], rows[(i + 1) % 6]], [rows[(i + 2) % 6], rows[(i + 3) % 6]]] for i in range(4)
    ]
    return [*whole[:2], [[rows[0]]], *whole[2:], [[rows[1]]]]


def trainer(name, group=None, strategy="ddp", dtype=torch.float64):
    """A trainer of the tiny model in `dtype`: alone, or as one of the group."""
    model, _ = tiny_model(3)
    model.config._experts_implementation = "eager"  # torch's grouped product has no fp64
    make_resident(model)
    model.requires_grad_(False)
    has = {field.name for field in fields(METHODS[name].settings)}
    small = {"rank": 2} if "rank" in has else {}
    context = Context(settings_of(name, **small), seed=7, hot=HOT, sequences=[texts(2, 1)])
    parts = make_parts(model, context)
    model.to(dtype)
    for part in parts:
        part.to(dtype)
    own, optimizer = METHODS[name].step, METHODS[name].optimizer
    more = own(parts, context.settings) if own else (None, None)
    mine = partial(optimizer, settings=context.settings) if optimizer else None
    work = TrainingWork(steps(), [texts(3, 5)], None, *more, optimizer=mine)
    chosen = strategy_of(strategy)
    if chosen.in_step and METHODS[name].trains_all:
        parts, shards = shard_weights(model, group, parts)
        made = Trainer(model, parts, work, SETTINGS)
        made.team = shards
        return made
    made = Trainer(model, parts, work, SETTINGS)
    if group is not None:
        chosen.spread(model, group)
        made.team = (InStep if chosen.in_step else Replicated)(group)
        if chosen.in_step:
            anchor(model, parts)
    return made


def trained(name, group=None, strategy="ddp", dtype=torch.float64):
    """(gradients of the first step, weights behind the last, losses, held-out losses)."""
    run = trainer(name, group, strategy, dtype)
    with run._training():  # noqa: SLF001
        run._backward(run.work.steps[0])  # noqa: SLF001
        grads = [run.team.whole(w, w.grad) for w in run.weights]
        first = [torch.zeros(()) if grad is None else grad.clone() for grad in grads]
    history = list(run.run(Free()))
    held = [m.eval_loss for m in history if m.eval_loss is not None]
    losses = torch.tensor([[m.loss for m in history]], dtype=torch.float64)
    weights = [run.team.whole(w, w.detach()).clone() for w in run.weights]
    return first, weights, losses, torch.tensor(held)


def written(found, path):
    first, weights, losses, held = found
    tensors = {f"gradient.{i}": t for i, t in enumerate(first)}
    tensors |= {f"weight.{i}": t for i, t in enumerate(weights)}
    tensors |= {"losses": losses, "held": held}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def apart(a, b):
    """|a - b| / |b|; 0 where both are nothing."""
    return float((a.double() - b.double()).norm() / max(float(b.double().norm()), 1e-30))
