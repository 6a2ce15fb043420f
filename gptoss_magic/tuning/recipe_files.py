"""A recipe as files: a folder for each configuration that fits, a file in it for each tool.

A tool that has no words for a method gets no file, and the folder's notes say why.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import whole_folder
from gptoss_magic.errors import InputError
from gptoss_magic.tuning.axolotl import write_axolotl
from gptoss_magic.tuning.configurations import terms_of
from gptoss_magic.tuning.methods import method_of, options
from gptoss_magic.tuning.plan import duration
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.tuning.configurations import CardUse, Configuration
    from gptoss_magic.tuning.methods.method import AxolotlWords

CELL, PEFT, AXOLOTL, UNSLOTH = "tune_cell.txt", "adapter_config.json", "axolotl.yaml", "unsloth.py"
TRAIN_FLAGS = {
    "learning_rate": "--learning-rate",
    "epochs": "--epochs",
    "step_tokens": "--step-tokens",
    "max_tokens": "--max-tokens",
    "held_out": "--held-out",
    "seed": "--seed",
}


def write_recipe(
    use: CardUse, fitting: Sequence[Configuration], folder: str | Path, data: str
) -> list[str]:
    """All files of a new `folder`; `data` is what they name as their rows. Returns their paths.

    Raises InputError where something is there, or nothing fits, and StorageError.
    """
    target = Path(folder).expanduser()
    if target.exists():
        raise InputError(f"{target} is there already; give the name of a new folder")
    if not fitting:
        raise InputError(
            "nothing of the recipe fits the card: no file is written; give a larger card, or "
            "shorter rows"
        )
    texts = {Path("notes.txt"): notes_text(use, fitting)}
    for one in fitting:
        name = Path(re.sub(r"[^a-z0-9]+", "-", one.label))
        texts |= {name / file: text for file, text in files_of(use, one, data).items()}
    with whole_folder(target) as room:
        for file, text in texts.items():
            (room / file).parent.mkdir(exist_ok=True)
            (room / file).write_text(text, encoding="utf-8")
    return [str(target / file) for file in texts]


def files_of(use: CardUse, one: Configuration, data: str) -> dict[str, str]:
    """File name to text: the tune cell's always, the others' where they have words for it."""
    found = {CELL: cell_text(one, data)}
    words = method_of(one.method).axolotl
    if words is None:
        return found
    text, lost = write_axolotl(one.method, one.train, one.plan.model, data)
    return found | {
        PEFT: json.dumps(peft_config(one, words), indent=2) + "\n",
        AXOLOTL: _comment((*_needs(use), *lost)) + text,
        UNSLOTH: unsloth_script(use, one, words, data),
    }


def cell_text(one: Configuration, data: str) -> str:
    """`%gptoss_tune` over a file of rows; it shows the plan, and trains with --go added."""
    known = one.method.record()
    flags = [("--method", known.pop("name"))]
    names = {option.name: option.metadata["flags"][1] for option in options()}
    flags += [(names[name], value) for name, value in known.items()]
    train = one.train.record()
    flags += [(flag, train[name]) for name, flag in TRAIN_FLAGS.items()]
    words = [word for flag, value in flags for word in (flag, _plain(value))]
    return f"%gptoss_tune {shlex.join([data, *words])}\n"


def peft_config(one: Configuration, words: AxolotlWords) -> dict[str, Any]:
    """What peft's `LoraConfig.from_pretrained` reads; every expert of a layer, as peft has it."""
    method: Any = one.method
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": one.plan.model,
        "r": method.rank,
        "lora_alpha": method.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(words.modules),
        "target_parameters": list(words.parameters) or None,
    }


def unsloth_script(use: CardUse, one: Configuration, words: AxolotlWords, data: str) -> str:
    """A Python file for Unsloth and TRL; not run here."""
    method: Any = one.method
    train = one.train
    lost = [*([words.lost] if words.lost else []), *words.unsaid(method, None)]
    return UNSLOTH_TEXT.format(
        notes=_comment((*lost, "written from shapes and Unsloth's keywords; not run here")),
        model=f"unsloth/gpt-oss-{use.model}",
        length=train.max_tokens,
        rank=method.rank,
        alpha=method.alpha,
        modules=list(words.modules),
        parameters=list(words.parameters) or None,
        data=data,
        batches=max(1, round(train.step_tokens / train.max_tokens)),
        epochs=train.epochs,
        rate=train.learning_rate,
        warmup=train.warmup,
        seed=train.seed,
    )


def notes_text(use: CardUse, fitting: Sequence[Configuration]) -> str:
    """What fits, and where each number comes from."""
    rows = f"{counted(use.num_rows, 'row')} of {counted(use.row_tokens, 'token')}"
    lines = [
        f"{one.label}: {one.plan.asked.num_params:,} numbers, {one.plan.needed / 1e9:.2f} GB, "
        f"about {duration(one.seconds)} (estimated)"
        for one in fitting
    ]
    silent = "; ".join(one.label for one in fitting if method_of(one.method).axolotl is None)
    if silent:
        lines.append(f"For peft, Axolotl and Unsloth, which have no words for it: {silent}")
    terms = [f"{term}: {source}" for term, source in terms_of(use)]
    head = f"gpt-oss-{use.model}, {use.card / 1e9:g} GB, {rows}"
    return "\n".join([head, "", *lines, "", *terms]) + "\n"


def _needs(use: CardUse) -> list[str]:
    return [f"{term}: {source}" for term, source in terms_of(use) if "Axolotl" in term]


def _comment(lines: tuple[str, ...]) -> str:
    return "".join(f"# {line}\n" for line in lines)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


UNSLOTH_TEXT = """\
{notes}from unsloth import FastLanguageModel  # before trl, which it changes
from unsloth.chat_templates import train_on_responses_only

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

model, tokenizer = FastLanguageModel.from_pretrained(
    model_name={model!r},
    max_seq_length={length},
    load_in_4bit=True,
)
model = FastLanguageModel.get_peft_model(
    model,
    r={rank},
    lora_alpha={alpha!r},
    lora_dropout=0,
    target_modules={modules!r},
    target_parameters={parameters!r},
    use_gradient_checkpointing="unsloth",
    random_state={seed},
)


def as_text(row):
    return {{"text": tokenizer.apply_chat_template(row["messages"], tokenize=False)}}


rows = load_dataset("json", data_files={data!r}, split="train").map(as_text)
trainer = SFTTrainer(
    model=model,
    processing_class=tokenizer,
    train_dataset=rows,
    args=SFTConfig(
        dataset_text_field="text",
        max_length={length},
        per_device_train_batch_size=1,
        gradient_accumulation_steps={batches},
        num_train_epochs={epochs!r},
        learning_rate={rate!r},
        lr_scheduler_type="cosine",
        warmup_ratio={warmup!r},
        optim="adamw_8bit",
        seed={seed},
        output_dir="outputs",
    ),
)
trainer = train_on_responses_only(
    trainer,
    instruction_part="<|start|>user<|message|>",
    response_part="<|start|>assistant",
)
trainer.train()
model.save_pretrained("adapter")
"""
