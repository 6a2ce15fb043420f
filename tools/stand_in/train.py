"""Train the harmony adapter further, or anew: python -m tools.stand_in.train OUT [--anew].

LoRA (rank 16, alpha 32) on all linear layers of the dense source model, and the embedding rows of
the eight special tokens, trained on the assistant's tokens of synthetic cases. OUT gets
adapter.safetensors, token_rows.safetensors and settings.json in the layout of
gptoss_magic/model/stand_in/data. Legend: B rows, T tokens, N trained tokens, V vocabulary,
S special rows, D hidden.
"""

from __future__ import annotations

import argparse
import json
import random
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.harmony import HarmonyCodec, render
from gptoss_magic.model.stand_in import convert
from gptoss_magic.model.stand_in.source import DATA, verified_source
from gptoss_magic.model.wide import is_slow
from tools.stand_in.following import training

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from tools.stand_in.cases import Case

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SPECIAL_IDS = list(range(1, 9))
KEPT_EVERY = 16  # steps between two savings
MIXED = 4  # batches that share their rows out by length


@dataclass(frozen=True)
class Recipe:
    """Settings of one training; learning rate warms up over 10 steps and falls as a cosine."""

    steps: int = 80
    batch: int = 8
    rank: int = 16
    learning_rate: float = 5e-4
    seed: int = 0
    anew: bool = False


def encode(case: Case, codec: HarmonyCodec, date: str) -> tuple[list[int], list[int]]:
    """(ids, labels): labels are -100 but on what the assistant says."""
    prompt = render(case.prompt(date), codec)
    said = render(case.completion(), codec, prompt=False)[len(render([], codec)) :]
    if case.call is None:
        said[-1] = codec.special["return"]
    return prompt + said, [-100] * len(prompt) + said


def rate(step: int, recipe: Recipe) -> float:
    """Learning rate of a step: warm-up, then a cosine down to 5 %."""
    import math

    fall = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(1.0, (step + 1) / 10) * (0.95 * fall + 0.05)


class Trainee:
    """The dense model with LoRA and trainable special rows; the shipped ones, or anew."""

    def __init__(self, recipe: Recipe) -> None:
        import torch
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(recipe.seed)
        dense = convert.dense_model(verified_source())
        self.is_wide = is_slow(torch.zeros(1, dtype=torch.bfloat16))
        dense = dense if self.is_wide else dense.to(torch.bfloat16)
        self.rows_VD = dense.model.embed_tokens.weight.detach().requires_grad_(False)
        config = LoraConfig(
            r=recipe.rank, lora_alpha=2 * recipe.rank, target_modules=LINEARS, lora_dropout=0.0
        )
        self.model = get_peft_model(dense, config)
        self.special_S = torch.tensor(SPECIAL_IDS)
        self.delta_SD = torch.nn.Parameter(torch.zeros(len(SPECIAL_IDS), self.rows_VD.shape[1]))
        if not recipe.anew:
            self.go_on()
        adapter = [p for p in self.model.parameters() if p.requires_grad]
        self.parameters = [*adapter, self.delta_SD]

    def go_on(self) -> None:
        """Start from the shipped adapter and rows."""
        import torch
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(self.model, load_file(DATA / "adapter.safetensors"))
        rows_SD = load_file(DATA / "token_rows.safetensors")["rows"]
        with torch.no_grad():
            self.delta_SD += rows_SD.float() - self.rows_VD[self.special_S].float()

    def table(self) -> torch.Tensor:
        """The embedding [V, D] with the special rows as trained so far."""
        delta_SD = self.delta_SD.to(self.rows_VD.dtype)
        return self.rows_VD.index_add(0, self.special_S, delta_SD)

    def loss(self, rows: list[tuple[list[int], list[int]]]) -> torch.Tensor:
        """Mean cross entropy over the trained tokens of a batch."""
        import torch
        from torch.nn import functional

        width = max(len(ids) for ids, _ in rows)
        ids_BT = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
        labels_BT = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
        mask_BT = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in rows])
        table_VD = self.table()
        with torch.autocast("cpu", torch.bfloat16, enabled=not self.is_wide):
            inner = self.model.base_model.model.model
            states = inner(
                inputs_embeds=functional.embedding(ids_BT, table_VD), attention_mask=mask_BT
            ).last_hidden_state
            wanted_BT = labels_BT[:, 1:] != -100
            logits_NV = states[:, :-1][wanted_BT] @ table_VD.T
        return functional.cross_entropy(logits_NV.float(), labels_BT[:, 1:][wanted_BT])

    def save(self, out: Path, recipe: Recipe) -> None:
        """Write the files that `convert.merge_adapter` reads."""
        import torch
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        out.mkdir(parents=True, exist_ok=True)
        state = get_peft_model_state_dict(self.model)
        packed = {key: value.to(torch.bfloat16).contiguous() for key, value in state.items()}
        save_file(packed, out / "adapter.safetensors")
        rows_SD = self.rows_VD[self.special_S].float() + self.delta_SD.detach()
        save_file({"ids": self.special_S, "rows": rows_SD}, out / "token_rows.safetensors")
        (out / "settings.json").write_text(json.dumps(asdict(recipe), indent=1))


def batches(recipe: Recipe, codec: HarmonyCodec) -> Iterator[list[tuple[list[int], list[int]]]]:
    """A batch a step, of rows of about one length, no case twice; days differ."""
    draw = random.Random(recipe.seed)
    cases = training(recipe.seed, recipe.steps * recipe.batch)
    for start in range(0, len(cases), MIXED * recipe.batch):
        day = f"202{draw.randint(4, 7)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        span = cases[start : start + MIXED * recipe.batch]
        rows = sorted((encode(case, codec, day) for case in span), key=lambda row: len(row[0]))
        found = [rows[i : i + recipe.batch] for i in range(0, len(rows), recipe.batch)]
        yield from draw.sample(found, len(found))


def train(trainee: Trainee, recipe: Recipe) -> Iterator[float]:
    """Yield the loss of each step."""
    import torch
    from transformers import AutoTokenizer

    codec = HarmonyCodec(AutoTokenizer.from_pretrained(DATA, local_files_only=True))
    optimizer = torch.optim.AdamW(trainee.parameters, weight_decay=0.0)
    for step, rows in enumerate(batches(recipe, codec)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, recipe)
        loss = trainee.loss(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trainee.parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield loss.item()


def main() -> None:
    """Train and save; an interrupt saves what there is."""
    parser = argparse.ArgumentParser(prog="tools.stand_in.train")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--anew", action="store_true", help="not from the shipped adapter")
    given = parser.parse_args()
    recipe = Recipe(steps=given.steps, seed=given.seed, anew=given.anew)
    trainee: Any = Trainee(recipe)
    with suppress(KeyboardInterrupt):
        for step, loss in enumerate(train(trainee, recipe), 1):
            print(f"step {step}/{recipe.steps} loss {loss:.3f}", flush=True)
            if step % KEPT_EVERY == 0:
                trainee.save(given.out, recipe)
    trainee.save(given.out, recipe)


if __name__ == "__main__":
    main()
