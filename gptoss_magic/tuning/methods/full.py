"""Every weight in full: the packed experts too, as masters in the model's dtype (bf16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import CheckpointError, InputError
from gptoss_magic.tuning.methods.method import Method, Rate, Sizes
from gptoss_magic.tuning.settings import MethodSettings, option
from gptoss_magic.tuning.shapes import all_numbers, width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts

MEANS = ("fp32", "8-bit")
DTYPES = ("bfloat16", "float16", "float32", "float64")


@dataclass(frozen=True)
class FullSettings(MethodSettings):
    """`adam`: how AdamW's two means are kept. Raises InputError for another word."""

    name = "full"
    adam: str = option("fp32", ("-B", "--adam"), "full: AdamW's means; 8-bit by torchao", MEANS)

    def __post_init__(self) -> None:
        if self.adam not in MEANS:
            raise InputError(f"adam {self.adam!r}: give {' or '.join(MEANS)}")

    @property
    def is_8_bit(self) -> bool | None:
        return self.adam == MEANS[1]


def apply(model: Model, context: Context) -> list[Any]:
    """A `WholeModule` of copies for every module that has weights; a tied head goes with its table.

    Raises InputError where 8 bits are asked for and torchao is not there.
    """
    from gptoss_magic.model.parts import WholeModule, own_weights

    if context.settings.is_8_bit:
        require_torchao()
    is_tied, head = model.config.tie_word_embeddings, model.get_output_embeddings()
    embedding = model.get_input_embeddings()
    heads = [name for name, module in model.named_modules() if module is head]
    return [
        WholeModule(name, own_weights(module), heads if is_tied and module is embedding else ())
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False)) and not (is_tied and module is head)
    ]


def require_torchao() -> None:
    """Raise InputError where torchao is not installed."""
    from importlib.util import find_spec

    if find_spec("torchao") is None:
        raise InputError(
            "--adam 8-bit: torchao is not installed; pip install 'gptoss_magic[full]', or leave "
            "--adam out"
        )


def optimizer(weights: list[Any], settings: FullSettings) -> Any:
    """AdamW without decay whose bf16 weights are rounded up or down by chance, not to the nearest.

    At a rate of full fine-tuning a step is less than half of bf16's last digit: nothing would move.
    """
    import torch

    from gptoss_magic.tuning.rounded import Rounded8Bit, RoundedAdamW

    if settings.is_8_bit:
        require_torchao()
        return Rounded8Bit(weights)
    if any(weight.dtype == torch.bfloat16 for weight in weights):
        return RoundedAdamW(weights)
    return torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)


def _numbers(config: Config, _settings: FullSettings, _experts: Counts) -> int:
    return all_numbers(config)


def _branch_bytes(config: Config) -> int:
    """What a weight's gradient needs: of both norms what they scale, in fp32, and their outputs.

    Those are the inputs of q, k, v and of the router; of the k routes both projections' inputs.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    routes = config["num_experts_per_tok"] * (hidden + inner)
    return int(8 * hidden + width(config) * (2 * hidden + routes))


def _part(described: Mapping[str, Any], zeros: Mapping[str, Any]) -> Any:
    import torch

    from gptoss_magic.model.parts import WholeModule

    if described["dtype"] not in DTYPES:
        raise CheckpointError(
            f"{described['target']}: dtype {described['dtype']!r} is none here; get the run again"
        )
    dtype = getattr(torch, described["dtype"])
    weights = {name: zero.to(dtype) for name, zero in zeros.items()}
    return WholeModule(described["target"], weights, described["tied"])


METHOD = Method(
    name=FullSettings.name,
    help="every weight of the model",
    settings=FullSettings,
    apply=apply,
    sizes=Sizes(_numbers, _branch_bytes, trained_bytes=width),
    rate=Rate(2e-5),
    parts={"WholeModule": _part},
    trains_all=True,
    optimizer=optimizer,
)
