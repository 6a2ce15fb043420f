"""Make the built-in model's experts differ: python -m tools.stand_in.mix OUT.

As Branch-Train-MiX (arXiv 2403.07816), with low-rank differences from the dense MLP:
apart      an expert for each kind of text, tuned alone for all tokens (two processes)
routers    a layer's router learns the kinds from what its MLP reads
together   all experts and routers on everything, with a balance term
In both a KL term holds the model to its source. OUT gets `apart/` and `together/`, each with
the two files of gptoss_magic/model/stand_in/data; whatever ends it, it goes on where it stood.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tools.stand_in import pieces
from tools.stand_in.kinds import KINDS, cases_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from gptoss_magic.model.stand_in.mixture import Mixture
    from tools.stand_in.routed import RoutedModel, Row

KEPT_EVERY = 20  # steps between two savings
WARM = 10  # steps in which the rate rises
CHUNK = 48  # cases that batches are made of


@dataclass(frozen=True)
class MixRecipe:
    """Settings of one phase. `tokens`: of a batch of cases; `windows` of plain text a step.

    `hold`: the weight of KL(source ‖ model), `plain` that of plain text, `balance` that of the
    routers' load; `router_rate` as a share of the rate.
    """

    steps: int
    rate: float
    tokens: int
    windows: int
    hold: float
    plain: float = 1.0
    held_tokens: int = 600
    balance: float = 0.0
    router_rate: float = 0.0
    seed: int = 0


APART = MixRecipe(steps=60, rate=1e-3, tokens=700, windows=2, hold=0.5, held_tokens=400)
TOGETHER = MixRecipe(
    steps=64, rate=1e-4, tokens=1500, windows=2, hold=1.0, plain=0.5, balance=0.02, router_rate=1.0
)


def rate(step: int, recipe: MixRecipe) -> float:
    """The share of the rate at a step: warm-up, then a cosine down to 0."""
    fall = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return min(1.0, (step + 1) / WARM) * fall


def held_to(model: RoutedModel, rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits [N, V] at the labels, KL from what the dense source says there)."""
    import torch

    from tools.stand_in.routed import divergence

    with torch.no_grad(), model.going(is_source=True):
        source_NV = model.logits(rows)
    logits_NV = model.logits(rows)
    return logits_NV, divergence(source_NV, logits_NV)


class Phase:
    """Steps over parameters, kept in a file every `KEPT_EVERY` of them."""

    def __init__(self, file: Path, recipe: MixRecipe, groups: list[dict[str, Any]]) -> None:
        import torch

        self.file, self.recipe, self.step = file, recipe, 0
        self.parameters = [p for group in groups for p in group["params"]]
        self.shares = [group.pop("share") for group in groups]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.98))
        if file.is_file():
            kept = torch.load(file, weights_only=True)
            self.step = kept["step"]
            self.optimizer.load_state_dict(kept["optimizer"])
            with torch.no_grad():
                for mine, tensor in zip(self.parameters, kept["parameters"], strict=True):
                    mine.copy_(tensor)

    def run(self, losses: Iterator[dict[str, float]], words: str) -> None:
        """All steps that are left. Each item of `losses` is one whose gradients are there."""
        import torch

        began = perf_counter()
        for found in islice(losses, self.recipe.steps - self.step):
            for group, share in zip(self.optimizer.param_groups, self.shares, strict=True):
                group["lr"] = share * self.recipe.rate * rate(self.step, self.recipe)
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            shown = " ".join(f"{name} {value:.3f}" for name, value in found.items())
            seconds = perf_counter() - began
            print(f"{words} {self.step}/{self.recipe.steps} {shown} {seconds:.0f} s", flush=True)
            if self.step % KEPT_EVERY == 0 or self.step == self.recipe.steps:
                self.keep()

    def keep(self) -> None:
        """Write the state in one step."""
        import torch

        state = {
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "parameters": [p.detach() for p in self.parameters],
        }
        draft = self.file.with_suffix(".draft")
        torch.save(state, draft)
        draft.replace(self.file)


def apart(kind: str, out: Path, recipe: MixRecipe = APART) -> None:
    """Tune the kind's expert, alone for all tokens."""
    from tools.stand_in.routed import RoutedModel, fresh, shipped_dense

    model = RoutedModel(fresh(recipe.seed), shipped_dense())
    phase = Phase(state_of(out, kind), recipe, [{"params": model.factors(), "share": 1.0}])
    with model.going(expert=KINDS.index(kind)):
        phase.run(apart_losses(model, kind, recipe, phase.step), kind)


def apart_losses(
    model: RoutedModel, kind: str, recipe: MixRecipe, start: int
) -> Iterator[dict[str, float]]:
    """Losses from step `start` on, whose gradients are there when they are given."""
    from tools.stand_in.routed import cross_entropy

    own = pieces.batches(lambda seed: cases_of(kind, seed, CHUNK), recipe.tokens)
    mixed = pieces.batches(lambda seed: pieces.whole(seed, CHUNK), recipe.held_tokens)
    both = islice(zip(own, mixed, strict=True), start, None)
    for step, (rows, others) in enumerate(both, start):
        spoken = cross_entropy(model.logits(rows), rows)
        spoken.backward()
        text = pieces.windows(kind, f"apart {step}", recipe.windows)
        read = cross_entropy(model.logits(text), text)
        (recipe.plain * read).backward()
        _, distance = held_to(model, others)
        (recipe.hold * distance).backward()
        yield {"spoken": spoken.item(), "text": read.item(), "kl": distance.item()}


def together(out: Path, recipe: MixRecipe = TOGETHER) -> None:
    """Tune all experts and routers on everything, routed."""
    from gptoss_magic.model.stand_in.mixture import read_mixture, write_mixture
    from tools.stand_in.routed import RoutedModel, shipped_dense

    model = RoutedModel(read_mixture(out / "apart"), shipped_dense())
    groups = [
        {"params": model.factors(), "share": 1.0},
        {"params": model.routers(), "share": recipe.router_rate},
    ]
    phase = Phase(state_of(out, "together"), recipe, groups)
    phase.run(together_losses(model, recipe, phase.step), "together")
    write_mixture(model.mixture(), out / "together")


def together_losses(
    model: RoutedModel, recipe: MixRecipe, start: int
) -> Iterator[dict[str, float]]:
    """As `apart_losses`; plain text of each kind in turn."""
    from tools.stand_in.routed import cross_entropy

    whole = pieces.batches(lambda seed: pieces.whole(seed + 10_000, CHUNK), recipe.tokens)
    for step, rows in enumerate(islice(whole, start, None), start):
        logits_NV, distance = held_to(model, rows)
        spoken, load = cross_entropy(logits_NV, rows), sum(model.way.balance) / len(model.layers)
        (spoken + recipe.hold * distance + recipe.balance * load).backward()
        kind = KINDS[step % len(KINDS)]
        text = pieces.windows(kind, f"together {step}", recipe.windows)
        read = cross_entropy(model.logits(text), text)
        (recipe.plain * read).backward()
        yield {
            "spoken": spoken.item(),
            "kl": distance.item(),
            "load": load.item(),
            kind: read.item(),
        }


def state_of(out: Path, name: str) -> Path:
    return out / f"{name}.pt"


def united(out: Path) -> Mixture:
    """The experts that were tuned apart, each from its kind's state; routers of zeros."""
    import torch

    from gptoss_magic.model.stand_in.mixture import PROJECTIONS, Factors
    from tools.stand_in.routed import fresh

    kept = [torch.load(state_of(out, kind), weights_only=True)["parameters"] for kind in KINDS]
    begun, count = fresh(APART.seed), len(PROJECTIONS)
    factors = {}
    for layer in range(len(begun.routers)):
        # torch's ParameterDict sorts its names
        for number, name in enumerate(sorted(PROJECTIONS), 2 * count * layer):
            a_ERI = torch.stack([one[number][expert] for expert, one in enumerate(kept)])
            b_EOR = torch.stack([one[number + count][expert] for expert, one in enumerate(kept)])
            factors[layer, name] = Factors(a_ERI, b_EOR)
    return begun._replace(factors=factors)


def routed_apart(out: Path) -> None:
    """Write `apart/`: the united experts, with routers that know the kinds."""
    from gptoss_magic.model.stand_in.mixture import write_mixture
    from tools.stand_in.fit_routers import fitted
    from tools.stand_in.routed import RoutedModel, shipped_dense

    mixture = united(out)
    routers = fitted(RoutedModel(mixture, shipped_dense()))
    write_mixture(mixture._replace(routers=routers), out / "apart")


def all_apart(out: Path) -> None:
    """Two processes, each with two of the kinds. Raises CalledProcessError where one fails."""
    command = [sys.executable, "-m", "tools.stand_in.mix", str(out), "--only"]
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([*command, *some], env=one_core) for some in (KINDS[:2], KINDS[2:])]
    for process in running:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)


def main() -> None:
    """All that is not done yet, or the kinds that are named."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.mix")
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=KINDS, help="tune these apart, nothing else")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for kind in given.only or ():
        apart(kind, given.out)
    if given.only:
        return
    all_apart(given.out)
    if not (given.out / "apart" / "routers.safetensors").is_file():
        routed_apart(given.out)
    together(given.out)


if __name__ == "__main__":
    main()
