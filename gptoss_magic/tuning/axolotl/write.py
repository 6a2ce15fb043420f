"""A run as Axolotl's YAML, and its rows as the conversations that this YAML reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.axolotl.read import ATTENTION, EXPERTS
from gptoss_magic.tuning.methods.last_layers import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Message
    from gptoss_magic.tuning.data import Row
    from gptoss_magic.tuning.settings import MethodSettings, TrainSettings

INSTRUCTIONS, TOOLS = "# Instructions\n\n", "# Tools\n\n"
ROUTERS = r"^model\.layers\.\d+\.mlp\.router\."


def write_axolotl(
    method: MethodSettings, train: TrainSettings, model: str, data: str, num_layers: int
) -> tuple[str, list[str]]:
    """(YAML, what it cannot say) of a run on `data`, a file that `trl_lines` wrote.

    `num_layers`: of the model. Raises InputError for a method that Axolotl has no part of, and
    where the learning rate is still the plan's choice.
    """
    import yaml

    if not train.learning_rate:
        raise InputError("learning rate 0 is the plan's choice: give the one that it chose")
    unsaid: list[str] = []
    said = {
        "base_model": model,
        "model_quantization_config": "Mxfp4Config",
        "model_quantization_config_kwargs": {"dequantize": True},
        "datasets": [_data(data)],
        "eot_tokens": ["<|end|>"],
        **_method(method, num_layers, unsaid),
        **_train(train, unsaid),
        "bf16": True,
        "gradient_checkpointing": True,
    }
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True), unsaid


def trl_lines(rows: Sequence[Row]) -> tuple[str, list[str]]:
    """(JSON lines, what they cannot say): TRL's conversations, reasoning as `thinking`."""
    lines, unsaid = [], []
    for number, row in enumerate(rows, 1):
        if any(m.role == "developer" and TOOLS in m.content for m in row.messages):
            unsaid.append(f"row {number}: its tools' definitions, which stay text")
        lines.append(json.dumps({"messages": list(_chat(row.messages))}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines), unsaid


def _chat(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """OpenAI's messages: reasoning joins what follows it; harmony's system message is left out."""
    thought: dict[str, Any] = {}
    for message in messages:
        if message.role == "system" and "# Valid channels" in message.content:
            continue  # the chat template writes it anew
        if message.role == "developer":
            yield {"role": "system", "content": message.content.removeprefix(INSTRUCTIONS)}
        elif message.role == "tool":
            name = (message.author or "").removeprefix("functions.")
            yield {"role": "tool", "name": name, "content": message.content}
        elif message.role != "assistant":
            yield {"role": message.role, "content": message.content}
        elif message.channel == "analysis" and not message.recipient:
            before = f"{thought['thinking']}\n\n" if thought else ""
            thought = {"thinking": before + message.content}
        else:
            yield {"role": "assistant", **thought, **_said(message)}
            thought = {}


def _said(message: Message) -> dict[str, Any]:
    if message.recipient:
        name = message.recipient.removeprefix("functions.")
        call = {"type": "function", "function": {"name": name, "arguments": message.content}}
        return {"content": "", "tool_calls": [call]}
    channel = {} if message.channel in (None, "final") else {"channel": message.channel}
    return {"content": message.content, **channel}


def _data(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "field_thinking": "thinking",
        "template_thinking_key": "thinking",
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }


def _method(method: MethodSettings, num_layers: int, unsaid: list[str]) -> dict[str, Any]:
    """What is trained; a subset becomes the whole that holds it, and is named."""
    name, some = method.name, method.num_layers
    if name in ("prompt", "prefix", "experts-full"):
        raise InputError(f"{name}: Axolotl's YAML has no such method; it says lora or experts")
    if name == "router":
        return {"unfrozen_parameters": [ROUTERS]}
    lora = {"adapter": "lora", "lora_r": method.rank, "lora_alpha": method.alpha}
    lora["lora_dropout"] = 0.0
    if name in ("lora", "adalora", "heads"):
        if name == "adalora":
            unsaid.append("adalora: a rank that is shared out; written with one rank for all")
        if name == "heads":
            unsaid.append(f"heads: {method.num_heads} of them; written with all of attention")
        return {**lora, "lora_target_modules": ATTENTION}
    if name == "router+experts":
        unsaid.append("router+experts: two stages; written is the second, without the routers")
    if name != "last-layers" and method.choice != "all":
        number = method.num_experts or f"up to {method.coverage:.0%} of the routes"
        unsaid.append(f"{method.choice} experts, {number} a layer; written with all experts")
    if name == "last-layers":
        some = some or DEFAULT
        lora["lora_target_modules"] = _of_layers(
            [f"self_attn.{n}" for n in ATTENTION], some, num_layers
        )
    else:
        lora["lora_target_modules"] = []
    return {**lora, "lora_target_parameters": _of_layers(EXPERTS, some, num_layers)}


def _of_layers(names: list[str], some: int, num_layers: int) -> list[str]:
    """The names in the last `some` layers; 0: in every layer."""
    layers = range(num_layers - some, num_layers)
    return [f"{layer}.{name}" for layer in layers for name in names] if some else list(names)


def _train(train: TrainSettings, unsaid: list[str]) -> dict[str, Any]:
    gathered = max(1, round(train.step_tokens / train.max_tokens))
    if gathered * train.max_tokens != train.step_tokens:
        unsaid.append(
            f"steps of {train.step_tokens} tokens; written are {gathered} x {train.max_tokens}"
        )
    schedule: dict[str, Any] = {"lr_scheduler": "cosine", "cosine_min_lr_ratio": train.floor}
    if train.floor == 1:
        schedule = {"lr_scheduler": "constant_with_warmup"}
    return {
        "sequence_len": train.max_tokens,
        "sample_packing": True,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": gathered,
        "num_epochs": train.epochs,
        **({"max_steps": train.num_steps} if train.num_steps else {}),
        "learning_rate": train.learning_rate,
        **schedule,
        "warmup_ratio": train.warmup,
        "optimizer": "adamw_torch",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "train_on_inputs": False,
        "val_set_size": train.held_out,
        "eval_steps": train.eval_every,
        "seed": train.seed,
    }
