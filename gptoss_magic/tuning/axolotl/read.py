"""A run from Axolotl's YAML; what would change it and has no meaning here is named."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.settings import MethodSettings, TrainSettings

if TYPE_CHECKING:
    from pathlib import Path

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
IN_LAYER = re.compile(r"(?:.*?\.)?(\d+)\..*?((?:self_attn|mlp)\..+)")
MOST_BYTES = 1_000_000
# keys that say where things go or how they are computed, not what is learnt
SILENT = re.compile(
    r"(wandb|mlflow|comet|hub|dataset|save|saves|logging|tokenizer|gradient_checkpointing|"
    r"activation|eval_sample|pad_to|special|eot|plugins|use_kernels|experimental|flash|attn|bf16|"
    r"tf32|fp16|model_quant|model_type|output|chat_template|strict|debug|early|fsdp|deepspeed|"
    r"experts_implementation|use_|torch_compile|eval_batch|roles_to|train_on_eos)(_\w+)?"
)
REFUSED = {
    "rl": "preferences are not tuned on here; rows with answers are",
    "load_in_4bit": "an MXFP4 model re-quantised to 4 bits errs by 7 % more; leave it out",
    "load_in_8bit": "the model stays as it is loaded; leave it out",
}


@dataclass(frozen=True)
class AxolotlRun:
    """A file's run. `data`: path or name of its first data set; `unread`: keys without a meaning
    here that would change the result, each with its value.
    """

    model: str
    data: str
    method: MethodSettings
    train: TrainSettings
    unread: tuple[str, ...] = ()


@dataclass
class _Keys:
    """The file's keys, taken one by one; what is left over was not understood."""

    left: dict[str, Any]
    unread: list[str] = field(default_factory=list)

    def take(self, name: str, default: Any = None) -> Any:
        value = self.left.pop(name, None)
        return default if value is None else value

    def number(self, name: str, default: float) -> float:
        """A number; PyYAML reads 2e-4 as text."""
        value = self.take(name, default)
        try:
            return float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: {value!r} is no number") from error

    def whole(self, name: str, default: int) -> int:
        value = self.number(name, default)
        if value != int(value) or value < 0:
            raise InputError(f"{name}: {value} is no whole number from 0 on")
        return int(value)

    def without(self, name: str, *same: Any) -> None:
        """A key that has only these values here."""
        value = self.take(name)
        if value is not None and value not in same:
            self.pass_over(name, value)

    def pass_over(self, name: str, value: Any) -> None:
        self.unread.append(f"{name}: {value!r:.80}")


def read_axolotl(path: Path) -> AxolotlRun:
    """The run of a YAML file, an untrusted one: plain values only.

    Raises InputError where it is no such file, or asks for what is not tuned here.
    """
    keys = _Keys(_loaded(path))
    for name, why in REFUSED.items():
        if keys.take(name):
            raise InputError(f"{path}: {name}: {why}")
    try:
        method, train = _method(keys), _train(keys)
        model, data = str(keys.take("base_model", "")), _data(keys)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for name, value in keys.left.items():
        if value not in (None, False, "", [], {}) and not SILENT.fullmatch(name):
            keys.pass_over(name, value)
    return AxolotlRun(model, data, method, train, tuple(keys.unread))


def _loaded(path: Path) -> dict[str, Any]:
    import yaml

    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: too large for a file of settings")
        text = path.read_text("utf-8-sig")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise InputError(f"{path}: *aliases are not read; write the values out")
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: holds no settings")
    return {str(name): value for name, value in found.items()}


def _method(keys: _Keys) -> MethodSettings:
    """What is trained; LoRA without targets is LoRA on attention, as linear layers are there."""
    adapter = keys.take("adapter")
    rank, alpha = keys.whole("lora_r", 8), keys.number("lora_alpha", 16)
    modules, parameters = (
        _listed(keys.take(name)) for name in ("lora_target_modules", "lora_target_parameters")
    )
    for name in ("lora_dropout", "lora_fan_in_fan_out", "peft_use_dora", "peft_use_rslora"):
        keys.without(name, 0, False)
    keys.without("lora_target_linear", True)
    if adapter == "qlora":
        raise InputError(f"adapter qlora: {REFUSED['load_in_4bit']}; use adapter: lora")
    if adapter is None:
        unfrozen = _listed(keys.take("unfrozen_parameters"))
        if unfrozen and all("router" in name for name in unfrozen):
            return MethodSettings("router")
        raise InputError("no adapter: all weights would be trained; use adapter: lora")
    if adapter != "lora":
        raise InputError(f"adapter {adapter!r}: lora is read")
    return _lora(keys, modules, parameters, {"rank": rank, "alpha": alpha})


def _lora(
    keys: _Keys, modules: list[str], parameters: list[str], settings: dict[str, Any]
) -> MethodSettings:
    """The method that has these targets, and what of them it has not."""
    heads, tails = _layered(modules), _layered(parameters)
    wanted = {name.rpartition(".")[2] for name in heads}
    others = wanted - set(ATTENTION)
    if others or (wanted and wanted != set(ATTENTION)):
        keys.pass_over("lora_target_modules", modules)
    if any(name not in EXPERTS for name in tails) or (tails and set(tails) != set(EXPERTS)):
        keys.pass_over("lora_target_parameters", parameters)
    layers = set().union(*tails.values(), *heads.values())
    if not tails:
        if layers:
            keys.pass_over("lora_target_modules", modules)
        return MethodSettings("lora", **settings)
    if wanted and layers:
        return MethodSettings("last-layers", num_layers=len(layers), **settings)
    if wanted:
        keys.pass_over("lora_target_modules (beside experts)", modules)
    return MethodSettings("experts", choice="all", num_layers=len(layers), **settings)


def _layered(names: list[str]) -> dict[str, set[int]]:
    """By name without its layer: the layers that it was given for; none means all."""
    found: dict[str, set[int]] = {}
    for name in names:
        match = IN_LAYER.fullmatch(name)
        layers = found.setdefault(match[2] if match else name, set())
        if match:
            layers.add(int(match[1]))
    return found


def _train(keys: _Keys) -> TrainSettings:
    tokens = keys.whole("sequence_len", 1024)
    texts = keys.whole("micro_batch_size", 1) * keys.whole("gradient_accumulation_steps", 1)
    keys.without("sample_packing", True)
    keys.without("train_on_inputs", False)
    keys.without("weight_decay", 0)
    keys.without("max_grad_norm", 1)
    keys.without("group_by_length", False)
    optimizer = keys.take("optimizer", "adamw_torch")
    if "adamw" not in str(optimizer):
        keys.pass_over("optimizer", optimizer)
    steps = 0 if keys.left.get("max_steps") == -1 else keys.whole("max_steps", 0)
    keys.take("max_steps")
    held_out = keys.number("val_set_size", 0)
    if held_out >= 1:
        keys.pass_over("val_set_size", held_out)
    rate, warmup, floor = keys.number("learning_rate", 0), *_schedule(keys, steps)
    every = keys.number("eval_steps", 10)
    if every < 1:
        keys.pass_over("eval_steps", every)
    return TrainSettings(
        learning_rate=rate,
        epochs=keys.number("num_epochs", 1),
        num_steps=steps,
        step_tokens=max(1, texts) * tokens,
        max_tokens=tokens,
        warmup=warmup,
        floor=floor,
        held_out=held_out if held_out < 1 else 0.1,
        eval_every=max(1, int(every)),
        seed=keys.whole("seed", 42),
    )


def _schedule(keys: _Keys, steps: int) -> tuple[float, float]:
    """(warm-up, floor): a rate that stays is a cosine down to 100 %."""
    kind, floor = keys.take("lr_scheduler", "cosine"), keys.number("cosine_min_lr_ratio", 0)
    warmup, first = keys.number("warmup_ratio", 0.03), keys.whole("warmup_steps", 0)
    if first and steps:
        warmup = min(0.99, first / steps)
    elif first:
        keys.pass_over("warmup_steps", first)
    if kind == "constant":
        return 0.0, 1.0
    if kind == "constant_with_warmup":
        return warmup, 1.0
    if kind != "cosine":
        keys.pass_over("lr_scheduler", kind)
    return warmup, floor


def _data(keys: _Keys) -> str:
    """The first data set: its file where one is named, or its path."""
    sets = keys.take("datasets", [])
    if not isinstance(sets, list) or not sets or not isinstance(sets[0], dict):
        raise InputError("datasets: a list of data sets with a path is needed")
    for other in sets[1:]:
        keys.pass_over("datasets (a second one)", other)
    first = _Keys(dict(sets[0]))
    files = _listed(first.take("data_files"))
    path = files[0] if files else first.take("path", "")
    read: dict[str, tuple[Any, ...]] = {
        "type": ("chat_template", "alpaca"),
        "field_messages": ("messages",),
        "split": ("train",),
        "field_thinking": ("thinking", "reasoning_content"),
        "template_thinking_key": ("thinking", "reasoning_content"),
        "ds_type": ("json", "csv", "parquet"),
        "roles_to_train": (["assistant"],),
        "train_on_eos": ("turn",),
    }
    for name, same in read.items():
        first.without(name, *same)
    more = [("data_files (a second one)", file) for file in files[1:]]
    for name, value in [*more, *first.left.items()]:
        if value is not None:
            first.pass_over(name, value)
    keys.unread += [f"datasets: {one}" for one in first.unread]
    return str(path)


def _listed(value: Any) -> list[str]:
    """One name or several, as a list."""
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] * bool(value)
